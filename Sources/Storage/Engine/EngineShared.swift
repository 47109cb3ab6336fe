// What the engine's threads share.
//
// State                      owner                          guard
// ─────────────────────────  ─────────────────────────────  ─────────────────────────────────
// published                  log thread, maintenance        the publish lock (microseconds)
// activeHead                 log thread                     only it swaps; appends are its own
// lifecycle, read-only       anyone may set                 `state`
// counters                   everyone                       atomics

internal import Synchronization

/// Counters behind `StorageMetrics`.
final class EngineCounters: Sendable {
    let rows = Atomic(0)
    let values = Atomic(0)
    let batches = Atomic(0)
    let rejected = Atomic(0)
    let logBytes = Atomic(0)
    let logSyncs = DurationHistogram()
    let flushes = DurationHistogram()
    let compactions = DurationHistogram()
}

final class EngineShared: Sendable {
    struct State: Sendable {
        var isClosed = false
        var readOnlyReason: String?
        /// The last maintenance that failed, until one succeeds.
        var maintenanceFailure: StorageError?
        /// Whether rows are kept past their retention, because the clock stands ahead of what is plausible.
        var isRetentionPaused = false
    }

    let catalog: Catalog
    let options: StorageOptions
    let environment: EngineEnvironment
    let counters = EngineCounters()
    let published: Mutex<Published>
    let chunkMemory: ChunkMemory
    let lastRows: LastRows
    let state = Mutex(State())
    /// Bytes of batches between commit and acknowledgement.
    let pendingBytes = Atomic(0)
    /// Long work of the maintenance thread gives up when it sees this.
    let isStopping = Atomic(false)
    /// Heads that wait for their flush: a merge makes room for it.
    let frozenCount = Atomic(0)
    /// Tables of which segments may hold rows of dropped series, and since when.
    let tablesWithDropped = Mutex<[UInt32: Int64]>([:])
    let maintenance = BlockingQueue<MaintenanceItem>()
    let commits = BlockingQueue<CommitItem>()

    init(
        catalog: Catalog, options: StorageOptions, environment: EngineEnvironment, version: Version
    ) {
        self.catalog = catalog
        self.options = options
        self.environment = environment
        // What a flushed head leaves, for the one that fills meanwhile.
        chunkMemory = ChunkMemory(
            keptBytesMax: Int(Double(options.memoryBytesMax) * options.headShareOfMemory),
            bytesMax: options.pendingBytesMax)
        lastRows = LastRows(bytesMax: options.memoryBytesMax / 16)
        published = Mutex(Published(version: version, active: Head(memory: chunkMemory)))
    }

    var activeHead: Head { published.withLock { $0.active } }
    var isReadOnly: Bool { state.withLock { $0.readOnlyReason != nil } }

    func becomeReadOnly(_ reason: String) {
        state.withLock { if $0.readOnlyReason == nil { $0.readOnlyReason = reason } }
    }

    /// Makes a head's new rows visible, or hides what is deleted, and hands full chunks over to be
    /// sorted.
    func publish(_ head: Head, through sequence: UInt64, hiding tombstone: Tombstone? = nil) {
        let sealed = published.withLock { published in
            let sealed = head.publish()
            published.visibleSequence = sequence
            if let tombstone {
                published.tombstones[tombstone.tableID, default: .init()].insert(tombstone)
            }
            return sealed
        }
        for chunk in sealed { maintenance.push(.sort(WeakChunk(chunk))) }
    }

    /// Takes a segment, or the table of it whose bytes turned out to be damaged, out of use. The
    /// file stays.
    func setAside(_ error: StorageError) {
        guard case .corrupt(let file, let offset, _) = error else { return }
        published.withLock { published in
            let segments = published.version.segments
            guard segments.contains(where: { $0.entry.path == file && $0.reader != nil }) else {
                return
            }
            published.version = Version(
                segments: segments.map {
                    $0.entry.path == file ? $0.settingAside(error, at: offset) : $0
                })
        }
    }

    func freeze(_ frozen: FrozenHead) {
        published.withLock { published in
            frozen.head.seal()
            published.frozen.append(frozen)
            published.active = Head(memory: chunkMemory)
        }
        frozenCount.add(1, ordering: .relaxed)
        maintenance.push(.flushFrozen)
    }

    /// Bytes of all heads: the log thread's own count, read loosely.
    var headBytes: (active: Int, frozen: Int) {
        published.withLock { published in
            (published.active.byteCount, published.frozen.reduce(0) { $0 + $1.head.byteCount })
        }
    }
}

/// A chunk that may be gone when its turn comes: flushed, it must not wait in a queue with its memory.
///
/// Safe: set once.
package struct WeakChunk: @unchecked Sendable {
    package private(set) weak var chunk: HeadChunk?

    package init(_ chunk: HeadChunk) { self.chunk = chunk }
}

/// What the maintenance thread is asked to do.
enum MaintenanceItem: Sendable {
    case sort(WeakChunk)
    case flushFrozen
    case flush(@Sendable (Result<Void, StorageError>) -> Void)
    case compact(databaseID: UInt32?, @Sendable (Result<Void, StorageError>) -> Void)
    /// What is due now and then, without waiting for then.
    case maintain(@Sendable (Result<Void, StorageError>) -> Void)
    /// Nothing follows. Answers how far MANIFEST says that the log is flushed.
    case stop(@Sendable (Result<UInt64, StorageError>) -> Void)

    /// Answers without doing: the maintenance thread has gone.
    func refuse() {
        switch self {
        case .sort, .flushFrozen: break
        case .flush(let done), .compact(_, let done), .maintain(let done):
            done(.failure(.closed))
        case .stop(let done): done(.failure(.closed))
        }
    }
}
