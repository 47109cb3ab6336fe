// The engine as a whole, on a file system in memory and without threads: what is written is read
// back in every state, and after every reopening.

import ApusStorage
import ApusTestKit
import Testing

/// Reads one field of one table as (series key, time, value slots).
private struct Collector: ScanConsumer {
    var rows: [(series: UInt32, time: Int64, values: [UInt64?])] = []
    var isDone: Bool { false }

    mutating func consume(_ slice: ScanRows) {
        for row in 0..<slice.count {
            rows.append(
                (
                    slice.series, slice.times[row],
                    slice.columns.map {
                        $0.validity.map { $0[row] != 0 } ?? true ? $0.values[row] : nil
                    }
                ))
        }
    }

    mutating func consume(_ summary: ScanSummary) { Issue.record("no summaries were asked for") }
}

@Suite struct EngineTests {
    private let hour: Int64 = 3_600_000_000_000

    private func open(_ fileSystem: SimulatedFileSystem, now: Int64 = 1_700_000_000_000_000_000)
        throws -> StorageEngine
    {
        var options = StorageOptions()
        options.logFileBytes = 1 << 20
        return try StorageEngine(
            fileSystem: fileSystem, options: options,
            environment: EngineEnvironment(now: { now }, usesThreads: false))
    }

    private func read(_ engine: StorageEngine, _ table: String, _ fields: [String]) throws
        -> [(series: UInt32, time: Int64, values: [UInt64?])]
    {
        let entry = try #require(engine.catalog.database(named: "default")?.table(named: table))
        let ids = try fields.map { try #require(entry.schema.field(named: $0)).id }
        let request = ScanRequest(fields: ids)
        let snapshot = engine.snapshot(of: [entry])
        var collector = Collector()
        var counters = ScanCounters()
        for morsel in try snapshot.plan(entry, request, rowsPerMorsel: 10_000) {
            try snapshot.run(morsel, request, into: &collector, counters: &counters)
        }
        return collector.rows.sorted { ($0.series, $0.time) < ($1.series, $1.time) }
    }

    private func write(
        _ engine: StorageEngine, _ hosts: Int, _ times: Range<Int64>,
        base: Int64 = 1_699_999_000_000_000_000
    ) throws {
        var builder = RowBuilder(database: "default")
        builder.batch.dropGeneration = engine.catalog.dropGeneration
        for step in times {
            for host in 0..<hosts {
                builder.append(
                    table: "cpu", tags: ["host": "h\(host)"], time: base + step * 10_000_000_000,
                    fields: [
                        ("usage", .int64(Int64(host) * 1000 + step)),
                        ("load", .float64(Double(step) / 4)),
                    ])
            }
        }
        let receipt = try engine.commit(builder.batch)
        #expect(receipt.rowsStored == hosts * times.count)
        #expect(receipt.rejectedCount == 0)
    }

    @Test
    func `rows are read back from head, segment and merged segment, and after reopening each`()
        throws
    {
        let fileSystem = SimulatedFileSystem()
        var engine = try open(fileSystem)
        try write(engine, 5, 0..<40)
        func check(_ steps: Int64, _ what: String) throws {
            let rows = try read(engine, "cpu", ["usage", "load"])
            #expect(rows.count == 5 * Int(steps), "\(what)")
            for row in rows {
                let step = (row.time - 1_699_999_000_000_000_000) / 10_000_000_000
                #expect(row.values[0] == UInt64(Int64(row.series) * 1000 + step), "\(what)")
                #expect(row.values[1] == (Double(step) / 4).bitPattern, "\(what)")
            }
        }
        try check(40, "head")
        try engine.close()
        engine = try open(fileSystem)
        try check(40, "head, reopened")
        try engine.flush()
        try check(40, "flushed")
        try write(engine, 5, 20..<60)
        try check(60, "flushed and head")
        try engine.flush()
        try check(60, "two segments")
        try engine.close()
        engine = try open(fileSystem)
        try check(60, "two segments, reopened")
        try engine.compact(nil)
        #expect(engine.metrics().segmentCount == 1)
        try check(60, "merged")
        try engine.close()
        engine = try open(fileSystem)
        try check(60, "merged, reopened")
    }

    @Test func `fields of one row merge, the later write wins, across shapes and states`() throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try open(fileSystem)
        func put(_ fields: [(name: String, value: RowBuilder.Value)]) throws {
            var builder = RowBuilder(database: "default")
            builder.append(
                table: "t", tags: ["a": "b"], time: 1_699_999_999_000_000_000, fields: fields)
            _ = try engine.commit(builder.batch)
        }
        try put([("x", .int64(1)), ("y", .int64(2))])
        try put([("x", .int64(3))])
        #expect(try read(engine, "t", ["x", "y"]).map(\.values) == [[3, 2]])
        try engine.flush()
        try put([("y", .int64(5)), ("z", .bool(true))])
        #expect(try read(engine, "t", ["x", "y", "z"]).map(\.values) == [[3, 5, 1]])
        try engine.flush()
        #expect(try read(engine, "t", ["x", "y", "z"]).map(\.values) == [[3, 5, 1]])
        try engine.compact(nil)
        #expect(try read(engine, "t", ["x", "y", "z"]).map(\.values) == [[3, 5, 1]])
    }

    @Test func `a float into an integer field widens it, also for what is stored`() throws {
        let engine = try open(SimulatedFileSystem())
        func put(_ time: Int64, _ value: RowBuilder.Value) throws {
            var builder = RowBuilder(database: "default")
            builder.append(
                table: "t", tags: [:], time: 1_699_999_999_000_000_000 + time,
                fields: [("x", value)])
            _ = try engine.commit(builder.batch)
        }
        try put(0, .int64(7))
        try engine.flush()
        try put(1, .int64(8))
        try put(2, .float64(1.5))
        let expected: [[UInt64?]] = [7, 8, 1.5].map { (value: Double) in [value.bitPattern] }
        #expect(try read(engine, "t", ["x"]).map(\.values) == expected)
        try engine.compact(nil)
        #expect(try read(engine, "t", ["x"]).map(\.values) == expected)
    }

    @Test func `a string into a number field is refused alone, with table, field and types`() throws
    {
        let engine = try open(SimulatedFileSystem())
        var first = RowBuilder(database: "default")
        first.append(
            table: "t", tags: [:], time: 1_699_999_999_000_000_000, fields: [("x", .int64(7))])
        _ = try engine.commit(first.batch)
        var second = RowBuilder(database: "default")
        second.append(
            table: "t", tags: [:], time: 1_699_999_999_000_000_001,
            fields: [("x", .string(Array("no".utf8))), ("y", .int64(1))])
        let receipt = try engine.commit(second.batch)
        #expect(receipt.rowsStored == 1)
        #expect(receipt.rejections.map(\.kind) == [.conflict])
        #expect(receipt.rejections[0].reason.contains("\"x\" on measurement \"t\" is type string"))
        #expect(try read(engine, "t", ["x", "y"]).map(\.values) == [[7, nil], [nil, 1]])
    }

    @Test func `a refused write creates nothing`() throws {
        let engine = try open(SimulatedFileSystem())
        var builder = RowBuilder(database: "new")
        builder.append(
            table: "t", tags: [:], time: 1_900_000_000_000_000_000, fields: [("x", .int64(7))])
        let receipt = try engine.commit(builder.batch)
        #expect(receipt.rowsStored == 0)
        #expect(receipt.rejections.map(\.kind) == [.future])
        #expect(engine.catalog.database(named: "new") == nil)
    }

    @Test
    func `a dropped table is gone at once and after reopening, and its name can be used again`()
        throws
    {
        let fileSystem = SimulatedFileSystem()
        var engine = try open(fileSystem)
        try write(engine, 3, 0..<10)
        try engine.flush()
        try engine.dropTable(database: "default", name: "cpu", ifExists: false)
        #expect(engine.catalog.database(named: "default")?.table(named: "cpu") == nil)
        try write(engine, 2, 0..<5)
        #expect(try read(engine, "cpu", ["usage"]).count == 10)
        try engine.compact(nil)
        try engine.close()
        engine = try open(fileSystem)
        #expect(try read(engine, "cpu", ["usage"]).count == 10)
    }
}
