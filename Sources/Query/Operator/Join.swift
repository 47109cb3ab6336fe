// Joins: the right side of each step is held in memory under a hash of its keys, the left side passes by.

internal import ApusStorage

/// The rows of a join's right side, by key; of ASOF joins each key's in order of time.
private struct RightSide {
    let step: JoinStep
    /// The frame columns that come from here.
    let slots: [Int]
    /// In all columns of the join, those of other sides NULL.
    let frame: Frame
    private var table = GroupTable()
    /// Key n's rows are `rows[starts[n]..<starts[n + 1]]`.
    private var starts: [Int] = [0]
    private var rows: [Int] = []
    private var times: [Int64] = []

    init(
        _ step: JoinStep, _ slots: [Int], _ frame: Frame, _ context: QueryContext
    ) throws(QueryError) {
        self.step = step
        self.slots = slots
        self.frame = frame
        try context.charge(frame.count * 40, Self.what)
        let keys = try evaluateAll(step.rightKeys, frame)
        var hasTime: Vector?
        if let rule = step.asOf {
            let vector = try rule.rightTime.evaluate(frame).expanded()
            times = vector.values.map { Int64(bitPattern: $0) }
            hasTime = vector
        }
        var groupOfRow = [Int](repeating: -1, count: frame.count)
        var key: [UInt8] = []
        for row in 0..<frame.count
        where keys.allSatisfy({ $0.isValid(row) }) && hasTime?.isValid(row) ?? true {
            KeyEncoder.encode(keys, row, as: &key)
            groupOfRow[row] = table.group(of: key)
        }
        try context.charge(table.byteCount, Self.what)
        starts = [Int](repeating: 0, count: table.count + 1)
        for group in groupOfRow where group >= 0 { starts[group + 1] += 1 }
        for group in 0..<table.count { starts[group + 1] += starts[group] }
        var next = starts
        rows = [Int](repeating: 0, count: starts[table.count])
        for (row, group) in groupOfRow.enumerated() where group >= 0 {
            rows[next[group]] = row
            next[group] += 1
        }
        guard step.asOf != nil else { return }
        for group in 0..<table.count {
            let range = starts[group]..<starts[group + 1]
            // Rows of one series come in order of time already.
            if zip(rows[range], rows[range].dropFirst()).contains(where: { times[$0] > times[$1] })
            {
                rows[range].sort { times[$0] != times[$1] ? times[$0] < times[$1] : $0 < $1 }
            }
        }
    }

    static let what = "the rows of a join's right side"

    /// The rows that a left row with this key meets.
    func candidates(_ key: [UInt8]) -> ArraySlice<Int> {
        guard let group = table.find(key) else { return [] }
        return rows[starts[group]..<starts[group + 1]]
    }

    /// Of candidates the last at a time or, if the rule says so, before it.
    func latest(_ candidates: ArraySlice<Int>, at time: Int64, _ rule: AsOfRule) -> Int? {
        var (low, high) = (candidates.startIndex, candidates.endIndex)
        while low < high {
            let middle = (low + high) / 2
            let other = times[candidates[middle]]
            if rule.isStrict ? other < time : other <= time {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low > candidates.startIndex else { return nil }
        let row = candidates[low - 1]
        if let tolerance = rule.toleranceNanoseconds {
            let (distance, overflow) = time.subtractingReportingOverflow(times[row])
            if overflow || distance > tolerance { return nil }
        }
        return row
    }
}

/// Pairs of a left frame's rows with right rows, −1 where there is none.
private struct Pairs {
    static let countMax = 16_384

    var left: [Int] = []
    var right: [Int] = []

    mutating func append(_ leftRow: Int, _ rightRow: Int) {
        left.append(leftRow)
        right.append(rightRow)
    }

    func joined(_ frame: Frame, _ side: RightSide) -> Frame {
        let own = Set(side.slots)
        var joined = Frame(
            count: left.count,
            columns: frame.columns.indices.map { slot in
                own.contains(slot)
                    ? side.frame.columns[slot].gathered(orNull: right)
                    : frame.columns[slot].gathered(left)
            })
        joined.context = frame.context
        return joined
    }
}

extension QueryEngine {
    /// Calls for the joined rows, in frames that have all columns of the join.
    func join(
        _ plan: JoinPlan, _ snapshot: Snapshot, _ context: QueryContext, strict: Bool,
        _ report: inout ExecutionReport, _ take: @escaping (Frame) throws(QueryError) -> Void,
        isDone: @escaping () -> Bool
    ) throws(QueryError) {
        var sides: [RightSide] = []
        for (index, step) in plan.steps.enumerated() {
            let slots = plan.slots[index + 1]
            var rows = FrameCollector(slots.map { plan.types[$0] }, context, RightSide.what)
            _ = try run(
                plan.inputs[index + 1], snapshot, context, strict: strict, &report, into: &rows)
            sides.append(
                try RightSide(step, slots, plan.widened(rows.finish(), slots), context))
        }
        let all = sides
        var sink = FrameSink(
            take: { frame throws(QueryError) in
                try joinOn(plan.widened(frame, plan.slots[0]), all[...], take, isDone)
            }, isDone: isDone, context: context)
        _ = try run(plan.inputs[0], snapshot, context, strict: strict, &report, into: &sink)
    }
}

/// Joins the rows of a frame with the first side, and what comes of it with the rest.
private func joinOn(
    _ frame: Frame, _ sides: ArraySlice<RightSide>,
    _ take: (Frame) throws(QueryError) -> Void, _ isDone: () -> Bool
) throws(QueryError) {
    guard let side = sides.first else { return try take(frame) }
    let step = side.step
    let keys = try evaluateAll(step.leftKeys, frame)
    let times = try step.asOf?.leftTime.evaluate(frame).expanded()
    var pairs = Pairs()
    var isMatched = [Bool](repeating: false, count: frame.count)

    func flush() throws(QueryError) {
        guard !pairs.left.isEmpty else { return }
        var joined = pairs.joined(frame, side)
        let lefts = pairs.left
        pairs = Pairs()
        if let condition = step.condition {
            let (mask, kept) = trueMask(try condition.evaluate(joined))
            for (row, left) in lefts.enumerated() where mask[row] != 0 { isMatched[left] = true }
            if kept == 0 { return }
            if kept < joined.count { joined = joined.compacted(by: mask, keptCount: kept) }
        } else {
            for left in lefts { isMatched[left] = true }
        }
        try joinOn(joined, sides.dropFirst(), take, isDone)
    }

    var key: [UInt8] = []
    for row in 0..<frame.count {
        if isDone() { return }
        guard keys.allSatisfy({ $0.isValid(row) }) else { continue }
        KeyEncoder.encode(keys, row, as: &key)
        let candidates = side.candidates(key)
        if let rule = step.asOf {
            guard let times, times.isValid(row),
                let right = side.latest(
                    candidates, at: Int64(bitPattern: times.slot(row)), rule)
            else { continue }
            pairs.append(row, right)
        } else {
            for right in candidates {
                pairs.append(row, right)
                if pairs.left.count >= Pairs.countMax {
                    try frame.context?.check()
                    try flush()
                }
            }
        }
        if pairs.left.count >= Pairs.countMax { try flush() }
    }
    try flush()
    guard step.keepsAll else { return }
    for row in 0..<frame.count where !isMatched[row] { pairs.append(row, -1) }
    guard !pairs.left.isEmpty else { return }
    try joinOn(pairs.joined(frame, side), sides.dropFirst(), take, isDone)
}

extension JoinPlan {
    /// A frame of one input among all columns, the others NULL.
    fileprivate func widened(_ frame: Frame, _ slots: [Int]) -> Frame {
        var columns = types.map { Vector(Constant(nullOf: $0), count: frame.count) }
        for (index, slot) in slots.enumerated() { columns[slot] = frame.columns[index] }
        var wide = Frame(count: frame.count, columns: columns)
        wide.context = frame.context
        return wide
    }
}
