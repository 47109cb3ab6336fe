// One line on a terminal that says how far something is, and is gone when it is over.

internal import ApusStorage
internal import Glibc
internal import Synchronization

/// Writes to standard error, ten times a second at most; to nothing that isn't a terminal.
/// Thread-safe.
package final class ProgressLine: Sendable {
    private struct State {
        var lastNanoseconds: Int64 = 0
        var isShown = false
    }

    private static let intervalNanoseconds: Int64 = 100_000_000

    private let isOn: Bool
    private let state = Mutex(State())

    package init() { isOn = Terminal.isTerminal(STDERR_FILENO) }

    /// Shows a text in place of the last one, cut to the terminal's width.
    package func show(_ text: @autoclosure () -> String) { show { _ in text() } }

    /// The same for a text that knows how many columns there are.
    package func show(_ text: (_ columnCount: Int) -> String) {
        guard isOn else { return }
        let now = monotonicNanoseconds()
        let isDue = state.withLock { state in
            guard now &- state.lastNanoseconds >= Self.intervalNanoseconds else {
                return false
            }
            state.lastNanoseconds = now
            state.isShown = true
            return true
        }
        guard isDue else { return }
        let width = max(10, (Terminal.columnCount(STDERR_FILENO) ?? 80) - 1)
        write("\r\u{1B}[K" + text(width).prefix(width))
    }

    /// Leaves an empty line for what comes next.
    package func clear() {
        let wasShown = state.withLock { state in
            defer { state.isShown = false }
            return state.isShown
        }
        if wasShown { write("\r\u{1B}[K") }
    }

    private func write(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Glibc.write(STDERR_FILENO, bytes, bytes.count)
    }
}
