// What the server is configured by: read at the start, and read again at SIGHUP.

import ApusConfiguration
import ApusServer
import ApusStorage
import Glibc
import Logging

struct ServeReload {
    /// All of it, checked.
    struct Configuration {
        let settings: EffectiveSettings
        let options: ServerOptions
        let logLevel: Logger.Level
    }

    /// What cannot change while the process runs.
    let flags: [String: [String]]
    let environment = Environment()
    private var current: Configuration?

    init(flags: [String: [String]]) { self.flags = flags }

    /// Reads file and tokens for the start.
    mutating func read() throws(OptionError) -> Configuration {
        let configuration = try readAll()
        current = configuration
        return configuration
    }

    /// Takes up new tokens and the log level, both or, if anything is wrong, neither.
    mutating func run(server: Server, level: SharedLogLevel, logger: Logger) {
        let new: Configuration
        do throws(OptionError) {
            new = try readAll()
            guard (new.options.tokens == nil) == (current?.options.tokens == nil) else {
                throw OptionError("beginning or ending to ask for tokens needs a restart")
            }
        } catch {
            logger.error("nothing is reloaded, all stays as it was: \(error)")
            return
        }
        if let tokens = new.options.tokens { server.replaceTokens(tokens) }
        level.level = new.logLevel
        for setting in Setting.all where !setting.isReloaded {
            if new.settings[setting]?.texts != current?.settings[setting]?.texts {
                logger.warning("\(setting.name) has changed, which needs a restart")
            }
        }
        // Warned of once, not at every reload.
        current = new
        let tokenCount = new.options.tokens.map { "\($0.count) tokens" } ?? "no tokens"
        logger.notice("reloaded: \(tokenCount), log level \(new.logLevel.rawValue)")
    }

    private func readAll() throws(OptionError) -> Configuration {
        let settings = try EffectiveSettings(
            flags: flags, environment: environment, read: TextFile.read)
        let logLevel = try settings.logLevel()
        let options = try settings.serverOptions(
            machineMemoryBytes: MachineMemory.bytes, read: TextFile.read)
        if let refusal = options.refusal() { throw OptionError(refusal) }
        return Configuration(settings: settings, options: options, logLevel: logLevel)
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
        guard ferror(file) == 0 else { throw OptionError(errnoText(errno)) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
