// Who may do what: rights and databases of tokens over every endpoint, and senders of lines.

import ApusTestKit
import Glibc
import Testing

private let line = "m,k=a v=1 1700000000000000000"
private let otherLoopback: UInt32 = 0x7F00_0002

/// A server whose databases `a` and `b` have a row each, and a connection to it.
private final class Guarded {
    let directory = TemporaryDirectory()
    let server: ServerProcess
    let client: LoopbackConnection

    init() throws {
        let tokens = directory.path + "/tokens"
        let text = """
            reader read
            writer write
            both read,write
            owner admin
            reader-a read a
            writer-a write a
            owner-a admin a
            accented admin \u{E9}
            with:colon read
            """
        let descriptor = open(tokens, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
        _ = write(descriptor, text, text.utf8.count)
        close(descriptor)
        server = try ServerProcess(
            data: directory.path + "/data", arguments: ["--token-file", tokens])
        client = try LoopbackConnection(port: server.httpPort)
        for database in ["a", "b"] {
            let answer = try ask("owner", "POST", "/write?db=\(database)", line)
            guard answer.status == 204 else { throw ClientFault("\(answer)") }
        }
    }

    func ask(
        _ token: String?, _ method: String, _ target: String, _ body: String = ""
    ) throws -> HTTPAnswer {
        try client.request(
            method, target, headers: token.map { ["Authorization": "Bearer \($0)"] } ?? [:],
            text: body)
    }

    func sql(_ token: String, _ statement: String, _ database: String = "a") throws -> HTTPAnswer {
        try ask(token, "POST", "/sql?db=\(database)", statement)
    }
}

@Suite(.serialized) struct Access {
    @Test func `each right opens its endpoints and no others`() throws {
        let guarded = try Guarded()
        // Which of reader, writer, both and owner may.
        let cases: [(method: String, target: String, body: String, may: [Bool])] = [
            ("POST", "/write?db=a", line, [false, true, true, true]),
            ("POST", "/api/v2/write?bucket=a", line, [false, true, true, true]),
            ("POST", "/api/v3/write_lp?db=a", line, [false, true, true, true]),
            ("GET", "/query?q=SHOW+DATABASES", "", [true, true, true, true]),
            ("POST", "/query?q=CREATE+DATABASE+c", "", [false, true, true, true]),
            ("POST", "/query?q=DROP+DATABASE+c", "", [false, false, false, true]),
            ("GET", "/sql?q=SHOW+DATABASES", "", [true, false, true, true]),
            ("POST", "/sql?db=a", "SELECT v FROM m", [true, false, true, true]),
            ("POST", "/sql?db=a", "EXPLAIN ANALYZE SELECT v FROM m", [true, false, true, true]),
            ("POST", "/sql?db=a", "DESCRIBE m", [true, false, true, true]),
            ("POST", "/sql?db=a", "SHOW TABLES", [true, false, true, true]),
            ("POST", "/sql?db=a", "SHOW QUERIES", [true, false, true, true]),
            (
                "POST", "/sql?db=a", "INSERT INTO m (time, k, v) VALUES (1, 'a', 2)",
                [false, true, true, true]
            ),
            ("POST", "/sql?db=a", "CREATE TABLE IF NOT EXISTS t (v DOUBLE)", Self.onlyOwner),
            ("POST", "/sql?db=a", "/* x */ drop TABLE IF EXISTS t", Self.onlyOwner),
            ("POST", "/sql?db=a", "CREATE DATABASE IF NOT EXISTS d", Self.onlyOwner),
            ("POST", "/sql?db=a", "ALTER DATABASE d SET (retention = '30d')", Self.onlyOwner),
            ("POST", "/sql?db=a", "ALTER TABLE m DROP COLUMN IF EXISTS none", Self.onlyOwner),
            ("POST", "/sql?db=a", "DROP DATABASE IF EXISTS d", Self.onlyOwner),
            ("POST", "/sql?db=a", "FLUSH", Self.onlyOwner),
            ("POST", "/sql?db=a", "COMPACT m", Self.onlyOwner),
            ("GET", "/metrics", "", [true, false, true, true]),
            ("GET", "/ping", "", [true, true, true, true]),
            ("GET", "/health", "", [true, true, true, true]),
            ("GET", "/ready", "", [true, true, true, true]),
        ]
        for (method, target, body, may) in cases {
            let statuses = try ["reader", "writer", "both", "owner"].map {
                try guarded.ask($0, method, target, body).status
            }
            for (status, may) in zip(statuses, may) {
                #expect(
                    may ? status / 100 == 2 : status == 403,
                    "\(method) \(target) \(body): \(statuses)")
            }
            let isOpen = ["/ping", "/health", "/ready"].contains(target)
            for token in [nil, "nobody"] {
                let status = try guarded.ask(token, method, target, body).status
                #expect(isOpen ? status / 100 == 2 : status == 401, "\(method) \(target)")
            }
        }
    }

    private static let onlyOwner = [false, false, false, true]

    @Test func `a token comes in every form that clients send`() throws {
        let guarded = try Guarded()
        for header in [
            "Token reader", "token reader", "Token me:reader", "Bearer reader", "bearer  reader",
            // me:reader, with:colon and me:with:colon.
            "Basic bWU6cmVhZGVy", "Bearer with:colon", "Basic bWU6d2l0aDpjb2xvbg==",
        ] {
            let answer = try guarded.client.request(
                "GET", "/sql?q=SELECT+1", headers: ["Authorization": header])
            #expect(answer.status == 200, "\(header)")
        }
        for target in ["/sql?q=SELECT+1&u=me&p=reader", "/sql?q=SELECT+1&p=reader"] {
            #expect(try guarded.client.request("GET", target).status == 200, "\(target)")
        }
        for header in ["Token readers", "Token reade", "Bearer", "Basic reader", "Digest reader"] {
            let answer = try guarded.client.request(
                "GET", "/sql?q=SELECT+1", headers: ["Authorization": header])
            #expect(answer.status == 401, "\(header)")
        }
        #expect(try guarded.client.request("GET", "/sql?q=SELECT+1&u=reader&p=me").status == 401)
    }

    @Test func `a token for one database reaches no other`() throws {
        let guarded = try Guarded()
        for target in ["/write?db=", "/api/v2/write?bucket=", "/api/v3/write_lp?db="] {
            #expect(try guarded.ask("writer-a", "POST", target + "a", line).status == 204)
            for other in ["b", "new", "A", ""] {
                #expect(try guarded.ask("writer-a", "POST", target + other, line).status == 403)
            }
        }
        #expect(try guarded.ask("writer-a", "POST", "/write?db=a&rp=x", line).status == 403)
        // Strings, comments and columns that sound like a database are none.
        for statement in [
            "SELECT v FROM m WHERE k = 'b'", "SELECT v AS b FROM a.m -- b.m", "SELECT v FROM A.m",
            "SHOW TABLES", "SHOW TABLES FROM a", "DESCRIBE a.m", "SELECT 1",
        ] {
            let answer = try guarded.sql("reader-a", statement)
            #expect(answer.status == 200, "\(statement): \(answer.text)")
        }
        // `none` does not exist, and the answer doesn't tell.
        for name in ["b", "B", #""b""#, "none", "b.public"] {
            for statement in [
                "SELECT v FROM \(name).m", "EXPLAIN SELECT v FROM \(name) . m",
                "DESCRIBE \(name).m", "SHOW TAG KEYS FROM \(name).m",
                "SHOW FIELD KEYS FROM \(name).m", "SHOW SERIES FROM \(name).m",
                "SHOW TAG VALUES FROM \(name).m WITH KEY = k",
            ] {
                let answer = try guarded.sql("reader-a", statement)
                #expect(answer.status == 403, "\(statement): \(answer.text)")
                #expect(answer.text.hasPrefix(#"{"error":{"code":"forbidden""#))
            }
        }
        for (statement, database) in [
            ("SHOW TABLES FROM b", "a"), ("SHOW TABLES", "b"), ("SELECT v FROM m", "b"),
            ("SHOW TABLES", "default"), ("SELECT v FROM m", "default"),
            ("SELECT v FROM public.m", "b"), ("SELECT v FROM m", "none"),
        ] {
            #expect(try guarded.sql("reader-a", statement, database).status == 403, "\(statement)")
        }
        let missing = try guarded.sql("reader-a", "SELECT v FROM none")
        #expect(missing.status == 404, "its own database may be asked for any table")
    }

    @Test func `an administrator of one database changes no other`() throws {
        let guarded = try Guarded()
        for statement in [
            "INSERT INTO b.m (time, k, v) VALUES (1, 'a', 2)",
            "INSERT INTO b.fresh (time, v) VALUES (1, 2)",
            "CREATE TABLE b.t (v DOUBLE)", "DROP TABLE b.m", "DROP TABLE IF EXISTS none.m",
            "CREATE DATABASE c", "CREATE DATABASE IF NOT EXISTS b",
            "ALTER DATABASE b SET (retention = '1d')", "DROP DATABASE b",
            "DROP DATABASE IF EXISTS none", "COMPACT b.m", "COMPACT", "FLUSH",
        ] {
            let answer = try guarded.sql("owner-a", statement)
            #expect(answer.status == 403, "\(statement): \(answer.text)")
        }
        for statement in ["CREATE+DATABASE+c", "CREATE+DATABASE+b", "DROP+DATABASE+b"] {
            #expect(try guarded.ask("owner-a", "POST", "/query?q=\(statement)").status == 403)
        }
        #expect(try guarded.sql("owner", "SELECT v FROM b.m").text.contains("1.0"))
        let shown = try guarded.sql("owner-a", "SHOW DATABASES").text
        #expect(shown.contains(#""rows":[["a"]]"#), "\(shown)")
        let shownToClients = try guarded.ask("owner-a", "GET", "/query?q=SHOW+DATABASES").text
        #expect(shownToClients.contains(#""values":[["a"]]"#), "\(shownToClients)")
        for statement in [
            "CREATE TABLE t (v DOUBLE)", "COMPACT m", "DROP TABLE a.t",
            "ALTER DATABASE a SET (retention = 'none')", "DROP DATABASE a", "CREATE DATABASE a",
        ] {
            let answer = try guarded.sql("owner-a", statement)
            #expect(answer.status == 200, "\(statement): \(answer.text)")
        }
    }

    @Test func `names that look alike are different databases`() throws {
        let guarded = try Guarded()
        // One letter, and a letter with an accent behind it.
        for (encoded, status) in [("%C3%A9", 204), ("e%CC%81", 403)] {
            #expect(
                try guarded.ask("accented", "POST", "/write?db=\(encoded)", line).status == status)
            #expect(
                try guarded.ask("owner", "POST", "/write?db=\(encoded)", line).status == 204)
        }
    }

    @Test func `lines are taken from allowed senders only`() throws {
        let directory = TemporaryDirectory()
        let server = try ServerProcess(
            data: directory.path, arguments: ["--allow", "192.0.2.0/24", "--allow", "127.0.0.1/32"])
        let client = try LoopbackConnection(port: server.httpPort)
        let refused = try LoopbackConnection(port: server.tcpPort, from: otherLoopback)
        // The server may be quicker to close than this is to send.
        try? refused.send("tcp,k=other v=1 1700000000\n")
        #expect((try? refused.isClosedByServer()) ?? true)
        let allowed = try LoopbackConnection(port: server.tcpPort)
        try allowed.send("tcp,k=allowed v=1 1700000000\n")
        // Datagrams of the loopback arrive in order.
        try sendDatagram("udp,k=other v=1 1700000000", port: server.udpPort, from: otherLoopback)
        try sendDatagram("udp,k=allowed v=1 1700000000", port: server.udpPort)
        for table in ["tcp", "udp"] {
            var rows = ""
            for _ in 0..<500 where !rows.contains("allowed") {
                usleep(10_000)
                rows = (try? client.rows("SELECT k FROM \(table)")) ?? ""
            }
            #expect(rows == #"[["allowed"]]"#)
        }
        let metrics = try client.request("GET", "/metrics").text
        #expect(metrics.contains("apus_senders_refused_total 2"))
        // HTTP has tokens instead.
        let http = try LoopbackConnection(port: server.httpPort, from: otherLoopback)
        #expect(try http.request("POST", "/write", text: line).status == 204)
    }
}
