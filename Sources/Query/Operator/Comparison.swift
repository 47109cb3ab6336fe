// Comparisons, equality that knows NULL, and IN.

internal import ApusStorage

/// Compares two columns of one type, or an int64 with a uint64 column by value.
func compareVectors(_ op: ComparisonOperator, _ left: Vector, _ right: Vector) -> Vector {
    switch (left.type, right.type) {
    case (.float64, .float64):
        compareAsDoubles(op, left, right)
    case (.uint64, .uint64):
        compareIntegers(op, left, right) {
            $0
        } and: {
            $0
        }
    case (.int64, .uint64):
        compareIntegers(op, left, right) {
            Int128(Int64(bitPattern: $0))
        } and: {
            Int128($0)
        }
    case (.uint64, .int64):
        compareIntegers(op, left, right) {
            Int128($0)
        } and: {
            Int128(Int64(bitPattern: $0))
        }
    case (.string, _):
        compareByteValues(op, left, right, compareBytes)
    case (.interval, _):
        compareByteValues(op, left, right) { IntervalValue($0).compare(IntervalValue($1)) }
    default:
        compareIntegers(op, left, right) {
            Int64(bitPattern: $0)
        } and: {
            Int64(bitPattern: $0)
        }
    }
}

@inline(__always)
private func compareIntegers<T: Comparable>(
    _ op: ComparisonOperator, _ left: Vector, _ right: Vector,
    _ a: (UInt64) -> T, and b: (UInt64) -> T
) -> Vector {
    switch op {
    case .equal: mapBinary(left, right, .bool) { a($0) == b($1) ? 1 : 0 }
    case .notEqual: mapBinary(left, right, .bool) { a($0) != b($1) ? 1 : 0 }
    case .less: mapBinary(left, right, .bool) { a($0) < b($1) ? 1 : 0 }
    case .lessOrEqual: mapBinary(left, right, .bool) { a($0) <= b($1) ? 1 : 0 }
    case .greater: mapBinary(left, right, .bool) { a($0) > b($1) ? 1 : 0 }
    case .greaterOrEqual: mapBinary(left, right, .bool) { a($0) >= b($1) ? 1 : 0 }
    }
}

private func compareAsDoubles(_ op: ComparisonOperator, _ left: Vector, _ right: Vector) -> Vector {
    @inline(__always)
    func loop(_ body: (Double, Double) -> Bool) -> Vector {
        mapBinary(left, right, .bool) {
            body(Double(bitPattern: $0), Double(bitPattern: $1)) ? 1 : 0
        }
    }
    // NaN makes the bodies longer than IEEE's comparisons: it equals itself and is the greatest.
    return switch op {
    case .equal: loop { $0 == $1 || ($0 != $0 && $1 != $1) }
    case .notEqual: loop { !($0 == $1 || ($0 != $0 && $1 != $1)) }
    case .less: loop { $0 < $1 || ($0 == $0 && $1 != $1) }
    case .lessOrEqual: loop { $0 <= $1 || $1 != $1 }
    case .greater: loop { $0 > $1 || ($0 != $0 && $1 == $1) }
    case .greaterOrEqual: loop { $0 >= $1 || $0 != $0 }
    }
}

private func compareByteValues(
    _ op: ComparisonOperator, _ left: Vector, _ right: Vector,
    // Safe: `withBytes` lends bytes for the closure; both orders compare within counts.
    _ order: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Int
) -> Vector {
    let isConstant = left.isConstant && right.isConstant
    let slots = isConstant ? 1 : left.count
    var values = [UInt64](repeating: 0, count: slots)
    let validity = combinedValidity(left, right, slots)
    for row in 0..<slots where validity.isEmpty || validity[row] != 0 {
        let order = left.withBytes(row) { a in right.withBytes(row) { b in order(a, b) } }
        values[row] = op.accepts(order) ? 1 : 0
    }
    return Vector(
        type: .bool, count: left.count, isConstant: isConstant, values: values, validity: validity)
}

extension ComparisonOperator {
    /// Whether the operator holds for sides that compare like `order` with 0.
    @inline(__always)
    package func accepts(_ order: Int) -> Bool {
        switch self {
        case .equal: order == 0
        case .notEqual: order != 0
        case .less: order < 0
        case .lessOrEqual: order <= 0
        case .greater: order > 0
        case .greaterOrEqual: order >= 0
        }
    }
}

/// `IS DISTINCT FROM`: NULL is a value like any other.
func distinctVectors(_ left: Vector, _ right: Vector, negated: Bool) -> Vector {
    var result = compareVectors(negated ? .equal : .notEqual, left, right)
    guard !result.validity.isEmpty else { return result }
    for row in 0..<result.values.count where result.validity[row] == 0 {
        let bothNull = !left.isValid(row) && !right.isValid(row)
        result.values[row] = bothNull == negated ? 1 : 0
    }
    result.validity = []
    return result
}

/// `IN` over expressions and over a few constants.
func inVectors(
    _ operand: Vector, _ list: [Vector], negated: Bool
) -> Vector {
    var result = Vector(.bool(false), count: operand.count)
    for item in list {
        result = orVectors(result, compareVectors(.equal, operand, item))
    }
    return negated ? notVector(result) : result
}

func notVector(_ operand: Vector) -> Vector { mapUnary(operand, .bool) { $0 ^ 1 } }

/// Kleene's AND: FALSE beats NULL.
func andVectors(_ left: Vector, _ right: Vector) -> Vector {
    guard !left.validity.isEmpty || !right.validity.isEmpty else {
        return mapBinary(left, right, .bool) { $0 & $1 }
    }
    return kleene(left, right, deciding: 0)
}

/// Kleene's OR: TRUE beats NULL.
func orVectors(_ left: Vector, _ right: Vector) -> Vector {
    guard !left.validity.isEmpty || !right.validity.isEmpty else {
        return mapBinary(left, right, .bool) { $0 | $1 }
    }
    return kleene(left, right, deciding: 1)
}

private func kleene(_ left: Vector, _ right: Vector, deciding: UInt64) -> Vector {
    let isConstant = left.isConstant && right.isConstant
    let slots = isConstant ? 1 : left.count
    var values = [UInt64](repeating: deciding ^ 1, count: slots)
    var validity = [UInt8](repeating: 1, count: slots)
    for row in 0..<slots {
        let leftValid = left.isValid(row)
        let rightValid = right.isValid(row)
        if (leftValid && left.slot(row) == deciding) || (rightValid && right.slot(row) == deciding)
        {
            values[row] = deciding
        } else if !leftValid || !rightValid {
            validity[row] = 0
        }
    }
    return Vector(
        type: .bool, count: left.count, isConstant: isConstant, values: values, validity: validity)
}

func isTestVector(_ operand: Vector, _ test: IsTest, negated: Bool) -> Vector {
    let slots = operand.values.count
    var values = [UInt64](repeating: 0, count: slots)
    for row in 0..<slots {
        let valid = operand.validity.isEmpty || operand.validity[row] != 0
        let holds =
            switch test {
            case .null, .unknown: !valid
            case .true: valid && operand.values[row] != 0
            case .false: valid && operand.values[row] == 0
            }
        values[row] = holds != negated ? 1 : 0
    }
    return Vector(
        type: .bool, count: operand.count, isConstant: operand.isConstant, values: values)
}
