// Line protocol as bytes, put together without a String per value.

struct LineBytes {
    var bytes: [UInt8] = []

    mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ others: [UInt8]) { bytes.append(contentsOf: others) }

    mutating func append(byte: UInt8) { bytes.append(byte) }

    mutating func append(_ number: Int64) {
        var magnitude = number.magnitude
        if number < 0 { bytes.append(UInt8(ascii: "-")) }
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { text in
            // Safe: 20 digits fit into 24 bytes.
            var start = text.count
            repeat {
                start -= 1
                text[start] = UInt8(ascii: "0") + UInt8(magnitude % 10)
                magnitude /= 10
            } while magnitude > 0
            bytes.append(contentsOf: text[start...])
        }
    }

    /// A fixed-point number: 1234 with two decimals is `12.34`.
    mutating func append(_ scaled: Int64, decimals: Int) {
        guard decimals > 0 else { return append(scaled) }
        var scale: Int64 = 1
        for _ in 0..<decimals { scale *= 10 }
        if scaled < 0 { bytes.append(UInt8(ascii: "-")) }
        append(Int64(scaled.magnitude) / scale)
        bytes.append(UInt8(ascii: "."))
        var rest = Int64(scaled.magnitude) % scale
        while scale > 1 {
            scale /= 10
            bytes.append(UInt8(ascii: "0") + UInt8(rest / scale))
            rest %= scale
        }
    }
}
