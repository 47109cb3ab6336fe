// Reads one small HTTP/1.1 response piece by piece and gives it as a whole.

/// What the other side answered.
package struct HTTPAnswer: Equatable, Sendable {
    package var status: Int
    package var headers: [ResponseHead.Header]
    package var body: String
    /// Whether the connection may carry another request.
    package var keepsConnection: Bool

    package init(
        status: Int, headers: [ResponseHead.Header] = [], body: String, keepsConnection: Bool
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.keepsConnection = keepsConnection
    }

    /// The first value of a header; the name in lower case.
    package subscript(name: String) -> String? { headers.first { $0.name == name }?.value }

    package var retryAfterSeconds: Double? { self["retry-after"].flatMap { Double($0) } }
}

/// A state machine without I/O: feed it what arrives until it gives an answer.
package struct ResponseParser: Sendable {
    private static let bodyBytesMax = 1 << 20

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
            status: head.status, headers: head.headers,
            body: String(decoding: body, as: UTF8.self),
            keepsConnection: head.keepsConnection && !atEnd)
    }
}
