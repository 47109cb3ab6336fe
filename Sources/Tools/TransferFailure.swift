// Why a command could not do its work, or ended early.

package import ApusStorage

/// The text is for the person who started it.
package struct TransferFailure: Error, Equatable, Sendable, CustomStringConvertible {
    package let exitCode: Int32
    package let description: String

    package init(exitCode: Int32, _ description: String) {
        self.exitCode = exitCode
        self.description = description
    }

    package init(_ error: StorageError) {
        var text = error.description
        if case .locked = error { text += ": use its --url instead" }
        self.init(exitCode: ExitCodes.code(for: error), text)
    }
}
