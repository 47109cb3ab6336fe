// Integers with a common factor: sizes in pages or KiB, times in seconds where the unit is finer. A
// nested frame of order 4:
//
//     field    size    meaning
//     ───────  ──────  ──────────────────────────────────────────────────────
//     order    1       4
//     factor   varint  at least 2
//     origin   varint  zig-zag
//     numbers  frame   nested, of another order, see IntegerFrame
//
//     value = origin + factor × number                        (modulo 2^64)

internal import ApusKernels

/// Integers divided by their common factor.
struct FactoredIntegers {
    let factor: UInt64
    let origin: UInt64
    let count: Int
    private let room: Scratch.Shared

    var numbers: UnsafePointer<UInt64> { UnsafePointer(room.scratch.pointer) }

    /// Nil if the integers' distances have no factor but 1, which mostly shows after a few of them.
    init?(_ values: UnsafePointer<UInt64>, count: Int) {
        guard count >= 8 else { return nil }
        origin = values[0]
        self.count = count
        var factor: UInt64 = 0
        for sample in 1...8 {
            factor = Self.common(factor, values, sample &* (count &- 1) / 8)
            if factor == 1 { return nil }
        }
        room = Scratch.Shared(count: count)
        if factor > 1, factor < 1 << 51,
            apus_divide_exactly(values, count, factor, origin, room.scratch.pointer) != 0
        {
            self.factor = factor
            return
        }
        for index in 1..<count {
            factor = Self.common(factor, values, index)
            if factor == 1 { return nil }
        }
        guard factor > 1, factor <= UInt64(Int64.max) else { return nil }
        self.factor = factor
        let divisor = Int64(factor)
        for index in 0..<count {
            let distance = Int64(bitPattern: values[index] &- values[0])
            room.scratch.pointer[index] = UInt64(bitPattern: distance / divisor)
        }
    }

    /// Of a factor and a distance, as a signed number: those of a falling gauge have it, too.
    private static func common(
        _ factor: UInt64, _ values: UnsafePointer<UInt64>, _ index: Int
    ) -> UInt64 {
        CommonDivisor.greatest(
            Int64(bitPattern: values[index] &- values[0]).magnitude, factor)
    }

    /// Writes the order's byte, factor and origin: all that comes before the numbers.
    func writeHead(into writer: inout ByteWriter) {
        writer.append(FrameOrder.factored.rawValue)
        writer.appendVarint(factor)
        writer.appendSignedVarint(Int64(bitPattern: origin))
    }

    /// What was read before the numbers.
    struct Head {
        private let factor: UInt64
        private let origin: UInt64

        init(_ reader: inout ByteReader) throws(ByteReader.Malformed) {
            let start = reader.offset
            factor = try reader.readVarint()
            guard factor > 1 else { throw .init(offset: start, reason: "a factor of \(factor)") }
            origin = UInt64(bitPattern: try reader.readSignedVarint())
        }

        /// Safe: `numbers` has `count`.
        func apply(to numbers: UnsafeMutablePointer<UInt64>, count: Int) {
            apus_multiply(numbers, count, factor, origin)
        }
    }
}
