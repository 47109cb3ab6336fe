// What the commands know of the terminal they write to.

import Glibc

/// The terminal behind a descriptor.
package enum Terminal {
    /// Whether a person may be watching.
    package static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// How many columns fit; nil where the descriptor is no terminal or doesn't say.
    package static func columnCount(_ descriptor: Int32) -> Int? {
        size(descriptor)?.columns
    }

    /// Columns and rows; nil where the descriptor is no terminal or doesn't say.
    package static func size(_ descriptor: Int32) -> TerminalSize? {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return TerminalSize(columns: Int(size.ws_col), rows: max(1, Int(size.ws_row)))
    }
}
