import ApusStorage
import ApusTestKit
import Synchronization
import Testing

@Suite("Sections of series in catalog files") struct SeriesSectionTests {
    private static let schema = TableSchema.empty.adding(tag: "zone").adding(tag: "uuid")
        .adding(tag: "note")

    private static func keys(_ count: Int, seed: UInt64) -> [[UInt8]] {
        var random = SeededRandom(seed: seed)
        return (0..<count).map { id in
            var tags = ["zone": "z\(random.below(7))"]
            // Each its own; but for some that share one, or have none.
            let digits = String(UInt64(id) &* 0x9E37_79B9_7F4A_7C15, radix: 16)
            let hex = String(repeating: "0", count: 16 - digits.count) + digits
            tags["uuid"] =
                "\(hex.prefix(8))-\(hex.dropFirst(8).prefix(4))-4000-8000-\(hex.suffix(12))"
            if id % 10 == 3 { tags["note"] = String(repeating: "n", count: 1 + random.below(300)) }
            if id % 100 == 7 { tags["zone"] = nil }
            return SeriesKey.encode(tags)
        }
    }

    private static func catalog(_ keys: [[UInt8]]) throws -> Catalog {
        let catalog = Catalog()
        var writer = ByteWriter()
        CatalogEntry.database(
            id: 1, name: "d", partitionNanoseconds: 1_000, retentionNanoseconds: 0
        ).append(to: &writer)
        CatalogEntry.table(id: 1, databaseID: 1, name: "t").append(to: &writer)
        for (index, tag) in schema.tags.enumerated() {
            CatalogEntry.tag(tableID: 1, index: index, name: tag.name, sqlName: tag.sqlName)
                .append(to: &writer)
        }
        for (id, key) in keys.enumerated() {
            CatalogEntry.series(tableID: 1, id: UInt32(id), key: key).append(to: &writer)
        }
        try writer.bytes.withUnsafeBytes { bytes throws in try catalog.applyAll(bytes) }
        return catalog
    }

    /// What two flushes write, the second from some series on.
    private static func files(_ catalog: Catalog, cutAt cut: Int) -> [[UInt8]] {
        let all = catalog.table(id: 1).map(\.seriesCount) ?? 0
        var persisted: [UInt32: PersistedSeries] = [:]
        return [cut, all].map { end in
            let mark = catalog.markEverything { _ in end }
            return CatalogFile.encode { add in mark.forEachEntry(behind: &persisted, add) }
        }
    }

    private static func read(_ files: [[UInt8]]) throws -> Catalog {
        let catalog = Catalog()
        catalog.beginLoading()
        for file in files {
            try CatalogFile.read(file, path: "c") { frame throws(ByteReader.Malformed) in
                try catalog.applyAll(frame)
            }
        }
        catalog.settle()
        return catalog
    }

    @Test(arguments: [0, 1, 9, 16_384, 40_000])
    func `what is read back has the same series`(cut: Int) throws {
        let keys = Self.keys(70_000, seed: 5)
        let files = Self.files(try Self.catalog(keys), cutAt: cut)
        let table = try #require(try Self.read(files).table(id: 1))
        let snapshot = table.seriesSnapshot
        #expect(snapshot.count == keys.count)
        for (id, key) in keys.enumerated() {
            let found = key.withUnsafeBytes { table.seriesID(forKey: $0) }
            guard snapshot.key(of: UInt32(id), table.schema) == key, found == UInt32(id) else {
                Issue.record("series \(id)")
                return
            }
        }
        // And goes on from there.
        let next = SeriesKey.encode(["zone": "new", "uuid": "u"])
        #expect(next.withUnsafeBytes { table.seriesID(forKey: $0) } == nil)
        let inserted = table.series.withLock { index in
            next.withUnsafeBytes { index.insert($0, table.schema) }
        }
        #expect(inserted == UInt32(keys.count))
    }

    /// Drops by and by, writes files, forgets, reads back: the living are the same, with their numbers.
    @Test(arguments: 1...12)
    func `dropped series stay away, and the others what they were`(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let size = [60, 3_000, 70_000][random.below(3)]
        let keys = Self.keys(size, seed: seed)
        var catalog = try Self.catalog(keys)
        var living = Dictionary(uniqueKeysWithValues: keys.enumerated().map { ($1, UInt32($0)) })
        var nextID = UInt32(size)
        for round in 0..<8 {
            let table = try #require(catalog.table(id: 1))
            var dropped = SeriesSet(capacity: Int(nextID))
            // Whole stretches, or here and there.
            let from = random.below(Int(nextID))
            let end = from + random.below(Int(nextID))
            let isDense = random.oneIn(2)
            for id in living.values
            where isDense ? (from..<end).contains(Int(id)) : random.below(3) > 0 {
                dropped.insert(id)
            }
            living = living.filter { !dropped.contains($0.value) }
            var entries = ByteWriter()
            for entry in CatalogEntry.drops(of: dropped, tableID: 1) { entry.append(to: &entries) }
            // Some of what is gone comes again, as new series.
            for key in keys.prefix(1_000) where living[key] == nil && random.oneIn(3) {
                CatalogEntry.series(tableID: 1, id: nextID, key: key).append(to: &entries)
                living[key] = nextID
                nextID += 1
            }
            try entries.bytes.withUnsafeBytes { bytes throws in try catalog.applyAll(bytes) }
            if random.oneIn(2) { table.series.withLock { $0.sweep() } }
            try Self.check(catalog, living, among: keys, count: Int(nextID))
            guard round % 2 == 1 else { continue }
            catalog = try Self.read(Self.files(catalog, cutAt: random.below(Int(nextID))))
            try Self.check(catalog, living, among: keys, count: Int(nextID))
        }
    }

    private static func check(
        _ catalog: Catalog, _ living: [[UInt8]: UInt32], among keys: [[UInt8]], count: Int
    ) throws {
        let table = try #require(catalog.table(id: 1))
        let snapshot = table.seriesSnapshot
        try #require(snapshot.count == count)
        try #require(table.livingSeriesCount == living.count)
        try #require(table.database.seriesCount == living.count)
        try #require(snapshot.living.members.map(Int.init) == living.values.map(Int.init).sorted())
        var values: [Set<[UInt8]>] = [[], [], []]
        for key in keys {
            let found = key.withUnsafeBytes { table.seriesID(forKey: $0) }
            try #require(found == living[key])
            guard let found else { continue }
            try #require(snapshot.key(of: found, table.schema) == key)
            for tag in 0..<3 {
                if let value = snapshot.value(of: tag, found) { values[tag].insert(Array(value)) }
            }
        }
        let counts = table.series.withLock { $0.valueCounts }
        try #require(Array((counts + [0, 0, 0]).prefix(3)) == values.map(\.count))
    }

    @Test func `files leave out what was dropped, and memory gives it back`() throws {
        let keys = Self.keys(200_000, seed: 3)
        let catalog = try Self.catalog(keys)
        let table = try #require(catalog.table(id: 1))
        let before = (
            memory: table.series.withLock { $0.byteCount },
            files: Self.files(catalog, cutAt: 0)[1].count
        )
        var dropped = SeriesSet(all: 200_000)
        for id in 0..<20_000 { dropped.remove(UInt32(id)) }
        var entries = ByteWriter()
        for entry in CatalogEntry.drops(of: dropped, tableID: 1) { entry.append(to: &entries) }
        try entries.bytes.withUnsafeBytes { bytes throws in try catalog.applyAll(bytes) }
        table.series.withLock { $0.sweep() }
        #expect(table.series.withLock { $0.byteCount } < before.memory / 4)
        #expect(Self.files(catalog, cutAt: 0)[1].count < before.files / 9)
    }

    @Test func `a uuid takes its sixteen bytes`() throws {
        let keys = (0..<20_000).map { id in
            var random = SeededRandom(seed: UInt64(id))
            let hex = (0..<2).map { _ in
                let digits = String(random.next(), radix: 16)
                return String(repeating: "0", count: 16 - digits.count) + digits
            }.joined()
            let uuid = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { range in
                String(Array(hex)[range])
            }.joined(separator: "-")
            return SeriesKey.encode(["uuid": uuid, "zone": "z\(id % 6)"])
        }
        let file = Self.files(try Self.catalog(keys), cutAt: 0)[1]
        #expect(Double(file.count) / Double(keys.count) < 16.6)
    }

    @Test func `no changed bit and no cut makes other series`() throws {
        let keys = Self.keys(40, seed: 9)
        let file = Self.files(try Self.catalog(keys), cutAt: 0)[1]
        func answer(_ bytes: [UInt8]) -> [[UInt8]]? {
            guard let table = (try? Self.read([bytes]))?.table(id: 1) else { return nil }
            let snapshot = table.seriesSnapshot
            return (0..<snapshot.count).map { snapshot.key(of: UInt32($0), table.schema) }
        }
        #expect(answer(file) == keys)
        for bit in 0..<(file.count * 8) {
            var flipped = file
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(answer(flipped) == nil, "bit \(bit)")
        }
        for count in file.indices { #expect(answer(Array(file[..<count])) == nil) }
    }

    /// Checksums only tell accidents: whoever writes other bytes with a good one must not stop us.
    @Test func `no bytes of a section trap`() throws {
        let catalog = try Self.catalog(Self.keys(40, seed: 9))
        let snapshot = try #require(catalog.table(id: 1)).seriesSnapshot
        var section = ByteWriter()
        var known: [Int] = []
        SeriesSection.forEach(snapshot, of: 1, 0..<40, &known) { $0.append(to: &section) }
        var refused = 0
        for bit in 0..<(section.count * 8) {
            var flipped = section.bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            let copy = try Self.catalog([])
            do {
                try flipped.withUnsafeBytes { bytes throws in try copy.applyAll(bytes) }
            } catch {
                refused += 1
            }
        }
        #expect(refused > section.count)
    }
}
