// A session on a terminal: prompt, statement, answer, until Ctrl-D or `\q`.

internal import Glibc

package struct Shell {
    private let session: Session
    private let history: History
    private let reader = LineReader(input: STDIN_FILENO, output: STDOUT_FILENO)

    package init(_ session: Session, history: History) {
        self.session = session
        self.history = history
    }

    /// - Parameter listsFirst: show what there is before the first prompt.
    package func run(listsFirst: Bool) -> Outcome {
        if listsFirst {
            let outcome = session.reporting { try Listing(session).showTables(of: nil) }
            guard outcome != .unreachable, outcome != .failed else { return outcome }
        }
        while true {
            let prompt = "\(DisplayWidth.printable(session.database))=> "
            let indent = DisplayWidth.columns(of: prompt) - 3
            let line = reader.read(
                prompt: prompt, continuation: String(repeating: " ", count: indent) + "-> ",
                history: history.entries, isComplete: { Self.isComplete($0) },
                complete: { session.complete($0, after: $1, interrupt: $2) })
            switch line {
            case .end: return .done
            case .discarded: continue
            case .text(let text):
                history.add(text)
                if let outcome = run(text) { return outcome }
            }
        }
    }

    /// Whether nothing of a statement is left open: each has its `;`, or is a backslash command.
    package static func isComplete(_ text: String) -> Bool {
        var splitter = StatementSplitter()
        _ = splitter.feed(text + "\n")
        return splitter.openPlace == .start
    }

    /// Runs all that was typed; an outcome means the session's end.
    private func run(_ text: String) -> Outcome? {
        var splitter = StatementSplitter()
        for item in splitter.feed(text + "\n") {
            let outcome: Outcome
            switch item {
            case .statement(let statement): outcome = session.execute(statement)
            case .command(let line):
                guard let result = session.carryOut(ShellCommand(line)) else { return .done }
                outcome = result
            }
            switch outcome {
            case .done: continue
            // The rest of the line was meant to follow a success.
            case .failed, .unreachable, .interrupted: return nil
            case .outputClosed, .outputFailed: return outcome
            }
        }
        return nil
    }
}
