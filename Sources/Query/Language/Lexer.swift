// Cuts a statement's text into tokens. Comments (`--` to the line's end, `/* */` nested) and
// white space only separate.

package struct Lexer {
    let bytes: [UInt8]
    var offset = 0
    /// Position of the byte at `markOffset`, moved forward as tokens begin: computing positions
    /// costs one pass over the text.
    private var mark = SourcePosition.start

    /// Where the first words of a statement are looked for.
    private static let firstWordsBytesMax = 1_024

    package init(_ text: String) {
        self.init(bytes: Array(text.utf8))
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// The words that a text begins with, behind blanks and comments, in capitals: so many of them at
    /// most, without a look at the rest.
    package static func firstWords(of text: String, count: Int) -> [String] {
        var lexer = Lexer(bytes: Array(text.utf8.prefix(firstWordsBytesMax)))
        var words: [String] = []
        while words.count < count, let token = try? lexer.next(), token.isWord {
            words.append(token.keyword)
        }
        return words
    }

    /// All tokens, the last of them `.end`, which stands right behind the last real one.
    ///
    /// - Throws: `syntax` for an unterminated literal or comment, a number out of range, or a
    ///   character that begins nothing.
    package static func tokens(of text: String) throws(QueryError) -> [Token] {
        var lexer = Lexer(text)
        var tokens: [Token] = []
        tokens.reserveCapacity(lexer.bytes.count / 4 + 2)
        while let token = try lexer.next() {
            tokens.append(token)
        }
        lexer.mark = .start
        let endOffset = tokens.last?.endOffset ?? 0
        tokens.append(
            Token(
                kind: .end, text: "", keyword: "", position: lexer.position(of: endOffset),
                endOffset: endOffset))
        return tokens
    }

    /// The position of a byte not before the last one asked for.
    mutating func position(of target: Int) -> SourcePosition {
        while mark.byteOffset < target {
            let byte = bytes[mark.byteOffset]
            mark.byteOffset += 1
            if byte == UInt8(ascii: "\n") {
                mark.line += 1
                mark.column = 1
            } else if mark.byteOffset >= bytes.count || bytes[mark.byteOffset] & 0xC0 != 0x80 {
                mark.column += 1
            }
        }
        return mark
    }

    func byte(at index: Int) -> UInt8 {
        index < bytes.count ? bytes[index] : 0
    }

    private mutating func next() throws(QueryError) -> Token? {
        try skipBlanks()
        guard offset < bytes.count else { return nil }
        let start = offset
        let position = position(of: start)
        let first = bytes[start]
        let second = byte(at: start + 1)
        switch first {
        case UInt8(ascii: "'"):
            return try string(at: position, escaped: false)
        case UInt8(ascii: "E"), UInt8(ascii: "e"):
            if second == UInt8(ascii: "'") {
                offset += 1
                return try string(at: position, escaped: true)
            }
            return word(at: position)
        case UInt8(ascii: "\""):
            return try quotedName(at: position)
        case UInt8(ascii: "$"):
            return try parameter(at: position)
        case UInt8(ascii: "."):
            if isDigit(second) { return try number(at: position) }
            return try symbol(at: position)
        case _ where isDigit(first):
            return try number(at: position)
        case _ where isWordStart(first):
            return word(at: position)
        default:
            return try symbol(at: position)
        }
    }

    private mutating func skipBlanks() throws(QueryError) {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x09, 0x0A, 0x0B, 0x0C, 0x0D:
                offset += 1
            case UInt8(ascii: "-") where byte(at: offset + 1) == UInt8(ascii: "-"):
                while offset < bytes.count, bytes[offset] != 0x0A { offset += 1 }
            case UInt8(ascii: "/") where byte(at: offset + 1) == UInt8(ascii: "*"):
                try skipComment()
            default:
                return
            }
        }
    }

    private mutating func skipComment() throws(QueryError) {
        let start = offset
        var depth = 0
        repeat {
            let pair = (byte(at: offset), byte(at: offset + 1))
            if pair == (UInt8(ascii: "/"), UInt8(ascii: "*")) {
                depth += 1
                offset += 2
            } else if pair == (UInt8(ascii: "*"), UInt8(ascii: "/")) {
                depth -= 1
                offset += 2
            } else {
                offset += 1
            }
            if offset > bytes.count || (offset == bytes.count && depth > 0) {
                throw QueryError(
                    .syntax, "the comment that begins here has no end", at: position(of: start))
            }
        } while depth > 0
    }

    private mutating func word(at position: SourcePosition) -> Token {
        let start = offset
        while offset < bytes.count, isWordByte(bytes[offset]) { offset += 1 }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        return Token(
            kind: .word, text: text, keyword: asciiUppercased(text), position: position,
            endOffset: offset)
    }

    private mutating func symbol(at position: SourcePosition) throws(QueryError) -> Token {
        for length in [3, 2, 1] where offset + length <= bytes.count {
            // Only ASCII spellings can be symbols, so that cutting inside a character is harmless.
            let spelling = String(decoding: bytes[offset..<offset + length], as: UTF8.self)
            guard let symbol = Symbol(rawValue: spelling) else { continue }
            if symbol == .equal, byte(at: offset + 1) == UInt8(ascii: "=") {
                throw QueryError(
                    .syntax, "`==` is not an operator", at: position, hint: "write `=`")
            }
            offset += length
            return Token(
                kind: .symbol(symbol), text: spelling, keyword: "", position: position,
                endOffset: offset)
        }
        let byte = bytes[offset]
        let name =
            byte > 0x20 && byte < 0x7F
            ? "`\(Character(Unicode.Scalar(byte)))`" : "the character \(hexadecimal(byte))"
        throw QueryError(.syntax, "\(name) has no meaning here", at: position)
    }

    private func hexadecimal(_ byte: UInt8) -> String {
        (byte < 16 ? "0x0" : "0x") + String(byte, radix: 16)
    }

    func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    func isWordStart(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_") || byte >= 0x80
    }

    func isWordByte(_ byte: UInt8) -> Bool {
        isWordStart(byte) || isDigit(byte) || byte == UInt8(ascii: "$")
    }
}
