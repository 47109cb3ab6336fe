// Opens a store: MANIFEST → catalog files → segments → log.
//
// The log is replayed by the same applier that runs live. A head that fills up on the way is
// flushed, so recovery needs no more memory than running.

internal import Glibc
internal import Synchronization

enum Recovery {
    struct Opened {
        var shared: EngineShared
        var pipeline: CommitPipeline
        var maintenance: Maintenance
        var notes: [String]
    }

    static func open(
        _ fileSystem: any FileSystem, _ options: StorageOptions, _ environment: EngineEnvironment
    ) throws(StorageError) -> Opened {
        var notes: [String] = []
        for directory in ["log", "catalog", "data"] where !fileSystem.exists(directory) {
            try fileSystem.createDirectory(directory)
        }
        let options = options.clamped
        let loaded = try loadManifest(fileSystem, &notes)
        var manifest = loaded.manifest
        let catalog = Catalog()
        let persisted = try readCatalog(
            fileSystem, manifest, catalog, usesThreads: environment.usesThreads)
        let segments = manifest.segments.map { LoadedSegment.open(fileSystem, $0) }
        if loaded.fallback != nil {
            manifest.nextFileNumber = try firstFreeNumber(fileSystem, manifest)
        }
        for segment in segments {
            guard let damage = segment.damage else { continue }
            switch damage {
            case .corrupt: break
            case .io(_, _, let number) where number == ENOENT: break
            // Too many open files, say: nothing is wrong with the segment.
            default: throw damage
            }
            notes.append("set aside: \(damage)")
        }
        if loaded.fallback == nil { try removeOrphans(fileSystem, manifest) }
        let shared = EngineShared(
            catalog: catalog, options: options, environment: environment,
            version: Version(segments: segments))
        shared.published.withLock { published in
            for tombstone in manifest.tombstones {
                published.tombstones[tombstone.tableID, default: .init()].insert(tombstone)
            }
        }
        return try replay(fileSystem, shared, manifest, persisted, &notes)
    }

    private static func loadManifest(
        _ fileSystem: any FileSystem, _ notes: inout [String]
    ) throws(StorageError) -> Manifest.Loaded {
        if let loaded = try Manifest.load(fileSystem) {
            if let fallback = loaded.fallback {
                notes.append("\(fallback); went on with \(Manifest.previousPath)")
            }
            return loaded
        }
        // A directory with a log and no MANIFEST is not a new store.
        let logs = try fileSystem.list("log").filter {
            $0.hasSuffix(".log") && !$0.hasPrefix("spare")
        }
        let others =
            try fileSystem.list("data")
            + fileSystem.list("catalog").filter { $0.hasSuffix(".catalog") }
        guard logs.isEmpty, others.isEmpty else {
            throw .corrupt(
                file: Manifest.path, offset: 0,
                reason: "the file is missing beside a log, segments or catalog files")
        }
        var manifest = Manifest()
        manifest.version = 1
        try manifest.store(fileSystem, predecessor: nil)
        try fileSystem.syncDirectory("")
        return Manifest.Loaded(manifest: manifest)
    }

    /// Returns what the files hold of each table.
    private static func readCatalog(
        _ fileSystem: any FileSystem, _ manifest: Manifest, _ catalog: Catalog, usesThreads: Bool
    ) throws(StorageError) -> [UInt32: PersistedSeries] {
        catalog.beginLoading()
        for file in manifest.catalogFiles {
            let path = CatalogFile.path(file.number)
            let bytes = try fileSystem.readFile(path)
            guard bytes.count == file.byteCount else {
                throw .corrupt(
                    file: path, offset: UInt64(bytes.count),
                    reason: "\(bytes.count) bytes, \(file.byteCount) expected")
            }
            let frames = try CatalogFile.frames(bytes, path: path)
            do throws(ByteReader.Malformed) {
                try apply(frames, to: catalog, usesThreads: usesThreads)
            } catch { throw CatalogFile.corrupt(path, error) }
        }
        catalog.settle(usesThreads: usesThreads)
        catalog.raiseNextIDs(database: manifest.nextDatabaseID, table: manifest.nextTableID)
        catalog.forgetChanges()
        return catalog.state.withLock { state in
            state.tablesByID.mapValues { PersistedSeries($0) }
        }
    }

    /// While the entries of one frame are applied another thread takes the next one apart: each is half of
    /// the work.
    private static func apply(
        _ frames: [CatalogFile.Frame], to catalog: Catalog, usesThreads: Bool
    ) throws(ByteReader.Malformed) {
        typealias Entries = [(offset: Int, entry: CatalogEntry)]
        var next: Promise<Result<Entries, ByteReader.Malformed>>?
        for (index, frame) in frames.enumerated() {
            let entries: Entries
            if let next { entries = try next.wait().get() } else { entries = try frame.entries() }
            next = nil
            if usesThreads, index + 1 < frames.count, frames[index + 1].byteCount > 64 << 10 {
                let promise = Promise<Result<Entries, ByteReader.Malformed>>()
                let following = frames[index + 1]
                startThread("apus-open") {
                    promise.fulfil(
                        Result { () throws(ByteReader.Malformed) in
                            try following.entries()
                        })
                }
                next = promise
            }
            for (offset, entry) in entries {
                do throws(ByteReader.Malformed) {
                    try catalog.apply(entry, from: offset)
                } catch { throw frame.inFile(error) }
            }
        }
    }

    /// After a fallback files with higher numbers may lie about, which the lost MANIFEST named.
    private static func firstFreeNumber(
        _ fileSystem: any FileSystem, _ manifest: Manifest
    ) throws(StorageError) -> UInt64 {
        var free = manifest.nextFileNumber
        func note(_ name: String) {
            guard let number = UInt64(name.prefix { $0.isNumber }) else { return }
            free = max(free, number &+ 1)
        }
        for name in try fileSystem.list("catalog") { note(name) }
        for database in try fileSystem.list("data") where database.hasSuffix("/") {
            for partition in try fileSystem.list("data/" + database.dropLast())
            where partition.hasSuffix("/") {
                for name in try fileSystem.list("data/" + database + partition.dropLast()) {
                    note(name)
                }
            }
        }
        return free
    }

    /// Files that neither MANIFEST nor its predecessor names: remains of work that was cut off.
    private static func removeOrphans(_ fileSystem: any FileSystem, _ manifest: Manifest)
        throws(StorageError)
    {
        var named = Set(manifest.segments.map(\.path))
        named.formUnion(manifest.catalogFiles.map { CatalogFile.path($0.number) })
        if fileSystem.exists(Manifest.previousPath),
            let bytes = try? fileSystem.readFile(Manifest.previousPath),
            let previous = try? Manifest.decode(bytes, path: Manifest.previousPath)
        {
            named.formUnion(previous.segments.map(\.path))
            named.formUnion(previous.catalogFiles.map { CatalogFile.path($0.number) })
        }
        for path in ["MANIFEST.new", "MANIFEST.previous.new"] { try fileSystem.remove(path) }
        for name in try fileSystem.list("catalog") where !named.contains("catalog/" + name) {
            if name.hasSuffix(".catalog") || name.hasSuffix(".new") {
                try fileSystem.remove("catalog/" + name)
            }
        }
        for database in try fileSystem.list("data") where database.hasSuffix("/") {
            for partition in try fileSystem.list("data/" + database.dropLast())
            where partition.hasSuffix("/") {
                let directory = "data/" + database + partition.dropLast()
                for name in try fileSystem.list(directory)
                where !named.contains(directory + "/" + name) {
                    if name.hasSuffix(".segment") || name.hasSuffix(".new") {
                        try fileSystem.remove(directory + "/" + name)
                    }
                }
            }
        }
    }

    private static func replay(
        _ fileSystem: any FileSystem, _ shared: EngineShared, _ manifest: Manifest,
        _ persisted: [UInt32: PersistedSeries], _ notes: inout [String]
    ) throws(StorageError) -> Opened {
        let spares = try LogSpares(
            fileSystem: fileSystem, fileBytes: max(shared.options.logFileBytes, 8192))
        let maintenance = Maintenance(
            shared: shared, fileSystem: fileSystem, spares: spares, manifest: manifest,
            manifestBytes: manifest.encoded(), persisted: persisted)
        shared.catalog.state.withLock { $0.isReplaying = true }
        let recovery = try LogReader.replay(
            fileSystem: fileSystem, after: manifest.flushedThrough, cleanEnd: manifest.cleanEnd
        ) { (sequence, kind, payload) throws(StorageError) in
            try apply(sequence, kind, payload, shared)
            let head = shared.activeHead
            let limit = Double(shared.options.memoryBytesMax) * shared.options.headShareOfMemory
            if Double(head.byteCount) > limit {
                try flush(head, through: sequence, shared, maintenance)
            }
        }
        shared.catalog.state.withLock { $0.isReplaying = false }
        maintenance.replayIsOver()
        if let torn = recovery.tornTail {
            notes.append("cut a torn tail: \(torn.file) at byte \(torn.offset): \(torn.reason)")
        }
        shared.publish(shared.activeHead, through: recovery.lastSequence)
        let log = try LogWriter(
            fileSystem: fileSystem, nextSequence: recovery.lastSequence + 1,
            nextFileNumber: recovery.nextFileNumber, options: shared.options,
            payloadBytesMax: shared.environment.logRecordBytesMax, liveFiles: recovery.files)
        maintenance.useSpares(log.spares)
        let pipeline = CommitPipeline(log: log, shared: shared)
        return Opened(shared: shared, pipeline: pipeline, maintenance: maintenance, notes: notes)
    }

    /// A head that filled up during replay goes to disk; everything so far is durable in the log.
    private static func flush(
        _ head: Head, through sequence: UInt64, _ shared: EngineShared, _ maintenance: Maintenance
    ) throws(StorageError) {
        shared.publish(head, through: sequence)
        let mark = shared.catalog.cut()
        shared.freeze(FrozenHead(head: head, flushThrough: sequence, mark: mark))
        for item in shared.maintenance.takeAll(milliseconds: 0) { maintenance.process(item) }
        if let failure = shared.state.withLock({ $0.maintenanceFailure }) { throw failure }
    }

    // Safe: the payload is the reader's, valid during the call; everything kept is copied.
    private static func apply(
        _ sequence: UInt64, _ kind: LogRecord.Kind, _ payload: UnsafeRawBufferPointer,
        _ shared: EngineShared
    ) throws(StorageError) {
        do throws(ByteReader.Malformed) {
            switch kind {
            case .definitions, .fieldDrops: try shared.catalog.applyAll(payload)
            case .write:
                let head = shared.activeHead
                let groups = try BatchRecord.decode(payload)
                let firstLine = groups.compactMap(\.order.first).min() ?? 0
                for group in groups {
                    guard let table = shared.catalog.table(id: group.tableID) else { continue }
                    let count = table.seriesCount
                    let fields = table.schema.fieldCountEver
                    guard group.series.allSatisfy({ $0 < count }),
                        group.fields.allSatisfy({ $0.id < fields })
                    else { throw .init(offset: 0, reason: "a series or field that is not defined") }
                    HeadApplier.apply(group, firstLine: firstLine, sequence: sequence, to: head)
                    head.note(
                        partitions: table.database.partitions(of: group.times),
                        ofDatabase: table.database.id)
                }
                head.endBatch()
            case .delete:
                var reader = ByteReader(payload)
                let tombstone = try Tombstone.read(&reader, sequence: sequence)
                guard reader.isAtEnd else {
                    throw .init(offset: reader.offset, reason: "bytes behind a tombstone")
                }
                shared.activeHead.endChunks(ofTable: tombstone.tableID)
                shared.publish(shared.activeHead, through: sequence, hiding: tombstone)
            case .statement, .checkpoint: break
            }
        } catch {
            throw .corrupt(
                file: "log (sequence \(sequence))", offset: UInt64(error.offset),
                reason: error.reason)
        }
    }
}
