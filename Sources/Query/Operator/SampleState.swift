// What neighbouring samples of one series come to, for rate and its kin. States of two stretches, one
// behind the other, join to the state of both; that of one sample is where all begin.
//
// Safe: runs and times hold at least `count` slots, as `AggregateRows` promises.

internal import ApusStorage

/// The state of a stretch of one series.
protocol SampleState {
    var firstTime: Int64 { get }
    /// Of one sample.
    init(time: Int64, slot: UInt64)
    /// Of the samples of a run whose slots are the state's own; nil if there are none.
    static func stretch(_ run: ColumnRun, _ times: UnsafePointer<Int64>) -> Self?
    /// Takes in a stretch that lies behind this one.
    mutating func join(_ later: Self)
    /// Where slots are numbers of texts: they get other numbers.
    mutating func renumber(_ numbers: [UInt64])
}

extension SampleState {
    mutating func renumber(_ numbers: [UInt64]) {}

    static func stretch(_ run: ColumnRun, _ times: UnsafePointer<Int64>) -> Self? {
        joined(run, times) { run.values[$0] }
    }

    /// One sample after the other.
    @inline(__always)
    static func joined(
        _ run: ColumnRun, _ times: UnsafePointer<Int64>, _ slot: (Int) -> UInt64
    ) -> Self? {
        guard let first = (0..<run.count).first(where: { run.isValid($0) }) else { return nil }
        var state = Self(time: times[first], slot: slot(first))
        for row in (first &+ 1)..<max(first &+ 1, run.count) where run.isValid(row) {
            state.join(Self(time: times[row], slot: slot(row)))
        }
        return state
    }
}

/// Numbers as counters count: differences of integers are exact.
protocol SampleNumber: Comparable {
    init(slot: UInt64)
    var asDouble: Double { get }
    func minus(_ other: Self) -> Double
}

extension Double: SampleNumber {
    init(slot: UInt64) { self.init(bitPattern: slot) }
    var asDouble: Double { self }
    func minus(_ other: Double) -> Double { self - other }
}

extension Int64: SampleNumber {
    init(slot: UInt64) { self.init(bitPattern: slot) }
    var asDouble: Double { Double(self) }
    @inline(__always)
    func minus(_ other: Int64) -> Double {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? Double(self) - Double(other) : Double(difference)
    }
}

extension UInt64: SampleNumber {
    init(slot: UInt64) { self = slot }
    var asDouble: Double { Double(self) }
    func minus(_ other: UInt64) -> Double {
        self >= other ? Double(self &- other) : -Double(other &- self)
    }
}

@inline(__always)
func seconds(from first: Int64, to last: Int64) -> Double { last.minus(first) / 1e9 }

/// A counter's or gauge's ends, and what its resets hide. A drop is a reset: the counter began at 0 again.
struct CounterState<Number: SampleNumber>: SampleState {
    private(set) var count = 1
    private(set) var firstTime: Int64
    private(set) var lastTime: Int64
    private(set) var first: Number
    private var last: Number
    /// The sum of the values before resets.
    private var lost = 0.0
    private(set) var resets = 0

    init(time: Int64, slot: UInt64) {
        firstTime = time
        lastTime = time
        first = Number(slot: slot)
        last = first
    }

    /// Without NULLs, a look at each pair of neighbours will do.
    static func stretch(_ run: ColumnRun, _ times: UnsafePointer<Int64>) -> CounterState? {
        guard run.validity == nil, run.count > 0 else {
            return joined(run, times) { run.values[$0] }
        }
        var state = CounterState(time: times[0], slot: run.values[0])
        var last = state.first
        for row in 1..<max(1, run.count) {
            let value = Number(slot: run.values[row])
            if value < last {
                state.lost += last.asDouble
                state.resets &+= 1
            }
            last = value
        }
        state.last = last
        state.count = run.count
        state.lastTime = times[run.count &- 1]
        return state
    }

    @inline(__always)
    mutating func join(_ later: CounterState) {
        if later.first < last {
            lost += last.asDouble
            resets &+= 1
        }
        lost += later.lost
        resets &+= later.resets
        count &+= later.count
        lastTime = later.lastTime
        last = later.last
    }

    /// Nil for a single sample, like what follows.
    var delta: Double? { count > 1 ? last.minus(first) : nil }

    /// The sum of the steps, of which that over a reset is the value behind it.
    var increase: Double? { delta.map { $0 + lost } }

    var rate: Double? {
        guard let increase, lastTime > firstTime else { return nil }
        return increase / seconds(from: firstTime, to: lastTime)
    }

    /// A difference between the first and the last sample, carried on to the ends of a window the way
    /// Prometheus does (promql/functions.go, `extrapolatedRate`): as far as samples lie apart on average
    /// if an end is nearer than 1.1 times that, else half as far; and a counter not back beyond 0.
    func extrapolated(_ change: Double?, isCounter: Bool, _ window: TimeRange) -> Double? {
        guard let change, lastTime > firstTime else { return nil }
        let sampled = seconds(from: firstTime, to: lastTime)
        let step = sampled / Double(count - 1)
        var before = seconds(from: window.lower, to: firstTime)
        if before >= step * 1.1 { before = step / 2 }
        if isCounter, change > 0, first.asDouble >= 0 {
            before = min(before, sampled * (first.asDouble / change))
        }
        var behind = seconds(from: lastTime, to: window.upper)
        if behind >= step * 1.1 { behind = step / 2 }
        return change * ((sampled + before + behind) / sampled)
    }
}

/// The last two samples.
struct InstantState<Number: SampleNumber>: SampleState {
    private(set) var firstTime: Int64
    private var time: Int64
    private var value: Number
    private var before: (time: Int64, value: Number)?

    init(time: Int64, slot: UInt64) {
        firstTime = time
        self.time = time
        value = Number(slot: slot)
    }

    @inline(__always)
    mutating func join(_ later: InstantState) {
        before = later.before ?? (time: time, value: value)
        time = later.time
        value = later.value
    }

    var rate: Double? {
        guard let before, time > before.time else { return nil }
        let step = value < before.value ? value.asDouble : value.minus(before.value)
        return step / seconds(from: before.time, to: time)
    }
}

/// The area below the samples, if each value holds until the next, and if it held since the one before:
/// halfway between both is that below straight lines.
struct AreaState<Number: SampleNumber>: SampleState {
    private(set) var firstTime: Int64
    private var lastTime: Int64
    private var first: Double
    private var last: Double
    private(set) var held = 0.0
    private var reached = 0.0

    init(time: Int64, slot: UInt64) {
        firstTime = time
        lastTime = time
        first = Number(slot: slot).asDouble
        last = first
    }

    @inline(__always)
    mutating func join(_ later: AreaState) {
        let gap = seconds(from: lastTime, to: later.firstTime)
        held += last * gap + later.held
        reached += later.first * gap + later.reached
        lastTime = later.lastTime
        last = later.last
    }

    var linear: Double { (held + reached) / 2 }
    var duration: Double { seconds(from: firstTime, to: lastTime) }
}

/// The line of least squares, in seconds from the first sample: as numbers since 1970 they would lose
/// what lies below a microsecond.
struct LineState<Number: SampleNumber>: SampleState {
    private(set) var firstTime: Int64
    private var moments: PairMoments

    init(time: Int64, slot: UInt64) {
        firstTime = time
        moments = PairMoments(x: 0, y: Number(slot: slot).asDouble)
    }

    static func stretch(_ run: ColumnRun, _ times: UnsafePointer<Int64>) -> LineState? {
        guard let first = (0..<run.count).first(where: { run.isValid($0) }) else { return nil }
        var state = LineState(time: times[first], slot: run.values[first])
        let start = times[first]
        state.moments = PairMoments(run.count) { row in
            guard run.isValid(row) else { return nil }
            return (seconds(from: start, to: times[row]), Number(slot: run.values[row]).asDouble)
        }
        return state
    }

    @inline(__always)
    mutating func join(_ later: LineState) {
        var moved = later.moments
        moved.meanX += seconds(from: firstTime, to: later.firstTime)
        moments.merge(moved)
    }

    var slope: Double? { moments.slope }
}

/// How often the value is another than before.
struct ChangeState: SampleState {
    private(set) var firstTime: Int64
    private var first: UInt64
    private var last: UInt64
    private(set) var changes = 0

    init(time: Int64, slot: UInt64) {
        firstTime = time
        first = slot
        last = slot
    }

    @inline(__always)
    mutating func join(_ later: ChangeState) {
        changes &+= later.changes &+ (later.first == last ? 0 : 1)
        last = later.last
    }

    mutating func renumber(_ numbers: [UInt64]) {
        first = numbers[Int(first)]
        last = numbers[Int(last)]
    }
}

/// How long and how often a series is in a state, which slots say with 1 and 0. A sample holds until the
/// next; the last one of all takes no time.
struct OccupancyState: SampleState {
    private(set) var firstTime: Int64
    private var lastTime: Int64
    private var beginsInside: Bool
    private var endsInside: Bool
    private(set) var nanoseconds: Int128 = 0
    private(set) var entries: Int

    init(time: Int64, slot: UInt64) {
        firstTime = time
        lastTime = time
        beginsInside = slot != 0
        endsInside = beginsInside
        entries = beginsInside ? 1 : 0
    }

    @inline(__always)
    mutating func join(_ later: OccupancyState) {
        if endsInside {
            nanoseconds += Int128(later.firstTime) - Int128(lastTime)
            if later.beginsInside { entries &-= 1 }
        }
        nanoseconds += later.nanoseconds
        entries &+= later.entries
        lastTime = later.lastTime
        endsInside = later.endsInside
    }
}
