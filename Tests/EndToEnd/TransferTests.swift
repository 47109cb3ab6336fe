// `apus import` and `apus export` by the real binary: what goes out comes in again, the same.

import ApusTestKit
import Glibc
import Testing

private func write(_ bytes: [UInt8], to path: String) throws {
    let descriptor = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o600)
    guard descriptor >= 0, Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
        throw ClientFault("\(path) cannot be written")
    }
    close(descriptor)
}

private func contents(of path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ClientFault("\(path) cannot be read") }
    defer { close(descriptor) }
    var status = stat()
    fstat(descriptor, &status)
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    guard read(descriptor, &bytes, bytes.count) == bytes.count else {
        throw ClientFault("\(path) is short")
    }
    return bytes
}

/// Lines as the worst of senders write them: late, twice, in types that change.
private enum TransferData {
    static let tables = ["cpu", "my table,x", "log"]
    private static let day: Int64 = 86_400_000_000_000
    private static let start: Int64 = 1_700_000_000_000_000_000

    static func lines(seed: UInt64, count: Int) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        var text = ""
        for index in 0..<count {
            // A tenth comes days late; times repeat, so that rows are written over.
            let late = random.oneIn(10) ? Int64(random.below(20)) * day : 0
            let time = start + Int64(random.below(count)) * 60_000_000_000 - late
            switch random.below(3) {
            case 0: text += cpu(&random, index, count)
            case 1: text += table(&random)
            default: text += log(&random)
            }
            text += " \(time)\n"
            if random.oneIn(50) { text += "# a comment\n\n" }
        }
        return Array(text.utf8)
    }

    private static func cpu(_ random: inout SeededRandom, _ index: Int, _ count: Int) -> String {
        var fields: [String] = []
        // An integer that becomes a float in the middle of the file.
        let wide = index > count / 2
        fields.append("n=\(random.below(1_000))\(wide && random.oneIn(3) ? ".25" : "i")")
        if random.oneIn(2) { fields.append("f=\(random.normal())") }
        if random.oneIn(3) { fields.append("big=\(UInt64.max - UInt64(random.below(5)))u") }
        if random.oneIn(3) { fields.append("low=\(Int64.min + Int64(random.below(5)))i") }
        if random.oneIn(4) { fields.append("ok=\(random.oneIn(2) ? "T" : "false")") }
        if random.oneIn(5) { fields.append("tiny=\(random.oneIn(2) ? "5e-324" : "-0.0")") }
        let zone = random.oneIn(3) ? ",zone=z\(random.below(2))" : ""
        return "cpu,host=h\(random.below(12))\(zone) " + fields.joined(separator: ",")
    }

    private static func table(_ random: inout SeededRandom) -> String {
        let values = ["a\\ b", "c\\,d", "e\\=f", "\\\\\\ x", "ü😀", "\"q\""]
        return "my\\ table\\,x,k\\=1\\ y=\(values[random.below(6)]),type=t\(random.below(2)) "
            + "type=\"\(random.below(9))\",time=\(random.below(9))i,f\\ \\=\\,1=\(random.below(9))"
    }

    private static func log(_ random: inout SeededRandom) -> String {
        let texts = [
            "", "plain", "two\nlines", "\\\"quoted\\\"", "back\\\\slash", "a\\\\\\\"=,b ", "😀ü",
            "\r\n\t", "# no comment\nlog x=1 1\n",
        ]
        return "log,source=s\(random.below(3)) message=\"\(texts[random.below(texts.count)])\""
    }
}

@Suite(.serialized) struct Transfer {
    private let directory = TemporaryDirectory()

    private func path(_ name: String) -> String { "\(directory.path)/\(name)" }

    @discardableResult
    private func apus(_ arguments: String..., exits code: Int32 = 0) throws -> String {
        let result = try Binary.run(arguments)
        #expect(
            result.code == code,
            "apus \(arguments): \(result.code) \(result.output)\(result.errors)")
        return result.output + result.errors
    }

    /// Every row and every column of every table, as the server tells them.
    private func answers(_ data: String) throws -> [String] {
        let server = try ServerProcess(data: path(data))
        defer { _ = server.stop() }
        return try answers(server)
    }

    private func answers(_ server: ServerProcess) throws -> [String] {
        let client = try LoopbackConnection(port: server.httpPort)
        func ask(_ sql: String) throws -> String {
            let answer = try client.request("POST", "/sql?db=x&format=csv&epoch=ns", text: sql)
            #expect(answer.status == 200, "\(sql): \(answer.text)")
            return answer.text
        }
        var all = [try ask("SHOW TABLES")]
        for table in TransferData.tables {
            all.append(try ask("DESCRIBE \"\(table)\""))
            all.append(try ask("SELECT count(*), min(time), max(time) FROM \"\(table)\""))
        }
        all.append(try ask("SELECT * FROM cpu ORDER BY time, host, zone"))
        all.append(
            try ask(
                "SELECT host, sum(n), last(f), max(big), min(low) FROM cpu GROUP BY host ORDER BY host"
            ))
        all.append(
            try ask("SELECT * FROM \"my table,x\" ORDER BY time, \"k=1 y\", \"type\"::tag"))
        all.append(try ask("SELECT * FROM log ORDER BY time, source"))
        return all
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `export and import again give the same answers, embedded and by a server`(
        seed: UInt64
    ) throws {
        try write(TransferData.lines(seed: seed, count: 3_000), to: path("in.lp"))
        try apus("import", path("in.lp"), "--data", path("a"), "--db", "x")
        let original = try answers("a")

        for suffix in ["lp", "lp.gz", "lp.zst"] {
            let file = path("out.\(suffix)")
            try apus("export", "--data", path("a"), "--db", "x", "-o", file)
            #expect(access(file + ".new", F_OK) != 0)
            try apus("import", file, "--data", path("b-\(suffix)"), "--db", "x")
            #expect(try answers("b-\(suffix)") == original, "seed \(seed), \(suffix)")
        }
        #expect(try contents(of: path("out.lp.gz")).starts(with: [0x1F, 0x8B]))
        #expect(try contents(of: path("out.lp.zst")).starts(with: [0x28, 0xB5, 0x2F, 0xFD]))

        let first = try ServerProcess(data: path("a"))
        let url = "http://127.0.0.1:\(first.httpPort)"
        try apus("export", "--url", url, "--db", "x", "-o", path("served.lp"))
        #expect(try contents(of: path("served.lp")) == contents(of: path("out.lp")))
        for table in TransferData.tables {
            try apus("export", table, "--url", url, "--db", "x", "-o", path("\(table).lp"))
        }
        let second = try ServerProcess(data: path("c"))
        try apus(
            "import", "--url", "http://127.0.0.1:\(second.httpPort)", "--db", "x",
            path("cpu.lp"), path("my table,x.lp"), path("log.lp"))
        #expect(try answers(second) == original, "seed \(seed)")
    }

    @Test func `an import repeated or broken off and started again changes nothing`() throws {
        try write(TransferData.lines(seed: 5, count: 3_000), to: path("in.lp"))
        try apus("import", path("in.lp"), "--data", path("a"), "--db", "x")
        let once = try answers("a")
        // The first 100 kB of it, as a broken connection would leave them.
        let whole = try contents(of: path("in.lp"))
        let cut = try #require(whole[..<100_000].lastIndex(of: 0x0A))
        try write(Array(whole[...cut]), to: path("part.lp"))
        _ = try Binary.run(["import", path("part.lp"), "--data", path("b"), "--db", "x"])
        for _ in 0..<2 { try apus("import", path("in.lp"), "--data", path("b"), "--db", "x") }
        #expect(try answers("b") == once)
    }

    @Test func `rejected lines are named by their numbers in the file, over any way`() throws {
        var text = ""
        for index in 1...120_000 {
            // A string with a newline in it: two lines of the file.
            if index == 7 { text += "m s=\"a\nb\" 7\n" }
            let isBad = index == 3 || index == 100_000
            text += isBad ? "m,k=v v=oops \(index)\n" : "m,k=v v=\(index).5,w=\(index)i \(index)\n"
        }
        text += "m,k=v v=1\n"
        try write(Array(text.utf8), to: path("bad.lp"))
        let server = try ServerProcess(data: path("served"))
        let url = "http://127.0.0.1:\(server.httpPort)"
        for place in [["--data", path("a")], ["--url", url], ["--dry-run"]] {
            let result = try Binary.run(["import", path("bad.lp")] + place)
            #expect(result.code == 1)
            let lines = result.output.split(separator: "\n").map { String($0) }
            #expect(
                lines[0].hasPrefix("120,003 lines, 119,999 rows, 239,997 values, 3 rejected, "),
                "\(lines[0])")
            let file = path("bad.lp")
            #expect(
                Array(lines[1...3]) == [
                    "\(file):3:9: invalid number 'oops'", "\(file):100002:9: invalid number 'oops'",
                    "\(file):120003:10: missing timestamp",
                ], "\(lines)")
        }
        #expect(
            try apus("import", path("bad.lp"), "--url", url, "--timestamp", "5", exits: 1)
                .contains("2 rejected"))
    }

    @Test func `a line whose days are many is stored, in smaller pieces`() throws {
        var text = ""
        for day in 0..<2_000 { text += "m v=\(day)i \(day * 86_400)\n" }
        try write(Array(text.utf8), to: path("days.lp"))
        let server = try ServerProcess(data: path("served"))
        let url = "http://127.0.0.1:\(server.httpPort)"
        for place in [["--data", path("a")], ["--url", url]] {
            let result = try Binary.run(
                ["import", path("days.lp"), "--precision", "s"] + place)
            #expect(result.code == 0, "\(result)")
            #expect(result.output.hasPrefix("2,000 lines, 2,000 rows, 2,000 values, 0 rejected"))
        }
    }

    @Test func `broken compression is named by its byte and nothing half is stored`() throws {
        try write(TransferData.lines(seed: 9, count: 2_000), to: path("in.lp"))
        try apus("import", path("in.lp"), "--data", path("a"))
        for suffix in ["gz", "zst"] {
            let file = path("out.lp.\(suffix)")
            try apus("export", "--data", path("a"), "-o", file)
            let bytes = try contents(of: file)
            try write(Array(bytes[..<(bytes.count / 2)]), to: file)
            let result = try Binary.run(["import", file, "--data", path("b")])
            #expect(result.code == 65)
            let format = suffix == "gz" ? "gzip" : "zstd"
            #expect(
                result.errors.hasPrefix(
                    "apus: \(file): \(format) broken at byte \(bytes.count / 2)"),
                "\(result.errors)")
            #expect(result.errors.split(separator: "\n").count == 1)
            // How many lines were whole depends on the compressor's blocks.
            let counted = result.output.prefix { $0 != " " }
            #expect(
                result.errors.hasSuffix(
                    counted.isEmpty
                        ? "; nothing is stored\n" : "; the first \(counted) lines are stored\n"),
                "\(result)")
        }
    }

    @Test func `a broken end leaves the lines before it stored, and says how many`() throws {
        // Several bodies, so that some are whole before the break.
        let lines = (0..<200_000).map { "m,host=h\($0 % 10) value=\($0)i \($0 * 1_000_000)\n" }
        try write(Array(lines.joined().utf8), to: path("in.lp"))
        try apus("import", path("in.lp"), "--data", path("a"))
        let file = path("out.lp.gz")
        try apus("export", "m", "--data", path("a"), "-o", file)
        var bytes = try contents(of: file)
        // The checksum at the end.
        bytes[bytes.count - 8] ^= 1
        try write(bytes, to: file)
        let server = try ServerProcess(data: path("served"))
        for place in [
            ["--data", path("b")], ["--url", "http://127.0.0.1:\(server.httpPort)"],
        ] {
            let result = try Binary.run(["import", file] + place)
            #expect(result.code == 65, "\(result)")
            let counted = String(result.output.prefix { $0 != " " })
            let stored = Int(counted.filter { $0 != "," }) ?? 0
            #expect(stored > 10_000 && stored < 200_000, "\(result)")
            #expect(
                result.errors.hasSuffix("; the first \(counted) lines are stored\n"), "\(result)")
        }
    }

    @Test func `what cannot be read or written is one sentence and an exit code`() throws {
        try write(Array("m v=1 1\n".utf8), to: path("in.lp"))
        try apus("import", path("in.lp"), "--data", path("a"))
        let server = try ServerProcess(data: path("served"))
        let full = open("/dev/full", O_WRONLY)
        defer { close(full) }
        let cases: [([String], Int32, String)] = [
            (["import", path("none.lp")], 66, "No such file"),
            (["import", directory.path, "--dry-run"], 66, "directory"),
            (["import", path("in.lp"), "--data", "/usr"], 65, "not a data directory"),
            (["import", path("in.lp"), "--data", path("served")], 75, "held by"),
            (["import", path("in.lp"), "--url", "http://127.0.0.1:1"], 69, "127.0.0.1:1"),
            (["import", path("in.lp"), "--url", "x"], 64, "http://"),
            (["import", path("in.lp"), "--data", "x", "--url", "http://h"], 64, "exclude"),
            (["import"], 64, "file"),
            (["export", "none", "--data", path("a")], 64, "none"),
            (["export", "--data", path("nowhere")], 66, "nowhere"),
            (["export", "m", "--data", "/usr"], 65, "not a data directory"),
            (["export", "m", "--data", path("a"), "-o", path("no/x.lp")], 74, "no/x.lp"),
            (["export", "m", "--data", path("a"), "--where", "nope = 1"], 64, "nope"),
            (["export", "--query", "SELECT 1", "--data", path("a")], 64, "--as"),
            (["export", "m", "--url", "http://127.0.0.1:\(server.httpPort)"], 64, "m"),
        ]
        for (arguments, code, text) in cases {
            let result = try Binary.run(arguments)
            #expect(result.code == code, "\(arguments): \(result)")
            #expect(result.errors.contains(text), "\(arguments): \(result.errors)")
        }
        try apus("export", "none", "--data", path("a"), "-o", path("none.lp.gz"), exits: 64)
        #expect(access(path("none.lp.gz"), F_OK) != 0)
        #expect(access(path("none.lp.gz.new"), F_OK) != 0)
        let process = try Binary.spawn(
            [try Binary.path(), "export", "m", "--data", path("a")], output: full)
        #expect(Binary.wait(process) == 74)
    }

    @Test func `a store is known by its files, not by a folder called log`() throws {
        try write(Array("m v=1 1\n".utf8), to: path("in.lp"))
        mkdir(path("other"), 0o755)
        mkdir(path("other/log"), 0o755)
        try write(Array("started\n".utf8), to: path("other/log/app.log"))
        let other = try apus("import", path("in.lp"), "--data", path("other"), exits: 65)
        #expect(other.contains("not a data directory"), "\(other)")
        #expect(access(path("other/MANIFEST"), F_OK) != 0)

        try apus("import", path("in.lp"), "--data", path("a"))
        for name in ["MANIFEST", "MANIFEST.previous"] { unlink(path("a/\(name)")) }
        // What is left of a store: it says what it lacks instead of passing for someone else's.
        let lost = try apus("import", path("in.lp"), "--data", path("a"), exits: 65)
        #expect(lost.contains("MANIFEST"), "\(lost)")
    }

    @Test(arguments: [80, 200])
    func `a terminal sees the bar while it runs and the summary behind it`(columns: Int) throws {
        // A pipe that stays open holds the import at its start.
        let pipe = path("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let terminal = try TerminalProcess(
            ["import", "--dry-run", pipe], columns: columns, rows: 24, environment: [:])
        let writer = open(pipe, O_WRONLY)
        try terminal.wait(for: "the bar") { $0.lastLine.hasPrefix("0 B  0 rows/s") }
        _ = Glibc.write(writer, "m v=1 1\n", 8)
        close(writer)
        try terminal.wait(for: "the summary") { screen in
            screen.lines(from: 0).contains { $0.hasPrefix("1 line, 1 row, 1 value, 0 rejected") }
        }
        #expect(terminal.exitCode() == 0)
    }

    @Test func `a token is needed where the server wants one`() throws {
        try write(Array("writer write\n".utf8), to: path("tokens"))
        try write(Array("m v=1 1\n".utf8), to: path("in.lp"))
        let server = try ServerProcess(
            data: path("served"), arguments: ["--token-file", path("tokens")])
        let url = "http://127.0.0.1:\(server.httpPort)"
        #expect(try apus("import", path("in.lp"), "--url", url, exits: 69).contains("--token"))
        try apus("import", path("in.lp"), "--url", url, "--token", "writer")
        #expect(
            try apus("export", "m", "--url", url, "--token", "writer", exits: 69).contains("token"))
    }

    @Test func `a query is exported as lines and as CSV, with ranges and conditions`() throws {
        let lines = """
            cpu,host=a usage=1.5,note="x" 1000
            cpu,host=b usage=2.5,note="y" 2000
            cpu,host=a usage=3.5 3000

            """
        try write(Array(lines.utf8), to: path("in.lp"))
        try apus("import", path("in.lp"), "--data", path("a"))
        let server = try ServerProcess(data: path("served"))
        let url = "http://127.0.0.1:\(server.httpPort)"
        try apus("import", path("in.lp"), "--url", url)
        for place in [["--data", path("a")], ["--url", url]] {
            func export(_ arguments: String...) throws -> String {
                let result = try Binary.run(["export"] + arguments + place)
                #expect(result.code == 0, "\(result)")
                return result.output
            }
            #expect(
                try export("cpu", "--from", "2000", "--to", "1970-01-01T00:00:00.000003Z")
                    == "cpu,host=b note=\"y\",usage=2.5 2000\n")
            #expect(
                try export("cpu", "--where", "host = 'a' -- even with a comment").hasSuffix(
                    "cpu,host=a usage=3.5 3000\n"))
            let query = "SELECT time, host, note, usage * 2 AS double FROM cpu ORDER BY time"
            #expect(
                try export("--query", query, "--as", "twice", "--field", "note")
                    == "twice,host=a note=\"x\",double=3.0 1000\n"
                    + "twice,host=b note=\"y\",double=5.0 2000\ntwice,host=a double=7.0 3000\n")
            #expect(
                try export("--query", query, "--format", "csv")
                    == "time,host,note,double\n1970-01-01T00:00:00.000001Z,a,x,3.0\n"
                    + "1970-01-01T00:00:00.000002Z,b,y,5.0\n1970-01-01T00:00:00.000003Z,a,,7.0\n")
        }
    }
}
