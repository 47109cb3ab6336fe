// Paths and queries of requests: percent decoding, parameters, forms.

/// Names and values of a URL's query or of a form body, in order. The first of a name counts.
package struct URLParameters: Sendable {
    private(set) var pairs: [(name: String, value: String)] = []
    /// Whether all of it is UTF-8. What is not holds U+FFFD, which makes one name of several.
    private(set) var isText = true

    package init() {}

    /// Reads `a=1&b=2`; `+` is a space, broken percent escapes stay as they are.
    package init(_ text: Substring.UTF8View) {
        for part in text.split(separator: UInt8(ascii: "&"), maxSplits: 255) {
            let sides = part.split(
                separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let value = sides.count > 1 ? decoded(sides[1]) : ""
            pairs.append((decoded(sides[0]), value))
        }
    }

    private mutating func decoded(_ escaped: Substring.UTF8View) -> String {
        let bytes = URLText.decodedBytes(escaped)
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        isText = false
        return String(decoding: bytes, as: UTF8.self)
    }

    package init(_ text: String) { self.init(Substring(text).utf8) }

    package subscript(name: String) -> String? { pairs.first { $0.name == name }?.value }

    /// Appends others, which count where these have no such name.
    package mutating func append(_ other: URLParameters) {
        pairs += other.pairs
        isText = isText && other.isText
    }
}

package enum URLText {
    package static func split(_ uri: String) -> (path: String, parameters: URLParameters) {
        guard let mark = uri.utf8.firstIndex(of: UInt8(ascii: "?")) else {
            return (uri, URLParameters())
        }
        return (String(uri[..<mark]), URLParameters(uri[uri.utf8.index(after: mark)...].utf8))
    }

    fileprivate static func decodedBytes(_ text: Substring.UTF8View) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            index = text.index(after: index)
            if byte == UInt8(ascii: "+") {
                bytes.append(0x20)
            } else if byte == UInt8(ascii: "%"), let value = hexPair(text[index...]) {
                bytes.append(value)
                index = text.index(index, offsetBy: 2)
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }

    private static func hexPair(_ text: Substring.UTF8View) -> UInt8? {
        let digits = text.prefix(2).compactMap(hexValue)
        return digits.count == 2 ? digits[0] << 4 | digits[1] : nil
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
