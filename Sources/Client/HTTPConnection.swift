// One small request after the other over a connection that is kept open.

/// Why a request was not answered.
package struct ExchangeFailure: Error, Equatable, CustomStringConvertible {
    package let description: String
    /// The caller's own interrupt descriptor ended it.
    package let isInterrupt: Bool
    /// False if nobody listened: nothing was sent.
    package let isConnected: Bool

    package init(description: String) {
        self.description = description
        isInterrupt = false
        isConnected = true
    }

    init(_ error: any Error, isConnected: Bool = true) {
        description = "\(error)"
        isInterrupt = error as? SocketError == .interrupted
        self.isConnected = isConnected
    }
}

/// An HTTP/1.1 connection to one server, for answers that fit in memory. Not for use by two threads
/// at once.
package struct HTTPConnection: ~Copyable {
    private let server: ServerAddress
    private let timeoutMilliseconds: Int32
    private var socket: Socket?

    package init(to server: ServerAddress, timeoutMilliseconds: Int32) {
        self.server = server
        self.timeoutMilliseconds = timeoutMilliseconds
    }

    /// Sends a request and waits for the answer, whatever its status.
    ///
    /// A server may close an idle connection at any moment. When a kept connection fails,
    /// the request is sent once more over a new one, so it has to be one that may arrive twice: rows
    /// with the same series and time are stored once.
    ///
    /// - Parameter head: as `ServerAddress.requestHead` gives it.
    /// - Throws: `ExchangeFailure` if there is no answer; nothing is known of the request then.
    package mutating func send(
        _ head: String, body: [UInt8]
    ) throws(ExchangeFailure) -> HTTPAnswer {
        if let kept = socket.take() {
            do {
                return try exchange(head, body, over: kept)
            } catch SocketError.timedOut(let operation) {
                throw ExchangeFailure(description: "\(operation): timed out")
            } catch {
                // Closed while it lay idle: the usual end of a kept connection. On to a new one.
            }
        }
        let fresh: Socket
        do throws(SocketError) {
            fresh = try Socket(
                host: server.host, port: server.port, timeoutMilliseconds: timeoutMilliseconds)
        } catch {
            throw ExchangeFailure(error, isConnected: false)
        }
        do {
            return try exchange(head, body, over: fresh)
        } catch {
            throw ExchangeFailure(error)
        }
    }

    /// Keeps the socket if the answer allows another request over it.
    private mutating func exchange(
        _ head: String, _ body: [UInt8], over connection: consuming Socket
    ) throws -> HTTPAnswer {
        try connection.send(head, body: body)
        var parser = ResponseParser()
        while true {
            let piece = try connection.receive()
            if piece.isEmpty { break }
            if let answer = try parser.feed(piece) {
                if answer.keepsConnection { socket = consume connection }
                return answer
            }
        }
        guard let answer = try parser.end() else { throw SocketError.closed }
        return answer
    }
}

extension Socket {
    /// A larger body is sent apart from its head, so that it isn't copied.
    private static var joinedBytesMax: Int { 64 << 10 }

    /// Sends a request, with the length of its body.
    func send(_ head: String, body: [UInt8]) throws(SocketError) {
        let start = Array("\(head)Content-Length: \(body.count)\r\n\r\n".utf8)
        guard body.count > Self.joinedBytesMax else { return try send(start + body) }
        try send(start)
        try send(body)
    }
}
