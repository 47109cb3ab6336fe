// Whatever is refused, and by whom: status, headers and the very members of the body, since each
// family's clients parse them.

import Apus
import ApusServer
import ApusStorage
import ApusTestKit
import Foundation
import Testing

/// One request that is refused.
private struct Refused {
    var status: Int
    var target: String
    var method = "POST"
    var headers: [String: String] = [:]
    var text = ""
}

private let writer = ["Authorization": "Token writer"]
private let reader = ["Authorization": "Token reader"]

@Suite(.serialized) struct `Refusals by family` {
    private static let writes = ["/write?db=a", "/api/v2/write?bucket=a", "/api/v3/write_lp?db=a"]
    private static let all = writes + ["/query?q=SHOW+DATABASES", "/x/y/write", "/x/api/v2/write"]
    private static let line = "m v=1 1"

    private static func server(
        _ change: (inout ServerOptions) throws -> Void = { _ in }
    ) throws -> TestServer {
        try TestServer {
            $0.tokens = try TokenTable(text: "reader read\nwriter write\nadmin admin")
            try change(&$0)
        }
    }

    /// Asks on a connection of its own, since a refusal may end it.
    private static func check(_ refused: Refused, at server: TestServer) throws {
        let place = "\(refused.method) \(refused.target) \(refused.status)"
        let answer = try server.connect().request(
            refused.method, refused.target, headers: refused.headers, text: refused.text)
        #expect(answer.status == refused.status, "\(place): \(answer.text)")
        #expect(answer.headers["content-type"] == "application/json", "\(place)")
        let parsed = try JSONSerialization.jsonObject(with: Data(answer.body))
        let body = try #require(parsed as? [String: Any], "\(place)")
        if refused.target.contains("/api/v2/") {
            let codes = [
                400: "invalid", 401: "unauthorized", 403: "forbidden", 404: "not found",
                405: "method not allowed", 413: "request too large", 503: "unavailable",
            ]
            #expect(Set(body.keys) == ["code", "message"], "\(place): \(answer.text)")
            #expect(body["code"] as? String == codes[refused.status], "\(place): \(answer.text)")
            #expect((body["message"] as? String)?.isEmpty == false, "\(place)")
            #expect(answer.headers["x-influxdb-error"] == nil, "\(place)")
        } else if refused.target.contains("/api/v3/") {
            #expect(Set(body.keys) == ["error", "data"], "\(place): \(answer.text)")
            #expect((body["error"] as? String)?.isEmpty == false, "\(place)")
            #expect(answer.headers["x-influxdb-error"] == nil, "\(place)")
        } else {
            #expect(Set(body.keys) == ["error"], "\(place): \(answer.text)")
            let error = try #require(body["error"] as? String, "\(place): \(answer.text)")
            #expect(!error.isEmpty && answer.headers["x-influxdb-error"] == error, "\(place)")
        }
        switch refused.status {
        case 401: #expect(answer.headers["www-authenticate"] != nil, "\(place)")
        case 405: #expect(answer.headers["allow"]?.contains("POST") == true, "\(place)")
        case 503: #expect(answer.headers["retry-after"].flatMap { Int($0) } ?? 0 > 0, "\(place)")
        default: break
        }
    }

    @Test func `401, 403 and 405 have the family's body and header`() throws {
        let server = try Self.server()
        for target in Self.all {
            try Self.check(Refused(status: 401, target: target, text: Self.line), at: server)
            try Self.check(
                Refused(status: 401, target: target, headers: ["Authorization": "Token none"]),
                at: server)
            let foreign = writer.merging(["Origin": "http://evil.example"]) { $1 }
            try Self.check(Refused(status: 403, target: target, headers: foreign), at: server)
            try Self.check(
                Refused(status: 405, target: target, method: "PUT", headers: writer), at: server)
            guard target.contains("write") else { continue }
            try Self.check(
                Refused(status: 403, target: target, headers: reader, text: Self.line), at: server)
            try Self.check(
                Refused(status: 405, target: target, method: "GET", headers: writer), at: server)
        }
        for statement in ["CREATE+DATABASE+x", "DROP+DATABASE+x"] {
            try Self.check(
                Refused(status: 403, target: "/query?q=\(statement)", headers: reader), at: server)
        }
        withExtendedLifetime(server) {}
    }

    @Test func `404 of a database that a write may not make has the family's body and header`()
        throws
    {
        let server = try Self.server { $0.store.storage.createDatabases = false }
        for target in Self.writes {
            try Self.check(
                Refused(status: 404, target: target, headers: writer, text: Self.line), at: server)
        }
        // No endpoint, but a family.
        try Self.check(
            Refused(status: 404, target: "/api/v2/query", headers: writer), at: server)
        try Self.check(
            Refused(status: 404, target: "/x/api/v3/query_sql", headers: writer), at: server)
        withExtendedLifetime(server) {}
    }

    @Test func `413 has the family's body and header`() throws {
        let server = try Self.server {
            $0.writeBodyBytesMax = 100
            $0.statementBytesMax = 100
        }
        let long = String(repeating: "x", count: 200)
        for target in Self.writes + ["/query"] {
            try Self.check(
                Refused(status: 413, target: target, headers: writer, text: long), at: server)
        }
        withExtendedLifetime(server) {}
    }

    @Test func `503 has the family's body and header, and says when to come again`() throws {
        let server = try Self.server {
            $0.receivingBytesMax = 0
            $0.store.waitingQueriesMax = 0
        }
        for target in Self.writes {
            try Self.check(
                Refused(status: 503, target: target, headers: writer, text: Self.line), at: server)
        }
        try Self.check(
            Refused(status: 503, target: "/query?q=SHOW+DATABASES", headers: reader), at: server)
        withExtendedLifetime(server) {}
    }
}
