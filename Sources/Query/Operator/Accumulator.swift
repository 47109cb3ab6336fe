// One aggregate's state for all groups of one thread, as parallel arrays indexed by group.
//
// Counts, sums, averages and extremes of slots, which most queries ask for, are here; the others are in
// files of their own behind `GroupStates`.

internal import ApusStorage

struct Accumulator {
    private enum Kind {
        case count, sumDouble, sumInteger, extremeDouble, extremeSigned, extremeUnsigned
        /// In `states`.
        case other
    }

    let call: AggregateCall
    private let argumentType: ResultType
    private let kind: Kind
    /// Values seen that are not NULL.
    private var counts: [Int] = []
    private var doubles: [Double] = []
    private var wides: [Int128] = []
    private var slots: [UInt64] = []
    private var states: (any GroupStates)?

    init(_ call: AggregateCall, order: SeriesOrder?) {
        self.call = call
        argumentType = call.argument?.type ?? .int64
        switch call.function {
        case _ where call.isDistinct: kind = .other
        case .countRows, .count: kind = .count
        case .sum, .average: kind = argumentType == .float64 ? .sumDouble : .sumInteger
        case .minimum, .maximum:
            switch argumentType {
            case .float64: kind = .extremeDouble
            case .uint64: kind = .extremeUnsigned
            case .string, .interval: kind = .other
            default: kind = .extremeSigned
            }
        default: kind = .other
        }
        if kind == .other { states = groupStates(call, order) }
    }

    /// Of chosen rows, their series.
    var series: [UInt32] { (states as? ChosenRowStates)?.series ?? [] }

    var bytesPerGroup: Int { states?.bytesPerGroup ?? 24 }

    /// Bytes of strings, sets and collected values held beside the arrays, estimated.
    var looseBytes: Int { states?.looseBytes ?? 0 }

    mutating func resize(_ groupCount: Int) {
        if kind == .other {
            states?.resize(groupCount)
            return
        }
        counts.grow(to: groupCount, 0)
        switch kind {
        case .sumDouble, .extremeDouble: doubles.grow(to: groupCount, 0)
        case .sumInteger: wides.grow(to: groupCount, 0)
        case .extremeSigned, .extremeUnsigned: slots.grow(to: groupCount, 0)
        case .count, .other: break
        }
    }

    // MARK: - Rows

    mutating func addRows(_ group: Int, _ rowCount: Int) { counts[group] &+= rowCount }

    /// Whether the values of a run are all that is needed: no times, no further arguments.
    var takesValuesOnly: Bool { kind != .other }

    /// Adds a run of rows of one group. Times ascend, where the aggregate needs them.
    mutating func add(_ group: Int, _ rows: AggregateRows) {
        if kind == .other { states?.add(group, rows) } else { add(group, rows.values) }
    }

    /// Adds a run of rows of one group, where `takesValuesOnly`.
    mutating func add(_ group: Int, _ run: ColumnRun) {
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
        case .other: preconditionFailure("BUG: an aggregate that needs more than values")
        }
    }

    /// Lets a group begin with what another one has, where `takesValuesOnly`.
    mutating func inherit(_ group: Int, from other: Int) {
        counts[group] = counts[other]
        switch kind {
        case .sumDouble, .extremeDouble: doubles[group] = doubles[other]
        case .sumInteger: wides[group] = wides[other]
        case .extremeSigned, .extremeUnsigned: slots[group] = slots[other]
        case .count, .other: break
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
        case .other: preconditionFailure("BUG: an aggregate that statistics can't answer")
        }
    }

    // MARK: - Ends

    /// Adds another thread's groups; `groups[i]` is where its group i belongs here.
    mutating func merge(_ other: Accumulator, _ groups: [Int]) {
        if kind == .other {
            if let others = other.states { states?.mergeAlike(others, groups) }
            return
        }
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
            case .other: break
            }
        }
    }

    /// The results, a row a group; `windows` says when each group's samples were, where that is known.
    mutating func finish(
        _ groupCount: Int, windows: [TimeRange]? = nil
    ) throws(QueryError) -> Vector {
        resize(groupCount)
        var builder = VectorBuilder(call.type, capacity: groupCount)
        try states?.prepare(groupCount, windows)
        if kind == .other {
            for group in 0..<groupCount { try states?.append(group, to: &builder) }
        } else {
            for group in 0..<groupCount { try append(group, to: &builder) }
        }
        return builder.finish()
    }

    /// Mutating, since `self` would otherwise be copied, references counted, for every group.
    private mutating func append(_ group: Int, to builder: inout VectorBuilder) throws(QueryError) {
        let count = counts[group]
        switch kind {
        case .count: builder.append(UInt64(bitPattern: Int64(count)))
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
        case .extremeDouble: builder.append(doubles[group].bitPattern)
        case .extremeSigned, .extremeUnsigned: builder.append(slots[group])
        case .other: break
        }
    }
}

extension Array {
    /// Appends a value until there are so many.
    mutating func grow(to count: Int, _ value: Element) {
        let missing = count - self.count
        if missing > 0 { append(contentsOf: repeatElement(value, count: missing)) }
    }
}
