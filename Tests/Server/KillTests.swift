// SHOW QUERIES and KILL over sockets: queries that run, that wait for a thread, and that wait for
// their reader.

import Apus
import ApusServer
import ApusTestKit
import Glibc
import Testing

/// A trillion rows.
private let endless = "SELECT count(*) FROM t a, t b, t c, t d"

/// A row of SHOW QUERIES.
private struct Listed: Equatable {
    var id: Int
    var database: String
    var client: String
    var started: String
    var elapsed: String
    var state: String
    var text: String
}

extension LoopbackConnection {
    fileprivate func queries(token: String? = nil) throws -> [Listed] {
        let headers = token.map { ["Authorization": "Bearer \($0)"] } ?? [:]
        let answer = try sql("SHOW QUERIES", "&format=csv", headers: headers)
        guard answer.status == 200 else { throw ClientFault(answer.text) }
        return answer.text.split(separator: "\n").dropFirst().map { line in
            let cells = line.split(separator: ",", maxSplits: 6, omittingEmptySubsequences: false)
                .map(String.init)
            return Listed(
                id: Int(cells[0]) ?? 0, database: cells[1], client: cells[2], started: cells[3],
                elapsed: cells[4], state: cells[5], text: cells[6].filter { $0 != "\"" })
        }
    }

    /// What is listed, once the states are these.
    fileprivate func queries(become states: [String], token: String? = nil) throws -> [Listed] {
        for _ in 0..<3_000 {
            let queries = try queries(token: token)
            if queries.map(\.state) == states { return queries }
            usleep(10_000)
        }
        throw ClientFault("never \(states) but \(try queries(token: token))")
    }

    /// Sends a statement without waiting for its answer.
    fileprivate func begin(_ statement: String, _ more: String = "", token: String? = nil) throws {
        let authorization = token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        try send(
            "GET /sql?timeout=1h&q=\(percentEncoded(statement))\(more) HTTP/1.1\r\n"
                + "Host: 127.0.0.1\r\n\(authorization)\r\n")
    }

    fileprivate func kill(_ id: Int, token: String? = nil) throws -> HTTPAnswer {
        let headers = token.map { ["Authorization": "Bearer \($0)"] } ?? [:]
        return try request("POST", "/sql", headers: headers, text: "KILL QUERY \(id)")
    }
}

private func filled(
    _ more: String = "", _ change: (inout ServerOptions) throws -> Void = { _ in }
) throws -> TestServer {
    let server = try TestServer(change)
    let lines = (0..<1_000).map { "t v=\($0)i \($0)\n" }.joined()
    let answer = try server.connect().request("POST", "/write?\(more)", text: lines)
    guard answer.status == 204 else { throw ClientFault(answer.text) }
    return server
}

@Suite(.serialized) struct `Queries under way` {
    @Test func `are listed, and end with a status that nobody retries when they are killed`()
        throws
    {
        let server = try filled()
        let (client, busy) = (try server.connect(), try server.connect())
        #expect(try client.queries() == [])
        try busy.begin("  \(endless)\n", "&db=default")
        let query = try #require(try client.queries(become: ["running"]).first)
        #expect(query.id > 0 && query.database == "default" && query.text == endless)
        #expect(query.client.hasPrefix("127.0.0.1:"))
        #expect(query.started.hasPrefix("20") && query.started.hasSuffix("Z"))
        #expect(query.elapsed.hasPrefix("00:00:"), "\(query.elapsed)")

        let killed = try client.kill(query.id)
        #expect(killed.status == 200 && killed.text.hasPrefix(#"{"columns":[],"rows":[],"#))
        let answer = try busy.answer()
        #expect(answer.status == 409 && answer.headers["retry-after"] == nil)
        #expect(
            answer.text
                == #"{"error":{"code":"killed","message":"query \#(query.id) was ended by KILL"}}"#
                + "\n")
        #expect(try client.queries() == [], "whoever has the answer finds the query gone")
        // Its connection goes on, and its number is not used again.
        #expect(try busy.rows("SELECT 1") == "[[1]]")
        let again = try client.kill(query.id)
        #expect(again.status == 404)
        #expect(
            again.text.hasPrefix(
                #"{"error":{"code":"unknown_query","message":"no query \#(query.id) is running""#),
            "\(again.text)")
        withExtendedLifetime(server) {}
    }

    @Test func `SHOW QUERIES and KILL need no place, and end queries that wait for one`() throws {
        let server = try filled { $0.store.concurrentQueriesMax = 1 }
        let client = try server.connect()
        let (busy, waiting) = (try server.connect(), try server.connect())
        try busy.begin(endless)
        _ = try client.queries(become: ["running"])
        try waiting.begin("SELECT 1")
        let queries = try client.queries(become: ["running", "waiting"])
        #expect(queries.map(\.text) == [endless, "SELECT 1"])

        #expect(try client.kill(queries[1].id).status == 200)
        let answer = try waiting.answer()
        #expect(answer.status == 409 && answer.text.contains("query \(queries[1].id) was ended"))
        #expect(try client.queries().map(\.id) == [queries[0].id])
        #expect(!busy.hasAnswer(withinMilliseconds: 0))

        #expect(try client.kill(queries[0].id).status == 200)
        #expect(try busy.answer().status == 409)
        // What was ended while it waited takes no place.
        #expect(try waiting.rows("SELECT 2") == "[[2]]")
        #expect(try client.queries() == [])
        withExtendedLifetime(server) {}
    }

    @Test func `leave the list when their client goes, running or waiting`() throws {
        let server = try filled { $0.store.concurrentQueriesMax = 1 }
        let client = try server.connect()
        var busy: LoopbackConnection? = try server.connect()
        try busy?.begin(endless)
        _ = try client.queries(become: ["running"])
        do {
            let waiting = try server.connect()
            try waiting.begin("SELECT 1")
            _ = try client.queries(become: ["running", "waiting"])
        }
        _ = try client.queries(become: ["running"])
        busy = nil
        _ = try client.queries(become: [])
        withExtendedLifetime(server) {}
    }

    /// More than four pieces and the buffers of both sockets hold.
    private func stalled(_ server: TestServer, _ format: String) throws -> (LoopbackConnection, Int)
    {
        let (client, reader) = (try server.connect(), try server.connect())
        try reader.begin(
            "SELECT a.v, b.v AS w, 'text' AS s FROM t a, t b, t c", "&format=\(format)")
        // Until it stays so: both sockets' buffers are full.
        var looks = 0
        for _ in 0..<600 where looks < 5 {
            looks = try client.queries().map(\.state) == ["sending"] ? looks + 1 : 0
            usleep(50_000)
        }
        #expect(looks == 5)
        let id = try #require(try client.queries().first?.id)
        #expect(try client.kill(id).status == 200)
        // Long before the reader is given up, and though it still reads nothing.
        _ = try client.queries(become: [])
        return (reader, id)
    }

    @Test func `that wait for their reader end at once, and tell it`() throws {
        let server = try filled()
        let (json, id) = try stalled(server, "json")
        let answer = try json.answer()
        #expect(answer.status == 200 && answer.text.hasPrefix(#"{"columns":[{"name":"v""#))
        #expect(
            answer.text.hasSuffix(
                #"],"error":{"code":"killed","message":"query \#(id) was ended by KILL"}}"# + "\n"),
            "\(answer.text.suffix(200))")
        let (ndjson, number) = try stalled(server, "ndjson")
        let lines = try ndjson.answer().text.split(separator: "\n")
        #expect(
            lines.last
                == #"{"error":{"code":"killed","message":"query \#(number) was ended by KILL"}}"#)
        let (csv, _) = try stalled(server, "csv")
        #expect(throws: ClientFault.self) { try csv.answer() }
        withExtendedLifetime(server) {}
    }

    @Test func `are nobody's but their token's and the administrators'`() throws {
        let server = try filled("db=a&p=owner") {
            $0.tokens = try TokenTable(
                text: """
                    owner admin
                    owner-a admin a
                    owner-b admin b
                    reader read
                    other read
                    local read a
                    writer write
                    """)
        }
        let (client, wide, narrow) = (
            try server.connect(), try server.connect(), try server.connect()
        )
        try wide.begin(endless, "&db=a", token: "reader")
        _ = try client.queries(become: ["running"], token: "owner")
        try narrow.begin(endless, "&db=a", token: "local")
        let queries = try client.queries(become: ["running", "running"], token: "owner")
        let (first, second) = (queries[0].id, queries[1].id)
        for (token, seen) in [
            ("owner", [first, second]), ("owner-a", [second]), ("owner-b", []),
            ("reader", [first]), ("local", [second]), ("other", []),
        ] {
            #expect(try client.queries(token: token).map(\.id) == seen, "\(token)")
            for id in [first, second] where !seen.contains(id) {
                let answer = try client.kill(id, token: token)
                #expect(answer.status == 404 && answer.text.contains("no query \(id)"), "\(token)")
            }
        }
        for (token, status) in [("writer", 403), ("nobody", 401)] {
            #expect(try client.kill(first, token: token).status == status)
            let shown = try client.sql(
                "SHOW QUERIES", headers: ["Authorization": "Bearer \(token)"])
            #expect(shown.status == status, "\(shown.text)")
        }
        #expect(try client.queries(token: "owner").count == 2, "nothing of that ended one")
        #expect(try client.kill(second, token: "owner-a").status == 200)
        #expect(try narrow.answer().status == 409)
        #expect(try client.kill(first, token: "reader").status == 200)
        #expect(try wide.answer().status == 409)
        withExtendedLifetime(server) {}
    }
}

@Suite(.serialized) struct `Slow statements` {
    private func count(_ client: LoopbackConnection) throws -> String? {
        try client.request("GET", "/metrics").text.split(separator: "\n")
            .last { $0.hasPrefix("apus_slow_queries_total ") }.map(String.init)
    }

    @Test func `are logged with what they did, and counted`() throws {
        let log = LogLines()
        let server = try TestServer(log: log) { $0.slowQueryNanoseconds = 1 }
        let client = try server.connect()
        let lines = (0..<3).map { "t v=\($0)i \($0)\n" }.joined()
        #expect(try client.request("POST", "/write?db=plant", text: lines).status == 204)
        #expect(try client.post("SELECT v FROM t", "db=plant").status == 200)
        #expect(try client.post("SELECT nope\nFROM t", "db=plant").status == 400)
        let texts = log.all.filter { $0.contains("slow query") }
        try #require(texts.count == 2, "\(log.all)")
        #expect(texts[0].hasPrefix("warning slow query: id=1 duration_ms="), "\(texts)")
        #expect(
            texts[0].contains(#" database="plant" client="127.0.0.1:"#)
                && texts[0].contains(" rows=3 bytes=")
                && texts[0].hasSuffix(#" query="SELECT v FROM t""#), "\(texts[0])")
        let bytes = texts[0].split(separator: " ").first { $0.hasPrefix("bytes=") }
        #expect(bytes.flatMap { Int($0.dropFirst(6)) } ?? 0 > 100)
        #expect(
            texts[1].hasSuffix(
                #" rows=0 bytes=0 error=unknown_column query="SELECT nope\nFROM t""#),
            "\(texts[1])")
        #expect(try count(client) == "apus_slow_queries_total 2")
        withExtendedLifetime(server) {}
    }

    @Test func `are no others, and none when it is off`() throws {
        for limit in [3_600_000_000_000, nil] as [Int64?] {
            let log = LogLines()
            let server = try TestServer(log: log) { $0.slowQueryNanoseconds = limit }
            let client = try server.connect()
            #expect(try client.post("SELECT 1").status == 200)
            #expect(!log.all.contains { $0.contains("slow query") })
            #expect(try count(client) == "apus_slow_queries_total 0")
            withExtendedLifetime(server) {}
        }
    }

    @Test func `say that they were killed, in time or while they waited`() throws {
        let log = LogLines()
        let server = try TestServer(log: log) {
            $0.slowQueryNanoseconds = 50_000_000
            $0.store.concurrentQueriesMax = 1
        }
        let client = try server.connect()
        let lines = (0..<1_000).map { "t v=\($0)i \($0)\n" }.joined()
        #expect(try client.request("POST", "/write", text: lines).status == 204)
        let (busy, waiting) = (try server.connect(), try server.connect())
        try busy.begin(endless)
        _ = try client.queries(become: ["running"])
        try waiting.begin("SELECT 7")
        let queries = try client.queries(become: ["running", "waiting"])
        usleep(100_000)
        for query in queries.reversed() { #expect(try client.kill(query.id).status == 200) }
        for connection in [waiting, busy] { #expect(try connection.answer().status == 409) }
        let texts = log.all.filter { $0.contains("error=killed") }
        #expect(texts.count == 2, "\(log.all)")
        #expect(texts.first?.hasSuffix(#" query="SELECT 7""#) == true, "\(texts)")
        #expect(texts.last?.hasSuffix(#" query="\#(endless)""#) == true, "\(texts)")
        withExtendedLifetime(server) {}
    }

    @Test func `stay on their line and command no terminal`() {
        #expect(
            SlowQueryText.quoted("a \"b\" \\ \n\r\t\u{1B}[31m \u{85}\u{2028}\u{202E} é 漢")
                == #""a \"b\" \\ \n\r\t\u{1b}[31m \u{85}\u{2028}\u{202e} é 漢""#)
    }
}
