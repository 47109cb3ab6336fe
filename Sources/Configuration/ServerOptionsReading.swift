// Settings as texts become the server's options. Whatever place a text came from, it is read by
// the same code, and what is wrong with it begins with that place.

internal import Apus
package import ApusServer
internal import ApusStorage
package import Logging

extension EffectiveSettings {
    /// - Parameter read: the text of a file, for the token file.
    package func serverOptions(
        machineMemoryBytes: Int, read: (String) throws(OptionError) -> String
    ) throws(OptionError) -> ServerOptions {
        var options = ServerOptions()
        try value(.data) { text throws(OptionError) in options.dataDirectory = text }
        try value(.http) { text throws(OptionError) in
            options.http = try OptionText.listener(text)
        }
        try value(.lineTCP) { text throws(OptionError) in
            options.lineTCP = try OptionText.listener(text, takesQuery: true)
        }
        try value(.lineUDP) { text throws(OptionError) in
            options.lineUDP = try OptionText.listener(text, takesQuery: true)
        }
        try value(.allow) { text throws(OptionError) in
            options.allowedSenders.append(try AddressRange(text))
        }
        try value(.allowHost) { text throws(OptionError) in options.allowedHosts.append(text) }
        try value(.allowUnauthenticated) { text throws(OptionError) in
            options.allowUnauthenticated = try OptionText.isOn(text)
        }
        try value(.slowQuery) { text throws(OptionError) in
            let nanoseconds = text == "off" ? 0 : try OptionText.nanoseconds(text)
            options.slowQueryNanoseconds = nanoseconds == 0 ? nil : nanoseconds
        }
        options.tokens = try tokens(read: read)
        options.store.bound(memoryBytes: try memoryBytes(ofMachine: machineMemoryBytes))
        try readStorage(&options.store.storage)
        return options
    }

    package func tokens(
        read: (String) throws(OptionError) -> String
    ) throws(OptionError) -> TokenTable? {
        var tokens: TokenTable?
        try value(.tokenFile) { path throws(OptionError) in
            do throws(OptionError) { tokens = try TokenTable(text: try read(path)) } catch {
                throw OptionError("\(path): \(error.description)")
            }
        }
        return tokens
    }

    package func logLevel() throws(OptionError) -> Logger.Level {
        var level = Logger.Level.info
        try value(.logLevel) { text throws(OptionError) in
            guard let known = Logger.Level(rawValue: text) else {
                throw OptionError(
                    "'\(text)' is not trace, debug, info, notice, warning or error")
            }
            level = known
        }
        return level
    }

    private func memoryBytes(ofMachine machineBytes: Int) throws(OptionError) -> Int {
        var bytes = StoreOptions.memoryBytes(ofMachine: machineBytes)
        try value(.memory) { text throws(OptionError) in
            bytes = try OptionText.bytes(text, whole: machineBytes)
            guard bytes >= 32 << 20 else { throw OptionError("at least 32MiB are needed") }
        }
        return bytes
    }

    private func readStorage(_ storage: inout StorageOptions) throws(OptionError) {
        try value(.durability) { text throws(OptionError) in
            storage.durability = try OptionText.durability(text)
        }
        try value(.createOnWrite) { text throws(OptionError) in
            storage.createDatabases = try OptionText.isOn(text)
            storage.createTables = storage.createDatabases
        }
        try value(.retention) { text throws(OptionError) in
            let milliseconds = try OptionText.milliseconds(text)
            storage.defaultRetentionSeconds = milliseconds == 0 ? nil : max(1, milliseconds / 1_000)
        }
        try value(.acceptFuture) { text throws(OptionError) in
            let milliseconds = try OptionText.milliseconds(text)
            storage.acceptFutureSeconds = milliseconds == 0 ? 0 : max(1, milliseconds / 1_000)
        }
        try value(.coldAfter) { text throws(OptionError) in
            guard text != "never" else {
                storage.coldAfterSeconds = nil
                return
            }
            let milliseconds = try OptionText.milliseconds(text)
            storage.coldAfterSeconds = milliseconds == 0 ? 0 : max(1, milliseconds / 1_000)
        }
        try count(.maxSeriesPerTable, into: &storage.seriesPerTableMax)
        try count(.maxSeriesPerDatabase, into: &storage.seriesPerDatabaseMax)
        try count(.maxValuesPerTag, into: &storage.valuesPerTagMax)
    }

    private func count(_ setting: Setting, into limit: inout Int) throws(OptionError) {
        var chosen = limit
        try value(setting) { text throws(OptionError) in
            guard let number = Int(text.filter { $0 != "_" }), number > 0 else {
                throw OptionError("\(text) is not a number of at least 1")
            }
            chosen = number
        }
        limit = chosen
    }

    /// Calls `body` for every text of a setting, and puts its place in front of what is wrong.
    private func value(
        _ setting: Setting, _ body: (String) throws(OptionError) -> Void
    ) throws(OptionError) {
        guard let choice = self[setting] else { return }
        // Of a flag given twice the last one counts, unless it is a list.
        for text in setting.kind == .list ? choice.texts : choice.texts.suffix(1) {
            do throws(OptionError) { try body(text) } catch {
                var place = choice.origin.description
                if case .file = choice.origin { place += ": \(setting.name)" }
                throw OptionError("\(place): \(error.description)")
            }
        }
    }
}
