// The rows of UNION, INTERSECT and EXCEPT.

internal import ApusStorage

/// Rows by their values, and how often each is there.
private struct RowCounts {
    private(set) var table = GroupTable()
    var counts: [Int] = []
    private let context: QueryContext
    private var chargedBytes = 0
    private var key: [UInt8] = []

    init(_ context: QueryContext) { self.context = context }

    /// The number of a row's values; new ones are counted 0 times.
    mutating func number(of row: Int, _ columns: [Vector]) -> Int {
        KeyEncoder.encode(columns, row, as: &key)
        let number = table.group(of: key)
        if number == counts.count { counts.append(0) }
        return number
    }

    mutating func find(_ row: Int, _ columns: [Vector]) -> Int? {
        KeyEncoder.encode(columns, row, as: &key)
        return table.find(key)
    }

    mutating func charge() throws(QueryError) {
        let bytes = table.byteCount + counts.count * 8
        guard bytes > chargedBytes + 65_536 else { return }
        try context.charge(bytes - chargedBytes, "the distinct rows of UNION and its kin")
        chargedBytes = bytes
    }
}

extension QueryEngine {
    func run<Sink: BatchSink>(
        _ plan: SetPlan, _ snapshot: Snapshot, _ context: QueryContext, strict: Bool,
        _ report: inout ExecutionReport, into sink: inout Sink
    ) throws(QueryError) -> Int {
        if plan.limit == 0 { return 0 }
        let types = plan.columns.map(\.type)
        var writer = OutputWriter(sink, types, offset: plan.offset, limit: plan.limit)
        defer { sink = writer.sink }
        if plan.sortKeys.isEmpty {
            try combine(plan, snapshot, context, strict: strict, &report) {
                frame throws(QueryError) in
                try writer.append(frame.columns.map { $0.expanded() }, count: frame.count)
                return !writer.isFull
            }
        } else {
            let (limit, overflow) = (plan.limit ?? .max).addingReportingOverflow(plan.offset)
            var buffer = SortBuffer(
                types: types, keys: plan.sortKeys,
                rowsMax: plan.limit == nil || overflow ? nil : limit, context: context)
            try combine(plan, snapshot, context, strict: strict, &report) {
                frame throws(QueryError) in
                try buffer.append(
                    outputs: frame.columns,
                    keys: try evaluateAll(plan.sortKeys.map(\.expression), frame))
                return true
            }
            let columns = buffer.finish()
            try writer.append(columns, count: columns.first?.count ?? 0)
        }
        try writer.flush()
        return writer.rowCount
    }

    private func combine(
        _ plan: SetPlan, _ snapshot: Snapshot, _ context: QueryContext, strict: Bool,
        _ report: inout ExecutionReport, _ take: (Frame) throws(QueryError) -> Bool
    ) throws(QueryError) {
        var wantsMore = true
        var rows = RowCounts(context)
        if plan.kind != .union {
            // How often each row is on the right.
            try pass(plan.right, snapshot, context, strict: strict, &report, { false }) {
                frame throws(QueryError) in
                for row in 0..<frame.count { rows.counts[rows.number(of: row, frame.columns)] += 1 }
                try rows.charge()
            }
        }
        try pass(plan.left, snapshot, context, strict: strict, &report, { !wantsMore }) {
            frame throws(QueryError) in
            let kept = plan.kept(frame, &rows)
            try rows.charge()
            if wantsMore, let kept { wantsMore = try take(kept) }
        }
        guard plan.kind == .union, wantsMore else { return }
        try pass(plan.right, snapshot, context, strict: strict, &report, { !wantsMore }) {
            frame throws(QueryError) in
            let kept = plan.kept(frame, &rows)
            try rows.charge()
            if wantsMore, let kept { wantsMore = try take(kept) }
        }
    }

    private func pass(
        _ plan: QueryPlan, _ snapshot: Snapshot, _ context: QueryContext, strict: Bool,
        _ report: inout ExecutionReport, _ isDone: () -> Bool,
        _ take: (Frame) throws(QueryError) -> Void
    ) throws(QueryError) {
        try withoutActuallyEscaping(take) { take throws(QueryError) in
            try withoutActuallyEscaping(isDone) { isDone throws(QueryError) in
                var sink = FrameSink(take: take, isDone: isDone, context: context)
                _ = try run(plan, snapshot, context, strict: strict, &report, into: &sink)
            }
        }
    }
}

extension SetPlan {
    /// The rows of a frame that are in the answer; nil if none is.
    fileprivate func kept(_ frame: Frame, _ rows: inout RowCounts) -> Frame? {
        if kind == .union, isAll { return frame }
        var mask = [UInt8](repeating: 0, count: frame.count)
        var keptCount = 0
        for row in 0..<frame.count {
            let keeps: Bool
            switch kind {
            case .union:
                let number = rows.number(of: row, frame.columns)
                keeps = rows.counts[number] == 0
                rows.counts[number] = 1
            case .intersect:
                let number = rows.find(row, frame.columns)
                keeps = number.map { rows.counts[$0] > 0 } ?? false
                // Each time as often as on both sides, or once.
                if keeps, let number { rows.counts[number] = isAll ? rows.counts[number] - 1 : 0 }
            case .except:
                let number = rows.number(of: row, frame.columns)
                keeps = rows.counts[number] == 0
                if isAll {
                    rows.counts[number] = max(0, rows.counts[number] - 1)
                } else {
                    rows.counts[number] = 1
                }
            }
            mask[row] = keeps ? 1 : 0
            keptCount += keeps ? 1 : 0
        }
        if keptCount == 0 { return nil }
        return keptCount == frame.count ? frame : frame.compacted(by: mask, keptCount: keptCount)
    }
}
