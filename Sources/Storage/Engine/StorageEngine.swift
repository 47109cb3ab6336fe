// The engine: owner of log, catalog, heads and segments. What it does is elsewhere:
//
//     Recovery        opens a store           BatchResolver    names → numbers
//     CommitPipeline  log, apply, publish     Maintenance      flush, merge, retention
//     Snapshot        what readers see        SourceScan       merged rows of one table

internal import Synchronization

/// Rows stored by a commit, and lines that were refused on the way.
package struct WriteReceipt: Sendable {
    package var rowsStored: Int
    package var valuesStored: Int
    /// The first lines that were refused, wholly or in part.
    package var rejections: [LineRejection]
    /// How many lines were refused, wholly or in part: each counts once.
    package var rejectedCount: Int
    /// How many of them are stored without the fields that were refused; they count as rows stored.
    package var partialCount: Int
    package var sequence: UInt64
    /// Whether all rows are of the past while others write rows of the present: a sender of history should
    /// leave them the CPU.
    package var shouldYield: Bool

    init(_ batch: WriteBatch, sequence: UInt64, shouldYield: Bool = false) {
        self.shouldYield = shouldYield
        rowsStored = batch.rowCount
        valuesStored = batch.valueCount
        rejections = batch.rejections
        rejectedCount = batch.rejectedCount
        partialCount = batch.partialCount
        self.sequence = sequence
    }
}

/// Thread-safe. Calls that say they wait must not be made on an event loop.
package final class StorageEngine: Sendable {
    package var catalog: Catalog { shared.catalog }
    package var options: StorageOptions { shared.options }
    /// What recovery has to say: a torn tail that was cut, files set aside.
    package let recoveryNotes: [String]

    let shared: EngineShared
    private let fileSystem: any FileSystem
    private let pipeline: CommitPipeline
    private let maintenance: Maintenance
    /// Without threads: one call at a time.
    private let inline = Mutex(())

    /// Opens or creates a store and recovers what the log holds. Blocking.
    ///
    /// - Throws: `corrupt` for damage that leaves nothing to serve from (log, catalog, both
    ///   MANIFESTs; a damaged segment is only set aside), `unsupportedFormat`, `io`, `diskFull`.
    package init(
        fileSystem: any FileSystem, options: StorageOptions,
        environment: EngineEnvironment = .system
    ) throws(StorageError) {
        let recovery = try Recovery.open(fileSystem, options, environment)
        self.fileSystem = fileSystem
        shared = recovery.shared
        pipeline = recovery.pipeline
        maintenance = recovery.maintenance
        recoveryNotes = recovery.notes
        if environment.usesThreads { startThreads() }
    }

    private func startThreads() {
        let (shared, pipeline, maintenance) = (shared, pipeline, maintenance)
        startThread("apus-log") {
            while true {
                let items = shared.commits.takeAll(milliseconds: 100)
                pipeline.process(items)
                if items.contains(where: { if case .stop = $0 { true } else { false } }) {
                    for item in shared.commits.close() { item.refuse() }
                    return
                }
            }
        }
        startThread("apus-maintain") {
            while true {
                let items = shared.maintenance.takeAll(milliseconds: 1000)
                for (index, item) in items.enumerated() {
                    guard case .stop = item else {
                        maintenance.process(item)
                        continue
                    }
                    let rest = shared.maintenance.close()
                    for late in items[(index + 1)...] + rest { late.refuse() }
                    maintenance.process(item)
                    return
                }
                maintenance.tick()
            }
        }
    }

    private func submit(_ item: CommitItem) {
        if shared.environment.usesThreads {
            if !shared.commits.push(item) { item.refuse() }
        } else {
            inline.withLock { _ in
                pipeline.process([item])
                drainInline()
            }
        }
    }

    private func submit(_ item: MaintenanceItem) {
        if shared.environment.usesThreads {
            if !shared.maintenance.push(item) { item.refuse() }
        } else {
            inline.withLock { _ in
                maintenance.process(item)
                drainInline()
            }
        }
    }

    private func drainInline() {
        while true {
            let work = shared.maintenance.takeAll(milliseconds: 0)
            let commits = shared.commits.takeAll(milliseconds: 0)
            if work.isEmpty, commits.isEmpty { return }
            for item in work { maintenance.process(item) }
            if !commits.isEmpty { pipeline.process(commits) }
        }
    }

    // MARK: Writing

    /// Stores a batch: resolves names and series, logs, syncs, applies, publishes, then calls
    /// `completion` on the log thread (hand over from there, don't block). Lines that may not be
    /// stored are in the receipt; a failure means that nothing was stored.
    package func commit(
        _ batch: WriteBatch,
        completion: @escaping @Sendable (Result<WriteReceipt, StorageError>) -> Void
    ) {
        do throws(StorageError) {
            try checkWritable()
            if let text = BatchRecord.limitPassed(by: batch) { throw .limit(text) }
            let version = shared.published.withLock { $0.version }
            let resolver = BatchResolver(
                catalog: catalog, options: options, nowNanoseconds: shared.environment.now(),
                isKnownPartition: { [shared] database, start in
                    version.segments.contains {
                        $0.entry.databaseID == database.id && $0.entry.partitionStart == start
                    } || shared.published.withLock { $0.headsHold(partition: start, of: database) }
                })
            try resolver.resolve(batch)
        } catch {
            completion(.failure(error))
            return
        }
        guard batch.rowCount > 0 else {
            shared.counters.rejected.add(batch.rejectedCount, ordering: .relaxed)
            completion(.success(WriteReceipt(batch, sequence: 0)))
            return
        }
        shared.pendingBytes.add(batch.byteCount, ordering: .relaxed)
        submit(.write(batch, completion))
    }

    /// The same, waiting.
    @discardableResult
    package func commit(_ batch: WriteBatch) throws(StorageError) -> WriteReceipt {
        let promise = Promise<Result<WriteReceipt, StorageError>>()
        commit(batch) { promise.fulfil($0) }
        return try promise.wait().get()
    }

    /// Whether heads are frozen faster than they are flushed: who can wait should, since what lies in memory
    /// for long has left the CPU's cache when it is flushed.
    package var isFlushBehind: Bool { shared.frozenCount.load(ordering: .relaxed) > 1 }

    private func checkWritable() throws(StorageError) {
        let (isClosed, reason) = shared.state.withLock { ($0.isClosed, $0.readOnlyReason) }
        if isClosed { throw .closed }
        if let reason { throw .readOnly(reason: reason) }
        let bytes = shared.headBytes
        let pending = bytes.active + bytes.frozen + shared.pendingBytes.load(ordering: .relaxed)
        let limit = options.pendingBytesMax
        if pending > limit { throw .overloaded(pendingBytes: pending, pendingBytesMax: limit) }
    }

    // MARK: Definitions

    // Each waits until its record is synced, whatever the durability of writes, and is in force from
    // then on. One that fails changes nothing, but for `readOnly`: then the next opening tells.

    private func define(_ definition: Definition) throws(StorageError) {
        try checkWritable()
        let promise = Promise<Result<Void, StorageError>>()
        submit(.define(definition) { promise.fulfil($0) })
        try promise.wait().get()
    }

    /// Retention 0 keeps for ever; nil takes the store's defaults.
    package func createDatabase(
        _ name: String, ifNotExists: Bool, retentionNanoseconds: Int64? = nil,
        partitionNanoseconds: Int64? = nil
    ) throws(StorageError) {
        try NameRules.check(name, "database")
        let partition = partitionNanoseconds ?? Int64(options.partitionSeconds) * 1_000_000_000
        // A few of them have to fit what 64 bits hold.
        guard partition >= 60_000_000_000, partition <= 3_155_760_000 * 1_000_000_000 / 2 else {
            throw .invalid("a partition is at least a minute and at most fifty years long")
        }
        try define(
            .createDatabase(
                name, ifNotExists: ifNotExists, partitionNanoseconds: partition,
                retentionNanoseconds: max(0, retentionNanoseconds ?? 0)))
    }

    package func setRetention(ofDatabase name: String, nanoseconds: Int64) throws(StorageError) {
        try define(.setRetention(database: name, nanoseconds: max(0, nanoseconds)))
    }

    package func dropDatabase(_ name: String, ifExists: Bool) throws(StorageError) {
        try define(.dropDatabase(name, ifExists: ifExists))
    }

    package func createTable(
        database: String, name: String, tags: [String],
        fields: [(name: String, type: FieldType)], ifNotExists: Bool
    ) throws(StorageError) {
        try NameRules.check(name, "table")
        for tag in tags { try NameRules.check(tag, "tag") }
        for field in fields { try NameRules.check(field.name, "field") }
        try define(
            .createTable(
                name, database: database, tags: tags, fields: fields, ifNotExists: ifNotExists))
    }

    /// Drops series of a table with all of their rows. What is written with the same tags afterwards is a
    /// series of its own. Durable when it returns; the room is given back by and by, by `compact` at once.
    ///
    /// - Throws: `unknownTable` if the table was dropped meanwhile.
    /// - Complexity: a pass over the table's index, some 20 ns a series, during which writes of new series
    ///   wait.
    package func dropSeries(_ series: SeriesSet, of table: TableEntry) throws(StorageError) {
        try define(.dropSeries(table, series))
    }

    /// Deletes rows of a table by series and time: those that were acknowledged before. Durable, and in
    /// force for all later queries, when it returns; the room is given back by merges, by `compact` at once.
    ///
    /// - Parameters:
    ///   - series: Which, among those there were; nil for all.
    ///   - seesAllSeries: Whether to do nothing if series have come that `series` has no room for.
    /// - Returns: False if nothing was done because of that: look again and try again.
    /// - Throws: `unknownTable` if the table was dropped meanwhile; `limit` if too many deletes wait for
    ///   their rows to go.
    package func delete(
        from table: TableEntry, series: SeriesSet?, in range: TimeRange, seesAllSeries: Bool
    ) throws(StorageError) -> Bool {
        try checkWritable()
        let promise = Promise<Result<Bool, StorageError>>()
        submit(
            .delete(
                Deletion(table: table, series: series, range: range, seesAllSeries: seesAllSeries)
            ) { promise.fulfil($0) })
        return try promise.wait().get()
    }

    /// Drops a field of a table with all of its values; rows stay. What is written by its name afterwards is
    /// a field of its own. Durable when it returns; the room is given back by merges, by `compact` at once.
    ///
    /// - Parameter ifExists: Whether a field that was dropped meanwhile is no error.
    /// - Throws: `unknownTable` or `invalid` if the table or the field was dropped meanwhile.
    package func dropField(
        _ field: FieldColumn, of table: TableEntry, ifExists: Bool = false
    ) throws(StorageError) {
        try define(.dropField(table, field, ifExists: ifExists))
    }

    /// Renames a field, for SQL and for writers. What is written by its old name afterwards is a field of
    /// its own. Durable when it returns.
    ///
    /// - Throws: `exists` if a column has the name; else as `dropField`.
    package func renameField(
        _ field: FieldColumn, of table: TableEntry, to name: String
    ) throws(StorageError) {
        try NameRules.check(name, "field")
        try define(.renameField(table, field, to: name))
    }

    package func dropTable(database: String, name: String, ifExists: Bool) throws(StorageError) {
        try define(.dropTable(name, database: database, ifExists: ifExists))
    }

    // MARK: Maintenance

    /// Writes all heads to segments and waits.
    ///
    /// - Parameter isPointless: Once it says so, waiting ends with `cancelled`; the work goes on.
    package func flush(unless isPointless: () -> Bool = { false }) throws(StorageError) {
        try checkOpen()
        let frozen = Promise<Result<Void, StorageError>>()
        submit(.freeze { frozen.fulfil($0) })
        try waitFor(frozen, unless: isPointless)
        let done = Promise<Result<Void, StorageError>>()
        submit(.flush { done.fulfil($0) })
        try waitFor(done, unless: isPointless)
    }

    /// Merges segments of one table's database, or of all, as far as possible, and waits as `flush`
    /// does. What is in the heads is flushed first.
    package func compact(
        _ table: TableEntry?, unless isPointless: () -> Bool = { false }
    ) throws(StorageError) {
        try flush(unless: isPointless)
        let done = Promise<Result<Void, StorageError>>()
        submit(.compact(databaseID: table?.database.id) { done.fulfil($0) })
        try waitFor(done, unless: isPointless)
    }

    private func waitFor(
        _ promise: Promise<Result<Void, StorageError>>, unless isPointless: () -> Bool
    ) throws(StorageError) {
        guard let result = promise.wait(unless: isPointless) else { throw .cancelled }
        try result.get()
    }

    /// Does what the background thread does now and then, and waits: retention, merges that are due.
    package func maintain() throws(StorageError) {
        try checkOpen()
        let done = Promise<Result<Void, StorageError>>()
        submit(.maintain { done.fulfil($0) })
        try done.wait().get()
    }

    private func checkOpen() throws(StorageError) {
        let (isClosed, reason) = shared.state.withLock { ($0.isClosed, $0.readOnlyReason) }
        if isClosed { throw .closed }
        if let reason { throw .readOnly(reason: reason) }
    }

    /// Stops background work, syncs the log and records a clean end. Idempotent.
    ///
    /// The heads are not flushed: the log holds them, and the next opening replays it.
    package func close() throws(StorageError) {
        let wasClosed = shared.state.withLock { state in
            defer { state.isClosed = true }
            return state.isClosed
        }
        guard !wasClosed else { return }
        // Merges look at this flag: closing waits for none of them.
        shared.isStopping.store(true, ordering: .releasing)
        let stopped = Promise<Result<UInt64, StorageError>>()
        submit(.stop { stopped.fulfil($0) })
        let flushedThrough = try stopped.wait().get()
        let ended = Promise<Result<LogPosition, StorageError>>()
        submit(.stop(flushedThrough: flushedThrough) { ended.fulfil($0) })
        // Both threads are gone: MANIFEST is ours. It comes last, since it vouches for the log.
        try maintenance.recordCleanEnd(try ended.wait().get())
    }
}

/// What names may be: any UTF-8 without control characters, never empty, never too long. They are
/// never paths: files are called by numbers.
package enum NameRules {
    static func check(_ name: String, _ what: String) throws(StorageError) {
        if let problem = problem(name, what) { throw .invalid(problem) }
    }

    /// Why a name may not be one, as a sentence that begins with `what` it would be the name of.
    package static func problem(_ name: String, _ what: String) -> String? {
        if name.isEmpty { return "a \(what) name must not be empty" }
        if name.utf8.count > CatalogEntry.nameBytesMax {
            return "a \(what) name has at most 65,535 bytes"
        }
        let control = name.unicodeScalars.first { $0.properties.generalCategory == .control }
        if let control {
            let digits = String(control.value, radix: 16, uppercase: true)
            let code = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
            return "a \(what) name must not hold control characters, and this one has U+\(code)"
        }
        return nil
    }
}
