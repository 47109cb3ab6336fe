// SELECT over what isn't a table: rows of a subquery or of a join, as they come.

internal import ApusStorage

extension QueryEngine {
    func derived<Sink: BatchSink>(
        _ plan: SelectPlan, _ source: RowSource, _ snapshot: Snapshot, _ context: QueryContext,
        strict: Bool, _ report: inout ExecutionReport, into sink: inout Sink
    ) throws(QueryError) -> Int {
        if let first = plan.latest ?? plan.grouping {
            var worker = GroupingWorker(first, scan: nil, shape: nil, context: context)
            try produce(source, plan.condition, snapshot, context, strict: strict, &report) {
                frame throws(QueryError) in
                try worker.add(frame, timesAscend: false)
                return true
            }
            var frame = try worker.finish()
            report.groupCount = frame.count
            if plan.latest != nil {
                frame.columns.removeFirst(first.keys.count)
                if let grouping = plan.grouping {
                    var second = GroupingWorker(grouping, scan: nil, shape: nil, context: context)
                    try second.add(frame, timesAscend: false)
                    frame = try second.finish()
                    report.groupCount = frame.count
                }
            }
            return try emit(plan, frame, context, &sink)
        }
        if !plan.windows.isEmpty || plan.qualify != nil || !plan.distinctOn.isEmpty {
            var rows = FrameCollector(
                plan.frameTypes, context, "the rows of window functions or DISTINCT ON")
            try produce(source, plan.condition, snapshot, context, strict: strict, &report) {
                frame throws(QueryError) in
                try rows.append(frame.columns, count: frame.count)
                return true
            }
            return try emit(plan, rows.finish(), context, &sink)
        }
        if !plan.sortKeys.isEmpty {
            return try sortedRows(
                plan, source, snapshot, context, strict: strict, &report, into: &sink)
        }
        var writer = OutputWriter(
            sink, plan.outputs.map(\.type), offset: plan.offset, limit: plan.limit)
        defer { sink = writer.sink }
        if plan.limit == 0 { return 0 }
        try produce(source, plan.condition, snapshot, context, strict: strict, &report) {
            frame throws(QueryError) in
            try writer.append(
                try evaluateAll(plan.outputs, frame).map { $0.expanded() }, count: frame.count)
            return !writer.isFull
        }
        try writer.flush()
        return writer.rowCount
    }

    private func sortedRows<Sink: BatchSink>(
        _ plan: SelectPlan, _ source: RowSource, _ snapshot: Snapshot, _ context: QueryContext,
        strict: Bool, _ report: inout ExecutionReport, into sink: inout Sink
    ) throws(QueryError) -> Int {
        if plan.limit == 0 { return 0 }
        var buffer = SortBuffer(
            types: plan.outputs.map(\.type), keys: plan.sortKeys, rowsMax: plan.rowsMax,
            context: context)
        try produce(source, plan.condition, snapshot, context, strict: strict, &report) {
            frame throws(QueryError) in
            try buffer.append(
                outputs: try evaluateAll(plan.outputs, frame),
                keys: try evaluateAll(plan.sortKeys.map(\.expression), frame))
            return true
        }
        let columns = buffer.finish()
        return try plan.write(columns, count: columns.first?.count ?? 0, to: &sink)
    }

    /// Calls for the rows of a source that a condition lets through, until told that it is enough.
    private func produce(
        _ source: RowSource, _ condition: BoundExpression?, _ snapshot: Snapshot,
        _ context: QueryContext, strict: Bool, _ report: inout ExecutionReport,
        _ take: (Frame) throws(QueryError) -> Bool
    ) throws(QueryError) {
        var wantsMore = true
        try withoutActuallyEscaping(take) { take throws(QueryError) in
            let filtered = { (frame: Frame) throws(QueryError) in
                var frame = frame
                if let condition {
                    guard let kept = try frame.filtered(by: condition) else { return }
                    frame = kept
                }
                if wantsMore { wantsMore = try take(frame) }
            }
            switch source {
            case .query(let plan, let columns):
                var sink = FrameSink(
                    take: { frame throws(QueryError) in
                        var picked = Frame(
                            count: frame.count, columns: columns.map { frame.columns[$0] })
                        picked.context = context
                        try filtered(picked)
                    }, isDone: { !wantsMore }, context: context)
                _ = try run(plan, snapshot, context, strict: strict, &report, into: &sink)
            case .join(let join):
                try self.join(
                    join, snapshot, context, strict: strict, &report, filtered,
                    isDone: { !wantsMore })
            }
        }
    }
}

extension SelectPlan {
    /// The types of the frames that its source yields.
    fileprivate var frameTypes: [ResultType] {
        switch source {
        case nil: []
        case .query(let plan, let columns): columns.map { plan.resultColumns[$0].type }
        case .join(let join): join.types
        }
    }
}
