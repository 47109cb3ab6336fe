import ApusStorage
import ApusTestKit
import Testing

/// The index of series against a dictionary of keys.
@Suite struct SeriesIndexTests {
    private static let names = ["zone", "host", "uuid", "b", "a", "rack"]
    private static let schema = TableSchema(
        tags: names.map { TagColumn(name: $0, sqlName: $0) }, fields: [], version: 1)

    private typealias Tags = [String: String]

    private func tags(_ number: Int, _ random: inout SeededRandom) -> Tags {
        var tags: Tags = [:]
        if random.below(10) > 0 { tags["zone"] = "z\(random.below(6))" }
        if random.below(10) > 0 { tags["host"] = "host-\(random.below(700))" }
        if random.below(20) > 0 { tags["uuid"] = "\(number)-\(random.next())" }
        if random.oneIn(1_000) {
            tags["b"] = String(repeating: "long", count: random.below(900) + 1)
        }
        // Known late, so that its column begins with a gap.
        if number > 70_000, random.oneIn(3) { tags["rack"] = "r\(random.below(300))" }
        return tags
    }

    private func find(_ index: SeriesIndex, _ key: [UInt8]) -> UInt32? {
        key.withUnsafeBytes { index.find($0, Self.schema) }
    }

    @Test func `keys, values and selections come back, from snapshots too`() throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0701)
        var index = SeriesIndex()
        var all: [Tags] = []
        var ids: [[UInt8]: UInt32] = [:]
        var snapshots: [SeriesSnapshot] = []
        for number in 0..<150_000 {
            let tags = tags(number, &random)
            let key = SeriesKey.encode(tags)
            let known = find(index, key)
            #expect(known == ids[key])
            guard known == nil else { continue }
            let id = try #require(key.withUnsafeBytes { index.insert($0, Self.schema) })
            #expect(Int(id) == all.count)
            ids[key] = id
            all.append(tags)
            if random.oneIn(10_000) { snapshots.append(index.snapshot) }
        }
        snapshots.append(index.snapshot)
        #expect(index.count == all.count)
        for snapshot in snapshots {
            for _ in 0..<2_000 {
                let id = random.below(snapshot.count)
                let key = snapshot.key(of: UInt32(id), Self.schema)
                #expect(key == SeriesKey.encode(all[id]))
                #expect(find(index, key) == UInt32(id))
            }
            check(index, snapshot, all, &random)
        }
        #expect(find(index, SeriesKey.encode(["zone": "z0", "nowhere": "x"])) == nil)
        #expect(find(index, SeriesKey.encode(["zone": "z99"])) == nil)
        #expect(index.byteCount < all.count * 100)
    }

    private func check(
        _ index: SeriesIndex, _ snapshot: SeriesSnapshot, _ all: [Tags],
        _ random: inout SeededRandom
    ) {
        for (tag, name) in Self.names.enumerated() {
            let column = snapshot.tag(tag)
            func matching(_ test: (String?) -> Bool) -> [Int] {
                (0..<snapshot.count).filter { test(all[$0][name]) }
            }
            func ids(_ set: SeriesSet) -> [Int] {
                var ids: [Int] = []
                set.forEach { ids.append(Int($0)) }
                return ids
            }
            var absent = CodeSet(count: 1)
            absent.insert(0)
            var missing = SeriesSet(capacity: snapshot.count)
            column.select(absent, from: 0, into: &missing)
            #expect(ids(missing) == matching { $0 == nil })
            for count in [1, 3, 40] {
                var values: Set<String> = []
                for _ in 0..<count {
                    values.insert(all[random.below(snapshot.count)][name] ?? "never")
                }
                let codes = values.compactMap { index.code(of: Array($0.utf8), tag: tag) }
                #expect(codes.count == values.count { $0 != "never" })
                let selected = column.select(codes: codes, capacity: snapshot.count)
                #expect(ids(selected) == matching { $0.map(values.contains) ?? false })
                for code in codes {
                    let text = String(decoding: column.values[Int(code)], as: UTF8.self)
                    #expect(values.contains(text))
                }
            }
        }
    }

    @Test func `a key that is none, or names a tag twice, is refused`() {
        var index = SeriesIndex()
        let good = SeriesKey.encode(["a": "1", "b": "2"])
        for bytes in [[1], [1, 97], good + good, Array(good.dropLast()), good + [0]] as [[UInt8]] {
            #expect(bytes.withUnsafeBytes { index.insert($0, Self.schema) } == nil)
            #expect(bytes.withUnsafeBytes { index.find($0, Self.schema) } == nil)
        }
        #expect(index.count == 0)
        #expect([].withUnsafeBytes { index.insert($0, Self.schema) } == 0)
        #expect(good.withUnsafeBytes { index.insert($0, Self.schema) } == 1)
        #expect(find(index, []) == 0 && find(index, good) == 1)
    }
}
