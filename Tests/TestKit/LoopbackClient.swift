// Plain blocking sockets on loopback, for tests that talk to a server as any program would.

internal import Glibc

package struct ClientFault: Error, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

/// An answer of a server.
package struct HTTPAnswer: Sendable {
    package var status: Int
    /// Names in lower case.
    package var headers: [String: String]
    package var body: [UInt8]
    package var text: String { String(decoding: body, as: UTF8.self) }
}

/// A connected socket with a receive buffer. For one thread at a time.
package final class LoopbackConnection {
    private let descriptor: Int32
    private var received: [UInt8] = []

    /// Connects to 127.0.0.1, from another address of the loopback if need be. Reads time out
    /// after `timeoutSeconds`.
    package init(port: Int, timeoutSeconds: Int = 30, from source: UInt32 = loopback) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw ClientFault("socket: \(errno)") }
        var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        try bindSource(descriptor, source)
        var address = socketAddress(loopback, port: port)
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw ClientFault("connect to \(port): errno \(errno)") }
    }

    deinit { close(descriptor) }

    package func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent,
                    Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw ClientFault("send: errno \(errno)") }
            sent += count
        }
    }

    package func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Ends the sending side.
    package func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    private func fill() throws -> Bool {
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        let count = recv(descriptor, &piece, piece.count, 0)
        guard count >= 0 else { throw ClientFault("recv: errno \(errno)") }
        received += piece[..<count]
        return count > 0
    }

    /// Whether something has come, or comes within this time.
    package func hasAnswer(withinMilliseconds milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return !received.isEmpty || poll(&entry, 1, milliseconds) > 0
    }

    /// Whether the server closed the connection, after everything it sent.
    package func isClosedByServer() throws -> Bool { try received.isEmpty && !fill() }

    // MARK: HTTP

    /// Sends a request with a body of known length and waits for its answer.
    package func request(
        _ method: String, _ target: String, headers: [String: String] = [:], body: [UInt8] = []
    ) throws -> HTTPAnswer {
        var head = "\(method) \(target) HTTP/1.1\r\n"
        if headers["Host"] == nil { head += "Host: 127.0.0.1\r\n" }
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if !body.isEmpty || method == "POST" { head += "Content-Length: \(body.count)\r\n" }
        try send(Array((head + "\r\n").utf8) + body)
        return try answer(hasBody: method != "HEAD")
    }

    package func request(
        _ method: String, _ target: String, headers: [String: String] = [:], text: String
    ) throws -> HTTPAnswer {
        try request(method, target, headers: headers, body: Array(text.utf8))
    }

    /// Sends a body in chunks.
    package func chunked(
        _ target: String, headers: [String: String] = [:], chunks: [[UInt8]]
    ) throws -> HTTPAnswer {
        var head = "POST \(target) HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        try send(head + "\r\n")
        for chunk in chunks where !chunk.isEmpty {
            try send(Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + [13, 10])
        }
        try send("0\r\n\r\n")
        return try answer()
    }

    /// Reads one answer. An informational one (100) is an answer of its own, without a body.
    package func answer(hasBody: Bool = true) throws -> HTTPAnswer {
        let head = try line(until: [13, 10, 13, 10])
        let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count >= 2, let status = Int(words[1]) else {
            throw ClientFault("no status line")
        }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let sides = line.split(separator: ":", maxSplits: 1)
            guard sides.count == 2 else { continue }
            headers[sides[0].lowercased()] = String(sides[1].drop { $0 == " " })
        }
        guard hasBody, status >= 200, status != 204 else {
            return HTTPAnswer(status: status, headers: headers, body: [])
        }
        var body: [UInt8] = []
        if headers["transfer-encoding"]?.lowercased() == "chunked" {
            while true {
                let size = String(decoding: try line(until: [13, 10]), as: UTF8.self)
                guard let count = Int(size, radix: 16) else {
                    throw ClientFault("bad chunk size \(size)")
                }
                body += try take(count)
                _ = try take(2)
                if count == 0 { break }
            }
        } else if let count = headers["content-length"].flatMap({ Int($0) }) {
            body = try take(count)
        } else {
            while try fill() {}
            body = received
            received = []
        }
        return HTTPAnswer(status: status, headers: headers, body: body)
    }

    private func take(_ count: Int) throws -> [UInt8] {
        while received.count < count {
            guard try fill() else { throw ClientFault("the connection ended inside an answer") }
        }
        defer { received.removeFirst(count) }
        return Array(received[..<count])
    }

    private func line(until end: [UInt8]) throws -> [UInt8] {
        var searched = 0
        while true {
            var index = max(0, searched - end.count)
            while index + end.count <= received.count {
                if received[index] == end[0], Array(received[index..<index + end.count]) == end {
                    defer { received.removeFirst(index + end.count) }
                    return Array(received[..<index])
                }
                index += 1
            }
            searched = received.count
            guard try fill() else { throw ClientFault("the connection ended before an answer") }
        }
    }
}

/// 127.0.0.1.
package let loopback: UInt32 = 0x7F00_0001

/// Sends one datagram to 127.0.0.1.
package func sendDatagram(_ text: String, port: Int, from source: UInt32 = loopback) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    guard descriptor >= 0 else { throw ClientFault("socket: \(errno)") }
    defer { close(descriptor) }
    try bindSource(descriptor, source)
    var address = socketAddress(loopback, port: port)
    let bytes = Array(text.utf8)
    let count = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            sendto(descriptor, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard count == bytes.count else { throw ClientFault("sendto: errno \(errno)") }
}

/// A TCP port that nobody has just now.
package func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw ClientFault("socket: \(errno)") }
    defer { close(descriptor) }
    try bindSource(descriptor, loopback)
    var address = sockaddr_in()
    var byteCount = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            getsockname(descriptor, $0, &byteCount)
        }
    }
    guard status == 0 else { throw ClientFault("getsockname: errno \(errno)") }
    return Int(UInt16(bigEndian: address.sin_port))
}

private func bindSource(_ descriptor: Int32, _ source: UInt32) throws {
    var address = socketAddress(source, port: 0)
    let status = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard status == 0 else { throw ClientFault("bind: errno \(errno)") }
}

private func socketAddress(_ host: UInt32, port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(truncatingIfNeeded: port).bigEndian)
    address.sin_addr.s_addr = host.bigEndian
    return address
}
