// Doubles that are decimals, as integers over a power of ten: after ALP (Afroozeh and others,
// SIGMOD 2023), with a division instead of two multiplications, so that every decimal of up to 15
// digits is restored as it was parsed.
//
//     field        size      present     meaning
//     ───────────  ────────  ──────────  ──────────────────────────────────────────────
//     exponent     1         always      bits 0–6: power of ten, 0 ... 22; bit 7: exceptions
//     exceptions   varint    if bit 7    how many, 1 ... count
//     positions    bits      if bit 7    exceptions × bits of (count − 1), ascending, horizontal
//     originals    8 each    if bit 7    the doubles at those positions
//     integers     frame     always      nested frame (order 1, frame), see IntegerFrame; under a
//                                        symbol table it may be coded, see CodedFrame
//
// double = Double(integer) / 10^exponent, checked bit by bit when written. |integer| < 2^51; NaN,
// infinities, −0 and whatever isn't a short decimal are exceptions, whose integers repeat the one
// before.

internal import ApusKernels

struct DecimalPlan {
    let exponent: Int
    let exceptions: [Int]
    /// Owned between planning and writing.
    let integers: Scratch.Shared
}

enum DecimalCodec {
    static let exponentMax = 22
    private static let exceptionsFlag: UInt8 = 0x80
    /// Adding it to a small integer's double puts the integer into the low bits of the mantissa.
    private static let magic = 6_755_399_441_055_744.0  // 1.5 × 2^52
    /// What the kernel gives for a double that is none, APUS_NO_INTEGER.
    private static let noInteger: UInt64 = 1 << 63
    private static let integerMax = 2_251_799_813_685_248.0  // 2^51

    static let powers: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ]

    /// The integer of a double at a power of ten, if it is exact.
    @inline(__always)
    private static func integer(_ bits: UInt64, _ power: Double) -> UInt64? {
        let value = Double(bitPattern: bits)
        let scaled = value * power
        guard scaled > -integerMax, scaled < integerMax else { return nil }
        let shifted = (scaled + magic).bitPattern &- magic.bitPattern
        guard restore(shifted, power) == bits else { return nil }
        return shifted
    }

    /// What the decoder's kernel computes: one rounding, in the division.
    @inline(__always)
    static func restore(_ integer: UInt64, _ power: Double) -> UInt64 {
        ((Double(bitPattern: integer &+ magic.bitPattern) - magic) / power).bitPattern
    }

    /// The power of ten that a payload's first byte states, if there are no exceptions to it.
    static func exponent(ofPayload first: UInt8) -> Int? {
        first & exceptionsFlag == 0 ? Int(first) : nil
    }

    /// The sum of decimals, freed from the errors of adding doubles: there is but one decimal near.
    static func exactSum(_ sum: Double, exponent: Int) -> Double {
        let scaled = (sum * powers[exponent]).rounded()
        // Adding zero turns −0 into 0, as which its integer comes back.
        return abs(scaled) < integerMax ? scaled / powers[exponent] + 0 : sum
    }

    /// Whether a payload of `byteCount` bytes is so small that no other encoding needs to be tried.
    static func isShort(_ byteCount: Int, count: Int) -> Bool { byteCount <= count &* 2 &+ 16 }

    /// All doubles as integers over one power of ten; nil if there is none. 2 ns a double.
    static func integers(_ values: [UInt64]) -> (exponent: Int, integers: [UInt64])? {
        for exponent in 0...18 {
            let power = powers[exponent]
            var integers: [UInt64] = []
            for value in values {
                guard let integer = integer(value, power) else { break }
                integers.append(integer)
            }
            if integers.count == values.count { return (exponent, integers) }
        }
        return nil
    }

    /// The scaling that fits most of a sample, or nil where decimals won't pay.
    static func plan(_ values: UnsafePointer<UInt64>, count: Int) -> DecimalPlan? {
        guard count > 0 else { return nil }
        guard let exponent = sampledExponent(values, count: count) else { return nil }
        let power = powers[exponent]
        let pad = Scratch.Shared(count: count)
        var exceptions: [Int] = []
        let missing = apus_scale_decimals(values, count, power, pad.scratch.pointer)
        guard missing &* 4 <= count &+ 4 else { return nil }
        if missing > 0 {
            var before: UInt64 = 0
            for index in 0..<count {
                if pad.scratch.pointer[index] == noInteger {
                    exceptions.append(index)
                    pad.scratch.pointer[index] = before
                }
                before = pad.scratch.pointer[index]
            }
        }
        return DecimalPlan(exponent: exponent, exceptions: exceptions, integers: pad)
    }

    private static func sampledExponent(_ values: UnsafePointer<UInt64>, count: Int) -> Int? {
        let sampleCount = min(count, 32)
        var best: Int?
        var bestHits = sampleCount / 2
        for exponent in 0...18 {
            let power = powers[exponent]
            var hits = 0
            for index in 0..<sampleCount {
                let bits = values[index &* count / sampleCount]
                if integer(bits, power) != nil { hits = hits &+ 1 }
            }
            if hits > bestHits {
                bestHits = hits
                best = exponent
                if hits == sampleCount { break }
            }
        }
        return best
    }

    static func write(
        _ plan: DecimalPlan, values: UnsafePointer<UInt64>, count: Int,
        into writer: inout ByteWriter
    ) {
        writeHead(plan, values: values, count: count, into: &writer)
        IntegerFrame.writeNested(plan.integers.scratch.pointer, count: count, into: &writer)
    }

    /// All but the integers.
    static func writeHead(
        _ plan: DecimalPlan, values: UnsafePointer<UInt64>, count: Int,
        into writer: inout ByteWriter
    ) {
        let exponent = UInt8(plan.exponent)
        if plan.exceptions.isEmpty {
            writer.append(exponent)
        } else {
            writer.append(exponent | exceptionsFlag)
            writer.appendVarint(UInt64(plan.exceptions.count))
            let positions = plan.exceptions.map { UInt64($0) }
            IntegerFrame.appendPatches(
                positions, width: IntegerFrame.positionWidth(count), into: &writer)
            for position in plan.exceptions { writer.append(values[position]) }
        }
    }

    /// 1 ns a value, most of it the divisions.
    static func read(
        _ reader: inout ByteReader, count: Int, symbols: SymbolDecoder?,
        into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        let start = reader.offset
        let first = try reader.read(UInt8.self)
        let exponent = Int(first & ~exceptionsFlag)
        guard exponent <= exponentMax else {
            throw ByteReader.Malformed(offset: start, reason: "ten to the power of \(exponent)")
        }
        var patches = 0
        if first & exceptionsFlag != 0 {
            patches = try reader.readCount(limit: count)
            guard patches > 0 else {
                throw ByteReader.Malformed(offset: start, reason: "no exceptions")
            }
        }
        let positionBits = IntegerFrame.positionWidth(count)
        let positions = try reader.readBytes(
            BitPacking.byteCount(count: patches, width: positionBits))
        let originals = try reader.readBytes(patches &* 8)
        try IntegerFrame.readNested(&reader, count: count, symbols: symbols, into: out)
        let power = powers[exponent]
        // Safe: `out` holds the `count` integers just read.
        apus_restore_decimals(out, count, power)
        for index in 0..<patches {
            let position = Int(
                truncatingIfNeeded: BitPacking.value(positions, index: index, width: positionBits))
            guard position < count else {
                throw ByteReader.Malformed(offset: start, reason: "an exception past the end")
            }
            // Safe: `patches` × 8 bytes were read above.
            out[position] = UInt64(
                littleEndian: originals.loadUnaligned(fromByteOffset: index &* 8, as: UInt64.self))
        }
    }
}
