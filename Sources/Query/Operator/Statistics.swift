// Moments: what variances, skewness and kurtosis are made of.
//
// Safe: runs hold pointers to at least `count` slots, as `ColumnRun` promises.

internal import ApusStorage

/// Count, mean and sum of squared differences from it: what variances are made of. States of parts
/// add up to that of the whole (Chan, Golub, LeVeque), so no part needs the mean of all.
struct Moments {
    var count = 0
    var mean = 0.0
    var squares = 0.0

    init() {}

    /// Of a run in two passes; equal values have a variance of exactly 0.
    init(_ run: ColumnRun, _ type: ResultType) {
        var first: Double?
        var sum = 0.0
        for row in 0..<run.count where run.isValid(row) {
            let value = double(run.values[row], type)
            let shift = first ?? value
            first = shift
            sum += value - shift
            count &+= 1
        }
        guard let first else { return }
        mean = first + sum / Double(count)
        guard mean.isFinite else {
            // Infinite values, or a sum that left the range: one by one.
            self = Moments()
            for row in 0..<run.count where run.isValid(row) {
                merge(Moments(of: double(run.values[row], type)))
            }
            return
        }
        var rest = 0.0
        for row in 0..<run.count where run.isValid(row) {
            let difference = double(run.values[row], type) - mean
            squares += difference * difference
            rest += difference
        }
        // What rounding left in the mean.
        squares = Self.notNegative(squares - rest * rest / Double(count))
    }

    private init(of value: Double) {
        count = 1
        mean = value
        squares = value.isFinite ? 0 : .nan
    }

    mutating func merge(_ other: Moments) {
        guard count > 0 else { self = other; return }
        guard other.count > 0 else { return }
        let total = Double(count) + Double(other.count)
        let difference = other.mean - mean
        mean += difference * (Double(other.count) / total)
        squares +=
            other.squares
            + difference * difference * (Double(count) / total * Double(other.count))
        count &+= other.count
    }

    /// Unlike `max`, NaN stays.
    private static func notNegative(_ value: Double) -> Double { value < 0 ? 0 : value }

    /// Nil where SQL says NULL: no value, or one of which a sample is asked.
    func variance(ofSample isSample: Bool) -> Double? {
        guard count > (isSample ? 1 : 0) else { return nil }
        return squares / Double(isSample ? count - 1 : count)
    }
}

/// stddev, variance, skewness and kurtosis.
struct MomentStates: GroupStates {
    private let function: AggregateCall.Function
    private let isSample: Bool
    private let type: ResultType
    private var moments: [Moments] = []
    private var higher: [HigherMoments] = []

    init(_ call: AggregateCall) {
        function = call.function
        isSample = call.isSample
        type = call.argument?.type ?? .float64
    }

    private var usesHigher: Bool { function == .skewness || function == .kurtosis }

    var bytesPerGroup: Int { usesHigher ? 40 : 32 }

    mutating func resize(_ groupCount: Int) {
        if usesHigher {
            higher.grow(to: groupCount, HigherMoments())
        } else {
            moments.grow(to: groupCount, Moments())
        }
    }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        if usesHigher {
            higher[group].merge(HigherMoments(rows.values, type))
        } else {
            moments[group].merge(Moments(rows.values, type))
        }
    }

    mutating func merge(_ other: MomentStates, _ groups: [Int]) {
        for (from, group) in groups.enumerated() {
            if usesHigher {
                higher[group].merge(other.higher[from])
            } else {
                moments[group].merge(other.moments[from])
            }
        }
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        let result: Double? =
            switch function {
            case .skewness: higher[group].skewness
            case .kurtosis: higher[group].kurtosis
            case .variance: moments[group].variance(ofSample: isSample)
            default: moments[group].variance(ofSample: isSample)?.squareRoot()
            }
        guard let result else { return builder.appendNull() }
        builder.append(result.bitPattern)
    }
}

/// Count, mean and the sums of second, third and fourth powers of differences from it. Parts add up by
/// the formulas of Pébay (Sandia report SAND2008-6212, 2008).
struct HigherMoments {
    private var count = 0.0
    private var mean = 0.0
    private var squares = 0.0
    private var cubes = 0.0
    private var fourths = 0.0

    init() {}

    /// Of a run in two passes.
    init(_ run: ColumnRun, _ type: ResultType) {
        let base = Moments(run, type)
        guard base.count > 0 else { return }
        count = Double(base.count)
        mean = base.mean
        squares = base.squares
        for row in 0..<run.count where run.isValid(row) {
            let difference = double(run.values[row], type) - mean
            cubes += difference * difference * difference
            fourths += difference * difference * difference * difference
        }
    }

    mutating func merge(_ other: HigherMoments) {
        guard count > 0 else { self = other; return }
        guard other.count > 0 else { return }
        let (a, b) = (count, other.count)
        let total = a + b
        let difference = other.mean - mean
        let step = difference / total
        fourths +=
            other.fourths + difference * step * step * step * a * b * (a * a - a * b + b * b)
            + 6 * step * step * (a * a * other.squares + b * b * squares)
            + 4 * step * (a * other.cubes - b * cubes)
        cubes +=
            other.cubes + difference * step * step * a * b * (a - b)
            + 3 * step * (a * other.squares - b * squares)
        squares += other.squares + difference * step * a * b
        mean += step * b
        count = total
    }

    /// Of a sample, adjusted for its size (G₁): nil below three values, or where all are equal.
    var skewness: Double? {
        guard count > 2, squares > 0 || squares.isNaN else { return nil }
        let population = count.squareRoot() * cubes / (squares * squares.squareRoot())
        return (count * (count - 1)).squareRoot() / (count - 2) * population
    }

    /// The excess of a sample, adjusted for its size (G₂): nil below four values, or where all are equal.
    var kurtosis: Double? {
        guard count > 3, squares > 0 || squares.isNaN else { return nil }
        let excess = count * fourths / (squares * squares) - 3
        return (count - 1) / ((count - 2) * (count - 3)) * ((count + 1) * excess + 6)
    }
}
