// What a damaged segment costs: its damaged table, in the range of its rows, and no other.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct DamagedTableTests {
    private static let hour: Int64 = 3_600_000_000_000
    private let clock = ManualClock()

    private func open(_ files: any FileSystem) throws -> StorageEngine {
        try StorageEngine(
            fileSystem: files, options: SimulatedStore.smallOptions(),
            environment: EngineEnvironment(now: { [clock] in clock.now }, usesThreads: false))
    }

    /// A segment with the tables `first` and `second`, an hour earlier one with `third`.
    private func fill(_ files: any FileSystem, of engine: StorageEngine) throws {
        for (tables, hours) in [(["first", "second"], 0), (["third"], 1)] {
            var builder = RowBuilder(database: "default")
            for row in 0..<200 {
                for table in tables {
                    builder.append(
                        table: table, tags: ["k": "a"],
                        time: clock.now - Int64(hours) * Self.hour + Int64(row) * 1_000_000_007,
                        fields: [("x", .int64(Int64(row * row * 7_919)))])
                }
            }
            builder.batch.dropGeneration = engine.catalog.dropGeneration
            try engine.commit(builder.batch)
            try engine.flush()
        }
    }

    private func table(_ engine: StorageEngine, _ name: String) throws -> TableEntry {
        try #require(engine.catalog.database(named: "default")?.table(named: name))
    }

    private func warnings(
        _ engine: StorageEngine, _ name: String, in range: TimeRange = .all
    ) throws -> Int {
        let table = try table(engine, name)
        return engine.snapshot(of: [table]).warnings(for: table, in: range).count
    }

    private func rowCount(_ engine: StorageEngine, _ name: String) throws -> Int {
        let table = try table(engine, name)
        let request = ScanRequest(fields: table.schema.fields.map(\.id))
        let snapshot = engine.snapshot(of: [table])
        var consumer = RowCounter()
        var counters = ScanCounters()
        for morsel in try snapshot.plan(table, request, rowsPerMorsel: 1_000) {
            try snapshot.run(morsel, request, into: &consumer, counters: &counters)
        }
        return consumer.count
    }

    /// The path of the segment that holds a table, and where its directory lies.
    private func place(
        _ files: any FileSystem, _ engine: StorageEngine, of name: String
    ) throws -> (path: String, directory: Range<Int>) {
        let id = try table(engine, name).id
        for segment in engine.snapshot().version.segments {
            if let found = segment.reader?.table(id: id) {
                return (segment.entry.path, found.directoryRange)
            }
        }
        throw StorageError.unknownTable(database: "default", table: name)
    }

    @Test func `damage in one table leaves the segment's other tables in use`() throws {
        let disk = SimulatedFileSystem()
        var engine = try open(disk)
        try fill(disk, of: engine)
        let (path, directory) = try place(disk, engine, of: "first")
        try engine.close()
        disk.flipBit(path, offset: directory.lowerBound + 3)
        engine = try open(disk)
        #expect(engine.health().status == .pass)
        #expect(throws: StorageError.self) { try rowCount(engine, "first") }
        #expect(try rowCount(engine, "first") == 0)
        #expect(try rowCount(engine, "second") == 200)
        #expect(try warnings(engine, "first") == 1)
        #expect(try warnings(engine, "second") == 0)
        #expect(try warnings(engine, "third") == 0)
        #expect(engine.health().damagedFiles == [path])
        // A merge would lose the other table's rows for good, or fail for ever.
        try engine.compact(nil)
        #expect(disk.paths.contains(path))
        #expect(try rowCount(engine, "second") == 200)
        try engine.close()
    }

    @Test func `a segment that can't be opened warns for its own tables and their times`() throws {
        let disk = SimulatedFileSystem()
        var engine = try open(disk)
        try fill(disk, of: engine)
        let path = try place(disk, engine, of: "first").path
        try engine.close()
        // The header: the footer can be read still.
        disk.flipBit(path, offset: 2)
        engine = try open(disk)
        #expect(engine.health().damagedFiles == [path])
        for (name, expected) in [("first", 1), ("second", 1), ("third", 0)] {
            #expect(try warnings(engine, name) == expected, "\(name)")
        }
        let before = TimeRange(lower: .min, upper: clock.now - 1)
        #expect(try warnings(engine, "first", in: before) == 0)
        #expect(try warnings(engine, "first", in: TimeRange(lower: 0, upper: 0)) == 0)
        try engine.close()
    }

    @Test func `a segment of which nothing is known warns for its database in its times`() throws {
        let disk = SimulatedFileSystem()
        var engine = try open(disk)
        try fill(disk, of: engine)
        try engine.createDatabase("other", ifNotExists: true)
        try engine.createTable(
            database: "other", name: "t", tags: [], fields: [], ifNotExists: true)
        let path = try place(disk, engine, of: "first").path
        try engine.close()
        try disk.remove(path)
        engine = try open(disk)
        for name in ["first", "second", "third"] {
            #expect(try warnings(engine, name) == 1, "\(name)")
        }
        let before = TimeRange(lower: .min, upper: clock.now - 1)
        #expect(try warnings(engine, "third", in: before) == 0)
        let other = try #require(engine.catalog.database(named: "other")?.table(named: "t"))
        #expect(engine.snapshot(of: [other]).warnings(for: other, in: .all).isEmpty)
        try engine.close()
    }

    @Test func `a segment in another's place is set aside`() throws {
        let disk = SimulatedFileSystem()
        var engine = try open(disk)
        for _ in 0..<2 { try fill(disk, of: engine) }
        let segments = engine.snapshot().version.segments.map(\.entry)
        // Of the same tables, partition and size.
        let twins = try #require(
            segments.first { one in
                segments.contains {
                    $0.number > one.number && $0.byteCount == one.byteCount
                        && $0.partitionStart == one.partitionStart
                }
            })
        let twin = try #require(
            segments.first {
                $0.number > twins.number && $0.byteCount == twins.byteCount
                    && $0.partitionStart == twins.partitionStart
            })
        try engine.close()
        disk.setContents(twins.path, disk.contents(twin.path) ?? [])
        engine = try open(disk)
        #expect(engine.health().damagedFiles == [twins.path])
        try engine.close()
    }

    @Test func `a device that can't read a mapped page costs the segment, not the process`() throws
    {
        let scratch = TemporaryDirectory()
        let files = try PosixFileSystem(root: scratch.path)
        let engine = try open(files)
        try fill(files, of: engine)
        let path = try place(files, engine, of: "first").path
        #expect(try rowCount(engine, "first") == 200)
        // Behind the mapping, as far as the process is concerned, pages are gone.
        try files.open(path, create: false).truncate(to: 0)
        do {
            _ = try rowCount(engine, "first")
            Issue.record("rows came from pages that are gone")
        } catch let error as StorageError {
            guard case .corrupt(path, _, _) = error else { throw error }
        }
        #expect(try rowCount(engine, "first") == 0)
        #expect(try rowCount(engine, "second") == 0)
        #expect(try rowCount(engine, "third") == 200)
        #expect(try warnings(engine, "second") == 1)
        #expect(engine.health().status == .warn)
        #expect(engine.health().damagedFiles == [path])
        try fill(files, of: engine)
        #expect(try rowCount(engine, "first") == 200)
        try engine.close()
    }
}

struct RowCounter: ScanConsumer {
    var count = 0
    var sum: UInt64 = 0
    var isDone: Bool { false }

    mutating func consume(_ rows: ScanRows) {
        count += rows.count
        for column in rows.columns {
            for row in 0..<rows.count { sum &+= column.values[row] }
        }
    }

    mutating func consume(_ summary: ScanSummary) { count += summary.rowCount }
}
