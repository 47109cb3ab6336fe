// A write that is refused creates nothing, and its receipt counts lines, each once.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct RefusedWriteTests {
    private let text = RowBuilder.Value.string(Array("no".utf8))

    private func row(_ tags: [String: String], _ time: Int64) -> StoreContents.RowKey {
        StoreContents.RowKey(series: SeriesKey.encode(tags), time: time)
    }

    @Test func `a row whose every field is refused creates no series and no tag`() throws {
        let store = try SimulatedStore.make()
        try store.write([TestRow(tags: ["host": "a"], fields: [("x", .int64(1))])])
        let receipt = try store.write([
            TestRow(tags: ["host": "b", "rack": "1"], fields: [("x", text)])
        ])
        #expect(receipt.rowsStored == 0 && receipt.valuesStored == 0)
        #expect(receipt.rejectedCount == 1 && receipt.partialCount == 0)
        let table = try #require(store.table("t"))
        #expect(table.seriesCount == 1)
        #expect(table.schema.tags.map(\.name) == ["host"])
    }

    @Test func `a batch with every row refused creates no database, no table and no field`() throws
    {
        let store = try SimulatedStore.make {
            $0.fieldsPerTableMax = 2
            $0.tagsPerTableMax = 1
        }
        let fields = ["a", "b", "c"].map { (name: $0, value: RowBuilder.Value.int64(1)) }
        let wide = try store.write([TestRow(fields: fields)], database: "new")
        #expect(wide.rejections.map(\.kind) == [.limit])
        let tagged = try store.write(
            [TestRow(tags: ["k": "1", "l": "2"], fields: [("x", .int64(1))])], database: "new")
        #expect(tagged.rejections.map(\.kind) == [.limit])
        #expect(store.engine.catalog.database(named: "new") == nil)
    }

    @Test func `a field beside one over the limit is not made either`() throws {
        let store = try SimulatedStore.make { $0.fieldsPerTableMax = 2 }
        try store.write([TestRow(fields: [("a", .int64(1))])])
        let receipt = try store.write([
            TestRow(tags: ["k": "v"], fields: [("b", .int64(1)), ("c", .int64(1))])
        ])
        #expect(receipt.rowsStored == 0 && receipt.rejectedCount == 1)
        let table = try #require(store.table("t"))
        #expect(table.schema.fields.map(\.name) == ["a"])
        #expect(table.seriesCount == 1 && table.schema.tags.isEmpty)
    }

    @Test func `at the limit of tables a new table brings no tags and no series along`() throws {
        let store = try SimulatedStore.make { $0.tablesPerDatabaseMax = 1 }
        let receipt = try store.write([
            TestRow(table: "one", fields: [("x", .int64(1))]),
            TestRow(table: "two", tags: ["k": "v"], fields: [("x", .int64(1))]),
        ])
        #expect(receipt.rowsStored == 1 && receipt.rejectedCount == 1)
        #expect(store.table("two") == nil)
        #expect(store.table("one")?.schema.tags.isEmpty == true)
    }

    @Test func `a row beyond the limit of series widens no field and makes none`() throws {
        let store = try SimulatedStore.make { $0.seriesPerTableMax = 1 }
        try store.write([TestRow(tags: ["k": "1"], fields: [("x", .int64(1))])])
        let receipt = try store.write([
            TestRow(tags: ["k": "2"], fields: [("x", .float64(1.5)), ("y", .int64(1))])
        ])
        #expect(receipt.rowsStored == 0 && receipt.rejectedCount == 1)
        let fields = try #require(store.table("t")).schema.fields
        #expect(fields.map(\.name) == ["x"] && fields[0].type == .int64)
    }

    @Test func `what a refused row named can be made by a later one, in any type`() throws {
        let store = try SimulatedStore.make()
        try store.write([TestRow(fields: [("x", .int64(1))])])
        try store.write([TestRow(tags: ["k": "v"], fields: [("x", text)])])
        try store.write([TestRow(fields: [("k", .bool(true))])])
        let table = try #require(store.table("t"))
        // No tag of that name took the bare name away.
        #expect(table.schema.field(named: "k")?.sqlName == "k")
    }

    @Test func `a line with two conflicting fields is one rejected line, stored in part`() throws {
        let store = try SimulatedStore.make()
        try store.write([TestRow(fields: [("x", .int64(1)), ("y", .int64(1))])])
        let receipt = try store.write([
            TestRow(fields: [("x", text), ("y", text), ("z", .int64(1))]),
            TestRow(time: store.clock.now + 1, fields: [("x", .int64(5)), ("z", .int64(2))]),
        ])
        #expect(receipt.rowsStored == 2 && receipt.valuesStored == 3)
        #expect(receipt.rejectedCount == 1 && receipt.partialCount == 1)
        let rejection = try #require(receipt.rejections.first)
        #expect(receipt.rejections.count == 1 && rejection.line == 1)
        #expect(rejection.kind == .conflict)
        #expect(rejection.reason.contains("input field \"x\" on measurement \"t\""))
        #expect(rejection.reason.hasSuffix("(and 1 more field)"))
    }

    @Test func `a line is counted once however often a full disk sends it back`() throws {
        let store = try SimulatedStore.make()
        try store.write([TestRow(fields: [("x", .int64(1))])])
        let batch = store.batch([TestRow(fields: [("x", text), ("y", .int64(1))])])
        store.disk.fail(.write, with: .noSpace, pathContains: "log/")
        #expect(throws: StorageError.self) { try store.engine.commit(batch) }
        let receipt = try store.engine.commit(batch)
        #expect(receipt.rejectedCount == 1 && receipt.valuesStored == 1)
        #expect(store.engine.metrics().linesRejected == 1)
    }

    @Test func `a statement with one row refused stores none and creates nothing`() throws {
        let store = try SimulatedStore.make { $0.seriesPerTableMax = 1 }
        let batch = store.batch(
            ["1", "2"].map { TestRow(tags: ["k": $0], fields: [("x", .int64(1))]) })
        batch.isOneStatement = true
        #expect(throws: StorageError.limit("row 2: table t is at its limit of 1 series")) {
            try store.engine.commit(batch)
        }
        #expect(store.engine.catalog.database(named: "default") == nil)
    }

    @Test func `a write that a full disk refuses creates nothing`() throws {
        let store = try SimulatedStore.make()
        try store.write([TestRow(tags: ["host": "a"], fields: [("x", .int64(1))])])
        let beside = [
            TestRow(tags: ["host": "b", "rack": "1"], fields: [("x", .float64(1.5))]),
            TestRow(tags: ["host": "a"], fields: [("y", text)]),
            TestRow(table: "other", fields: [("x", .int64(1))]),
        ]
        for database in ["default", "new"] {
            store.disk.fail(.write, with: .noSpace, pathContains: "log/")
            #expect(throws: StorageError.self) { try store.write(beside, database: database) }
        }
        func checkNothingNew() throws {
            #expect(store.engine.catalog.allDatabases.map(\.name) == ["default"])
            #expect(store.table("other") == nil)
            let table = try #require(store.table("t"))
            #expect(table.seriesCount == 1 && table.schema.tags.map(\.name) == ["host"])
            #expect(table.schema.fields.map(\.name) == ["x"])
            #expect(table.schema.fields.first?.type == .int64)
        }
        try checkNothingNew()
        // What is written next takes none of it along.
        try store.write([TestRow(tags: ["host": "a"], fields: [("x", .int64(2))])])
        try checkNothingNew()
        try store.reopen()
        try checkNothingNew()
    }

    @Test func `a batch that a full disk refused is stored whole when it comes again`() throws {
        let store = try SimulatedStore.make()
        let now = store.clock.now
        let batch = store.batch([
            TestRow(tags: ["host": "a"], time: now, fields: [("x", .float64(0.5))]),
            TestRow(tags: ["host": "a"], time: now + 1, fields: [("x", .int64(7))]),
            TestRow(tags: ["host": "b"], time: now, fields: [("x", .int64(8))]),
        ])
        for _ in 0..<3 {
            store.disk.fail(.write, with: .noSpace, pathContains: "log/")
            #expect(throws: StorageError.self) { try store.engine.commit(batch) }
        }
        // Meanwhile another one takes the numbers that it would have got, and makes the field.
        try store.write([TestRow(tags: ["rack": "1"], time: now, fields: [("x", .int64(9))])])
        #expect(try store.engine.commit(batch).rowsStored == 3)
        let expected = [
            row(["host": "a"], now): 0.5, row(["host": "a"], now + 1): 7,
            row(["host": "b"], now): 8, row(["rack": "1"], now): 9,
        ].mapValues { ["x": ReferenceValue.float64($0.bitPattern)] }
        func check() throws {
            let tables = try ScanDump.read(store.engine, checksScans: false).contents.tables
            #expect(tables == [.init(database: "default", table: "t"): expected])
        }
        try check()
        try store.reopen()
        try check()
    }

    @Test func `partitions whose rows are not flushed yet are not new`() throws {
        let store = try SimulatedStore.make { $0.partitionsPerBatchMax = 2 }
        func row(_ hours: Int) -> TestRow {
            TestRow(
                time: store.clock.now - Int64(hours) * 3_600_000_000_000,
                fields: [("x", .int64(1))])
        }
        #expect(throws: StorageError.self) { try store.write([row(0), row(1), row(2)]) }
        for _ in 0..<2 {
            let refused = TestRow(table: "\u{1}", fields: [("x", .int64(1))])
            #expect(try store.write([refused, row(0), row(1)]).rowsStored == 2)
            #expect(try store.write([row(0), row(1), row(2), row(3)]).rowsStored == 4)
            #expect(throws: StorageError.self) {
                try store.write([row(3), row(4), row(5), row(6)])
            }
            // Again after the log was read.
            try store.reopen()
        }
    }

    @Test func `a write touches at most 64 new partitions, also in a new database`()
        throws
    {
        let store = try SimulatedStore.make { $0.createDatabases = true }
        func rows(_ count: Int) -> [TestRow] {
            (0..<count).map {
                TestRow(
                    time: store.clock.now - Int64($0) * 3_600_000_000_000,
                    fields: [("x", .int64(1))])
            }
        }
        for database in ["default", "new"] {
            #expect(throws: StorageError.self) { try store.write(rows(65), database: database) }
            #expect(store.engine.catalog.database(named: database) == nil)
            #expect(try store.write(rows(64), database: database).rowsStored == 64)
        }
    }

    @Test func `a name too long to be read back is refused`() throws {
        let disk = SimulatedFileSystem()
        let store = try SimulatedStore.make(on: disk)
        let long = String(repeating: "n", count: 70_000)
        let rows = [
            TestRow(table: long, fields: [("x", .int64(1))]),
            TestRow(tags: ["k": long], fields: [("x", .int64(1))]),
            TestRow(fields: [(long, .int64(1))]),
        ]
        #expect(try store.write(rows).rejectedCount == 3)
        #expect(try store.write([TestRow(fields: [("x", .int64(1))])]).rowsStored == 1)
        try store.reopen()
        #expect(try store.rowCount("t") == 1)
    }
}
