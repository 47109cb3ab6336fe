// Finds where a line ends. A newline ends it everywhere but inside a quoted string, and a string
// begins only at a quote right behind an unescaped `=` of the field part, which begins at the
// first unescaped space.
//
// The state survives the end of a piece, so that bytes that arrive one by one are looked at once.
// Every line that the parser accepts ends where the splitter says; a refused line's end is the
// splitter's alone.

struct LineSplitter {
    private enum Place { case start, comment, key, fields, string }
    private var place = Place.start
    /// The byte before, where it matters: a backslash, or an equals sign that was not escaped.
    private var afterBackslash = false
    private var afterEquals = false

    mutating func reset() { self = LineSplitter() }

    /// The newline that ends the line, or nil if it is not among the bytes.
    mutating func advance(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8>? {
        var position = start
        // Safe: position stays below end.
        while position < end {
            let byte = position.pointee
            if place == .string {
                if afterBackslash {
                    afterBackslash = false
                } else if byte == UInt8(ascii: "\\") {
                    afterBackslash = true
                } else if byte == UInt8(ascii: "\"") {
                    place = .fields
                    afterEquals = false
                }
            } else if byte == UInt8(ascii: "\n") {
                return position
            } else {
                step(byte)
            }
            position += 1
        }
        return nil
    }

    private mutating func step(_ byte: UInt8) {
        switch place {
        case .start:
            if byte == UInt8(ascii: " ") { return }
            place = byte == UInt8(ascii: "#") ? .comment : .key
            afterBackslash = byte == UInt8(ascii: "\\")
        case .key:
            if byte == UInt8(ascii: " "), !afterBackslash { place = .fields }
            afterBackslash = byte == UInt8(ascii: "\\")
        case .fields:
            if byte == UInt8(ascii: "\""), afterEquals {
                place = .string
                afterBackslash = false
                return
            }
            afterEquals = byte == UInt8(ascii: "=") && !afterBackslash
            afterBackslash = byte == UInt8(ascii: "\\")
        case .comment, .string:
            break
        }
    }
}
