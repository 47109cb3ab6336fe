// One kept connection that writes large bodies: the head is sent before the body, which is never
// copied.
//
//     POST /api/v3/write_lp?db=x&precision=ns&missing_time=refuse HTTP/1.1
//     Content-Length: 2097034
//
//     cpu,host=a usage=1 1700000000000000000
//     …

internal import ApusClient

/// What a server said of a body.
struct WriteAnswer: Sendable {
    var status: Int
    var body: String
    /// Absent from the answers of servers that don't count.
    var rows: Int?
    var values: Int?
    var retryAfterSeconds: Double?
}

/// For one thread.
struct WriteConnection: ~Copyable {
    private static let waitMilliseconds: Int32 = 120_000
    private static let answerBytesMax = 1 << 20

    private let address: ServerAddress
    private let requestStart: String
    private var socket: Socket?

    /// - Parameter path: with its query.
    init(to address: ServerAddress, path: String) {
        self.address = address
        requestStart = address.requestHead(
            method: "POST", path: path, contentType: "text/plain; charset=utf-8")
    }

    /// Sends a body and waits for the answer, whatever its status.
    ///
    /// A server may close an idle connection at any moment: a body that fails over a kept one is
    /// sent again over a new one at once. Lines that arrive twice are stored once.
    mutating func write(_ body: [UInt8]) throws(SocketFailure) -> WriteAnswer {
        if let kept = socket.take(), let answer = try? exchange(body, over: kept) {
            return answer
        }
        let fresh: Socket
        do throws(SocketError) {
            fresh = try Socket(
                host: address.host, port: address.port, timeoutMilliseconds: Self.waitMilliseconds)
        } catch {
            throw SocketFailure(isConnected: false, description: "\(error)")
        }
        do throws(any Error) {
            return try exchange(body, over: fresh)
        } catch {
            throw SocketFailure(isConnected: true, description: "\(error)")
        }
    }

    /// Keeps the socket if the answer allows another request over it.
    private mutating func exchange(
        _ body: [UInt8], over connection: consuming Socket
    ) throws -> WriteAnswer {
        try connection.send(Array("\(requestStart)Content-Length: \(body.count)\r\n\r\n".utf8))
        try connection.send(body)
        var bytes: [UInt8] = []
        while true {
            let head: ResponseHead
            if let byteCount = try ResponseHead.byteCount(in: bytes) {
                head = try ResponseHead(parsing: bytes[..<byteCount])
                bytes.removeFirst(byteCount)
                if head.isInterim { continue }
            } else {
                let piece = try connection.receive()
                guard !piece.isEmpty else { throw SocketError.closed }
                bytes.append(contentsOf: piece)
                continue
            }
            let text = try Self.text(head, bytes, connection)
            if head.keepsConnection, head.bodyEnd != .connection { socket = consume connection }
            return WriteAnswer(
                status: head.status, body: text, rows: head["x-apus-rows"].flatMap { Int($0) },
                values: head["x-apus-values"].flatMap { Int($0) },
                retryAfterSeconds: head["retry-after"].flatMap { Double($0) })
        }
    }

    private static func text(
        _ head: ResponseHead, _ first: [UInt8], _ connection: borrowing Socket
    ) throws -> String {
        var decoder = BodyDecoder(head.bodyEnd)
        var arrived = first[...]
        var body: [UInt8] = []
        while true {
            while let run = try decoder.next(from: &arrived) {
                guard body.count + run.count <= answerBytesMax else {
                    throw HTTPAnswerError.malformed
                }
                body.append(contentsOf: run)
            }
            if decoder.isDone { break }
            arrived = try connection.receive()
            if arrived.isEmpty {
                guard decoder.mayEndHere else { throw SocketError.cut }
                break
            }
        }
        return String(decoding: body, as: UTF8.self)
    }
}

/// Why there was no answer.
struct SocketFailure: Error, Sendable {
    /// False if nobody listened.
    var isConnected: Bool
    var description: String
}
