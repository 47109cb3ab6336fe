// Doubles as the XOR with the one before: after Gorilla (Pelkonen and others, VLDB 2015).
//
//     field   bits   meaning
//     ──────  ─────  ─────────────────────────────────────────────────────────────────────
//     first   64     the first double
//     then for each further double x, with y = x XOR the double before:
//     0       1      y is 0
//     1 0     2      y's significant bits lie inside the last window: window bits follow
//     1 1     2      a new window: 5 bits leading zeros (at most 31), 6 bits window bits − 1,
//                    then the window bits
//
// One stream of bits, low bits first, flags as drawn from left to right; the last byte's unused bits
// are zero. Bit-exact for all.

enum GorillaCodec {
    private static let slackBytes = 32

    private struct BitWriter {
        let target: UnsafeMutableRawPointer
        var byteCount = 0
        var pending: UInt64 = 0
        var filled = 0

        /// Appends 1 ... 64 bits; those of `value` above are zero.
        @inline(__always)
        mutating func append(_ value: UInt64, _ bits: Int) {
            pending |= value &<< UInt64(truncatingIfNeeded: filled)
            filled = filled &+ bits
            guard filled >= 64 else { return }
            target.storeBytes(of: pending.littleEndian, toByteOffset: byteCount, as: UInt64.self)
            byteCount = byteCount &+ 8
            filled = filled &- 64
            let kept = bits &- filled
            pending = kept >= 64 ? 0 : value &>> UInt64(truncatingIfNeeded: kept)
        }

        mutating func finish() -> Int {
            target.storeBytes(of: pending.littleEndian, toByteOffset: byteCount, as: UInt64.self)
            return byteCount &+ (filled &+ 7) / 8
        }
    }

    /// Appends the doubles, at most 9.7 bytes each. About 2.5 ns a value.
    static func write(
        _ values: UnsafePointer<UInt64>, count: Int, into writer: inout ByteWriter
    ) {
        guard count > 0 else { return }
        // Safe: a value takes at most 77 bits, the last word is stored whole.
        writer.append(capacityMax: count &* 10 &+ slackBytes) { buffer in
            guard let base = buffer.baseAddress else { return 0 }
            var bits = BitWriter(target: base)
            var before = values[0]
            bits.append(before, 64)
            var leading = 64
            var trailing = 0
            for index in 1..<max(1, count) {
                let difference = values[index] ^ before
                before = values[index]
                guard difference != 0 else {
                    bits.append(0, 1)
                    continue
                }
                let leadingNow = min(31, difference.leadingZeroBitCount)
                let trailingNow = difference.trailingZeroBitCount
                if leadingNow >= leading, trailingNow >= trailing {
                    bits.append(0b01, 2)
                } else {
                    leading = leadingNow
                    trailing = trailingNow
                    let window = 64 &- leading &- trailing
                    bits.append(
                        0b11 | UInt64(leading) &<< 2 | UInt64(window &- 1) &<< 7, 13)
                }
                bits.append(difference &>> UInt64(trailing), 64 &- leading &- trailing)
            }
            return bits.finish()
        }
    }

    /// Reads `count` doubles from all that is left. 2–3 ns a value.
    ///
    /// Safe: the bits are copied to where reading past their end by one value is allowed, and the
    /// position is checked before each value.
    static func read(
        _ reader: inout ByteReader, count: Int, into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        guard count > 0 else { return }
        let start = reader.offset
        let source = try reader.readBytes(reader.remaining)
        let copy = Scratch(count: source.count / 8 &+ 1)
        let bytes = UnsafeMutableRawPointer(copy.pointer)
        // Safe: Scratch has 64 words beyond what is asked for.
        (bytes + source.count / 8 &* 8).initializeMemory(as: UInt64.self, repeating: 0, count: 6)
        if let base = source.baseAddress { bytes.copyMemory(from: base, byteCount: source.count) }
        guard let position = decode(bytes, bits: source.count &* 8, count: count, into: out),
            (position &+ 7) / 8 == source.count,
            position & 7 == 0
                || bytes.load(fromByteOffset: position / 8, as: UInt8.self)
                    &>> UInt8(position & 7) == 0
        else {
            throw ByteReader.Malformed(offset: start, reason: "XOR bits don't fit their bytes")
        }
    }

    /// Up to 57 bits from a position on, low bits first.
    @inline(__always)
    private static func peek(_ bytes: UnsafeRawPointer, _ position: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position &>> 3, as: UInt64.self))
            &>> UInt64(truncatingIfNeeded: position & 7)
    }

    /// The position behind the last value, nil if the bits end early or are impossible.
    private static func decode(
        _ bytes: UnsafeRawPointer, bits: Int, count: Int, into out: UnsafeMutablePointer<UInt64>
    ) -> Int? {
        guard bits >= 64 else { return nil }
        var value = peek(bytes, 0)
        out[0] = value
        var position = 64
        var trailing = 0
        var window = 0
        for index in 1..<max(1, count) {
            guard position < bits else { return nil }
            let head = peek(bytes, position)
            if head & 1 == 0 {
                position = position &+ 1
                out[index] = value
                continue
            }
            if head & 2 == 0 {
                position = position &+ 2
                guard window > 0 else { return nil }
            } else {
                position = position &+ 13
                window = Int(truncatingIfNeeded: (head &>> 7) & 63) &+ 1
                trailing = 64 &- Int(truncatingIfNeeded: (head &>> 2) & 31) &- window
                guard trailing >= 0 else { return nil }
            }
            var difference = peek(bytes, position)
            if window > 56 {
                difference = difference & BitPacking.mask(56) | peek(bytes, position &+ 56) &<< 56
            }
            difference &= BitPacking.mask(window)
            position = position &+ window
            value ^= difference &<< UInt64(truncatingIfNeeded: trailing)
            out[index] = value
        }
        return position <= bits ? position : nil
    }
}
