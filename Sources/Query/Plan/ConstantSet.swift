// The constants of a long IN, in a set that is made once.

internal import ApusStorage

package struct ConstantSet: Hashable, Sendable {
    private let type: ResultType
    private var slots: Set<UInt64> = []
    /// Strings, and the bytes that equal intervals have in common.
    private(set) var texts: Set<[UInt8]> = []
    private(set) var hasNull = false

    /// - Parameter type: Of what is looked for.
    init(_ type: ResultType) { self.type = type }

    /// An estimate.
    private(set) var byteCount = 0

    /// Adds a value of the set's type, or an integer of the other kind, which can be the same number.
    mutating func insert(_ row: Int, of vector: Vector) {
        guard vector.isValid(row) else { return hasNull = true }
        if type.usesBytes {
            let bytes = key(vector, row)
            // The array's head, and a place in a table that is half full.
            if texts.insert(bytes).inserted { byteCount += bytes.count + 48 }
        } else {
            let slot = vector.slot(row)
            // One that only the other kind of integer has is nothing that could be looked for.
            if vector.type != type, slot >> 63 == 1 { return }
            let isNew = slots.insert(type == .float64 ? KeyEncoder.canonical(slot) : slot).inserted
            if isNew { byteCount += 24 }
        }
    }

    private func key(_ vector: Vector, _ row: Int) -> [UInt8] {
        type == .interval
            ? vector.withBytes(row) { IntervalValue($0) }.canonical.bytes : vector.byteArray(row)
    }

    /// Whether each value is in the set; NULL for a miss if a NULL is.
    func contains(_ operand: Vector, negated: Bool) -> Vector {
        var result: Vector
        if type.usesBytes {
            result = operand
            result.type = .bool
            result.bytes = []
            result.values = [UInt64](repeating: 0, count: operand.values.count)
            for row in 0..<operand.values.count where operand.isValid(row) {
                result.values[row] = texts.contains(key(operand, row)) ? 1 : 0
            }
        } else if type == .float64 {
            result = mapUnary(operand, .bool) { slots.contains(KeyEncoder.canonical($0)) ? 1 : 0 }
        } else {
            result = mapUnary(operand, .bool) { slots.contains($0) ? 1 : 0 }
        }
        if hasNull {
            for row in 0..<result.values.count where result.values[row] == 0 { result.setNull(row) }
        }
        return negated ? notVector(result) : result
    }
}
