// What the names of a batch come to: shapes that parsers use again, drops on the way, groups.

import ApusStorage
import ApusTestKit
import Dispatch
import Synchronization
import Testing

/// Rows of one shape, as a parser writes them that knows their series from before. All fields of a
/// row have one value.
private struct SharedShape {
    let shape: RowShape

    init(_ type: FieldType, fields: [String] = ["x"]) {
        shape = RowShape(
            table: Array("t".utf8), fieldNames: fields.map { Array($0.utf8) },
            types: fields.map { _ in type })
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
            for field in 0..<group.fieldCount { group.column(field)[row] = slot }
        }
        group.rowCount = slots.count
        return group
    }
}

extension ReferenceValue {
    fileprivate var asNumber: Double? {
        switch self {
        case .float64(let bits): Double(bitPattern: bits)
        case .int64(let number): Double(number)
        default: nil
        }
    }
}

@Suite struct BindingTests {
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
            #expect(try store.values("x") == [.int64(5), .int64(6)])
            try store.reopen()
        }
    }

    @Test func `rows of a shape go to the database that they are written to`() throws {
        let (store, shared) = try bound(.int64, .int64(0))
        try store.write(
            [TestRow(time: store.clock.now, fields: [("x", .int64(5))])], database: "other")
        try store.engine.commit(shared.batch([6], at: store.clock.now + 1, store, in: "other"))
        #expect(try store.values("x", in: "other") == [.int64(5), .int64(6)])
        #expect(try store.values("x") == [.int64(0), .int64(1)])
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
            #expect(try store.values("x") == floats)
            try store.reopen()
        }
    }

    @Test func `numbers that were made floats for a widening that failed are not read as integers`()
        throws
    {
        let store = try SimulatedStore.make()
        let now = store.clock.now
        try store.write([TestRow(time: now - 9, fields: [("x", .int64(0))])])
        let shared = SharedShape(.int64, fields: ["x", "y"])
        let batch = store.batch([TestRow(time: now, fields: [("x", .float64(0.5))])])
        batch.dropGeneration = store.engine.catalog.dropGeneration
        // `y` is new, so these are bound behind the float, which has widened `x`.
        batch.groups.append(shared.group([7], at: now + 1))
        batch.newSeries = []
        batch.groups[0].series[0] = 0
        store.disk.fail(.write, with: .noSpace, pathContains: "log/")
        #expect(throws: StorageError.self) { try store.engine.commit(batch) }
        // Others make `y`, and bind the shape to an `x` of integers.
        for offset in [2, 3] as [Int64] {
            try store.engine.commit(shared.batch([UInt64(offset)], at: now + offset, store))
        }
        #expect(shared.shape.binding?.fields.map(\.?.type) == [.int64, .int64])
        try store.engine.commit(batch)
        let floats = [0, 0.5, 7, 2, 3].map { ReferenceValue.float64($0.bitPattern) }
        for _ in 0..<2 {
            #expect(try store.values("x") == floats)
            try store.reopen()
        }
    }

    @Test func `a shape follows its field when another write widens that`() throws {
        let (store, shared) = try bound(.int64, .int64(0))
        let now = store.clock.now
        try store.write([TestRow(time: now, fields: [("x", .float64(0.5))])])
        try store.engine.commit(shared.batch([2], at: now + 1, store))
        #expect(shared.shape.binding?.fields.map(\.?.type) == [.float64])
        let floats = [0, 1, 0.5, 2].map { ReferenceValue.float64($0.bitPattern) }
        #expect(try store.values("x") == floats)
    }

    @Test func `a new series beside a bound shape gets a number of its own`() throws {
        let (store, shared) = try bound(.int64, .int64(0))
        let batch = shared.batch([5], at: store.clock.now, store)
        batch.newSeries.append(.init(table: Array("t".utf8), key: SeriesKey.encode(["k": "v"])))
        batch.groups[0].series[0] = WriteBatch.provisional
        try store.engine.commit(batch)
        #expect(store.table("t")?.seriesCount == 2)
        #expect(try store.values("x") == [.int64(0), .int64(1), .int64(5)])
    }

    @Test func `rows of a shape never go to a field that was dropped, or has another name by now`()
        throws
    {
        let (store, shared) = try bound(.int64, .int64(0))
        let table = try #require(store.table("t"))
        try store.engine.renameField(
            try #require(table.schema.field(named: "x")), of: table, to: "y")
        try store.engine.commit(shared.batch([5], at: store.clock.now, store))
        for _ in 0..<2 {
            #expect(try store.values("y") == [.int64(0), .int64(1)])
            #expect(try store.values("x") == [.int64(5)])
            try store.reopen()
        }
        let again = try #require(store.table("t"))
        try store.engine.commit(shared.batch([6], at: store.clock.now + 1, store))
        try store.engine.dropField(try #require(again.schema.field(named: "x")), of: again)
        try store.engine.commit(shared.batch([7], at: store.clock.now + 2, store))
        for _ in 0..<2 {
            #expect(try store.values("y") == [.int64(0), .int64(1)])
            #expect(try store.values("x") == [.int64(7)])
            try store.reopen()
        }
    }

    // MARK: Drops on the way

    private static func field(_ engine: StorageEngine) throws -> (TableEntry, FieldColumn) {
        let table = try #require(engine.catalog.database(named: "default")?.table(named: "t"))
        return (table, try #require(table.schema.field(named: "x")))
    }

    @Test(arguments: ["v", "new"])
    func `rows behind a change of their field make a new one, of known and of new series`(
        tag: String
    ) throws {
        for isDrop in [true, false] {
            let disk = SimulatedFileSystem()
            let first = try SimulatedStore.make(on: disk)
            try first.write([
                TestRow(tags: ["k": "v"], time: first.clock.now - 1, fields: [("x", .float64(1))])
            ])
            try first.engine.close()
            // An integer that was made a float for the field that is there no more.
            let receipt = try commitDuringDrop(
                on: disk, first.options, TestRow(tags: ["k": tag], fields: [("x", .int64(2))])
            ) { engine in
                let (table, field) = try Self.field(engine)
                if isDrop {
                    try engine.dropField(field, of: table)
                } else {
                    try engine.renameField(field, of: table, to: "y")
                }
            }
            #expect(receipt.rowsStored == 1 && receipt.rejectedCount == 0)
            for _ in 0..<2 {
                let store = try SimulatedStore.make(on: disk)
                let fields = store.table("t")?.schema.fields.map { "\($0.name)\($0.id)" }
                #expect(fields == (isDrop ? ["x1"] : ["y0", "x1"]))
                #expect(try store.values("x").map(\.asNumber) == [2])
                #expect(
                    try store.values("y") == (isDrop ? [] : [.float64((1.0).bitPattern)]))
                #expect(try store.rowCount("t") == 2)
                try store.engine.flush()
                try store.engine.close()
            }
        }
    }

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
        #expect(try store.values("x") == [.int64(2)])
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
            #expect(try store.values("x") == [])
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

    // MARK: Writes of one group

    /// Commits batches that gather while another write is on its way to the disk.
    private func commitTogether(
        on disk: SimulatedFileSystem, _ options: StorageOptions, _ batches: [WriteBatch]
    ) throws -> [WriteReceipt] {
        let pausing = PausingFileSystem(disk)
        let engine = try StorageEngine(
            fileSystem: pausing, options: options,
            environment: EngineEnvironment(
                now: { PointGenerator.startNanoseconds }, usesThreads: true))
        let answers = Mutex<[Int: Result<WriteReceipt, StorageError>]>([:])
        let done = DispatchGroup()
        func commit(_ number: Int, _ batch: WriteBatch) {
            done.enter()
            engine.commit(batch) { result in
                answers.withLock { $0[number] = result }
                done.leave()
            }
        }
        var first = RowBuilder(database: "first")
        first.append(
            table: "t", tags: [:], time: PointGenerator.startNanoseconds,
            fields: [("x", .int64(1))])
        pausing.arm()
        commit(-1, first.batch)
        pausing.waitUntilPaused()
        for (number, batch) in batches.enumerated() { commit(number, batch) }
        pausing.release()
        done.wait()
        try engine.close()
        let found = answers.withLock { $0 }
        return try batches.indices.map { try #require(try found[$0]?.get()) }
    }

    @Test func `writes of one group share what is new, and limits hold for all together`() throws {
        let disk = SimulatedFileSystem()
        let options = SimulatedStore.smallOptions()
        let names = try SimulatedStore.make()
        func batch(_ tag: String, _ value: RowBuilder.Value, table: String = "t") -> WriteBatch {
            names.batch([TestRow(table: table, tags: ["k": tag], fields: [("x", value)])])
        }
        var limited = options
        limited.seriesPerTableMax = 1
        limited.tablesPerDatabaseMax = 1
        let receipts = try commitTogether(
            on: disk, limited,
            [
                batch("v", .int64(1)), batch("w", .int64(2)), batch("v", .float64(2.5)),
                batch("v", .int64(3), table: "u"), batch("v", .string([65])),
            ])
        #expect(receipts.map(\.rowsStored) == [1, 0, 1, 0, 0])
        #expect(
            receipts.map { $0.rejections.map(\.kind) } == [
                [], [.limit], [], [.limit], [.conflict],
            ])
        for _ in 0..<2 {
            let store = try SimulatedStore(disk: disk, options: options)
            #expect(store.table("u") == nil && store.table("t")?.seriesCount == 1)
            #expect(try store.values("x") == [.float64(2.5.bitPattern)])
            try store.engine.flush()
            try store.engine.close()
        }
    }
}
