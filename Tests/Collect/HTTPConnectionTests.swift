// The HTTP client and the sending thread against a small server in this process.

import ApusClient
import ApusCollect
import Foundation
import Glibc
import Synchronization
import Testing

/// Listens on a free port of the loopback and answers each request with the next canned text.
///
/// An answer that is empty closes the connection instead. When the answers are used up, the last
/// one is repeated.
private final class CannedServer: Sendable {
    private struct State {
        var answers: [String]
        var requests: [String] = []
        var connectionCount = 0
    }

    private let listener: Int32
    private let state: Mutex<State>
    let port: UInt16

    init(answers: [String]) throws {
        state = Mutex(State(answers: answers))
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var addressBytes = socklen_t(MemoryLayout<sockaddr_in>.size)
        let (fd, size) = (listener, addressBytes)
        // Safe: sockaddr_in is what the kernel expects behind the family AF_INET.
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(fd, generic, size) == 0 && listen(fd, 8) == 0
                    && getsockname(fd, generic, &addressBytes) == 0
            }
        }
        try #require(isListening)
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [self] in accept() }
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [String] { state.withLock { $0.requests } }
    var connectionCount: Int { state.withLock { $0.connectionCount } }

    /// Refuses connections from now on. The descriptor, and with it the port, stays taken as long
    /// as this object lives, so that no other test gets the same.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
    }

    deinit { close(listener) }

    private func accept() {
        while true {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            state.withLock { $0.connectionCount += 1 }
            serve(descriptor)
            close(descriptor)
        }
    }

    private func serve(_ descriptor: Int32) {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            received += buffer.prefix(count)
            guard let request = Self.wholeRequest(received) else { continue }
            received.removeAll()
            let answer = state.withLock { state in
                state.requests.append(request)
                return state.answers.count > 1
                    ? state.answers.removeFirst() : state.answers.first ?? ""
            }
            guard !answer.isEmpty else { return }
            let bytes = Array(answer.utf8)
            _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }
    }

    private static func wholeRequest(_ bytes: [UInt8]) -> String? {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let headEnd = text.range(of: "\r\n\r\n"),
            let label = text.range(of: "Content-Length: "),
            let count = Int(text[label.upperBound...].prefix { $0.isNumber }),
            text[headEnd.upperBound...].utf8.count >= count
        else { return nil }
        return text
    }
}

private let stored = "HTTP/1.1 204 No Content\r\n\r\n"

@Suite struct HTTPConnectionTests {
    private func client(_ server: CannedServer, timeoutMilliseconds: Int32 = 5000) throws
        -> HTTPConnection
    {
        HTTPConnection(
            to: try ServerAddress(url: server.url, token: nil, agent: "test"),
            timeoutMilliseconds: timeoutMilliseconds)
    }

    private func request(_ body: String) -> [UInt8] {
        Array("POST / HTTP/1.1\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }

    @Test func `two bodies go over one connection`() throws {
        let server = try CannedServer(answers: [stored])
        defer { server.stop() }
        var client = try client(server)
        #expect(try client.send(request("a b=1 1\n")).status == 204)
        #expect(try client.send(request("a b=2 2\n")).status == 204)
        #expect(server.connectionCount == 1)
        #expect(server.requests.last?.hasSuffix("\r\n\r\na b=2 2\n") == true)
    }

    @Test func `a kept connection that the server closed is replaced unseen`() throws {
        let server = try CannedServer(answers: [stored, "", stored])
        defer { server.stop() }
        var client = try client(server)
        #expect(try client.send(request("A")).status == 204)
        #expect(try client.send(request("B")).status == 204)
        #expect(server.connectionCount == 2)
    }

    @Test func `a server that never answers is given up after the timeout`() throws {
        let server = try CannedServer(answers: ["HTTP/1.1 204 "])
        defer { server.stop() }
        var client = try client(server, timeoutMilliseconds: 50)
        do {
            _ = try client.send(request("A"))
            Issue.record("there was no answer to return")
        } catch {
            #expect(error.description == "receive: timed out")
        }
    }

    @Test func `a port where nobody listens is a failure with its reason`() throws {
        let server = try CannedServer(answers: [stored])
        server.stop()
        defer { server.stop() }
        var client = try client(server)
        do {
            _ = try client.send(request("A"))
            Issue.record("nobody listens")
        } catch {
            #expect(error.description.contains("connect: "))
        }
    }
}

@Suite struct SenderTests {
    @Test func `samples kept through an outage arrive in order`() throws {
        let overloaded = "HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nfull"
        let server = try CannedServer(answers: [overloaded, overloaded, stored])
        defer { server.stop() }
        let lines = Lines()
        let sender = Sender(
            target: try WriteTarget(url: server.url, database: "d", token: nil),
            targetText: "db", sampleCountMax: 60, log: { lines.append($0) })
        #expect(sender.start())
        for time in 1...3 {
            sender.offer(
                Sample(timestampNanoseconds: Int64(time), body: Array("m f=\(time) 1\n".utf8)))
        }
        for _ in 0..<1000 where server.requests.count < 5 { usleep(10_000) }
        #expect(sender.finish(timeoutMilliseconds: 5_000))
        #expect(
            server.requests.compactMap { $0.split(separator: "\r\n").last.map { String($0) } }
                == ["m f=1 1\n", "m f=1 1\n", "m f=1 1\n", "m f=2 1\n", "m f=3 1\n"])
        #expect(lines.all.count == 2)
    }

    @Test func `finishing does not wait for a server that is away`() throws {
        let server = try CannedServer(answers: [stored])
        server.stop()
        defer { server.stop() }
        let lines = Lines()
        let sender = Sender(
            target: try WriteTarget(url: server.url, database: "d", token: nil),
            targetText: "db", sampleCountMax: 60, log: { lines.append($0) })
        #expect(sender.start())
        sender.offer(Sample(timestampNanoseconds: 1, body: [65]))
        #expect(!sender.finish(timeoutMilliseconds: 5_000))
    }
}

/// Log lines from another thread.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }
    func append(_ line: String) { lines.withLock { $0.append(line) } }
}
