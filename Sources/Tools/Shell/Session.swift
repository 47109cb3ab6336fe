// One person's, or one script's, dealings with a source: runs a statement and shows the answer.

internal import ApusQuery
internal import ApusStorage

package enum OutputFormat: String, Sendable, CaseIterable {
    case table, csv, json, ndjson
}

/// What became of a statement.
package enum Outcome: Equatable, Sendable {
    case done
    /// Reported; the next statement may do better.
    case failed
    /// Reported; the next statement would not do better.
    case unreachable
    case interrupted
    /// Whoever read the output has gone.
    case outputClosed
    case outputFailed(code: Int32)
}

/// The way to a person: where answers and messages go, and what is known of the screen.
package struct Console {
    package var output: any ByteOutput
    package var errors: any ByteOutput
    /// Asked anew for each answer, since windows change; nil where the output is no terminal.
    package var terminalSize: () -> TerminalSize?
    /// Nil for none.
    package var pagerCommand: String?

    package init(
        output: any ByteOutput, errors: any ByteOutput,
        terminalSize: @escaping () -> TerminalSize? = { nil }, pagerCommand: String? = nil
    ) {
        self.output = output
        self.errors = errors
        self.terminalSize = terminalSize
        self.pagerCommand = pagerCommand
    }

    /// A message; nothing can be done if it doesn't arrive.
    package func complain(_ text: String) { try? errors.write(Array(text.utf8)[...]) }

    package func say(_ text: String) throws { try output.write(Array(text.utf8)[...]) }
}

package final class Session {
    package let source: any StatementSource
    package let console: Console
    package let interrupts: Interrupts?
    package var database = "default"
    package var format = OutputFormat.table
    package var isExpanded = false
    package var isTimed = false
    package var nullText = "NULL"

    package init(source: any StatementSource, console: Console, interrupts: Interrupts? = nil) {
        self.source = source
        self.console = console
        self.interrupts = interrupts
    }

    private var interruptDescriptor: Int32 { interrupts?.descriptor ?? -1 }

    // MARK: statements

    /// Runs a statement and shows its answer, or why there is none.
    package func execute(_ statement: String) -> Outcome {
        interrupts?.clear()
        defer { interrupts?.clear() }
        do {
            switch format {
            case .table: try showTable(statement)
            case .csv: try passThrough(statement, .csv)
            case .json: try passThrough(statement, .json)
            case .ndjson: try passThrough(statement, .ndjson)
            }
            return .done
        } catch {
            return report(error, statement: statement)
        }
    }

    private func report(_ error: any Error, statement: String) -> Outcome {
        switch error {
        case StatementFault.refused(let refusal):
            console.complain(ErrorReport.text(refusal, statement: statement))
            return .failed
        case StatementFault.unreachable(let reason):
            console.complain("error: \(reason)\n")
            return .unreachable
        case StatementFault.broken(let reason):
            console.complain("error: \(reason); what was shown is not the whole answer\n")
            return .failed
        case StatementFault.interrupted:
            console.complain("cancelled\n")
            return .interrupted
        case OutputFault.closed: return .outputClosed
        case OutputFault.failed(let code): return .outputFailed(code: code)
        default:
            console.complain("error: \(error)\n")
            return .failed
        }
    }

    // MARK: tables

    private func showTable(_ statement: String) throws {
        var style = PrintStyle()
        style.isExpanded = isExpanded
        style.terminal = console.terminalSize()
        style.nullText = nullText
        let paging = Paging(console: console, terminal: style.terminal)
        let answer = TableAnswer(AnswerPrinter(style: style) { paging.output(linesAtLeast: $0) })
        let started = monotonicNanoseconds()
        do {
            try source.run(
                statement, database: database, format: .json, nonFinite: .text,
                interrupt: interruptDescriptor
            ) { try answer.take($0) }
            let elapsed = monotonicNanoseconds() &- started
            try answer.finish(footers: isTimed ? [timing(elapsed, answer.summary)] : [])
        } catch {
            // What has come stays visible below the message's feet.
            if error is StatementFault { try? answer.finish(footers: []) }
            paging.close()
            if paging.wasLeft(error) { return }
            throw error
        }
        paging.close()
        for warning in answer.summary.warnings { console.complain("warning: \(warning)\n") }
        if let error = answer.summary.error { throw StatementFault.refused(error) }
        guard answer.summary.isComplete else { throw StatementFault.broken("the answer was cut") }
    }

    private func timing(_ elapsedNanoseconds: Int64, _ summary: AnswerSummary) -> String {
        let microseconds = elapsedNanoseconds / 1_000
        let tenths = (microseconds + 50) / 100
        let server = summary.elapsedMilliseconds.map { " (server \($0) ms)" } ?? ""
        return "Time: \(tenths / 10).\(tenths % 10) ms\(server)"
    }

    // MARK: other formats

    /// The source's bytes as they are; an error within them is reported too.
    private func passThrough(_ statement: String, _ format: ResultFormat) throws {
        let watch = ErrorWatch(format: format)
        let output = console.output
        try source.run(
            statement, database: database, format: format, nonFinite: .null,
            interrupt: interruptDescriptor
        ) { piece in
            try watch.take(piece)
            try output.write(piece)
        }
        for warning in watch.warnings { console.complain("warning: \(warning)\n") }
        if let error = watch.error { throw StatementFault.refused(error) }
    }

    // MARK: small answers

    /// A short answer's rows; nil stands for NULL.
    ///
    /// - Parameter interrupt: in place of the session's own; see `StatementSource`.
    package func rows(
        of statement: String, database: String, interrupt: Int32? = nil
    ) throws -> [[String?]] {
        let answer = CollectedAnswer()
        try source.run(
            statement, database: database, format: .json, nonFinite: .null,
            interrupt: interrupt ?? interruptDescriptor
        ) { try answer.take($0) }
        if let error = answer.summary.error { throw StatementFault.refused(error) }
        return answer.rows
    }

    /// Shows rows of our own making as a table.
    package func show(_ columns: [AnswerColumn], _ rows: [[String?]], footer: String?) throws {
        var style = PrintStyle()
        style.terminal = console.terminalSize()
        style.nullText = ""
        let paging = Paging(console: console, terminal: style.terminal)
        var printer = AnswerPrinter(style: style) { paging.output(linesAtLeast: $0) }
        do {
            printer.begin(columns)
            for row in rows { try printer.append(AnswerRow(row)) }
            try printer.finish(AnswerSummary(), footers: footer.map { [$0] } ?? [])
        } catch {
            paging.close()
            if paging.wasLeft(error) { return }
            throw error
        }
        paging.close()
    }

    /// The outcome of a piece of work that talks to the source by itself.
    package func reporting(_ statement: String = "", _ body: () throws -> Void) -> Outcome {
        interrupts?.clear()
        defer { interrupts?.clear() }
        do {
            try body()
            return .done
        } catch {
            return report(error, statement: statement)
        }
    }
}

/// Chooses between the output and a pager, once the length of an answer is known.
private final class Paging {
    private let console: Console
    private let terminal: TerminalSize?
    private var pager: Pager?

    init(console: Console, terminal: TerminalSize?) {
        self.console = console
        self.terminal = terminal
    }

    func output(linesAtLeast: Int) -> any ByteOutput {
        guard let terminal, linesAtLeast > terminal.rows, let command = console.pagerCommand,
            let pager = Pager(command: command)
        else { return console.output }
        self.pager = pager
        return pager
    }

    func close() { pager?.close() }

    /// Leaving the pager before the answer's end is no failure.
    func wasLeft(_ error: any Error) -> Bool { pager != nil && error as? OutputFault == .closed }
}

private final class TableAnswer {
    private var reader = AnswerReader()
    private var printer: AnswerPrinter

    init(_ printer: AnswerPrinter) { self.printer = printer }

    var summary: AnswerSummary { reader.summary }
    func take(_ piece: ArraySlice<UInt8>) throws { try reader.feed(piece, into: &printer) }
    func finish(footers: [String]) throws { try printer.finish(summary, footers: footers) }
}

private final class CollectedAnswer {
    private struct Sink: AnswerSink {
        var rows: [[String?]] = []

        mutating func begin(_ columns: [AnswerColumn]) {}
        mutating func append(_ row: AnswerRow) { rows.append(row.texts) }
    }

    private var reader = AnswerReader()
    private var sink = Sink()

    var summary: AnswerSummary { reader.summary }
    var rows: [[String?]] { sink.rows }
    func take(_ piece: ArraySlice<UInt8>) throws { try reader.feed(piece, into: &sink) }
}
