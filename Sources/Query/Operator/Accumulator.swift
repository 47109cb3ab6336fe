// One aggregate's state for all groups of one thread, as parallel arrays indexed by group.

internal import ApusStorage
internal import Synchronization

/// Breaks ties between rows of equal time: the greatest series key wins.
final class SeriesOrder: Sendable {
    private let table: TableEntry
    private let series: SeriesSnapshot
    private let schema: TableSchema

    init(table: TableEntry) {
        self.table = table
        series = table.seriesSnapshot
        // Afterwards: it has the tags of all of them.
        schema = table.schema
    }

    func isGreater(_ a: UInt32, _ b: UInt32) -> Bool {
        guard a != b, a != .max, b != .max else { return false }
        // One may be born while the query began.
        let isKnown = max(a, b) < self.series.count
        let series = isKnown ? self.series : table.seriesSnapshot
        let schema = isKnown ? self.schema : table.schema
        return series.key(of: b, schema).lexicographicallyPrecedes(series.key(of: a, schema))
    }
}

struct Accumulator {
    private enum Kind {
        case count, sumDouble, sumInteger, extremeDouble, extremeSigned, extremeUnsigned
        case extremeBytes, chosenRow, distinct, moments, median
    }

    let call: AggregateCall
    private let argumentType: ResultType
    private let kind: Kind
    private let order: SeriesOrder?
    /// Values seen that are not NULL; for a chosen row whether there is one.
    private var counts: [Int] = []
    private var doubles: [Double] = []
    private var wides: [Int128] = []
    private var slots: [UInt64] = []
    private var texts: [[UInt8]] = []
    private var times: [Int64] = []
    /// Of a chosen row, its series.
    private(set) var series: [UInt32] = []
    private var nulls: [Bool] = []
    private var numberSets: [Set<UInt64>] = []
    private var textSets: [Set<[UInt8]>] = []
    private var moments: [Moments] = []
    private var collected: [CollectedValues] = []
    /// Bytes of strings, sets and collected values held beside the arrays, estimated.
    private(set) var looseBytes = 0

    init(_ call: AggregateCall, order: SeriesOrder?) {
        self.call = call
        self.order = order
        argumentType = call.argument?.type ?? .int64
        switch call.function {
        case .countRows, .count: kind = .count
        case .sum, .average: kind = argumentType == .float64 ? .sumDouble : .sumInteger
        case .minimum, .maximum:
            switch argumentType {
            case .float64: kind = .extremeDouble
            case .uint64: kind = .extremeUnsigned
            case .string, .interval: kind = .extremeBytes
            default: kind = .extremeSigned
            }
        case .first, .last, .latest: kind = .chosenRow
        case .countDistinct: kind = .distinct
        case .standardDeviation, .variance: kind = .moments
        case .median: kind = .median
        }
    }

    var bytesPerGroup: Int {
        switch kind {
        case .chosenRow, .distinct, .median: 64
        case .moments: 32
        default: 24
        }
    }

    mutating func resize(_ groupCount: Int) {
        let added = groupCount - counts.count
        guard added > 0 else { return }
        func grow<T>(_ array: inout [T], _ value: T) {
            array.append(contentsOf: repeatElement(value, count: added))
        }
        grow(&counts, 0)
        switch kind {
        case .count: break
        case .sumDouble, .extremeDouble: grow(&doubles, 0)
        case .sumInteger: grow(&wides, 0)
        case .extremeSigned, .extremeUnsigned: grow(&slots, 0)
        case .extremeBytes: grow(&texts, [])
        case .chosenRow:
            grow(&times, 0)
            grow(&series, .max)
            grow(&nulls, true)
            if argumentType.usesBytes { grow(&texts, []) } else { grow(&slots, 0) }
        case .distinct:
            if argumentType.usesBytes { grow(&textSets, []) } else { grow(&numberSets, []) }
        case .moments: grow(&moments, Moments())
        case .median: grow(&collected, CollectedValues())
        }
    }

    // MARK: - Rows

    mutating func addRows(_ group: Int, _ rowCount: Int) { counts[group] &+= rowCount }

    /// Adds a run of rows of one group. Times ascend, where the aggregate needs them.
    // Safe: `times` has a time for each row of the run, in the caller's scan memory, read during the call only.
    mutating func add(_ group: Int, _ run: ColumnRun, times: UnsafePointer<Int64>?, series: UInt32)
    {
        switch kind {
        case .count: counts[group] &+= AggregateKernels.countValid(run)
        case .sumDouble:
            counts[group] &+= AggregateKernels.countValid(run)
            doubles[group] += AggregateKernels.sumDoubles(run)
        case .sumInteger:
            counts[group] &+= AggregateKernels.countValid(run)
            wides[group] +=
                argumentType == .uint64
                ? AggregateKernels.sumUnsigned(run) : AggregateKernels.sumSigned(run)
        case .extremeDouble:
            guard let value = AggregateKernels.extremeDouble(run, greatest: greatest) else {
                return
            }
            offer(group, value)
        case .extremeSigned:
            guard let value = AggregateKernels.extremeSigned(run, greatest: greatest) else {
                return
            }
            offer(group, UInt64(bitPattern: value))
        case .extremeUnsigned:
            guard let value = AggregateKernels.extremeUnsigned(run, greatest: greatest) else {
                return
            }
            offer(group, value)
        case .extremeBytes:
            for row in 0..<run.count where run.isValid(row) { offer(group, run.bytes(row)) }
        case .chosenRow: addChosen(group, run, times, series)
        case .distinct: addDistinct(group, run)
        case .moments:
            moments[group].merge(Moments(run, argumentType))
            counts[group] = moments[group].count
        case .median:
            counts[group] &+= AggregateKernels.countValid(run)
            looseBytes -= collected[group].byteCount
            collected[group].add(run, argumentType)
            looseBytes += collected[group].byteCount
        }
    }

    private var greatest: Bool { call.function == .maximum }

    private mutating func offer(_ group: Int, _ value: Double) {
        let order = counts[group] == 0 ? 0 : compareDoubles(value, doubles[group])
        if counts[group] == 0 || (greatest ? order > 0 : order < 0) { doubles[group] = value }
        counts[group] &+= 1
    }

    private mutating func offer(_ group: Int, _ slot: UInt64) {
        let isBetter: Bool
        if counts[group] == 0 {
            isBetter = true
        } else if kind == .extremeUnsigned {
            isBetter = greatest ? slot > slots[group] : slot < slots[group]
        } else {
            let (new, old) = (Int64(bitPattern: slot), Int64(bitPattern: slots[group]))
            isBetter = greatest ? new > old : new < old
        }
        if isBetter { slots[group] = slot }
        counts[group] &+= 1
    }

    private mutating func offer(_ group: Int, _ bytes: UnsafeRawBufferPointer) {
        let order = texts[group].withUnsafeBytes { compareBytes(bytes, $0) }
        if counts[group] == 0 || (greatest ? order > 0 : order < 0) {
            texts[group] = Array(bytes)
            looseBytes += bytes.count
        }
        counts[group] &+= 1
    }

    private mutating func addChosen(
        _ group: Int, _ run: ColumnRun, _ runTimes: UnsafePointer<Int64>?, _ runSeries: UInt32
    ) {
        guard run.count > 0, let runTimes else { return }
        var row: Int?
        switch call.function {
        case .latest: row = run.count - 1
        case .last:
            var candidate = run.count - 1
            while candidate >= 0, !run.isValid(candidate) { candidate -= 1 }
            row = candidate >= 0 ? candidate : nil
        default: row = (0..<run.count).first { run.isValid($0) }
        }
        guard let row, wins(group, runTimes[row], runSeries) else { return }
        counts[group] = 1
        times[group] = runTimes[row]
        series[group] = runSeries
        nulls[group] = !run.isValid(row)
        guard !nulls[group] else { return }
        if argumentType.usesBytes {
            let bytes = run.bytes(row)
            looseBytes += max(0, bytes.count - texts[group].count)
            texts[group] = Array(bytes)
        } else {
            slots[group] = run.values[row]
        }
    }

    private func wins(_ group: Int, _ time: Int64, _ newSeries: UInt32) -> Bool {
        guard counts[group] > 0 else { return true }
        if time != times[group] {
            return call.function == .first ? time < times[group] : time > times[group]
        }
        return order?.isGreater(newSeries, series[group]) ?? false
    }

    private mutating func addDistinct(_ group: Int, _ run: ColumnRun) {
        // A group without a count is one that no row fed, and is left out of a merge.
        counts[group] &+= AggregateKernels.countValid(run)
        for row in 0..<run.count where run.isValid(row) {
            if argumentType.usesBytes {
                let bytes = Array(run.bytes(row))
                if textSets[group].insert(bytes).inserted { looseBytes += bytes.count + 64 }
            } else {
                let slot = run.values[row]
                let key = argumentType == .float64 ? KeyEncoder.canonical(slot) : slot
                if numberSets[group].insert(key).inserted { looseBytes += 24 }
            }
        }
    }

    // MARK: - Statistics

    /// Adds a block's statistics: count, sum, average, minimum and maximum only.
    mutating func add(_ group: Int, _ statistics: ColumnStatistics) {
        let present = statistics.presentCount
        guard present > 0 else { return }
        switch kind {
        case .count: counts[group] &+= present
        case .sumDouble:
            if case .float(let sum) = statistics.sum { doubles[group] += sum }
            if statistics.nanCount > 0 { doubles[group] = .nan }
            counts[group] &+= present
        case .sumInteger:
            if case .integer(let sum) = statistics.sum { wides[group] += sum }
            counts[group] &+= present
        case .extremeDouble:
            if statistics.nanCount < present {
                offer(
                    group,
                    Double(bitPattern: greatest ? statistics.maximum : statistics.minimum))
            }
            if statistics.nanCount > 0 { offer(group, .nan) }
        case .extremeSigned, .extremeUnsigned:
            offer(group, greatest ? statistics.maximum : statistics.minimum)
        default: preconditionFailure("BUG: an aggregate that statistics can't answer")
        }
    }

    // MARK: - Ends

    /// Adds another thread's groups; `groups[i]` is where its group i belongs here.
    mutating func merge(_ other: Accumulator, _ groups: [Int]) {
        for (from, group) in groups.enumerated() where other.counts[from] > 0 {
            switch kind {
            case .count: counts[group] &+= other.counts[from]
            case .sumDouble:
                counts[group] &+= other.counts[from]
                doubles[group] += other.doubles[from]
            case .sumInteger:
                counts[group] &+= other.counts[from]
                wides[group] += other.wides[from]
            case .extremeDouble: offer(group, other.doubles[from])
            case .extremeSigned, .extremeUnsigned: offer(group, other.slots[from])
            case .extremeBytes: other.texts[from].withUnsafeBytes { offer(group, $0) }
            case .chosenRow:
                guard wins(group, other.times[from], other.series[from]) else { continue }
                counts[group] = 1
                times[group] = other.times[from]
                series[group] = other.series[from]
                nulls[group] = other.nulls[from]
                if argumentType.usesBytes {
                    texts[group] = other.texts[from]
                } else {
                    slots[group] = other.slots[from]
                }
            case .distinct:
                counts[group] &+= other.counts[from]
                if argumentType.usesBytes {
                    textSets[group].formUnion(other.textSets[from])
                } else {
                    numberSets[group].formUnion(other.numberSets[from])
                }
            case .moments:
                moments[group].merge(other.moments[from])
                counts[group] = moments[group].count
            case .median:
                counts[group] &+= other.counts[from]
                collected[group].merge(other.collected[from])
            }
        }
        looseBytes += other.looseBytes
    }

    /// The results, a row a group.
    mutating func finish(_ groupCount: Int) throws(QueryError) -> Vector {
        resize(groupCount)
        var builder = VectorBuilder(call.type, capacity: groupCount)
        for group in 0..<groupCount { try append(group, to: &builder) }
        return builder.finish()
    }

    private mutating func append(_ group: Int, to builder: inout VectorBuilder) throws(QueryError) {
        let count = counts[group]
        switch kind {
        case .count: builder.append(UInt64(bitPattern: Int64(count)))
        case .distinct:
            let size =
                argumentType.usesBytes ? textSets[group].count : numberSets[group].count
            builder.append(UInt64(bitPattern: Int64(size)))
        case _ where count == 0: builder.appendNull()
        case .sumDouble:
            let sum = doubles[group]
            builder.append((call.function == .average ? sum / Double(count) : sum).bitPattern)
        case .sumInteger:
            if call.function == .average {
                // The conversion of 128 bits takes many times that of 64.
                let sum = Int64(exactly: wides[group]).map { Double($0) } ?? Double(wides[group])
                builder.append((sum / Double(count)).bitPattern)
            } else if call.type == .uint64, let sum = UInt64(exactly: wides[group]) {
                builder.append(sum)
            } else if call.type == .int64, let sum = Int64(exactly: wides[group]) {
                builder.append(UInt64(bitPattern: sum))
            } else {
                throw QueryError(
                    .semantic, "\(call.type.rawValue) out of range in sum",
                    at: call.argument?.position,
                    hint: "sum in floating point with ::float64 behind the argument")
            }
        case .moments:
            guard case let variance? = moments[group].variance(ofSample: call.isSample) else {
                return builder.appendNull()
            }
            let isDeviation = call.function == .standardDeviation
            builder.append((isDeviation ? variance.squareRoot() : variance).bitPattern)
        case .median:
            guard let median = collected[group].takeMedian() else { return builder.appendNull() }
            builder.append(median.bitPattern)
        case .extremeDouble: builder.append(doubles[group].bitPattern)
        case .extremeSigned, .extremeUnsigned: builder.append(slots[group])
        case .extremeBytes: builder.append(text: texts[group])
        case .chosenRow:
            if nulls[group] {
                builder.appendNull()
            } else if argumentType.usesBytes {
                builder.append(text: texts[group])
            } else {
                builder.append(slots[group])
            }
        }
    }
}
