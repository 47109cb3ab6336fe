// Strings, quoted names, numbers and parameters.

extension Lexer {
    /// `'…'` with `''` for a quote; escaped, also backslash sequences as in PostgreSQL's `E'…'`.
    mutating func string(at start: SourcePosition, escaped: Bool) throws(QueryError) -> Token {
        offset += 1
        var content: [UInt8] = []
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            if byte == UInt8(ascii: "'") {
                guard self.byte(at: offset) == UInt8(ascii: "'") else {
                    return try stringToken(content, at: start)
                }
                offset += 1
                content.append(byte)
            } else if escaped, byte == UInt8(ascii: "\\") {
                try appendEscape(to: &content, at: start)
            } else {
                content.append(byte)
            }
        }
        throw QueryError(.syntax, "the string that begins here has no closing quote", at: start)
    }

    private func stringToken(
        _ content: [UInt8], at start: SourcePosition
    ) throws(QueryError) -> Token {
        guard let text = String(validating: content, as: UTF8.self), !content.contains(0) else {
            throw QueryError(.syntax, "the escapes in this string do not give UTF-8", at: start)
        }
        return Token(kind: .string, text: text, keyword: "", position: start, endOffset: offset)
    }

    private mutating func appendEscape(
        to content: inout [UInt8], at start: SourcePosition
    ) throws(QueryError) {
        let byte = self.byte(at: offset)
        offset += 1
        switch byte {
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "x"):
            let value = try digits(radix: 16, atLeast: 1, atMost: 2, of: start)
            content.append(UInt8(truncatingIfNeeded: value))
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            offset -= 1
            let value = try digits(radix: 8, atLeast: 1, atMost: 3, of: start)
            content.append(UInt8(truncatingIfNeeded: value))
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            let count = byte == UInt8(ascii: "u") ? 4 : 8
            let value = try digits(radix: 16, atLeast: count, atMost: count, of: start)
            guard let scalar = Unicode.Scalar(value) else {
                throw QueryError(
                    .syntax, "a \\u escape in this string names no character", at: start)
            }
            content.append(contentsOf: Array(String(Character(scalar)).utf8))
        default:
            content.append(byte)
        }
    }

    private mutating func digits(
        radix: UInt32, atLeast: Int, atMost: Int, of start: SourcePosition
    ) throws(QueryError) -> UInt32 {
        var value: UInt32 = 0
        var count = 0
        while count < atMost, let digit = digitValue(byte(at: offset)), digit < radix {
            value = value &* radix &+ digit
            offset += 1
            count += 1
        }
        guard count >= atLeast else {
            throw QueryError(
                .syntax, "an escape in this string needs \(atLeast) digits", at: start)
        }
        return value
    }

    private func digitValue(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 0x30...0x39: UInt32(byte - 0x30)
        case 0x41...0x46: UInt32(byte - 0x41 + 10)
        case 0x61...0x66: UInt32(byte - 0x61 + 10)
        default: nil
        }
    }

    /// `"…"` with `""` for a quote.
    mutating func quotedName(at start: SourcePosition) throws(QueryError) -> Token {
        offset += 1
        var content: [UInt8] = []
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            if byte == UInt8(ascii: "\"") {
                guard self.byte(at: offset) == UInt8(ascii: "\"") else {
                    guard !content.isEmpty else {
                        throw QueryError(.syntax, "a name cannot be empty", at: start)
                    }
                    return Token(
                        kind: .quotedName, text: String(decoding: content, as: UTF8.self),
                        keyword: "", position: start, endOffset: offset)
                }
                offset += 1
            }
            content.append(byte)
        }
        throw QueryError(.syntax, "the name that begins here has no closing quote", at: start)
    }

    /// `$1` to `$65535`.
    mutating func parameter(at start: SourcePosition) throws(QueryError) -> Token {
        let first = offset
        offset += 1
        while isDigit(byte(at: offset)) { offset += 1 }
        let text = String(decoding: bytes[first..<offset], as: UTF8.self)
        guard let number = Int(text.dropFirst()), 1...65535 ~= number else {
            throw QueryError(
                .syntax, "a parameter is `$` and a number from 1 to 65535", at: start)
        }
        return Token(
            kind: .parameter(number), text: text, keyword: "", position: start, endOffset: offset)
    }

    /// A number, or a duration when letters follow at once.
    mutating func number(at start: SourcePosition) throws(QueryError) -> Token {
        let first = offset
        var isInteger = true
        while isDigit(byte(at: offset)) { offset += 1 }
        if byte(at: offset) == UInt8(ascii: ".") {
            isInteger = false
            offset += 1
            while isDigit(byte(at: offset)) { offset += 1 }
        }
        if byte(at: offset) | 0x20 == UInt8(ascii: "e") {
            let sign = byte(at: offset + 1)
            let signBytes = sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") ? 1 : 0
            if isDigit(byte(at: offset + 1 + signBytes)) {
                isInteger = false
                offset += 1 + signBytes
                while isDigit(byte(at: offset)) { offset += 1 }
            }
        }
        let end = offset
        while isWordByte(byte(at: offset)) { offset += 1 }
        let text = String(decoding: bytes[first..<offset], as: UTF8.self)
        guard offset == end else {
            return Token(
                kind: .duration, text: text, keyword: "", position: start, endOffset: offset)
        }
        let literal = try literal(of: text, isInteger: isInteger, at: start)
        return Token(
            kind: .number(literal), text: text, keyword: "", position: start, endOffset: offset)
    }

    /// Integers are exact up to `UInt64.max`; beyond, and with a point or exponent, doubles.
    private func literal(
        of text: String, isInteger: Bool, at start: SourcePosition
    ) throws(QueryError) -> Literal {
        if isInteger {
            if let value = Int64(text) { return .integer(value) }
            if let value = UInt64(text) { return .unsigned(value) }
        }
        // Swift's parser wants a digit on both sides of the point.
        var spelling = text
        if spelling.hasPrefix(".") { spelling = "0" + spelling }
        if spelling.hasSuffix(".") { spelling += "0" }
        if let point = spelling.firstIndex(of: "."),
            let next = spelling[point...].dropFirst().first, !next.isNumber
        {
            spelling.insert("0", at: spelling.index(after: point))
        }
        guard let value = Double(spelling), value.isFinite else {
            throw QueryError(.syntax, "the number is too large for a float64", at: start)
        }
        return .double(value)
    }
}
