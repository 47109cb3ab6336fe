// Runs the morsels of a scan on the calling thread and the pool's.

internal import ApusStorage

/// A thread's consumer of a scan. Belongs to one thread at a time.
protocol ScanWorker: ScanConsumer, SendableMetatype {
    /// An error of the query that ended the scan.
    var failure: QueryError? { get }
    /// The part of a range of times whose rows can still change the answer; nil if there is none.
    func part(of range: TimeRange) -> TimeRange?
}

extension ScanWorker {
    func part(of range: TimeRange) -> TimeRange? { range }
}

/// Rows below which waking another thread costs more than it brings.
private let parallelRowsMin = 32_768

/// What one thread did of a scan.
private struct ScanShare<Worker: ScanWorker> {
    var worker: Worker
    var counters = ScanCounters()
}

extension QueryEngine {
    /// The workers that took part, and what the scan did. Partitions are taken in the order of
    /// time, or against it.
    func runScan<Worker: ScanWorker>(
        _ snapshot: Snapshot, _ scan: ScanPlan, _ request: ScanRequest, _ context: QueryContext,
        newestFirst: Bool = false, makeWorker: @escaping () -> Worker
    ) throws(QueryError) -> (workers: [Worker], counters: ScanCounters) {
        guard !request.timeRange.isEmpty else { return ([], ScanCounters()) }
        var planned = try translating { () throws(StorageError) in
            try snapshot.plan(scan.table, request, rowsPerMorsel: 65_536)
        }
        if newestFirst { planned.reverse() }
        let morsels = planned
        let rows = morsels.reduce(0) { $0 &+ $1.estimatedRows }
        let shares = try inPieces(
            morsels.count, helpers: rows >= parallelRowsMin ? pool.threadCount : 0, context,
            make: { ScanShare(worker: makeWorker()) },
            step: { (share, index) throws(QueryError) in
                guard let part = share.worker.part(of: morsels[index].timeRange) else {
                    return true
                }
                do throws(StorageError) {
                    try snapshot.run(
                        morsels[index], request, within: part, into: &share.worker,
                        counters: &share.counters)
                } catch {
                    throw share.worker.failure ?? QueryError(error)
                }
                if let failure = share.worker.failure { throw failure }
                return !share.worker.isDone
            })
        var counters = ScanCounters()
        for share in shares { counters.add(share.counters) }
        return (shares.map(\.worker), counters)
    }
}
