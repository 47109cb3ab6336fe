// Damaged payloads: a decoder answers or throws, whatever the bytes are. It must not trap, hang or
// take memory by what they claim.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct CodecRobustnessTests {
    private let types = FieldType.allCases

    private func attempt(_ encoded: Encoded, _ type: FieldType, _ count: Int) {
        _ = try? decode(encoded, type: type, count: count)
    }

    @Test func `random bytes never trap a decoder`() {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0021)
        print("seed \(random.seed)")
        for _ in 0..<20_000 {
            let payload = (0..<random.below(120)).map { index in
                index < 4 && random.oneIn(2)
                    ? UInt8(random.below(4)) : UInt8(truncatingIfNeeded: random.next())
            }
            let number = random.oneIn(5) ? UInt8(32 + random.below(2)) : UInt8(random.below(10))
            let column = Encoded(encoding: Encoding(rawValue: number), payload: payload)
            attempt(column, types[random.below(types.count)], random.below(200))
            let times = Encoded(
                encoding: Encoding(rawValue: UInt8(63 + random.below(8))), payload: payload)
            _ = try? decodeTimes(times, count: random.below(200))
        }
    }

    @Test func `flipped bits and cut ends never trap a decoder`() {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0022)
        print("seed \(random.seed)")
        var columns: [TestColumn] = []
        for count in [1, 64, 200] {
            for (_, slots) in Shapes.integers(count, &random).suffix(8) {
                columns.append(TestColumn(type: .int64, slots: slots))
            }
            for (_, slots) in Shapes.floats(count, &random) {
                columns.append(
                    TestColumn(
                        type: .float64, slots: slots, validity: Shapes.validity(count, &random)[3]))
            }
            for (_, texts) in Shapes.texts(count, &random).prefix(6) {
                columns.append(TestColumn.strings(texts))
            }
        }
        for column in columns {
            let good = encode(column, random.oneIn(2) ? .hot : .cold)
            let count = column.slots.count
            for _ in 0..<100 {
                var bad = good
                for _ in 0...random.below(3) where !bad.payload.isEmpty {
                    bad.payload[random.below(min(bad.payload.count, 40))] ^= 1 << random.below(8)
                }
                attempt(bad, column.type, count)
                bad.payload.removeLast(random.below(bad.payload.count + 1))
                attempt(bad, column.type, count)
                attempt(good, types[random.below(types.count)], random.below(2 * count + 1))
            }
        }
    }

    @Test func `flipped bits in times never trap a decoder`() {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0023)
        for round in 0..<200 {
            let length = Int64(1 + random.below(20))
            let times = (0..<100).map {
                Int64($0) % length * 1_000_000_000 + (round % 2 == 0 ? 0 : Int64(random.below(50)))
            }
            let good = encodeTimes(times)
            for _ in 0..<50 {
                var bad = good
                bad.payload[random.below(bad.payload.count)] ^= 1 << random.below(8)
                _ = try? decodeTimes(bad, count: 100)
                bad.payload.removeLast(random.below(bad.payload.count + 1))
                _ = try? decodeTimes(bad, count: 100)
            }
        }
    }

    @Test func `a byte more or less is an error`() {
        var random = SeededRandom(seed: 3)
        var columns = Shapes.integers(100, &random).map { TestColumn(type: .int64, slots: $0.1) }
        columns += Shapes.floats(100, &random).map { TestColumn(type: .float64, slots: $0.1) }
        columns.append(TestColumn(type: .bool, slots: (0..<100).map { _ in random.next() & 1 }))
        for column in columns {
            let good = encode(column)
            guard good.encoding != .constant else { continue }
            var longer = good
            longer.payload.append(0)
            #expect(throws: CodecError.self) {
                try decode(longer, type: column.type, count: column.slots.count)
            }
            var shorter = good
            shorter.payload.removeLast()
            #expect(throws: CodecError.self) {
                try decode(shorter, type: column.type, count: column.slots.count)
            }
        }
    }

    @Test func `an unknown encoding is unsupported, not damage`() {
        for number in [0, 14, 31, 34, 200] as [UInt8] {
            let encoded = Encoded(encoding: Encoding(rawValue: number), payload: [0, 0, 0])
            let error = #expect(throws: CodecError.self) {
                try decode(encoded, type: .int64, count: 3)
            }
            #expect(error?.isUnsupported == true)
            let timesError = #expect(throws: CodecError.self) {
                try decodeTimes(encoded, count: 3)
            }
            #expect(timesError?.isUnsupported == true)
        }
    }

    @Test func `a compressed payload can't claim memory it doesn't hold`() {
        var writer = ByteWriter()
        writer.append(Encoding.rawStrings.rawValue)
        writer.appendVarint(60 << 20)
        writer.append([1, 2, 3, 4] as [UInt8])
        for encoding in [Encoding.lz4, .zstd] {
            #expect(throws: CodecError.self) {
                try decode(
                    Encoded(encoding: encoding, payload: writer.bytes), type: .string, count: 3)
            }
        }
    }
}
