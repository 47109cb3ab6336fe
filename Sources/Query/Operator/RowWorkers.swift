// Consumers of a scan for SELECTs without grouping: one that gathers rows to be sorted, one that
// streams them on.

internal import ApusStorage

/// Gathers rows for ORDER BY on one thread.
final class SortWorker: ScanWorker {
    private let plan: SelectPlan
    private let scan: ScanPlan
    private let context: QueryContext
    private let timeLimit: TimeLimit?
    private var frames: ScanFrameBuilder
    var buffer: SortBuffer
    var failure: QueryError?

    init(
        _ plan: SelectPlan, _ scan: ScanPlan, _ context: QueryContext, _ timeLimit: TimeLimit?
    ) {
        self.plan = plan
        self.timeLimit = timeLimit
        self.scan = scan
        self.context = context
        frames = ScanFrameBuilder(scan, context)
        buffer = SortBuffer(
            types: plan.outputs.map(\.type), keys: plan.sortKeys, rowsMax: plan.rowsMax,
            context: context)
    }

    var isDone: Bool { failure != nil || context.isStopped }

    func consume(_ rows: ScanRows) throws(StorageError) {
        do throws(QueryError) {
            try context.check()
            let wanted = wanted(rows)
            guard !wanted.isEmpty, var frame = try frames.frame(rows, wanted) else { return }
            if let key = plan.sortKeys.first,
                let (mask, kept) = buffer.contenders(try key.expression.evaluate(frame))
            {
                if kept == 0 { return }
                if kept < frame.count { frame = frame.compacted(by: mask, keptCount: kept) }
            }
            try buffer.append(
                outputs: try evaluateAll(plan.outputs, frame),
                keys: try evaluateAll(plan.sortKeys.map(\.expression), frame))
        } catch {
            failure = error
            throw .cancelled
        }
    }

    /// ORDER BY time with a LIMIT: what of a slice lies behind the rows kept is not even copied.
    private func wanted(_ rows: ScanRows) -> Range<Int> {
        guard let timeLimit else { return 0..<rows.count }
        if let threshold = buffer.threshold { timeLimit.tighten(to: threshold.int64) }
        return timeLimit.rows(rows.times, count: rows.count)
    }

    /// … and what is known to lie behind them before a morsel begins is not even read.
    func part(of range: TimeRange) -> TimeRange? {
        guard let timeLimit else { return range }
        buffer.settle()
        if let threshold = buffer.threshold { timeLimit.tighten(to: threshold.int64) }
        return timeLimit.part(of: range)
    }

    func consume(_ summary: ScanSummary) throws(StorageError) {
        preconditionFailure("BUG: a summary that was not asked for")
    }
}

/// Sends rows to the sink as they come; on the query's own thread.
final class StreamWorker<Sink: BatchSink>: ScanWorker {
    private let plan: SelectPlan
    private let scan: ScanPlan
    private let context: QueryContext
    private var frames: ScanFrameBuilder
    var output: OutputWriter<Sink>
    var failure: QueryError?

    init(
        _ plan: SelectPlan, _ scan: ScanPlan, _ context: QueryContext, _ output: OutputWriter<Sink>
    ) {
        self.plan = plan
        self.scan = scan
        self.context = context
        self.output = output
        frames = ScanFrameBuilder(scan, context)
    }

    var isDone: Bool { failure != nil || output.isFull || context.isStopped }

    func consume(_ rows: ScanRows) throws(StorageError) {
        guard !output.isFull else { return }
        do throws(QueryError) {
            try context.check()
            guard let frame = try frames.frame(rows, 0..<rows.count) else { return }
            try output.append(try evaluateAll(plan.outputs, frame), count: frame.count)
        } catch {
            failure = error
            throw .cancelled
        }
    }

    func consume(_ summary: ScanSummary) throws(StorageError) {
        preconditionFailure("BUG: a summary that was not asked for")
    }
}

extension SelectPlan {
    /// Rows that LIMIT and OFFSET can let through; nil for all.
    var rowsMax: Int? {
        guard let limit else { return nil }
        let (sum, overflow) = limit.addingReportingOverflow(offset)
        return overflow ? nil : sum
    }

    /// Hands on what OFFSET and LIMIT leave of rows that are all there; returns how many that is.
    func write<Sink: BatchSink>(
        _ columns: [Vector], count: Int, to sink: inout Sink
    ) throws(QueryError) -> Int {
        var writer = OutputWriter(sink, outputs.map(\.type), offset: offset, limit: limit)
        defer { sink = writer.sink }
        try writer.append(columns, count: count)
        try writer.flush()
        return writer.rowCount
    }
}

/// Cuts by OFFSET and LIMIT, and gathers rows into batches for the sink.
struct OutputWriter<Sink: BatchSink> {
    private static var batchRows: Int { 2_048 }

    var sink: Sink
    private var builders: [VectorBuilder]
    private var pending = 0
    private var toSkip: Int
    private var remaining: Int
    private(set) var rowCount = 0

    init(_ sink: Sink, _ types: [ResultType], offset: Int, limit: Int?) {
        self.sink = sink
        builders = types.map { VectorBuilder($0) }
        toSkip = offset
        remaining = limit ?? .max
    }

    var isFull: Bool { remaining == 0 || sink.isFull }

    mutating func append(_ columns: [Vector], count: Int) throws(QueryError) {
        let skipped = min(toSkip, count)
        toSkip -= skipped
        let taken = min(remaining, count - skipped)
        guard taken > 0 else { return }
        remaining -= taken
        rowCount += taken
        var start = skipped
        let end = skipped + taken
        while start < end {
            let stop = min(end, start + Self.batchRows)
            if pending == 0, stop - start == Self.batchRows {
                // Whole batches need no copy of their strings.
                try sink.append(
                    columns.map { $0.sliced(start..<stop) }, count: stop - start)
                start = stop
                continue
            }
            for (index, column) in columns.enumerated() {
                builders[index].append(
                    start == 0 && stop == column.count ? column : column.sliced(start..<stop))
            }
            pending += stop - start
            if pending >= Self.batchRows { try flush() }
            start = stop
        }
    }

    mutating func flush() throws(QueryError) {
        guard pending > 0 else { return }
        let count = pending
        pending = 0
        try sink.append(builders.indices.map { builders[$0].finish() }, count: count)
    }
}

extension ResultVector {
    /// Intervals become text here: no one outside has to know their bytes.
    init(_ vector: Vector) {
        var vector = vector.expanded()
        if vector.type == .interval {
            var builder = VectorBuilder(.interval, capacity: vector.count)
            for row in 0..<vector.count {
                if vector.isValid(row) {
                    builder.append(text: textBytes(of: vector.constant(row), .utc))
                } else {
                    builder.appendNull()
                }
            }
            vector = builder.finish()
        }
        self.init(
            type: vector.type, values: vector.values,
            validity: vector.validity.isEmpty ? nil : vector.validity, stringBytes: vector.bytes)
    }
}
