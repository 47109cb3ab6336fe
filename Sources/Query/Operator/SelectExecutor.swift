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
}

extension QueryEngine {
    func execute<Sink: ResultSink>(
        _ plan: SelectPlan, _ context: QueryContext, strict: Bool,
        into sink: inout HeadHoldingSink<Sink>
    ) throws(QueryError) -> ExecutionReport {
        var report = ExecutionReport()
        try sink.begin(plan.resultColumns)
        guard let scan = plan.scan else {
            let frame = try rowWithoutTable(plan, context)
            report.rowCount = try emit(plan, frame, context, &sink)
            return report
        }
        while true {
            // The snapshot first: every series it can show is in the index by then.
            let snapshot = storage.snapshot(of: [scan.table])
            do throws(QueryError) {
                return try scanned(plan, scan, snapshot, context, strict: strict, into: &sink)
            } catch {
                // What is damaged was set aside; the rest answers, with a warning, unless rows that
                // may depend on it are out already. Each turn takes something away.
                guard error.code == .damaged, !strict, !sink.isReleased,
                    damageCount(storage.snapshot(of: [scan.table])) > damageCount(snapshot)
                else { throw error }
                context.restart()
            }
        }
        func damageCount(_ snapshot: Snapshot) -> Int {
            snapshot.warnings(for: scan.table, in: .all).count
        }
    }

    private func scanned<Sink: ResultSink>(
        _ plan: SelectPlan, _ scan: ScanPlan, _ snapshot: Snapshot, _ context: QueryContext,
        strict: Bool, into sink: inout Sink
    ) throws(QueryError) -> ExecutionReport {
        var report = ExecutionReport()
        report.warnings = snapshot.warnings(for: scan.table, in: scan.request.timeRange)
        if strict, let warning = report.warnings.first {
            throw QueryError(.damaged, warning, hint: "without strict=1 the rest is answered")
        }
        // Nothing is missing from the answer: no reason for `strict` to refuse it.
        report.warnings += plan.scope?.notices ?? []
        var request = scan.request
        if let predicate = scan.seriesPredicate {
            let series = try predicate.select(scan.table, predicates, context)
            report.seriesMatched = series.count
            if series.isEmpty { request.timeRange = TimeRange(lower: 0, upper: 0) }
            request.series = series
        }
        if plan.latest != nil || plan.grouping != nil {
            let frame = try grouped(plan, scan, request, snapshot, context, &report)
            report.rowCount = try emit(plan, frame, context, &sink)
        } else if !plan.sortKeys.isEmpty {
            report.rowCount = try sorted(plan, scan, request, snapshot, context, &report, &sink)
        } else {
            report.rowCount = try streamed(plan, scan, request, snapshot, context, &report, &sink)
        }
        return report
    }

    /// SELECT without FROM has one row, which WHERE can take away.
    private func rowWithoutTable(
        _ plan: SelectPlan, _ context: QueryContext
    ) throws(QueryError) -> Frame {
        var one = Frame(count: 1, columns: [])
        if let condition = plan.conditionWithoutTable {
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
        var (workers, counters) = try runScan(
            snapshot, scan, request, context, makeWorker: make)
        report.counters = counters
        var merged = workers.isEmpty ? make() : workers.removeFirst()
        for worker in workers { try merged.merge(worker) }
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
        var worker = GroupingWorker(grouping, scan: nil, shape: nil, context: context)
        worker.addRows(rows)
        report.countedRows = rows
        let shape = GroupingShape(grouping, scan)
        var request = request
        if let shape { request.summaries = shape.summaries(grouping) }
        for range in rest {
            request.timeRange = range
            let (workers, counters) = try runScan(snapshot, scan, request, context) {
                GroupingWorker(grouping, scan: scan, shape: shape, context: context)
            }
            report.counters.add(counters)
            for other in workers { try worker.merge(other) }
        }
        return try worker.finish()
    }

    /// HAVING, the outputs, DISTINCT, ORDER BY and LIMIT over rows in memory.
    private func emit<Sink: ResultSink>(
        _ plan: SelectPlan, _ rows: Frame, _ context: QueryContext, _ sink: inout Sink
    ) throws(QueryError) -> Int {
        var rows = rows
        if let having = plan.having, rows.count > 0 {
            guard let filtered = try rows.filtered(by: having) else { return 0 }
            rows = filtered
        }
        try context.check()
        var outputs = try evaluateAll(plan.outputs, rows)
        var keys = try evaluateAll(plan.sortKeys.map(\.expression), rows)
        var count = rows.count
        if plan.isDistinct {
            let kept = Self.distinctRows(outputs, count)
            outputs = outputs.map { $0.expanded().gathered(kept) }
            keys = keys.map { $0.expanded().gathered(kept) }
            count = kept.count
        }
        if !keys.isEmpty {
            let order = SortBuffer.order(
                keys.map { $0.expanded() }, plan.sortKeys, limit: plan.rowsMax)
            outputs = outputs.map { $0.gathered(order) }
            count = order.count
        }
        var writer = OutputWriter(
            sink, plan.outputs.map(\.type), offset: plan.offset, limit: plan.limit)
        defer { sink = writer.sink }
        try writer.append(outputs, count: count)
        try writer.flush()
        return writer.rowCount
    }

    private static func distinctRows(_ columns: [Vector], _ count: Int) -> [Int] {
        var table = GroupTable()
        var kept: [Int] = []
        var key: [UInt8] = []
        for row in 0..<count {
            key.removeAll(keepingCapacity: true)
            for column in columns { KeyEncoder.append(column, row, to: &key) }
            if table.group(of: key) == kept.count { kept.append(row) }
        }
        return kept
    }

    // MARK: - Plain rows

    private func sorted<Sink: ResultSink>(
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
        report.counters = counters
        guard var buffer = workers.first?.buffer else { return 0 }
        for worker in workers.dropFirst() { try buffer.merge(worker.buffer) }
        let columns = buffer.finish()
        var writer = OutputWriter(
            sink, plan.outputs.map(\.type), offset: plan.offset, limit: plan.limit)
        defer { sink = writer.sink }
        try writer.append(columns, count: columns.first?.count ?? 0)
        try writer.flush()
        return writer.rowCount
    }

    private func streamed<Sink: ResultSink>(
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
