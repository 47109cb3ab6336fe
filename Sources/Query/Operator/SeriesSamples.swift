// Aggregates over one series' samples in order of time: computed for each series of a group apart, then
// added up over these.
//
// A scan's slices come in any order of time, and from several threads. Within a slice the samples of a
// group lie in order and join at once; each slice leaves one segment for each of its groups, and the
// segments of a group are ordered by series and time at the end.
//
// Invariants
//   - Segments of one series and group don't overlap in time: a slice has all rows of its series between
//     its first and its last.
//   - Rows of which that isn't known are segments of their own.
//
// Safe: runs and times hold at least `count` slots, as `AggregateRows` promises.

internal import ApusStorage

/// What becomes of the series of a group, of which there is one at least; nil for NULL.
private typealias Outcome<State> = ([State], TimeRange?) throws(QueryError) -> Constant?

struct SeriesSampleStates<State: SampleState>: GroupStates {
    private struct Segment {
        var state: State
        var group: Int
        var series: UInt32
    }

    fileprivate enum Reading {
        case plain
        /// Doubles of which equal ones have one pattern.
        case canonical
        /// Numbers from a table of texts.
        case texts
        /// 1 where the value equals a constant, else 0.
        case equality(Constant)
    }

    private let reading: Reading
    private let type: ResultType
    private let outcome: Outcome<State>
    private var segments: [Segment] = []
    /// Per group, its last segment and the slice it is of.
    private var open: [(segment: Int, slice: Int)] = []
    private var texts = GroupTable()
    private var starts: [Int] = []
    private var ordered: [Int] = []
    private var windows: [TimeRange]?

    fileprivate init(_ call: AggregateCall, _ reading: Reading, _ outcome: @escaping Outcome<State>)
    {
        type = call.argument?.type ?? .float64
        self.reading = reading
        self.outcome = outcome
    }

    var bytesPerGroup: Int { 16 }
    var looseBytes: Int {
        segments.capacity * MemoryLayout<Segment>.stride + (usesTexts ? texts.byteCount : 0)
    }

    private var usesTexts: Bool { if case .texts = reading { true } else { false } }

    mutating func resize(_ groupCount: Int) { open.grow(to: groupCount, (0, 0)) }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        let run = rows.values
        guard let times = rows.times else { return }
        let state: State?
        switch reading {
        case .plain: state = State.stretch(run, times)
        case .canonical: state = State.joined(run, times) { KeyEncoder.canonical(run.values[$0]) }
        case .texts: state = joinedTexts(run, times)
        case .equality(let constant):
            if type.usesBytes {
                state = constant.bytes.withUnsafeBytes { bytes in
                    State.joined(run, times) {
                        compareBytes(run.bytes($0), bytes, type) == 0 ? 1 : 0
                    }
                }
            } else {
                let key = OrderedSlot.key(constant.slot, type)
                state = State.joined(run, times) {
                    OrderedSlot.key(run.values[$0], type) == key ? 1 : 0
                }
            }
        }
        guard let state else { return }
        append(state, group, rows)
    }

    private mutating func joinedTexts(
        _ run: ColumnRun, _ times: UnsafePointer<Int64>
    ) -> State? {
        var numbers = [UInt64](repeating: 0, count: run.count)
        for row in 0..<run.count where run.isValid(row) {
            numbers[row] = UInt64(
                type == .interval
                    ? texts.group(of: IntervalValue(run.bytes(row)).canonical.bytes)
                    : texts.group(of: run.bytes(row)))
        }
        return State.joined(run, times) { numbers[$0] }
    }

    private mutating func append(_ state: State, _ group: Int, _ rows: AggregateRows) {
        let last = open[group]
        if rows.slice > 0, last.slice == rows.slice {
            segments[last.segment].state.join(state)
            return
        }
        open[group] = (segments.count, rows.slice)
        segments.append(Segment(state: state, group: group, series: rows.series))
    }

    mutating func merge(_ other: SeriesSampleStates, _ groups: [Int]) {
        var numbers: [UInt64] = []
        if usesTexts {
            for text in 0..<other.texts.count {
                numbers.append(UInt64(other.texts.withKey(text) { texts.group(of: $0) }))
            }
        }
        segments.reserveCapacity(segments.count + other.segments.count)
        for var segment in other.segments {
            segment.group = groups[segment.group]
            if usesTexts { segment.state.renumber(numbers) }
            segments.append(segment)
        }
        // What was open has other numbers now.
        for group in open.indices { open[group].slice = 0 }
    }

    /// Puts the segments' numbers in the order of their groups, by a counting sort.
    mutating func prepare(_ groupCount: Int, _ windows: [TimeRange]?) {
        self.windows = windows
        starts = [Int](repeating: 0, count: groupCount + 1)
        for segment in segments { starts[segment.group + 1] += 1 }
        for group in 0..<groupCount { starts[group + 1] += starts[group] }
        var next = starts
        ordered = [Int](repeating: 0, count: segments.count)
        for (number, segment) in segments.enumerated() {
            ordered[next[segment.group]] = number
            next[segment.group] += 1
        }
    }

    func append(_ group: Int, to builder: inout VectorBuilder) throws(QueryError) {
        if starts[group + 1] - starts[group] == 1 {
            return try append([segments[ordered[starts[group]]].state], group, to: &builder)
        }
        var members = Array(ordered[starts[group]..<starts[group + 1]])
        if members.count > 1 {
            members.sort {
                let (a, b) = (segments[$0], segments[$1])
                return a.series != b.series
                    ? a.series < b.series : a.state.firstTime < b.state.firstTime
            }
        }
        var states: [State] = []
        var series: UInt32?
        for number in members {
            let segment = segments[number]
            if segment.series == series, var state = states.popLast() {
                state.join(segment.state)
                states.append(state)
            } else {
                states.append(segment.state)
            }
            series = segment.series
        }
        try append(states, group, to: &builder)
    }

    private func append(
        _ states: [State], _ group: Int, to builder: inout VectorBuilder
    ) throws(QueryError) {
        guard !states.isEmpty, let result = try outcome(states, windows?[group]) else {
            return builder.appendNull()
        }
        builder.append(result)
    }
}

// MARK: - Functions

func sampleStates(_ call: AggregateCall) -> any GroupStates {
    let type = call.argument?.type ?? .float64
    switch call.function {
    case .changes:
        let isDouble = type == .float64
        return SeriesSampleStates<ChangeState>(
            call, type.usesBytes ? .texts : (isDouble ? .canonical : .plain)
        ) { (states, _) throws(QueryError) in
            .int64(Int64(states.reduce(0) { $0 &+ $1.changes }))
        }
    case .stateCount, .stateDuration:
        let isCount = call.function == .stateCount
        let position = call.argument?.position
        return SeriesSampleStates<OccupancyState>(call, .equality(call.parameters[0])) {
            (states, _) throws(QueryError) in
            if isCount { return .int64(Int64(states.reduce(0) { $0 &+ $1.entries })) }
            // Days and a time of day, as the difference of two times.
            let sum = states.reduce(Int128(0)) { $0 + $1.nanoseconds }
            let day = Int128(CalendarMath.nanosecondsPerDay)
            guard let interval = IntervalValue(0, sum / day, sum % day) else {
                throw QueryError(
                    .semantic, "interval out of range in state_duration", at: position,
                    hint: "group by fewer series at a time")
            }
            return interval.constant
        }
    default:
        return switch type {
        case .float64: numberStates(call, Double.self)
        case .uint64: numberStates(call, UInt64.self)
        default: numberStates(call, Int64.self)
        }
    }
}

private func numberStates<Number: SampleNumber>(
    _ call: AggregateCall, _ number: Number.Type
) -> any GroupStates {
    typealias Counters = SeriesSampleStates<CounterState<Number>>
    switch call.function {
    case .resets:
        return Counters(call, .plain) { (states, _) throws(QueryError) in
            .int64(Int64(states.reduce(0) { $0 &+ $1.resets }))
        }
    case .instantRate:
        return SeriesSampleStates<InstantState<Number>>(call, .plain) {
            (states, _) throws(QueryError) in sum(states) { $0.rate }
        }
    case .derivative:
        return SeriesSampleStates<LineState<Number>>(call, .plain) {
            (states, _) throws(QueryError) in sum(states) { $0.slope }
        }
    case .timeWeightedAverage:
        let isLinear = !call.parameters.isEmpty
        return SeriesSampleStates<AreaState<Number>>(call, .plain) {
            (states, _) throws(QueryError) in
            let duration = states.reduce(0) { $0 + $1.duration }
            guard duration > 0 else { return nil }
            let area = states.reduce(0) { $0 + (isLinear ? $1.linear : $1.held) }
            return .float64(area / duration)
        }
    default:
        let function = call.function
        let isExtrapolated = call.isExtrapolated
        return Counters(call, .plain) { (states, window) throws(QueryError) in
            sum(states) { state in
                let isCounter = function != .delta
                let change = isCounter ? state.increase : state.delta
                guard isExtrapolated else { return function == .rate ? state.rate : change }
                guard let window,
                    let whole = state.extrapolated(change, isCounter: isCounter, window)
                else { return nil }
                return function == .rate
                    ? whole / seconds(from: window.lower, to: window.upper) : whole
            }
        }
    }
}

/// Over the series that have a number.
private func sum<State>(_ states: [State], _ number: (State) -> Double?) -> Constant? {
    var sum: Double?
    for state in states {
        if let number = number(state) { sum = (sum ?? 0) + number }
    }
    return sum.map { .float64($0) }
}
