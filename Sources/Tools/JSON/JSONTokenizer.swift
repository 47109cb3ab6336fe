// Cuts JSON into tokens as its bytes arrive, keeping at most one token.

package enum JSONToken: Equatable, Sendable {
    case beginObject, endObject, beginArray, endArray
    /// A comma or a colon; whoever reads knows where a name and where a value has to come.
    case separator
    /// `bytes` of the tokenizer: text without quotes and escapes.
    case string
    /// A number, true, false or null, as spelled.
    case word
}

package struct JSONFault: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// A state machine without I/O. The grammar between tokens is the reader's concern.
package struct JSONTokenizer: Sendable {
    private enum State { case between, word, string, escape, codeUnit(digitCount: Int) }

    /// No server of ours sends a longer value.
    private static let tokenBytesMax = 64 << 20

    private var state = State.between
    /// The text of the last string or word.
    package private(set) var bytes: [UInt8] = []
    private var codeUnit: UInt32 = 0
    private var highSurrogate: UInt32?

    package init() {}

    package mutating func next(
        from arrived: inout ArraySlice<UInt8>
    ) throws(JSONFault) -> JSONToken? {
        while let byte = arrived.first {
            switch state {
            case .between:
                arrived.removeFirst()
                if let token = try begin(byte) { return token }
            case .word:
                guard Self.isWordByte(byte) else {
                    state = .between
                    return .word
                }
                bytes.append(byte)
                arrived.removeFirst()
            case .string:
                let run = arrived.prefix { $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
                if !run.isEmpty { endSurrogate() }
                guard bytes.count + run.count <= Self.tokenBytesMax else {
                    throw JSONFault("a value in the answer is too long")
                }
                bytes += run
                arrived = arrived.dropFirst(run.count)
                guard let end = arrived.popFirst() else { return nil }
                if end == UInt8(ascii: "\"") {
                    endSurrogate()
                    state = .between
                    return .string
                }
                state = .escape
            case .escape:
                arrived.removeFirst()
                try escape(byte)
            case .codeUnit(let digitCount):
                arrived.removeFirst()
                try hexDigit(byte, digitCount)
            }
        }
        return nil
    }

    private mutating func begin(_ byte: UInt8) throws(JSONFault) -> JSONToken? {
        switch byte {
        case UInt8(ascii: "{"): return .beginObject
        case UInt8(ascii: "}"): return .endObject
        case UInt8(ascii: "["): return .beginArray
        case UInt8(ascii: "]"): return .endArray
        case UInt8(ascii: ","), UInt8(ascii: ":"): return .separator
        case UInt8(ascii: "\""):
            bytes.removeAll(keepingCapacity: true)
            state = .string
        case 0x20, 0x09, 0x0A, 0x0D: break
        case _ where Self.isWordByte(byte):
            bytes.removeAll(keepingCapacity: true)
            bytes.append(byte)
            state = .word
        default: throw JSONFault("the answer is not JSON")
        }
        return nil
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".")
    }

    private mutating func escape(_ byte: UInt8) throws(JSONFault) {
        state = .string
        if byte == UInt8(ascii: "u") {
            codeUnit = 0
            state = .codeUnit(digitCount: 0)
            return
        }
        endSurrogate()
        switch byte {
        case UInt8(ascii: "n"): bytes.append(0x0A)
        case UInt8(ascii: "r"): bytes.append(0x0D)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0C)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(byte)
        default: throw JSONFault("the answer is not JSON")
        }
    }

    private mutating func hexDigit(_ byte: UInt8, _ digitCount: Int) throws(JSONFault) {
        guard let digit = Character(UnicodeScalar(byte)).hexDigitValue else {
            throw JSONFault("the answer is not JSON")
        }
        codeUnit = codeUnit << 4 | UInt32(digit)
        guard digitCount == 3 else {
            state = .codeUnit(digitCount: digitCount + 1)
            return
        }
        state = .string
        switch codeUnit & 0xFC00 {
        case 0xD800:
            endSurrogate()
            highSurrogate = codeUnit
        case 0xDC00:
            guard let high = highSurrogate else { return append(0xFFFD) }
            highSurrogate = nil
            append(0x10000 + (high & 0x3FF) << 10 + codeUnit & 0x3FF)
        default:
            endSurrogate()
            append(codeUnit)
        }
    }

    /// Half a pair stands for no character.
    private mutating func endSurrogate() {
        guard highSurrogate != nil else { return }
        highSurrogate = nil
        append(0xFFFD)
    }

    private mutating func append(_ code: UInt32) {
        let scalar = Unicode.Scalar(code) ?? "\u{FFFD}"
        bytes += Array(String(Character(scalar)).utf8)
    }
}
