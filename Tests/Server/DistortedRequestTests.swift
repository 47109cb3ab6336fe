// Requests that were right once, with bytes changed, lost, doubled and cut, in any pieces. The
// server answers or closes the connection, and goes on serving.
//
// APUS_FUZZ_ROUNDS requests, from the seed in APUS_SEED: `make fuzz`.

import ApusServer
import ApusTestKit
import Foundation
import Testing

@Suite(.serialized) struct DistortedRequestTests {
    private static let requests: [String] = [
        "POST /write?db=d&precision=ns HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 12\r\n\r\nm,k=a v=1 1\n",
        "POST /write?db=d HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "6\r\nm v=1 \r\n2\r\n1\n\r\n0\r\n\r\n",
        "POST /write?db=d HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: gzip\r\n"
            + "Content-Length: 8\r\n\r\n\u{1F}m v=1 1",
        "POST /api/v3/write_lp?db=d&precision=auto HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            + "Content-Length: 18\r\nExpect: 100-continue\r\n\r\nm,k=b v=\"x\ny\",n=1i",
        "POST /api/v2/write?org=o&bucket=d%2Frp HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            + "Authorization: Token abc\r\nContent-Length: 5\r\n\r\nm v=1",
        "GET /sql?q=SELECT%20*%20FROM%20m&db=d&format=csv&epoch=ns HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            + "Accept-Encoding: gzip\r\n\r\n",
        "POST /sql?db=d&params=[1,\"x\",null]&timeout=1s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            + "Content-Length: 14\r\n\r\nSELECT $1, $2;",
        "POST /query?db=d HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 16\r\n\r\n"
            + "q=SHOW+DATABASES",
        "GET /any/prefix/ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "HEAD /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n\r\n",
    ]
    private static let parts = [
        "\r\n", "\n", "\r\n\r\n", ":", " ", "%", "%00", "%zz", "&", "?", "=", "\0", "é",
        "Content-Length: 99999999999999999999\r\n", "Content-Length: -1\r\n",
        "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n",
        "Content-Encoding: gzip\r\n", "Expect: 100-continue\r\n", "Host: x\r\n", "ffffffffffffffff",
        "HTTP/9.9", "POST", "0\r\n\r\n", "[[[[[[[[", "1e999",
    ]

    private static func distorted(_ random: inout SeededRandom) -> [UInt8] {
        var bytes = Array(requests[random.below(requests.count)].utf8)
        for _ in 0...random.below(4) where !bytes.isEmpty {
            let index = random.below(bytes.count)
            switch random.below(6) {
            case 0: bytes[index] = UInt8(random.below(256))
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(contentsOf: parts[random.below(parts.count)].utf8, at: index)
            case 3: bytes.removeSubrange(index..<min(bytes.count, index + random.below(20)))
            case 4: bytes.insert(contentsOf: bytes[index...].prefix(random.below(40)), at: index)
            default: bytes.removeLast(random.below(bytes.count))
            }
        }
        return bytes
    }

    @Test func `a distorted request is answered or ends its connection, and no other`() throws {
        let rounds =
            ProcessInfo.processInfo.environment["APUS_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 500
        var random = SeededRandom.fromEnvironment(otherwise: 32)
        let seed = random.seed
        let server = try TestServer()
        let kept = try server.connect()
        for round in 0..<rounds {
            let bytes = Self.distorted(&random)
            let client = try server.connect()
            let cut = random.oneIn(3) ? random.below(bytes.count + 1) : bytes.count
            // The server may have closed its end before the second piece.
            try? client.send(Array(bytes[..<cut]))
            try? client.send(Array(bytes[cut...]))
            client.endSending()
            // Either an answer with a status of three digits, or the end of the connection.
            if let answer = try? client.answer() {
                #expect(
                    (100...599).contains(answer.status),
                    "seed \(seed), round \(round): \(String(decoding: bytes, as: UTF8.self))")
            }
            if round % 100 == 99 {
                #expect(try kept.request("GET", "/ping").status == 204, "seed \(seed)")
                #expect(
                    try kept.request("POST", "/write?db=kept", text: "m v=1 \(round)").status
                        == 204)
            }
        }
        let count = try kept.request(
            "POST", "/sql?db=kept&format=csv", text: "SELECT count(*) FROM m")
        #expect(count.text == "count\n\(rounds / 100)\n", "seed \(seed)")
        withExtendedLifetime(server) {}
    }
}
