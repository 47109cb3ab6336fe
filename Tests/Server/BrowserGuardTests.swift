// What a web page could make a visitor's browser send: refused on every endpoint, token or not.

import ApusServer
import ApusTestKit
import Glibc
import Testing

@Suite(.serialized) struct `Foreign origins and unexpected hosts` {
    private static let line = "m v=1 1700000000000000000"
    private static let requests = [
        ("POST", "/write?db=a", line, #"{"error":""#),
        ("POST", "/x/write?db=a", line, #"{"error":""#),
        ("POST", "/api/v2/write?bucket=a", line, #"{"code":"forbidden""#),
        ("POST", "/api/v3/write_lp?db=a", line, #"{"error":""#),
        ("POST", "/query?q=CREATE+DATABASE+a", "", #"{"error":""#),
        ("GET", "/query?q=SHOW+DATABASES", "", #"{"error":""#),
        ("POST", "/sql", "CREATE DATABASE a", #"{"error":{"code":""#),
        ("GET", "/sql?q=SELECT+1", "", #"{"error":{"code":""#),
        ("GET", "/metrics", "", #"{"error":{"code":""#),
    ]

    private func server(withTokens: Bool) throws -> TestServer {
        try TestServer {
            $0.allowedHosts = ["db.example"]
            if withTokens { $0.tokens = try TokenTable(text: "owner admin") }
        }
    }

    @Test(arguments: [false, true])
    func `are refused, and change nothing`(_ withTokens: Bool) throws {
        let server = try server(withTokens: withTokens)
        defer { withExtendedLifetime(server) {} }
        let client = try server.connect()
        let token = ["Authorization": "Bearer owner"]
        let own = "127.0.0.1:\(server.port)"
        let origins = [
            "http://evil.example", "https://evil.example", "null", "http://127.0.0.1",
            "http://127.0.0.1:1", "http://localhost:\(server.port)", "http://[::1]:\(server.port)",
            "http://\(own).evil.example", "http://evil.example/http://\(own)", "\(own)", "",
        ].map { ["Host": own, "Origin": $0] }
        let hosts = [
            "evil.example", "evil.example:\(server.port)", "127.0.0.1.evil.example",
            "localhost.evil.example", "[::1].evil.example", "xlocalhost", "db.example.evil",
        ].map { ["Host": $0] }
        // A page of a host that was made to resolve to this machine is of that host's origin.
        let rebound = [["Host": "evil.example", "Origin": "http://evil.example"]]
        for headers in origins + hosts + rebound {
            for (method, target, body, start) in Self.requests {
                let answer = try client.request(
                    method, target, headers: headers.merging(token) { $1 }, text: body)
                #expect(
                    answer.status == 403 && answer.text.hasPrefix(start),
                    "\(method) \(target) \(headers): \(answer.status) \(answer.text)")
            }
        }
        let shown = try client.sql("SHOW DATABASES", headers: token)
        #expect(shown.status == 200 && shown.text.contains(#""rows":[]"#), "\(shown.text)")
    }

    @Test(arguments: [false, true])
    func `this machine's names and addresses are neither`(_ withTokens: Bool) throws {
        let server = try server(withTokens: withTokens)
        defer { withExtendedLifetime(server) {} }
        let client = try server.connect()
        var machine = [CChar](repeating: 0, count: 256)
        gethostname(&machine, 255)
        let own = String(
            decoding: machine.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        #expect(!own.isEmpty)
        for host in [
            "localhost", "LOCALHOST", "localhost:\(server.port)", "127.0.0.1",
            "127.0.0.1:\(server.port)", "[::1]", "[::1]:8086", "192.0.2.1:80", own, own + ":8086",
            "db.example", "DB.example:443",
        ] {
            for origin in [nil, "http://\(host)", "https://\(host)"] {
                var headers = ["Host": host, "Authorization": "Bearer owner"]
                headers["Origin"] = origin
                for (method, target, body, _) in Self.requests {
                    let answer = try client.request(method, target, headers: headers, text: body)
                    let exists = answer.text.contains("exists already")
                    #expect(
                        answer.status / 100 == 2 || exists,
                        "\(method) \(target) \(headers): \(answer.status) \(answer.text)")
                }
            }
        }
    }
}
