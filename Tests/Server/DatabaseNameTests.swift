// Names of databases and tables: any UTF-8 without control characters, and never paths.

import ApusServer
import ApusTestKit
import Foundation
import Testing

private let line = "m v=1 1700000000000000000"
private let stored = #"[["2023-11-14T22:13:20Z",1.0]]"#

@Suite(.serialized) struct `Names of databases and tables` {
    /// Control characters, and how messages call them.
    private static let controls = [
        ("\u{1}", "U+0001"), ("\n", "U+000A"), ("\u{1B}", "U+001B"), ("\u{7F}", "U+007F"),
        ("\u{85}", "U+0085"), ("\u{9B}", "U+009B"),
    ]

    private func databases(_ client: LoopbackConnection) throws -> String {
        try client.rows("SHOW DATABASES")
    }

    @Test func `a database name with a control character is refused by every way in`() throws {
        let server = try TestServer()
        defer { withExtendedLifetime(server) {} }
        let client = try server.connect()
        for (control, code) in Self.controls {
            let encoded = percentEncoded("a\(control)b")
            for target in [
                "/write?db=\(encoded)", "/write?db=a&rp=\(encoded)", "/x/write?db=\(encoded)",
                "/api/v2/write?bucket=\(encoded)", "/api/v2/write?bucket=a/\(encoded)",
                "/api/v3/write_lp?db=\(encoded)",
            ] {
                let answer = try client.request("POST", target, text: line)
                #expect(answer.status == 400, "\(target): \(answer.text)")
                #expect(
                    answer.text.contains("database name must not hold control characters")
                        && answer.text.contains(code), "\(target): \(answer.text)")
            }
            for (statement, parameters) in [
                (#"CREATE DATABASE "a\#(control)b""#, ""),
                ("CREATE TABLE m (v DOUBLE)", "db=\(encoded)"),
            ] {
                let answer = try client.post(statement, parameters)
                #expect(
                    answer.status == 400 && answer.text.contains(#""code":"semantic""#)
                        && answer.text.contains(code), "\(statement): \(answer.text)")
            }
            let insert = try client.post("INSERT INTO m (time, v) VALUES (1, 1)", "db=\(encoded)")
            #expect(insert.status / 100 == 4, "\(insert.text)")
            let statement = percentEncoded(#"CREATE DATABASE "a\#(control)b""#)
            let created = try client.request("POST", "/query?q=\(statement)", text: "")
            #expect(
                created.text.contains(#""error":"a database name must not hold control"#)
                    && created.text.contains(code), "\(created.text)")
        }
        #expect(try databases(client) == "[]")
    }

    @Test func `tables, tags and fields with control characters are refused by line`() throws {
        let server = try TestServer()
        defer { withExtendedLifetime(server) {} }
        let client = try server.connect()
        for (control, _) in Self.controls where control != "\n" {
            let lines = "m\(control) v=1 1\nm,t\(control)=x v=1 1\nm f\(control)=1 1\nm v=1 2"
            let answer = try client.request("POST", "/write", text: lines)
            #expect(
                answer.status == 400 && answer.text.contains("dropped=3")
                    && answer.text.contains("line 1") && answer.text.contains("line 3"),
                "\(answer.text)")
        }
        #expect(try client.rows("DESCRIBE m").filter { $0 == "[" }.count == 3, "time and v")
        #expect(try client.rows("SHOW TABLES") == #"[["m"]]"#)
    }

    @Test func `empty and endless names are refused with 400`() throws {
        let server = try TestServer()
        defer { withExtendedLifetime(server) {} }
        let client = try server.connect()
        #expect(try client.post(#"CREATE DATABASE """#).status == 400)
        let long = String(repeating: "n", count: 65_536)
        let created = try client.post(#"CREATE DATABASE "\#(long)""#)
        #expect(created.status == 400 && created.text.contains("at most 65,535 bytes"))
        let written = try client.request("POST", "/write?db=\(long)", text: line)
        #expect(written.status == 400 && written.text.contains("at most 65,535 bytes"))
        #expect(try databases(client) == "[]")
        // Nothing said is the database `default`.
        for target in ["/write?db=", "/api/v2/write?bucket=", "/api/v3/write_lp?db="] {
            #expect(try client.request("POST", target, text: line).status == 204)
        }
        #expect(try databases(client) == #"[["default"]]"#)
    }

    @Test func `what is not UTF-8 is no name, instead of becoming another's`() throws {
        let server = try TestServer()
        defer { withExtendedLifetime(server) {} }
        let client = try server.connect()
        for (target, start) in [
            ("/write?db=%FF", #"{"error":""#), ("/api/v2/write?bucket=a%C3", #"{"code":"invalid""#),
            ("/api/v3/write_lp?db=%ED%A0%80", #"{"error":""#),
            ("/query?q=CREATE+DATABASE+%22%FF%22", #"{"error":""#),
            ("/sql?q=CREATE+DATABASE+%22%FF%22", #"{"error":{"code":"#),
        ] {
            let answer = try client.request("POST", target, text: line)
            #expect(
                answer.status == 400 && answer.text.hasPrefix(start)
                    && answer.text.contains("UTF-8"), "\(target): \(answer.text)")
        }
        let form = ["Content-Type": "application/x-www-form-urlencoded"]
        for target in ["/query", "/sql"] {
            let answer = try client.request(
                "POST", target, headers: form, text: "q=CREATE+DATABASE+%22%FF%22")
            #expect(answer.status == 400, "\(target): \(answer.text)")
        }
        #expect(try databases(client) == "[]")
    }

    /// Each is a database and a table of its own, and no file is called so.
    @Test func `names that look like paths are names, also reopened and dropped`() throws {
        let long = String(repeating: "n", count: 20_000)
        let names = [
            "..", ".", "a/b", "a", "../x", "../../x", "/tmp/x", "a/../b", "~", "%2e%2e", "LOCK",
            "MANIFEST", "data", "log", "C:\\x", "*", " ", "é", "\u{1F600}", long,
        ]
        let directory = TemporaryDirectory()
        do {
            let server = try TestServer(in: directory)
            defer { withExtendedLifetime(server) {} }
            let client = try server.connect()
            for name in names {
                let table = name.replacing(" ", with: "\\ ")
                let answer = try client.request(
                    "POST", "/write?db=\(percentEncoded(name))",
                    text: "\(table) v=1 1700000000000000000")
                #expect(answer.status == 204, "\(name.prefix(20)): \(answer.text)")
            }
            #expect(try client.request("POST", "/write?db=..&rp=..", text: line).status == 204)
            #expect(try client.post("FLUSH").status == 200)
            try check(names, client)
            #expect(try client.rows("SELECT v FROM m", "&db=..%2F..") == "[[1.0]]")
            checkFiles(directory)
        }
        let server = try TestServer(in: directory)
        defer { withExtendedLifetime(server) {} }
        let client = try server.connect()
        try check(names, client)
        for name in names {
            #expect(try client.post(#"DROP DATABASE "\#(name)""#).status == 200)
        }
        #expect(try client.post("FLUSH").status == 200)
        #expect(try databases(client) == #"[["../.."]]"#)
        checkFiles(directory)
    }

    private func check(_ names: [String], _ client: LoopbackConnection) throws {
        for name in names {
            let rows = try client.rows(
                #"SELECT time, v FROM "\#(name)""#, "&db=\(percentEncoded(name))")
            #expect(rows == stored, "\(name.prefix(20))")
        }
        #expect(try databases(client).filter { $0 == "[" }.count == names.count + 2)
    }

    /// Nothing beside the data directory, and in it only files that are called by numbers.
    private func checkFiles(_ directory: TemporaryDirectory) {
        let files = FileManager.default
        #expect((try? files.contentsOfDirectory(atPath: directory.path)) == ["data"])
        let known =
            /LOCK|MANIFEST(\.\w+)*|log(\/(spare-)?\d+\.\w+)?|catalog(\/\d+(\.\w+)+)?|data(\/\d+(\/-?\d+(\/\d+(\.\w+)+)?)?)?/
        let paths = files.subpaths(atPath: directory.path + "/data") ?? []
        #expect(paths.contains { $0.hasSuffix(".segment") })
        for path in paths { #expect(path.wholeMatch(of: known) != nil, "\(path.prefix(80))") }
    }
}
