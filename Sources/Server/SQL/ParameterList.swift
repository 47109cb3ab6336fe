// `params`: a JSON array of scalars for `$1`, `$2`, …

package import ApusQuery

package enum ParameterList {
    package struct Fault: Error, Equatable { var message: String }

    package static let countMax = 1_000

    package static func parse(_ text: String) throws(Fault) -> [QueryParameter] {
        var scanner = Scanner(bytes: Array(text.utf8))
        let parameters = try scanner.array()
        guard scanner.isAtEnd else { throw Fault(message: "params: text after the array") }
        return parameters
    }

    private struct Scanner {
        let bytes: [UInt8]
        private var position = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        private mutating func skipBlanks() {
            while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) {
                position += 1
            }
        }

        var isAtEnd: Bool { mutating get { skipBlanks(); return position == bytes.count } }

        private mutating func take(_ byte: UInt8) -> Bool {
            skipBlanks()
            guard position < bytes.count, bytes[position] == byte else { return false }
            position += 1
            return true
        }

        mutating func array() throws(Fault) -> [QueryParameter] {
            guard take(UInt8(ascii: "[")) else {
                throw Fault(message: "params is a JSON array like [1,\"a\"]")
            }
            var values: [QueryParameter] = []
            if take(UInt8(ascii: "]")) { return values }
            repeat {
                guard values.count < countMax else {
                    throw Fault(message: "params: more than \(countMax) values")
                }
                values.append(try value())
            } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "]")) else {
                throw Fault(message: "params: the array does not end")
            }
            return values
        }

        private mutating func value() throws(Fault) -> QueryParameter {
            skipBlanks()
            if position < bytes.count, bytes[position] == UInt8(ascii: "\"") {
                return .string(try string())
            }
            let start = position
            while position < bytes.count, isWordByte(bytes[position]) { position += 1 }
            let word = String(decoding: bytes[start..<position], as: UTF8.self)
            switch word {
            case "null": return .null
            case "true": return .bool(true)
            case "false": return .bool(false)
            default: break
            }
            if let number = Int64(word), word.first != "+" { return .int64(number) }
            if let number = UInt64(word), word.first != "+" { return .uint64(number) }
            if let first = word.first, first == "-" || first.isNumber, let number = Double(word),
                number.isFinite
            {
                return .float64(number)
            }
            throw Fault(
                message: "params: '\(word.prefix(40))' is not a string, number, true, false or null"
            )
        }

        private func isWordByte(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "+"), UInt8(ascii: "-"),
                UInt8(ascii: "."):
                true
            default: false
            }
        }

        private mutating func string() throws(Fault) -> String {
            position += 1
            var text: [UInt8] = []
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
                guard byte == UInt8(ascii: "\\") else {
                    text.append(byte)
                    continue
                }
                try escape(into: &text)
            }
            throw Fault(message: "params: a string does not end")
        }

        private mutating func escape(into text: inout [UInt8]) throws(Fault) {
            guard position < bytes.count else {
                throw Fault(message: "params: a string does not end")
            }
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "n"): text.append(0x0A)
            case UInt8(ascii: "t"): text.append(0x09)
            case UInt8(ascii: "r"): text.append(0x0D)
            case UInt8(ascii: "b"): text.append(0x08)
            case UInt8(ascii: "f"): text.append(0x0C)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
            case UInt8(ascii: "u"):
                var units = [try codeUnit()]
                if units[0] & 0xFC00 == 0xD800, position + 1 < bytes.count,
                    bytes[position] == UInt8(ascii: "\\"),
                    bytes[position + 1] == UInt8(ascii: "u")
                {
                    position += 2
                    units.append(try codeUnit())
                }
                text += Array(String(decoding: units, as: UTF16.self).utf8)
            default: throw Fault(message: "params: an unknown escape in a string")
            }
        }

        private mutating func codeUnit() throws(Fault) -> UInt16 {
            guard bytes.count - position >= 4,
                let unit = UInt16(
                    String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
            else { throw Fault(message: "params: \\u needs four hexadecimal digits") }
            position += 4
            return unit
        }
    }
}
