// DISTINCT in aggregates: the values of all groups in one table, each with its group's number in front.
//
//     a key:  group 4 bytes │ slot 8 bytes, or the bytes of a string or interval
//
// Safe: runs hold pointers to at least `count` slots, as `ColumnRun` promises.

internal import ApusStorage

/// count(DISTINCT x), and what any other aggregate makes of every value once.
struct DistinctStates: GroupStates {
    private let type: ResultType
    private var table = GroupTable()
    private var counts: [Int] = []
    private var key: [UInt8] = []
    /// What gets every value once, and its answers; nil if they are counted.
    private var inner: Accumulator?
    private var answers: Vector?

    init(_ call: AggregateCall) {
        type = call.argument?.type ?? .int64
        guard call.function != .countDistinct else { return }
        var plain = call
        plain.isDistinct = false
        inner = Accumulator(plain, order: nil)
    }

    var bytesPerGroup: Int { 8 + (inner?.bytesPerGroup ?? 0) }
    var looseBytes: Int { table.byteCount }

    mutating func resize(_ groupCount: Int) { counts.grow(to: groupCount, 0) }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        if type.usesBytes {
            addTexts(group, rows.values)
        } else {
            addSlots(group, rows.values)
        }
    }

    private mutating func begin(_ group: Int) {
        key.removeAll(keepingCapacity: true)
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: group)) { key.append(contentsOf: $0) }
    }

    private mutating func insert(_ group: Int) {
        let known = table.count
        if table.group(of: key) == known { counts[group] += 1 }
    }

    private mutating func addSlots(_ group: Int, _ run: ColumnRun) {
        var previous: UInt64?
        for row in 0..<run.count where run.isValid(row) {
            let slot = type == .float64 ? KeyEncoder.canonical(run.values[row]) : run.values[row]
            // States and levels stay for many rows: those need no table.
            if slot == previous { continue }
            previous = slot
            begin(group)
            withUnsafeBytes(of: slot) { key.append(contentsOf: $0) }
            insert(group)
        }
    }

    private mutating func addTexts(_ group: Int, _ run: ColumnRun) {
        var previous: Int?
        for row in 0..<run.count where run.isValid(row) {
            if let previous {
                // One place of a dictionary, or equal bytes in another.
                if run.values[row] == run.values[previous] { continue }
                if compareBytes(run.bytes(row), run.bytes(previous)) == 0 { continue }
            }
            previous = row
            begin(group)
            key.append(contentsOf: run.bytes(row))
            insert(group)
        }
    }

    mutating func merge(_ other: DistinctStates, _ groups: [Int]) {
        for entry in 0..<other.table.count {
            other.table.withKey(entry) { bytes in
                let group = groups[Int(bytes.loadUnaligned(as: UInt32.self))]
                begin(group)
                key.append(contentsOf: bytes.dropFirst(4))
                insert(group)
            }
        }
    }

    mutating func prepare(_ groupCount: Int, _ windows: [TimeRange]?) throws(QueryError) {
        guard var inner else { return }
        inner.resize(groupCount)
        // The entries group by group: a counting sort.
        var starts = [Int](repeating: 0, count: groupCount + 1)
        for (group, count) in counts.enumerated() { starts[group + 1] = count }
        for group in 0..<groupCount { starts[group + 1] += starts[group] }
        var next = starts
        var entries = [Int](repeating: 0, count: table.count)
        for entry in 0..<table.count {
            let group = table.withKey(entry) { Int($0.loadUnaligned(as: UInt32.self)) }
            entries[next[group]] = entry
            next[group] += 1
        }
        for group in 0..<groupCount where starts[group] < starts[group + 1] {
            feed(&inner, group, entries[starts[group]..<starts[group + 1]])
        }
        answers = try inner.finish(groupCount)
        self.inner = inner
    }

    private func feed(_ inner: inout Accumulator, _ group: Int, _ entries: ArraySlice<Int>) {
        var builder = VectorBuilder(type, capacity: entries.count)
        for entry in entries {
            table.withKey(entry) { bytes in
                if type.usesBytes {
                    builder.append(raw: UnsafeRawBufferPointer(rebasing: bytes.dropFirst(4)))
                } else {
                    builder.append(bytes.loadUnaligned(fromByteOffset: 4, as: UInt64.self))
                }
            }
        }
        let vector = builder.finish()
        // Every further argument is the same one: string_agg's key of ORDER BY.
        Accumulator.withRuns(
            [Vector](repeating: vector, count: max(1, inner.call.arguments.count))
        ) { runs in
            guard let base = runs.baseAddress else { return }
            inner.add(
                group, AggregateRows(values: base[0], others: base + 1, series: .max))
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
