// Series go with their last partition, and nothing that was written is lost for it.

import ApusStorage
import ApusTestKit
import Synchronization
import Testing

@Suite("Series that are retired") struct RetiredSeriesTests {
    private let clock = ManualClock()
    private let scratch = TemporaryDirectory()

    private func open() throws -> StorageEngine {
        var options = SimulatedStore.smallOptions()
        options.partitionSeconds = 3_600
        options.defaultRetentionSeconds = 6 * 3_600
        return try StorageEngine(
            fileSystem: PosixFileSystem(root: scratch.path), options: options,
            environment: EngineEnvironment(now: { [clock] in clock.now }, usesThreads: false))
    }

    private func write(_ engine: StorageEngine, _ names: [String]) throws {
        var builder = RowBuilder(database: "default")
        for (index, name) in names.enumerated() {
            builder.append(
                table: "t", tags: ["vm": name, "zone": "z\(index % 3)"], time: clock.now,
                fields: [("x", .int64(Int64(index)))])
        }
        try engine.commit(builder.batch)
    }

    private var catalogBytes: Int {
        get throws {
            let files = try PosixFileSystem(root: scratch.path)
            return try files.list("catalog").reduce(0) {
                $0 + (try files.open("catalog/" + $1, create: false).size)
            }
        }
    }

    /// Each hour a thousand others, and ten that stay.
    @Test func `thirty days of churn leave memory and catalog files flat`() throws {
        let engine = try open()
        let steady = (0..<10).map { "steady\($0)" }
        var sizes: [(memory: Int, files: Int)] = []
        for hour in 0..<(30 * 24) {
            try write(engine, steady + (0..<1_000).map { "vm-\(hour)-\($0)" })
            try engine.flush()
            clock.advance(seconds: 3_600)
            try engine.maintain()
            let table = try #require(engine.catalog.database(named: "default")?.table(named: "t"))
            #expect(table.livingSeriesCount <= 10 + 8 * 1_000)
            // The index gives back after a minute of the machine's clock, which stands still here.
            table.series.withLock { $0.sweep() }
            sizes.append((table.series.withLock { $0.byteCount }, try catalogBytes))
        }
        let early = sizes[100..<300]
        let late = sizes[500...]
        // A bit a series ever given out, in three sets.
        let bits = 30 * 24 * 1_000 / 8 * 3
        #expect(
            late.map(\.memory).max() ?? .max < (early.map(\.memory).max() ?? 0) * 11 / 10 + bits)
        #expect(late.map(\.files).max() ?? .max < (early.map(\.files).max() ?? 0) * 11 / 10)
        try engine.close()
        let again = try open()
        let table = try #require(again.catalog.database(named: "default")?.table(named: "t"))
        #expect(table.livingSeriesCount <= 10 + 8 * 1_000)
        for name in steady { #expect(find(name, in: table).count == 1) }
        try again.close()
    }

    private func find(_ name: String, in table: TableEntry) -> [UInt32] {
        let snapshot = table.seriesSnapshot
        return snapshot.living.members.filter { id in
            snapshot.value(of: 0, id).map { Array($0) == Array(name.utf8) } ?? false
        }
    }

    /// The batch knows the series by its number from before.
    @Test func `a batch from before the retirement gets a series of its own`() throws {
        let engine = try open()
        try write(engine, ["old", "other"])
        try engine.flush()
        let table = try #require(engine.catalog.database(named: "default")?.table(named: "t"))
        let before = engine.catalog.dropGeneration
        let old = try #require(find("old", in: table).first)
        clock.advance(seconds: 20 * 3_600)
        try write(engine, ["other"])
        try engine.flush()
        try engine.maintain()
        #expect(find("old", in: table).isEmpty)
        #expect(find("other", in: table).count == 1)
        let shape = RowShape(table: Array("t".utf8), fieldNames: [Array("x".utf8)], types: [.int64])
        let group = RowGroup(shape: shape)
        for row in 0..<2 {
            group.reserveRow()
            group.series[row] = old
            group.times[row] = clock.now + Int64(row)
            group.lines[row] = UInt32(row + 1)
            group.column(0)[row] = 7
            group.rowCount += 1
        }
        let batch = WriteBatch(database: "default")
        batch.groups = [group]
        batch.dropGeneration = before
        try engine.commit(batch)
        #expect(find("old", in: table).count == 1)
        #expect(find("old", in: table) != [old])
        let rows = engine.snapshot(of: [table]).estimatedRows(of: table, in: .all)
        #expect(rows >= 3)
        try engine.close()
    }
}
