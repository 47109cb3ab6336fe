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

/// What becomes of a number when it leaves the packed bits. Specialised into the unpacking loops.
package protocol UnpackSink {
    mutating func take(_ raw: UInt64) -> UInt64
}

/// Adds a constant: frame of reference.
package struct AddBase: UnpackSink {
    var base: UInt64
    package init(base: UInt64) { self.base = base }

    @inline(__always)
    package mutating func take(_ raw: UInt64) -> UInt64 { raw &+ base }
}

/// Adds a constant and sums up: deltas over a frame of reference.
package struct RunningSum: UnpackSink {
    var base: UInt64
    var sum: UInt64
    package init(base: UInt64, sum: UInt64) {
        self.base = base
        self.sum = sum
    }

    @inline(__always)
    package mutating func take(_ raw: UInt64) -> UInt64 {
        sum = sum &+ (raw &+ base)
        return sum
    }
}

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

    /// The horizontal layout alone, for numbers that `value(_:index:width:)` reads.
    static func packHorizontal(
        _ values: UnsafePointer<UInt64>, count: Int, width: Int,
        into target: UnsafeMutableRawPointer
    ) {
        var pending: UInt64 = 0
        var filled = 0
        var destination = target
        for index in 0..<count {
            let value = values[index]
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

    /// Unpacks `count` values into `out`, each passed through `sink` in order.
    ///
    /// Safe: `source` begins with `byteCount(count:width:)` bytes; `readable` says how many may be
    /// read from `source` on and is not smaller. Exactly `count` slots are written.
    @inline(__always)
    package static func unpack<Sink: UnpackSink>(
        _ source: UnsafeRawPointer, readable: Int, width: Int, count: Int,
        into out: UnsafeMutablePointer<UInt64>, sink: inout Sink
    ) {
        guard width > 0 else {
            for index in 0..<count { out[index] = sink.take(0) }
            return
        }
        var from = source
        var left = readable
        var to = out
        for _ in 0..<(count / groupCount) {
            unpackGroup(from, width: width, into: to)
            for index in 0..<groupCount { to[index] = sink.take(to[index]) }
            from += groupCount / 8 &* width
            left = left &- groupCount / 8 &* width
            to += groupCount
        }
        unpackHorizontal(
            from, readable: left, width: width, count: count % groupCount, into: to, sink: &sink)
    }

    private static func unpackGroup(
        _ source: UnsafeRawPointer, width: Int, into out: UnsafeMutablePointer<UInt64>
    ) {
        let target = UnsafeMutableRawPointer(out)
        let keep = SIMD8<UInt64>(repeating: mask(width))
        for half in 0..<2 {
            var word = source + half &* 64
            var current = word.loadUnaligned(as: SIMD8<UInt64>.self)
            var used = 0
            for row in 0..<64 {
                var value = current &>> SIMD8(repeating: UInt64(truncatingIfNeeded: used))
                used = used &+ width
                if used >= 64 {
                    used = used &- 64
                    if row < 63 {
                        word += 128
                        current = word.loadUnaligned(as: SIMD8<UInt64>.self)
                    }
                    if used > 0 {
                        let shift = UInt64(truncatingIfNeeded: width &- used)
                        value = value | (current &<< SIMD8(repeating: shift))
                    }
                }
                target.storeBytes(
                    of: value & keep, toByteOffset: row &* 128 &+ half &* 64,
                    as: SIMD8<UInt64>.self)
            }
        }
    }

    /// The horizontal part. Loads pass a value's end by up to eight bytes, so the last few groups
    /// are first copied to where that is allowed.
    @inline(__always)
    private static func unpackHorizontal<Sink: UnpackSink>(
        _ source: UnsafeRawPointer, readable: Int, width: Int, count: Int,
        into out: UnsafeMutablePointer<UInt64>, sink: inout Sink
    ) {
        guard count > 0 else { return }
        let slack = 9
        let fast =
            readable >= width &+ slack
            ? min(count / 8, (readable &- slack &- width) / width &+ 1) : 0
        unpackEights(source, groups: fast, width: width, into: out, sink: &sink)
        let rest = count &- fast &* 8
        guard rest > 0 else { return }
        // Safe: the rest is shorter than three groups and the slack, at most 3 × 64 + 9 bytes.
        let restBytes = byteCount(count: rest, width: width)
        withUnsafeTemporaryAllocation(byteCount: 288, alignment: 8) { copy in
            guard let base = copy.baseAddress else { return }
            base.copyMemory(from: source + fast &* width, byteCount: restBytes)
            let whole = rest / 8
            unpackEights(
                UnsafeRawPointer(base), groups: whole, width: width, into: out + fast &* 8,
                sink: &sink)
            let first = fast &* 8 &+ whole &* 8
            guard first < count else { return }
            withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 8) { last in
                guard let lastBase = last.baseAddress else { return }
                var none = AddBase(base: 0)
                unpackEights(
                    UnsafeRawPointer(base) + whole &* width, groups: 1, width: width,
                    into: lastBase, sink: &none)
                for index in first..<count {
                    out[index] = sink.take(lastBase[index &- first])
                }
            }
        }
    }

    /// Eight values take `width` bytes, so every group begins at a byte. Narrow values share a load.
    @inline(__always)
    private static func unpackEights<Sink: UnpackSink>(
        _ source: UnsafeRawPointer, groups: Int, width: Int,
        into out: UnsafeMutablePointer<UInt64>, sink: inout Sink
    ) {
        if width <= 8 {
            unpackEights(source, groups, width, loads: 1, out, &sink)
        } else if width <= 16 {
            unpackEights(source, groups, width, loads: 2, out, &sink)
        } else if width <= 30 {
            unpackEights(source, groups, width, loads: 4, out, &sink)
        } else if width <= 57 {
            unpackEights(source, groups, width, loads: 8, out, &sink)
        } else {
            unpackWide(source, groups, width, out, &sink)
        }
    }

    @inline(__always)
    private static func unpackEights<Sink: UnpackSink>(
        _ source: UnsafeRawPointer, _ groups: Int, _ width: Int, loads: Int,
        _ out: UnsafeMutablePointer<UInt64>, _ sink: inout Sink
    ) {
        let keep = mask(width)
        let step = UInt64(truncatingIfNeeded: width)
        let perLoad = 8 / loads
        var from = source
        var to = out
        for _ in 0..<groups {
            for load in 0..<loads {
                let bit = load &* perLoad &* width
                var word = UInt64(
                    littleEndian: from.loadUnaligned(fromByteOffset: bit &>> 3, as: UInt64.self))
                word = word &>> UInt64(truncatingIfNeeded: bit & 7)
                for index in 0..<perLoad {
                    to[load &* perLoad &+ index] = sink.take(word & keep)
                    word = word &>> step
                }
            }
            from += width
            to += 8
        }
    }

    @inline(__always)
    private static func unpackWide<Sink: UnpackSink>(
        _ source: UnsafeRawPointer, _ groups: Int, _ width: Int,
        _ out: UnsafeMutablePointer<UInt64>, _ sink: inout Sink
    ) {
        let keep = mask(width)
        var from = source
        var to = out
        for _ in 0..<groups {
            for index in 0..<8 {
                let bit = index &* width
                let shift = UInt64(truncatingIfNeeded: bit & 7)
                let low = UInt64(
                    littleEndian: from.loadUnaligned(fromByteOffset: bit &>> 3, as: UInt64.self))
                let high = UInt64(from.load(fromByteOffset: bit &>> 3 &+ 8, as: UInt8.self))
                // Two shifts, since the sum is 64 when `shift` is 0.
                let value = (low &>> shift) | ((high &<< 1) &<< (63 &- shift))
                to[index] = sink.take(value & keep)
            }
            from += width
            to += 8
        }
    }
}
