// Statistics of a payload without its values, for checks: most blocks of integers and decimals hold
// numbers near each other, whose sums and bounds sixteen lanes of 16 bits find several times faster
// than decoding does.
//
// What is not of that kind has no answer here, damage least of all: then decode. Where there is an
// answer, decoding would succeed and its values would have just these statistics.
//
// Why 16 bits suffice for differences: say that no number lies further than 2^14 − 1 from the first
// and no difference passes 2^14. Then each number is less than 2^15 from the first if the one before
// it was near, so that its sum modulo 2^16 is the true one, and by induction all are. The sums of the
// second half begin anew, so the same holds for each half by itself.

internal import ApusKernels

/// Memory for one payload's numbers.
///
/// Safe: owned by this object alone, freed once; the sizes are those that `NarrowFrame` relies on.
package final class NarrowScratch {
    static let countMax = 1 << 16

    let numbers: UnsafeMutablePointer<UInt16>
    let positions: UnsafeMutablePointer<UInt16>
    let codes: UnsafeMutablePointer<UInt16>

    package init() {
        // Kernels write whole rows of eight, and a row more.
        numbers = .allocate(capacity: Self.countMax + 64)
        positions = .allocate(capacity: Self.countMax + 64)
        codes = .allocate(capacity: Self.countMax + 64)
    }

    deinit {
        numbers.deallocate()
        positions.deallocate()
        codes.deallocate()
    }
}

/// Numbers as distances from an origin, which has 55 bits and a sign at most.
struct NarrowSummary {
    var origin: Int64
    var first: Int
    var last: Int
    var low: Int
    var high: Int
    var sum: Int64
}

package enum NarrowFrame {
    /// Bytes behind a payload that must be readable.
    package static let slack = 64

    private static let distanceWidthMax = 13
    private static let differenceBaseMax: UInt64 = 1 << 12
    private static let reachMax = 1 << 14 - 1

    /// Reads a frame of `count` numbers that ends at the cursor's end; nil if it isn't narrow.
    ///
    /// Safe: `slack` bytes behind the cursor's end are readable; `count` is at most
    /// `NarrowScratch.countMax`.
    static func read(
        _ cursor: inout Cursor, order: FrameOrder, count: Int, scratch: NarrowScratch
    ) -> NarrowSummary? {
        var origin: Int64 = 0
        if order == .delta {
            guard let first = cursor.signedVarint() else { return nil }
            origin = first
        }
        let head = cursor.byte()
        let width = Int(head & 0x7F)
        guard width <= distanceWidthMax, let base = cursor.signedVarint() else { return nil }
        var added: Int64 = 0
        if order == .delta {
            guard base.magnitude <= differenceBaseMax else { return nil }
            added = base
        } else {
            origin = base
        }
        var exceptions = Exceptions()
        if head & 0x80 != 0 {
            guard let found = Exceptions(&cursor, count: count) else { return nil }
            exceptions = found
        }
        let byteCount = BitPacking.byteCount(count: count, width: width)
        guard cursor.position + exceptions.byteCount + byteCount == cursor.end else { return nil }
        unpack(
            cursor.position + exceptions.byteCount, count: count, width: width,
            base: UInt16(truncatingIfNeeded: added), scratch)
        if exceptions.count > 0 {
            guard
                exceptions.patch(
                    cursor.position, count: count, width: width, base: added, scratch)
            else { return nil }
        }
        cursor.position = cursor.end
        return summary(order, origin, before: -added, count: count, scratch.numbers)
    }

    /// Safe: as `read`, whose bounds have been checked.
    @inline(__always)
    private static func unpack(
        _ bytes: UnsafeRawPointer, count: Int, width: Int, base: UInt16, _ scratch: NarrowScratch
    ) {
        guard width > 0 else { return scratch.numbers.update(repeating: base, count: count) }
        var from = bytes
        var to = scratch.numbers
        for _ in 0..<(count / BitPacking.groupCount) {
            apus_unpack_narrow_group(from, UInt32(truncatingIfNeeded: width), base, to)
            from += BitPacking.groupCount / 8 &* width
            to += BitPacking.groupCount
        }
        apus_unpack_narrow_rows(
            from, (count % BitPacking.groupCount &+ 7) / 8, UInt32(truncatingIfNeeded: width), base,
            to)
    }

    /// Safe: `numbers` has room for 64 more than `count`.
    private static func summary(
        _ order: FrameOrder, _ origin: Int64, before: Int64, count: Int,
        _ numbers: UnsafeMutablePointer<UInt16>
    ) -> NarrowSummary? {
        let padded = (count &+ 15) & ~15
        // More of the last number, which changes no bound and is taken out of the sum again.
        let padding = order == .delta ? 0 : numbers[count &- 1]
        for index in count..<padded { numbers[index] = padding }
        var low: Int32 = 0
        var high: Int32 = 0
        var sum: Int64 = 0
        let first = Int(Int16(bitPattern: numbers[0]))
        var last = Int(Int16(bitPattern: numbers[count &- 1]))
        // Safe: UInt16 and Int16 are laid out alike, and there are `padded` of them.
        numbers.withMemoryRebound(to: Int16.self, capacity: padded) { signed in
            if order == .delta {
                last = Int(
                    apus_narrow_running_summary(
                        signed, padded, Int16(truncatingIfNeeded: before), &low, &high, &sum))
            } else {
                apus_narrow_summary(signed, padded, &low, &high, &sum)
            }
        }
        guard order == .plain || low >= -reachMax && high <= reachMax else { return nil }
        return NarrowSummary(
            origin: origin, first: order == .delta ? first + Int(before) : first, last: last,
            low: Int(low), high: Int(high),
            sum: sum - Int64(padded - count) * Int64(last))
    }

    private struct Exceptions {
        var count = 0
        var codeWidth = 0
        var positionWidth = 0
        private var positionByteCount = 0
        var byteCount = 0

        init() {}

        init?(_ cursor: inout Cursor, count rows: Int) {
            guard let stated = cursor.varint() else { return nil }
            codeWidth = Int(cursor.byte())
            positionWidth = IntegerFrame.positionWidth(rows)
            guard stated > 0, stated <= UInt64(rows), (1...distanceWidthMax).contains(codeWidth),
                (1...16).contains(positionWidth)
            else { return nil }
            count = Int(stated)
            positionByteCount = BitPacking.byteCount(count: count, width: positionWidth)
            byteCount =
                positionByteCount + BitPacking.byteCount(count: count, width: codeWidth)
        }

        /// False if a position lies behind the end.
        ///
        /// Safe: as `read`, whose bounds have been checked; any position of 16 bits lies inside of
        /// `numbers`.
        @inline(__always)
        func patch(
            _ bytes: UnsafeRawPointer, count rows: Int, width: Int, base: Int64,
            _ scratch: NarrowScratch
        ) -> Bool {
            let packedRows = (count &+ 7) / 8
            apus_unpack_narrow_rows(
                bytes, packedRows, UInt32(truncatingIfNeeded: positionWidth), 0, scratch.positions)
            apus_unpack_narrow_rows(
                bytes + positionByteCount, packedRows, UInt32(truncatingIfNeeded: codeWidth), 0,
                scratch.codes)
            return apus_narrow_patch(
                scratch.numbers, rows, scratch.positions, scratch.codes, count,
                1 &<< UInt16(truncatingIfNeeded: width), UInt16(truncatingIfNeeded: base)) != 0
        }
    }
}

/// Reads a payload's head without a check at every byte.
///
/// Safe: a head takes less than `NarrowFrame.slack` bytes, which are readable behind the end; who
/// reads it compares `position` with `end` afterwards.
struct Cursor {
    var position: UnsafeRawPointer
    let end: UnsafeRawPointer

    @inline(__always)
    mutating func byte() -> UInt8 {
        defer { position += 1 }
        return position.load(as: UInt8.self)
    }

    /// Nil for one of more than eight bytes.
    @inline(__always)
    mutating func varint() -> UInt64? {
        let word = UInt64(littleEndian: position.loadUnaligned(as: UInt64.self))
        let stops = ~word & 0x8080_8080_8080_8080
        guard stops != 0 else { return nil }
        let bits = UInt64(truncatingIfNeeded: stops.trailingZeroBitCount)
        position += Int(truncatingIfNeeded: bits &>> 3) &+ 1
        // Groups of seven bits move together, pair by pair.
        var value = word & (~0 &>> (63 &- bits)) & 0x7F7F_7F7F_7F7F_7F7F
        value = (value & 0x007F_007F_007F_007F) | ((value & 0x7F00_7F00_7F00_7F00) &>> 1)
        value = (value & 0x0000_3FFF_0000_3FFF) | ((value & 0x3FFF_0000_3FFF_0000) &>> 2)
        return (value & 0x0FFF_FFFF) | ((value & 0x0FFF_FFFF_0000_0000) &>> 4)
    }

    @inline(__always)
    mutating func signedVarint() -> Int64? {
        guard let code = varint() else { return nil }
        return Int64(bitPattern: code &>> 1) ^ -Int64(bitPattern: code & 1)
    }
}
