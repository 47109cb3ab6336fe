// `apus export`: tables and answers as line protocol or CSV.

import Apus
import ApusClient
import ApusStorage
import ApusTools
import ArgumentParser
import Glibc

extension ExportOptions.Format: ExpressibleByArgument {}

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Writes a table, a database or the answer to a query as line protocol or CSV.",
        discussion: """
            Without --url and --data a server at \(TargetOptions.defaultURL) is asked. Without a \
            table every table of the database is written, one after the other. Line protocol keeps \
            types, tags and fields: imported into an empty directory it gives the same answers. \
            Rows come as they lie: day by day where they were flushed, within that by series.

            A file named by -o is there whole or not at all; .gz and .zst at the end of its name \
            compress it. Of a query the column time becomes the time, numbers and booleans fields, \
            strings tags, but for those that --field names.

            What line protocol cannot write (NaN, infinities, names that end in a backslash) is \
            left out and counted on standard error. If a damaged file was set aside, nothing is \
            exported unless --lenient is given.

            Exit codes: 0; 64 wrong flags, a table or column that isn't there, a wrong statement; \
            65 damage, or a directory that is not Apus'; 66 a directory that isn't there; 69 the \
            server refuses or is gone; 74 I/O error; 75 another process has the directory open.

            Examples:
              apus export cpu --db metrics --from 2026-01-01 --to 2026-02-01 -o cpu.lp.zst
              apus export --data ./apus-data --db metrics | gzip > metrics.lp.gz
              apus export --format csv --query "SELECT avg(usage) FROM cpu" -o avg.csv
            """)

    @Argument(help: "The table; without one, and without --query, all tables of the database.")
    var table: String?

    @OptionGroup var target: TargetOptions

    @Option(help: "A SELECT whose answer is written instead of a table.")
    var query: String?

    @Option(help: "lp (line protocol) or csv.")
    var format = ExportOptions.Format.lineProtocol

    @Option(
        help: ArgumentHelp(
            "Rows at or after a time, like 2026-01-01T00:00:00Z, or nanoseconds since 1970.",
            valueName: "time"))
    var from: String?

    @Option(help: ArgumentHelp("Rows before a time.", valueName: "time"))
    var to: String?

    @Option(
        name: .customLong("where"),
        help: ArgumentHelp("Rows that a condition of SQL holds for.", valueName: "condition"))
    var condition: String?

    @Option(
        name: .customLong("as"),
        help: ArgumentHelp("What a query's rows are called in line protocol.", valueName: "name"))
    var measurement: String?

    @Option(
        name: .customLong("field"), parsing: .singleValue,
        help: ArgumentHelp(
            "A string of a query that is a field, not a tag; may be repeated.", valueName: "name"))
    var fields: [String] = []

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("The file; standard output without.", valueName: "file"))
    var output: String?

    @Flag(help: "Export the rest where a damaged file was set aside.")
    var lenient = false

    func validate() throws {
        if query != nil {
            guard table == nil, from == nil, to == nil, condition == nil else {
                throw ValidationError("--query says all: no table, --from, --to or --where with it")
            }
            if format == .lineProtocol, measurement == nil {
                throw ValidationError(
                    "--query as line protocol needs a name for its rows: --as NAME")
            }
        } else if measurement != nil || !fields.isEmpty {
            throw ValidationError("--as and --field go with --query")
        }
        if table == nil, query == nil, format == .csv {
            throw ValidationError("csv holds one table: name it")
        }
        if output?.isEmpty ?? false { throw ValidationError("-o: the name is empty") }
    }

    private var subject: ExportOptions.Subject {
        if let query { return .query(query, measurement: measurement, fields: fields) }
        return table.map { .table($0) } ?? .database
    }

    func run() throws {
        var options = ExportOptions(subject: subject, format: format)
        options.database = target.db
        options.from = from
        options.to = to
        options.condition = condition
        options.outputPath = output
        options.isStrict = !lenient
        let place = try target.place()
        let line = ProgressLine()
        let outputPath = output
        let interruption = Interruption {
            // Where the file system has no files without a name.
            if let outputPath { unlink(outputPath + ".new") }
            line.clear()
            Failure.report(outputPath == nil ? "interrupted" : "interrupted; nothing was written")
        }
        // Rows on the terminal are progress enough.
        let isQuiet = output == nil && Terminal.isTerminal(STDOUT_FILENO)
        do throws(TransferFailure) {
            let report = try Self.export(options, place) { byteCount in
                if !isQuiet { line.show(ExportText.progress(byteCount: byteCount)) }
            }
            interruption.finish()
            line.clear()
            Self.say(report)
        } catch {
            interruption.finish()
            line.clear()
            throw Failure.exit(error)
        }
    }

    private static func export(
        _ options: ExportOptions, _ place: TargetOptions.Place, progress: @escaping (Int) -> Void
    ) throws(TransferFailure) -> ExportReport {
        switch place {
        case .server(let address):
            return try ExportRun.run(options, from: .server(address), progress: progress)
        case .directory(let path):
            let store = try StoreDirectory.open(
                path, create: false, options: TargetOptions.storeOptions())
            let report: ExportReport
            do throws(TransferFailure) {
                report = try ExportRun.run(options, from: .store(store), progress: progress)
            } catch {
                // What was wrong comes first; closing can only add to it.
                try? StoreDirectory.close(store)
                throw error
            }
            try StoreDirectory.close(store)
            return report
        }
    }

    /// To standard error: standard output may be the export.
    private static func say(_ report: ExportReport) {
        for line in ExportText.summary(report) { Failure.say(line, to: STDERR_FILENO) }
    }
}
