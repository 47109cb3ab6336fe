// Aggregate calls after binding, and the names of the functions.

internal import ApusStorage

/// An aggregate call after binding.
struct AggregateCall: Hashable {
    enum Function: String, Hashable {
        case countRows, count, countDistinct, sum, average, minimum, maximum, first, last
        case standardDeviation, variance, median
        /// The value of the row with the greatest time, NULL or not: LATEST ON.
        case latest
        /// The value where a key is least or greatest.
        case firstByKey, lastByKey, argMinimum, argMaximum
        case percentileContinuous, percentileDiscrete, mode
        case approximatePercentile, approximateDistinct
        case correlation, covariancePopulation, covarianceSample
        case slope, intercept, determination, pairCount, averageX, averageY
        case squaresX, squaresY, products
        case boolAnd, boolOr, bitAnd, bitOr, bitXor, product, anyValue, stringAgg, histogram
        case skewness, kurtosis
        /// Of one series' samples in order of time.
        case delta, increase, rate, instantRate, derivative, resets, changes
        case timeWeightedAverage, stateDuration, stateCount
    }

    /// How an argument orders the rows of a group.
    struct Order: Hashable {
        var isDescending: Bool
        var nullsFirst: Bool
    }

    var function: Function
    /// What is aggregated, then what it is aggregated by: a key, the other variable of a pair, the
    /// keys of ORDER BY.
    var arguments: [BoundExpression] = []
    /// Constants: a fraction, a separator, bounds, a mode.
    var parameters: [Constant] = []
    /// Of the arguments that order rows: all but the first, or the only one of WITHIN GROUP.
    var orders: [Order] = []
    /// `FILTER (WHERE …)`.
    var filter: BoundExpression?
    var type: ResultType
    /// Of a deviation or variance: that of a sample (n − 1), not of all there is (n).
    var isSample = false
    /// Every value counts once. `countDistinct` and those for which it makes no difference do without.
    var isDistinct = false

    init(
        function: Function, argument: BoundExpression? = nil, filter: BoundExpression? = nil,
        type: ResultType
    ) {
        self.function = function
        arguments = argument.map { [$0] } ?? []
        self.filter = filter
        self.type = type
    }

    var argument: BoundExpression? { arguments.first }

    func collectColumns(into columns: inout Set<Int>) {
        for argument in arguments { argument.collectColumns(into: &columns) }
        filter?.collectColumns(into: &columns)
    }

    /// Whether Prometheus' way to the ends of the window was asked for.
    var isExtrapolated: Bool {
        switch function {
        case .delta, .increase, .rate: !parameters.isEmpty
        default: false
        }
    }
}

extension AggregateCall.Function {
    /// Of one series' samples in order of time.
    var takesSamples: Bool {
        switch self {
        case .delta, .increase, .rate, .instantRate, .derivative, .resets, .changes,
            .timeWeightedAverage, .stateDuration, .stateCount:
            true
        default: false
        }
    }

    /// Whether it matters when a row was and of which series.
    var needsTime: Bool {
        switch self {
        case .first, .last, .latest, .firstByKey, .lastByKey, .argMinimum, .argMaximum: true
        default: takesSamples
        }
    }

    /// Whether a value that comes again changes nothing.
    var isIdempotent: Bool {
        switch self {
        case .countDistinct, .approximateDistinct, .minimum, .maximum, .boolAnd, .boolOr, .bitAnd,
            .bitOr, .anyValue:
            true
        default: false
        }
    }
}

extension AggregateCall {
    /// Names in lower case; several can mean one function.
    static let functions: [String: Function] = [
        "count": .count, "sum": .sum, "avg": .average, "mean": .average, "min": .minimum,
        "max": .maximum, "first": .first, "last": .last, "stddev": .standardDeviation,
        "stddev_samp": .standardDeviation, "stddev_pop": .standardDeviation,
        "variance": .variance, "var_samp": .variance, "var_pop": .variance, "median": .median,
        "arg_min": .argMinimum, "min_by": .argMinimum, "argmin": .argMinimum,
        "arg_max": .argMaximum, "max_by": .argMaximum, "argmax": .argMaximum,
        "percentile_cont": .percentileContinuous, "quantile_cont": .percentileContinuous,
        "percentile_disc": .percentileDiscrete, "quantile_disc": .percentileDiscrete,
        "mode": .mode, "approx_percentile": .approximatePercentile,
        "approx_quantile": .approximatePercentile, "approx_count_distinct": .approximateDistinct,
        "corr": .correlation, "covar_pop": .covariancePopulation,
        "covar_samp": .covarianceSample, "regr_slope": .slope, "regr_intercept": .intercept,
        "regr_r2": .determination, "regr_count": .pairCount, "regr_avgx": .averageX,
        "regr_avgy": .averageY, "regr_sxx": .squaresX, "regr_syy": .squaresY,
        "regr_sxy": .products, "bool_and": .boolAnd, "every": .boolAnd, "bool_or": .boolOr,
        "bit_and": .bitAnd, "bit_or": .bitOr, "bit_xor": .bitXor, "product": .product,
        "any_value": .anyValue, "string_agg": .stringAgg, "histogram": .histogram,
        "skewness": .skewness, "kurtosis": .kurtosis, "delta": .delta, "increase": .increase,
        "rate": .rate, "irate": .instantRate, "derivative": .derivative, "deriv": .derivative,
        "resets": .resets, "changes": .changes, "time_weighted_avg": .timeWeightedAverage,
        "state_duration": .stateDuration, "state_count": .stateCount,
    ]
}
