// The status line and the headers of an HTTP/1.1 response.

package enum HTTPAnswerError: Error, Equatable, CustomStringConvertible {
    /// What came is no HTTP response, or one larger than anything that is expected here.
    case malformed

    package var description: String { "the answer is not HTTP" }
}

/// What stands before a body.
package struct ResponseHead: Equatable, Sendable {
    package struct Header: Equatable, Sendable {
        /// In lower case.
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// How the end of the body is told.
    package enum BodyEnd: Equatable, Sendable { case length(Int), chunks, connection }

    package static let bytesMax = 64 << 10

    package let status: Int
    package let headers: [Header]
    package let bodyEnd: BodyEnd
    /// Whether the connection may carry another request once the body is read.
    package let keepsConnection: Bool

    /// The first value of a header; the name in lower case.
    package subscript(name: String) -> String? { headers.first { $0.name == name }?.value }

    /// 100 Continue and its like: the real answer follows.
    package var isInterim: Bool { (100..<200).contains(status) }

    /// The count of bytes up to and with the empty line, if it has arrived.
    ///
    /// - Throws: if there is no end within `bytesMax`.
    package static func byteCount(in bytes: [UInt8]) throws(HTTPAnswerError) -> Int? {
        let mark: [UInt8] = [13, 10, 13, 10]
        var start = 0
        while start + mark.count <= min(bytes.count, bytesMax) {
            if bytes[start] == 13, bytes[start..<start + mark.count].elementsEqual(mark) {
                return start + mark.count
            }
            start += 1
        }
        guard bytes.count < bytesMax else { throw .malformed }
        return nil
    }

    /// - Parameter bytes: up to and with the empty line.
    package init(parsing bytes: ArraySlice<UInt8>) throws(HTTPAnswerError) {
        let lines = String(decoding: bytes, as: UTF8.self)
            .split(omittingEmptySubsequences: true) { $0 == "\r\n" }
        let words = (lines.first ?? "").split(separator: " ")
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]),
            (100...599).contains(status)
        else { throw .malformed }

        var headers: [Header] = []
        var (isChunked, contentLength) = (false, Int?.none)
        var keepsConnection = words[0] == "HTTP/1.1"
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { throw .malformed }
            let name = line[..<colon].lowercased()
            let value = String(
                line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" })
            headers.append(Header(name: name, value: value))
            switch name {
            case "content-length":
                guard let count = Int(value), count >= 0 else { throw .malformed }
                contentLength = count
            case "transfer-encoding": isChunked = value.lowercased().hasSuffix("chunked")
            case "connection": if value.lowercased() == "close" { keepsConnection = false }
            default: break
            }
        }
        self.status = status
        self.headers = headers
        self.keepsConnection = keepsConnection
        if status == 204 || status == 304 {
            bodyEnd = .length(0)
        } else if isChunked {
            bodyEnd = .chunks
        } else {
            bodyEnd = contentLength.map { .length($0) } ?? .connection
        }
    }
}
