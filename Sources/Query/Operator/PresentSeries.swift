// Questions that only ask which tags there are in a range of times: of a series that has a row there, no
// other row can say more. Directories and heads tell most series; those of blocks that reach out of the
// range are looked up.

internal import ApusStorage

/// Notes the series that have rows. One thread's.
private struct SeriesCollector: ScanWorker {
    private(set) var series: SeriesSet
    private let context: QueryContext
    var failure: QueryError? { nil }

    init(capacity: Int, _ context: QueryContext) {
        series = SeriesSet(capacity: capacity)
        self.context = context
    }

    var isDone: Bool { context.isStopped }

    mutating func consume(_ rows: ScanRows) { series.insert(rows.series) }
    mutating func consume(_ summary: ScanSummary) { series.insert(summary.series) }
}

extension QueryEngine {
    /// The frame behind a GROUP BY or DISTINCT of tags alone.
    func tagsFromPresence(
        _ plan: SelectPlan, _ scan: ScanPlan, _ request: ScanRequest, _ snapshot: Snapshot,
        _ context: QueryContext, _ report: inout ExecutionReport
    ) throws(QueryError) -> Frame? {
        guard plan.latest == nil, let grouping = plan.grouping, !request.timeRange.isEmpty,
            let shape = LatestShape(tagsOf: grouping, scan)
        else { return nil }
        // Behind the storage's snapshot: it has all its series.
        let series = scan.table.seriesSnapshot
        let presence = try translating { () throws(StorageError) in
            try snapshot.presence(
                of: scan.table, in: request.timeRange, among: request.series, count: series.count)
        }
        var present = presence.certain
        let open = presence.open(among: request.series)
        if open.isEmpty {
            report.usesPresence = true
        } else {
            var lookup = request
            lookup.series = open
            lookup.fields = []
            lookup.fieldTypes = []
            lookup.latestOnly = true
            let (collectors, counters) = try runScan(snapshot, scan, lookup, context) {
                SeriesCollector(capacity: series.count, context)
            }
            report.counters.add(counters)
            for collector in collectors { present.formUnion(collector.series) }
        }
        if let wanted = request.series { present.formIntersection(wanted) }
        let frame = try group(
            grouping, shape, nil, .listed(present.members), series, scan, context)
        report.groupCount = frame.count
        return frame
    }
}
