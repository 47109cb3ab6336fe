import ApusStorage
import ApusTestKit
import Glibc
import Testing

/// Random and adversarial numbers through all encodings, ten million by default and as many as
/// `APUS_ROUND_TRIP_VALUES` says; `APUS_SEED` brings back a run.
@Suite struct RoundTripTests {
    private static let valuesMax =
        getenv("APUS_ROUND_TRIP_VALUES").flatMap { Int(String(cString: $0)) } ?? 10_000_000
    private static let edges = [0, 1, 2, 1_023, 1_024, 1_025]

    /// Makes the slots of one block after the other.
    private enum Shape: CaseIterable {
        case constant, walk, noise, counter, pages, spikes, runs, extremes, parabola
        case decimals, damagedDecimals, patterns, specials, plateaus, wholeDoubles, flags

        func types() -> [FieldType] {
            switch self {
            case .constant, .walk, .noise, .counter, .pages, .spikes, .runs, .extremes, .parabola:
                [.int64, .uint64]
            case .flags: [.bool]
            default: [.float64]
            }
        }
    }

    /// What a shape goes on from.
    private struct Maker {
        let shape: Shape
        var random: SeededRandom
        private var level: UInt64
        private let bits: UInt64
        private let factor: UInt64
        private let power: Double

        init(_ shape: Shape, seed: UInt64) {
            self.shape = shape
            random = SeededRandom(seed: seed)
            level = random.oneIn(3) ? random.next() : UInt64(random.below(1_000))
            bits = UInt64(random.below(63))
            factor = UInt64([2, 10, 512, 1_024, 4_096, 1_000_000_007][random.below(6)])
            power = [1, 10, 100, 1_000, 1e6, 1e12][random.below(6)]
        }

        private mutating func small(_ bits: UInt64) -> UInt64 { random.next() >> (63 - bits) }

        /// A step to either side.
        private mutating func step(_ bits: UInt64) -> UInt64 {
            small(bits) &- (1 << bits)
        }

        mutating func next(_ row: Int) -> UInt64 {
            switch shape {
            case .constant: return level
            case .walk:
                level = level &+ step(bits)
                return level
            case .noise: return small(bits)
            case .counter:
                level = random.oneIn(300) ? 0 : level &+ 1_000 &+ small(bits % 12)
                return level
            case .pages:
                level = level &+ step(bits % 20) &* factor
                return level
            case .spikes:
                level = level &+ (random.oneIn(100) ? random.next() : small(1))
                return level
            case .runs:
                if random.oneIn(40) { level = random.next() >> bits }
                return level
            case .extremes:
                return [0, .max, 1 << 63, (1 << 63) - 1, 1][random.below(5)]
            case .parabola:
                return level &+ UInt64(row) &* UInt64(row) &* factor &+ small(bits % 4)
            case .decimals, .damagedDecimals:
                level = level &+ step(bits % 16)
                if shape == .damagedDecimals, random.oneIn(20) { return random.next() }
                let number = Int64(bitPattern: level << 13) >> 13
                return (Double(number) / power).bitPattern
            case .patterns: return random.next()
            case .specials:
                return [
                    0, 1 << 63, Double.infinity.bitPattern, (-Double.infinity).bitPattern,
                    Double.nan.bitPattern, 0x7FF0_0000_0000_0001, 0xFFF8_1234_5678_9ABC, 1,
                    Double.greatestFiniteMagnitude.bitPattern, (0.1).bitPattern,
                ][random.below(10)]
            case .plateaus:
                if random.oneIn(5) { level = random.unit().bitPattern }
                return level
            case .wholeDoubles: return (Double(small(bits % 50)) * Double(factor)).bitPattern
            case .flags: return random.oneIn(8) ? 1 : 0
            }
        }
    }

    @Test func `numbers of every shape and count come back bit by bit`() throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0020)
        print("round trip of \(Self.valuesMax) values, seed \(random.seed)")
        var seen: Set<Encoding> = []
        var total = 0
        while total < Self.valuesMax {
            for shape in Shape.allCases {
                for type in shape.types() {
                    let seed = random.next()
                    let counts = Self.edges + [1 + random.below(4_000), 1 + random.below(400)]
                    total += try Self.check(shape, type, counts, seed: seed, &seen)
                }
            }
        }
        let expected: Set<Encoding> = [
            .constant, .packed, .deltaPacked, .splitGorilla, .decimal, .booleanBitmap, .deltaCoded,
            .nested,
        ]
        #expect(seen.isSuperset(of: expected), "\(expected.subtracting(seen).map(\.name))")
    }

    /// - Returns: How many values were tried.
    private static func check(
        _ shape: Shape, _ type: FieldType, _ counts: [Int], seed: UInt64,
        _ seen: inout Set<Encoding>
    ) throws -> Int {
        var maker = Maker(shape, seed: seed)
        let hasGaps = maker.random.oneIn(4)
        let blocks = counts.map { count in
            TestColumn(
                type: type, slots: (0..<count).map { maker.next($0) },
                validity: hasGaps ? (0..<count).map { _ in maker.random.oneIn(9) ? 0 : 1 } : nil)
        }
        for level in [EncodeOptions.Level.hot, .cold] {
            let column = try CodedColumn(blocks, level)
            for (index, block) in blocks.enumerated() {
                let encoded = column.payload(index)
                seen.insert(encoded.encoding)
                let decoded = try decode(
                    encoded, type: type, count: block.slots.count, symbols: column.decoder)
                if !isSame(block, decoded.column) {
                    Issue.record(
                        "\(shape) \(type), \(block.slots.count) rows, \(encoded.encoding.name), seed \(seed)"
                    )
                }
            }
        }
        return 2 * counts.reduce(0, +)
    }

    private static func isSame(_ left: TestColumn, _ right: TestColumn) -> Bool {
        guard let validity = left.validity else { return left.slots == right.slots }
        let present = right.validity ?? [UInt8](repeating: 1, count: right.slots.count)
        guard validity == present else { return false }
        return validity.indices.allSatisfy {
            validity[$0] == 0 || left.slots[$0] == right.slots[$0]
        }
    }
}
