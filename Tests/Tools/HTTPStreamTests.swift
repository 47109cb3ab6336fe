// The client's streamed answers: the framing by itself, and over a socket.

import ApusClient
import ApusTestKit
import Glibc
import Testing

@Suite struct BodyDecoderTests {
    private func decode(
        _ text: String, _ end: ResponseHead.BodyEnd, pieceBytes: Int
    ) throws -> (body: String, left: String, mayEnd: Bool) {
        var decoder = BodyDecoder(end)
        let bytes = Array(text.utf8)
        var (body, left) = ([UInt8](), [UInt8]())
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            var piece = bytes[start..<min(start + pieceBytes, bytes.count)]
            while let run = try decoder.next(from: &piece) { body += run }
            left += piece
        }
        return (
            String(decoding: body, as: UTF8.self), String(decoding: left, as: UTF8.self),
            decoder.mayEndHere
        )
    }

    @Test(arguments: 1...9)
    func `where the pieces are cut changes nothing`(pieceBytes: Int) throws {
        let chunked = "3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nnext"
        let chunks = try decode(chunked, .chunks, pieceBytes: pieceBytes)
        #expect(chunks == ("abc0123456789", "next", true))
        let counted = try decode("abcdenext", .length(5), pieceBytes: pieceBytes)
        #expect(counted == ("abcde", "next", true))
        let open = try decode("abc", .connection, pieceBytes: pieceBytes)
        #expect(open == ("abc", "", true))
    }

    @Test func `an end inside the framing is a cut`() throws {
        for text in ["3\r\nabc\r\n", "3\r\nab", "3\r\nabc\r\n0\r\n", ""] {
            #expect(try !decode(text, .chunks, pieceBytes: 64).mayEnd, "\(text)")
        }
        #expect(try !decode("abc", .length(4), pieceBytes: 64).mayEnd)
    }

    @Test(arguments: ["\r\n", "x\r\n", "fffffffffffffffff\r\n", "3\r\nabcd\r\n", "3x\r\nabc\r\n"])
    func `framing that is none is an error, never a trap`(text: String) {
        #expect(throws: HTTPAnswerError.malformed) {
            try decode(text, .chunks, pieceBytes: 64)
        }
    }
}

@Suite struct HTTPStreamTests {
    private let request = "GET / HTTP/1.1\r\n"

    private func address(_ server: LoopbackServer) throws -> ServerAddress {
        try ServerAddress(url: server.url, token: nil, agent: "test")
    }

    private func body(_ text: String) throws -> (ResponseHead, String) {
        let server = try LoopbackServer { _ in .lastAnswer(text) }
        defer { server.stop() }
        var stream = try HTTPStream(
            of: request, body: [], to: try address(server), timeoutMilliseconds: 5_000)
        return (stream.head, try stream.text(bytesMax: 1 << 20))
    }

    @Test func `head and body of every framing arrive`() throws {
        let counted = try body("HTTP/1.1 400 Bad\r\nContent-Length: 2\r\nX-Y: z\r\n\r\nab")
        #expect(counted.0.status == 400 && counted.0["x-y"] == "z" && counted.1 == "ab")
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
        #expect(try body("HTTP/1.1 100 Continue\r\n\r\n" + chunked).1 == "ab")
        #expect(try body("HTTP/1.0 200 OK\r\n\r\nabc").1 == "abc")
    }

    @Test func `a body that ends early is a failure, not a short answer`() throws {
        let server = try LoopbackServer { _ in
            .lastAnswer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
        }
        defer { server.stop() }
        let address = try address(server)
        do throws(ExchangeFailure) {
            var stream = try HTTPStream(
                of: request, body: [], to: address, timeoutMilliseconds: 5_000)
            #expect(try stream.next() == [97, 98])
            _ = try stream.next()
            Issue.record("the answer was cut")
        } catch {
            #expect(error.description.contains("middle of the answer") && !error.isInterrupt)
        }
    }

    @Test func `the interrupt descriptor ends a wait`() throws {
        let server = try LoopbackServer(answers: [
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"
        ])
        defer { server.stop() }
        let address = try address(server)
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        do throws(ExchangeFailure) {
            var stream = try HTTPStream(
                of: request, body: [], to: address, timeoutMilliseconds: -1, interrupt: ends[0])
            #expect(try stream.next() == [97, 98])
            _ = write(ends[1], "x", 1)
            _ = try stream.next()
            Issue.record("nothing more was sent")
        } catch {
            #expect(error.isInterrupt)
        }
    }
}
