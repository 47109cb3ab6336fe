// Field values outside the fast path, with the reasons why they are refused.
//
//     1  1.5  .5  -2e3      float64         1i  -1i   int64         1u   uint64
//     t T true True TRUE    bool            "…"       string, escapes \" and \\ only
//     f F false False FALSE

internal import ApusStorage

/// Safe: every function reads below `end`, which lies in the input or in the parser's tail; a look
/// ahead or back (`position[1]`, `end - 1`) stands behind a comparison.
enum FieldValueParser {
    /// Parses a value that is not a string; `token` ends at a comma, a space or the line's end.
    static func parse(
        _ token: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) throws(LineFault) -> (type: FieldType, slot: UInt64) {
        guard token < end else { throw LineFault("missing field value", at: token) }
        switch (end - 1).pointee {
        case UInt8(ascii: "i"): return (.int64, try integer(token, end))
        case UInt8(ascii: "u"): return (.uint64, try unsigned(token, end))
        default: break
        }
        switch token.pointee {
        case UInt8(ascii: "t"), UInt8(ascii: "T"), UInt8(ascii: "f"), UInt8(ascii: "F"):
            var position = token
            guard let flag = scanBool(&position, end), position == end else {
                throw LineFault("invalid boolean", at: token, quoted: end - token)
            }
            return (.bool, flag ? 1 : 0)
        default:
            return (.float64, try float(token, end))
        }
    }

    /// Steps over one of the ten spellings of a boolean.
    static func scanBool(
        _ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> Bool? {
        func isFollowed(by rest: StaticString) -> Bool {
            guard end - position > rest.utf8CodeUnitCount else { return false }
            for index in 0..<rest.utf8CodeUnitCount
            where position[index + 1] != rest.utf8Start[index] { return false }
            return true
        }
        guard position < end else { return nil }
        switch position.pointee {
        case UInt8(ascii: "t"):
            position += isFollowed(by: "rue") ? 4 : 1
            return true
        case UInt8(ascii: "T"):
            position += isFollowed(by: "rue") || isFollowed(by: "RUE") ? 4 : 1
            return true
        case UInt8(ascii: "f"):
            position += isFollowed(by: "alse") ? 5 : 1
            return false
        case UInt8(ascii: "F"):
            position += isFollowed(by: "alse") || isFollowed(by: "ALSE") ? 5 : 1
            return false
        default: return nil
        }
    }

    /// Decimal digits as a 64-bit number; nil for no digits, other bytes, or too large.
    static func magnitude(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (value: UInt64, isNumber: Bool)? {
        guard start < end else { return nil }
        var value: UInt64 = 0
        var fits = true
        var position = start
        while position < end {
            let digit = position.pointee &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            let product = value.multipliedReportingOverflow(by: 10)
            let sum = product.partialValue.addingReportingOverflow(UInt64(digit))
            if product.overflow || sum.overflow { fits = false }
            value = sum.partialValue
            position += 1
        }
        return (value, fits)
    }

    private static func integer(
        _ token: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) throws(LineFault) -> UInt64 {
        guard let number = signed(token, end - 1) else {
            throw LineFault("invalid number", at: token, quoted: end - token)
        }
        guard let value = number.value else {
            throw LineFault("integer out of range", at: token, quoted: end - token)
        }
        return UInt64(bitPattern: value)
    }

    /// `["-"]digits`; nil if it is not that, a nil value if it passes 64 bits.
    static func signed(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (value: Int64?, negative: Bool)? {
        let isNegative = start < end && start.pointee == UInt8(ascii: "-")
        guard let number = magnitude(isNegative ? start + 1 : start, end) else { return nil }
        let limit = UInt64(Int64.max) + (isNegative ? 1 : 0)
        guard number.isNumber, number.value <= limit else { return (nil, isNegative) }
        let bits = isNegative ? 0 &- number.value : number.value
        return (Int64(bitPattern: bits), isNegative)
    }

    private static func unsigned(
        _ token: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) throws(LineFault) -> UInt64 {
        guard let number = magnitude(token, end - 1) else {
            throw LineFault("invalid number", at: token, quoted: end - token)
        }
        guard number.isNumber else {
            throw LineFault("unsigned integer out of range", at: token, quoted: end - token)
        }
        return number.value
    }

    private static func float(
        _ token: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) throws(LineFault) -> UInt64 {
        guard isFloat(token, end) else {
            throw LineFault("invalid number", at: token, quoted: end - token)
        }
        let value = NumberParser.slowFloat(token, end - token)
        guard value.isFinite else {
            throw LineFault("float out of range", at: token, quoted: end - token)
        }
        return value.bitPattern
    }

    /// `["-"] (digits ["." {digit}] | "." digits) [("e"|"E") ["+"|"-"] digits]`
    private static func isFloat(
        _ token: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> Bool {
        var position = token
        func digits() -> Int {
            let start = position
            while position < end, position.pointee &- UInt8(ascii: "0") < 10 { position += 1 }
            return position - start
        }
        if position < end, position.pointee == UInt8(ascii: "-") { position += 1 }
        var count = digits()
        if position < end, position.pointee == UInt8(ascii: ".") {
            position += 1
            count += digits()
        }
        guard count > 0 else { return false }
        if position < end, position.pointee | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < end,
                position.pointee == UInt8(ascii: "+") || position.pointee == UInt8(ascii: "-")
            {
                position += 1
            }
            guard digits() > 0 else { return false }
        }
        return position == end
    }

    /// Unescapes the string behind an opening quote into `text` and steps over the closing one.
    static func string(
        _ position: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>,
        into text: inout [UInt8], bytesMax: Int
    ) throws(LineFault) {
        let start = position
        text.removeAll(keepingCapacity: true)
        var isASCII = true
        while true {
            guard position < end else { throw LineFault("unterminated string", at: start - 1) }
            var byte = position.pointee
            if byte == UInt8(ascii: "\"") { break }
            if byte == UInt8(ascii: "\\"), position + 1 < end,
                position[1] == UInt8(ascii: "\"") || position[1] == UInt8(ascii: "\\")
            {
                position += 1
                byte = position.pointee
            }
            if byte >= 0x80 { isASCII = false }
            text.append(byte)
            position += 1
        }
        position += 1
        guard text.count <= bytesMax else {
            throw LineFault("string too long", at: start - 1, kind: .limit)
        }
        if !isASCII {
            let isUTF8 = text.withUnsafeBufferPointer { bytes in
                bytes.baseAddress.map { LineScanner.isUTF8($0, bytes.count) } ?? true
            }
            guard isUTF8 else { throw LineFault("invalid UTF-8 in string", at: start - 1) }
        }
    }
}
