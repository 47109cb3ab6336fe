// Aggregates that are the value of one row: the first or last by time, or by a key; any; and the least
// or greatest of strings and intervals.
//
// Safe: runs and times hold at least `count` slots, as `AggregateRows` promises.

internal import ApusStorage

/// first(x), last(x), LATEST ON: by time, of equal times the greatest series key.
struct ChosenRowStates: GroupStates {
    private let function: AggregateCall.Function
    private let usesBytes: Bool
    private let order: SeriesOrder?
    private var hasRow: [Bool] = []
    private var times: [Int64] = []
    private(set) var series: [UInt32] = []
    private var nulls: [Bool] = []
    private var slots: [UInt64] = []
    private var texts: [[UInt8]] = []
    private(set) var looseBytes = 0

    init(_ call: AggregateCall, _ order: SeriesOrder?) {
        function = call.function
        usesBytes = call.type.usesBytes
        self.order = order
    }

    var bytesPerGroup: Int { 64 }

    mutating func resize(_ groupCount: Int) {
        hasRow.grow(to: groupCount, false)
        times.grow(to: groupCount, 0)
        series.grow(to: groupCount, .max)
        nulls.grow(to: groupCount, true)
        if usesBytes { texts.grow(to: groupCount, []) } else { slots.grow(to: groupCount, 0) }
    }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        let run = rows.values
        guard run.count > 0, let runTimes = rows.times else { return }
        var row: Int?
        switch function {
        case .latest: row = run.count - 1
        case .last:
            var candidate = run.count - 1
            while candidate >= 0, !run.isValid(candidate) { candidate -= 1 }
            row = candidate >= 0 ? candidate : nil
        default: row = (0..<run.count).first { run.isValid($0) }
        }
        guard let row, wins(group, runTimes[row], rows.series) else { return }
        hasRow[group] = true
        times[group] = runTimes[row]
        series[group] = rows.series
        nulls[group] = !run.isValid(row)
        guard !nulls[group] else { return }
        if usesBytes {
            let bytes = run.bytes(row)
            looseBytes += max(0, bytes.count - texts[group].count)
            texts[group] = Array(bytes)
        } else {
            slots[group] = run.values[row]
        }
    }

    private func wins(_ group: Int, _ time: Int64, _ newSeries: UInt32) -> Bool {
        guard hasRow[group] else { return true }
        if time != times[group] {
            return function == .first ? time < times[group] : time > times[group]
        }
        return order?.isGreater(newSeries, series[group]) ?? false
    }

    mutating func merge(_ other: ChosenRowStates, _ groups: [Int]) {
        for (from, group) in groups.enumerated()
        where other.hasRow[from] && wins(group, other.times[from], other.series[from]) {
            hasRow[group] = true
            times[group] = other.times[from]
            series[group] = other.series[from]
            nulls[group] = other.nulls[from]
            if usesBytes {
                texts[group] = other.texts[from]
            } else {
                slots[group] = other.slots[from]
            }
        }
        looseBytes += other.looseBytes
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        if !hasRow[group] || nulls[group] {
            builder.appendNull()
        } else if usesBytes {
            builder.append(text: texts[group])
        } else {
            builder.append(slots[group])
        }
    }
}

/// A value apart from its column: a slot, or bytes.
struct LooseValue {
    var slot: UInt64 = 0
    var bytes: [UInt8] = []

    init(_ run: ColumnRun, _ row: Int, _ type: ResultType) {
        if type.usesBytes { bytes = Array(run.bytes(row)) } else { slot = run.values[row] }
    }

    func append(to builder: inout VectorBuilder) {
        if builder.type.usesBytes { builder.append(text: bytes) } else { builder.append(slot) }
    }
}

/// first(x, key), last(x, key), arg_min and arg_max: rows with a NULL of either are skipped, as DuckDB's
/// `arg_min` does. Of equal keys the earliest row is taken, for `last` the latest; of equal times the
/// greatest series key.
struct KeyedRowStates: GroupStates {
    private struct Row {
        var key: LooseValue
        var value: LooseValue
        var time: Int64
        var series: UInt32

        var byteCount: Int { key.bytes.count + value.bytes.count }
    }

    private let valueType: ResultType
    private let keyType: ResultType
    private let greatest: Bool
    private let prefersLater: Bool
    private let order: SeriesOrder?
    private var rows: [Row?] = []
    private(set) var looseBytes = 0

    init(_ call: AggregateCall, _ order: SeriesOrder?) {
        valueType = call.type
        keyType = call.arguments[1].type
        greatest = call.function == .lastByKey || call.function == .argMaximum
        prefersLater = call.function == .lastByKey
        self.order = order
    }

    var bytesPerGroup: Int { MemoryLayout<Row?>.stride }

    mutating func resize(_ groupCount: Int) { rows.grow(to: groupCount, nil) }

    mutating func add(_ group: Int, _ run: AggregateRows) {
        let keys = run.other(0)
        var best: Int?
        for row in 0..<run.values.count where run.values.isValid(row) && keys.isValid(row) {
            guard let known = best else { best = row; continue }
            let order = compare(keys, row, known)
            if order > 0 || (order == 0 && prefersLater) { best = row }
        }
        guard let best else { return }
        let time = run.times.map { $0[best] } ?? 0
        if let known = rows[group] {
            let order = compare(keys, best, known.key)
            guard order > 0 || (order == 0 && winsTie(time, run.series, known)) else { return }
            looseBytes -= known.byteCount
        }
        let row = Row(
            key: LooseValue(keys, best, keyType), value: LooseValue(run.values, best, valueType),
            time: time, series: run.series)
        looseBytes += row.byteCount
        rows[group] = row
    }

    private func winsTie(_ time: Int64, _ series: UInt32, _ known: Row) -> Bool {
        if time != known.time { return prefersLater == (time > known.time) }
        return order?.isGreater(series, known.series) ?? false
    }

    /// Positive if a row's key is the better one.
    private func compare(_ keys: ColumnRun, _ row: Int, _ other: Int) -> Int {
        let order =
            keyType.usesBytes
            ? compareBytes(keys.bytes(row), keys.bytes(other), keyType)
            : compareSlots(keys.values[row], keys.values[other], keyType)
        return greatest ? order : -order
    }

    private func compare(_ keys: ColumnRun, _ row: Int, _ other: LooseValue) -> Int {
        let order =
            keyType.usesBytes
            ? other.bytes.withUnsafeBytes { compareBytes(keys.bytes(row), $0, keyType) }
            : compareSlots(keys.values[row], other.slot, keyType)
        return greatest ? order : -order
    }

    private func compare(_ left: LooseValue, _ right: LooseValue) -> Int {
        let order =
            keyType.usesBytes
            ? left.bytes.withUnsafeBytes { a in
                right.bytes.withUnsafeBytes { b in compareBytes(a, b, keyType) }
            } : compareSlots(left.slot, right.slot, keyType)
        return greatest ? order : -order
    }

    mutating func merge(_ other: KeyedRowStates, _ groups: [Int]) {
        for (from, group) in groups.enumerated() {
            guard let row = other.rows[from] else { continue }
            if let known = rows[group] {
                let order = compare(row.key, known.key)
                guard order > 0 || (order == 0 && winsTie(row.time, row.series, known)) else {
                    continue
                }
            }
            rows[group] = row
        }
        looseBytes += other.looseBytes
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        guard let row = rows[group] else { return builder.appendNull() }
        row.value.append(to: &builder)
    }
}

/// any_value(x): the first that comes.
struct AnyValueStates: GroupStates {
    private let type: ResultType
    private var values: [LooseValue?] = []
    private(set) var looseBytes = 0

    init(_ call: AggregateCall) { type = call.type }

    var bytesPerGroup: Int { MemoryLayout<LooseValue?>.stride }

    mutating func resize(_ groupCount: Int) { values.grow(to: groupCount, nil) }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        guard values[group] == nil,
            let row = (0..<rows.values.count).first(where: { rows.values.isValid($0) })
        else { return }
        let value = LooseValue(rows.values, row, type)
        looseBytes += value.bytes.count
        values[group] = value
    }

    mutating func merge(_ other: AnyValueStates, _ groups: [Int]) {
        for (from, group) in groups.enumerated() where values[group] == nil {
            values[group] = other.values[from]
        }
        looseBytes += other.looseBytes
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        guard let value = values[group] else { return builder.appendNull() }
        value.append(to: &builder)
    }
}

/// min(x) and max(x) of strings and intervals.
struct ExtremeBytesStates: GroupStates {
    private let type: ResultType
    private let greatest: Bool
    private var texts: [[UInt8]?] = []
    private(set) var looseBytes = 0

    init(_ call: AggregateCall) {
        type = call.type
        greatest = call.function == .maximum
    }

    var bytesPerGroup: Int { 24 }

    mutating func resize(_ groupCount: Int) { texts.grow(to: groupCount, nil) }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        let run = rows.values
        var best: Int?
        for row in 0..<run.count where run.isValid(row) {
            guard let known = best else { best = row; continue }
            if run.values[row] == run.values[known] { continue }
            let order = compareBytes(run.bytes(row), run.bytes(known), type)
            if greatest ? order > 0 : order < 0 { best = row }
        }
        if let best { offer(group, run.bytes(best)) }
    }

    private mutating func offer(_ group: Int, _ bytes: UnsafeRawBufferPointer) {
        if let known = texts[group] {
            let order = known.withUnsafeBytes { compareBytes(bytes, $0, type) }
            guard greatest ? order > 0 : order < 0 else { return }
            looseBytes -= known.count
        }
        texts[group] = Array(bytes)
        looseBytes += bytes.count
    }

    mutating func merge(_ other: ExtremeBytesStates, _ groups: [Int]) {
        for (from, group) in groups.enumerated() {
            other.texts[from]?.withUnsafeBytes { offer(group, $0) }
        }
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        guard let text = texts[group] else { return builder.appendNull() }
        builder.append(text: text)
    }
}
