public import Synchronization

// INTERFACE ONLY for the moment: bodies land with the engine.

/// Rows stored by a commit, and lines that were refused on the way.
package struct WriteReceipt: Sendable {
    package var rowsStored: Int
    package var valuesStored: Int
    package var rejections: [LineRejection]
    package var rejectedCount: Int
    package var sequence: UInt64

    package init(
        rowsStored: Int, valuesStored: Int, rejections: [LineRejection], rejectedCount: Int,
        sequence: UInt64
    ) {
        self.rowsStored = rowsStored
        self.valuesStored = valuesStored
        self.rejections = rejections
        self.rejectedCount = rejectedCount
        self.sequence = sequence
    }
}

/// The engine: log, catalog, heads, segments. Thread-safe.
package final class StorageEngine: Sendable {
    package let catalog: Catalog
    package let options: StorageOptions

    /// Opens or creates a store and recovers what the log holds. Blocking.
    package init(fileSystem: any FileSystem, options: StorageOptions) throws(StorageError) {
        fatalError("interface only")
    }

    /// Stores a batch: resolves names and series, logs, syncs, applies, publishes, then calls
    /// `completion` on the log thread (hand over from there, don't block). Validation errors of
    /// single lines are in the receipt; a failure means that nothing was stored.
    package func commit(
        _ batch: WriteBatch,
        completion: @escaping @Sendable (Result<WriteReceipt, StorageError>) -> Void
    ) {
        fatalError("interface only")
    }

    /// The same, waiting.
    package func commit(_ batch: WriteBatch) throws(StorageError) -> WriteReceipt {
        fatalError("interface only")
    }

    /// Retention 0 keeps for ever; nil takes the store's defaults. Durable when it returns.
    package func createDatabase(
        _ name: String, ifNotExists: Bool, retentionNanoseconds: Int64?, partitionNanoseconds: Int64?
    ) throws(StorageError) { fatalError("interface only") }

    package func setRetention(ofDatabase name: String, nanoseconds: Int64) throws(StorageError) {
        fatalError("interface only")
    }

    package func dropDatabase(_ name: String, ifExists: Bool) throws(StorageError) {
        fatalError("interface only")
    }

    package func createTable(
        database: String, name: String, tags: [String], fields: [(name: String, type: FieldType)],
        ifNotExists: Bool
    ) throws(StorageError) { fatalError("interface only") }

    package func dropTable(database: String, name: String, ifExists: Bool) throws(StorageError) {
        fatalError("interface only")
    }

    /// A consistent view of everything acknowledged before the call. Cheap; holds memory and files
    /// while it lives.
    package func snapshot() -> Snapshot { fatalError("interface only") }

    /// Writes all heads to segments and waits.
    package func flush() throws(StorageError) { fatalError("interface only") }

    /// Merges segments of one table's database, or of all, as far as possible, and waits.
    package func compact(_ table: TableEntry?) throws(StorageError) { fatalError("interface only") }

    package func metrics() -> StorageMetrics { fatalError("interface only") }
    package func health() -> StorageHealth { fatalError("interface only") }

    /// Stops background work, syncs the log and records a clean end. Idempotent.
    package func close() throws(StorageError) { fatalError("interface only") }
}

/// One version of the store: segments, heads and what of them is visible.
package final class Snapshot: Sendable {
    /// Independent pieces of a scan, each about `rowsPerMorsel` rows.
    package func plan(
        _ table: TableEntry, _ request: ScanRequest, rowsPerMorsel: Int
    ) throws(StorageError) -> [ScanMorsel] { fatalError("interface only") }

    /// Runs one morsel on the calling thread.
    package func run<Consumer: ScanConsumer>(
        _ morsel: ScanMorsel, _ request: ScanRequest, into consumer: inout Consumer,
        counters: inout ScanCounters
    ) throws(StorageError) { fatalError("interface only") }

    /// What a damaged, set-aside file could have changed in an answer about this table.
    package func warnings(for table: TableEntry) -> [String] { fatalError("interface only") }

    /// The least and greatest time of the table's rows, estimated from directories; nil if empty.
    package func timeBounds(of table: TableEntry) -> (first: Int64, last: Int64)? {
        fatalError("interface only")
    }

    /// Upper bound of the table's rows in a range, for planning.
    package func estimatedRows(of table: TableEntry, in range: TimeRange) -> Int {
        fatalError("interface only")
    }

    init() {}
}

/// A piece of a scan. Opaque to its users.
package struct ScanMorsel: Sendable {
    /// Rows at most, for progress and scheduling.
    package var estimatedRows = 0
    package var timeRange = TimeRange.all
}
