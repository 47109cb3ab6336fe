// The background thread's work: sort full chunks, flush frozen heads, merge segments, drop what is
// past its retention, keep a spare log file ready. One item at a time, so MANIFEST has one writer.
//
// A flush: segments written and synced → catalog file written and synced → MANIFEST replaced →
// version swapped and head released → log files may go (one flush later, so that the predecessor
// of MANIFEST still finds what it needs).

internal import Synchronization

/// Safe: everything but `shared` belongs to the thread that runs `process`.
final class Maintenance: @unchecked Sendable {
    let shared: EngineShared
    let fileSystem: any FileSystem
    private var spares: LogSpares
    private(set) var manifest: Manifest
    private var manifestBytes: [UInt8]?
    /// Files that the current MANIFEST's predecessor may still name.
    private var obsolete: [String]
    private var previousFlushedThrough: UInt64
    /// What catalog files hold of each table.
    private var persisted: [UInt32: PersistedSeries]
    private var isStopped = false
    /// The end of the log that the last shutdown vouched for stays in MANIFEST until a flush has
    /// taken over what lies below it.
    private var isReplaying = true
    /// Databases whose segments must stay: alive when the store opened, or made since.
    private var databasesAtOpening: Set<UInt32> = []
    private var droppedDurably: Set<UInt32> = []
    private let clockAtOpening: Int64
    private var lastTick: (wall: Int64, monotonic: Int64)?
    private var clockJumped = false
    /// Why MANIFEST can't be replaced any more: it is unknown which one is on the device.
    private var manifestFailure: StorageError?
    /// Directories whose names this process has synced. One that merely exists may be left by a
    /// process that died before it did.
    private var durableDirectories: Set<String> = []
    /// When rows last came to a partition, on the monotonic clock.
    private var lastFlush: [Partition: Int64] = [:]
    /// What is known of rows that tombstones hide, by their sequence.
    var searches: [UInt64: TombstoneSearch] = [:]

    private struct Partition: Hashable {
        var databaseID: UInt32
        var start: Int64

        init(_ segment: Manifest.Segment) {
            databaseID = segment.databaseID
            start = segment.partitionStart
        }
    }

    init(
        shared: EngineShared, fileSystem: any FileSystem, spares: LogSpares, manifest: Manifest,
        manifestBytes: [UInt8]?, persisted: [UInt32: PersistedSeries]
    ) {
        self.shared = shared
        self.fileSystem = fileSystem
        self.spares = spares
        self.manifest = manifest
        self.manifestBytes = manifestBytes
        self.persisted = persisted
        obsolete = []
        clockAtOpening = manifest.lastClock
        previousFlushedThrough = manifest.flushedThrough
    }

    /// The log writer's own, once there is one.
    func useSpares(_ spares: LogSpares) { self.spares = spares }

    func replayIsOver() {
        isReplaying = false
        databasesAtOpening = shared.catalog.state.withLock { Set($0.databasesByID.keys) }
        for table in shared.catalog.allTables where table.droppedSeries != nil {
            shared.noteDroppedSeries(of: table)
        }
        let now = shared.environment.now()
        // A clock that ran ahead and a store that stood still look alike: retention waits for the
        // first flush.
        clockJumped = clockAtOpening > 0 && now - clockAtOpening > Self.clockJumpNanoseconds
    }

    private static let clockJumpNanoseconds: Int64 = 3_600_000_000_000

    func process(_ item: MaintenanceItem) {
        switch item {
        case .sort(let waiting): if let chunk = waiting.chunk { sort(chunk) }
        case .flushFrozen: note { () throws(StorageError) in try self.flushFrozen() }
        case .flush(let done): done(attempt { () throws(StorageError) in try self.flushFrozen() })
        case .compact(let databaseID, let done):
            done(attempt { () throws(StorageError) in try self.compactAll(databaseID) })
        case .maintain(let done):
            tick()
            done(.success(()))
        case .stop(let done):
            isStopped = true
            done(.success(manifest.flushedThrough))
        }
    }

    /// What nobody asks for and has to be done now and then.
    func tick() {
        guard !isStopped else { return }
        shared.chunkMemory.trim()
        shared.catchUpLastRows()
        note { () throws(StorageError) in
            let version = self.manifest.version
            do throws(StorageError) {
                // Retention first: it makes room on a device too full to flush to.
                try self.dropExpired()
                try self.flushFrozen()
                try self.compactOnce()
                if try !self.rewriteWithoutDropped(databaseID: nil) { try self.sweepDropped() }
                _ = try self.rewriteWithoutDeleted(databaseID: nil, isWanted: false)
            } catch {
                try? self.removeObsolete(ifStillAt: version)
                throw error
            }
            try self.removeObsolete(ifStillAt: version)
        }
        if shared.options.durability != .none || shared.environment.usesThreads {
            // Without a spare the log thread makes a file itself.
            try? spares.prepareSpare()
        }
    }

    private func attempt(_ body: () throws(StorageError) -> Void) -> Result<Void, StorageError> {
        do throws(StorageError) {
            guard !isStopped else { throw .closed }
            if let manifestFailure { throw manifestFailure }
            try body()
            return .success(())
        } catch {
            shared.setAside(error)
            return .failure(error)
        }
    }

    private func note(_ body: () throws(StorageError) -> Void) {
        let result = attempt(body)
        shared.state.withLock { state in
            if case .failure(let error) = result {
                state.maintenanceFailure = error
            } else {
                state.maintenanceFailure = nil
            }
        }
    }

    private func sort(_ chunk: HeadChunk) {
        let view = shared.published.withLock { _ in chunk.published }
        guard view.sortedRows == nil else { return }
        let (sorted, storage) = ChunkSort.rearrange(view)
        shared.published.withLock { _ in chunk.setSorted(sorted, in: storage) }
    }

    // MARK: Flush

    private func flushFrozen() throws(StorageError) {
        while let frozen = shared.published.withLock({ $0.frozen.first }) { try flush(frozen) }
    }

    private func flush(_ frozen: FrozenHead) throws(StorageError) {
        let start = monotonicNanoseconds()
        var next = manifest
        var written: [Manifest.Segment] = []
        var persisted = persisted
        // Those whose turn didn't come: in order, a chunk is read at twice the speed.
        for table in frozen.head.tables.values { for chunk in table.chunks { sort(chunk) } }
        do throws(StorageError) {
            for (database, partitions) in partitions(of: frozen) {
                for partition in partitions.keys.sorted() {
                    let segment = try SegmentBuild(
                        self, database: database, partition: partition, number: next.nextFileNumber
                    )
                    .write(heads: partitions[partition] ?? [], frozen: frozen)
                    next.nextFileNumber += 1
                    if let segment { written.append(segment) }
                }
            }
            try writeCatalog(frozen.mark, addingTo: &next, &persisted)
        } catch {
            manifest.nextFileNumber = max(manifest.nextFileNumber, next.nextFileNumber + 1)
            for segment in written { try? fileSystem.remove(segment.path) }
            throw error
        }
        next.segments += written
        next.flushedThrough = frozen.flushThrough
        if !isReplaying { next.cleanEnd = nil }
        next.nextDatabaseID = max(next.nextDatabaseID, frozen.mark.nextDatabaseID)
        next.nextTableID = max(next.nextTableID, frozen.mark.nextTableID)
        // All rows of the head are in afterwards: it has been frozen for long.
        shared.catchUpLastRows()
        try install(next, adding: written, removing: []) { published in
            let flushed = published.frozen.removeFirst().head
            published.flushedSequence = max(published.flushedSequence, flushed.lastSequence)
        }
        shared.frozenCount.subtract(1, ordering: .relaxed)
        for segment in written { lastFlush[Partition(segment)] = monotonicNanoseconds() }
        if !isReplaying { clockJumped = false }
        for case .dropDatabase(let id) in frozen.mark.drops { droppedDurably.insert(id) }
        self.persisted = persisted
        shared.commits.push(.trim(previousFlushedThrough))
        previousFlushedThrough = next.flushedThrough
        shared.counters.flushes.record(nanoseconds: monotonicNanoseconds() - start)
        try mergeCatalogFiles()
    }

    /// The frozen head's tables by database and partition.
    private func partitions(of frozen: FrozenHead) -> [(DatabaseEntry, [Int64: [HeadTable]])] {
        var result: [UInt32: (DatabaseEntry, [Int64: [HeadTable]])] = [:]
        for id in frozen.head.tables.keys.sorted() {
            guard let headTable = frozen.head.tables[id], let table = shared.catalog.table(id: id)
            else { continue }
            let database = table.database
            var starts: Set<Int64> = []
            for chunk in headTable.chunks {
                let view = chunk.published
                guard view.rowCount > 0 else { continue }
                let first = database.partitionStart(of: view.firstTime)
                if first == database.partitionStart(of: view.lastTime) {
                    starts.insert(first)
                } else {
                    for row in 0..<view.rowCount {
                        starts.insert(database.partitionStart(of: view.storage.times[row]))
                    }
                }
            }
            var entry = result[database.id] ?? (database, [:])
            for start in starts { entry.1[start, default: []].append(headTable) }
            result[database.id] = entry
        }
        return result.keys.sorted().compactMap { result[$0] }
    }

    // MARK: Catalog files

    private func writeCatalog(
        _ mark: CatalogMark, addingTo next: inout Manifest,
        _ persisted: inout [UInt32: PersistedSeries]
    ) throws(StorageError) {
        guard !mark.isEmpty else { return }
        let number = next.nextFileNumber
        let bytes = CatalogFile.encode { add in mark.forEachEntry(behind: &persisted, add) }
        try fileSystem.writeFileAtomically(CatalogFile.path(number), bytes)
        next.nextFileNumber += 1
        next.catalogFiles.append(.init(number: number, byteCount: bytes.count))
        if mark.hasDroppedFields { next.hasDroppedFields = true }
    }

    /// Replaces many small catalog files by one, without what was dropped.
    func mergeCatalogFiles(isWanted: Bool = false) throws(StorageError) {
        guard isWanted || manifest.catalogFiles.count > 8 else { return }
        let known = persisted
        let mark = shared.catalog.markEverything { known[$0.id]?.seriesCount ?? 0 }
        // A head that waits may say more of tables that were dropped meanwhile. Looked at behind the
        // mark: a head that freezes from now on knows of nothing that the mark has not.
        guard shared.published.withLock({ $0.frozen.isEmpty }) else { return }
        var again: [UInt32: PersistedSeries] = [:]
        let databasesEnd = manifest.nextDatabaseID
        let bytes = CatalogFile.encode { add in
            mark.forEachEntry(behind: &again) { entry in
                // What was made since the last flush is the log's alone. Its number here would
                // say of lower ones that are still on their way to the log that they were dropped.
                switch entry {
                case .database(let id, _, _, _): if id < databasesEnd { add(entry) }
                case .table(let id, _, _), .tag(let id, _, _, _), .field(let id, _),
                    .dropFields(let id, _):
                    if known[id] != nil { add(entry) }
                default: add(entry)
                }
            }
        }
        var next = manifest
        let old = next.catalogFiles
        let number = next.nextFileNumber
        next.nextFileNumber += 1
        try fileSystem.writeFileAtomically(CatalogFile.path(number), bytes)
        next.catalogFiles = [.init(number: number, byteCount: bytes.count)]
        next.hasDroppedFields = mark.hasDroppedFields
        try install(next, adding: [], removing: []) { _ in }
        persisted = again.filter { known[$0.key] != nil }
        obsolete += old.map { CatalogFile.path($0.number) }
    }

    // MARK: Installing

    /// Makes a directory below `data/<database>`, and all names down to it durable.
    func makeDurableDirectory(_ directory: String) throws(StorageError) {
        guard !durableDirectories.contains(directory) else { return }
        try fileSystem.createDirectory(directory)
        var path = directory
        while let slash = path.lastIndex(of: "/") {
            path = String(path[..<slash])
            try fileSystem.syncDirectory(path)
        }
        durableDirectories.insert(directory)
    }

    /// Replaces MANIFEST. If it is unknown whether that worked, the store only reads from now on.
    private func replaceManifest(with next: Manifest) throws(StorageError) {
        if let manifestFailure { throw manifestFailure }
        do throws(StorageError) {
            try next.store(fileSystem, predecessor: manifestBytes)
        } catch {
            if case .readOnly(let reason) = error {
                manifestFailure = error
                shared.becomeReadOnly(reason)
            }
            throw error
        }
    }

    /// Replaces MANIFEST, then swaps the version, then removes files that nothing names any more.
    func install(
        _ manifest: Manifest, adding: [Manifest.Segment], removing: [LoadedSegment],
        forgetting: Set<UInt64> = [], also: (inout Published) -> Void
    ) throws(StorageError) {
        var next = manifest
        next.version += 1
        next.lastClock = max(next.lastClock, shared.environment.now())
        let removed = Set(removing.map(\.entry.number))
        next.segments.removeAll { removed.contains($0.number) }
        next.tombstones = shared.tombstones(through: next.flushedThrough, but: forgetting)
        // Numbers of a replacement that failed are never used again.
        self.manifest.nextFileNumber = max(self.manifest.nextFileNumber, next.nextFileNumber)
        let opened: [LoadedSegment]
        do throws(StorageError) {
            // Before MANIFEST names them: what can't be read back is no replacement for anything.
            opened = try open(adding)
            try replaceManifest(with: next)
        } catch {
            removeUnnamed(of: next, adding)
            throw error
        }
        self.manifest = next
        manifestBytes = next.encoded()
        shared.published.withLock { published in
            published.version = Version(
                segments: published.version.segments.filter { !removed.contains($0.entry.number) }
                    + opened)
            published.forget(forgetting)
            also(&published)
        }
        // The predecessor names nothing of these any more.
        for path in obsolete { try? fileSystem.remove(path) }
        obsolete = removing.map(\.entry.path)
    }

    private func open(_ entries: [Manifest.Segment]) throws(StorageError) -> [LoadedSegment] {
        let opened = entries.map { LoadedSegment.open(fileSystem, $0) }
        if let damage = opened.lazy.compactMap(\.damage).first { throw damage }
        return opened
    }

    /// Removes the new files of a MANIFEST that could not be written: every attempt on a full disk
    /// would leave some. Where it is unknown which MANIFEST is on the device they stay.
    private func removeUnnamed(of next: Manifest, _ segments: [Manifest.Segment]) {
        guard manifestFailure == nil else { return }
        for segment in segments { try? fileSystem.remove(segment.path) }
        for file in next.catalogFiles where !manifest.catalogFiles.contains(file) {
            try? fileSystem.remove(CatalogFile.path(file.number))
        }
    }

    /// Writes the same MANIFEST once more, so that its predecessor names no file that is obsolete:
    /// a store without writes would keep them for ever. Not if it has just been replaced anyway.
    private func removeObsolete(ifStillAt version: UInt64) throws(StorageError) {
        guard !obsolete.isEmpty, manifest.version == version else { return }
        try install(manifest, adding: [], removing: []) { _ in }
    }

    // MARK: Merging

    private func compactAll(_ databaseID: UInt32?) throws(StorageError) {
        // Each run once: what is flushed meanwhile waits, or this would go on as long as rows come.
        var done: Set<UInt64> = []
        while let inputs = CompactionPolicy.everything(
            currentSegments(), databaseID: databaseID, but: { done.contains($0.number) })
        {
            let number = manifest.nextFileNumber
            try merge(inputs, level: .cold)
            done.insert(number)
        }
        while try rewriteWithoutDroppedFields(databaseID: databaseID) {}
        while try rewriteWithoutDropped(databaseID: databaseID) {}
        while try rewriteWithoutDeleted(databaseID: databaseID, isWanted: true) {}
        try mergeCatalogFiles(isWanted: shared.tablesWithDropped.withLock { !$0.isEmpty })
        // Whoever asked for it wants the room now.
        try removeObsolete(ifStillAt: manifest.version)
    }

    private func compactOnce() throws(StorageError) {
        let segments = currentSegments()
        if let inputs = CompactionPolicy.choose(segments, fanIn: shared.options.compactionFanIn) {
            try merge(inputs, level: CompactionPolicy.level(merging: inputs))
        } else if let inputs = CompactionPolicy.coolable(segments, isQuiet: isQuiet),
            let first = inputs.first
        {
            do throws(StorageError) { try merge(inputs, level: .cold) } catch {
                // Not again at the next tick: others wait, and so does who needs the room.
                lastFlush[Partition(first.entry)] = monotonicNanoseconds()
                throw error
            }
        }
    }

    /// Whether a partition has been without new rows long enough. After opening nobody knows when
    /// the last ones came, so the time begins anew.
    private func isQuiet(_ segment: Manifest.Segment) -> Bool {
        guard let seconds = shared.options.coldAfterSeconds else { return false }
        let place = Partition(segment)
        let now = monotonicNanoseconds()
        guard let last = lastFlush[place] else {
            lastFlush[place] = now
            return false
        }
        return now &- last >= Int64(seconds) * 1_000_000_000
    }

    func currentSegments() -> [LoadedSegment] {
        shared.published.withLock { $0.version.segments }
    }

    func merge(
        _ inputs: [LoadedSegment], level: EncodeOptions.Level
    ) throws(StorageError) {
        let start = monotonicNanoseconds()
        guard let first = inputs.first else { return }
        let number = manifest.nextFileNumber
        manifest.nextFileNumber += 1
        let database = shared.catalog.database(id: first.entry.databaseID)
        let segment = try SegmentBuild(
            self, database: database, partition: first.entry.partitionStart, number: number
        ).write(merging: inputs, level: level)
        // A flush may have come in between.
        var next = manifest
        if let segment { next.segments.append(segment) }
        try install(next, adding: segment.map { [$0] } ?? [], removing: inputs) { _ in }
        shared.counters.compactions.record(nanoseconds: monotonicNanoseconds() - start)
    }

    // MARK: Retention

    /// Drops partitions that are wholly past their retention, and those of dropped databases.
    private func dropExpired() throws(StorageError) {
        let now = shared.environment.now()
        noteClock(now)
        var expired: [LoadedSegment] = []
        for segment in currentSegments() {
            guard let database = shared.catalog.database(id: segment.entry.databaseID) else {
                let id = segment.entry.databaseID
                // The drop has to be on disk before the data goes.
                if droppedDurably.contains(id) || !databasesAtOpening.contains(id) {
                    expired.append(segment)
                }
                continue
            }
            let retention = database.retentionNanoseconds
            guard retention > 0, !clockJumped else { continue }
            let end = segment.entry.partitionStart.addingReportingOverflow(
                segment.entry.partitionNanoseconds)
            if !end.overflow, end.partialValue <= now &- retention { expired.append(segment) }
        }
        guard !expired.isEmpty else { return }
        try install(manifest, adding: [], removing: expired) { _ in }
        // A longer retention must not bring back what is gone.
        shared.lastRows.dropAll()
        retireSeries(ofDatabases: Set(expired.map(\.entry.databaseID)))
        let left = Set(manifest.segments.map { Partition($0) })
        lastFlush = lastFlush.filter { left.contains($0.key) }
    }

    /// A clock that jumps ahead must not take everything with it.
    private func noteClock(_ now: Int64) {
        let monotonic = monotonicNanoseconds()
        defer { lastTick = (now, monotonic) }
        guard let last = lastTick else { return }
        let jump = now &- last.wall &- (monotonic &- last.monotonic)
        if jump > Self.clockJumpNanoseconds { clockJumped = true }
        shared.state.withLock { $0.isRetentionPaused = clockJumped }
    }

    /// Lets a flush in while a merge is under way.
    func makeRoom() {
        guard shared.frozenCount.load(ordering: .relaxed) > 0 else { return }
        note { () throws(StorageError) in try self.flushFrozen() }
    }

    // MARK: The end

    /// The last MANIFEST of this opening. Called when both threads have stopped.
    func recordCleanEnd(_ end: LogPosition) throws(StorageError) {
        var last = manifest
        last.version += 1
        last.cleanEnd = end
        last.lastClock = max(last.lastClock, shared.environment.now())
        try replaceManifest(with: last)
        for path in obsolete { try fileSystem.remove(path) }
    }
}
