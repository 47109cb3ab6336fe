// Bodies that are too large, broken or cut: nothing of them is stored, whatever came before the end.

import ApusQuery
import ApusServer
import ApusTestKit
import Testing

/// Where lines go in, and how the family's refusals begin.
private let families = [
    (target: "/write?db=", refusal: #"{"error":""#),
    (target: "/api/v2/write?bucket=", refusal: #"{"code":""#),
    (target: "/api/v3/write_lp?db=", refusal: #"{"error":""#),
]

private func lines(_ count: Int) -> [UInt8] {
    Array((0..<count).map { "m,host=h\($0 % 7) v=\($0)i \($0 + 1)\n" }.joined().utf8)
}

private func compressed(_ bytes: [UInt8]) -> [UInt8] {
    let packed = TextWriter(capacity: 1_024)
    bytes.withUnsafeBytes { Deflater().feed($0, isLast: true, into: packed) }
    return Array(packed.bytes)
}

/// Pieces as a client would send them in chunks.
private func pieces(_ bytes: [UInt8], of size: Int) -> [[UInt8]] {
    stride(from: 0, to: bytes.count, by: size).map {
        Array(bytes[$0..<min($0 + size, bytes.count)])
    }
}

@Suite(.serialized) struct `Bodies that are not stored` {
    private static let bytesMax = 200_000

    private static func limited() throws -> TestServer {
        try TestServer { $0.writeBodyBytesMax = bytesMax }
    }

    /// Neither the table nor the database: a refused write creates nothing.
    private static func expectNothing(in database: String, at server: TestServer) throws {
        let answer = try server.connect().sql("SELECT count(*) FROM m", "&db=\(database)")
        #expect(answer.status == 404, "\(database): \(answer.text)")
        #expect(answer.text.contains("unknown_database"), "\(database): \(answer.text)")
    }

    @Test func `a body past the limit is refused, whatever its length was called`() throws {
        let server = try Self.limited()
        let large = lines(20_000)
        #expect(large.count > Self.bytesMax)
        for (number, family) in families.enumerated() {
            func expectTooLarge(_ answer: HTTPAnswer, _ database: String) throws {
                #expect(answer.status == 413, "\(database): \(answer.status) \(answer.text)")
                #expect(answer.text.hasPrefix(family.refusal), "\(database): \(answer.text)")
                #expect(answer.text.contains("\(Self.bytesMax) bytes"), "\(answer.text)")
                try Self.expectNothing(in: database, at: server)
            }
            let target = family.target
            try expectTooLarge(
                try server.connect().request("POST", "\(target)length\(number)", body: large),
                "length\(number)")
            try expectTooLarge(
                try server.connect().chunked(
                    "\(target)chunked\(number)", chunks: pieces(large, of: 10_000)),
                "chunked\(number)")
            // Small on the wire: what counts is what comes out.
            let packed = compressed(large)
            #expect(packed.count < Self.bytesMax)
            try expectTooLarge(
                try server.connect().request(
                    "POST", "\(target)gzip\(number)", headers: ["Content-Encoding": "gzip"],
                    body: packed), "gzip\(number)")
            try expectTooLarge(
                try server.connect().chunked(
                    "\(target)both\(number)", headers: ["Content-Encoding": "gzip"],
                    chunks: pieces(packed, of: 1_000)), "both\(number)")
        }
        withExtendedLifetime(server) {}
    }

    @Test func `a body up to the limit is stored`() throws {
        let server = try Self.limited()
        let client = try server.connect()
        // Empty lines are bytes too, but no rows.
        var exact = lines(100)
        exact += [UInt8](repeating: 0x0A, count: Self.bytesMax - exact.count)
        for (number, family) in families.enumerated() {
            for (kind, answer) in [
                (
                    "length",
                    try client.request("POST", "\(family.target)length\(number)", body: exact)
                ),
                (
                    "chunked",
                    try client.chunked(
                        "\(family.target)chunked\(number)", chunks: pieces(exact, of: 10_000))
                ),
                (
                    "gzip",
                    try client.request(
                        "POST", "\(family.target)gzip\(number)",
                        headers: ["Content-Encoding": "gzip"], body: compressed(exact))
                ),
            ] {
                #expect(answer.status == 204, "\(kind): \(answer.text)")
                #expect(
                    try client.rows("SELECT count(*) FROM m", "&db=\(kind)\(number)") == "[[100]]")
            }
        }
        withExtendedLifetime(server) {}
    }

    @Test func `a large body that breaks near its end stores none of its lines`() throws {
        let server = try TestServer()
        let whole = lines(50_000)
        let packed = compressed(whole)
        var changed = packed
        changed[packed.count - 8] ^= 1
        var deflate = packed
        for index in (packed.count - 300)..<(packed.count - 200) { deflate[index] = 0xFF }
        for (number, family) in families.enumerated() {
            for (kind, body) in [
                ("checksum", changed), ("deflate", deflate), ("cut", Array(packed.dropLast(100))),
            ] {
                let database = "\(kind)\(number)"
                let answer = try server.connect().chunked(
                    family.target + database, headers: ["Content-Encoding": "gzip"],
                    chunks: pieces(body, of: 8_192))
                #expect(answer.status == 400, "\(database): \(answer.text)")
                #expect(answer.text.hasPrefix(family.refusal), "\(database): \(answer.text)")
                try Self.expectNothing(in: database, at: server)
            }
            let client = try server.connect()
            try client.send(
                "POST \(family.target)chunk\(number) HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for piece in pieces(whole, of: 50_000) {
                try client.send(Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece)
                try client.send("\r\n")
            }
            try client.send("no number\r\n")
            let answer = try client.answer()
            #expect(answer.status == 400 && answer.text.hasPrefix(family.refusal), "\(answer)")
            try Self.expectNothing(in: "chunk\(number)", at: server)
        }
        withExtendedLifetime(server) {}
    }

    @Test func `a client that is gone in the middle of its body has stored nothing`() throws {
        let server = try TestServer()
        let body = lines(2_000)
        for (number, family) in families.enumerated() {
            for (kind, head, sent) in [
                ("length", "Content-Length: \(body.count + 1)", body),
                (
                    "chunked", "Transfer-Encoding: chunked",
                    Array("\(String(body.count, radix: 16))\r\n".utf8) + body + [0x0D, 0x0A]
                ),
            ] {
                let database = "\(kind)\(number)"
                let client = try server.connect()
                try client.send(
                    "POST \(family.target)\(database) HTTP/1.1\r\nHost: localhost\r\n\(head)\r\n\r\n"
                )
                try client.send(sent)
                client.endSending()
                // The server has seen the end once it closes its side; an answer is no success.
                if let answer = try? client.answer() { #expect(answer.status >= 400, "\(answer)") }
                #expect(try client.isClosedByServer())
                try Self.expectNothing(in: database, at: server)
            }
        }
        let client = try server.connect()
        #expect(try client.request("POST", "/write?db=length0", body: body).status == 204)
        #expect(try client.rows("SELECT count(*) FROM m", "&db=length0") == "[[2000]]")
        withExtendedLifetime(server) {}
    }
}
