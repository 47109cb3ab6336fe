// JSON as far as the answers of a server need it: small bodies, read whole.

/// A value of JSON. Numbers stay text, so that none loses a digit.
package enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// Nil for anything that is not one JSON value.
    package init?(_ text: String) {
        var reader = Reader(bytes: Array(text.utf8))
        guard let value = reader.value(depth: 0), reader.isAtEnd else { return nil }
        self = value
    }

    package subscript(name: String) -> JSONValue? {
        if case .object(let members) = self { members[name] } else { nil }
    }

    package var string: String? { if case .string(let text) = self { text } else { nil } }
    package var integer: Int? { if case .number(let text) = self { Int(text) } else { nil } }
    package var elements: [JSONValue] { if case .array(let items) = self { items } else { [] } }

    private struct Reader {
        private static let depthMax = 32

        let bytes: [UInt8]
        var index = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool {
            mutating get {
                skipBlanks()
                return index == bytes.count
            }
        }

        private mutating func skipBlanks() {
            while index < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[index]) {
                index += 1
            }
        }

        private mutating func take(_ byte: Character) -> Bool {
            skipBlanks()
            guard index < bytes.count, bytes[index] == byte.asciiValue else { return false }
            index += 1
            return true
        }

        private mutating func take(word: String) -> Bool {
            guard bytes[index...].starts(with: word.utf8) else { return false }
            index += word.utf8.count
            return true
        }

        mutating func value(depth: Int) -> JSONValue? {
            skipBlanks()
            guard depth < Self.depthMax, index < bytes.count else { return nil }
            switch bytes[index] {
            case UInt8(ascii: "{"): return object(depth)
            case UInt8(ascii: "["): return array(depth)
            case UInt8(ascii: "\""): return text().map { .string($0) }
            case UInt8(ascii: "t"): return take(word: "true") ? .bool(true) : nil
            case UInt8(ascii: "f"): return take(word: "false") ? .bool(false) : nil
            case UInt8(ascii: "n"): return take(word: "null") ? .null : nil
            default: return number()
            }
        }

        private mutating func object(_ depth: Int) -> JSONValue? {
            index += 1
            var members: [String: JSONValue] = [:]
            if take("}") { return .object(members) }
            repeat {
                skipBlanks()
                guard index < bytes.count, bytes[index] == UInt8(ascii: "\""), let name = text(),
                    take(":"), let value = value(depth: depth + 1)
                else { return nil }
                members[name] = value
            } while take(",")
            return take("}") ? .object(members) : nil
        }

        private mutating func array(_ depth: Int) -> JSONValue? {
            index += 1
            var items: [JSONValue] = []
            if take("]") { return .array(items) }
            repeat {
                guard let value = value(depth: depth + 1) else { return nil }
                items.append(value)
            } while take(",")
            return take("]") ? .array(items) : nil
        }

        private mutating func number() -> JSONValue? {
            let start = index
            while index < bytes.count,
                (0x30...0x39).contains(bytes[index]) || "+-.eE".utf8.contains(bytes[index])
            {
                index += 1
            }
            let text = String(decoding: bytes[start..<index], as: UTF8.self)
            return Double(text) == nil ? nil : .number(text)
        }

        private mutating func text() -> String? {
            index += 1
            var result: [UInt8] = []
            while index < bytes.count {
                let byte = bytes[index]
                index += 1
                if byte == UInt8(ascii: "\"") { return String(decoding: result, as: UTF8.self) }
                guard byte == UInt8(ascii: "\\") else {
                    result.append(byte)
                    continue
                }
                guard index < bytes.count else { return nil }
                let escape = bytes[index]
                index += 1
                switch escape {
                case UInt8(ascii: "b"): result.append(0x08)
                case UInt8(ascii: "f"): result.append(0x0C)
                case UInt8(ascii: "n"): result.append(0x0A)
                case UInt8(ascii: "r"): result.append(0x0D)
                case UInt8(ascii: "t"): result.append(0x09)
                case UInt8(ascii: "u"):
                    guard let scalar = scalar() else { return nil }
                    result.append(contentsOf: String(Character(scalar)).utf8)
                default: result.append(escape)
                }
            }
            return nil
        }

        /// The scalar behind `\u`; two units for one beyond the sixteen bits.
        private mutating func scalar() -> Unicode.Scalar? {
            guard let first = unit() else { return nil }
            if let scalar = Unicode.Scalar(first) { return scalar }
            guard first < 0xDC00, take(word: "\\u"), let second = unit(),
                (0xDC00...0xDFFF).contains(second)
            else { return "\u{FFFD}" }
            return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        }

        private mutating func unit() -> UInt32? {
            guard index + 4 <= bytes.count else { return nil }
            defer { index += 4 }
            return UInt32(String(decoding: bytes[index..<index + 4], as: UTF8.self), radix: 16)
        }
    }
}
