// What a terminal sends for the keys of a person: characters, control bytes, escape sequences.
//
//     a … ü 漢           UTF-8
//     00 … 1F, 7F        Ctrl and a letter; Enter 0D or 0A, Backspace 7F or 08
//     ESC [ n ; m X      arrows A B C D, H and F home and end, n ~ for others (3 is delete)
//     ESC O X            the same from some terminals
//     ESC x              Alt and a key
//     ESC [ 200 ~ … ESC [ 201 ~   bracketed paste

package enum Key: Equatable, Sendable {
    case character(Character)
    case paste(String)
    case enter, tab, backspace, delete, left, right, up, down, home, end, wordLeft, wordRight
    /// Ctrl-C, Ctrl-D, Ctrl-G or a lone Escape and so on.
    case interrupt, endOfInput, cancel
    case killToEnd, killToStart, killWord, yank, search, clearScreen, swap
    case unknown
}

/// Takes bytes one by one. A state machine without I/O.
package struct KeyDecoder: Sendable {
    private enum State { case plain, escape, sequence, application, paste }

    private static let sequenceBytesMax = 32
    /// More than anyone pastes on purpose; the rest is dropped.
    private static let pasteBytesMax = 4 << 20
    private static let pasteEnd = Array("\u{1B}[201~".utf8)

    private var state = State.plain
    private var bytes: [UInt8] = []

    package init() {}

    package mutating func feed(_ byte: UInt8) -> Key? {
        switch state {
        case .plain: return plain(byte)
        case .escape: return afterEscape(byte)
        case .application:
            state = .plain
            return Self.cursorKey(byte, isModified: false)
        case .sequence:
            guard (0x40...0x7E).contains(byte) else {
                bytes.append(byte)
                if bytes.count > Self.sequenceBytesMax { state = .plain }
                return nil
            }
            state = .plain
            return sequence(final: byte)
        case .paste:
            if bytes.count < Self.pasteBytesMax || byte == 0x1B || bytes.last == 0x1B {
                bytes.append(byte)
            } else {
                // Only the mark of the end is still looked for.
                bytes.removeFirst(Self.pasteEnd.count)
                bytes.append(byte)
            }
            guard bytes.suffix(Self.pasteEnd.count).elementsEqual(Self.pasteEnd) else { return nil }
            state = .plain
            let text = String(
                decoding: bytes.dropLast(Self.pasteEnd.count), as: UTF8.self)
            bytes = []
            return .paste(text)
        }
    }

    private mutating func plain(_ byte: UInt8) -> Key? {
        if byte < 0x20 || byte == 0x7F {
            bytes = []
            return control(byte)
        }
        bytes.append(byte)
        let length =
            switch bytes[0] {
            case 0xC0...0xDF: 2
            case 0xE0...0xEF: 3
            case 0xF0...0xF7: 4
            default: 1
            }
        guard bytes.count >= length else { return nil }
        defer { bytes = [] }
        return String(validating: bytes, as: UTF8.self)?.first.map { .character($0) } ?? .unknown
    }

    private mutating func control(_ byte: UInt8) -> Key? {
        switch byte {
        case 0x01: return .home
        case 0x02: return .left
        case 0x03: return .interrupt
        case 0x04: return .endOfInput
        case 0x05: return .end
        case 0x06: return .right
        case 0x07: return .cancel
        case 0x08, 0x7F: return .backspace
        case 0x09: return .tab
        case 0x0A, 0x0D: return .enter
        case 0x0B: return .killToEnd
        case 0x0C: return .clearScreen
        case 0x0E: return .down
        case 0x10: return .up
        case 0x12: return .search
        case 0x14: return .swap
        case 0x15: return .killToStart
        case 0x17: return .killWord
        case 0x19: return .yank
        case 0x1B:
            state = .escape
            return nil
        default: return .unknown
        }
    }

    private mutating func afterEscape(_ byte: UInt8) -> Key? {
        bytes = []
        state = .plain
        switch byte {
        case UInt8(ascii: "["): state = .sequence
        case UInt8(ascii: "O"): state = .application
        case 0x1B: return .cancel
        case UInt8(ascii: "b"): return .wordLeft
        case UInt8(ascii: "f"): return .wordRight
        case 0x7F, 0x08: return .killWord
        default: return .unknown
        }
        return nil
    }

    private mutating func sequence(final: UInt8) -> Key? {
        let text = String(decoding: bytes, as: UTF8.self)
        bytes = []
        guard final == UInt8(ascii: "~") else {
            return Self.cursorKey(final, isModified: text.contains(";"))
        }
        switch text.prefix(while: { $0 != ";" }) {
        case "1", "7": return .home
        case "4", "8": return .end
        case "3": return .delete
        case "200":
            state = .paste
            return nil
        default: return .unknown
        }
    }

    private static func cursorKey(_ byte: UInt8, isModified: Bool) -> Key {
        switch byte {
        case UInt8(ascii: "A"): .up
        case UInt8(ascii: "B"): .down
        case UInt8(ascii: "C"): isModified ? .wordRight : .right
        case UInt8(ascii: "D"): isModified ? .wordLeft : .left
        case UInt8(ascii: "H"): .home
        case UInt8(ascii: "F"): .end
        default: .unknown
        }
    }
}
