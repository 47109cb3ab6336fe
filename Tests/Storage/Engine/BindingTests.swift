// What the names of a batch come to: shapes that parsers use again, drops on the way, types, limits.

import ApusStorage
import ApusTestKit
import Dispatch
import Synchronization
import Testing

/// Rows of one shape, as a parser writes them that knows their series from before.
private struct SharedShape {
    let shape: RowShape

    init(_ type: FieldType) {
        shape = RowShape(table: Array("t".utf8), fieldNames: [Array("x".utf8)], types: [type])
    }

    /// A row of series 0 for each slot, one nanosecond behind the other.
    func batch(
        _ slots: [UInt64], at time: Int64, _ store: SimulatedStore, in database: String = "default"
    )
        -> WriteBatch
    {
        let batch = WriteBatch(database: database)
        batch.dropGeneration = store.engine.catalog.dropGeneration
        batch.groups = [group(slots, at: time)]
        return batch
    }

    func group(_ slots: [UInt64], at time: Int64) -> RowGroup {
        let group = RowGroup(shape: shape)
        for (row, slot) in slots.enumerated() {
            group.series[row] = 0
            group.times[row] = time + Int64(row)
            group.lines[row] = UInt32(row + 1)
            group.column(0)[row] = slot
        }
        group.rowCount = slots.count
        return group
    }
}

@Suite struct BindingTests {
    private func values(
        _ store: SimulatedStore, in database: String = "default"
    ) throws -> [ReferenceValue] {
        let tables = try ScanDump.read(store.engine).contents.tables
        let rows = tables[.init(database: database, table: "t")] ?? [:]
        return rows.sorted { $0.key.time < $1.key.time }.compactMap { $0.value["x"] }
    }

    /// A store with one row of `t`, and a shape that is bound to its field.
    private func bound(_ type: FieldType, _ value: RowBuilder.Value) throws -> (
        SimulatedStore, SharedShape
    ) {
        let store = try SimulatedStore.make()
        let shared = SharedShape(type)
        try store.write([TestRow(time: store.clock.now - 9, fields: [("x", value)])])
        try store.engine.commit(shared.batch([1], at: store.clock.now - 8, store))
        #expect(shared.shape.binding != nil)
        return (store, shared)
    }

    // MARK: Shapes used again

    @Test func `rows of a shape go to the table that took the dropped one's place`() throws {
        let (store, shared) = try bound(.int64, .int64(0))
        try store.engine.dropTable(database: "default", name: "t", ifExists: false)
        try store.write([TestRow(time: store.clock.now, fields: [("x", .int64(5))])])
        try store.engine.commit(shared.batch([6], at: store.clock.now + 1, store))
        for _ in 0..<2 {
            #expect(try values(store) == [.int64(5), .int64(6)])
            try store.reopen()
        }
    }

    @Test func `rows of a shape go to the database that they are written to`() throws {
        let (store, shared) = try bound(.int64, .int64(0))
        try store.write(
            [TestRow(time: store.clock.now, fields: [("x", .int64(5))])], database: "other")
        try store.engine.commit(shared.batch([6], at: store.clock.now + 1, store, in: "other"))
        #expect(try values(store, in: "other") == [.int64(5), .int64(6)])
        #expect(try values(store) == [.int64(0), .int64(1)])
    }

    @Test func `integers that don't fit any more widen the field that their shape is bound to`()
        throws
    {
        let (store, shared) = try bound(.uint64, .int64(0))
        try store.engine.commit(shared.batch([2, 1 << 63], at: store.clock.now, store))
        let floats = [0, 1, 2, 9_223_372_036_854_775_808.0].map {
            ReferenceValue.float64($0.bitPattern)
        }
        for _ in 0..<2 {
            #expect(try values(store) == floats)
            try store.reopen()
        }
    }

    @Test func `a field that another row of a refused group widened is an integer again`() throws {
        let (store, shared) = try bound(.int64, .int64(0))
        let batch = store.batch([TestRow(time: store.clock.now, fields: [("x", .float64(0.5))])])
        batch.dropGeneration = store.engine.catalog.dropGeneration
        // Bound first and converted behind the float, which widens the field, if it is stored.
        batch.groups.append(shared.group([7], at: store.clock.now + 1))
        let alone = shared.batch([8], at: store.clock.now + 2, store)
        store.disk.fail(.write, with: .noSpace, pathContains: "log/")
        #expect(throws: StorageError.self) { try store.engine.commit(batch) }
        try store.engine.commit(alone)
        #expect(try values(store) == [.int64(0), .int64(1), .int64(8)])
        try store.engine.commit(batch)
        let floats = [0, 1, 0.5, 7, 8].map { ReferenceValue.float64($0.bitPattern) }
        for _ in 0..<2 {
            #expect(try values(store) == floats)
            try store.reopen()
        }
    }

    @Test func `a new series beside a bound shape gets a number of its own`() throws {
        let (store, shared) = try bound(.int64, .int64(0))
        let batch = shared.batch([5], at: store.clock.now, store)
        batch.newSeries.append(.init(table: Array("t".utf8), key: SeriesKey.encode(["k": "v"])))
        batch.groups[0].series[0] = WriteBatch.provisional
        try store.engine.commit(batch)
        #expect(store.table("t")?.seriesCount == 2)
        #expect(try values(store) == [.int64(0), .int64(1), .int64(5)])
    }

    // MARK: Drops on the way

    @Test func `rows parsed before a drop go with the table, also when its name is taken again`()
        throws
    {
        let store = try SimulatedStore.make()
        let row = TestRow(tags: ["k": "v"], fields: [("x", .int64(1))])
        try store.write([row])
        let late = store.batch([row])
        late.dropGeneration = store.engine.catalog.dropGeneration
        try store.engine.dropTable(database: "default", name: "t", ifExists: false)
        try store.write([
            TestRow(tags: ["k": "v"], time: store.clock.now + 1, fields: [("x", .int64(2))])
        ])
        #expect(try store.engine.commit(late).rowsStored == 0)
        #expect(try values(store) == [.int64(2)])
    }

    /// Commits a batch while a statement that drops is on its way to the disk: the batch was looked
    /// at before, and is bound after it.
    private func commitDuringDrop(
        on disk: SimulatedFileSystem, _ options: StorageOptions, _ row: TestRow,
        _ drop: @escaping @Sendable (StorageEngine) throws -> Void
    ) throws -> WriteReceipt {
        let pausing = PausingFileSystem(disk)
        let engine = try StorageEngine(
            fileSystem: pausing, options: options,
            environment: EngineEnvironment(
                now: { PointGenerator.startNanoseconds }, usesThreads: true))
        let dropped = DispatchSemaphore(value: 0)
        pausing.arm()
        DispatchQueue.global().async {
            try? drop(engine)
            dropped.signal()
        }
        pausing.waitUntilPaused()
        var builder = RowBuilder(database: "default")
        builder.append(
            table: row.table, tags: row.tags, time: PointGenerator.startNanoseconds,
            fields: row.fields)
        builder.batch.dropGeneration = engine.catalog.dropGeneration
        let answer = Mutex<Result<WriteReceipt, StorageError>?>(nil)
        let answered = DispatchSemaphore(value: 0)
        engine.commit(builder.batch) { result in
            answer.withLock { $0 = result }
            answered.signal()
        }
        pausing.release()
        dropped.wait()
        answered.wait()
        try engine.close()
        return try #require(try answer.withLock { $0 }?.get())
    }

    @Test(arguments: ["v", "new"])
    func `rows behind the drop of their table go with it, of known and of new series`(tag: String)
        throws
    {
        let disk = SimulatedFileSystem()
        let first = try SimulatedStore.make(on: disk)
        let row = TestRow(tags: ["k": "v"], fields: [("x", .int64(1))])
        try first.write([row])
        try first.engine.close()
        _ = try commitDuringDrop(
            on: disk, first.options, TestRow(tags: ["k": tag], fields: row.fields)
        ) { try $0.dropTable(database: "default", name: "t", ifExists: false) }
        for _ in 0..<2 {
            let store = try SimulatedStore.make(on: disk)
            #expect(store.table("t") == nil)
            // Nothing of the rows is left under another name either.
            try store.write([TestRow(tags: ["k": "v"], fields: [("y", .int64(2))])])
            #expect(try values(store) == [])
            try store.engine.dropTable(database: "default", name: "t", ifExists: false)
            try store.engine.close()
        }
    }

    @Test func `rows behind the drop of their database make none where writes may not`() throws {
        let disk = SimulatedFileSystem()
        let first = try SimulatedStore.make(on: disk)
        try first.write([TestRow(fields: [("x", .int64(1))])])
        try first.engine.close()
        var options = first.options
        options.createDatabases = false
        let receipt = try commitDuringDrop(
            on: disk, options, TestRow(table: "other", fields: [("x", .int64(1))])
        ) { try $0.dropDatabase("default", ifExists: false) }
        #expect(receipt.rowsStored == 0)
        #expect(try SimulatedStore.make(on: disk).engine.catalog.allDatabases.isEmpty)
    }

    // MARK: Types and names

    private func stored(_ value: RowBuilder.Value, as type: FieldType) -> ReferenceValue? {
        switch (value, type) {
        case (.int64(let number), .int64): return .int64(number)
        case (.int64(let number), .uint64): return .uint64(UInt64(number))
        case (.uint64(let number), .int64): return .int64(Int64(number))
        case (.uint64(let number), .uint64): return .uint64(number)
        case (.int64(let number), .float64): return .float64(Double(number).bitPattern)
        case (.uint64(let number), .float64): return .float64(Double(number).bitPattern)
        case (.float64(let number), .float64): return .float64(number.bitPattern)
        default: return nil
        }
    }

    @Test func `integers of either sign store into each other where the value fits, else widen`()
        throws
    {
        let top: UInt64 = 1 << 63
        let cases: [(RowBuilder.Value, RowBuilder.Value, FieldType)] = [
            (.int64(-1), .uint64(top - 1), .int64), (.uint64(top), .int64(.max), .uint64),
            (.int64(-1), .uint64(top), .float64), (.uint64(top), .int64(-1), .float64),
            (.float64(0.5), .int64(-1), .float64), (.float64(0.5), .uint64(top), .float64),
        ]
        for (first, second, type) in cases {
            let store = try SimulatedStore.make()
            for (offset, value) in [first, second].enumerated() {
                let time = store.clock.now + Int64(offset)
                let receipt = try store.write([TestRow(time: time, fields: [("x", value)])])
                #expect(receipt.rowsStored == 1 && receipt.rejectedCount == 0)
            }
            #expect(store.table("t")?.schema.fields.map(\.type) == [type], "\(first) \(second)")
            let expected = [stored(first, as: type), stored(second, as: type)]
            #expect(try values(store) == expected, "\(first) \(second)")
        }
    }

    @Test func `a name with a control character is refused, a field's alone`() throws {
        let store = try SimulatedStore.make()
        let good: [(name: String, value: RowBuilder.Value)] = [("x", .int64(1))]
        let receipt = try store.write([
            TestRow(table: "a\u{1}", fields: good), TestRow(tags: ["k\u{7F}": "v"], fields: good),
            TestRow(fields: [("x", .int64(5)), ("f\u{9}", .int64(2))]),
        ])
        #expect(receipt.rowsStored == 1 && receipt.valuesStored == 1)
        #expect(receipt.rejectedCount == 3 && receipt.partialCount == 1)
        let reasons = receipt.rejections.sorted { $0.line < $1.line }.map(\.reason)
        for (reason, part) in zip(reasons, ["table name", "tag name", "field name"]) {
            #expect(reason.contains(part) && reason.contains("control characters"), "\(reason)")
        }
        #expect(try store.write([TestRow(fields: good)], database: "d\u{85}").rejectedCount == 1)
        #expect(store.engine.catalog.allDatabases.flatMap(\.allTables).map(\.name) == ["t"])
        #expect(store.table("t")?.schema.fields.map(\.name) == ["x"])
        #expect(store.table("t")?.schema.tags.isEmpty == true)
    }

    @Test func `a field given twice in a row is stored once, and said`() throws {
        let store = try SimulatedStore.make()
        let receipt = try store.write([TestRow(fields: [("x", .int64(1)), ("x", .int64(2))])])
        #expect(receipt.rowsStored == 1 && receipt.valuesStored == 1)
        #expect(receipt.rejections.map(\.reason) == ["field \"x\" is given twice"])
        #expect(try values(store) == [.int64(1)])
        try store.reopen()
        #expect(try values(store) == [.int64(1)])
    }

    @Test func `a field that gives its name up to a tag keeps the new one`() throws {
        let store = try SimulatedStore.make()
        try store.write([TestRow(fields: [("type", .int64(1)), ("type_1", .int64(2))])])
        try store.write([TestRow(tags: ["type": "v"], fields: [("type", .int64(3))])])
        for state in ["written", "replayed", "from a catalog file"] {
            let schema = try #require(store.table("t")).schema
            #expect(schema.tags.map(\.sqlName) == ["type"], "\(state)")
            #expect(schema.fields.map(\.sqlName) == ["type_2", "type_1"], "\(state)")
            if state == "replayed" { try store.engine.flush() }
            try store.reopen()
        }
    }

    // MARK: Limits

    @Test func `rows of different fields make one new table, and share its series`() throws {
        let store = try SimulatedStore.make()
        let tags = ["k": "v"]
        try store.write([
            TestRow(tags: tags, fields: [("x", .int64(1))]),
            TestRow(tags: tags, fields: [("y", .int64(2))]),
            TestRow(tags: ["k": "w"], fields: [("y", .float64(0.5))]),
        ])
        for _ in 0..<2 {
            #expect(store.engine.catalog.allDatabases.flatMap(\.allTables).count == 1)
            let table = try #require(store.table("t"))
            #expect(table.seriesCount == 2 && table.schema.fields.map(\.name) == ["x", "y"])
            #expect(try store.rowCount("t") == 2)
            try store.reopen()
        }
    }

    @Test func `where writes may not create tables, rows of unknown ones are refused alone`() throws
    {
        let disk = SimulatedFileSystem()
        let first = try SimulatedStore.make(on: disk)
        try first.write([TestRow(fields: [("x", .int64(1))])])
        try first.engine.close()
        let store = try SimulatedStore.make(on: disk) { $0.createTables = false }
        let receipt = try store.write([
            TestRow(table: "u", fields: [("x", .int64(1))]), TestRow(fields: [("y", .int64(1))]),
        ])
        #expect(receipt.rowsStored == 1 && receipt.rejections.map(\.kind) == [.limit])
        #expect(
            receipt.rejections.first?.reason
                == "table not found: \"u\", and writes may not create tables")
        #expect(store.table("u") == nil)
    }

    @Test func `a table beyond a limit that was lowered takes what it has, and no more`() throws {
        let disk = SimulatedFileSystem()
        let first = try SimulatedStore.make(on: disk)
        let old: [(name: String, value: RowBuilder.Value)] = [("x", .int64(1)), ("y", .int64(1))]
        try first.write([TestRow(tags: ["k": "v", "l": "w"], fields: old)])
        try first.engine.close()
        let store = try SimulatedStore.make(on: disk) {
            $0.fieldsPerTableMax = 1
            $0.tagsPerTableMax = 1
            $0.seriesPerTableMax = 2
        }
        let receipt = try store.write([
            TestRow(tags: ["k": "v", "l": "w"], time: store.clock.now + 1, fields: old),
            TestRow(tags: ["k": "v"], fields: old), TestRow(tags: ["l": "third"], fields: old),
            TestRow(tags: ["m": "v"], fields: old),
            TestRow(tags: ["k": "v"], fields: [("x", .int64(1)), ("z", .int64(1))]),
        ])
        #expect(receipt.rowsStored == 2 && receipt.rejectedCount == 3)
        #expect(Set(receipt.rejections.map(\.line)) == [3, 4, 5])
        #expect(Set(receipt.rejections.map(\.kind)) == [.limit])
    }

    @Test func `tags of more bytes than a key holds are refused, the rows beside them not`() throws
    {
        let store = try SimulatedStore.make()
        let half = String(repeating: "v", count: 40_000)
        let receipt = try store.write([
            TestRow(tags: ["k": half, "l": half], fields: [("x", .int64(1))]),
            TestRow(tags: ["k": half], fields: [("x", .int64(2))]),
        ])
        #expect(receipt.rowsStored == 1 && receipt.rejections.map(\.line) == [1])
        #expect(receipt.rejections.first?.reason == "the tags of a row have at most 65535 bytes")
        try store.reopen()
        #expect(try values(store) == [.int64(2)])
    }

    @Test func `groups that lost all rows leave nothing in the log`() throws {
        let store = try SimulatedStore.make { $0.defaultRetentionSeconds = 86_400 }
        let (now, old) = (store.clock.now, store.clock.now - 2 * 86_400_000_000_000)
        try store.write([TestRow(time: now, fields: [("x", .int64(1))])])
        let receipt = try store.write([
            TestRow(time: old, fields: [("x", .int64(1))]),
            TestRow(time: now, fields: [("x", .string([65]))]),
            TestRow(table: "u", time: now, fields: [("x", .int64(1))]),
        ])
        #expect(receipt.rowsStored == 1 && receipt.rejectedCount == 2)
        try store.reopen()
        #expect(try store.rowCount("t") == 1)
        #expect(try store.rowCount("u") == 1)
    }
}
