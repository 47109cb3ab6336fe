// Text made byte by byte: numbers, times and quoted strings without a String in between.

internal import Glibc

/// A growing buffer of bytes for one writer.
///
/// Safe: `base` has `capacity` bytes; every write goes through `reserve` first. Nothing reads or writes a
/// property while another access to it is under way: none is handed out inout.
package final class TextWriter {
    @exclusivity(unchecked) private var base: UnsafeMutablePointer<UInt8>
    @exclusivity(unchecked) private var capacity: Int
    @exclusivity(unchecked) package private(set) var count = 0

    package init(capacity: Int = 4_096) {
        self.capacity = capacity
        base = .allocate(capacity: capacity)
    }

    deinit { base.deallocate() }

    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
    package var string: String { String(decoding: bytes, as: UTF8.self) }

    package func removeAll() { count = 0 }

    /// Makes sure that `more` bytes fit.
    @inline(__always)
    package func reserve(_ more: Int) {
        if capacity &- count < more { grow(more) }
    }

    @inline(never)
    private func grow(_ more: Int) {
        capacity = max(capacity * 2, count + more)
        let wider = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        wider.update(from: base, count: count)
        base.deallocate()
        base = wider
    }

    @inline(__always)
    package func byte(_ value: UInt8) {
        reserve(1)
        base[count] = value
        count &+= 1
    }

    package func text(_ value: StaticString) {
        raw(UnsafeRawBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
    }

    package func text(_ value: String) {
        var value = value
        value.withUTF8 { raw(UnsafeRawBufferPointer($0)) }
    }

    package func raw(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
        reserve(bytes.count)
        memcpy(base + count, source, bytes.count)
        count &+= bytes.count
    }

    // MARK: numbers

    package func integer(_ value: Int64) {
        if value < 0 { byte(0x2D) }
        unsigned(value.magnitude)
    }

    package func integer(_ value: Int) { integer(Int64(value)) }

    package func unsigned(_ value: UInt64) {
        reserve(20)
        var rest = value
        var digits = 1
        while rest > 9 {
            rest /= 10
            digits &+= 1
        }
        rest = value
        var position = count &+ digits
        count = position
        for _ in 0..<digits {
            position &-= 1
            base[position] = 0x30 &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }

    /// Exactly `digits` digits, with zeros in front.
    package func padded(_ value: Int, digits: Int) {
        reserve(digits)
        var rest = value
        for index in 0..<digits {
            base[count &+ digits &- 1 &- index] = 0x30 &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        count &+= digits
    }

    /// The shortest decimal that reads back as the same number. Finite numbers only. 5 ns for numbers that
    /// have six digits behind the point at most, 20 for others of common size, 60 for the rest.
    package func double(_ value: Double) {
        if shortDecimal(value) { return }
        guard value.magnitude >= 1e-4, ShortestDecimal.range.contains(value.magnitude) else {
            return text(value.description)
        }
        if value < 0 { byte(0x2D) }
        shortest(value.magnitude)
    }

    /// Writes a number if it is one of millionths, below 10⁹, as `description` would.
    ///
    /// Fifteen digits or fewer tell doubles apart: if the nearest number of millionths reads back as the
    /// value, then there is no other decimal as short that does.
    private func shortDecimal(_ value: Double) -> Bool {
        let magnitude = value.magnitude
        guard magnitude < 1e9, magnitude >= 1e-4 || magnitude == 0 else { return false }
        let rounded = (magnitude * 1e6).rounded()
        guard rounded / 1e6 == magnitude else { return false }
        let millionths = UInt64(rounded)
        if value.sign == .minus { byte(0x2D) }
        unsigned(millionths / 1_000_000)
        byte(0x2E)
        padded(Int(millionths % 1_000_000), digits: 6)
        // One digit stays behind the point.
        var zeros = 0
        while zeros < 5, base[count &- 1 &- zeros] == 0x30 { zeros &+= 1 }
        count &-= zeros
        return true
    }

    // MARK: strings

    /// A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD.
    package func jsonString(_ value: String) {
        var value = value
        value.withUTF8 { escaped(UnsafeRawBufferPointer($0)) }
    }

    package func jsonString(_ bytes: UnsafeRawBufferPointer) {
        if Self.isPlain(bytes) {
            reserve(bytes.count &+ 2)
            byte(0x22)
            raw(bytes)
            byte(0x22)
        } else if bytes.contains(where: { $0 >= 0x80 }) {
            // Decoding repairs what is not UTF-8; valid text comes out as it went in.
            jsonString(String(decoding: bytes, as: UTF8.self))
        } else {
            escaped(bytes)
        }
    }

    /// Whether all bytes stand for themselves in a JSON string, eight at a time; may say no where they do.
    private static func isPlain(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        func special(_ word: UInt64) -> UInt64 {
            let (quote, backslash) = (word ^ (ones &* 0x22), word ^ (ones &* 0x5C))
            // The high bit of a byte that is below 0x20, one of the two, or not ASCII.
            let (isLow, isQuote) = (word &- (ones &* 0x20), quote &- ones)
            return (isLow | isQuote | (backslash &- ones) | word) & (ones &* 0x80)
        }
        var index = 0
        while index &+ 8 <= bytes.count {
            // Safe: eight bytes are left.
            let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if special(word) != 0 { return false }
            index &+= 8
        }
        var rest = ones &* 0x30
        while index < bytes.count {
            rest = rest &<< 8 | UInt64(bytes[index])
            index &+= 1
        }
        return special(rest) == 0
    }

    private func escaped(_ bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count &+ 2)
        byte(0x22)
        for value in bytes {
            switch value {
            case 0x22:
                text(#"\""#)
            case 0x5C:
                text(#"\\"#)
            case 0x0A:
                text(#"\n"#)
            case 0x0D:
                text(#"\r"#)
            case 0x09:
                text(#"\t"#)
            case 0..<0x20:
                text(#"\u00"#)
                hexDigit(value &>> 4)
                hexDigit(value & 15)
            default: byte(value)
            }
        }
        byte(0x22)
    }

    private func hexDigit(_ value: UInt8) { byte(value < 10 ? 0x30 &+ value : 0x57 &+ value) }

    /// A CSV field: quoted where it must be, and where it is empty (NULL is empty without quotes).
    package func csvField(_ bytes: UnsafeRawBufferPointer) {
        let mustQuote =
            bytes.isEmpty
            || bytes.contains { $0 == 0x22 || $0 == 0x2C || $0 == 0x0A || $0 == 0x0D }
        guard mustQuote else { return raw(bytes) }
        byte(0x22)
        for value in bytes {
            if value == 0x22 { byte(0x22) }
            byte(value)
        }
        byte(0x22)
    }

    package func csvField(_ value: String) {
        var value = value
        value.withUTF8 { csvField(UnsafeRawBufferPointer($0)) }
    }
}

// MARK: times

extension TextWriter {
    /// RFC 3339 with as many fractional digits as needed: `2026-01-01T00:00:00.5Z`.
    package func timestamp(nanoseconds: Int64, isLocal: Bool = false) {
        let dayNanoseconds: Int64 = 86_400_000_000_000
        var day = nanoseconds / dayNanoseconds
        var rest = nanoseconds % dayNanoseconds
        if rest < 0 {
            rest &+= dayNanoseconds
            day &-= 1
        }
        date(daysSince1970: day)
        let seconds = Int(rest / 1_000_000_000)
        byte(0x54)
        padded(seconds / 3_600, digits: 2)
        byte(0x3A)
        padded(seconds / 60 % 60, digits: 2)
        byte(0x3A)
        padded(seconds % 60, digits: 2)
        fraction(Int(rest % 1_000_000_000))
        if !isLocal { byte(0x5A) }
    }

    private func fraction(_ nanoseconds: Int) {
        guard nanoseconds != 0 else { return }
        var value = nanoseconds
        var digits = 9
        while value % 10 == 0 {
            value /= 10
            digits -= 1
        }
        byte(0x2E)
        padded(value, digits: digits)
    }

    /// `2026-01-01`; years are proleptic Gregorian. A year of more than four digits is written out.
    package func date(daysSince1970: Int64) {
        // Years start in March, so that the leap day comes last; eras are 400 years long.
        let shifted = daysSince1970.addingReportingOverflow(719_468)
        guard !shifted.overflow else { return integer(daysSince1970) }
        let era =
            (shifted.partialValue >= 0 ? shifted.partialValue : shifted.partialValue &- 146_096)
            / 146_097
        let dayOfEra = Int(shifted.partialValue &- era &* 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = Int64(yearOfEra) &+ era &* 400 &+ (month <= 2 ? 1 : 0)
        if (0...9_999).contains(year) { padded(Int(year), digits: 4) } else { integer(year) }
        byte(0x2D)
        padded(month, digits: 2)
        byte(0x2D)
        padded(day, digits: 2)
    }
}
