import Apus
import ApusConfiguration
import ApusServer
import ApusStorage
import Testing

@Suite struct EffectiveSettingsTests {
    private static let file = """
        http = "127.0.0.1:1"
        line-tcp = "127.0.0.1:1"
        line-udp = "127.0.0.1:1"
        allow = ["192.0.2.1"]
        """

    private static func settings(
        flags: [String: [String]], variables: [String: String]
    ) throws(OptionError) -> EffectiveSettings {
        try EffectiveSettings(
            flags: flags, environment: Environment(variables), read: { _ in Self.file })
    }

    @Test func `flags win over the environment, and that over the file`() throws {
        let settings = try Self.settings(
            flags: ["http": ["127.0.0.1:3"], "config": ["f.toml"]],
            variables: [
                "APUS_HTTP": "127.0.0.1:2", "APUS_LINE_TCP": "127.0.0.1:2", "APUS_MEMORY": "",
            ])
        #expect(settings[.http]?.texts == ["127.0.0.1:3"])
        #expect(settings[.http]?.origin == .flag("--http"))
        #expect(settings[.lineTCP]?.origin == .variable("APUS_LINE_TCP"))
        #expect(settings[.lineUDP]?.origin == .file(path: "f.toml", line: 3))
        #expect(settings[.memory] == nil)
        let options = try settings.serverOptions(machineMemoryBytes: 8 << 30) { _ in "" }
        #expect(options.http?.port == 3 && options.lineTCP?.port == 2)
        #expect(options.lineUDP?.port == 1 && options.allowedSenders.count == 1)
        #expect(options.store.storage.memoryBytesMax == 2 << 30)
    }

    @Test func `a variable may name the file, and hold lists with commas`() throws {
        let settings = try Self.settings(
            flags: [:], variables: ["APUS_CONFIG": "f.toml", "APUS_ALLOW": "::1,192.0.2.0/24"])
        #expect(settings[.allow]?.texts == ["::1", "192.0.2.0/24"])
        #expect(settings[.http]?.origin == .file(path: "f.toml", line: 1))
    }

    @Test func `errors begin with where the value was given`() {
        for (flags, variables, start) in [
            (["memory": ["x"]], [:], "--memory: 'x'"),
            ([:], ["APUS_MEMORY": "x"], "APUS_MEMORY: 'x'"),
            ([:], ["APUS_ALLOW_UNAUTHENTICATED": "maybe"], "APUS_ALLOW_UNAUTHENTICATED: 'maybe'"),
        ] as [([String: [String]], [String: String], String)] {
            let error = #expect(throws: OptionError.self) {
                let settings = try Self.settings(flags: flags, variables: variables)
                _ = try settings.serverOptions(machineMemoryBytes: 8 << 30) { _ in "" }
            }
            #expect(error?.description.hasPrefix(start) == true, "\(error as Any)")
        }
    }

    @Test func `slow statements are those of more than five seconds, unless told otherwise`() throws
    {
        func limit(_ text: String?) throws -> Int64? {
            let flags = text.map { ["slow-query": [$0]] } ?? [:]
            let settings = try Self.settings(flags: flags, variables: [:])
            return try settings.serverOptions(machineMemoryBytes: 8 << 30) { _ in "" }
                .slowQueryNanoseconds
        }
        #expect(try limit(nil) == 5_000_000_000)
        #expect(try limit("off") == nil && limit("0") == nil && limit("0s") == nil)
        #expect(try limit("250ms") == 250_000_000 && limit("2") == 2_000_000_000)
        // Less than a millisecond is not off.
        #expect(try limit("500us") == 500_000 && limit("1ns") == 1)
        for wrong in ["never", "on", "5 s", "-1s", ""] {
            let error = #expect(throws: OptionError.self) { try limit(wrong) }
            #expect(error?.description.hasPrefix("--slow-query: ") == true, "\(wrong)")
        }
        let file = try EffectiveSettings.inFile("slow-query = 0")
        #expect(
            try file.serverOptions(machineMemoryBytes: 8 << 30) { _ in "" }.slowQueryNanoseconds
                == nil)
        let variable = try Self.settings(flags: [:], variables: ["APUS_SLOW_QUERY": "1ms"])
        #expect(
            try variable.serverOptions(machineMemoryBytes: 8 << 30) { _ in "" }
                .slowQueryNanoseconds == 1_000_000)
    }

    @Test func `a file that cannot be read is named`() {
        let error = #expect(throws: OptionError.self) {
            try EffectiveSettings(flags: ["config": ["/no/file"]], environment: Environment([:])) {
                _ throws(OptionError) in throw OptionError("No such file or directory")
            }
        }
        #expect(error?.description.contains("/no/file: No such file") == true)
    }

    @Test func `only variables that nobody knows are unknown`() {
        let environment = Environment([
            "APUS_DATA": "x", "APUS_TOKEN": "x", "APUS_BINARY": "x", "APUS_CONFIG": "x",
            "APUS_CHECK_CONFIG": "x", "APUS_DTA": "x",
        ])
        #expect(environment.unknown == ["APUS_CHECK_CONFIG", "APUS_DTA"])
    }

    @Test func `the report has every setting with its value and origin`() throws {
        let report = try Self.settings(
            flags: ["config": ["f.toml"]], variables: ["APUS_MEMORY": "25%"]
        ).report
        let lines = report.split(separator: "\n").map { line in
            line.split(separator: " ").map(String.init)
        }
        #expect(lines.contains(["http", "127.0.0.1:1", "f.toml:1"]))
        #expect(lines.contains(["memory", "25%", "APUS_MEMORY"]))
        #expect(lines.contains(["durability", "always", "default"]))
        #expect(lines.count == Setting.all.filter { $0.places.contains(.file) }.count)
    }
    // MARK: what holds where nothing is said

    private static func defaults(memoryGiB: Double = 8) throws -> ServerOptions {
        let settings = try EffectiveSettings(
            flags: [:], environment: Environment([:]), read: { _ in "" })
        return try settings.serverOptions(
            machineMemoryBytes: Int(memoryGiB * 1_073_741_824)
        ) { _ in "" }
    }

    @Test func `the server listens on the loopback, for HTTP, TCP and UDP, and nothing else`()
        throws
    {
        let options = try Self.defaults()
        #expect(options.http?.text == "127.0.0.1:8086")
        #expect(options.lineTCP?.text == "127.0.0.1:8094")
        #expect(options.lineUDP?.text == "127.0.0.1:8089")
        #expect(options.lineTCP?.database == "default" && options.lineUDP?.database == "default")
        #expect(options.tokens == nil && options.allowedSenders == [])
        #expect(!options.allowUnauthenticated && options.refusal() == nil)
        // What is not built is no flag.
        let names = Set(Setting.all.map(\.name))
        for name in ["pg", "graphite", "collectd", "opentsdb", "otlp"] {
            #expect(!names.contains(name), "\(name)")
        }
    }

    @Test func `writes are acknowledged once synced, kept for ever, at most a day ahead`() throws {
        let options = try Self.defaults()
        let storage = options.store.storage
        #expect(options.dataDirectory == "./apus-data")
        #expect(storage.durability == .always)
        #expect(storage.acceptFutureSeconds == 86_400)
        #expect(storage.defaultRetentionSeconds == nil)
        #expect(storage.createDatabases && storage.createTables)
        #expect(storage.partitionsPerBatchMax == 64)
        #expect(options.writeBodyBytesMax == 256 << 20)
        #expect(options.shutdownSeconds == 10)
    }

    @Test func `limits of series and values are numbers of at least one`() throws {
        func storage(_ text: String) throws -> StorageOptions {
            let settings = try EffectiveSettings(
                flags: [
                    "max-series-per-table": [text], "max-series-per-database": ["7"],
                    "max-values-per-tag": ["8"],
                ], environment: Environment([:]), read: { _ in "" })
            return try settings.serverOptions(machineMemoryBytes: 1 << 33) { _ in "" }.store.storage
        }
        let options = try storage("100_000")
        #expect(options.seriesPerTableMax == 100_000)
        #expect(options.seriesPerDatabaseMax == 7 && options.valuesPerTagMax == 8)
        for text in ["0", "-1", "many", "", "9999999999999999999999"] {
            #expect(throws: OptionError.self, "\(text)") { try storage(text) }
        }
    }

    @Test(arguments: [
        (memoryGiB: 0.5, boundMiB: 128), (1, 256), (2, 512), (8, 2_048), (15.5, 3_968),
        (16, 4_096), (17, 4_096), (64, 4_096), (1_024, 4_096),
    ])
    func `the memory is a quarter of the machine's, and at most 4 GiB`(
        memoryGiB: Double, boundMiB: Int
    ) throws {
        let options = try Self.defaults(memoryGiB: memoryGiB)
        #expect(options.store.storage.memoryBytesMax == boundMiB << 20)
        #expect(options.store.queryMemoryBytesMax == max(16, boundMiB / 4) << 20)
    }
}
