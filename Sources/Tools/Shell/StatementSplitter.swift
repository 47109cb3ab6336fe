// Cuts what was typed, or a file, into statements at `;` and into lines that begin with a backslash.

/// One thing to carry out.
package enum ScriptItem: Equatable, Sendable {
    /// A statement without its `;`, as typed.
    case statement(String)
    /// A line such as `\d cpu`, when no statement was open before it.
    case command(String)
}

/// Takes text piece by piece. Knows strings, `E'…'`, quoted names and comments, so that a `;` inside
/// of them separates nothing; what is no SQL at all passes through for the server to refuse.
package struct StatementSplitter: Sendable {
    /// What the end of the text so far lies in.
    package enum Place: Equatable, Sendable {
        /// Nothing but blanks and comments since the last statement.
        case start
        case statement
        case string(escaped: Bool)
        case quotedName
        case lineComment
        case blockComment(depth: Int)
    }

    private var text: [UInt8] = []
    private var place = Place.start
    /// Whether the statement has begun, while `place` is inside a comment.
    private var hasBegun = false

    package init() {}

    /// Where typing goes on, for a prompt.
    package var openPlace: Place {
        switch place {
        case .lineComment: hasBegun ? .statement : .start
        default: place
        }
    }

    /// Takes text and returns what it completed. A line break that ends a backslash command has to
    /// be part of the text.
    package mutating func feed(_ more: String) -> [ScriptItem] {
        var items: [ScriptItem] = []
        let bytes = Array(more.utf8)
        var index = 0
        while index < bytes.count {
            if place == .start, bytes[index] == UInt8(ascii: "\\") {
                let line = bytes[index...].prefix { $0 != 0x0A }
                items.append(.command(Self.trimmed(line)))
                text = []
                index += line.count + 1
                continue
            }
            index += step(bytes, index, &items)
        }
        return items
    }

    /// The statement at the end of a file needs no `;`.
    package mutating func finish() -> ScriptItem? {
        defer { self = StatementSplitter() }
        return hasBegun ? .statement(Self.trimmed(text[...])) : nil
    }

    /// Takes one byte, or two that belong together; returns how many.
    private mutating func step(
        _ bytes: [UInt8], _ index: Int, _ items: inout [ScriptItem]
    ) -> Int {
        let byte = bytes[index]
        let next = index + 1 < bytes.count ? bytes[index + 1] : 0
        switch place {
        case .start, .statement: return plain(byte, next, &items)
        case .string(let escaped):
            let isPair = byte == UInt8(ascii: "'") && next == UInt8(ascii: "'")
            if isPair || (escaped && byte == UInt8(ascii: "\\") && index + 1 < bytes.count) {
                text += [byte, next]
                return 2
            }
            if byte == UInt8(ascii: "'") { place = .statement }
        case .quotedName: if byte == UInt8(ascii: "\"") { place = .statement }
        case .lineComment: if byte == 0x0A { place = hasBegun ? .statement : .start }
        case .blockComment(let depth):
            if byte == UInt8(ascii: "*"), next == UInt8(ascii: "/") {
                text += [byte, next]
                let outer = hasBegun ? Place.statement : .start
                place = depth == 1 ? outer : .blockComment(depth: depth - 1)
                return 2
            }
            if byte == UInt8(ascii: "/"), next == UInt8(ascii: "*") {
                text += [byte, next]
                place = .blockComment(depth: depth + 1)
                return 2
            }
        }
        text.append(byte)
        return 1
    }

    private mutating func plain(
        _ byte: UInt8, _ next: UInt8, _ items: inout [ScriptItem]
    ) -> Int {
        switch (byte, next) {
        case (UInt8(ascii: ";"), _):
            if hasBegun { items.append(.statement(Self.trimmed(text[...]))) }
            (text, place, hasBegun) = ([], .start, false)
            return 1
        case (UInt8(ascii: "-"), UInt8(ascii: "-")):
            place = .lineComment
        case (UInt8(ascii: "/"), UInt8(ascii: "*")):
            text += [byte, next]
            place = .blockComment(depth: 1)
            return 2
        case (UInt8(ascii: "'"), _):
            place = .string(escaped: opensEscapedString)
            hasBegun = true
        case (UInt8(ascii: "\""), _):
            place = .quotedName
            hasBegun = true
        case (0x20, _), (0x09...0x0D, _): break
        default:
            place = .statement
            hasBegun = true
        }
        text.append(byte)
        return 1
    }

    /// Whether an `E` stands alone before the quote that comes now.
    private var opensEscapedString: Bool {
        guard let last = text.last, last | 0x20 == UInt8(ascii: "e") else { return false }
        guard let before = text.dropLast().last else { return true }
        let isWord =
            (before | 0x20) &- 0x61 < 26 || before &- 0x30 < 10 || before >= 0x80
            || before == UInt8(ascii: "_") || before == UInt8(ascii: "$")
        return !isWord
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> String {
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0D).contains($0) }
        var rest = bytes.drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest = rest.dropLast() }
        return String(decoding: rest, as: UTF8.self)
    }
}
