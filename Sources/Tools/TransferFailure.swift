// Why an import or an export ended early, and the exit code that scripts go by.

/// The text is for the person who started it.
package struct TransferFailure: Error, Equatable, Sendable, CustomStringConvertible {
    package let exitCode: Int32
    package let description: String

    package init(exitCode: Int32, _ description: String) {
        self.exitCode = exitCode
        self.description = description
    }
}

/// Those of sysexits.h.
package enum ExitCodes {
    /// Flags, names or statements that mean nothing.
    package static let usage: Int32 = 64
    /// Broken compression, a directory of someone else's, an unreadable format.
    package static let format: Int32 = 65
    /// An input that isn't there or may not be read.
    package static let noInput: Int32 = 66
    /// A server that doesn't answer, or refuses.
    package static let unavailable: Int32 = 69
    package static let inputOutput: Int32 = 74
    /// A directory that another process has open.
    package static let heldByOther: Int32 = 75
}
