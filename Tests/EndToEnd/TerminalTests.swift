// `apus sql` as a person sees it: sessions on a pseudo-terminal, and what scripts see.

import ApusTestKit
import Glibc
import Testing

@Suite(.serialized) struct ShellSessions {
    private let directory = TemporaryDirectory()
    private let server: ServerProcess

    init() throws {
        server = try ServerProcess(data: directory.path + "/data")
        let text = String(repeating: "a long remark, ", count: 6)
        let lines = """
            cpu,host=a,region=eu usage=1.5,n=3i 1700000000000000000
            cpu,host=b usage=-12.25,n=33i 1700000001500000000
            note,host=a text="\(text)",ok=true 1700000002000000000

            """
        let client = try LoopbackConnection(port: server.httpPort)
        #expect(try client.request("POST", "/write", text: lines).status == 204)
        #expect(
            try client.request("POST", "/write?db=plant", text: "oven t=1 1700000003000000000")
                .status == 204)
    }

    private var url: String { "http://127.0.0.1:\(server.httpPort)" }

    private func session(
        _ arguments: [String] = [], columns: Int = 80, rows: Int = 24, pager: String = ""
    ) throws -> TerminalProcess {
        try TerminalProcess(
            ["sql", "--url", url] + arguments, columns: columns, rows: rows,
            environment: [
                "APUS_HISTORY": directory.path + "/history", "PAGER": pager,
                "PATH": "/usr/bin:/bin",
            ])
    }

    @Test(arguments: [80, 200])
    func `a session begins with what there is, and answers`(columns: Int) throws {
        let shell = try session(columns: columns)
        #expect(
            try shell.output(upTo: "default=>") == [
                " Database | Table | Rows | Last write",
                "----------+-------+------+------------------------",
                " default  | cpu   |    2 | 2023-11-14T22:13:21.5Z",
                " default  | note  |    1 | 2023-11-14T22:13:22Z",
                " plant    | oven  |    1 | 2023-11-14T22:13:23Z",
            ])
        #expect(
            try shell.run("SELECT time, host, region, usage, n\rFROM cpu\rORDER BY time;") == [
                " time                   | host | region |  usage |  n",
                "------------------------+------+--------+--------+----",
                " 2023-11-14T22:13:20Z   | a    | eu     |    1.5 |  3",
                " 2023-11-14T22:13:21.5Z | b    | NULL   | -12.25 | 33",
                "(2 rows)",
            ])
        let note = try shell.run("SELECT host, text FROM note;")
        #expect(note.allSatisfy { $0.count <= columns })
        #expect(note[2].hasSuffix(columns == 80 ? "…" : "a long remark,"))
        #expect(
            try shell.run("\\dt") == [
                " Table | Rows | Last write", "-------+------+------------------------",
                " cpu   |    2 | 2023-11-14T22:13:21.5Z", " note  |    1 | 2023-11-14T22:13:22Z",
            ])
        #expect(try shell.run("\\d cpu").contains(" usage  | field | float64   | usage"))
        #expect(
            try shell.run("\\l") == [
                " Database | Tables", "----------+--------", " default  |      2",
                " plant    |      1",
            ])
        shell.type("\\q\r")
        #expect(shell.exitCode() == 0)
    }

    @Test func `records, timing and another database`() throws {
        let shell = try session(["--db", "default"])
        _ = try shell.output(upTo: "default=>")
        #expect(try shell.run("\\x") == ["Expanded display is on."])
        #expect(
            try shell.run("SELECT ok, text IS NULL AS empty FROM note;") == [
                "-[ RECORD 1 ]-----------", "ok    | true", "empty | false", "(1 row)",
            ])
        _ = try shell.run("\\x")
        _ = try shell.run("\\timing")
        let timed = try shell.run("SELECT 1;").last ?? ""
        #expect(timed.hasPrefix("Time: ") && timed.contains(" ms (server "))
        #expect(try shell.run("\\c nowhere").first?.contains("no database nowhere") == true)
        #expect(try shell.run("\\c plant", prompt: "plant=>") == ["Now in database plant."])
        #expect(try shell.run("SELECT t FROM oven;", prompt: "plant=>").contains(" 1.0"))
        shell.type("\u{4}")
        #expect(shell.exitCode() == 0)
    }

    @Test func `an error points at its place, and the session goes on`() throws {
        let shell = try session(["--db", "default"])
        _ = try shell.output(upTo: "default=>")
        #expect(
            try shell.run("SELECT *\rFROM cpu WHERE hots = 'a';") == [
                "error: no column `hots` in `cpu`", "LINE 2: FROM cpu WHERE hots = 'a'",
                "                       ^", "hint: did you mean `host`?",
            ])
        #expect(try shell.run("\\nonsense").first?.contains("\\? lists them") == true)
        #expect(try shell.run("SELECT 1 + 1;").dropFirst(2).first == "        2")
    }

    @Test func `Tab completes tables and their columns, and lists what it can't choose`() throws {
        let shell = try session(["--db", "default"])
        _ = try shell.output(upTo: "default=>")
        shell.type("SELECT ho\u{1}FROM cp\t")
        try shell.wait(for: "the table") { $0.lastLine.hasPrefix("default=> FROM cpu SELECT ho") }
        shell.type("\u{5}\t")
        try shell.wait(for: "the column") { screen in
            screen.lastLine.hasPrefix("default=> FROM cpu SELECT host")
        }
        shell.type("\u{15}SHOW TA\t")
        try shell.wait(for: "the choices") { screen in
            screen.lines(from: 0).contains("TABLE  TABLES  TAG")
        }
        #expect(try shell.run("BLES;").contains { $0.contains("note") })
    }

    @Test func `what was typed comes back, also in the next session`() throws {
        do {
            let shell = try session(["--db", "default"])
            _ = try shell.output(upTo: "default=>")
            // Ctrl-C leaves a line without sending it.
            shell.type("SELECT broken\u{3}")
            _ = try shell.output(upTo: "default=>", from: 1)
            _ = try shell.run("SELECT\r40 + 2;")
            shell.type("\\q\r")
            #expect(shell.exitCode() == 0)
        }
        let shell = try session(["--db", "default"])
        _ = try shell.output(upTo: "default=>")
        // Up twice, past `\q`; the number is edited in place.
        let start = shell.screen.lineCount
        shell.type("\u{1B}[A\u{1B}[A\u{1B}[D\u{7F}3\r")
        let lines = try shell.output(upTo: "default=>", from: start)
        #expect(lines.contains("       -> 40 + 3;") && lines.contains("       43"))
        // A paste is text, also where it has line ends.
        shell.type("\u{1B}[200~SELECT 1\n+ 100;\u{1B}[201~")
        try shell.wait(for: "the paste") { $0.lastLine == "       -> + 100;" }
        #expect(try shell.run("").contains("      101"))
    }

    @Test func `Ctrl-C cancels a query that runs, and only that`() throws {
        let rowCount = 200_000
        try RowLoader.load(rowCount, port: server.httpPort)
        let shell = try session(["--db", "default"])
        _ = try shell.output(upTo: "default=>")
        let start = shell.screen.lineCount
        shell.type("SELECT * FROM big;\r")
        try shell.wait(for: "rows") { $0.lineCount > start + 100 }
        shell.type("\u{3}")
        let lines = try shell.output(upTo: "default=>", from: start)
        #expect(lines.contains { $0.hasSuffix("cancelled") })
        #expect(lines.count < rowCount / 2)
        #expect(
            try shell.run("SELECT count(*) FROM big;").contains("\(rowCount)".leftPadded(to: 7)))
    }

    @Test func `a query is shown to another session, and ended by it`() throws {
        try RowLoader.load(1_000, port: server.httpPort)
        let (busy, other) = (try session(["--db", "default"]), try session(["--db", "plant"]))
        for (shell, prompt) in [(busy, "default=>"), (other, "plant=>")] {
            _ = try shell.output(upTo: prompt)
        }
        // A trillion rows.
        busy.type("SELECT count(*) FROM big a, big b, big c, big d;\r")
        var listed: [String] = []
        #expect(
            try eventually {
                listed = try other.run("SHOW QUERIES;", prompt: "plant=>")
                return listed.contains("(1 row)")
            })
        #expect(listed[0].hasPrefix(" id | database | client"), "\(listed)")
        #expect(listed[2].contains("| default  | 127.0.0.1:"), "\(listed)")
        let id = listed[2].split(separator: " ").first ?? ""
        #expect(
            try other.run("KILL 4000000;", prompt: "plant=>") == [
                "error: no query 4000000 is running", "LINE 1: KILL 4000000",
                "             ^", "hint: SHOW QUERIES lists those that are",
            ])
        _ = try other.run("KILL \(id);", prompt: "plant=>")
        try busy.wait(for: "the error") { screen in
            screen.lastLine == "default=>"
                && screen.lines(from: 0).contains("error: query \(id) was ended by KILL")
        }
        #expect(try other.run("SHOW QUERIES;", prompt: "plant=>").contains("(0 rows)"))
        #expect(try busy.run("SELECT 1 + 1;").dropFirst(2).first == "        2")
    }

    @Test func `a long answer goes to the pager, which may be left early`() throws {
        try RowLoader.load(100_000, port: server.httpPort)
        let shell = try session(["--db", "default"], pager: "head -n 3; echo left")
        _ = try shell.output(upTo: "default=>")
        let paged = try shell.run("SELECT * FROM big;")
        #expect(paged.count == 4 && paged.last == "left")
        #expect(try shell.run("SELECT 1;").count == 4)
    }
}

@Suite(.serialized) struct ShellScripts {
    @Test func `a script ends at its first failure, with an exit code that says why`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path + "/data")
        let url = "http://127.0.0.1:\(server.httpPort)"
        let client = try LoopbackConnection(port: server.httpPort)
        #expect(
            try client.request("POST", "/write", text: "m,k=a v=1 1700000000000000000").status
                == 204)
        let good = try Binary.run([
            "sql", "--url", url, "-e", "SELECT k, ';' AS s FROM m; -- done;", "-e", "SELECT 2",
            "--format", "csv",
        ])
        #expect(good.code == 0 && good.output == "k,s\na,;\n?column?\n2\n" && good.errors == "")
        let bad = try Binary.run(["sql", "--url", url, "-e", "SELECT 1; SELEC 2; SELECT 3"])
        #expect(bad.code == 1 && bad.output.contains("1") && !bad.output.contains("3"))
        #expect(bad.errors.contains("LINE 1: SELEC 2\n        ^\n"))
        for format in ["json", "ndjson", "csv"] {
            let result = try Binary.run([
                "sql", "--url", url, "--format", format, "-e", "SELECT nothing FROM m",
            ])
            #expect(result.code == 1 && result.output == "" && result.errors.contains("nothing"))
        }
        #expect(
            try Binary.run(["sql", "--url", "http://127.0.0.1:1", "-e", "SELECT 1"]).code == 69)
        #expect(try Binary.run(["sql", "--url", "ftp://x", "-e", "SELECT 1"]).code == 64)
        #expect(try Binary.run(["sql", "--format", "xml", "-e", "SELECT 1"]).code == 64)
        #expect(try Binary.run(["sql", "--url", url, "-f", "/no/such/file"]).code == 74)
        let held = try Binary.run(["sql", "--data", directory.path + "/data", "-e", "SELECT 1"])
        #expect(held.code == 75 && held.errors.contains("\(server.processID)"))
    }

    @Test func `a directory answers as its server did`() throws {
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        let question = ["-e", "SELECT * FROM m ORDER BY time", "--format", "csv"]
        let server = try ServerProcess(data: data)
        let client = try LoopbackConnection(port: server.httpPort)
        let lines = "m,k=a v=1,s=\"x\" 1700000000000000000\nm,k=b n=2i 1700000000000000001\n"
        #expect(try client.request("POST", "/write", text: lines).status == 204)
        let url = "http://127.0.0.1:\(server.httpPort)"
        let served = try Binary.run(["sql", "--url", url] + question)
        #expect(server.stop() == 0)
        let embedded = try Binary.run(["sql", "--data", data] + question)
        #expect(embedded.code == 0 && embedded.output == served.output)
        #expect(embedded.output.split(separator: "\n").count == 3)
        let refused = try Binary.run(["sql", "--data", data, "-e", "SELECT x FROM m"])
        #expect(refused.code == 1 && refused.errors.contains("LINE 1: SELECT x FROM m"))
        let typo = try Binary.run(["sql", "--data", data + "x", "-e", "SELECT 1"])
        #expect(typo.code == 66 && access(data + "x", F_OK) != 0)
        let shell = try TerminalProcess(
            ["sql", "--data", data], columns: 80, environment: ["APUS_HISTORY": ""])
        #expect(try shell.output(upTo: "default=>").count == 3)
        #expect(try shell.run("SELECT count(*) FROM m;").contains("     2"))
        // Nothing runs beside what a session of its own asks.
        #expect(try shell.run("SHOW QUERIES;").last == "(0 rows)")
        #expect(try shell.run("KILL 1;").first == "error: no query 1 is running")
        shell.type("\\q\r")
        #expect(shell.exitCode() == 0)
    }

    @Test func `a table tells NaN and infinities from NULL, as PostgreSQL spells them`() throws {
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        let server = try ServerProcess(data: data)
        let url = "http://127.0.0.1:\(server.httpPort)"
        let statement =
            "SELECT 'NaN'::double AS a, 'Infinity'::double AS b, '-Infinity'::double AS c, "
            + "NULL::double AS d"
        let question = ["-e", statement]
        let served = try Binary.run(["sql", "--url", url] + question)
        let json = try Binary.run(["sql", "--url", url, "--format", "json"] + question)
        #expect(json.output.contains("[[null,null,null,null]]"), "\(json.output)")
        #expect(server.stop() == 0)
        let embedded = try Binary.run(["sql", "--data", data] + question)
        for answer in [served, embedded] {
            let words = answer.output.split { " |\n".contains($0) }
            for word in ["NaN", "Infinity", "-Infinity", "NULL"] {
                #expect(words.contains(word[...]), "\(word): \(answer.output)")
            }
        }
    }

    @Test func `Ctrl-C cancels a query in this process too`() throws {
        let directory = TemporaryDirectory()
        let data = directory.path + "/data"
        let rowCount = 200_000
        let server = try ServerProcess(data: data)
        try RowLoader.load(rowCount, port: server.httpPort)
        #expect(server.stop() == 0)
        let shell = try TerminalProcess(
            ["sql", "--data", data, "--db", "default"], columns: 80,
            environment: ["APUS_HISTORY": "", "PAGER": ""])
        _ = try shell.output(upTo: "default=>")
        let start = shell.screen.lineCount
        shell.type("SELECT * FROM big;\r")
        try shell.wait(for: "rows") { $0.lineCount > start + 100 }
        shell.type("\u{3}")
        let lines = try shell.output(upTo: "default=>", from: start)
        #expect(lines.contains { $0.hasSuffix("cancelled") } && lines.count < rowCount / 2)
        #expect(try shell.run("SELECT 1;").count == 4)
    }
}

extension String {
    fileprivate func leftPadded(to count: Int) -> String {
        String(repeating: " ", count: max(0, count - self.count)) + self
    }
}
