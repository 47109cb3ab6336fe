import ApusStorage
import ApusTestKit
import Testing

/// A row as the engine's tests write it down; its time is the store's clock unless told.
struct TestRow {
    var table = "t"
    var tags: [String: String] = [:]
    var time: Int64?
    var fields: [(name: String, value: RowBuilder.Value)]
}

extension SimulatedStore {
    static func make(
        on disk: SimulatedFileSystem = SimulatedFileSystem(),
        _ change: (inout StorageOptions) -> Void = { _ in }
    ) throws(StorageError) -> SimulatedStore {
        var options = smallOptions()
        change(&options)
        return try SimulatedStore(disk: disk, options: options)
    }

    func batch(_ rows: [TestRow], database: String = "default") -> WriteBatch {
        var builder = RowBuilder(database: database)
        for row in rows {
            builder.append(
                table: row.table, tags: row.tags, time: row.time ?? clock.now, fields: row.fields)
        }
        return builder.batch
    }

    @discardableResult
    func write(
        _ rows: [TestRow], database: String = "default"
    ) throws(StorageError) -> WriteReceipt {
        try engine.commit(batch(rows, database: database))
    }

    func table(_ name: String, in database: String = "default") -> TableEntry? {
        engine.catalog.database(named: database)?.table(named: name)
    }

    /// Rows of a table, from all that holds some.
    func rowCount(_ name: String, in database: String = "default") throws(StorageError) -> Int {
        let contents = try ScanDump.read(engine, checksScans: false).contents
        return contents.tables[.init(database: database, table: name)]?.count ?? 0
    }

    /// A field of table `t` in the order of times, where rows have it.
    func values(
        _ field: String, in database: String = "default"
    ) throws(StorageError) -> [ReferenceValue] {
        let tables = try ScanDump.read(engine).contents.tables
        let rows = tables[.init(database: database, table: "t")] ?? [:]
        return rows.sorted { $0.key.time < $1.key.time }.compactMap { $0.value[field] }
    }
}
