// Executes a SELECT's plan: scan, LATEST ON, grouping, HAVING, output, order, limit.

internal import ApusStorage

/// What an execution leaves for EXPLAIN ANALYZE and the summary.
struct ExecutionReport {
    var counters = ScanCounters()
    var warnings: [String] = []
    var seriesMatched: Int?
    var usesSummaries = false
    /// LATEST ON was answered from the rows that the storage keeps for it.
    var usesLastRows = false
    /// Tags were answered from what directories and heads say of series.
    var usesPresence = false
    /// Rows that directories counted.
    var countedRows = 0
    var groupCount: Int?
    var rowCount = 0

    mutating func add(warnings new: [String]) {
        for warning in new where !warnings.contains(warning) { warnings.append(warning) }
    }
}

extension QueryEngine {
    /// Runs a query over one snapshot, which has all of its tables.
    func execute<Sink: ResultSink>(
        _ plan: QueryPlan, _ snapshot: Snapshot, _ context: QueryContext, strict: Bool,
        into sink: inout HeadHoldingSink<Sink>
    ) throws(QueryError) -> ExecutionReport {
        var report = ExecutionReport()
        try sink.begin(plan.resultColumns)
        var answer = AnswerSink(base: sink, context: context)
        defer { sink = answer.base }
        report.rowCount = try run(
            plan, snapshot, context, strict: strict, &report, into: &answer)
        return report
    }

    /// The rows of a query that belongs to another one.
    func run<Sink: BatchSink>(
        _ plan: QueryPlan, _ snapshot: Snapshot, _ context: QueryContext, strict: Bool,
        _ report: inout ExecutionReport, into sink: inout Sink
    ) throws(QueryError) -> Int {
        switch plan {
        case .set(let set):
            return try run(set, snapshot, context, strict: strict, &report, into: &sink)
        case .select(let select):
            if let scan = select.scan {
                return try scanned(
                    select, scan, snapshot, context, strict: strict, &report, into: &sink)
            }
            if let source = select.source {
                return try derived(
                    select, source, snapshot, context, strict: strict, &report, into: &sink)
            }
            let frame = try rowWithoutTable(select, context)
            return try emit(select, frame, context, &sink)
        }
    }

    private func scanned<Sink: BatchSink>(
        _ plan: SelectPlan, _ scan: ScanPlan, _ snapshot: Snapshot, _ context: QueryContext,
        strict: Bool, _ report: inout ExecutionReport, into sink: inout Sink
    ) throws(QueryError) -> Int {
        let warnings = snapshot.warnings(for: scan.table, in: scan.request.timeRange)
        if strict, let warning = warnings.first {
            throw QueryError(.damaged, warning, hint: "without strict=1 the rest is answered")
        }
        report.add(warnings: warnings)
        // Nothing is missing from the answer: no reason for `strict` to refuse it.
        report.add(warnings: plan.scope?.notices ?? [])
        var request = scan.request
        if let predicate = scan.seriesPredicate {
            let series = try predicate.select(scan.table, predicates, context)
            report.seriesMatched = (report.seriesMatched ?? 0) + series.count
            if series.isEmpty { request.timeRange = TimeRange(lower: 0, upper: 0) }
            request.series = series
        }
        if plan.latest != nil || plan.grouping != nil {
            let frame = try grouped(plan, scan, request, snapshot, context, &report)
            return try emit(plan, frame, context, &sink)
        }
        if !plan.sortKeys.isEmpty {
            return try sorted(plan, scan, request, snapshot, context, &report, &sink)
        }
        return try streamed(plan, scan, request, snapshot, context, &report, &sink)
    }

    /// SELECT without FROM has one row, which WHERE can take away.
    private func rowWithoutTable(
        _ plan: SelectPlan, _ context: QueryContext
    ) throws(QueryError) -> Frame {
        var one = Frame(count: 1, columns: [])
        if let condition = plan.condition {
            one = try one.filtered(by: condition) ?? Frame(count: 0, columns: [])
        }
        guard let grouping = plan.grouping else { return one }
        var worker = GroupingWorker(grouping, scan: nil, shape: nil, context: context)
        if one.count > 0 { try worker.add(one, timesAscend: false) }
        return try worker.finish()
    }

    // MARK: - Grouped

    /// The frame behind LATEST ON, if any, and GROUP BY, if any.
    private func grouped(
        _ plan: SelectPlan, _ scan: ScanPlan, _ request: ScanRequest, _ snapshot: Snapshot,
        _ context: QueryContext, _ report: inout ExecutionReport
    ) throws(QueryError) -> Frame {
        guard let first = plan.latest ?? plan.grouping else { return Frame(count: 0, columns: []) }
        if let frame = try latestFromLastRows(plan, scan, request, snapshot, context, &report) {
            return frame
        }
        if let frame = try tagsFromPresence(plan, scan, request, snapshot, context, &report) {
            return frame
        }
        if let frame = try counted(plan, scan, request, snapshot, context, &report) {
            return frame
        }
        var request = request
        let shape = GroupingShape(first, scan)
        if let shape, let summaries = shape.summaries(first) {
            request.summaries = summaries
            report.usesSummaries = true
        }
        let make = { GroupingWorker(first, scan: scan, shape: shape, context: context) }
        var merged = make()
        let limit = BucketLimit(plan, first, scan)
        var parts = [request.timeRange]
        if let limit, let (first, last) = snapshot.timeBounds(of: scan.table) {
            parts = limit.parts(of: request.timeRange, first: first, last: last)
        }
        for part in parts {
            request.timeRange = part
            let (workers, counters) = try runScan(
                snapshot, scan, request, context, makeWorker: make)
            report.counters.add(counters)
            for worker in workers {
                if merged.groupCount == 0 { merged = worker } else { try merged.merge(worker) }
            }
            if let limit, merged.groupCount >= limit.rowsMax { break }
        }
        var frame = try merged.finish()
        report.groupCount = frame.count
        guard plan.latest != nil else { return frame }
        // Without the keys the columns are those of the scan again.
        frame.columns.removeFirst(first.keys.count)
        guard let grouping = plan.grouping else { return frame }
        var second = GroupingWorker(
            grouping, scan: nil, shape: nil, order: SeriesOrder(table: scan.table),
            context: context)
        // Every column was taken from the same row of a key, so any tells its series.
        try second.add(
            frame, timesAscend: false, rowSeries: merged.accumulators.first?.series ?? [])
        frame = try second.finish()
        report.groupCount = frame.count
        return frame
    }

    /// The one row of `count(*)` over all rows of a range: what directories count is not scanned.
    private func counted(
        _ plan: SelectPlan, _ scan: ScanPlan, _ request: ScanRequest, _ snapshot: Snapshot,
        _ context: QueryContext, _ report: inout ExecutionReport
    ) throws(QueryError) -> Frame? {
        guard plan.latest == nil, let grouping = plan.grouping, grouping.keys.isEmpty,
            grouping.aggregates.allSatisfy({ $0.function == .countRows && $0.filter == nil }),
            !grouping.aggregates.isEmpty, request.series == nil, !scan.picksRows
        else { return nil }
        let (rows, rest) = snapshot.countedRows(of: scan.table, in: request.timeRange)
        let shape = GroupingShape(grouping, scan)
        let make = { GroupingWorker(grouping, scan: scan, shape: shape, context: context) }
        var worker = make()
        worker.addRows(rows)
        report.countedRows += rows
        var request = request
        if let shape { request.summaries = shape.summaries(grouping) }
        for range in rest {
            request.timeRange = range
            let (workers, counters) = try runScan(
                snapshot, scan, request, context, makeWorker: make)
            report.counters.add(counters)
            for other in workers { try worker.merge(other) }
        }
        return try worker.finish()
    }

    /// HAVING, the outputs, DISTINCT, ORDER BY and LIMIT over rows in memory.
    func emit<Sink: BatchSink>(
        _ plan: SelectPlan, _ rows: Frame, _ context: QueryContext, _ sink: inout Sink
    ) throws(QueryError) -> Int {
        var rows = rows
        if let having = plan.having, rows.count > 0 {
            rows = try rows.onlyThose(having)
        }
        if let fill = plan.fill, let grouping = plan.grouping {
            rows = try fill.filled(rows, keyCount: grouping.keys.count, context)
        }
        if !plan.windows.isEmpty {
            rows.columns += try windowColumns(plan.windows, rows, context)
        }
        if let qualify = plan.qualify { rows = try rows.onlyThose(qualify) }
        try context.check()
        var outputs = try evaluateAll(plan.outputs, rows).map { $0.expanded() }
        var keys = try evaluateAll(plan.sortKeys.map(\.expression), rows).map { $0.expanded() }
        var count = rows.count
        if plan.isDistinct {
            let kept = Self.distinctRows(outputs, count)
            outputs = outputs.map { $0.gathered(kept) }
            keys = keys.map { $0.gathered(kept) }
            count = kept.count
        }
        if !keys.isEmpty || !plan.distinctOn.isEmpty {
            try context.charge(count * RowSort.bytesPerRow, "the rows of ORDER BY")
            var order = RowSort.order(
                keys, plan.sortKeys, count: count,
                limit: plan.distinctOn.isEmpty ? plan.rowsMax : nil)
            if !plan.distinctOn.isEmpty {
                let on = try evaluateAll(plan.distinctOn, rows).map {
                    $0.expanded().gathered(order)
                }
                order = Self.distinctRows(on, count).map { order[$0] }
            }
            outputs = outputs.map { $0.gathered(order) }
            count = order.count
        }
        return try plan.write(outputs, count: count, to: &sink)
    }

    static func distinctRows(_ columns: [Vector], _ count: Int) -> [Int] {
        var table = GroupTable()
        var kept: [Int] = []
        var key: [UInt8] = []
        for row in 0..<count {
            KeyEncoder.encode(columns, row, as: &key)
            if table.group(of: key) == kept.count { kept.append(row) }
        }
        return kept
    }

    // MARK: - Plain rows

    private func sorted<Sink: BatchSink>(
        _ plan: SelectPlan, _ scan: ScanPlan, _ request: ScanRequest, _ snapshot: Snapshot,
        _ context: QueryContext, _ report: inout ExecutionReport, _ sink: inout Sink
    ) throws(QueryError) -> Int {
        if plan.limit == 0 { return 0 }
        let timeLimit = TimeLimit(plan, scan)
        let (workers, counters) = try runScan(
            snapshot, scan, request, context, newestFirst: timeLimit?.isDescending ?? false
        ) {
            SortWorker(plan, scan, context, timeLimit)
        }
        report.counters.add(counters)
        guard var buffer = workers.first?.buffer else { return 0 }
        for worker in workers.dropFirst() { try buffer.merge(worker.buffer) }
        let columns = buffer.finish()
        return try plan.write(columns, count: columns.first?.count ?? 0, to: &sink)
    }

    private func streamed<Sink: BatchSink>(
        _ plan: SelectPlan, _ scan: ScanPlan, _ request: ScanRequest, _ snapshot: Snapshot,
        _ context: QueryContext, _ report: inout ExecutionReport, _ sink: inout Sink
    ) throws(QueryError) -> Int {
        let writer = OutputWriter(
            sink, plan.outputs.map(\.type), offset: plan.offset, limit: plan.limit)
        if plan.limit == 0 || request.timeRange.isEmpty { return 0 }
        var worker = StreamWorker(plan, scan, context, writer)
        defer { sink = worker.output.sink }
        let morsels = try translating { () throws(StorageError) in
            try snapshot.plan(scan.table, request, rowsPerMorsel: 16_384)
        }
        for morsel in morsels where !worker.isDone {
            do throws(StorageError) {
                try snapshot.run(morsel, request, into: &worker, counters: &report.counters)
            } catch {
                throw worker.failure ?? QueryError(error)
            }
        }
        if let failure = worker.failure { throw failure }
        try worker.output.flush()
        return worker.output.rowCount
    }
}
