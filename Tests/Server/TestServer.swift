// A server inside the test's process, with options no flag sets, and SQL asked of it over loopback.

import ApusServer
import ApusTestKit
import Logging
import Synchronization

/// A running server in a directory of its own, or one that another left. Stopped when released.
final class TestServer {
    let port: Int
    private let server: Server
    /// Holds the data directory, called `data`, and nothing else.
    let directory: TemporaryDirectory

    init(
        in directory: TemporaryDirectory = TemporaryDirectory(), log: LogLines? = nil,
        _ change: (inout ServerOptions) throws -> Void = { _ in }
    ) throws {
        self.directory = directory
        var options = ServerOptions()
        options.dataDirectory = directory.path + "/data"
        options.http = ListenerAddress(host: "127.0.0.1", port: 0)
        options.lineTCP = nil
        options.lineUDP = nil
        options.eventLoopThreads = 1
        try change(&options)
        server = try Server(
            options,
            logger: Logger(label: "test") { _ -> any LogHandler in
                if let log { log } else { SwiftLogNoOpLogHandler() }
            })
        port = server.httpAddress?.split(separator: ":").last.flatMap { Int($0) } ?? 0
    }

    deinit { server.stop() }

    func connect() throws -> LoopbackConnection { try LoopbackConnection(port: port) }
}

extension LoopbackConnection {
    /// A POST with the statement as the body.
    func post(_ statement: String, _ parameters: String = "") throws -> HTTPAnswer {
        try request("POST", "/sql?\(parameters)", text: statement)
    }
}

/// The lines that a server logs, kept.
struct LogLines: LogHandler {
    private final class Kept: Sendable { let lines = Mutex<[String]>([]) }

    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace
    private let kept = Kept()

    /// Each behind its level.
    var all: [String] { kept.lines.withLock { $0 } }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        kept.lines.withLock { $0.append("\(event.level) \(event.message)") }
    }
}
