// Correlation and linear regression over pairs of numbers.
//
// Safe: runs hold pointers to at least `count` slots, as `ColumnRun` promises.

internal import ApusStorage

/// Count, means and sums of squares and products of differences from them. States of parts add up to
/// that of the whole, products as squares do (Chan, Golub, LeVeque, 1983).
struct PairMoments {
    var count = 0
    var meanX = 0.0
    var meanY = 0.0
    var squaresX = 0.0
    var squaresY = 0.0
    var products = 0.0

    init() {}

    init(x: Double, y: Double) {
        count = 1
        meanX = x
        meanY = y
        // What is not finite has no distance from its mean.
        squaresX = (x - x) * 0
        squaresY = (y - y) * 0
        products = squaresX + squaresY
    }

    /// Of a run; rows without one of the two are left out.
    init(y: ColumnRun, _ typeY: ResultType, x: ColumnRun, _ typeX: ResultType) {
        self.init(y.count) { row in
            guard y.isValid(row), x.isValid(row) else { return nil }
            return (double(x.values[row], typeX), double(y.values[row], typeY))
        }
    }

    /// Of rows that have a pair or none, in two passes.
    @inline(__always)
    init(_ rowCount: Int, _ pair: (Int) -> (x: Double, y: Double)?) {
        var first: (x: Double, y: Double)?
        var sumX = 0.0
        var sumY = 0.0
        for row in 0..<rowCount {
            guard let pair = pair(row) else { continue }
            let shift = first ?? pair
            first = shift
            sumX += pair.x - shift.x
            sumY += pair.y - shift.y
            count &+= 1
        }
        guard let first else { return }
        meanX = first.x + sumX / Double(count)
        meanY = first.y + sumY / Double(count)
        guard meanX.isFinite, meanY.isFinite else {
            // Infinite values, or a sum that left the range: one by one.
            self = PairMoments()
            for row in 0..<rowCount {
                if let pair = pair(row) { merge(PairMoments(x: pair.x, y: pair.y)) }
            }
            return
        }
        var restX = 0.0
        var restY = 0.0
        for row in 0..<rowCount {
            guard let pair = pair(row) else { continue }
            let differenceX = pair.x - meanX
            let differenceY = pair.y - meanY
            squaresX += differenceX * differenceX
            squaresY += differenceY * differenceY
            products += differenceX * differenceY
            restX += differenceX
            restY += differenceY
        }
        // What rounding left in the means.
        squaresX = Self.notNegative(squaresX - restX * restX / Double(count))
        squaresY = Self.notNegative(squaresY - restY * restY / Double(count))
        products -= restX * restY / Double(count)
    }

    mutating func merge(_ other: PairMoments) {
        guard count > 0 else { self = other; return }
        guard other.count > 0 else { return }
        let total = Double(count) + Double(other.count)
        let share = Double(other.count) / total
        let weight = Double(count) * share
        let differenceX = other.meanX - meanX
        let differenceY = other.meanY - meanY
        meanX = Self.mean(meanX, other.meanX, share)
        meanY = Self.mean(meanY, other.meanY, share)
        squaresX += other.squaresX + differenceX * differenceX * weight
        squaresY += other.squaresY + differenceY * differenceY * weight
        products += other.products + differenceX * differenceY * weight
        count &+= other.count
    }

    /// Of two means, the second with its share of all values.
    private static func mean(_ a: Double, _ b: Double, _ share: Double) -> Double {
        let difference = b - a
        if difference.isFinite { return a + difference * share }
        // Infinities stay, unless there are both; finite ones may only have been too far apart.
        return a.isFinite && b.isFinite ? a * (1 - share) + b * share : a + b
    }

    /// Unlike `max`, NaN stays.
    private static func notNegative(_ value: Double) -> Double { value < 0 ? 0 : value }

    /// Nil where all x are equal.
    var slope: Double? { count > 0 && squaresX != 0 ? products / squaresX : nil }
}

struct PairStates: GroupStates {
    private let function: AggregateCall.Function
    private let typeY: ResultType
    private let typeX: ResultType
    private var moments: [PairMoments] = []

    init(_ call: AggregateCall) {
        function = call.function
        typeY = call.arguments[0].type
        typeX = call.arguments[1].type
    }

    var bytesPerGroup: Int { MemoryLayout<PairMoments>.stride }

    mutating func resize(_ groupCount: Int) { moments.grow(to: groupCount, PairMoments()) }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        moments[group].merge(PairMoments(y: rows.values, typeY, x: rows.other(0), typeX))
    }

    mutating func merge(_ other: PairStates, _ groups: [Int]) {
        for (from, group) in groups.enumerated() { moments[group].merge(other.moments[from]) }
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        let state = moments[group]
        if function == .pairCount {
            return builder.append(UInt64(bitPattern: Int64(state.count)))
        }
        guard state.count > 0, let result = result(state) else { return builder.appendNull() }
        builder.append(result.bitPattern)
    }

    /// With PostgreSQL's rules of NULL.
    private func result(_ state: PairMoments) -> Double? {
        let count = Double(state.count)
        switch function {
        case .covariancePopulation: return state.products / count
        case .covarianceSample: return state.count > 1 ? state.products / (count - 1) : nil
        case .averageX: return state.meanX
        case .averageY: return state.meanY
        case .squaresX: return state.squaresX
        case .squaresY: return state.squaresY
        case .products: return state.products
        case .slope: return state.slope
        case .intercept: return state.slope.map { state.meanY - $0 * state.meanX }
        case .determination:
            guard state.squaresX != 0 else { return nil }
            guard state.squaresY != 0 else { return 1 }
            let root = Self.root(of: state)
            return (state.products / root) * (state.products / root)
        default:
            guard state.squaresX != 0, state.squaresY != 0 else { return nil }
            return correlation(state)
        }
    }

    private func correlation(_ state: PairMoments) -> Double {
        let value = state.products / Self.root(of: state)
        return value > 1 ? 1 : (value < -1 ? -1 : value)
    }

    /// Of the product of the squares, which may itself leave the range of doubles.
    private static func root(of state: PairMoments) -> Double {
        let product = state.squaresX * state.squaresY
        return product.isNormal
            ? product.squareRoot() : state.squaresX.squareRoot() * state.squaresY.squareRoot()
    }
}
