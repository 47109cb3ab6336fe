// A small HTTP server in the test's process, which answers as it is told.

internal import Foundation
internal import Glibc
internal import Synchronization

/// Listens on a free port of the loopback until it is stopped or released (which the optimizer may
/// do right after its last use: `defer { server.stop() }` keeps it). Serves one connection after the
/// other, each until the client ends it.
package final class LoopbackServer: Sendable {
    package struct Request: Sendable {
        /// From 1.
        package let number: Int
        /// Up to and with the empty line.
        package let head: String
        package let body: String
    }

    package enum Reply: Sendable {
        /// Text as it goes over the wire.
        case answer(String)
        case lastAnswer(String)
        /// Ends the connection without an answer.
        case none
    }

    private let listener: Listener
    package let port: Int
    package var url: String { "http://127.0.0.1:\(port)" }

    package init(_ reply: @escaping @Sendable (Request) -> Reply) throws {
        let listener = Listener(reply)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = loopback.bigEndian
        var addressBytes = socklen_t(MemoryLayout<sockaddr_in>.size)
        // Safe: sockaddr_in is what the kernel expects behind the family AF_INET.
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(listener.descriptor, generic, addressBytes) == 0
                    && listen(listener.descriptor, 16) == 0
                    && getsockname(listener.descriptor, generic, &addressBytes) == 0
            }
        }
        guard isListening else { throw ClientFault("listen: errno \(errno)") }
        self.listener = listener
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { listener.run() }
    }

    /// Answers with one text after the other, the last again and again; an empty one ends the
    /// connection.
    package convenience init(answers: [String]) throws {
        try self.init { request in
            let text = answers[min(request.number, answers.count) - 1]
            return text.isEmpty ? .none : .answer(text)
        }
    }

    deinit { stop() }

    /// Refuses connections from now on. The port stays taken as long as this object lives, so that
    /// no other test gets the same.
    package func stop() { shutdown(listener.descriptor, Int32(SHUT_RDWR)) }

    package var requests: [Request] { listener.state.withLock { $0.requests } }
    package var connectionCount: Int { listener.state.withLock { $0.connectionCount } }

    /// An answer with a length.
    package static func answer(_ status: Int, _ body: String = "", _ headers: String...) -> Reply {
        let lines = (headers + ["Content-Length: \(body.utf8.count)"]).map { $0 + "\r\n" }
        return .answer("HTTP/1.1 \(status) X\r\n\(lines.joined())\r\n\(body)")
    }
}

/// What the thread holds; the descriptor is closed when thread and server are both gone.
private final class Listener: Sendable {
    struct State {
        var requests: [LoopbackServer.Request] = []
        var connectionCount = 0
    }

    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let state = Mutex(State())
    private let reply: @Sendable (LoopbackServer.Request) -> LoopbackServer.Reply

    init(_ reply: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Reply) {
        self.reply = reply
    }

    deinit { close(descriptor) }

    func run() {
        while true {
            let connection = accept(descriptor, nil, nil)
            guard connection >= 0 else { return }
            state.withLock { $0.connectionCount += 1 }
            serve(connection)
            close(connection)
        }
    }

    private func serve(_ connection: Int32) {
        var received: [UInt8] = []
        while let (head, body) = nextRequest(connection, &received) {
            let request = state.withLock { state in
                let request = LoopbackServer.Request(
                    number: state.requests.count + 1, head: head, body: body)
                state.requests.append(request)
                return request
            }
            switch reply(request) {
            case .answer(let text): send(text, connection)
            case .lastAnswer(let text): return send(text, connection)
            case .none: return
            }
        }
    }

    private func send(_ text: String, _ connection: Int32) {
        let bytes = Array(text.utf8)
        _ = Glibc.send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    private func nextRequest(
        _ connection: Int32, _ received: inout [UInt8]
    ) -> (head: String, body: String)? {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let text = String(decoding: received, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n") {
                let head = String(text[..<end.upperBound])
                let length = head.range(of: "Content-Length: ").flatMap { range in
                    Int(head[range.upperBound...].prefix { $0.isNumber })
                }
                let byteCount = head.utf8.count + (length ?? 0)
                if received.count >= byteCount {
                    received.removeFirst(byteCount)
                    return (head, String(text[end.upperBound...]))
                }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            received += buffer[..<count]
        }
    }
}
