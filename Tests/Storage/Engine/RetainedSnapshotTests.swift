// A snapshot keeps what it showed when it was taken, whatever becomes of files and tables since.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct RetainedSnapshotTests {
    private let clock = ManualClock()
    private let scratch = TemporaryDirectory()

    private func open() throws -> StorageEngine {
        try StorageEngine(
            fileSystem: PosixFileSystem(root: scratch.path),
            options: SimulatedStore.smallOptions(),
            environment: EngineEnvironment(now: { [clock] in clock.now }, usesThreads: false))
    }

    private func write(_ engine: StorageEngine, _ table: String, _ rows: Range<Int>) throws {
        var builder = RowBuilder(database: "default")
        for row in rows {
            builder.append(
                table: table, tags: ["k": "a"], time: clock.now + Int64(row) * 1_000_000,
                fields: [("x", .int64(Int64(row)))])
        }
        builder.batch.dropGeneration = engine.catalog.dropGeneration
        try engine.commit(builder.batch)
    }

    private func read(_ snapshot: Snapshot, _ table: TableEntry) throws -> RowCounter {
        let request = ScanRequest(fields: table.schema.fields.map(\.id))
        var consumer = RowCounter()
        var counters = ScanCounters()
        for morsel in try snapshot.plan(table, request, rowsPerMorsel: 100) {
            try snapshot.run(morsel, request, into: &consumer, counters: &counters)
        }
        return consumer
    }

    /// Three hundred rows in two segments and the head.
    private func filled() throws -> (engine: StorageEngine, table: TableEntry) {
        let engine = try open()
        for start in [0, 100] {
            try write(engine, "t", start..<(start + 100))
            try engine.flush()
        }
        try write(engine, "t", 200..<300)
        let table = try #require(engine.catalog.database(named: "default")?.table(named: "t"))
        return (engine, table)
    }

    private var segmentNames: Set<String> {
        get throws {
            let files = try PosixFileSystem(root: scratch.path)
            var names: Set<String> = []
            for partition in try files.list("data/1") {
                let directory = "data/1/" + partition.dropLast()
                for name in try files.list(directory) { names.insert(name) }
            }
            return names
        }
    }

    @Test func `a query from before a merge reads on when the merge's inputs are gone`() throws {
        let (engine, table) = try filled()
        let snapshot = engine.snapshot(of: [table])
        let before = try segmentNames
        try engine.compact(nil)
        try write(engine, "t", 300..<400)
        try engine.flush()
        #expect(try segmentNames.isDisjoint(with: before))
        let rows = try read(snapshot, table)
        #expect(rows.count == 300)
        #expect(rows.sum == UInt64((0..<300).reduce(0, +)))
        #expect(try read(engine.snapshot(of: [table]), table).count == 400)
        try engine.close()
    }

    @Test func `a query from before a drop answers in full, one from after it not at all`() throws {
        let (engine, table) = try filled()
        let snapshot = engine.snapshot(of: [table])
        try engine.dropTable(database: "default", name: "t", ifExists: false)
        try write(engine, "u", 0..<10)
        try engine.compact(nil)
        try write(engine, "u", 10..<20)
        try engine.flush()
        let rows = try read(snapshot, table)
        #expect(rows.count == 300)
        #expect(rows.sum == UInt64((0..<300).reduce(0, +)))
        #expect(try read(engine.snapshot(of: [table]), table).count == 0)
        try engine.close()
    }
}
