// The one writer: takes what all connections want stored, gives it sequences, logs it with one
// write and one sync, puts in force what it defines, applies it to the head, publishes, answers.
//
//     stage → log, sync → enact → apply → publish → acknowledge
//
// Everything that gathers while a group syncs forms the next group. A group that could not be
// written leaves nothing behind; a sync that failed makes the store read-only until it is reopened.
// Definitions and deletes of statements go one by one, after the writes of their group.

internal import Synchronization

/// What the log thread is asked to do.
enum CommitItem: Sendable {
    case write(WriteBatch, @Sendable (Result<WriteReceipt, StorageError>) -> Void)
    /// Makes a definition durable, and then puts it in force.
    case define(Definition, @Sendable (Result<Void, StorageError>) -> Void)
    /// Makes a tombstone durable, and then hides what it says. False: there are other series by now.
    case delete(Deletion, @Sendable (Result<Bool, StorageError>) -> Void)
    /// Freezes the active head, even if it is empty but for definitions.
    case freeze(@Sendable (Result<Void, StorageError>) -> Void)
    /// Log files wholly at or below the sequence may go.
    case trim(UInt64)
    /// Syncs and reports the end of the log; nothing follows.
    case stop(flushedThrough: UInt64, @Sendable (Result<LogPosition, StorageError>) -> Void)

    /// Answers without doing: the log thread has gone.
    func refuse() {
        switch self {
        case .write(_, let done): done(.failure(.closed))
        case .define(_, let done), .freeze(let done): done(.failure(.closed))
        case .delete(_, let done): done(.failure(.closed))
        case .trim: break
        case .stop(_, let done): done(.failure(.closed))
        }
    }
}

/// Safe: `log`, `head` and the clocks belong to the thread that runs `process`.
final class CommitPipeline: @unchecked Sendable {
    private typealias Write = (
        batch: WriteBatch, done: @Sendable (Result<WriteReceipt, StorageError>) -> Void
    )

    private let log: LogWriter
    private let shared: EngineShared
    private var lastSyncNanoseconds = monotonicNanoseconds()
    private var headStartNanoseconds = monotonicNanoseconds()
    private var logBytesAtFreeze = 0
    /// When rows of the present were last written.
    private var lastPresentNanoseconds = Int64.min / 2
    /// For so long afterwards those who write history yield to them.
    private static let presentNanoseconds: Int64 = 100_000_000

    init(log: LogWriter, shared: EngineShared) {
        self.log = log
        self.shared = shared
    }

    /// One group. The log thread's loop body, or a caller's without threads.
    func process(_ items: [CommitItem]) {
        var writes: [Write] = []
        var statements: [() -> Void] = []
        var freezes: [@Sendable (Result<Void, StorageError>) -> Void] = []
        var stop:
            (flushedThrough: UInt64, done: @Sendable (Result<LogPosition, StorageError>) -> Void)?
        for item in items {
            switch item {
            case .write(let batch, let done): writes.append((batch, done))
            case .define(let definition, let done):
                statements.append { done(self.define(definition)) }
            case .delete(let deletion, let done):
                statements.append { done(self.delete(deletion)) }
            case .freeze(let done): freezes.append(done)
            case .trim(let sequence): trim(sequence)
            case .stop(let flushedThrough, let done): stop = (flushedThrough, done)
            }
        }
        if !writes.isEmpty { commit(writes) }
        for statement in statements { statement() }
        syncIfDue()
        if !freezes.isEmpty || shouldFreeze {
            let result = freeze()
            for done in freezes { done(result) }
        }
        if let stop { finish(stop.flushedThrough, stop.done) }
    }

    private func commit(_ writes: [Write]) {
        var writes = writes
        while let (index, error) = commitUnlessOneFails(writes) {
            // It takes nobody along, and must not define anything: the group is made anew.
            answer(writes.remove(at: index), .failure(error))
            for write in writes { write.batch.unbind() }
        }
    }

    /// Stores and answers all, or returns the first write that can't be: a statement with a row that
    /// is refused, or more than a record holds.
    private func commitUnlessOneFails(_ writes: [Write]) -> (index: Int, error: StorageError)? {
        var binder = BatchBinder(catalog: shared.catalog, options: shared.options)
        for (index, write) in writes.enumerated() {
            binder.bind(write.batch)
            if let error = write.batch.refusalOfStatement { return (index, error) }
        }
        let staged = binder.staged
        var sequences: [UInt64] = []
        do throws(StorageError) {
            try beginGroup(CatalogEntry.pieces(staged.entries))
            for (index, write) in writes.enumerated() {
                guard write.batch.rowCount > 0 else {
                    sequences.append(0)
                    continue
                }
                do throws(StorageError) {
                    let sequence = try log.appendRecord(kind: .write) {
                        BatchRecord.encode(write.batch, into: &$0)
                    }
                    sequences.append(sequence)
                } catch {
                    return (index, error)
                }
            }
            try logGroup(sync: shared.options.durability == .always)
        } catch {
            note(error)
            for write in writes { answer(write, .failure(error)) }
            return nil
        }
        shared.catalog.enact(staged)
        apply(zip(writes, sequences).filter { $1 > 0 }.map { ($0.batch, $1) })
        for (write, sequence) in zip(writes, sequences) {
            shared.counters.rejected.add(write.batch.rejectedCount, ordering: .relaxed)
            let receipt = WriteReceipt(
                write.batch, sequence: sequence, shouldYield: isOvertaking(write.batch))
            answer(write, .success(receipt))
        }
        return nil
    }

    /// Whether the batch's rows are all of the past while others write rows of the present.
    private func isOvertaking(_ batch: WriteBatch) -> Bool {
        guard let database = batch.groups.first?.binding?.table.database else { return false }
        let now = monotonicNanoseconds()
        if database.isPresent(batch.latestPartition) {
            lastPresentNanoseconds = now
            return false
        }
        return now - lastPresentNanoseconds < Self.presentNanoseconds
    }

    private func answer(_ write: Write, _ result: Result<WriteReceipt, StorageError>) {
        shared.pendingBytes.subtract(write.batch.byteCount, ordering: .relaxed)
        write.done(result)
    }

    /// Logs the definition with a sync, whatever the durability of writes, and only then puts it in
    /// force: what failed never was.
    private func define(_ definition: Definition) -> Result<Void, StorageError> {
        do throws(StorageError) {
            let definition = try shared.withoutThoseThatCameBack(definition)
            let entries = try shared.catalog.plan(definition, shared.options)
            try beginGroup(
                CatalogEntry.pieces(entries),
                kind: entries.contains(where: \.isFieldDrop) ? .fieldDrops : .definitions)
            try logGroup(sync: true)
            shared.catalog.enact(entries)
        } catch {
            note(error)
            return .failure(error)
        }
        switch definition {
        case .dropSeries(let table, _), .retireSeries(let table, _, _):
            shared.noteDroppedSeries(of: table)
        default: break
        }
        shared.publish(shared.activeHead, through: log.lastSequence)
        return .success(())
    }

    /// Logs a tombstone with a sync, whatever the durability of writes. Rows that come later go into other
    /// chunks, so that each is wholly older or newer.
    private func delete(_ deletion: Deletion) -> Result<Bool, StorageError> {
        let tombstone: Tombstone
        do throws(StorageError) {
            switch try shared.decide(deletion, sequence: log.lastSequence + 1) {
            case .tombstone(let made): tombstone = made
            case .nothing: return .success(true)
            case .lookAgain: return .success(false)
            }
            log.beginGroup()
            _ = try log.appendRecord(kind: .delete) { tombstone.append(to: &$0) }
            try logGroup(sync: true)
        } catch {
            note(error)
            return .failure(error)
        }
        let head = shared.activeHead
        head.endChunks(ofTable: tombstone.tableID)
        shared.publish(head, through: log.lastSequence, hiding: tombstone)
        return .success(true)
    }

    private func beginGroup(
        _ definitions: [[UInt8]], kind: LogRecord.Kind = .definitions
    ) throws(StorageError) {
        log.beginGroup()
        for piece in definitions { try log.appendRecord(kind: kind) { $0.append(piece) } }
    }

    /// After a group that could not be logged.
    private func note(_ error: StorageError) {
        if case .readOnly(let reason) = error { shared.becomeReadOnly(reason) }
    }

    private func logGroup(sync: Bool) throws(StorageError) {
        let before = log.bytesSinceStart
        let start = monotonicNanoseconds()
        try log.commitGroup(sync: sync)
        if sync {
            lastSyncNanoseconds = monotonicNanoseconds()
            shared.counters.logSyncs.record(nanoseconds: lastSyncNanoseconds - start)
        }
        shared.counters.logBytes.add(log.bytesSinceStart - before, ordering: .relaxed)
    }

    private func apply(_ batches: [(WriteBatch, UInt64)]) {
        let head = shared.activeHead
        for (batch, sequence) in batches {
            HeadApplier.apply(batch, sequence: sequence, to: head)
            if !batch.newPartitions.isEmpty, let table = batch.groups.first?.binding?.table {
                head.note(partitions: batch.newPartitions, ofDatabase: table.database.id)
            }
            shared.counters.rows.add(batch.rowCount, ordering: .relaxed)
            shared.counters.values.add(batch.valueCount, ordering: .relaxed)
            shared.counters.batches.add(1, ordering: .relaxed)
        }
        shared.publish(head, through: log.lastSequence)
    }

    private func syncIfDue() {
        guard case .interval(let milliseconds) = shared.options.durability,
            monotonicNanoseconds() - lastSyncNanoseconds >= Int64(milliseconds) * 1_000_000
        else { return }
        lastSyncNanoseconds = monotonicNanoseconds()
        do throws(StorageError) { try log.sync() } catch { shared.becomeReadOnly("\(error)") }
    }

    // MARK: Freezing

    private var shouldFreeze: Bool {
        let head = shared.activeHead
        guard !head.isEmpty, !shared.isReadOnly else { return false }
        let options = shared.options
        return Double(head.byteCount) > Double(options.memoryBytesMax) * options.headShareOfMemory
            || log.bytesSinceStart - logBytesAtFreeze > options.logBytesMax
            || monotonicNanoseconds() - headStartNanoseconds
                > Int64(options.headAgeMaxSeconds) * 1_000_000_000
    }

    /// Syncs what the head holds and what the catalog says about it, then swaps heads.
    private func freeze() -> Result<Void, StorageError> {
        headStartNanoseconds = monotonicNanoseconds()
        do throws(StorageError) { try log.sync() } catch {
            note(error)
            return .failure(error)
        }
        logBytesAtFreeze = log.bytesSinceStart
        shared.freeze(
            FrozenHead(
                head: shared.activeHead, flushThrough: log.lastSequence, mark: shared.catalog.cut())
        )
        return .success(())
    }

    private func trim(_ sequence: UInt64) {
        // A file that can't be removed now is removed by the next trim, or at the next opening.
        try? log.removeFiles(whollyAtOrBelow: sequence)
    }

    private func finish(
        _ flushedThrough: UInt64, _ done: @Sendable (Result<LogPosition, StorageError>) -> Void
    ) {
        do throws(StorageError) {
            done(.success(try log.finishCleanly(flushedThrough: flushedThrough)))
        } catch { done(.failure(error)) }
    }
}

/// Copies rows of batches and of replayed records into a head, in sequence order.
enum HeadApplier {
    static func apply(_ batch: WriteBatch, sequence: UInt64, to head: Head) {
        var firstLine = UInt32.max
        for group in batch.groups where group.rowCount > 0 {
            firstLine = min(firstLine, group.lines[0])
        }
        for group in batch.groups {
            guard let binding = group.binding, group.rowCount > 0 else { continue }
            var shape = ShapeKey(ids: [], types: [])
            var columns: [UnsafePointer<UInt64>] = []
            for (index, field) in binding.fields.enumerated() {
                guard let field else { continue }
                shape.ids.append(field.id)
                shape.types.append(field.type)
                columns.append(UnsafePointer(group.column(index)))
            }
            head.append(
                tableID: binding.table.id, shape: shape,
                source: HeadChunk.Source(
                    series: UnsafePointer(group.series), times: UnsafePointer(group.times),
                    order: UnsafePointer(group.lines), columns: columns,
                    strings: UnsafeRawPointer(batch.strings)),
                rowCount: group.rowCount, firstLine: firstLine, sequence: sequence)
        }
        for group in batch.groups {
            guard let binding = group.binding, group.rowCount > 0 else { continue }
            head.advanceOrder(
                tableID: binding.table.id, past: group.lines[group.rowCount - 1],
                firstLine: firstLine)
        }
        head.endBatch()
    }

    static func apply(
        _ group: RecordGroup, firstLine: UInt32, sequence: UInt64, to head: Head
    ) {
        group.series.withUnsafeBufferPointer { series in
            group.times.withUnsafeBufferPointer { times in
                group.order.withUnsafeBufferPointer { order in
                    group.columns.withUnsafeBufferPointer { columns in
                        group.strings.withUnsafeBytes { strings in
                            guard let series = series.baseAddress, let times = times.baseAddress,
                                let order = order.baseAddress
                            else { return }
                            let empty = UnsafeRawPointer(order)
                            head.append(
                                tableID: group.tableID,
                                shape: ShapeKey(
                                    ids: group.fields.map(\.id), types: group.fields.map(\.type)),
                                source: HeadChunk.Source(
                                    series: series, times: times, order: order,
                                    columns: columns.baseAddress.map { base in
                                        group.fields.indices.map { base + $0 * group.rowCount }
                                    } ?? [],
                                    strings: strings.baseAddress ?? empty),
                                rowCount: group.rowCount, firstLine: firstLine, sequence: sequence)
                        }
                    }
                }
            }
        }
        if let last = group.order.last {
            head.advanceOrder(tableID: group.tableID, past: last, firstLine: firstLine)
        }
    }
}
