// `apus serve`: the server.

import Apus
import ApusServer
import ApusStorage
import ArgumentParser
import Glibc
import Logging

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs the server.",
        discussion: """
            Every flag has an environment variable (--line-tcp: APUS_LINE_TCP); flags win. When all \
            listeners accept, one line goes to standard output; logs go to standard error.

            Examples:
              apus serve --data ./apus-data
              apus serve --http 0.0.0.0:8086 --token-file tokens.txt --memory 25%
              apus serve --line-udp '0.0.0.0:8089?db=hosts&precision=ms' --allow 192.0.2.0/24
            """)

    @Option(help: ArgumentHelp("The data directory. (default: ./apus-data)", valueName: "dir"))
    var data: String?

    @Option(
        help: ArgumentHelp(
            "Where HTTP listens, or off. (default: 127.0.0.1:8086)", valueName: "host:port"))
    var http: String?

    @Option(
        help: ArgumentHelp(
            "Where line protocol over TCP listens, or off; ?db=NAME&precision=UNIT may follow. (default: 127.0.0.1:8094)",
            valueName: "host:port"))
    var lineTcp: String?

    @Option(
        help: ArgumentHelp(
            "Where line protocol over UDP listens, or off. (default: 127.0.0.1:8089)",
            valueName: "host:port"))
    var lineUdp: String?

    @Option(
        help: ArgumentHelp(
            "When a write is acknowledged: always (synced), interval[:ms], none. (default: always)",
            valueName: "mode"))
    var durability: String?

    @Option(
        help: ArgumentHelp(
            "Memory for heads, caches and queries: 512MiB, 2GiB, 25%. (default: a quarter of RAM, at most 4GiB)",
            valueName: "size"))
    var memory: String?

    @Option(
        help: ArgumentHelp(
            "Tokens, one a line: TOKEN read|write|admin[,…] [database,…].", valueName: "file"))
    var tokenFile: String?

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Senders that TCP and UDP take lines from; may be repeated.", valueName: "cidr"))
    var allow: [String] = []

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "A name that browsers may call this server; may be repeated.", valueName: "name"))
    var allowHost: [String] = []

    @Flag(help: "Serve everyone who can reach the listeners.")
    var allowUnauthenticated = false

    @Option(
        help: ArgumentHelp(
            "How long rows of databases made by a write are kept: 90d. (default: for ever)",
            valueName: "time"))
    var retention: String?

    @Option(
        help: ArgumentHelp(
            "Rows further ahead than this are refused; 0 takes any. (default: 1d)",
            valueName: "time"))
    var acceptFuture: String?

    @Option(
        help: ArgumentHelp(
            "trace, debug, info, notice, warning or error. (default: info)", valueName: "level"))
    var logLevel: String?

    private static let flags = [
        "data", "http", "line-tcp", "line-udp", "durability", "memory", "token-file", "allow",
        "allow-host", "allow-unauthenticated", "retention", "accept-future", "log-level",
    ]

    func run() throws {
        let signals = ServeSignals()
        let environment = Environment()
        let level = environmentOr(logLevel, "log-level", environment) ?? "info"
        guard let logLevel = Logger.Level(rawValue: level) else {
            throw Failure.exit(
                Failure.usage,
                "--log-level: '\(level)' is not trace, debug, info, notice, warning or error")
        }
        var logger = Logger(label: "apus") { _ in StandardErrorLog() }
        logger.logLevel = logLevel
        for name in environment.unknown(knownFlags: Self.flags) {
            logger.warning("the environment variable \(name) means nothing here")
        }
        let options: ServerOptions
        do throws(OptionError) { options = try self.options(environment) } catch {
            throw Failure.exit(Failure.usage, error.description)
        }
        let server: Server
        do throws(ServerFault) { server = try Server(options, logger: logger) } catch {
            throw Failure.exit(error)
        }
        printReadyLine(server)
        signals.waitForStop()
        logger.info("stopping")
        StopWatchdog.start(seconds: options.shutdownSeconds)
        if let failure = server.stop() {
            throw Failure.exit(Failure.inputOutput, "the log was not synced at the end: \(failure)")
        }
        logger.info("stopped")
    }

    private func printReadyLine(_ server: Server) {
        var line = "apus ready"
        line += " http=\(server.httpAddress ?? "off")"
        line += " line-tcp=\(server.lineTCPAddress ?? "off")"
        line += " line-udp=\(server.lineUDPAddress ?? "off")"
        line += " data=\(server.dataDirectory)"
        Failure.write(line: line, to: STDOUT_FILENO)
    }

    // MARK: options

    private func environmentOr(_ flag: String?, _ name: String, _ environment: Environment)
        -> String?
    {
        flag ?? environment.value(ofFlag: name)
    }

    private func options(_ environment: Environment) throws(OptionError) -> ServerOptions {
        var options = ServerOptions()
        if let text = environmentOr(data, "data", environment) { options.dataDirectory = text }
        if let text = environmentOr(http, "http", environment) {
            options.http = try named("--http") { () throws(OptionError) in
                try OptionText.listener(text)
            }
        }
        if let text = environmentOr(lineTcp, "line-tcp", environment) {
            options.lineTCP = try named("--line-tcp") { () throws(OptionError) in
                try OptionText.listener(text, takesQuery: true)
            }
        }
        if let text = environmentOr(lineUdp, "line-udp", environment) {
            options.lineUDP = try named("--line-udp") { () throws(OptionError) in
                try OptionText.listener(text, takesQuery: true)
            }
        }
        options.allowUnauthenticated =
            allowUnauthenticated
            || ["1", "true", "yes", "on"].contains(
                environment.value(ofFlag: "allow-unauthenticated") ?? "")
        let ranges = allow.isEmpty ? list("allow", environment) : allow
        for text in ranges {
            options.allowedSenders.append(
                try named("--allow") { () throws(OptionError) in try AddressRange(text) })
        }
        options.allowedHosts = allowHost.isEmpty ? list("allow-host", environment) : allowHost
        if let path = environmentOr(tokenFile, "token-file", environment) {
            options.tokens = try named("--token-file \(path)") { () throws(OptionError) in
                try TokenTable(text: try TextFile.read(path))
            }
        }
        try storageOptions(environment, &options.store.storage)
        options.store.queryMemoryBytesMax = max(16 << 20, options.store.storage.memoryBytesMax / 4)
        return options
    }

    private func storageOptions(
        _ environment: Environment, _ storage: inout StorageOptions
    ) throws(OptionError) {
        let machine = MachineMemory.bytes
        storage.memoryBytesMax = min(machine / 4, 4 << 30)
        if let text = environmentOr(memory, "memory", environment) {
            storage.memoryBytesMax = try named("--memory") { () throws(OptionError) in
                try OptionText.bytes(text, whole: machine)
            }
            guard storage.memoryBytesMax >= 32 << 20 else {
                throw OptionError("--memory: at least 32MiB are needed")
            }
        }
        if let text = environmentOr(durability, "durability", environment) {
            storage.durability = try named("--durability") { () throws(OptionError) in
                try OptionText.durability(text)
            }
        }
        if let text = environmentOr(retention, "retention", environment) {
            let milliseconds = try named("--retention") { () throws(OptionError) in
                try OptionText.milliseconds(text)
            }
            storage.defaultRetentionSeconds = milliseconds == 0 ? nil : max(1, milliseconds / 1_000)
        }
        if let text = environmentOr(acceptFuture, "accept-future", environment) {
            let milliseconds = try named("--accept-future") { () throws(OptionError) in
                try OptionText.milliseconds(text)
            }
            storage.acceptFutureSeconds = milliseconds == 0 ? 0 : max(1, milliseconds / 1_000)
        }
    }

    private func list(_ flag: String, _ environment: Environment) -> [String] {
        environment.value(ofFlag: flag)?.split(separator: ",").map(String.init) ?? []
    }

    /// Puts the flag's name in front of what is wrong with its value.
    private func named<Value>(
        _ flag: String, _ body: () throws(OptionError) -> Value
    ) throws(OptionError) -> Value {
        do throws(OptionError) { return try body() } catch {
            throw OptionError("\(flag): \(error.description)")
        }
    }
}

/// Small text files.
enum TextFile {
    static func read(_ path: String) throws(OptionError) -> String {
        guard let file = fopen(path, "re") else { throw OptionError(errnoText(errno)) }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = fread(&piece, 1, piece.count, file)
            if count == 0 { break }
            bytes += piece[..<count]
            guard bytes.count <= 4 << 20 else { throw OptionError("larger than 4 MiB") }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
