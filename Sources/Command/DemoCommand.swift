// `apus demo`: a simulated hypervisor cluster, pushed as line protocol.

import ApusClient
import ApusServer
import ApusTools
import ArgumentParser
import Glibc

struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Pushes a simulated hypervisor cluster, to try things out.",
        usage: "apus demo [--url URL] [--db NAME] [--history TIME] [--once] [OPTIONS]",
        discussion: """
            Twenty hosts and three hundred virtual machines that are born, move and die, sampled \
            every ten seconds into the tables host, vm, vm_event and storage: first the history, \
            then live until Ctrl-C. The same seed and end give the same rows.

            Examples:
              apus demo --url http://127.0.0.1:8086
              apus demo --once --history 24h --db lab
            """)

    @Option(help: "Where the server listens: http://HOST:PORT, with a path prefix if need be.")
    var url = TargetOptions.defaultURL

    @Option(help: ArgumentHelp("The database written to.", valueName: "name"))
    var db = "demo"

    @Option(help: "The token for a server that wants one; APUS_TOKEN keeps it out of sight.")
    var token: String?

    @Option(help: ArgumentHelp("How much history to make up, up to 30d.", valueName: "time"))
    var history = "1h"

    @Option(
        help: ArgumentHelp(
            "Where the history ends, in seconds since 1970 UTC. (default: now)", valueName: "time"))
    var until: Int64?

    @Option(help: ArgumentHelp("Another cluster.", valueName: "number"))
    var seed: UInt64 = 1

    @Flag(help: "Send the history and exit.")
    var once = false

    func validate() throws {
        _ = (try span(), try address())
    }

    func run() throws {
        let span = try span()
        var cluster = DemoCluster(seed: seed, startNanoseconds: span.lowerBound)
        var feed = DemoFeed(to: try address(), database: db)
        let line = ProgressLine()
        do throws(ExchangeFailure) {
            let rowCount = try feed.sendHistory(of: &cluster, until: span.upperBound) { rowCount in
                line.show("sending the history  \(Quantity.things(rowCount, "row"))")
            }
            line.clear()
            Failure.say(
                "\(Quantity.things(rowCount, "row")) of history are stored in database \(db)",
                to: STDERR_FILENO)
        } catch {
            line.clear()
            throw Failure.exit(ExitCodes.unavailable, "\(url): \(error.description)")
        }
        guard !once else { return }
        while true {
            do throws(ExchangeFailure) { try feed.sendNext(of: &cluster) } catch {
                // The cluster goes on, and so does the feed: the next sample may get through.
                Failure.report("\(url): \(error.description)")
            }
        }
    }

    /// The history's nanoseconds.
    private func span() throws -> Range<Int64> {
        guard let milliseconds = try? OptionText.milliseconds(history),
            case let historySeconds = Int64(milliseconds / 1_000),
            (1...30 * 86_400).contains(historySeconds)
        else {
            throw ValidationError("--history \(history): expected a time up to 30d, like 1h or 90m")
        }
        let end = until ?? Int64(time(nil))
        guard (100_000_000...9_000_000_000).contains(end) else {
            throw ValidationError("--until \(end): expected seconds since 1970")
        }
        return (end - historySeconds) * 1_000_000_000..<end * 1_000_000_000
    }

    private func address() throws -> ServerAddress {
        do throws(ServerAddressError) {
            return try ServerAddress(
                url: url, token: TargetOptions.token(given: token),
                agent: "apus-demo")
        } catch {
            throw ValidationError(error.description)
        }
    }
}
