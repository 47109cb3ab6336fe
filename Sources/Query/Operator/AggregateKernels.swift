// The inner loops of aggregation over a run of rows of one column.
//
// Safe: callers pass pointers to at least `count` slots, and validity of as many bytes or nil.

internal import ApusKernels
internal import ApusStorage

/// Prometheus' mark of a series that ended: a NaN that reads as NULL.
let staleMarker: UInt64 = 0x7FF0_0000_0000_0002

/// Rows of one column during a call.
struct ColumnRun {
    var values: UnsafePointer<UInt64>
    var validity: UnsafePointer<UInt8>?
    var count: Int
    var stringBytes: UnsafePointer<UInt8>?

    @inline(__always)
    func slice(_ start: Int, _ end: Int) -> ColumnRun {
        ColumnRun(
            values: values + start, validity: validity.map { $0 + start }, count: end &- start,
            stringBytes: stringBytes)
    }

    @inline(__always)
    func isValid(_ row: Int) -> Bool { validity.map { $0[row] != 0 } ?? true }

    @inline(__always)
    func bytes(_ row: Int) -> UnsafeRawBufferPointer {
        let slot = StringSlot(rawValue: values[row])
        return UnsafeRawBufferPointer(
            start: stringBytes.map { $0 + slot.offset }, count: slot.length)
    }
}

enum AggregateKernels {
    static func countValid(_ run: ColumnRun) -> Int {
        guard let validity = run.validity else { return run.count }
        var total = 0
        for row in 0..<run.count { total &+= Int(validity[row]) }
        return total
    }

    /// Sum of doubles, eight lanes and two accumulators; rows that are not valid add nothing.
    static func sumDoubles(_ run: ColumnRun) -> Double {
        let values = UnsafeRawPointer(run.values).assumingMemoryBound(to: Double.self)
        var total = 0.0
        if let validity = run.validity {
            for row in 0..<run.count where validity[row] != 0 { total += values[row] }
            return total
        }
        var first = SIMD8<Double>.zero
        var second = SIMD8<Double>.zero
        var row = 0
        let raw = UnsafeRawPointer(values)
        while row &+ 16 <= run.count {
            first += raw.loadUnaligned(fromByteOffset: row &* 8, as: SIMD8<Double>.self)
            second += raw.loadUnaligned(fromByteOffset: row &* 8 &+ 64, as: SIMD8<Double>.self)
            row &+= 16
        }
        while row < run.count {
            total += values[row]
            row &+= 1
        }
        return total + (first + second).sum()
    }

    /// Exact sum: the halves of the values add up apart, neither can wrap below 2³¹ rows.
    static func sumSigned(_ run: ColumnRun) -> Int128 {
        var high: Int64 = 0
        var low: Int64 = 0
        let values = UnsafeRawPointer(run.values).assumingMemoryBound(to: Int64.self)
        apus_int64_halves(values, run.validity, run.count, &high, &low)
        return Int128(high) << 32 + Int128(low)
    }

    static func sumUnsigned(_ run: ColumnRun) -> Int128 {
        var high: UInt64 = 0
        var low: UInt64 = 0
        for row in 0..<run.count where run.validity.map({ $0[row] != 0 }) ?? true {
            high &+= run.values[row] &>> 32
            low &+= run.values[row] & 0xFFFF_FFFF
        }
        return Int128(high) << 32 + Int128(low)
    }

    /// The least (or greatest) signed value; nil if none is valid.
    static func extremeSigned(_ run: ColumnRun, greatest: Bool) -> Int64? {
        if run.validity == nil, run.count > 0 {
            let values = UnsafeRawPointer(run.values).assumingMemoryBound(to: Int64.self)
            var (low, high) = (values[0], values[0])
            apus_int64_range(values, run.count, &low, &high)
            return greatest ? high : low
        }
        var best: Int64?
        for row in 0..<run.count where run.validity.map({ $0[row] != 0 }) ?? true {
            let value = Int64(bitPattern: run.values[row])
            if let known = best {
                best = greatest ? max(known, value) : min(known, value)
            } else {
                best = value
            }
        }
        return best
    }

    static func extremeUnsigned(_ run: ColumnRun, greatest: Bool) -> UInt64? {
        var best: UInt64?
        for row in 0..<run.count where run.validity.map({ $0[row] != 0 }) ?? true {
            let value = run.values[row]
            if let known = best {
                best = greatest ? max(known, value) : min(known, value)
            } else {
                best = value
            }
        }
        return best
    }

    /// As SQL sorts: NaN is the greatest of all.
    static func extremeDouble(_ run: ColumnRun, greatest: Bool) -> Double? {
        let values = UnsafeRawPointer(run.values).assumingMemoryBound(to: Double.self)
        if run.validity == nil, run.count > 0 {
            var (low, high) = (0.0, 0.0)
            if apus_double_range(values, run.count, &low, &high) == 0 {
                return greatest ? high : low
            }
        }
        var best: Double?
        for row in 0..<run.count where run.validity.map({ $0[row] != 0 }) ?? true {
            guard let known = best else { best = values[row]; continue }
            let order = compareDoubles(values[row], known)
            if greatest ? order > 0 : order < 0 { best = values[row] }
        }
        return best
    }

    /// Whether a column of doubles holds a NaN: x − x is 0 for every finite x, so the sum tells.
    static func mayHoldNaN(_ values: UnsafePointer<UInt64>, _ count: Int) -> Bool {
        let raw = UnsafeRawPointer(values)
        var sum = SIMD8<Double>.zero
        var row = 0
        while row &+ 8 <= count {
            let lane = raw.loadUnaligned(fromByteOffset: row &* 8, as: SIMD8<Double>.self)
            sum += lane - lane
            row &+= 8
        }
        var rest = 0.0
        while row < count {
            let value = Double(bitPattern: values[row])
            rest += value - value
            row &+= 1
        }
        return rest + sum.sum() != 0
    }
}
