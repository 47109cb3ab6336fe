// Statements from flags, a file or a pipe, one after the other; the first that fails is the last.

internal import Glibc

package struct ScriptRunner {
    private let session: Session
    private var splitter = StatementSplitter()

    package init(_ session: Session) { self.session = session }

    /// Runs what is in a text, to its end.
    package mutating func run(_ text: String) -> Outcome {
        let outcome = feed(text)
        return outcome == .done ? finish() : outcome
    }

    /// Runs statements as they come in, line by line.
    ///
    /// - Returns: nil if the descriptor cannot be read; `errno` tells why.
    package mutating func run(descriptor: Int32) -> Outcome? {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            if count == 0 { break }
            line += buffer[..<count]
            // Cut at a line's end, so that no character is cut.
            guard let end = line.lastIndex(of: 0x0A) else { continue }
            let outcome = feed(String(decoding: line[...end], as: UTF8.self))
            line.removeFirst(end + 1)
            guard outcome == .done else { return outcome }
        }
        return run(String(decoding: line, as: UTF8.self))
    }

    private mutating func feed(_ text: String) -> Outcome {
        for item in splitter.feed(text) {
            let outcome = run(item)
            guard outcome == .done else { return outcome }
        }
        return .done
    }

    private mutating func finish() -> Outcome { splitter.finish().map { run($0) } ?? .done }

    private func run(_ item: ScriptItem) -> Outcome {
        switch item {
        case .statement(let statement): session.execute(statement)
        // `\q` in a script ends it as the end of the file would: quietly, so nothing is left to do.
        case .command(let line): session.carryOut(ShellCommand(line)) ?? .outputClosed
        }
    }
}
