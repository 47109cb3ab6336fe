// One request whose answer is taken in pieces as they arrive, in constant memory.

/// An answer of any length, from its head to the end of its body.
///
///     var stream = try HTTPStream(of: head, body: [], to: server, timeoutMilliseconds: 30_000)
///     guard stream.head.status == 200 else { … try stream.text(bytesMax: 64 << 10) … }
///     while let piece = try stream.next() { … }
///
/// It has a connection of its own, closed with its end: letting the stream go before the last
/// piece cancels the request. Not for use by two threads at once.
package struct HTTPStream: ~Copyable {
    private static let receiveBytesMax = 64 << 10

    private let socket: Socket
    package let head: ResponseHead
    private var decoder: BodyDecoder
    private var arrived: ArraySlice<UInt8>

    /// Connects, sends the request and waits for the answer's head.
    ///
    /// - Parameters:
    ///   - requestHead: As `ServerAddress.requestHead` gives it.
    ///   - timeoutMilliseconds: For each wait for the next bytes; -1 waits for ever.
    ///   - connectTimeoutMilliseconds: For the connection, if not the same.
    ///   - interrupt: See `Socket`; the failure's `isInterrupt` is true then.
    package init(
        of requestHead: String, body: [UInt8], to server: ServerAddress, timeoutMilliseconds: Int32,
        connectTimeoutMilliseconds: Int32? = nil, interrupt: Int32 = -1
    ) throws(ExchangeFailure) {
        let opened: Socket
        do throws(SocketError) {
            opened = try Socket(
                host: server.host, port: server.port, timeoutMilliseconds: timeoutMilliseconds,
                connectTimeoutMilliseconds: connectTimeoutMilliseconds, interrupt: interrupt)
        } catch {
            throw ExchangeFailure(error, isConnected: false)
        }
        (head, arrived) = try Self.exchangeHeads(requestHead, body, over: opened)
        decoder = BodyDecoder(head.bodyEnd)
        socket = opened
    }

    /// Sends the request; returns the answer's head and what came behind it.
    private static func exchangeHeads(
        _ requestHead: String, _ body: [UInt8], over socket: borrowing Socket
    ) throws(ExchangeFailure) -> (ResponseHead, ArraySlice<UInt8>) {
        do throws(any Error) {
            try socket.send(requestHead, body: body)
            var bytes: [UInt8] = []
            while true {
                if let byteCount = try ResponseHead.byteCount(in: bytes) {
                    let head = try ResponseHead(parsing: bytes[..<byteCount])
                    if !head.isInterim { return (head, bytes[byteCount...]) }
                    bytes.removeFirst(byteCount)
                } else {
                    let piece = try socket.receive(bytesMax: receiveBytesMax)
                    guard !piece.isEmpty else { throw SocketError.closed }
                    bytes.append(contentsOf: piece)
                }
            }
        } catch {
            throw ExchangeFailure(error)
        }
    }

    /// The next bytes of the body; nil when it is complete.
    ///
    /// - Throws: if the connection broke, or ended before the body did.
    package mutating func next() throws(ExchangeFailure) -> ArraySlice<UInt8>? {
        do throws(any Error) {
            while true {
                if let run = try decoder.next(from: &arrived) { return run }
                if decoder.isDone { return nil }
                arrived = try socket.receive(bytesMax: Self.receiveBytesMax)
                if arrived.isEmpty {
                    guard decoder.mayEndHere else { throw SocketError.cut }
                    return nil
                }
            }
        } catch {
            throw ExchangeFailure(error)
        }
    }

    /// The rest of the body as text, for answers that are messages; cut after `bytesMax`.
    package mutating func text(bytesMax: Int) throws(ExchangeFailure) -> String {
        var bytes: [UInt8] = []
        while bytes.count < bytesMax, let piece = try next() { bytes.append(contentsOf: piece) }
        return String(decoding: bytes.prefix(bytesMax), as: UTF8.self)
    }
}
