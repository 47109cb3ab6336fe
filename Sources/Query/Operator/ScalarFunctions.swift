// Number functions, greatest/least/nullif, and the gate to the string functions.

internal import ApusStorage
internal import Glibc

func callVector(
    _ function: ScalarFunction, _ arguments: [Vector], _ type: ResultType, _ frame: Frame,
    at position: SourcePosition
) throws(QueryError) -> Vector {
    switch function {
    case .greatest, .least: return extremeVector(arguments, type, greatest: function == .greatest)
    case .nullif:
        let equal = compareVectors(.equal, arguments[0], arguments[1])
        var result = arguments[0].expanded()
        for row in 0..<result.count where equal.isValid(row) && equal.slot(row) != 0 {
            result.setNull(row)
        }
        return result
    case .abs, .sign, .round, .floor, .ceil, .trunc:
        return try roundingVector(function, arguments, type, frame, at: position)
    case .pi: return Vector(.float64(Double.pi), count: frame.count)
    case .power, .atan2,
        .log where arguments.count == 2:
        return mapBinaryOptional(arguments[0], arguments[1], .float64) {
            twoDoubles(function, Double(bitPattern: $0), Double(bitPattern: $1))?.bitPattern
        }
    case .sqrt, .exp, .ln, .log, .cbrt, .sin, .cos, .tan, .asin, .acos, .atan, .degrees, .radians:
        return mapUnaryOptional(arguments[0], .float64) {
            oneDouble(function, Double(bitPattern: $0))?.bitPattern
        }
    case .toTimestamp:
        return try mapCheckedSeconds(arguments[0], frame, at: position)
    case .epochNanoseconds:
        var result = arguments[0]
        result.type = .int64
        return result
    default: return stringFunction(function, arguments, type)
    }
}

/// Outside a function's domain the answer is NULL: a dashboard outlives a zero.
private func oneDouble(_ function: ScalarFunction, _ x: Double) -> Double? {
    switch function {
    case .sqrt: x < 0 ? nil : x.squareRoot()
    case .exp: exp(x)
    case .ln: x <= 0 ? nil : log(x)
    case .log: x <= 0 ? nil : log10(x)
    case .cbrt: cbrt(x)
    case .sin: x.isInfinite ? nil : sin(x)
    case .cos: x.isInfinite ? nil : cos(x)
    case .tan: x.isInfinite ? nil : tan(x)
    case .asin: abs(x) > 1 ? nil : asin(x)
    case .acos: abs(x) > 1 ? nil : acos(x)
    case .atan: atan(x)
    case .degrees: x * 180 / Double.pi
    default: x * Double.pi / 180
    }
}

private func twoDoubles(_ function: ScalarFunction, _ x: Double, _ y: Double) -> Double? {
    switch function {
    case .power:
        // A division by zero, and roots of what is below it.
        if x == 0 && y < 0 || x < 0 && y.rounded(.down) < y { return nil }
        return pow(x, y)
    case .atan2: return atan2(x, y)
    default: return x <= 0 || y <= 0 || x == 1 ? nil : log(y) / log(x)
    }
}

private func roundingVector(
    _ function: ScalarFunction, _ arguments: [Vector], _ type: ResultType, _ frame: Frame,
    at position: SourcePosition
) throws(QueryError) -> Vector {
    let input = arguments[0]
    if arguments.count == 2 {
        return mapBinary(input, arguments[1], .float64) {
            rounded(function, Double(bitPattern: $0), digits: Int64(bitPattern: $1)).bitPattern
        }
    }
    if type == .float64 {
        return mapUnary(input, .float64) {
            let x = Double(bitPattern: $0)
            let value: Double =
                switch function {
                case .abs: x.magnitude
                case .sign: x > 0 ? 1 : (x < 0 ? -1 : x)
                case .round: x.rounded(.toNearestOrEven)
                case .floor: x.rounded(.down)
                case .ceil: x.rounded(.up)
                default: x.rounded(.towardZero)
                }
            return value.bitPattern
        }
    }
    switch function {
    case .sign where type == .uint64: return mapUnary(input, type) { $0 == 0 ? 0 : 1 }
    case .sign:
        return mapUnary(input, type) { UInt64(bitPattern: Int64(bitPattern: $0).signum()) }
    case .abs where type == .int64:
        return try mapBinaryChecked(
            input, Vector(.int64(0), count: input.count), .int64, frame,
            { outOfRange(.int64, at: position) }
        ) { a, _ in
            let value = Int64(bitPattern: a)
            return (UInt64(bitPattern: value < 0 ? 0 &- value : value), value == .min)
        }
    default: return input
    }
}

private func rounded(_ function: ScalarFunction, _ x: Double, digits: Int64) -> Double {
    guard x.isFinite, digits.magnitude < 300 else { return x }
    let factor = pow(10, Double(digits.magnitude))
    let scaled = digits < 0 ? x / factor : x * factor
    guard scaled.isFinite, scaled.magnitude < 9e15 else { return x }
    // With digits PostgreSQL rounds numerics: halves away from zero.
    let whole = scaled.rounded(function == .trunc ? .towardZero : .toNearestOrAwayFromZero)
    return digits < 0 ? whole * factor : whole / factor
}

/// NULLs are skipped; NULL only where all are.
private func extremeVector(_ list: [Vector], _ type: ResultType, greatest: Bool) -> Vector {
    var best = list[0].expanded()
    for candidate in list.dropFirst() {
        let wins = compareVectors(greatest ? .greater : .less, candidate, best)
        var builder = VectorBuilder(type, capacity: best.count)
        for row in 0..<best.count {
            let takes =
                candidate.isValid(row)
                && (!best.isValid(row) || (wins.isValid(row) && wins.slot(row) != 0))
            builder.append(row, of: takes ? candidate : best)
        }
        best = builder.finish()
    }
    return best
}

/// `to_timestamp(seconds)`.
private func mapCheckedSeconds(
    _ seconds: Vector, _ frame: Frame, at position: SourcePosition
) throws(QueryError) -> Vector {
    try mapBinaryChecked(
        seconds, Vector(.int64(0), count: seconds.count), .timestamp, frame,
        { outOfRange(.timestamp, at: position) }
    ) { slot, _ in
        let value = Double(bitPattern: slot)
        let whole = value.rounded(.down)
        guard whole.magnitude < 9.2e9 else { return (0, true) }
        // Whole seconds exactly, the fraction to the microsecond that doubles carry there.
        let fraction = ((value - whole) * 1e6).rounded()
        return (UInt64(bitPattern: Int64(whole) &* 1_000_000_000 &+ Int64(fraction) &* 1000), false)
    }
}
