// `/sql` over a socket: what it takes, clause by clause of its description.

import Apus
import ApusServer
import ApusTestKit
import Testing

private let lines = """
    t,host=a v=1.5,n=9223372036854775807i,u=18446744073709551615u 1767225600000000000
    t,host=b,empty=x v=2.5,s="" 1767225600123456789
    """

@Suite(.serialized) struct `The parameters of sql` {
    private func filled(_ database: String = "default") throws -> (TestServer, LoopbackConnection) {
        let server = try TestServer()
        let client = try server.connect()
        let answer = try client.request("POST", "/write?db=\(database)", text: lines)
        #expect(answer.status == 204)
        return (server, client)
    }

    @Test func `the statement is q, the body, or q in a form`() throws {
        let (server, client) = try filled()
        defer { withExtendedLifetime(server) {} }
        let expected = #""rows":[[2]],"#
        let statement = "SELECT count(*) FROM t"
        let form = ["Content-Type": "application/x-www-form-urlencoded"]
        let q = "q=\(percentEncoded(statement))"
        for answer in [
            try client.sql(statement), try client.post(statement),
            try client.request("POST", "/sql?\(q)", text: ""),
            try client.request("POST", "/sql", headers: form, text: q + "&epoch=ns"),
            // curl -d says that it is a form, whatever it is.
            try client.request("POST", "/sql", headers: form, text: statement),
        ] {
            #expect(answer.status == 200 && answer.text.contains(expected), "\(answer.text)")
        }
        for answer in [
            try client.request("GET", "/sql"), try client.request("GET", "/sql?q="),
            try client.post(""), try client.request("POST", "/sql", body: [0x53, 0xFF]),
        ] {
            #expect(answer.status == 400 && answer.text.contains(#""code":"syntax""#))
        }
    }

    @Test func `where series come from is asked without a statement`() throws {
        let (server, client) = try filled("fleet")
        defer { withExtendedLifetime(server) {} }
        let tables = try client.request("GET", "/cardinality?db=fleet")
        #expect(tables.status == 200)
        #expect(tables.text.contains(#"["t","host",2,2],["t","empty",2,1]"#), "\(tables.text)")
        let values = try client.request("GET", "/cardinality?db=fleet&table=t&limit=1")
        #expect(values.text.contains(#""rows":[["host","a",2,1]]"#), "\(values.text)")
        #expect(try client.request("GET", "/cardinality?db=fleet&table=no%22pe").status == 404)
        #expect(try client.request("POST", "/cardinality?db=fleet", text: "").status == 405)
    }

    @Test func `one statement a request`() throws {
        let (server, client) = try filled()
        defer { withExtendedLifetime(server) {} }
        #expect(try client.sql("SELECT 1;").status == 200)
        for text in ["SELECT 1; SELECT 2", "DROP TABLE t; SELECT 1", "SELECT 1 SELECT 2"] {
            let answer = try client.post(text)
            #expect(answer.status == 400 && answer.text.contains(#""code":"syntax""#), "\(text)")
        }
        #expect(try client.rows("SELECT count(*) FROM t") == "[[2]]")
    }

    @Test func `db is the database and default unless told`() throws {
        let (server, client) = try filled("other")
        defer { withExtendedLifetime(server) {} }
        #expect(try client.rows("SELECT count(*) FROM t", "&db=other") == "[[2]]")
        let missing = try client.sql("SELECT 1 FROM t")
        #expect(missing.status == 404 && missing.text.contains(#""code":"unknown_table""#))
        let unknown = try client.sql("SELECT 1 FROM t", "&db=nowhere")
        #expect(unknown.status == 404 && unknown.text.contains(#""code":"unknown_database""#))
        // A row brings it into being, as a line does.
        let statement = percentEncoded("INSERT INTO t (time, v) VALUES (1, 7)")
        let stored = try client.request("POST", "/sql?db=nowhere&q=\(statement)", text: "")
        #expect(stored.status == 200, "\(stored.text)")
        #expect(try client.rows("SELECT v FROM t", "&db=nowhere") == "[[7]]")
    }

    @Test func `epoch gives times as text or as a number of each unit`() throws {
        let (server, client) = try filled()
        defer { withExtendedLifetime(server) {} }
        for (unit, first, second) in [
            ("", #""2026-01-01T00:00:00Z""#, #""2026-01-01T00:00:00.123456789Z""#),
            ("rfc3339", #""2026-01-01T00:00:00Z""#, #""2026-01-01T00:00:00.123456789Z""#),
            ("ns", "1767225600000000000", "1767225600123456789"),
            ("us", "1767225600000000", "1767225600123456"),
            ("ms", "1767225600000", "1767225600123"), ("s", "1767225600", "1767225600"),
        ] {
            let more = unit.isEmpty ? "" : "&epoch=\(unit)"
            let rows = try client.rows("SELECT time FROM t ORDER BY time", more)
            #expect(rows == "[[\(first)],[\(second)]]", "\(unit)")
            let csv = try client.sql("SELECT time FROM t ORDER BY time", more + "&format=csv").text
            #expect(csv == "time\n\(first)\n\(second)\n".filter { $0 != "\"" }, "\(unit)")
        }
        // Before 1970 a unit is rounded down, not towards zero.
        #expect(try client.rows("SELECT to_timestamp(-0.5)", "&epoch=s") == "[[-1]]")
        #expect(try client.sql("SELECT 1", "&epoch=h").status == 400)
    }

    @Test func `tz is the zone of literals without offset and of days`() throws {
        let (server, client) = try filled()
        defer { withExtendedLifetime(server) {} }
        let statement = "SELECT TIMESTAMP '2026-01-01' AS t, TIMESTAMP '2026-01-01+00' AS u"
        let zone = "&tz=Europe%2FBerlin"
        #expect(
            try client.rows(statement, zone)
                == #"[["2025-12-31T23:00:00Z","2026-01-01T00:00:00Z"]]"#)
        #expect(
            try client.rows(statement)
                == #"[["2026-01-01T00:00:00Z","2026-01-01T00:00:00Z"]]"#)
        let wrong = try client.sql("SELECT 1", "&tz=Nowhere%2FLand")
        #expect(wrong.status == 400, "\(wrong.text)")
    }

    @Test func `params are values in order`() throws {
        let (server, client) = try filled()
        defer { withExtendedLifetime(server) {} }
        let parameters = percentEncoded(#"["b", 2, null, "x'; DROP TABLE t; --", true]"#)
        #expect(
            try client.rows(
                "SELECT host, v > $2, $3::text, $4, $5 FROM t WHERE host = $1",
                "&params=\(parameters)")
                == #"[["b",true,null,"x'; DROP TABLE t; --",true]]"#)
        for (statement, more) in [
            ("SELECT $2", "&params=%5B1%5D"), ("SELECT $1", ""), ("SELECT $1", "&params=1"),
            ("SELECT $1", "&params=%7B%7D"),
        ] {
            #expect(try client.sql(statement, more).status == 400, "\(statement) \(more)")
        }
    }

    @Test func `a query past its timeout answers 504`() throws {
        let (server, client) = try filled()
        defer { withExtendedLifetime(server) {} }
        let late = try client.sql("SELECT count(*) FROM t", "&timeout=0ms")
        #expect(late.status == 504 && late.text.contains(#""code":"timeout""#), "\(late.text)")
        #expect(try client.sql("SELECT count(*) FROM t", "&timeout=10s").status == 200)
        #expect(try client.sql("SELECT 1", "&timeout=soon").status == 400)
    }

    @Test func `SET TimeZone warns, and strict turns the warning into an error`() throws {
        let (server, client) = try filled()
        defer { withExtendedLifetime(server) {} }
        let set = "SET TimeZone = 'Europe/Berlin'"
        let warned = try client.sql(set)
        #expect(warned.status == 200 && warned.text.hasPrefix(#"{"columns":[],"rows":[],"#))
        #expect(
            try warned.part(from: #""warnings":["#, to: #"],"stats""#)
                .contains("tz=Europe/Berlin"))
        let refused = try client.sql(set, "&strict=1")
        #expect(refused.status == 400 && refused.text.contains("tz=Europe/Berlin"))
        #expect(try client.sql("SELECT count(*) FROM t", "&strict=1").status == 200)
        #expect(try client.sql("SET TimeZone = 'Europe/Nowhere'").status == 400)
        #expect(try client.rows("SELECT TIMESTAMP '2026-01-01'") == #"[["2026-01-01T00:00:00Z"]]"#)
    }

    @Test func `GET only reads`() throws {
        let (server, client) = try filled()
        defer { withExtendedLifetime(server) {} }
        for statement in [
            "DROP TABLE t", "CREATE TABLE x (v DOUBLE)", "CREATE DATABASE d", "DROP DATABASE d",
            "INSERT INTO t (v) VALUES (1)", "ALTER DATABASE d SET (retention = '1d')", "FLUSH",
            "COMPACT", "KILL 1", "ALTER TABLE t DROP COLUMN v",
        ] {
            let answer = try client.sql(statement)
            #expect(
                answer.status == 403 && answer.text.contains(#""code":"read_only""#),
                "\(statement): \(answer.text)")
        }
        for statement in [
            "SHOW TABLES", "SHOW QUERIES", "DESCRIBE t", "EXPLAIN ANALYZE SELECT * FROM t",
        ] {
            #expect(try client.sql(statement).status == 200, "\(statement)")
        }
        #expect(try client.rows("SELECT count(*) FROM t") == "[[2]]")
        #expect(try client.rows("SHOW TABLES") == #"[["t"]]"#)
    }
}

@Suite(.serialized) struct `The refusals of sql` {
    @Test func `each kind has its status, code and place`() throws {
        let server = try TestServer()
        let client = try server.connect()
        #expect(try client.request("POST", "/write", text: lines).status == 204)
        for (statement, status, code, place) in [
            ("SELECT 1 FROM t WHERE", 400, "syntax", #""line":1,"column":22"#),
            ("SELECT\n  nope FROM t", 400, "unknown_column", #""line":2,"column":3"#),
            ("SELECT nope(1)", 400, "unknown_function", #""line":1,"column":8"#),
            ("SELECT host + 1 FROM t", 400, "semantic", #""line":1,"column":"#),
            ("SELECT 1 FROM nope", 404, "unknown_table", #""line":1,"column":15"#),
            ("SELECT 1 FROM nope.t", 404, "unknown_database", #""line":1,"column":15"#),
            ("SELECT n * 2 FROM t", 400, "semantic", "::float64"),
            ("SELECT 1 FROM t NATURAL JOIN t", 400, "unsupported", #""line":1,"column":17"#),
        ] {
            let answer = try client.sql(statement)
            #expect(answer.status == status, "\(statement): \(answer.text)")
            #expect(
                answer.text.hasPrefix(#"{"error":{"code":"\#(code)","message":""#)
                    && answer.text.contains(place), "\(statement): \(answer.text)")
            #expect(answer.headers["content-type"] == "application/json")
        }
        withExtendedLifetime(server) {}
    }

    @Test func `without a right there is no answer`() throws {
        let server = try TestServer {
            $0.tokens = try TokenTable(text: "reader read\nwriter write\nlocal read a\nadmin admin")
        }
        let client = try server.connect()
        func status(_ token: String?, _ statement: String, _ more: String = "") throws -> Int {
            let headers = token.map { ["Authorization": "Bearer \($0)"] } ?? [:]
            return try client.request("POST", "/sql?\(more)", headers: headers, text: statement)
                .status
        }
        #expect(try status(nil, "SELECT 1") == 401)
        #expect(try status("nobody", "SELECT 1") == 401)
        #expect(try status("reader", "SELECT 1") == 200)
        #expect(try status("writer", "SELECT 1") == 403)
        #expect(try status("reader", "INSERT INTO t (v) VALUES (1)") == 403)
        #expect(try status("writer", "INSERT INTO t (v) VALUES (1)") == 200)
        #expect(try status("writer", "DROP TABLE t") == 403)
        #expect(try status("admin", "DROP TABLE t") == 200)
        #expect(try status("local", "SHOW TABLES", "db=b") == 403)
        withExtendedLifetime(server) {}
    }

    @Test func `what is too long, too large or too much says so`() throws {
        let server = try TestServer {
            $0.statementBytesMax = 1_000
            $0.store.queryMemoryBytesMax = 200_000
        }
        let client = try server.connect()
        var text = ""
        for row in 0..<20_000 { text += "t v=\(row)i \(row)\n" }
        #expect(try client.request("POST", "/write", text: text).status == 204)
        let budget = try client.sql("SELECT v, count(*) FROM t GROUP BY v")
        #expect(budget.status == 503 && budget.text.contains(#""code":"budget""#))
        let median = try client.sql("SELECT median(v), median(v + 1) FROM t")
        #expect(median.status == 503 && median.text.contains("memory budget"))
        let long = try server.connect()
        let answer = try long.post("SELECT 1 /* \(String(repeating: "x", count: 2_000)) */")
        #expect(answer.status == 413 && answer.text.contains(#""code":"too_large""#))
        withExtendedLifetime(server) {}
    }

    @Test func `a query for which there is no place is told to come again`() throws {
        let server = try TestServer { $0.store.waitingQueriesMax = 0 }
        let answer = try server.connect().sql("SELECT 1")
        #expect(answer.status == 503 && answer.text.contains(#""code":"overloaded""#))
        #expect(answer.headers["retry-after"] == "1")
        withExtendedLifetime(server) {}
    }
}
