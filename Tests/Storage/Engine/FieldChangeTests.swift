// Fields that are dropped or renamed: in heads, segments, catalog files and log.

import ApusStorage
import ApusTestKit
import Testing

@Suite("Fields that are dropped or renamed") struct FieldChangeTests {
    private var start: Int64 { PointGenerator.startNanoseconds }

    private func row(
        _ offset: Int64, _ fields: [(name: String, value: RowBuilder.Value)], host: String = "a"
    ) -> TestRow {
        TestRow(tags: ["host": host], time: start + offset, fields: fields)
    }

    private func drop(_ name: String, _ store: SimulatedStore) throws {
        let table = try #require(store.table("t"))
        try store.engine.dropField(try #require(table.schema.field(named: name)), of: table)
    }

    private func rename(_ name: String, to new: String, _ store: SimulatedStore) throws {
        let table = try #require(store.table("t"))
        let field = try #require(table.schema.field(named: name))
        try store.engine.renameField(field, of: table, to: new)
    }

    /// `a0 b2`: names and numbers.
    private func fields(_ store: SimulatedStore) -> String {
        (store.table("t")?.schema.fields ?? []).map { "\($0.name)\($0.id)" }
            .joined(separator: " ")
    }

    private func manifest(_ store: SimulatedStore) throws -> Manifest {
        try #require(try Manifest.load(store.disk)).manifest
    }

    /// Names of the columns that segments have of table `t`.
    private func columns(_ store: SimulatedStore) -> Set<String> {
        let segments = store.engine.snapshot().version.segments
        return Set(
            segments.flatMap { $0.reader?.tables ?? [] }.flatMap { $0.schema.fields.map(\.name) })
    }

    @Test func `a dropped field takes its values along, and no rows`() throws {
        for flushes in 0..<8 {
            let store = try SimulatedStore.make()
            try store.write([
                row(0, [("x", .int64(1)), ("y", .int64(1))]), row(1, [("x", .int64(2))]),
            ])
            if flushes & 1 != 0 { try store.engine.flush() }
            try drop("x", store)
            #expect(try store.values("x") == [])
            #expect(try store.rowCount("t") == 2)
            if flushes & 2 != 0 { try store.engine.flush() }
            // The same rows, with another type.
            try store.write([row(1, [("x", .string([65]))])])
            if flushes & 4 != 0 { try store.engine.flush() }
            for _ in 0..<3 {
                #expect(fields(store) == "y1 x2")
                #expect(try store.values("x") == [.string([65])])
                #expect(try store.values("y") == [.int64(1)])
                #expect(try store.rowCount("t") == 2)
                try store.reopen()
            }
            try store.engine.compact(nil)
            try store.reopen()
            #expect(try store.values("x") == [.string([65])])
            #expect(try store.values("y") == [.int64(1)])
            #expect(try store.rowCount("t") == 2)
        }
    }

    @Test func `a renamed field keeps its values, and its old name is a new field's`() throws {
        for flushes in 0..<4 {
            let store = try SimulatedStore.make()
            try store.write([row(0, [("x", .int64(1))])])
            if flushes & 1 != 0 { try store.engine.flush() }
            try rename("x", to: "y", store)
            try store.write([row(1, [("y", .int64(2))]), row(2, [("x", .bool(true))])])
            if flushes & 2 != 0 { try store.engine.flush() }
            for _ in 0..<3 {
                #expect(fields(store) == "y0 x1")
                #expect(try store.values("y") == [.int64(1), .int64(2)])
                #expect(try store.values("x") == [.bool(true)])
                try store.reopen()
            }
            try store.engine.compact(nil)
            #expect(columns(store) == ["x", "y"])
            // By turns.
            try rename("x", to: "z", store)
            try rename("y", to: "x", store)
            try rename("z", to: "y", store)
            for _ in 0..<2 {
                #expect(fields(store) == "x0 y1")
                #expect(try store.values("x") == [.int64(1), .int64(2)])
                try store.reopen()
            }
            try store.engine.flush()
            try store.reopen()
            #expect(fields(store) == "x0 y1")
        }
    }

    @Test func `a renamed field widens as before`() throws {
        let store = try SimulatedStore.make()
        try store.write([row(0, [("x", .int64(1))])])
        try rename("x", to: "y", store)
        try store.write([row(1, [("y", .float64(0.5))])])
        for _ in 0..<2 {
            #expect(
                try store.values("y") == [.float64((1.0).bitPattern), .float64((0.5).bitPattern)])
            try store.reopen()
        }
    }

    // MARK: Room

    @Test func `a compaction writes segments without the values, where no merge would`() throws {
        let store = try SimulatedStore.make { $0.coldAfterSeconds = nil }
        try store.write((0..<300).map { row($0, [("x", .int64($0)), ("y", .int64(1))]) })
        try store.engine.compact(nil)
        let before = try manifest(store)
        #expect(before.format == 1)
        try drop("x", store)
        try store.engine.flush()
        try store.engine.maintain()
        #expect(columns(store) == ["x", "y"])
        #expect(try manifest(store).format == 3)
        try store.engine.compact(nil)
        #expect(columns(store) == ["y"])
        let after = try manifest(store)
        #expect(after.segments.count == 1)
        #expect(after.segments[0].byteCount < before.segments[0].byteCount)
        #expect(try store.rowCount("t") == 300)
        // Nothing is left to do.
        try store.engine.compact(nil)
        #expect(try manifest(store).segments == after.segments)
        try drop("y", store)
        try store.engine.compact(nil)
        #expect(columns(store) == [])
        for _ in 0..<2 {
            #expect(try store.rowCount("t") == 300)
            try store.reopen()
        }
        #expect(try IntegrityCheck.run(fileSystem: closed(store)).findings == [])
    }

    private func closed(_ store: SimulatedStore) throws -> SimulatedFileSystem {
        try store.engine.close()
        return store.disk
    }

    @Test func `a flush leaves the values out`() throws {
        let store = try SimulatedStore.make()
        try store.write([row(0, [("x", .int64(1)), ("y", .int64(1))]), row(1, [("x", .int64(2))])])
        try drop("x", store)
        try store.engine.flush()
        #expect(columns(store) == ["y"])
        #expect(try store.rowCount("t") == 2)
    }

    @Test func `a table may have as many fields as before`() throws {
        let store = try SimulatedStore.make { $0.fieldsPerTableMax = 2 }
        try store.write([row(0, [("a", .int64(1)), ("b", .int64(1))])])
        for round in 0..<5 as Range<Int64> {
            let refused = try store.write([row(1, [("c\(round)", .int64(1))])])
            #expect(refused.rejections.map(\.kind) == [.limit])
            try drop("b", store)
            try store.write([row(2, [("b", .int64(round))])])
            #expect(try store.values("b") == [.int64(round)])
        }
        #expect(fields(store) == "a0 b6")
    }

    // MARK: What was there before

    @Test func `a snapshot taken before goes on to read what was dropped`() throws {
        let store = try SimulatedStore.make()
        try store.write([row(0, [("x", .int64(1))])])
        try store.engine.flush()
        try store.write([row(1, [("x", .int64(2))])])
        let table = try #require(store.table("t"))
        let snapshot = store.engine.snapshot(of: [table])
        try drop("x", store)
        try store.engine.compact(nil)
        var request = ScanRequest(fields: [0])
        #expect(throws: StorageError.invalid("table t has no field 0 any more")) {
            try snapshot.plan(table, request, rowsPerMorsel: .max)
        }
        request.fieldTypes = [.int64]
        var sum = ValueSum()
        var counters = ScanCounters()
        for morsel in try snapshot.plan(table, request, rowsPerMorsel: .max) {
            try snapshot.run(morsel, request, into: &sum, counters: &counters)
        }
        #expect(sum.total == 3)
    }

    @Test func `the last rows that are kept know of no field that was dropped`() throws {
        let store = try SimulatedStore.make()
        try store.write([row(0, [("x", .int64(1)), ("y", .int64(7))])])
        let table = try #require(store.table("t"))
        func last(_ fields: [UInt32]) -> [UInt64]? {
            store.engine.withLastRows(
                of: table, fields: fields.map { ($0, .int64) }, wanted: 1
            ) { view in
                fields.indices.map {
                    view.columns[$0].validity[0] == 0 ? 0 : view.columns[$0].values[0]
                }
            }
        }
        #expect(last([0, 1]) == [1, 7])
        try drop("x", store)
        // Who knows of it has a snapshot to ask.
        #expect(last([0, 1]) == nil)
        #expect(last([1]) == [7])
        try store.write([row(0, [("x", .int64(3))])])
        #expect(last([1, 2]) == [7, 3])
        try rename("x", to: "z", store)
        try store.engine.flush()
        #expect(last([1, 2]) == [7, 3])
    }

    @Test func `a field that changed meanwhile is not mistaken for another`() throws {
        let store = try SimulatedStore.make()
        try store.write([row(0, [("x", .int64(1)), ("y", .int64(1))])])
        let table = try #require(store.table("t"))
        let old = try #require(table.schema.field(named: "x"))
        try rename("x", to: "z", store)
        // By number: it is the same field.
        try store.engine.renameField(old, of: table, to: "w")
        #expect(fields(store) == "w0 y1")
        #expect(throws: StorageError.exists("a column \"y\" of table t")) {
            try store.engine.renameField(old, of: table, to: "y")
        }
        for name in ["host", "time", "w"] {
            #expect(throws: StorageError.self, "\(name)") {
                try store.engine.renameField(old, of: table, to: name)
            }
        }
        try store.engine.dropField(old, of: table)
        try store.write([row(0, [("x", .int64(1))])])
        #expect(throws: StorageError.self) { try store.engine.dropField(old, of: table) }
        #expect(throws: StorageError.self) {
            try store.engine.renameField(old, of: table, to: "v")
        }
        try store.engine.dropField(old, of: table, ifExists: true)
        #expect(fields(store) == "y1 x2")
        try store.engine.dropTable(database: "default", name: "t", ifExists: false)
        #expect(throws: StorageError.unknownTable(database: "default", table: "t")) {
            try store.engine.dropField(old, of: table, ifExists: true)
        }
    }

    // MARK: The format

    /// Kinds of all records behind a sequence, and the bytes of the last.
    private func records(_ store: SimulatedStore) throws -> (kinds: [LogRecord.Kind], last: [UInt8])
    {
        var found: (kinds: [LogRecord.Kind], last: [UInt8]) = ([], [])
        _ = try LogReader.replay(
            fileSystem: store.disk.afterProcessKill(),
            after: try manifest(store).flushedThrough, cleanEnd: nil
        ) { _, kind, payload in
            found.kinds.append(kind)
            found.last = Array(payload)
        }
        return found
    }

    @Test func `a drop is a record that releases before it refuse, a rename one that they read`()
        throws
    {
        let store = try SimulatedStore.make()
        try store.write([row(0, [("x", .int64(1)), ("y", .int64(1))])])
        try rename("x", to: "z", store)
        #expect(try records(store).kinds == [.definitions, .write, .definitions])
        try drop("y", store)
        let all = try records(store)
        #expect(all.kinds == [.definitions, .write, .definitions, .fieldDrops])
        #expect(all.last == [10, 1, 1, 1])
        try store.engine.flush()
        #expect(try manifest(store).format == 3)
    }

    @Test func `MANIFEST says by its format that catalog files tell of dropped fields`() throws {
        var manifest = Manifest()
        manifest.flushedThrough = 9
        manifest.nextTableID = 3
        manifest.hasDroppedFields = true
        for tombstones in [
            [], [Tombstone(tableID: 1, sequence: 4, range: .all, runs: [0..<3])],
        ] {
            manifest.tombstones = tombstones
            #expect(manifest.encoded()[8] == 3)
            #expect(try Manifest.decode(manifest.encoded(), path: "MANIFEST") == manifest)
        }
    }

    @Test func `catalog files leave out what was dropped, and no number is given again`() throws {
        let store = try SimulatedStore.make()
        let names = ["a", "b", "c", "d", "e", "f"]
        try store.write([row(0, names.map { ($0, .int64(1)) })])
        try store.engine.flush()
        for name in ["b", "c", "f"] { try drop(name, store) }
        try store.engine.flush()
        // So many that they are merged into one, before and behind that.
        for round in 0..<12 as Range<Int64> {
            #expect(fields(store).hasPrefix("a0 d3 e4"))
            try store.write([row(round, [("g", .int64(round))], host: "h\(round)")])
            try drop("g", store)
            try store.engine.flush()
            try store.reopen()
        }
        #expect(try manifest(store).catalogFiles.count < 12)
        #expect(try manifest(store).format == 3)
        try store.write([row(0, [("g", .int64(9))])])
        #expect(fields(store) == "a0 d3 e4 g18")
        #expect(try store.values("g") == [.int64(9)])
        #expect(try store.values("d") == [.int64(1)])
        #expect(try IntegrityCheck.run(fileSystem: closed(store)).findings == [])
    }

    @Test func `entries read back, and wrong ones are told`() throws {
        let entry = CatalogEntry.dropFields(tableID: 7, 3..<300)
        var writer = ByteWriter()
        entry.append(to: &writer)
        func read(_ bytes: [UInt8]) -> CatalogEntry? {
            bytes.withUnsafeBytes { buffer in
                var reader = ByteReader(buffer)
                guard let found = try? CatalogEntry.read(&reader), reader.isAtEnd else {
                    return nil
                }
                return found
            }
        }
        #expect(read(writer.bytes) == entry)
        for count in 0..<writer.count { #expect(read(Array(writer.bytes[..<count])) == nil) }
        // None, and more than there are numbers.
        #expect(read([10, 7, 3, 0]) == nil)
        #expect(read([10, 7, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0x07]) == nil)

        func apply(_ entries: [CatalogEntry]) throws -> TableSchema? {
            var writer = ByteWriter()
            let all: [CatalogEntry] =
                [
                    .database(
                        id: 1, name: "d", partitionNanoseconds: 1, retentionNanoseconds: 0),
                    .table(id: 1, databaseID: 1, name: "t"),
                ] + entries
            for entry in all { entry.append(to: &writer) }
            let catalog = Catalog()
            try writer.bytes.withUnsafeBytes { try catalog.applyAll($0) }
            return catalog.table(id: 1)?.schema
        }
        func field(_ id: UInt32) -> CatalogEntry {
            .field(
                tableID: 1,
                FieldColumn(id: id, name: "f\(id)", sqlName: "f\(id)", type: .int64))
        }
        let schema = try #require(
            try apply([
                .dropFields(tableID: 1, 0..<2), field(2), field(3), .dropFields(tableID: 1, 3..<6),
                field(6), .dropFields(tableID: 1, 3..<5), .dropFields(tableID: 1, 7..<8),
            ]))
        #expect(schema.fields.map(\.id) == [2, 6])
        #expect(schema.fieldCountEver == 8)
        #expect(schema.droppedFields == [0..<2, 3..<6, 7..<8])
        for id in 0..<10 as Range<UInt32> {
            #expect((schema.field(id: id) != nil) == [2, 6].contains(id))
        }
        #expect(throws: ByteReader.Malformed.self) { try apply([.dropFields(tableID: 1, 1..<2)]) }
        #expect(throws: ByteReader.Malformed.self) {
            try apply([field(0), .dropFields(tableID: 1, 0..<1), field(0)])
        }
        #expect(throws: ByteReader.Malformed.self) { try apply([.dropFields(tableID: 2, 0..<1)]) }
    }
}

/// Adds up the first field.
private struct ValueSum: ScanConsumer {
    var total: UInt64 = 0
    var isDone: Bool { false }

    mutating func consume(_ rows: ScanRows) throws(StorageError) {
        for row in 0..<rows.count where rows.columns[0].validity?[row] ?? 1 != 0 {
            total += rows.columns[0].values[row]
        }
    }

    mutating func consume(_ summary: ScanSummary) throws(StorageError) {}
}
