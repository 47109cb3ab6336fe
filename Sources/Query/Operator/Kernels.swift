// Loops over whole vectors that the operators' files fill with a body. Each handles constants on
// either side and NULLs, and leaves the compiler a plain loop to vectorise.

internal import ApusStorage

/// Rows under evaluation: columns of equal count.
package struct Frame {
    package var count: Int
    package var columns: [Vector]
    /// Rows whose errors count; nil for all. CASE narrows it, so that a branch not taken can't fail.
    package var active: [UInt8]?
    /// The series all rows belong to, where there is one: breaks ties of first, last and LATEST.
    package var series: UInt32 = .max
    /// The query that waits, where what is slow for one row has to look whether it still does.
    var context: QueryContext?

    package init(count: Int, columns: [Vector]) {
        self.count = count
        self.columns = columns
    }

    @inline(__always)
    func isActive(_ row: Int) -> Bool { active.map { $0[row] != 0 } ?? true }

    /// The same rows with fewer of them active.
    func narrowed(_ mask: [UInt8]) -> Frame {
        var frame = self
        if let active {
            frame.active = zip(active, mask).map { $0 & $1 }
        } else {
            frame.active = mask
        }
        return frame
    }
}

/// The validity of a result that is NULL where either side is.
func combinedValidity(_ left: Vector, _ right: Vector, _ count: Int) -> [UInt8] {
    if left.validity.isEmpty, right.validity.isEmpty { return [] }
    if left.isConstant, right.isConstant {
        return [left.isValid(0) && right.isValid(0) ? 1 : 0]
    }
    if left.validity.isEmpty || left.isConstant {
        if !left.isValid(0), left.isConstant { return [UInt8](repeating: 0, count: count) }
        if right.isConstant { return [UInt8](repeating: right.validity[0], count: count) }
        return right.validity
    }
    if right.validity.isEmpty || right.isConstant {
        if right.isConstant, !right.isValid(0) { return [UInt8](repeating: 0, count: count) }
        return left.validity
    }
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
        // Safe: both arrays have `count` elements, and so has the buffer.
        for row in 0..<count { buffer[row] = left.validity[row] & right.validity[row] }
        initializedCount = count
    }
}

/// A value for each row from one column; NULL stays NULL.
@inline(__always)
func mapUnary(_ input: Vector, _ type: ResultType, _ body: (UInt64) -> UInt64) -> Vector {
    let count = input.values.count
    let values = [UInt64](unsafeUninitializedCapacity: count) { buffer, initializedCount in
        // Safe: reads and writes stay below `count`, the length of both.
        input.values.withUnsafeBufferPointer { source in
            for row in 0..<count { buffer[row] = body(source[row]) }
        }
        initializedCount = count
    }
    return Vector(
        type: type, count: input.count, isConstant: input.isConstant, values: values,
        validity: input.validity)
}

/// The same where the body may answer NULL.
@inline(__always)
func mapUnaryOptional(_ input: Vector, _ type: ResultType, _ body: (UInt64) -> UInt64?) -> Vector {
    var result = mapUnary(input, type) { _ in 0 }
    let count = input.values.count
    for row in 0..<count where input.validity.isEmpty || input.validity[row] != 0 {
        if let value = body(input.values[row]) {
            result.values[row] = value
        } else {
            if result.validity.isEmpty { result.validity = [UInt8](repeating: 1, count: count) }
            result.validity[row] = 0
        }
    }
    return result
}

/// A value for each pair of rows; NULL where either side is NULL.
@inline(__always)
func mapBinary(
    _ left: Vector, _ right: Vector, _ type: ResultType, _ body: (UInt64, UInt64) -> UInt64
) -> Vector {
    let isConstant = left.isConstant && right.isConstant
    let count = isConstant ? 1 : (left.isConstant ? right.values.count : left.values.count)
    let values = [UInt64](unsafeUninitializedCapacity: count) { buffer, initializedCount in
        // Safe: a side that is not constant has `count` slots, and so has the buffer.
        left.values.withUnsafeBufferPointer { a in
            right.values.withUnsafeBufferPointer { b in
                if isConstant {
                    buffer[0] = body(a[0], b[0])
                } else if left.isConstant {
                    let one = a[0]
                    for row in 0..<count { buffer[row] = body(one, b[row]) }
                } else if right.isConstant {
                    let one = b[0]
                    for row in 0..<count { buffer[row] = body(a[row], one) }
                } else {
                    for row in 0..<count { buffer[row] = body(a[row], b[row]) }
                }
            }
        }
        initializedCount = count
    }
    return Vector(
        type: type, count: left.count, isConstant: isConstant, values: values,
        validity: combinedValidity(left, right, count))
}

/// A binary operation that can leave the range of its type. The second part of the body's answer
/// says so; it counts only where both sides are valid and the row is active.
@inline(__always)
func mapBinaryChecked(
    _ left: Vector, _ right: Vector, _ type: ResultType, _ frame: Frame,
    _ failure: () -> QueryError, _ body: (UInt64, UInt64) -> (UInt64, Bool)
) throws(QueryError) -> Vector {
    var hasOverflow = false
    var result = mapBinary(left, right, type) { a, b in
        let (value, overflow) = body(a, b)
        hasOverflow = hasOverflow || overflow
        return value
    }
    guard hasOverflow else { return result }
    for row in 0..<result.count where left.isValid(row) && right.isValid(row) {
        guard body(left.slot(row), right.slot(row)).1 else { continue }
        if frame.isActive(row) { throw failure() }
        result.setNull(row)
    }
    return result
}

/// A binary operation that answers NULL where it has no value.
@inline(__always)
func mapBinaryOptional(
    _ left: Vector, _ right: Vector, _ type: ResultType, _ body: (UInt64, UInt64) -> UInt64?
) -> Vector {
    var hasNull = false
    var result = mapBinary(left, right, type) { a, b in
        guard let value = body(a, b) else {
            hasNull = true
            return 0
        }
        return value
    }
    guard hasNull else { return result }
    let slots = result.values.count
    for row in 0..<slots where left.isValid(row) && right.isValid(row) {
        if body(left.slot(row), right.slot(row)) == nil { result.setNull(row) }
    }
    return result
}

extension Vector {
    mutating func setNull(_ row: Int) {
        if validity.isEmpty { validity = [UInt8](repeating: 1, count: values.count) }
        validity[slotIndex(row)] = 0
    }
}

/// Three ways to compare doubles as SQL sorts them: NaN equals NaN and lies above all numbers.
@inline(__always)
func compareDoubles(_ a: Double, _ b: Double) -> Int {
    if a < b { return -1 }
    if a > b { return 1 }
    if a == b { return 0 }
    return a.isNaN ? (b.isNaN ? 0 : 1) : -1
}

@inline(__always)
func compareBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    let count = min(a.count, b.count)
    var index = 0
    while index < count {
        if a[index] != b[index] { return a[index] < b[index] ? -1 : 1 }
        index += 1
    }
    return a.count == b.count ? 0 : (a.count < b.count ? -1 : 1)
}

/// Rows for which a bool vector is TRUE, one byte each, and how many.
func trueMask(_ condition: Vector) -> (mask: [UInt8], count: Int) {
    let count = condition.count
    if condition.isConstant {
        let isTrue = condition.isValid(0) && condition.values[0] != 0
        return ([UInt8](repeating: isTrue ? 1 : 0, count: count), isTrue ? count : 0)
    }
    var kept = 0
    let mask = [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
        // Safe: all three arrays have `count` elements.
        condition.values.withUnsafeBufferPointer { values in
            if condition.validity.isEmpty {
                for row in 0..<count {
                    let bit = UInt8(truncatingIfNeeded: values[row] & 1)
                    buffer[row] = bit
                    kept &+= Int(bit)
                }
            } else {
                condition.validity.withUnsafeBufferPointer { validity in
                    for row in 0..<count {
                        let bit = UInt8(truncatingIfNeeded: values[row] & 1) & validity[row]
                        buffer[row] = bit
                        kept &+= Int(bit)
                    }
                }
            }
        }
        initializedCount = count
    }
    return (mask, kept)
}
