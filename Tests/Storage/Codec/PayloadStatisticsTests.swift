// Statistics from encoded bytes say what decoding says, or nothing.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct PayloadStatisticsTests {
    private let scratch = NarrowScratch()

    /// With bytes behind the payload that must not matter.
    private func statistics(
        _ encoded: Encoded, _ type: FieldType, _ count: Int, _ random: inout SeededRandom
    ) -> ColumnStatistics? {
        let rest = (0..<NarrowFrame.slack).map { _ in UInt8(random.below(256)) }
        return (encoded.payload + rest).withUnsafeBytes { bytes in
            ColumnCodec.statistics(
                of: encoded.encoding,
                UnsafeRawBufferPointer(rebasing: bytes[..<encoded.payload.count]), type: type,
                count: count, scratch: scratch)
        }
    }

    /// Float sums but for the order of addition.
    private func agree(_ left: ColumnStatistics, _ right: ColumnStatistics) -> Bool {
        guard case .float(let one) = left.sum, case .float(let other) = right.sum else {
            return left == right
        }
        var same = left
        same.sum = right.sum
        let largest = max(
            abs(Double(bitPattern: left.minimum)), abs(Double(bitPattern: left.maximum)))
        return same == right && abs(one - other) <= largest * Double(left.presentCount) * 1e-9
    }

    private func numbers(
        _ count: Int, _ random: inout SeededRandom
    ) -> [(name: String, column: TestColumn)] {
        let integers = Shapes.integers(count, &random).flatMap { name, slots in
            [FieldType.int64, .uint64].map { (name, TestColumn(type: $0, slots: slots)) }
        }
        let floats = Shapes.floats(count, &random).map { name, slots in
            (name, TestColumn(type: .float64, slots: slots))
        }
        let bools = [0, 1].map { bit in
            ("bools", TestColumn(type: .bool, slots: [UInt64](repeating: bit, count: count)))
        }
        return integers + floats + bools
    }

    @Test(arguments: edgeLengths)
    func `what is said of a payload is what its values come to`(count: Int) {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0071 &+ UInt64(count))
        for (name, column) in numbers(count, &random) {
            let expected = column.withSlice { ColumnCodec.statistics(of: $0) }
            let found = statistics(encode(column), column.type, count, &random)
            if let found {
                #expect(agree(found, expected), "\(name) seed \(random.seed)")
            }
        }
    }

    @Test(arguments: [16, 17, 360, 720, 1023, 1024, 1025, 2050])
    func `numbers near each other need no decoding`(count: Int) {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0072 &+ UInt64(count))
        let near = [
            "constant", "negative constant", "walk", "noise of 1 bits", "noise of 7 bits",
            "noise of 9 bits", "noise of 13 bits", "walk with 0 decimals", "walk with 2 decimals",
            "bools",
        ]
        for (name, column) in numbers(count, &random) where near.contains(name) {
            #expect(
                statistics(encode(column), column.type, count, &random) != nil,
                "\(name) seed \(random.seed)")
        }
    }

    @Test(arguments: [FieldType.int64, .uint64])
    func `a walk with jumps and far from zero is summed exactly`(type: FieldType) {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0073)
        var saidCount = 0
        for jump in [1, 100, 4_000, 8_000, 16_000, 20_000, 33_000, 70_000] {
            for start in [0, 1 << 20, 1 << 53, 1 << 56, -(1 << 40)] as [Int64] {
                var level = start
                let slots = (0..<700).map { _ in
                    level += Int64(random.below(7)) - 3
                    if random.oneIn(40) { level += Int64(random.below(2 * jump)) - Int64(jump) }
                    return UInt64(bitPattern: level)
                }
                let column = TestColumn(type: type, slots: slots)
                let expected = column.withSlice { ColumnCodec.statistics(of: $0) }
                guard let found = statistics(encode(column), type, 700, &random) else { continue }
                saidCount += 1
                #expect(found == expected, "jumps of \(jump) from \(start), seed \(random.seed)")
            }
        }
        #expect(saidCount > 5)
    }

    /// Whatever stands in a payload: where something is said, decoding gives just that.
    @Test(arguments: [1, 2, 3, 16, 360, 1025])
    func `nothing is said of a payload that does not decode`(count: Int) {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0074 &+ UInt64(count))
        var (saidCount, silentCount) = (0, 0)
        for (name, column) in numbers(count, &random) {
            let sound = encode(column)
            for round in 0..<60 {
                var forged = sound
                for _ in 0...random.below(2) {
                    // Most of all in the head, where widths and counts are.
                    let end = random.oneIn(3) ? forged.payload.count : min(12, forged.payload.count)
                    let place = random.below(end)
                    forged.payload[place] ^= UInt8(1 << random.below(8))
                }
                if round % 10 == 0 { forged.payload.removeLast() }
                if round % 10 == 1 { forged.payload.append(UInt8(random.below(256))) }
                let place = "\(name) round \(round) seed \(random.seed)"
                guard let found = statistics(forged, column.type, count, &random) else {
                    silentCount += 1
                    continue
                }
                saidCount += 1
                guard let decoded = try? decode(forged, type: column.type, count: count).column
                else {
                    Issue.record("\(place): it does not decode")
                    continue
                }
                let expected = decoded.withSlice { ColumnCodec.statistics(of: $0) }
                #expect(agree(found, expected), "\(place)")
            }
        }
        #expect(saidCount > 100 && silentCount > 100)
    }
}
