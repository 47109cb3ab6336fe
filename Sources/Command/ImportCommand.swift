// `apus import`: files of line protocol into a server or a directory.

import Apus
import ApusClient
import ApusIngest
import ApusStorage
import ApusTools
import ArgumentParser
import Glibc
import Synchronization

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Stores files of line protocol: plain, gzip or Zstandard.",
        usage: "apus import FILE ... [--url URL | --data DIR] [--db NAME] [OPTIONS]",
        discussion: """
            The first bytes of a file say how it is compressed, not its name. Without --url and \
            --data the lines go to \(TargetOptions.defaultURL). Good lines are stored, bad ones \
            counted, and the first of them named as FILE:LINE:COLUMN.

            The same file imported again changes nothing: the same series and time is the same \
            row. An import that broke off is resumed by starting it again. That is why a line \
            without a timestamp is rejected, unless --timestamp gives all of them one.

            If a series has the same time twice, the later line wins. Into a directory, and with \
            --connections 1, later means further down. Over several connections two bodies of \
            2 MiB that are under way at once may overtake each other.

            Exit codes: 0 every line was stored; 1 some were rejected; 64 wrong flags; 65 broken \
            compression, or a directory that is not Apus'; 66 a file that isn't there; 69 the \
            server refuses, or takes nothing for a minute; 74 I/O error; 75 another process has \
            the directory open.

            Examples:
              apus import metrics.lp.gz --db metrics
              zcat old.gz | apus import - --data ./apus-data
              apus import --dry-run *.lp
            """)

    @Argument(
        help: ArgumentHelp("Files of line protocol; - reads standard input.", valueName: "file"))
    var files: [String]

    @OptionGroup var target: TargetOptions

    @Option(help: "How many connections to a server share the work, 1 to 64.")
    var connections = 4

    @Option(help: "The unit of the timestamps: ns, us, ms, s, or auto to guess by magnitude.")
    var precision = "ns"

    @Option(
        help: ArgumentHelp(
            "The time of lines without one: now, or nanoseconds since 1970.", valueName: "time"))
    var timestamp: String?

    @Flag(help: "Only check the lines; nothing is stored and no server is needed.")
    var dryRun = false

    func validate() throws {
        guard !files.isEmpty else { throw ValidationError("name a file, or - for standard input") }
        guard files.filter({ $0 == Inputs.standardInput }).count <= 1 else {
            throw ValidationError("standard input can be read once only")
        }
        guard (1...64).contains(connections) else {
            throw ValidationError("--connections \(connections): expected 1 to 64")
        }
        _ = try reading()
    }

    private func reading() throws -> LineReading {
        var reading = LineReading()
        reading.database = target.db
        guard let unit = TimePrecision.v3(precision), !precision.isEmpty else {
            throw ValidationError("--precision \(precision): expected ns, us, ms, s or auto")
        }
        reading.precision = unit
        switch timestamp {
        case nil: break
        case "now": reading.missingTimeNanoseconds = wallClockNanoseconds()
        case let text?:
            guard let time = Int64(text) else {
                throw ValidationError(
                    "--timestamp \(text): expected now, or nanoseconds since 1970")
            }
            reading.missingTimeNanoseconds = time
        }
        return reading
    }

    func run() throws {
        var options = ImportOptions(inputs: files, target: .nowhere)
        options.reading = try reading()
        if !dryRun {
            switch try target.place() {
            case .server(let address):
                options.target = .server(address, connectionCount: connections)
            case .directory(let path):
                options.target = .directory(path, TargetOptions.storeOptions())
            }
        }
        let lineCount = Atomic(0)
        let bar = ProgressLine()
        let interruption = Interruption {
            let count = lineCount.load(ordering: .relaxed)
            bar.clear()
            Failure.report(ImportText.interrupted(lineCount: count, isStoring: !dryRun))
        }
        let report = ImportRun.run(options) { counts, byteCount, seconds in
            lineCount.store(counts.lines, ordering: .relaxed)
            bar.show { columnCount in
                ImportText.progress(
                    counts, inputByteCount: byteCount, seconds: seconds, columnCount: columnCount)
            }
        }
        interruption.finish()
        bar.clear()
        if report.failure == nil || report.counts.lines > 0 {
            for line in ImportText.summary(report, inputs: files) {
                Failure.say(line, to: STDOUT_FILENO)
            }
        }
        if let failure = report.failure { Failure.report(failure.description) }
        guard report.exitCode == 0 else { throw ExitCode(report.exitCode) }
    }
}
