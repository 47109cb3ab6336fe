// Packs unsigned numbers of one width, 0 ... 64 bits, without gaps.
//
//     part        values                layout
//     ──────────  ────────────────────  ───────────────────────────────────────────────────
//     groups      count / 1,024 groups  transposed: 16 lanes × 64 rows, value i of a group is
//                                       row i / 16 of lane i % 16. A lane is a stream of
//                                       `width` 64-bit words, low bits first; word j of all
//                                       lanes lies together, so a group takes 128 × width bytes
//     rest        count % 1,024         horizontal: one stream of bits, low bits first; the
//                                       last byte's unused bits are zero
//
// The transposed layout lets one vector instruction move 16 values. The rest is horizontal since
// padding a block of 360 values to 1,024 would cost more than everything else saves.
// Both take ceil(count × width / 8) bytes.

internal import ApusKernels

package enum BitPacking {
    package static let groupCount = 1024
    private static let lanes = 16

    /// Bytes that `count` numbers of `width` bits take. `count` is at most 2^40.
    @inline(__always)
    package static func byteCount(count: Int, width: Int) -> Int { (count &* width &+ 7) &>> 3 }

    @inline(__always)
    package static func mask(_ width: Int) -> UInt64 {
        width >= 64 ? .max : (1 &<< UInt64(truncatingIfNeeded: width)) &- 1
    }

    /// Bits needed for a number.
    @inline(__always)
    package static func width(of value: UInt64) -> Int { 64 &- value.leadingZeroBitCount }

    // MARK: Packing

    /// Writes `byteCount(count:width:)` bytes. Every value must fit `width` bits.
    ///
    /// Safe: `target` has room for those bytes, `values` holds `count`.
    package static func pack(
        _ values: UnsafePointer<UInt64>, count: Int, width: Int,
        into target: UnsafeMutableRawPointer
    ) {
        guard width > 0 else { return }
        var source = values
        var destination = target
        for _ in 0..<(count / groupCount) {
            packGroup(source, width: width, into: destination)
            source += groupCount
            destination += groupCount / 8 &* width
        }
        packHorizontal(source, count: count % groupCount, width: width, into: destination)
    }

    private static func packGroup(
        _ values: UnsafePointer<UInt64>, width: Int, into target: UnsafeMutableRawPointer
    ) {
        let source = UnsafeRawPointer(values)
        for half in 0..<2 {
            var pending = SIMD8<UInt64>(repeating: 0)
            var filled = 0
            var word = target + half &* 64
            for row in 0..<64 {
                let value = source.loadUnaligned(
                    fromByteOffset: row &* 128 &+ half &* 64, as: SIMD8<UInt64>.self)
                pending = pending | (value &<< SIMD8(repeating: UInt64(truncatingIfNeeded: filled)))
                filled = filled &+ width
                guard filled >= 64 else { continue }
                word.storeBytes(of: pending, as: SIMD8<UInt64>.self)
                word += 128
                filled = filled &- 64
                // What of the value did not fit; a shift by 64 has to give zero.
                let kept = UInt64(truncatingIfNeeded: width &- filled)
                pending =
                    kept >= 64
                    ? SIMD8(repeating: 0) : value &>> SIMD8(repeating: kept)
            }
        }
    }

    /// The horizontal layout alone, whatever the count; each number XOR `flip` has to fit `width`.
    ///
    /// Safe: as `pack`. The kernel writes up to seven bytes behind a row of eight values, so the last
    /// rows are packed here.
    static func packHorizontal(
        _ values: UnsafePointer<UInt64>, count: Int, width: Int, flip: UInt64 = 0,
        into target: UnsafeMutableRawPointer
    ) {
        guard width > 0 else { return }
        let fast = min(count / 8, max(0, byteCount(count: count, width: width) &- 7) / width)
        apus_pack_rows(values, fast, UInt32(truncatingIfNeeded: width), flip, target)
        var pending: UInt64 = 0
        var filled = 0
        var destination = target + fast &* width
        for index in (fast &* 8)..<count {
            let value = values[index] ^ flip
            pending |= value &<< UInt64(truncatingIfNeeded: filled)
            filled = filled &+ width
            guard filled >= 64 else { continue }
            destination.storeBytes(of: pending.littleEndian, as: UInt64.self)
            destination += 8
            filled = filled &- 64
            let kept = width &- filled
            pending = kept >= 64 ? 0 : value &>> UInt64(truncatingIfNeeded: kept)
        }
        while filled > 0 {
            destination.storeBytes(of: UInt8(truncatingIfNeeded: pending), as: UInt8.self)
            destination += 1
            pending &>>= 8
            filled = filled &- 8
        }
    }

    // MARK: Unpacking

    /// One number of a horizontal stream. Checked: beyond the end of `bytes` there are zeros.
    @inline(__always)
    static func value(_ bytes: UnsafeRawBufferPointer, index: Int, width: Int) -> UInt64 {
        let bit = index &* width
        let first = bit &>> 3
        let shift = UInt64(truncatingIfNeeded: bit & 7)
        var low: UInt64 = 0
        var high: UInt64 = 0
        if first &+ 9 <= bytes.count {
            low = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: first, as: UInt64.self))
            high = UInt64(bytes[first &+ 8])
        } else {
            for place in 0..<8 where first &+ place < bytes.count {
                low |= UInt64(bytes[first &+ place]) &<< UInt64(8 &* place)
            }
        }
        return ((low &>> shift) | ((high &<< 1) &<< (63 &- shift))) & mask(width)
    }

    /// Unpacks `count` values into `out` and adds `base` to each, modulo 2^64.
    ///
    /// Safe: `source` begins with `byteCount(count:width:)` bytes; `readable` says how many may be
    /// read from `source` on and is not smaller. Exactly `count` slots are written.
    package static func unpack(
        _ source: UnsafeRawPointer, readable: Int, width: Int, count: Int, base: UInt64,
        into out: UnsafeMutablePointer<UInt64>
    ) {
        guard width > 0 else {
            out.update(repeating: base, count: count)
            return
        }
        var from = source
        var left = readable
        var to = out
        for _ in 0..<(count / groupCount) {
            apus_unpack_group(from, UInt32(truncatingIfNeeded: width), base, to)
            from += groupCount / 8 &* width
            left = left &- groupCount / 8 &* width
            to += groupCount
        }
        unpackHorizontal(
            from, readable: left, width: width, count: count % groupCount, base: base, into: to)
    }

    /// The same for numbers that are horizontal whatever their count, of 1 ... 64 bits.
    ///
    /// Safe: as `unpack`. The kernel reads up to nine bytes behind a row of eight values, so the
    /// last rows are first copied to where that is allowed.
    static func unpackHorizontal(
        _ source: UnsafeRawPointer, readable: Int, width: Int, count: Int, base: UInt64,
        into out: UnsafeMutablePointer<UInt64>
    ) {
        guard count > 0 else { return }
        let slack = 9
        let fast =
            readable >= width &+ slack
            ? min(count / 8, (readable &- slack &- width) / width &+ 1) : 0
        unpackRows(source, rows: fast, width: width, base: base, into: out)
        let rest = count &- fast &* 8
        guard rest > 0 else { return }
        // Safe: the rest is shorter than three rows and the slack, at most 3 × 64 + 9 bytes.
        let restBytes = byteCount(count: rest, width: width)
        withUnsafeTemporaryAllocation(byteCount: 288, alignment: 8) { copy in
            guard let copied = copy.baseAddress else { return }
            copied.copyMemory(from: source + fast &* width, byteCount: restBytes)
            let whole = rest / 8
            unpackRows(
                UnsafeRawPointer(copied), rows: whole, width: width, base: base,
                into: out + fast &* 8)
            let first = fast &* 8 &+ whole &* 8
            guard first < count else { return }
            withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 8) { last in
                guard let lastRow = last.baseAddress else { return }
                unpackRows(
                    UnsafeRawPointer(copied) + whole &* width, rows: 1, width: width, base: base,
                    into: lastRow)
                (out + first).update(from: lastRow, count: count &- first)
            }
        }
    }

    @inline(__always)
    private static func unpackRows(
        _ source: UnsafeRawPointer, rows: Int, width: Int, base: UInt64,
        into out: UnsafeMutablePointer<UInt64>
    ) {
        apus_unpack_rows(source, rows, UInt32(truncatingIfNeeded: width), base, out)
    }
}
