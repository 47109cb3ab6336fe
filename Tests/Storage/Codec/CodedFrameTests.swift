import ApusStorage
import ApusTestKit
import Glibc
import Testing

@Suite struct CodedFrameTests {
    private static let seeds: [UInt64] = [1, 2, 3, SeededRandom.fromEnvironment(otherwise: 4).seed]

    /// Generators of a block's numbers, and whether few of them are enough for codes to pay.
    private static let shapes:
        [(name: String, pays: Bool, make: @Sendable (inout SeededRandom, Int) -> [UInt64])] = [
            (
                "walk", true,
                { random, count in walk(&random, count) { Int64($0.normal().rounded()) } }
            ),
            (
                "wide walk", false,
                { random, count in walk(&random, count) { Int64(($0.normal() * 1e5).rounded()) } }
            ),
            (
                "zeros and spikes", false,
                { random, count in
                    walk(&random, count) {
                        $0.below(50) == 0 ? Int64($0.below(1 << 40)) : Int64($0.below(2))
                    }
                }
            ),
            (
                "counter", false,
                { random, count in walk(&random, count) { 1_000_000 + Int64($0.below(300)) } }
            ),
            (
                "counter that resets", false,
                { random, count in
                    var value: UInt64 = 0
                    return (0..<count).map { _ in
                        value =
                            random.below(200) == 0 ? 0 : value + 5_000 + UInt64(random.below(40))
                        return value
                    }
                }
            ),
            (
                "past both ends", false,
                { random, count in
                    walk(&random, count, from: UInt64(bitPattern: Int64.max) - 3) {
                        Int64($0.below(5)) - 2
                    }
                }
            ),
            (
                "around zero, unsigned", false,
                { random, count in walk(&random, count, from: 2) { Int64($0.below(7)) - 3 } }
            ),
            ("noise", false, { random, count in (0..<count).map { _ in random.next() } }),
        ]

    private static func walk(
        _ random: inout SeededRandom, _ count: Int, from first: UInt64 = 1_000,
        _ step: (inout SeededRandom) -> Int64
    ) -> [UInt64] {
        var value = first
        return (0..<count).map { _ in
            defer { value = value &+ UInt64(bitPattern: step(&random)) }
            return value
        }
    }

    private static let lengths = [
        1, 2, 7, 8, 9, 10, 15, 16, 17, 63, 64, 65, 127, 128, 129, 360, 720, 1_023, 1_024, 1_025,
        4_100,
    ]

    @Test func `numbers come back under a shared table, whatever their shape and count`() throws {
        for seed in Self.seeds {
            var random = SeededRandom(seed: seed)
            for shape in Self.shapes {
                for type in [FieldType.int64, .uint64] {
                    let blocks = Self.lengths.map {
                        TestColumn(type: type, slots: shape.make(&random, $0))
                    }
                    let column = try CodedColumn(blocks)
                    #expect(column.isCoded || !shape.pays, "\(shape.name), seed \(seed)")
                    try Self.expectRoundTrip(column, blocks, "\(shape.name), seed \(seed)")
                }
            }
        }
    }

    @Test func `decimals come back with their exceptions and gaps`() throws {
        for seed in Self.seeds {
            var random = SeededRandom(seed: seed)
            let blocks = Self.lengths.map { count in
                var value = 50.0
                var validity: [UInt8] = []
                let slots = (0..<count).map { _ -> UInt64 in
                    value += (random.normal() * 100).rounded() / 100
                    validity.append(random.below(20) == 0 ? 0 : 1)
                    switch random.below(200) {
                    case 0: return Double.nan.bitPattern
                    case 1: return (-0.0).bitPattern
                    case 2: return Double.infinity.bitPattern
                    default: return ((value * 100).rounded() / 100).bitPattern
                    }
                }
                return TestColumn(
                    type: .float64, slots: slots, validity: count % 2 == 0 ? validity : nil)
            }
            let column = try CodedColumn(blocks)
            #expect(column.isCoded)
            #expect(column.stretch.payloads.contains { $0.encoding == .decimal })
            try Self.expectRoundTrip(column, blocks, "seed \(seed)")
        }
    }

    private static func expectRoundTrip(
        _ column: CodedColumn, _ blocks: [TestColumn], _ what: String
    ) throws {
        for (index, block) in blocks.enumerated() {
            let decoded = try decode(
                column.payload(index), type: block.type, count: block.slots.count,
                symbols: column.decoder)
            for row in block.slots.indices where block.row(row) != decoded.column.row(row) {
                Issue.record("\(what): row \(row) of \(block.slots.count)")
                break
            }
        }
    }

    @Test func `a walk takes hardly more than the entropy of its steps`() throws {
        var random = SeededRandom(seed: 7)
        var counts: [Int64: Double] = [:]
        let blocks = (0..<400).map { _ in
            TestColumn(
                type: .int64,
                slots: Self.walk(&random, 360) {
                    let step = Int64($0.normal().rounded())
                    counts[step, default: 0] += 1
                    return step
                })
        }
        let total = counts.values.reduce(0, +)
        let entropy = counts.values.reduce(0.0) { $0 - $1 / total * log2($1 / total) }
        let column = try CodedColumn(blocks)
        let bits = Double(column.stretch.bytes.count * 8) / Double(400 * 360)
        // Presence, shape, first number and padding take five or six bytes a block.
        #expect(bits - 48.0 / 360 < entropy * 1.012, "\(bits) bits, entropy \(entropy)")
    }

    @Test func `a damaged payload is refused or decodes to something, and never traps`() throws {
        var random = SeededRandom(seed: 3)
        for shape in Self.shapes where shape.name != "noise" {
            let blocks =
                [9, 64, 200].map {
                    TestColumn(type: .int64, slots: shape.make(&random, $0))
                } + (0..<30).map { _ in TestColumn(type: .int64, slots: shape.make(&random, 360)) }
            let column = try CodedColumn(blocks)
            for (index, block) in blocks.prefix(3).enumerated() {
                let whole = column.payload(index)
                guard whole.encoding == .deltaCoded else { continue }
                // Any bits are codes of something, and seldom of exactly so many numbers.
                var refused = 0
                for cut in whole.payload.indices {
                    let short = Encoded(
                        encoding: whole.encoding, payload: Array(whole.payload[..<cut]))
                    let decoded = try? decode(
                        short, type: .int64, count: block.slots.count, symbols: column.decoder)
                    if decoded == nil { refused += 1 }
                }
                #expect(refused > whole.payload.count / 2, "\(shape.name)")
                for bit in 0..<(whole.payload.count * 8) {
                    var flipped = whole
                    flipped.payload[bit / 8] ^= 1 << UInt8(bit % 8)
                    _ = try? decode(
                        flipped, type: .int64, count: block.slots.count, symbols: column.decoder)
                }
                #expect(throws: CodecError.self) {
                    try decode(whole, type: .int64, count: block.slots.count)
                }
            }
        }
    }

    @Test func `a damaged symbol table is refused, or is another whole one`() throws {
        var random = SeededRandom(seed: 5)
        let blocks = (0..<50).map { _ in
            TestColumn(type: .int64, slots: Self.shapes[0].make(&random, 360))
        }
        let column = try CodedColumn(blocks)
        let bytes = Array(column.stretch.bytes[..<(column.stretch.tableByteCount - 4)])
        for cut in bytes.indices {
            #expect(throws: ByteReader.Malformed.self) {
                try CodedColumn.readTable(Array(bytes[..<cut]))
            }
        }
        for bit in 0..<(bytes.count * 8) {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            guard let table = try? CodedColumn.readTable(flipped) else { continue }
            // Lengths may have changed places; each index of the decoder still has a code.
            let space = table.codes.reduce(0) { $0 + 1 << (SymbolTable.codeBitsMax - $1.bitCount) }
            #expect(space == 1 << SymbolTable.codeBitsMax)
            _ = try? decode(
                column.payload(0), type: .int64, count: 360, symbols: SymbolDecoder(table))
        }
    }

    /// Found by review: sums were bounded with differences that then got no code.
    @Test func `a block whose sums need differences without a code stays plain`() throws {
        var random = SeededRandom(seed: 8)
        let count = 65_536
        func slots(_ step: (Int) -> Int) -> TestColumn {
            var level = 0
            return TestColumn(
                type: .int64,
                slots: (0..<count).map { row in
                    level += row == 0 ? 0 : step(row - 1)
                    return UInt64(bitPattern: Int64(level))
                })
        }
        let ordinary = slots { _ in random.below(5) == 0 ? 1 : 0 }
        // −15 is too rare for a code; without it the streams' sums pass 16 bits.
        let special = slots { index in
            index % (count / 2) < 300 ? -15 : random.below(20) == 0 ? 2 : 1
        }
        var writer = StretchWriter()
        for _ in 0..<320 {
            ordinary.withSlice { _ = writer.append($0, EncodeOptions(level: .cold)) }
        }
        special.withSlice { _ = writer.append($0, EncodeOptions(level: .cold)) }
        let stretch = writer.finish { _, _, _, _, _ in }
        #expect(stretch.payloads[0].encoding == .deltaCoded)
        let last = try #require(stretch.payloads.last)
        #expect(last.encoding != .deltaCoded)
        let decoded = try decode(
            Encoded(encoding: last.encoding, payload: Array(stretch.bytes.suffix(last.byteCount))),
            type: .int64, count: count)
        #expect(decoded.column.slots == special.slots)
    }

    /// Found by review: their difference has 64 bits and a sign.
    @Test func `differences beyond 64 bits are patches`() throws {
        let step: Int64 = 1 << 62 + 5
        let levels = [Int64](repeating: 0, count: 350) + [Int64](repeating: step, count: 350)
        let slots = (levels + [Int64](repeating: -step, count: 324)).map {
            UInt64(bitPattern: $0)
        }
        var random = SeededRandom(seed: 10)
        let blocks = (0..<40).map { index in
            index == 7
                ? TestColumn(type: .int64, slots: slots)
                : TestColumn(
                    type: .int64,
                    slots: (0..<1_024).map { _ in UInt64(random.below(3)) })
        }
        let column = try CodedColumn(blocks)
        for (index, block) in blocks.enumerated() {
            let decoded = try decode(
                column.payload(index), type: .int64, count: 1_024, symbols: column.decoder)
            #expect(decoded.column.slots == block.slots)
        }
    }

    /// Slope, low bits and patches together, in a group that is too small for a table.
    @Test func `numbers come back from drafts where codes don't pay`() throws {
        for seed in Self.seeds {
            var random = SeededRandom(seed: seed)
            var level: UInt64 = 0
            let column = TestColumn(
                type: .int64,
                slots: (0..<300).map { _ in
                    level = random.oneIn(90) ? random.next() : level &+ 5_000 &+ random.next() % 90
                    return level
                })
            let coded = try CodedColumn([column])
            #expect(!coded.isCoded)
            let decoded = try decode(coded.payload(0), type: .int64, count: 300)
            #expect(decoded.column.slots == column.slots)
        }
    }

    @Test func `numbers that codes don't suit are compressed`() throws {
        var random = SeededRandom(seed: 9)
        let ids = (0..<100).map { _ in random.next() >> 24 }
        let column = try CodedColumn(
            (0..<8).map { _ in
                TestColumn(type: .uint64, slots: (0..<1_024).map { ids[$0 % 100] })
            })
        #expect(column.stretch.payloads.allSatisfy { $0.encoding == .zstd })
        #expect(column.stretch.bytes.count < 8 * 2_000)
    }

    @Test func `code lengths fill the room exactly and grow as weights fall`() {
        for seed in Self.seeds {
            var random = SeededRandom(seed: seed)
            for count in [2, 3, 10, 200, 2_048] {
                let weights = (0..<count).map { _ in
                    Int(random.next() >> UInt64(20 + random.below(40))) + 1
                }
                .sorted()
                let lengths = SymbolTableBuilder.limitedLengths(weights)
                #expect(lengths.allSatisfy { (1...SymbolTable.codeBitsMax).contains($0) })
                let space = lengths.reduce(0) { $0 + 1 << (SymbolTable.codeBitsMax - $1) }
                #expect(space == 1 << SymbolTable.codeBitsMax, "\(count) weights, seed \(seed)")
                #expect(zip(lengths, lengths.dropFirst()).allSatisfy { $0 >= $1 })
            }
        }
    }
}
