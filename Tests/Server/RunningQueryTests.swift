// A query that truly runs is ended by its timeout, and by its client's going.

import ApusServer
import ApusTestKit
import Glibc
import Testing

/// Rows whose strings take the expressions below seconds each: a query over all of them would take
/// many minutes. Each is a series of its own, so that a scan comes to a new one often.
private let rowCount = 120
private let slowStatement: String = {
    // Too many states for an automaton that remembers each, so every byte is tried in all of them.
    let patterns = (0..<16).map { "s ~ 'a[ab]{\(300 + $0)}c'" }
    return "SELECT count(*) FROM t WHERE " + patterns.joined(separator: " OR ")
}()

@Suite(.serialized) struct `Queries that run for long` {
    private func filled() throws -> TestServer {
        let server = try TestServer()
        var random = SeededRandom(seed: 7)
        let bytes = (0..<65_536).map { _ in UInt8(ascii: "a") + UInt8(random.below(2)) }
        let value = String(decoding: bytes, as: UTF8.self)
        let text = (0..<rowCount).map { "t,k=\($0) s=\"\(value)\" 1700000000000000000" }
            .joined(separator: "\n")
        let answer = try server.connect().request("POST", "/write", text: text)
        guard answer.status == 204 else { throw ClientFault("\(answer.text)") }
        return server
    }

    private func running(_ client: LoopbackConnection) throws -> Int? {
        usleep(10_000)
        let text = try client.request("GET", "/metrics").text
        let line = text.split(separator: "\n").first { $0.hasPrefix("apus_queries_running ") }
        return line?.split(separator: " ").last.flatMap { Int($0) }
    }

    private func becomes(_ expected: Int, _ client: LoopbackConnection) throws -> Bool {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(60)
        while clock.now < deadline {
            if try running(client) == expected { return true }
        }
        return false
    }

    @Test func `end at their timeout with 504 and an error of ours`() throws {
        let server = try filled()
        defer { withExtendedLifetime(server) {} }
        let client = try LoopbackConnection(port: server.port, timeoutSeconds: 120)
        let answer = try client.sql(slowStatement, "&timeout=200ms")
        #expect(answer.status == 504, "\(answer.text)")
        #expect(
            answer.text.hasPrefix(#"{"error":{"code":"timeout","message":"#)
                && answer.text.contains("200 ms"), "\(answer.text)")
        #expect(try becomes(0, client))
        #expect(try client.rows("SELECT count(*) FROM t") == "[[\(rowCount)]]")
    }

    @Test func `end when their client goes`() throws {
        let server = try filled()
        defer { withExtendedLifetime(server) {} }
        let client = try server.connect()
        do {
            let leaving = try server.connect()
            try leaving.send(
                "GET /sql?timeout=1h&q=\(percentEncoded(slowStatement)) HTTP/1.1\r\n"
                    + "Host: 127.0.0.1\r\n\r\n")
            #expect(try becomes(1, client))
            #expect(!leaving.hasAnswer(withinMilliseconds: 0))
        }
        #expect(try becomes(0, client))
        #expect(try client.rows("SELECT count(*) FROM t") == "[[\(rowCount)]]")
    }
}
