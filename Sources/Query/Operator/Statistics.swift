// The states of the statistical aggregates: moments for variances, collected values for the median.
//
// Safe: runs hold pointers to at least `count` slots, as `ColumnRun` promises.

internal import ApusStorage

/// A number's slot as a double.
@inline(__always)
private func double(_ slot: UInt64, _ type: ResultType) -> Double {
    switch type {
    case .float64: Double(bitPattern: slot)
    case .uint64: Double(slot)
    default: Double(Int64(bitPattern: slot))
    }
}

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

/// The values of one group, as integers that sort as SQL sorts doubles: NaN above all.
struct CollectedValues {
    private var keys: [UInt64] = []

    var byteCount: Int { keys.capacity * 8 }

    mutating func add(_ run: ColumnRun, _ type: ResultType) {
        for row in 0..<run.count where run.isValid(row) {
            let bits = KeyEncoder.canonical(double(run.values[row], type).bitPattern)
            keys.append(bits >> 63 == 1 ? ~bits : bits | 1 << 63)
        }
    }

    mutating func merge(_ other: CollectedValues) {
        if keys.isEmpty { self = other } else { keys += other.keys }
    }

    private static func value(_ key: UInt64) -> Double {
        Double(bitPattern: key >> 63 == 1 ? key & ~(1 << 63) : ~key)
    }

    /// The middle value, or halfway between the middle two; nil if there is none. Gives the
    /// values up.
    mutating func takeMedian() -> Double? {
        guard !keys.isEmpty else { return nil }
        defer { keys = [] }
        let middle = keys.count / 2
        Self.select(middle, &keys)
        let upper = Self.value(keys[middle])
        guard keys.count.isMultiple(of: 2), let below = keys[..<middle].max() else { return upper }
        let lower = Self.value(below)
        if lower == upper { return lower }
        let width = upper - lower
        // A width beyond the range of doubles, between finite values.
        if width.isInfinite, lower.isFinite, upper.isFinite { return lower / 2 + upper / 2 }
        return lower + width / 2
    }

    /// Brings the value of that rank to its place: not greater ones before it, not lesser behind.
    private static func select(_ rank: Int, _ keys: inout [UInt64]) {
        var low = 0
        var high = keys.count - 1
        while low < high {
            let center = low + (high - low) / 2
            let pivot = medianOfThree(keys[low], keys[center], keys[high])
            var left = low
            var right = high
            while left <= right {
                while keys[left] < pivot { left += 1 }
                while keys[right] > pivot { right -= 1 }
                if left <= right {
                    keys.swapAt(left, right)
                    left += 1
                    right -= 1
                }
            }
            if rank <= right {
                high = right
            } else if rank >= left {
                low = left
            } else {
                return
            }
        }
    }

    private static func medianOfThree(_ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
        max(min(a, b), min(max(a, b), c))
    }
}
