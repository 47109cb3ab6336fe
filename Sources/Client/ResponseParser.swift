// Reads one small HTTP/1.1 response piece by piece and gives it as a whole.

/// What the other side answered.
package struct HTTPAnswer: Equatable, Sendable {
    package var status: Int
    /// The start of the body, for messages.
    package var body: String
    package var retryAfterSeconds: Double?
    /// Whether the connection may carry another request.
    package var keepsConnection: Bool

    package init(
        status: Int, body: String, retryAfterSeconds: Double?, keepsConnection: Bool
    ) {
        self.status = status
        self.body = body
        self.retryAfterSeconds = retryAfterSeconds
        self.keepsConnection = keepsConnection
    }
}

/// A state machine without I/O: feed it what arrives until it gives an answer.
package struct ResponseParser: Sendable {
    private static let bodyBytesMax = 1 << 20
    private static let bodyTextBytesMax = 2048

    /// What arrived of the head.
    private var bytes: [UInt8] = []
    private var head: ResponseHead?
    private var decoder = BodyDecoder(.connection)
    private var body: [UInt8] = []

    package init() {}

    /// Takes the next bytes; returns the answer once it is complete.
    package mutating func feed(_ piece: ArraySlice<UInt8>) throws(HTTPAnswerError) -> HTTPAnswer? {
        var arrived = piece
        while head == nil {
            bytes.append(contentsOf: arrived)
            guard let headBytes = try ResponseHead.byteCount(in: bytes) else { return nil }
            let parsed = try ResponseHead(parsing: bytes[..<headBytes])
            arrived = bytes[headBytes...]
            bytes = []
            guard !parsed.isInterim else { continue }
            if case .length(let count) = parsed.bodyEnd, count > Self.bodyBytesMax {
                throw .malformed
            }
            head = parsed
            decoder = BodyDecoder(parsed.bodyEnd)
        }
        while let run = try decoder.next(from: &arrived) {
            guard body.count + run.count <= Self.bodyBytesMax else { throw .malformed }
            body.append(contentsOf: run)
        }
        return decoder.isDone ? answer(atEnd: false) : nil
    }

    /// The connection ended: returns the answer if its body lasts until then, nil if it is cut.
    package mutating func end() throws(HTTPAnswerError) -> HTTPAnswer? {
        decoder.mayEndHere ? answer(atEnd: true) : nil
    }

    private func answer(atEnd: Bool) -> HTTPAnswer? {
        guard let head else { return nil }
        return HTTPAnswer(
            status: head.status,
            body: String(decoding: body.prefix(Self.bodyTextBytesMax), as: UTF8.self),
            retryAfterSeconds: head["retry-after"].flatMap { Double($0) },
            keepsConnection: head.keepsConnection && !atEnd)
    }
}
