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
        return [0..<cut, cut..<all].map { range in
            let mark = catalog.markEverything { _ in range.upperBound }
            return CatalogFile.encode { add in
                mark.forEachEntry(seriesFrom: { _ in range.lowerBound }, add)
            }
        }
    }

    private static func read(_ files: [[UInt8]]) throws -> Catalog {
        let catalog = Catalog()
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
        SeriesSection.forEach(snapshot, of: 1, 0..<40) {
            CatalogEntry.section($0).append(to: &section)
        }
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
