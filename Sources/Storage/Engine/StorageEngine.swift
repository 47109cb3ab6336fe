// The engine: owner of log, catalog, heads and segments. What it does is elsewhere:
//
//     Recovery        opens a store           BatchResolver    names → numbers
//     CommitPipeline  log, apply, publish     Maintenance      flush, merge, retention
//     Snapshot        what readers see        SourceScan       merged rows of one table

package import Synchronization

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
            let version = shared.published.withLock { $0.version }
            let resolver = BatchResolver(
                catalog: catalog, options: options, nowNanoseconds: shared.environment.now(),
                isKnownPartition: { database, start in
                    version.segments.contains {
                        $0.entry.databaseID == database.id && $0.entry.partitionStart == start
                    }
                })
            try resolver.resolve(batch)
        } catch {
            completion(.failure(error))
            return
        }
        shared.counters.rejected.add(batch.rejectedCount, ordering: .relaxed)
        guard batch.rowCount > 0 else {
            completion(
                .success(
                    WriteReceipt(
                        rowsStored: 0, valuesStored: 0, rejections: batch.rejections,
                        rejectedCount: batch.rejectedCount, sequence: 0)))
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

    private func checkWritable() throws(StorageError) {
        let (isClosed, reason) = shared.state.withLock { ($0.isClosed, $0.readOnlyReason) }
        if isClosed { throw .closed }
        if let reason { throw .readOnly(reason: reason) }
        let bytes = shared.headBytes
        let pending = bytes.active + bytes.frozen + shared.pendingBytes.load(ordering: .relaxed)
        // A quarter stays for flush scratch, caches and queries.
        let limit = options.memoryBytesMax / 4 * 3
        if pending > limit { throw .overloaded(pendingBytes: pending, pendingBytesMax: limit) }
    }

    // MARK: Definitions

    /// Changes the catalog and waits until the log holds the change.
    private func define(
        _ body: (Catalog, inout Catalog.State) throws(StorageError) -> Void
    ) throws(StorageError) {
        try checkWritable()
        var failure: StorageError?
        catalog.state.withLock { state in
            do throws(StorageError) { try body(catalog, &state) } catch { failure = error }
        }
        if let failure { throw failure }
        let promise = Promise<Result<Void, StorageError>>()
        submit(.definitions { promise.fulfil($0) })
        try promise.wait().get()
    }

    /// Retention 0 keeps for ever; nil takes the store's defaults. Durable when it returns.
    package func createDatabase(
        _ name: String, ifNotExists: Bool, retentionNanoseconds: Int64? = nil,
        partitionNanoseconds: Int64? = nil
    ) throws(StorageError) {
        try NameRules.check(name, "database")
        let options = options
        try define { (catalog, state) throws(StorageError) in
            guard state.databases[name] == nil else {
                if ifNotExists { return }
                throw .exists("database \"\(name)\"")
            }
            let partition = partitionNanoseconds ?? Int64(options.partitionSeconds) * 1_000_000_000
            // A few of them have to fit what 64 bits hold.
            guard partition >= 60_000_000_000, partition <= 3_155_760_000 * 1_000_000_000 / 2 else {
                throw .limit("a partition is at least a minute and at most fifty years long")
            }
            _ = catalog.makeDatabase(
                &state, name: name, partitionNanoseconds: partition,
                retentionNanoseconds: retentionNanoseconds.map { max(0, $0) }
                    ?? Int64(options.defaultRetentionSeconds ?? 0) * 1_000_000_000)
        }
    }

    package func setRetention(ofDatabase name: String, nanoseconds: Int64) throws(StorageError) {
        try define { (catalog, state) throws(StorageError) in
            guard let database = state.databases[name] else { throw .unknownDatabase(name) }
            catalog.setRetention(&state, database, nanoseconds: max(0, nanoseconds))
        }
    }

    package func dropDatabase(_ name: String, ifExists: Bool) throws(StorageError) {
        try define { (catalog, state) throws(StorageError) in
            guard let database = state.databases[name] else {
                if ifExists { return }
                throw .unknownDatabase(name)
            }
            catalog.drop(&state, database)
        }
    }

    package func createTable(
        database databaseName: String, name: String, tags: [String],
        fields: [(name: String, type: FieldType)], ifNotExists: Bool
    ) throws(StorageError) {
        try NameRules.check(name, "table")
        for tag in tags { try NameRules.check(tag, "tag") }
        for field in fields { try NameRules.check(field.name, "field") }
        try define { (catalog, state) throws(StorageError) in
            guard let database = state.databases[databaseName] else {
                throw .unknownDatabase(databaseName)
            }
            guard database.table(named: name) == nil else {
                if ifNotExists { return }
                throw .exists("table \"\(name)\"")
            }
            let table = catalog.makeTable(&state, database: database, name: name)
            for tag in tags { _ = catalog.tagIndex(&state, table, tag) }
            for field in fields { _ = catalog.makeField(&state, table, field.name, field.type) }
        }
    }

    package func dropTable(database databaseName: String, name: String, ifExists: Bool)
        throws(StorageError)
    {
        try define { (catalog, state) throws(StorageError) in
            guard let database = state.databases[databaseName] else {
                throw .unknownDatabase(databaseName)
            }
            guard let table = database.table(named: name) else {
                if ifExists { return }
                throw .unknownTable(database: databaseName, table: name)
            }
            catalog.drop(&state, table)
        }
    }

    // MARK: Maintenance

    /// Writes all heads to segments and waits.
    package func flush() throws(StorageError) {
        try checkOpen()
        let frozen = Promise<Result<Void, StorageError>>()
        submit(.freeze { frozen.fulfil($0) })
        try frozen.wait().get()
        let done = Promise<Result<Void, StorageError>>()
        submit(.flush { done.fulfil($0) })
        try done.wait().get()
    }

    /// Merges segments of one table's database, or of all, as far as possible, and waits. What is
    /// in the heads is flushed first.
    package func compact(_ table: TableEntry?) throws(StorageError) {
        try flush()
        let done = Promise<Result<Void, StorageError>>()
        submit(.compact(databaseID: table?.database.id) { done.fulfil($0) })
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

/// What names may be: any UTF-8 without control characters, never empty, never too long.
enum NameRules {
    static func check(_ name: String, _ what: String) throws(StorageError) {
        guard !name.isEmpty else { throw .limit("a \(what) name must not be empty") }
        guard name.utf8.count <= 65_535 else {
            throw .limit("a \(what) name has at most 65,535 bytes")
        }
        guard !name.utf8.contains(where: { $0 < 32 || $0 == 127 }) else {
            throw .limit("a \(what) name must not hold control characters")
        }
    }
}
