// DISTINCT in aggregates, and the mode.
//
// Safe: runs hold pointers to at least `count` slots, as `ColumnRun` promises.

internal import ApusStorage

/// count(DISTINCT x), and what any other aggregate makes of every value once.
struct DistinctStates: GroupStates {
    private var values: GroupedValues
    private var counts: [Int] = []
    /// What gets every value once, and its answers; nil if they are counted.
    private var inner: Accumulator?
    private var answers: Vector?

    init(_ call: AggregateCall) {
        values = GroupedValues(call.argument?.type ?? .int64)
        guard call.function != .countDistinct else { return }
        var plain = call
        plain.isDistinct = false
        inner = Accumulator(plain, order: nil)
    }

    var bytesPerGroup: Int { 8 + (inner?.bytesPerGroup ?? 0) }
    var looseBytes: Int { values.byteCount }

    mutating func resize(_ groupCount: Int) { counts.grow(to: groupCount, 0) }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        var known = values.count
        var added = 0
        values.forEach(group, rows.values) { entry, _ in
            guard entry == known else { return }
            known &+= 1
            added &+= 1
        }
        counts[group] += added
    }

    mutating func merge(_ other: DistinctStates, _ groups: [Int]) {
        for entry in 0..<other.values.count {
            let known = values.count
            if values.entry(of: entry, in: other.values, groups) == known {
                counts[groups[other.values.group(entry)]] += 1
            }
        }
    }

    mutating func prepare(_ groupCount: Int, _ windows: [TimeRange]?) throws(QueryError) {
        guard var inner else { return }
        inner.resize(groupCount)
        let (starts, entries) = values.byGroup(groupCount)
        for group in 0..<groupCount where starts[group] < starts[group + 1] {
            feed(&inner, group, entries[starts[group]..<starts[group + 1]])
        }
        answers = try inner.finish(groupCount)
        self.inner = inner
    }

    private func feed(_ inner: inout Accumulator, _ group: Int, _ entries: ArraySlice<Int>) {
        var builder = VectorBuilder(values.type, capacity: entries.count)
        for entry in entries { values.append(entry, to: &builder) }
        let vector = builder.finish()
        // Every further argument is the same one: string_agg's key of ORDER BY.
        Accumulator.withRuns(
            [Vector](repeating: vector, count: max(1, inner.call.arguments.count))
        ) { runs in
            guard let base = runs.baseAddress else { return }
            inner.add(group, AggregateRows(values: base[0], others: base + 1, series: .max))
        }
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        if let answers {
            builder.append(group, of: answers)
        } else {
            builder.append(UInt64(counts[group]))
        }
    }
}

/// mode(x): the most frequent value, of equally frequent ones the least, or if descending the greatest.
struct ModeStates: GroupStates {
    private let isDescending: Bool
    private var values: GroupedValues
    /// Rows of each value.
    private var counts: [Int] = []
    /// Per group its best value.
    private var best: [Int?] = []

    init(_ call: AggregateCall) {
        isDescending = call.orders.first?.isDescending ?? false
        values = GroupedValues(call.type)
    }

    var bytesPerGroup: Int { 0 }
    var looseBytes: Int { values.byteCount + counts.capacity * 8 }

    mutating func resize(_ groupCount: Int) {}

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        // Aside, since `values` is being changed meanwhile.
        var counts: [Int] = []
        swap(&counts, &self.counts)
        values.forEach(group, rows.values) { entry, rowCount in
            if entry == counts.count { counts.append(0) }
            counts[entry] &+= rowCount
        }
        self.counts = counts
    }

    mutating func merge(_ other: ModeStates, _ groups: [Int]) {
        for (from, count) in other.counts.enumerated() {
            let entry = values.entry(of: from, in: other.values, groups)
            if entry == counts.count { counts.append(0) }
            counts[entry] &+= count
        }
    }

    mutating func prepare(_ groupCount: Int, _ windows: [TimeRange]?) {
        best = [Int?](repeating: nil, count: groupCount)
        for entry in counts.indices {
            let group = values.group(entry)
            if let known = best[group] {
                guard counts[entry] >= counts[known] else { continue }
                let order = values.compare(entry, known)
                guard counts[entry] > counts[known] || (isDescending ? order > 0 : order < 0)
                else { continue }
            }
            best[group] = entry
        }
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        guard let entry = best[group] else { return builder.appendNull() }
        values.append(entry, to: &builder)
    }
}
