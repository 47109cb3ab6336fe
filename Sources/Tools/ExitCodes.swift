// The exit codes that scripts go by: those of sysexits.h, and what an error of the store means.

package import ApusStorage

package enum ExitCodes {
    /// Flags, names or statements that mean nothing.
    package static let usage: Int32 = 64
    /// Broken compression, a directory of someone else's, damage, an unreadable format.
    package static let format: Int32 = 65
    /// An input that isn't there or may not be read.
    package static let noInput: Int32 = 66
    /// A server that doesn't answer, or refuses.
    package static let unavailable: Int32 = 69
    package static let inputOutput: Int32 = 74
    /// A directory that another process has open.
    package static let heldByOther: Int32 = 75

    package static func code(for error: StorageError) -> Int32 {
        switch error {
        case .unsupportedFormat, .corrupt: format
        case .locked: heldByOther
        case .overloaded: unavailable
        case .invalid: usage
        default: inputOutput
        }
    }
}
