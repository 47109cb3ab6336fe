// Reads one HTTP/1.1 response piece by piece: status line, headers, and a body whose end is told
// by Content-Length, by chunks, or by the end of the connection.

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

package enum HTTPAnswerError: Error, Equatable, CustomStringConvertible {
    /// What came is no HTTP response, or one larger than anything a write is answered with.
    case malformed

    package var description: String { "the answer is not HTTP" }
}

/// A state machine without I/O: feed it what arrives until it gives an answer.
package struct ResponseParser: Sendable {
    private static let headBytesMax = 64 << 10
    private static let bodyBytesMax = 1 << 20
    private static let bodyTextBytesMax = 2048

    private enum BodyEnd { case length(Int), chunks, connection }
    private struct Head {
        var status: Int
        var end: BodyEnd
        var retryAfterSeconds: Double?
        var keepsConnection: Bool
    }

    private var bytes: [UInt8] = []

    package init() {}

    package var isEmpty: Bool { bytes.isEmpty }

    /// Takes the next bytes; returns the answer once it is complete.
    package mutating func feed(_ piece: ArraySlice<UInt8>) throws(HTTPAnswerError) -> HTTPAnswer? {
        bytes.append(contentsOf: piece)
        return try answer(atEnd: false)
    }

    /// The connection ended: returns the answer if its body lasts until then, nil if it is cut.
    package mutating func end() throws(HTTPAnswerError) -> HTTPAnswer? {
        try answer(atEnd: true)
    }

    private mutating func answer(atEnd: Bool) throws(HTTPAnswerError) -> HTTPAnswer? {
        guard let headEnd = endOfHead() else {
            if bytes.count > Self.headBytesMax { throw .malformed }
            return nil
        }
        let head = try Self.parse(head: bytes[..<headEnd])
        if (100..<200).contains(head.status) {
            // An interim answer such as 100 Continue: the real one follows.
            bytes.removeFirst(headEnd)
            return try answer(atEnd: atEnd)
        }
        let rest = bytes[headEnd...]
        guard rest.count <= Self.bodyBytesMax else { throw .malformed }
        guard let body = try Self.body(of: rest, end: head.end, atEnd: atEnd) else { return nil }
        return HTTPAnswer(
            status: head.status,
            body: String(decoding: body.prefix(Self.bodyTextBytesMax), as: UTF8.self),
            retryAfterSeconds: head.retryAfterSeconds,
            keepsConnection: head.keepsConnection && !atEnd)
    }

    /// Behind the empty line, if it has arrived.
    private func endOfHead() -> Int? {
        guard bytes.count >= 4 else { return nil }
        let mark: [UInt8] = [13, 10, 13, 10]
        for start in 0...(bytes.count - 4) where bytes[start..<(start + 4)].elementsEqual(mark) {
            return start + 4
        }
        return nil
    }

    private static func parse(head: ArraySlice<UInt8>) throws(HTTPAnswerError) -> Head {
        let lines = String(decoding: head, as: UTF8.self)
            .split(omittingEmptySubsequences: true) { $0 == "\r\n" }
        let words = (lines.first ?? "").split(separator: " ")
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]),
            (100...599).contains(status)
        else { throw .malformed }

        var result = Head(
            status: status, end: .connection, retryAfterSeconds: nil,
            keepsConnection: words[0] == "HTTP/1.1")
        var isChunked = false
        var contentLength: Int?
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { throw .malformed }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            switch line[..<colon].lowercased() {
            case "content-length":
                guard let count = Int(value), (0...bodyBytesMax).contains(count) else {
                    throw .malformed
                }
                contentLength = count
            case "transfer-encoding": isChunked = value.lowercased().hasSuffix("chunked")
            case "connection":
                if value.lowercased() == "close" { result.keepsConnection = false }
            case "retry-after": result.retryAfterSeconds = Double(value)
            default: break
            }
        }
        if status == 204 || status == 304 {
            result.end = .length(0)
        } else if isChunked {
            result.end = .chunks
        } else if let contentLength {
            result.end = .length(contentLength)
        }
        return result
    }

    /// The body if it is complete.
    private static func body(
        of rest: ArraySlice<UInt8>, end: BodyEnd, atEnd: Bool
    ) throws(HTTPAnswerError) -> [UInt8]? {
        switch end {
        case .length(let count): return rest.count >= count ? Array(rest.prefix(count)) : nil
        case .connection: return atEnd ? Array(rest) : nil
        case .chunks: return try dechunked(rest)
        }
    }

    private static func dechunked(
        _ chunked: ArraySlice<UInt8>
    ) throws(HTTPAnswerError) -> [UInt8]? {
        var body: [UInt8] = []
        var rest = chunked
        while true {
            guard let lineEnd = rest.firstIndex(of: 10) else { return nil }
            let digits = rest[..<lineEnd].prefix { $0 != 13 && $0 != UInt8(ascii: ";") }
            guard let count = Int(String(decoding: digits, as: UTF8.self), radix: 16),
                (0...bodyBytesMax).contains(count)
            else { throw .malformed }
            rest = rest[(lineEnd + 1)...]
            // The last chunk is empty; trailers are not awaited, so the connection is not clean
            // for reuse unless their final empty line is here too.
            if count == 0 { return rest.count >= 2 ? body : nil }
            guard rest.count >= count + 2 else { return nil }
            body.append(contentsOf: rest.prefix(count))
            rest = rest.dropFirst(count + 2)
        }
    }
}
