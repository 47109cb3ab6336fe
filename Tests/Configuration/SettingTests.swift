// The table of settings, and what follows from it.

import Apus
import ApusConfiguration
import ApusServer
import ApusStorage
import Glibc
import Logging
import Testing

@Suite struct SettingTests {
    @Test func `names are flags, keys and variables of one spelling`() {
        #expect(Set(Setting.all.map(\.name)).count == Setting.all.count)
        #expect(Setting.lineTCP.flag == "--line-tcp" && Setting.lineTCP.variable == "APUS_LINE_TCP")
        for setting in Setting.all {
            #expect(setting.name.utf8.allSatisfy { (97...122).contains($0) || $0 == 45 })
            #expect(setting.places.contains(.flag))
            #expect(setting.places.contains(.file) == !setting.example.isEmpty, "\(setting.name)")
        }
    }

    @Test func `the table in the documentation is the table of settings`() throws {
        let page = try #require(Self.page())
        #expect(
            page.contains(Setting.markdown),
            "put the output of `apus documentation settings` into docs/configuration.md:\n\(Setting.markdown)"
        )
    }

    @Test func `every example is a value of its setting`() throws {
        let text = Setting.all.filter { $0.places.contains(.file) }
            .map { "\($0.name) = \($0.example)\n" }.joined()
        let settings = try EffectiveSettings.inFile(text)
        for setting in Setting.all where setting.places.contains(.file) {
            #expect(settings[setting] != nil, "\(setting.name)")
        }
        let options = try settings.serverOptions(machineMemoryBytes: 8 << 30) { _ in "token read" }
        #expect(options.dataDirectory == "/var/lib/apus" && options.lineUDP == nil)
        #expect(options.allowedSenders.count == 2 && options.allowedHosts == ["db.example"])
        #expect(!options.store.storage.createTables && !options.store.storage.createDatabases)
        #expect(options.store.storage.durability == .interval(milliseconds: 250))
        #expect(try settings.logLevel() == .warning)
    }

    @Test func `the example file sets the directory and shows the rest`() throws {
        let settings = try EffectiveSettings.inFile(Setting.exampleFile)
        for setting in Setting.all {
            #expect(
                (settings[setting] != nil)
                    == ([Setting.data.name, Setting.config.name].contains(setting.name)))
        }
        let uncommented = Setting.exampleFile.split(separator: "\n").map { line in
            line.hasPrefix("#") && !line.hasPrefix("# ") ? line.dropFirst() : line
        }
        let all = try EffectiveSettings.inFile(uncommented.joined(separator: "\n"))
        #expect(Setting.all.allSatisfy { !$0.places.contains(.file) || all[$0] != nil })
    }

    private static func page() -> String? {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        guard let file = fopen("/\(root)/docs/configuration.md", "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
