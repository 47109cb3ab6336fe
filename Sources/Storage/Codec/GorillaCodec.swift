// Doubles as the XOR with the one before: after Gorilla (Pelkonen and others, VLDB 2015), with the
// flags in a stream of their own, so that decoding one double needn't wait for the bits of another.
//
//     splitGorilla
//
//     field       size    meaning
//     ──────────  ──────  ───────────────────────────────────────────────────────────────
//     first       8       the first double
//     flagBytes   varint  how many bytes of flags
//     flags       bits    for each further double x, with y = x XOR the double before:
//                         0 if y is 0; 1 0 if its bits lie in the last window; 1 1 for a new one
//     windows     bits    for a new one 5 bits leading zeros (at most 31) and 6 bits window bits − 1;
//                         then, unless y is 0, the window's bits
//
// Both streams have low bits first, flags as drawn from left to right; unused bits of their last bytes
// are zero. Bit-exact for all.
//
// gorilla, which format 1 wrote: one stream of bits, that of the first double, then for each further
// one its flag or flags followed by the rest.

internal import ApusKernels

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

    /// Appends the doubles, at most 9.7 bytes each. About 3 ns a value.
    static func write(
        _ values: UnsafePointer<UInt64>, count: Int, into writer: inout ByteWriter
    ) {
        guard count > 0 else { return }
        writer.append(values[0])
        // Safe: a value takes two flags and 75 bits at most, and last words are stored whole.
        let flagRoom = count / 4 &+ slackBytes
        let room = flagRoom &+ count &* 10 &+ slackBytes
        withUnsafeTemporaryAllocation(byteCount: room, alignment: 8) { memory in
            guard let base = memory.baseAddress else { return }
            var flags = BitWriter(target: base)
            var windows = BitWriter(target: base + flagRoom)
            write(values, count: count, &flags, &windows)
            let flagBytes = flags.finish()
            writer.appendVarint(UInt64(flagBytes))
            writer.append(UnsafeRawBufferPointer(rebasing: memory[..<flagBytes]))
            let end = flagRoom &+ windows.finish()
            writer.append(UnsafeRawBufferPointer(rebasing: memory[flagRoom..<end]))
        }
    }

    private static func write(
        _ values: UnsafePointer<UInt64>, count: Int, _ flags: inout BitWriter,
        _ windows: inout BitWriter
    ) {
        var before = values[0]
        var leading = 64
        var trailing = 0
        for index in 1..<max(1, count) {
            let difference = values[index] ^ before
            before = values[index]
            guard difference != 0 else {
                flags.append(0, 1)
                continue
            }
            let leadingNow = min(31, difference.leadingZeroBitCount)
            let trailingNow = difference.trailingZeroBitCount
            if leadingNow >= leading, trailingNow >= trailing {
                flags.append(0b01, 2)
            } else {
                leading = leadingNow
                trailing = trailingNow
                flags.append(0b11, 2)
                windows.append(
                    UInt64(leading) | UInt64(63 &- leading &- trailing) &<< 5, 11)
            }
            windows.append(difference &>> UInt64(trailing), 64 &- leading &- trailing)
        }
    }

    /// Reads `count` doubles from all that is left. 2.4–3 ns a value.
    ///
    /// Safe: the bits are copied to where reading past their end is allowed.
    static func readSplit(
        _ reader: inout ByteReader, count: Int, into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        guard count > 0 else { return }
        let start = reader.offset
        let first: UInt64 = try reader.read()
        let flags = try reader.readBytes(try reader.readCount(limit: count / 4 &+ 1))
        let windows = try reader.readBytes(reader.remaining)
        let slack = Int(APUS_XORS_SLACK)
        let room = flags.count &+ windows.count &+ 2 &* slack
        let isWhole = withUnsafeTemporaryAllocation(byteCount: room, alignment: 8) { memory in
            guard let base = memory.baseAddress else { return false }
            let second = base + flags.count + slack
            for (target, source) in [(base, flags), (second, windows)] {
                UnsafeMutableRawBufferPointer(start: target, count: source.count)
                    .copyMemory(from: source)
                (target + source.count).initializeMemory(
                    as: UInt8.self, repeating: 0, count: slack)
            }
            return apus_decode_xors(
                base, flags.count &* 8, second, windows.count &* 8, count, first, out) != 0
        }
        guard isWhole else {
            throw ByteReader.Malformed(offset: start, reason: "XOR bits don't fit their bytes")
        }
    }

    /// The same of `gorilla`. 4 ns a value.
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
