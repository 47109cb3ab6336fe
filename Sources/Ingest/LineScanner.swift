// Kernels that look at eight bytes at once. All of them may read up to 24 bytes behind the byte
// they begin at; callers make sure that these belong to the buffer.

@inline(__always)
func loadWord(_ position: UnsafePointer<UInt8>) -> UInt64 {
    // Safe: callers keep 64 readable bytes behind every position (see LineParser).
    UInt64(littleEndian: UnsafeRawPointer(position).loadUnaligned(as: UInt64.self))
}

@inline(__always)
func repeated(_ byte: UInt8) -> UInt64 { UInt64(byte) &* 0x0101_0101_0101_0101 }

/// The high bit of the lowest byte equal to `byte` is set; higher bytes may be flagged wrongly.
@inline(__always)
func flagByte(_ word: UInt64, _ byte: UInt8) -> UInt64 {
    let difference = word ^ repeated(byte)
    return (difference &- 0x0101_0101_0101_0101) & ~difference & 0x8080_8080_8080_8080
}

enum LineScanner {
    /// The first space that no backslash precedes, or the first newline. `end` bounds the search
    /// if neither comes before it.
    @inline(__always)
    static func keyEnd(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8> {
        var position = start
        while position < end {
            let word = loadWord(position)
            var flags = flagByte(word, 0x20) | flagByte(word, 0x0A)
            while flags != 0 {
                let found = position + (flags.trailingZeroBitCount &>> 3)
                if found >= end { return end }
                let byte = found.pointee
                if byte == 0x0A { return found }
                if byte == 0x20, found == start || (found - 1).pointee != UInt8(ascii: "\\") {
                    return found
                }
                flags &= flags &- 1
            }
            position += 8
        }
        return end
    }

    /// The first byte of a string that is a quote, a backslash or not ASCII; `end` if none.
    @inline(__always)
    static func plainStringEnd(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8> {
        var position = start
        while position < end {
            let word = loadWord(position)
            let flags =
                flagByte(word, UInt8(ascii: "\"")) | flagByte(word, UInt8(ascii: "\\"))
                | (word & 0x8080_8080_8080_8080)
            if flags != 0 {
                let found = position + (flags.trailingZeroBitCount &>> 3)
                return found < end ? found : end
            }
            position += 8
        }
        return end
    }

    /// Whether bytes are well-formed UTF-8: no overlong forms, no surrogates, at most U+10FFFF.
    static func isUTF8(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var index = 0
        // Safe: every index is checked against count.
        while index < count {
            let first = bytes[index]
            if first < 0x80 {
                index += 1
                continue
            }
            var lower: UInt8 = 0x80
            var upper: UInt8 = 0xBF
            let rest: Int
            switch first {
            case 0xC2...0xDF: rest = 1
            case 0xE0:
                rest = 2
                lower = 0xA0
            case 0xED:
                rest = 2
                upper = 0x9F
            case 0xE1...0xEF: rest = 2
            case 0xF0:
                rest = 3
                lower = 0x90
            case 0xF1...0xF3: rest = 3
            case 0xF4:
                rest = 3
                upper = 0x8F
            default: return false
            }
            guard rest < count - index else { return false }
            guard bytes[index + 1] >= lower, bytes[index + 1] <= upper else { return false }
            var next = 2
            while next <= rest {
                if bytes[index + next] & 0xC0 != 0x80 { return false }
                next += 1
            }
            index += rest + 1
        }
        return true
    }

    /// Whether a name is UTF-8 without control characters.
    static func isName(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var isASCII = true
        for index in 0..<count {
            let byte = bytes[index]
            if byte < 0x20 || byte == 0x7F { return false }
            guard byte >= 0x80 else { continue }
            isASCII = false
            // U+0080 to U+009F are control characters too.
            if byte == 0xC2, index + 1 < count, bytes[index + 1] < 0xA0 { return false }
        }
        return isASCII || isUTF8(bytes, count)
    }
}
