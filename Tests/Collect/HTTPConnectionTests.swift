// The HTTP client and the sending thread against a small server in this process.

import ApusClient
import ApusCollect
import ApusTestKit
import Glibc
import Synchronization
import Testing

private let stored = "HTTP/1.1 204 No Content\r\n\r\n"

@Suite struct HTTPConnectionTests {
    private func client(_ server: LoopbackServer, timeoutMilliseconds: Int32 = 5000) throws
        -> HTTPConnection
    {
        HTTPConnection(
            to: try ServerAddress(url: server.url, token: nil, agent: "test"),
            timeoutMilliseconds: timeoutMilliseconds)
    }

    private let head = "POST / HTTP/1.1\r\n"

    @Test func `two bodies go over one connection`() throws {
        let server = try LoopbackServer(answers: [stored])
        defer { server.stop() }
        var client = try client(server)
        #expect(try client.send(head, body: Array("a b=1 1\n".utf8)).status == 204)
        #expect(try client.send(head, body: Array("a b=2 2\n".utf8)).status == 204)
        #expect(server.connectionCount == 1)
        #expect(server.requests.last?.body == "a b=2 2\n")
    }

    @Test func `a kept connection that the server closed is replaced unseen`() throws {
        let server = try LoopbackServer(answers: [stored, "", stored])
        defer { server.stop() }
        var client = try client(server)
        #expect(try client.send(head, body: Array("A".utf8)).status == 204)
        #expect(try client.send(head, body: Array("B".utf8)).status == 204)
        #expect(server.connectionCount == 2)
    }

    @Test func `a server that never answers is given up after the timeout`() throws {
        let server = try LoopbackServer(answers: ["HTTP/1.1 204 "])
        defer { server.stop() }
        var client = try client(server, timeoutMilliseconds: 50)
        do {
            _ = try client.send(head, body: Array("A".utf8))
            Issue.record("there was no answer to return")
        } catch {
            #expect(error.description == "receive: timed out")
        }
    }

    @Test func `a port where nobody listens is a failure with its reason`() throws {
        let server = try LoopbackServer(answers: [stored])
        server.stop()
        defer { server.stop() }
        var client = try client(server)
        do {
            _ = try client.send(head, body: Array("A".utf8))
            Issue.record("nobody listens")
        } catch {
            #expect(error.description.contains("connect: "))
        }
    }
}

@Suite struct SenderTests {
    @Test func `samples kept through an outage arrive in order`() throws {
        let overloaded = "HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nfull"
        let server = try LoopbackServer(answers: [overloaded, overloaded, stored])
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
            server.requests.map(\.body)
                == ["m f=1 1\n", "m f=1 1\n", "m f=1 1\n", "m f=2 1\n", "m f=3 1\n"])
        #expect(lines.all.count == 2)
    }

    @Test func `finishing does not wait for a server that is away`() throws {
        let server = try LoopbackServer(answers: [stored])
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
