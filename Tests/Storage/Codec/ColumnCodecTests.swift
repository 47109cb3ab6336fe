// Columns come back as they went in.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct ColumnCodecTests {
    private func check(_ column: TestColumn, _ name: String, seed: UInt64) throws {
        for level in [EncodeOptions.Level.hot, .cold] {
            let encoded = encode(column, level)
            let count = column.slots.count
            let comment: Comment = "\(name), \(count) rows, \(encoded.encoding.name), seed \(seed)"
            let back = try decode(encoded, type: column.type, count: count)
            let presentCount = column.validity.map { $0.reduce(0) { $0 + Int($1) } } ?? count
            #expect(back.present == presentCount, comment)
            let same = (0..<count).allSatisfy { column.row($0) == back.column.row($0) }
            #expect(same, comment)
        }
    }

    @Test(arguments: edgeLengths)
    func `integers of every shape come back`(count: Int) throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0001 &+ UInt64(count))
        for (name, slots) in Shapes.integers(count, &random) {
            for validity in Shapes.validity(count, &random) {
                for type in [FieldType.int64, .uint64] {
                    try check(
                        TestColumn(type: type, slots: slots, validity: validity), name,
                        seed: random.seed)
                }
            }
        }
    }

    @Test(arguments: edgeLengths)
    func `doubles of every shape come back bit by bit`(count: Int) throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0002 &+ UInt64(count))
        for (name, slots) in Shapes.floats(count, &random) {
            for validity in Shapes.validity(count, &random) {
                try check(
                    TestColumn(type: .float64, slots: slots, validity: validity), name,
                    seed: random.seed)
            }
        }
    }

    @Test(arguments: edgeLengths)
    func `bools come back`(count: Int) throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0003 &+ UInt64(count))
        for rarity in [1, 2, 3, 100, 1_000_000] {
            let slots: [UInt64] = (0..<count).map { _ in random.oneIn(rarity) ? 1 : 0 }
            for validity in Shapes.validity(count, &random) {
                try check(
                    TestColumn(type: .bool, slots: slots, validity: validity), "1 in \(rarity)",
                    seed: random.seed)
            }
        }
    }

    @Test(arguments: edgeLengths)
    func `strings come back`(count: Int) throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0004 &+ UInt64(count))
        for (name, texts) in Shapes.texts(count, &random) {
            for validity in Shapes.validity(count, &random) {
                var column = TestColumn.strings(texts)
                column.validity = validity
                try check(column, name, seed: random.seed)
            }
        }
    }

    @Test func `a block of 65,536 rows comes back`() throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0005)
        let slots = (0..<65_536).map { _ in random.next() % 1000 }
        try check(TestColumn(type: .int64, slots: slots), "large", seed: random.seed)
        let doubles = slots.map { (Double($0) / 10).bitPattern }
        try check(TestColumn(type: .float64, slots: doubles), "large", seed: random.seed)
    }

    @Test func `data of each kind takes the encoding made for it`() {
        func encoding(_ type: FieldType, _ slots: [UInt64]) -> Encoding {
            encode(TestColumn(type: type, slots: slots)).encoding
        }
        var random = SeededRandom(seed: 9)
        #expect(encoding(.int64, [5, 5, 5]) == .constant)
        #expect(encoding(.int64, (0..<360).map { _ in random.next() % 9 }) == .packed)
        #expect(encoding(.int64, (0..<360).map { UInt64($0 * 7 + $0 % 3) }) == .deltaPacked)
        let pages = (0..<360).map { _ in (random.next() % 999) * 4_096 }
        #expect(encoding(.int64, pages) == .nested)
        #expect(encoding(.int64, (0..<360).map { UInt64($0 * $0 * $0) }) == .nested)
        let decimals = (0..<360).map { _ in (Double(random.below(1000)) / 10).bitPattern }
        #expect(encoding(.float64, decimals) == .decimal)
        var level = 1.0
        let smooth: [UInt64] = (0..<360).map { _ in
            if random.oneIn(3) { level = random.unit() }
            return level.bitPattern
        }
        #expect(encoding(.float64, smooth) == .splitGorilla)
        #expect(encoding(.bool, (0..<360).map { _ in random.next() & 1 }) == .booleanBitmap)
        let states = TestColumn.strings(
            (0..<360).map { _ in Array("state-\(random.below(4))".utf8) })
        #expect(encode(states).encoding == .dictionary)
        let ids = TestColumn.strings((0..<9).map { Array("id\($0)".utf8) })
        #expect(encode(ids).encoding == .rawStrings)
        let hashes = TestColumn.strings((0..<99).map { _ in Self.hex(&random, 16) })
        #expect(encode(hashes).encoding == .hexStrings)
        let machines = (0..<9).map { _ in Self.uuid(&random) }
        let moves = TestColumn.strings((0..<99).map { machines[$0 * $0 % 9] })
        #expect(encode(moves).encoding == .hexDictionary)
        let lines = TestColumn.strings((0..<99).map { Array("GET /items/\($0) HTTP/1.1".utf8) })
        #expect(encode(lines, .hot).encoding == .lz4)
        #expect(encode(lines, .cold).encoding == .zstd)
    }

    private static func hex(
        _ random: inout SeededRandom, _ digits: Int, upper: Bool = false
    ) -> [UInt8] {
        let alphabet = Array((upper ? "0123456789ABCDEF" : "0123456789abcdef").utf8)
        return (0..<digits).map { _ in alphabet[random.below(16)] }
    }

    private static func uuid(_ random: inout SeededRandom, upper: Bool = false) -> [UInt8] {
        var text = hex(&random, 32, upper: upper)
        for place in [8, 13, 18, 23] { text.insert(45, at: place) }
        return text
    }

    @Test func `hexadecimal strings and UUIDs take half a byte a digit and come back`() throws {
        var random = SeededRandom(seed: 0xA905_0022)
        for isUUID in [false, true] {
            for upper in [false, true] {
                for count in [2, 3, 8, 1_024] {
                    for distinct in count < 1_024 ? [count] : [count, count / 7] {
                        let digits = isUUID ? 32 : [8, 12, 40, 64][random.below(4)]
                        let pool = (0..<distinct).map { _ in
                            isUUID
                                ? Self.uuid(&random, upper: upper)
                                : Self.hex(&random, digits, upper: upper)
                        }
                        let column = TestColumn.strings((0..<count).map { pool[$0 % distinct] })
                        let encoded = encode(column)
                        #expect(encoded.payload.count <= 8 + count * 2 + distinct * digits / 2)
                        let decoded = try decode(encoded, type: .string, count: count).column
                        #expect((0..<count).allSatisfy { decoded.row($0) == column.row($0) })
                    }
                }
            }
        }
    }

    @Test func `strings that are nearly hexadecimal come back`() throws {
        var random = SeededRandom(seed: 0xA905_0023)
        for spoiled in ["g", "A", "-", " ", ":", "/", "@", "`", "\0"] {
            for place in [0, 7, 8, 9, 13, 23, 35] {
                var texts = (0..<40).map { _ in Self.uuid(&random) }
                texts[30][place] = Array(spoiled.utf8)[0]
                texts[3][10] = 97
                let column = TestColumn.strings(texts)
                let encoded = encode(column)
                if spoiled != "-" || ![8, 13, 23].contains(place) {
                    #expect(encoded.encoding != .hexStrings, "\(spoiled) at \(place)")
                }
                let decoded = try decode(encoded, type: .string, count: 40).column
                #expect((0..<40).allSatisfy { decoded.row($0) == column.row($0) })
            }
        }
        let lengths = TestColumn.strings(["deadbeef", "deadbeef00"].map { Array($0.utf8) })
        #expect(encode(lengths).encoding != .hexStrings)
    }

    /// The sizes that the design promises, all in.
    @Test(arguments: [360, 720])
    func `a random walk of small integers takes 0.41 bytes a value`(count: Int) {
        var random = SeededRandom(seed: 2026)
        var integerBytes = 0
        var decimalBytes = 0
        let series = 200
        for _ in 0..<series {
            var level = random.unit() * 100
            var integers: [UInt64] = []
            var decimals: [UInt64] = []
            for _ in 0..<count {
                level = max(0, min(100, level + random.normal()))
                integers.append(UInt64(level))
                decimals.append(((level * 100).rounded() / 100).bitPattern)
            }
            integerBytes += encode(TestColumn(type: .int64, slots: integers)).payload.count
            decimalBytes += encode(TestColumn(type: .float64, slots: decimals)).payload.count
        }
        let values = Double(series * count)
        print(
            "walk of \(count): integers \(Double(integerBytes) / values) bytes a value,",
            "two decimals \(Double(decimalBytes) / values)")
        #expect(Double(integerBytes) / values < 0.42)
        #expect(Double(decimalBytes) / values < 1.25)
    }
}
