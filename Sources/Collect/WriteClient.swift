// Posts one body after the other over a connection that is kept open.

/// Why a body was not answered.
package struct WriteFailure: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(description: String) {
        self.description = description
    }
}

/// An HTTP/1.1 client for one target. Not for use by two threads at once.
package struct WriteClient: ~Copyable {
    private let target: WriteTarget
    private let timeoutMilliseconds: Int32
    private var socket: Socket?

    package init(target: WriteTarget, timeoutMilliseconds: Int32) {
        self.target = target
        self.timeoutMilliseconds = timeoutMilliseconds
    }

    /// Sends the body and waits for the answer, whatever its status.
    ///
    /// A server may close an idle connection at any moment. When a kept connection fails,
    /// the request is sent once more over a new one: a sample written twice is stored once, since
    /// its rows have the same series and time.
    ///
    /// - Throws: `WriteFailure` if there is no answer; nothing is known of the body then.
    package mutating func post(_ body: [UInt8]) throws(WriteFailure) -> HTTPAnswer {
        let request = target.request(body: body)
        if let kept = socket.take() {
            do {
                return try exchange(request, over: kept)
            } catch SocketError.timedOut(let operation) {
                throw WriteFailure(description: "\(operation): timed out")
            } catch {
                // Closed while it lay idle: the usual end of a kept connection. On to a new one.
            }
        }
        do {
            let fresh = try Socket(
                host: target.host, port: target.port, timeoutMilliseconds: timeoutMilliseconds)
            return try exchange(request, over: fresh)
        } catch {
            throw WriteFailure(description: "\(error)")
        }
    }

    /// Keeps the socket if the answer allows another request over it.
    private mutating func exchange(
        _ request: [UInt8], over connection: consuming Socket
    ) throws -> HTTPAnswer {
        try connection.send(request)
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
