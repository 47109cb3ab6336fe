// Runs the morsels of a scan on the calling thread and the pool's.

internal import ApusStorage
internal import Synchronization

/// A thread's consumer of a scan. Belongs to one thread at a time.
protocol ScanWorker: AnyObject, ScanConsumer, SendableMetatype {
    /// An error of the query that ended the scan.
    var failure: QueryError? { get }
    func consume(_ rows: ScanRows) throws(StorageError)
    func consume(_ summary: ScanSummary) throws(StorageError)
    /// The part of a range of times whose rows can still change the answer; nil if there is none.
    func part(of range: TimeRange) -> TimeRange?
}

extension ScanWorker {
    func part(of range: TimeRange) -> TimeRange? { range }
}

/// Rows below which waking another thread costs more than it brings.
private let parallelRowsMin = 32_768

/// One scan under way. Safe: `state` is behind its mutex, the rest is immutable.
private final class ScanJob<Worker: ScanWorker>: @unchecked Sendable {
    struct State {
        var workers: [Worker] = []
        var counters = ScanCounters()
        var failure: QueryError?
    }

    let snapshot: Snapshot
    let request: ScanRequest
    let morsels: [ScanMorsel]
    let counter: MorselCounter
    let context: QueryContext
    let make: () -> Worker
    let waiting = WaitGroup()
    let state = Mutex(Box(State()))

    /// Safe: touched with the mutex held only; each worker is handed over once.
    final class Box: @unchecked Sendable {
        var value: State
        init(_ value: State) { self.value = value }
    }

    init(
        _ snapshot: Snapshot, _ request: ScanRequest, _ morsels: [ScanMorsel],
        _ context: QueryContext, _ make: @escaping () -> Worker
    ) {
        self.snapshot = snapshot
        self.request = request
        self.morsels = morsels
        self.context = context
        self.make = make
        counter = MorselCounter(count: morsels.count)
    }

    func participate() {
        guard waiting.enter() else { return }
        defer { waiting.leave() }
        guard let first = counter.take() else { return }
        var worker = make()
        var counters = ScanCounters()
        var failure: QueryError?
        var next: Int? = first
        while let index = next, failure == nil, !worker.isDone {
            do throws(QueryError) {
                try context.check()
                guard let part = worker.part(of: morsels[index].timeRange) else {
                    next = counter.take()
                    continue
                }
                try translating { () throws(StorageError) in
                    try snapshot.run(
                        morsels[index], request, within: part, into: &worker, counters: &counters)
                }
            } catch {
                failure = worker.failure ?? error
            }
            next = failure == nil ? counter.take() : nil
        }
        failure = failure ?? worker.failure
        if failure != nil { context.stop() }
        finish(worker, counters, failure)
    }

    private func finish(_ worker: Worker, _ counters: ScanCounters, _ failure: QueryError?) {
        nonisolated(unsafe) let worker = worker
        state.withLock { box in
            box.value.workers.append(worker)
            box.value.counters.add(counters)
            // A thread that was told to stop is not the cause.
            if box.value.failure == nil { box.value.failure = failure }
        }
    }

    func take() -> State {
        waiting.closeAndWait()
        nonisolated(unsafe) var result = State()
        state.withLock { result = $0.value }
        return result
    }
}

extension QueryEngine {
    /// The workers that took part, and what the scan did. Partitions are taken in the order of
    /// time, or against it.
    func runScan<Worker: ScanWorker>(
        _ snapshot: Snapshot, _ scan: ScanPlan, _ request: ScanRequest, _ context: QueryContext,
        newestFirst: Bool = false, makeWorker: @escaping () -> Worker
    ) throws(QueryError) -> (workers: [Worker], counters: ScanCounters) {
        guard !request.timeRange.isEmpty else { return ([], ScanCounters()) }
        var morsels = try translating { () throws(StorageError) in
            try snapshot.plan(scan.table, request, rowsPerMorsel: 65_536)
        }
        if newestFirst { morsels.reverse() }
        let job = ScanJob(snapshot, request, morsels, context, makeWorker)
        let rows = morsels.reduce(0) { $0 &+ $1.estimatedRows }
        if rows >= parallelRowsMin {
            for _ in 0..<min(pool.threadCount, morsels.count - 1) {
                pool.submit { job.participate() }
            }
        }
        job.participate()
        let state = job.take()
        if let failure = state.failure { throw failure }
        return (state.workers, state.counters)
    }
}
