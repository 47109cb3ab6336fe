// What the aggregates beyond counts, sums and extremes keep for the groups of one thread.

internal import ApusStorage

/// Rows of one group, as an aggregate gets them.
struct AggregateRows {
    /// The first argument.
    var values: ColumnRun
    /// The further arguments, in columns of which these rows begin at `start`.
    // Safe: like `times` in the caller's memory, read during the call only; as many as the aggregate
    // has arguments beside the first, each with all rows up to `start + values.count`.
    var others: UnsafePointer<ColumnRun>?
    var start = 0
    /// Of each row of `values`, where the aggregate needs times.
    var times: UnsafePointer<Int64>?
    var series: UInt32
    /// The same for runs of one slice of a scan, which has all rows of its series between its first
    /// and its last; 0 if nothing is known about rows between these and others.
    var slice = 0

    func other(_ index: Int) -> ColumnRun {
        guard let others else {
            preconditionFailure("BUG: an aggregate without its further arguments")
        }
        return others[index].slice(start, start &+ values.count)
    }
}

/// The states of one aggregate for all groups of one thread. Called by the run, not by the row.
protocol GroupStates {
    /// Bytes that every group takes.
    var bytesPerGroup: Int { get }
    /// Bytes beside those, estimated: of strings, sets, collected values.
    var looseBytes: Int { get }
    mutating func resize(_ groupCount: Int)
    mutating func add(_ group: Int, _ rows: AggregateRows)
    /// Adds another thread's groups, of which some may have seen no row; `groups[i]` is where its
    /// group i belongs here.
    mutating func merge(_ other: Self, _ groups: [Int])
    /// Called once, before results are asked for.
    mutating func prepare(_ groupCount: Int, _ windows: [TimeRange]?) throws(QueryError)
    /// Appends the result of a group.
    mutating func append(_ group: Int, to builder: inout VectorBuilder) throws(QueryError)
}

extension GroupStates {
    var looseBytes: Int { 0 }

    mutating func prepare(_ groupCount: Int, _ windows: [TimeRange]?) throws(QueryError) {}

    mutating func mergeAlike(_ other: any GroupStates, _ groups: [Int]) {
        guard let other = other as? Self else {
            preconditionFailure("BUG: states of two aggregates can't be merged")
        }
        merge(other, groups)
    }
}

func groupStates(_ call: AggregateCall, _ order: SeriesOrder?) -> any GroupStates {
    if call.isDistinct || call.function == .countDistinct {
        return DistinctStates(call)
    }
    if call.function.takesSamples { return sampleStates(call) }
    switch call.function {
    case .first, .last, .latest: return ChosenRowStates(call, order)
    case .firstByKey, .lastByKey, .argMinimum, .argMaximum: return KeyedRowStates(call, order)
    case .minimum, .maximum: return ExtremeBytesStates(call)
    case .standardDeviation, .variance, .skewness, .kurtosis: return MomentStates(call)
    case .median, .percentileContinuous, .percentileDiscrete: return CollectedStates(call)
    case .mode: return ModeStates(call)
    case .approximatePercentile: return SketchStates(call)
    case .approximateDistinct: return CardinalityStates(call)
    case .boolAnd, .boolOr, .bitAnd, .bitOr, .bitXor, .product: return FoldStates(call)
    case .anyValue: return AnyValueStates(call)
    case .stringAgg: return JoinedTextStates(call)
    case .histogram: return HistogramStates(call)
    default: return PairStates(call)
    }
}
