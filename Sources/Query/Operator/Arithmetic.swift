// `+ - * / // %` and the minus sign. Integers are checked; division by zero is NULL.

internal import ApusStorage

func arithmeticVectors(
    _ op: ArithmeticOperator, _ left: Vector, _ right: Vector, _ type: ResultType, _ frame: Frame,
    at position: SourcePosition
) throws(QueryError) -> Vector {
    if left.type == .float64 { return doubleArithmetic(op, left, right) }
    func failure() -> QueryError { outOfRange(type, at: position) }
    switch (left.type, right.type) {
    case (.int64, .int64):
        return try signedArithmetic(op, left, right, frame, failure)
    case (.uint64, .uint64):
        return try unsignedArithmetic(op, left, right, frame, failure)
    default:
        return try mixedArithmetic(op, left, right, frame, failure)
    }
}

func outOfRange(_ type: ResultType, at position: SourcePosition?) -> QueryError {
    QueryError(
        .semantic, "\(type.rawValue) out of range", at: position,
        hint: "write ::float64 behind an operand to calculate in floating point")
}

private func doubleArithmetic(
    _ op: ArithmeticOperator, _ left: Vector, _ right: Vector
) -> Vector {
    @inline(__always)
    func loop(_ body: (Double, Double) -> Double) -> Vector {
        mapBinary(left, right, .float64) {
            body(Double(bitPattern: $0), Double(bitPattern: $1)).bitPattern
        }
    }
    @inline(__always)
    func unlessZero(_ body: (Double, Double) -> Double) -> Vector {
        mapBinaryOptional(left, right, .float64) {
            let divisor = Double(bitPattern: $1)
            return divisor == 0 ? nil : body(Double(bitPattern: $0), divisor).bitPattern
        }
    }
    return switch op {
    case .add: loop { $0 + $1 }
    case .subtract: loop { $0 - $1 }
    case .multiply: loop { $0 * $1 }
    case .divide: unlessZero { $0 / $1 }
    case .divideTruncating: unlessZero { ($0 / $1).rounded(.towardZero) }
    case .modulo: unlessZero { $0.truncatingRemainder(dividingBy: $1) }
    }
}

private func signedArithmetic(
    _ op: ArithmeticOperator, _ left: Vector, _ right: Vector, _ frame: Frame,
    _ failure: () -> QueryError
) throws(QueryError) -> Vector {
    @inline(__always)
    func loop(
        _ body: (Int64, Int64) -> (partialValue: Int64, overflow: Bool)
    ) throws(QueryError) -> Vector {
        try mapBinaryChecked(left, right, .int64, frame, failure) {
            let (value, overflow) = body(Int64(bitPattern: $0), Int64(bitPattern: $1))
            return (UInt64(bitPattern: value), overflow)
        }
    }
    switch op {
    case .add: return try loop { $0.addingReportingOverflow($1) }
    case .subtract: return try loop { $0.subtractingReportingOverflow($1) }
    case .multiply: return try loop { $0.multipliedReportingOverflow(by: $1) }
    case .divide, .divideTruncating:
        return nullForZero(
            right, try loop { $1 == 0 ? (0, false) : $0.dividedReportingOverflow(by: $1) })
    case .modulo:
        return nullForZero(
            right, try loop { $1 == 0 || $1 == -1 ? (0, false) : ($0 % $1, false) })
    }
}

private func unsignedArithmetic(
    _ op: ArithmeticOperator, _ left: Vector, _ right: Vector, _ frame: Frame,
    _ failure: () -> QueryError
) throws(QueryError) -> Vector {
    switch op {
    case .add:
        return try mapBinaryChecked(left, right, .uint64, frame, failure) {
            $0.addingReportingOverflow($1)
        }
    case .subtract:
        return try mapBinaryChecked(left, right, .uint64, frame, failure) {
            $0.subtractingReportingOverflow($1)
        }
    case .multiply:
        return try mapBinaryChecked(left, right, .uint64, frame, failure) {
            $0.multipliedReportingOverflow(by: $1)
        }
    case .divide, .divideTruncating:
        return mapBinaryOptional(left, right, .uint64) { $1 == 0 ? nil : $0 / $1 }
    case .modulo:
        return mapBinaryOptional(left, right, .uint64) { $1 == 0 ? nil : $0 % $1 }
    }
}

/// int64 with uint64: computed in 128 bits, the answer is an int64.
private func mixedArithmetic(
    _ op: ArithmeticOperator, _ left: Vector, _ right: Vector, _ frame: Frame,
    _ failure: () -> QueryError
) throws(QueryError) -> Vector {
    let leftSigned = left.type == .int64
    let rightSigned = right.type == .int64
    @inline(__always)
    func wide(_ slot: UInt64, _ isSigned: Bool) -> Int128 {
        isSigned ? Int128(Int64(bitPattern: slot)) : Int128(slot)
    }
    let result = try mapBinaryChecked(left, right, .int64, frame, failure) { a, b in
        let x = wide(a, leftSigned)
        let y = wide(b, rightSigned)
        let value: Int128
        switch op {
        case .add: value = x + y
        case .subtract: value = x - y
        // 64 bits signed times 64 bits unsigned always fits 128.
        case .multiply: value = x * y
        case .divide, .divideTruncating: value = y == 0 ? 0 : x / y
        case .modulo: value = y == 0 ? 0 : x % y
        }
        guard let narrow = Int64(exactly: value) else { return (0, true) }
        return (UInt64(bitPattern: narrow), false)
    }
    return op == .divideTruncating || op == .modulo ? nullForZero(right, result) : result
}

private func nullForZero(_ divisor: Vector, _ quotient: Vector) -> Vector {
    guard divisor.values.contains(0) else { return quotient }
    var result = quotient
    for row in 0..<result.values.count where divisor.slot(row) == 0 { result.setNull(row) }
    return result
}

func negateVector(
    _ operand: Vector, _ frame: Frame, at position: SourcePosition
) throws(QueryError) -> Vector {
    if operand.type == .float64 {
        return mapUnary(operand, .float64) { (-Double(bitPattern: $0)).bitPattern }
    }
    // A uint64 becomes an int64: 0 as int64 minus the value, in 128 bits.
    return try arithmeticVectors(
        .subtract, Vector(.int64(0), count: operand.count), operand, .int64, frame, at: position)
}
