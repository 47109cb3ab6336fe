// Orders of values that stand apart from their columns.
//
// Safe: bytes are compared within their counts.

internal import ApusStorage

/// Three ways to compare slots of a type without bytes.
@inline(__always)
func compareSlots(_ a: UInt64, _ b: UInt64, _ type: ResultType) -> Int {
    let (x, y) = (OrderedSlot.key(a, type), OrderedSlot.key(b, type))
    return x == y ? 0 : (x < y ? -1 : 1)
}

/// Three ways to compare strings or intervals.
@inline(__always)
func compareBytes(
    _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, _ type: ResultType
) -> Int {
    type == .interval ? IntervalValue(a).compare(IntervalValue(b)) : compareBytes(a, b)
}

/// Slots as integers that sort as SQL sorts the values: NaN above all, −0 as 0.
enum OrderedSlot {
    @inline(__always)
    static func key(_ slot: UInt64, _ type: ResultType) -> UInt64 {
        switch type {
        case .float64:
            let bits = KeyEncoder.canonical(slot)
            return bits >> 63 == 1 ? ~bits : bits | 1 << 63
        case .uint64, .bool: return slot
        default: return slot ^ 1 << 63
        }
    }

    @inline(__always)
    static func slot(_ key: UInt64, _ type: ResultType) -> UInt64 {
        switch type {
        case .float64: key >> 63 == 1 ? key & ~(1 << 63) : ~key
        case .uint64, .bool: key
        default: key ^ 1 << 63
        }
    }
}

/// A number's slot as a double.
@inline(__always)
func double(_ slot: UInt64, _ type: ResultType) -> Double {
    switch type {
    case .float64: Double(bitPattern: slot)
    case .uint64: Double(slot)
    default: Double(Int64(bitPattern: slot))
    }
}
