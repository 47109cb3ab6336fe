import Apus
import ApusIngest
import ApusQuery
import ApusServer
import ApusStorage
import NIOHTTP1
import Testing

@Suite struct `Options` {
    @Test func `a listener's address is host and port, with a database where lines come in`() throws
    {
        let plain = try #require(try OptionText.listener("127.0.0.1:8086"))
        #expect(plain.host == "127.0.0.1" && plain.port == 8086 && plain.isLoopback)
        let six = try #require(try OptionText.listener("[::1]:0"))
        #expect(six.host == "::1" && six.text == "[::1]:0" && six.isLoopback)
        let every = try #require(try OptionText.listener(":80"))
        #expect(every.host == "0.0.0.0" && !every.isLoopback)
        let lines = try #require(
            try OptionText.listener("localhost:1?db=x&precision=ms", takesQuery: true))
        #expect(lines.database == "x" && lines.precision == .milliseconds && lines.isLoopback)
        #expect(try OptionText.listener("off") == nil)
    }

    @Test(arguments: ["", "localhost", "localhost:", "h:65536", "::1:80", "h:80?db=x"])
    func `other addresses are refused`(_ text: String) {
        #expect(throws: OptionError.self) { try OptionText.listener(text) }
    }

    @Test func `sizes know binary units and percent`() throws {
        #expect(try OptionText.bytes("1024", whole: 0) == 1_024)
        #expect(try OptionText.bytes("64KiB", whole: 0) == 64 << 10)
        #expect(try OptionText.bytes("512MiB", whole: 0) == 512 << 20)
        #expect(try OptionText.bytes("2GiB", whole: 0) == 2 << 30)
        #expect(try OptionText.bytes("1.5g", whole: 0) == 3 << 29)
        #expect(try OptionText.bytes("25%", whole: 400) == 100)
        #expect(throws: OptionError.self) { try OptionText.bytes("5 apples", whole: 1) }
        #expect(throws: OptionError.self) { try OptionText.bytes("99999999TiB", whole: 1) }
    }

    @Test func `durations know units from ns to years`() throws {
        #expect(try OptionText.milliseconds("10s") == 10_000)
        #expect(try OptionText.milliseconds("90d") == 7_776_000_000)
        #expect(try OptionText.milliseconds("250ms") == 250)
        #expect(try OptionText.milliseconds("3") == 3_000)
        #expect(throws: OptionError.self) { try OptionText.milliseconds("soon") }
        #expect(throws: OptionError.self) { try OptionText.milliseconds("900000000y") }
    }

    @Test func `a duration of less than a millisecond is not nothing`() throws {
        #expect(try OptionText.nanoseconds("500us") == 500_000)
        #expect(try OptionText.nanoseconds("1ns") == 1)
        #expect(try OptionText.nanoseconds("0.001ns") == 1)
        #expect(try OptionText.nanoseconds("5") == 5_000_000_000)
        #expect(try OptionText.nanoseconds("0") == 0 && OptionText.nanoseconds("0s") == 0)
        #expect(throws: OptionError.self) { try OptionText.nanoseconds("300y") }
        #expect(throws: OptionError.self) { try OptionText.nanoseconds("-1s") }
    }

    @Test func `durability has three modes`() throws {
        #expect(try OptionText.durability("always") == .always)
        #expect(try OptionText.durability("interval") == .interval(milliseconds: 100))
        #expect(try OptionText.durability("interval:250") == .interval(milliseconds: 250))
        #expect(try OptionText.durability("none") == Durability.none)
        #expect(throws: OptionError.self) { try OptionText.durability("interval:x") }
    }

    @Test func `a listener reachable from outside needs tokens, senders or consent`() throws {
        var options = ServerOptions()
        #expect(options.refusal() == nil)
        options.http = try OptionText.listener("0.0.0.0:1")
        #expect(options.refusal()?.contains("--token-file") == true)
        options.tokens = try TokenTable(text: "t read")
        #expect(options.refusal() == nil)
        options.lineUDP = try OptionText.listener("0.0.0.0:1")
        #expect(options.refusal()?.contains("--allow") == true)
        options.allowedSenders = [try AddressRange("192.0.2.0/24")]
        #expect(options.refusal() == nil)
        options.allowedSenders = []
        options.allowUnauthenticated = true
        #expect(options.refusal() == nil)
    }

    @Test func `address ranges hold their addresses and no others`() throws {
        let range = try AddressRange("192.0.2.0/23")
        #expect(range.contains(try #require(NetworkAddress("192.0.3.255"))))
        #expect(!range.contains(try #require(NetworkAddress("192.0.4.0"))))
        #expect(try AddressRange("::1").contains(try #require(NetworkAddress("::1"))))
        #expect(
            !(try AddressRange("2001:db8::/32").contains(try #require(NetworkAddress("192.0.2.1"))))
        )
        #expect(throws: OptionError.self) { try AddressRange("192.0.2.0/33") }
        #expect(throws: OptionError.self) { try AddressRange("host") }
    }
}

@Suite struct `Tokens` {
    @Test func `a token has rights and perhaps databases`() throws {
        let table = try TokenTable(text: "# comment\n\nabc read\nxyz read,write a,b\nroot admin\n")
        #expect(table.count == 3)
        let reader = try #require(table.permissions(of: "abc"))
        #expect(reader.canRead && !reader.canWrite && !reader.isAdmin && reader.databases == nil)
        let some = try #require(table.permissions(of: "xyz"))
        #expect(some.canWrite && some.covers("a") && !some.covers("c"))
        let root = try #require(table.permissions(of: "root"))
        #expect(root.canRead && root.canWrite && root.isAdmin && root.databases == nil)
        // What tells holders apart is the same after a reload.
        let again = try TokenTable(text: "root admin\nabc read")
        #expect(again.permissions(of: "abc")?.holder == reader.holder)
        #expect(Set([reader.holder, some.holder, root.holder, nil]).count == 4)
        for wrong in ["", "ab", "abcd", "abcabc", "# comment"] {
            #expect(table.permissions(of: wrong) == nil)
        }
    }

    @Test(arguments: [
        ("a read\nb", "line 2"), ("a reed", "line 1"), ("a read\na write", "line 2"),
        ("a read x y", "line 1"), ("# only", "no token"),
    ])
    func `a faulty file is refused with the line`(_ text: String, _ expected: String) {
        #expect {
            try TokenTable(text: text)
        } throws: { error in
            (error as? OptionError)?.description.contains(expected) == true
        }
    }
}

@Suite struct `InfluxQL before writes` {
    @Test func `databases are created, shown and dropped as clients spell it`() throws {
        #expect(
            try InfluxStatement.parse(#"CREATE DATABASE "tele\"graf""#) == [
                .createDatabase("tele\"graf", retentionNanoseconds: nil)
            ])
        #expect(
            try InfluxStatement.parse(
                "create database x with duration 1w2d replication 1 name y; SHOW DATABASES;")
                == [
                    .createDatabase("x", retentionNanoseconds: 9 * 86_400_000_000_000),
                    .showDatabases,
                ])
        #expect(try InfluxStatement.parse("DROP DATABASE x") == [.dropDatabase("x")])
    }

    @Test(arguments: [
        "", ";", "SELECT 1", "CREATE DATABASE", "SHOW DATABASES x", #"DROP DATABASE "x"#,
    ])
    func `the rest is refused`(_ text: String) {
        #expect(throws: InfluxStatement.Fault.self) { try InfluxStatement.parse(text) }
    }

    @Test func `a duration too long for 64 bits is refused, however it is put together`() {
        for duration in ["300y", String(repeating: "100000y", count: 4_000), "9223372036s1h"] {
            #expect(throws: InfluxStatement.Fault.self) {
                try InfluxStatement.parse("CREATE DATABASE x WITH DURATION \(duration)")
            }
        }
    }
}

@Suite struct `Error texts` {
    @Test func `the words on which Telegraf drops are all known`() {
        #expect(
            Set(Refusal.dropWords) == [
                "partial write", "unable to parse", "points beyond retention policy",
                "retention policy not found", "hinted handoff queue not empty",
            ])
    }

    @Test func `a statement's error has the status of its kind`() {
        let statuses: [QueryError.Code: UInt] = [
            .syntax: 400, .semantic: 400, .unknownColumn: 400, .forbidden: 403,
            .unknownDatabase: 404, .unknownTable: 404, .limit: 413, .overloaded: 503,
            .budget: 503, .timeout: 504, .unknownQuery: 404, .killed: 409,
        ]
        for (code, status) in statuses {
            #expect(ErrorBody.status(of: QueryError(code, "x")).code == status, "\(code)")
        }
    }

    @Test func `no 5xx says a word on which Telegraf drops`() {
        for word in Refusal.dropWords {
            let refusal = Refusal(.serviceUnavailable, "x \(word.uppercased()) y")
            for family in [APIFamily.influx1, .influx2, .influx3, .own] {
                #expect(!ErrorBody.text(refusal, family: family).lowercased().contains(word))
            }
        }
    }

    @Test func `nor does a statement's error of 5xx, whatever its names`() {
        for word in Refusal.dropWords {
            for code in QueryError.Code.allCases {
                let error = QueryError(code, "table \"\(word.uppercased())\"", hint: "not \(word)")
                let text = ErrorBody.text(error).lowercased()
                let isServers = ErrorBody.status(of: error).code >= 500
                #expect(text.contains(word) == !isServers, "\(code): \(text)")
                #expect(text.contains(#""code":"\#(code.rawValue)""#))
            }
        }
        let servers = QueryError.Code.allCases.filter {
            ErrorBody.status(of: QueryError($0, "x")).code >= 500
        }
        #expect(
            Set(servers) == [
                .budget, .timeout, .cancelled, .overloaded, .closed, .damaged, .internal,
            ])
    }

    @Test func `a write that the store refuses has the status of the reason`() {
        let statuses: [(StorageError, UInt, isRetried: Bool)] = [
            (.overloaded(pendingBytes: 2, pendingBytesMax: 1), 503, true),
            (.diskFull(file: "f"), 503, true), (.readOnly(reason: "x"), 503, true),
            (.closed, 503, true), (.io(file: "f", call: "pwrite", errno: 5), 500, false),
            (.limit("x"), 413, false), (.invalid("x"), 400, false),
        ]
        for (error, status, isRetried) in statuses {
            let refusal = Refusal(error)
            #expect(refusal.status.code == status, "\(error)")
            #expect(((refusal.retryAfterSeconds ?? 0) > 0) == isRetried, "\(error)")
        }
    }

    @Test func `each family has its shape`() {
        let refusal = Refusal(.unauthorized, "no \"token\"")
        #expect(ErrorBody.text(refusal, family: .influx1) == #"{"error":"no \"token\""}"# + "\n")
        #expect(
            ErrorBody.text(refusal, family: .influx2)
                == #"{"code":"unauthorized","message":"no \"token\""}"# + "\n")
        #expect(
            ErrorBody.text(refusal, family: .influx3) == #"{"error":"no \"token\"","data":null}"#
                + "\n")
        #expect(
            ErrorBody.text(refusal, family: .own)
                == #"{"error":{"code":"unauthorized","message":"no \"token\""}}"# + "\n")
    }

    @Test func `a partial write names lines, columns and reasons`() {
        let bad = LineRejection(line: 3, column: 7, reason: "missing fields")
        #expect(
            PartialWrite.text(stored: 1, rejected: 9, [bad])
                == "partial write: line 3, column 7: missing fields dropped=9")
        #expect(
            PartialWrite.text(stored: 0, rejected: 1, [bad]).hasPrefix("unable to parse: line 3"))
        // The first of many, and how many there are.
        let many = (1...7).map { LineRejection(line: $0, column: 2, reason: "r\($0)") }
        let named = (1...5).map { "line \($0), column 2: r\($0)" }.joined(separator: "; ")
        #expect(
            PartialWrite.text(stored: 1, rejected: 7, many)
                == "partial write: \(named) dropped=7")
        let old = LineRejection(line: 1, kind: .retention, reason: "x")
        #expect(
            PartialWrite.text(stored: 0, rejected: 4, [old])
                == "partial write: points beyond retention policy dropped=4 (is the precision right?)"
        )
    }

    @Test func `URLs are decoded`() {
        let (path, parameters) = URLText.split("/a/write?db=my+db%2Fx&q=%zz&empty&p=1&p=2")
        #expect(path == "/a/write")
        #expect(
            parameters["db"] == "my db/x" && parameters["q"] == "%zz" && parameters["empty"] == "")
        #expect(parameters["p"] == "1" && parameters["none"] == nil)
    }
}

@Suite struct `gzip` {
    private func deflated(_ text: String) -> [UInt8] {
        let writer = TextWriter()
        let bytes = Array(text.utf8)
        bytes.withUnsafeBytes { Deflater().feed($0, isLast: true, into: writer) }
        return Array(writer.bytes)
    }

    private func inflated(_ bytes: [UInt8], step: Int, max: Int = 1 << 30) throws -> String {
        let inflater = Inflater(bytesMax: max)
        var result: [UInt8] = []
        var start = 0
        while start < bytes.count {
            let end = min(start + step, bytes.count)
            try bytes[start..<end].withUnsafeBytes { piece in
                try inflater.feed(piece) { result += $0 }
            }
            start = end
        }
        try inflater.finish()
        return String(decoding: result, as: UTF8.self)
    }

    @Test(arguments: [1, 7, 100_000]) func `members in pieces of any size come out whole`(
        _ step: Int
    ) throws {
        let text = String(repeating: "cpu,host=a usage=1.5 1\n", count: 10_000)
        let bytes = deflated(text) + deflated("more")
        #expect(try inflated(bytes, step: step) == text + "more")
    }

    @Test func `cut, changed or endless bodies are faults`() throws {
        let bytes = deflated(String(repeating: "abc", count: 1_000))
        #expect(throws: Inflater.Fault.broken) { try inflated(Array(bytes.dropLast()), step: 10) }
        #expect(throws: Inflater.Fault.broken) { try inflated(bytes + [1], step: 100) }
        var changed = bytes
        changed[changed.count - 5] ^= 1
        #expect(throws: Inflater.Fault.broken) { try inflated(changed, step: 100) }
        #expect(throws: Inflater.Fault.broken) { try inflated(Array("plain".utf8), step: 100) }
        #expect(throws: Inflater.Fault.tooLarge) { try inflated(bytes, step: 100, max: 1_000) }
    }
}
