// `apus collect`: this host's numbers, pushed as line protocol.

import ApusClient
import ApusCollect
import ApusTools
import ArgumentParser
import Glibc

struct CollectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collect",
        abstract: "Reads this host and pushes its numbers as line protocol.",
        usage: "apus collect [--url URL] [--interval TIME] [--db NAME] [OPTIONS]",
        discussion: """
            Processors, memory, swap, disks, disk I/O, network, load and kernel counters, under \
            the measurement and field names of Telegraf, with the tag host. Samples are taken at \
            full multiples of the interval. While the server cannot be reached the last 60 are \
            kept and sent later.

            Example:
              apus collect --url http://127.0.0.1:8086 --interval 1s --tag region=eu
            """)

    @Option(help: "Where the server listens: http://HOST:PORT, with a path prefix if need be.")
    var url = TargetOptions.defaultURL

    @Option(help: ArgumentHelp("The time between two samples, 100ms to 1h.", valueName: "time"))
    var interval = "1s"

    @Option(help: ArgumentHelp("The database written to.", valueName: "name"))
    var db = "default"

    @Option(
        name: .customLong("tag"), parsing: .singleValue,
        help: ArgumentHelp(
            "A tag for every line; may be repeated, and host=NAME replaces the machine's name.",
            valueName: "k=v"))
    var tags: [String] = []

    @Option(help: "The token for a server that wants one; APUS_TOKEN keeps it out of sight.")
    var token: String?

    @Flag(help: "Send one sample and exit.")
    var once = false

    func validate() throws {
        _ = try options()
    }

    func run() throws {
        let options = try options()
        var collector = try Collector(options: options) { line in
            Self.log(line)
        }
        if once {
            do throws(ExchangeFailure) {
                try collector.once()
                // For whoever tries it by hand; a script goes by the exit code.
                if Terminal.isTerminal(STDERR_FILENO) {
                    Self.log("one sample is stored in database \(db)")
                }
            } catch {
                Self.log("\(options.url): \(error)")
                throw ExitCode(EX_UNAVAILABLE)
            }
        } else if !collector.run() {
            Self.log("no thread could be started")
            throw ExitCode(EX_OSERR)
        }
    }

    private func options() throws -> CollectorOptions {
        var options = CollectorOptions()
        options.url = url
        options.database = db
        options.token = TargetOptions.token(given: token)
        guard let nanoseconds = IntervalText.nanoseconds(interval) else {
            throw ValidationError("--interval \(interval): expected 100ms to 1h, like 500ms or 1m")
        }
        options.intervalNanoseconds = nanoseconds
        options.tags = try tags.map { text in
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                throw ValidationError("--tag \(text): expected key=value")
            }
            return Metric.Tag(String(parts[0]), String(parts[1]))
        }
        do throws(ServerAddressError) {
            _ = try WriteTarget(url: url, database: db, token: options.token)
        } catch {
            throw ValidationError(error.description)
        }
        return options
    }

    /// One line to standard error, written at once so that lines of two threads don't mix.
    private static func log(_ line: String) {
        let bytes = Array("apus collect: \(line)\n".utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }
}
