// `apus serve`: the server.

import ApusConfiguration
import ApusServer
import ApusTools
import ArgumentParser
import Glibc
import Logging

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Runs the server.",
        discussion: """
            Flags win over environment variables (--line-tcp: APUS_LINE_TCP), and those over the \
            configuration file. When all listeners accept, one line goes to standard output; logs \
            go to standard error. SIGHUP reads the tokens and the log level again.

            Examples:
              apus serve --data ./apus-data
              apus serve --http 0.0.0.0:8086 --token-file tokens.txt --memory 25%
              apus serve --line-udp '0.0.0.0:8089?db=hosts' --allow 192.0.2.0/24
              apus serve --config /etc/apus/apus.toml --check-config
            """)

    @Option(name: .setting(.data), help: .setting(.data), completion: .directory)
    var data: String?

    @Option(name: .setting(.http), help: .setting(.http))
    var http: String?

    @Option(name: .setting(.lineTCP), help: .setting(.lineTCP))
    var lineTCP: String?

    @Option(name: .setting(.lineUDP), help: .setting(.lineUDP))
    var lineUDP: String?

    @Option(
        name: .setting(.durability), help: .setting(.durability),
        completion: .list(["always", "interval", "none"]))
    var durability: String?

    @Option(name: .setting(.memory), help: .setting(.memory))
    var memory: String?

    @Option(
        name: .setting(.tokenFile), help: .setting(.tokenFile), completion: .file())
    var tokenFile: String?

    @Option(name: .setting(.allow), parsing: .singleValue, help: .setting(.allow))
    var allow: [String] = []

    @Option(name: .setting(.allowHost), parsing: .singleValue, help: .setting(.allowHost))
    var allowHost: [String] = []

    @Flag(name: .setting(.allowUnauthenticated), help: .setting(.allowUnauthenticated))
    var allowUnauthenticated = false

    @Option(
        name: .setting(.createOnWrite), help: .setting(.createOnWrite),
        completion: .list(["on", "off"]))
    var createOnWrite: String?

    @Option(name: .setting(.retention), help: .setting(.retention))
    var retention: String?

    @Option(name: .setting(.acceptFuture), help: .setting(.acceptFuture))
    var acceptFuture: String?

    @Option(name: .setting(.coldAfter), help: .setting(.coldAfter))
    var coldAfter: String?

    @Option(name: .setting(.maxSeriesPerTable), help: .setting(.maxSeriesPerTable))
    var maxSeriesPerTable: String?

    @Option(name: .setting(.maxSeriesPerDatabase), help: .setting(.maxSeriesPerDatabase))
    var maxSeriesPerDatabase: String?

    @Option(name: .setting(.maxValuesPerTag), help: .setting(.maxValuesPerTag))
    var maxValuesPerTag: String?

    @Option(name: .setting(.slowQuery), help: .setting(.slowQuery))
    var slowQuery: String?

    @Option(
        name: .setting(.logLevel), help: .setting(.logLevel),
        completion: .list(["trace", "debug", "info", "notice", "warning", "error"]))
    var logLevel: String?

    @Option(
        name: .setting(.config), help: .setting(.config), completion: .file(extensions: ["toml"]))
    var config: String?

    @Flag(name: .setting(.checkConfig), help: .setting(.checkConfig))
    var checkConfig = false

    /// What was given, by the settings' names.
    private var flags: [String: [String]] {
        let texts: [(Setting, String?)] = [
            (.data, data), (.http, http), (.lineTCP, lineTCP), (.lineUDP, lineUDP),
            (.durability, durability), (.memory, memory), (.tokenFile, tokenFile),
            (.allowUnauthenticated, allowUnauthenticated ? "on" : nil),
            (.createOnWrite, createOnWrite), (.retention, retention),
            (.acceptFuture, acceptFuture), (.coldAfter, coldAfter),
            (.maxSeriesPerTable, maxSeriesPerTable),
            (.maxSeriesPerDatabase, maxSeriesPerDatabase), (.maxValuesPerTag, maxValuesPerTag),
            (.slowQuery, slowQuery), (.logLevel, logLevel), (.config, config),
        ]
        var flags: [String: [String]] = [
            Setting.allow.name: allow, Setting.allowHost.name: allowHost,
        ]
        for (setting, text) in texts { flags[setting.name] = text.map { [$0] } }
        return flags
    }

    func run() throws {
        let signals = ServeSignals()
        var reload = ServeReload(flags: flags)
        let start: ServeReload.Configuration
        do throws(OptionError) { start = try reload.read() } catch {
            throw Failure.exit(ExitCodes.usage, error.description)
        }
        let level = SharedLogLevel(start.logLevel)
        let logger = Logger(label: "apus") { _ in StandardErrorLog(level) }
        for name in reload.environment.unknown {
            logger.warning("the environment variable \(name) means nothing here")
        }
        if checkConfig {
            Failure.write(text: start.settings.report, to: STDOUT_FILENO)
            return
        }
        let notice = ServiceNotice()
        let server: Server
        do throws(ServerFault) { server = try Server(start.options, logger: logger) } catch {
            throw Failure.exit(error)
        }
        printReadyLine(server)
        notice.ready()
        while signals.next() == .reload {
            notice.reloading()
            reload.run(server: server, level: level, logger: logger)
            notice.ready()
        }
        notice.stopping()
        logger.info("stopping")
        StopWatchdog.start(finishSeconds: start.options.shutdownSeconds)
        if let failure = server.stop() {
            throw Failure.exit(
                ExitCodes.inputOutput, "the log was not synced at the end: \(failure)")
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
}

extension NameSpecification {
    fileprivate static func setting(_ setting: Setting) -> NameSpecification {
        .customLong(setting.name)
    }
}

extension ArgumentHelp {
    fileprivate static func setting(_ setting: Setting) -> ArgumentHelp {
        ArgumentHelp(
            setting.help, valueName: setting.valueName.isEmpty ? nil : setting.valueName)
    }
}
