// Approximate percentiles in bounded memory.
//
// Safe: runs hold pointers to at least `count` slots, as `ColumnRun` promises.

internal import ApusStorage
internal import Glibc

/// A DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with
/// relative-error guarantees", VLDB 2019): counts in buckets whose bounds grow geometrically.
///
/// Bucket i holds the values in (γⁱ⁻¹, γⁱ] with γ = (1 + α) / (1 − α), and answers with the value that is
/// at most α = 1 % away from all of these. Negative values have buckets of their own, zeros are counted.
/// Each sign has at most `bucketsMax` buckets, which span a factor of 6·10¹⁷ between the values farthest
/// from zero and nearest to it; where values spread wider, those nearest to zero share one bucket and
/// lose the guarantee. Sketches add up in any order to the same state.
///
/// A value costs a logarithm and an increment. Memory is 8 bytes for each bucket between the least and the
/// greatest value of a sign: 3 KB for values between 1 and 1,000, 33 KB for both signs at most.
struct QuantileSketch {
    static let accuracy = 0.01
    static let bucketsMax = 2_048
    private static let gamma = (1 + accuracy) / (1 - accuracy)
    private static let scale = 1 / log(gamma)

    /// Buckets of one sign, by distance from zero.
    struct Store {
        private(set) var counts: [Int] = []
        /// The index of the first bucket.
        private(set) var first = 0

        /// Buckets below this index are not kept apart.
        private static func lowest(for last: Int) -> Int { last - (QuantileSketch.bucketsMax - 1) }

        mutating func add(_ index: Int, _ count: Int) {
            if counts.isEmpty {
                first = index
                counts = [count]
                return
            }
            let last = first + counts.count - 1
            if index > last {
                extend(to: index)
            } else if index < first {
                let start = max(index, Self.lowest(for: last))
                if start < first {
                    counts.insert(contentsOf: repeatElement(0, count: first - start), at: 0)
                    first = start
                }
            }
            counts[max(index, first) - first] &+= count
        }

        private mutating func extend(to index: Int) {
            let start = max(first, Self.lowest(for: index))
            // What falls below the bound goes to the lowest bucket that is left.
            let dropped = min(counts.count, start - first)
            if dropped > 0 {
                let sum = counts[..<dropped].reduce(0, &+)
                counts.removeFirst(dropped)
                first = start
                if counts.isEmpty { counts = [0] }
                counts[0] &+= sum
            }
            counts.grow(to: index - first + 1, 0)
        }

        mutating func merge(_ other: Store) {
            // From the greatest: then none is moved twice.
            for place in other.counts.indices.reversed() where other.counts[place] > 0 {
                add(other.first + place, other.counts[place])
            }
        }
    }

    private var positive = Store()
    private var negative = Store()
    private var zeroCount = 0
    private var lowInfinities = 0
    private var highInfinities = 0
    private var nanCount = 0
    private var minimum = Double.infinity
    private var maximum = -Double.infinity
    private(set) var count = 0

    var byteCount: Int { (positive.counts.capacity + negative.counts.capacity) * 8 }

    mutating func add(_ value: Double) {
        count &+= 1
        guard value.isFinite else {
            if value.isNaN {
                nanCount &+= 1
            } else if value > 0 {
                highInfinities &+= 1
            } else {
                lowInfinities &+= 1
            }
            return
        }
        if value < minimum { minimum = value }
        if value > maximum { maximum = value }
        if value > 0 {
            positive.add(Self.index(value), 1)
        } else if value < 0 {
            negative.add(Self.index(-value), 1)
        } else {
            zeroCount &+= 1
        }
    }

    private static func index(_ magnitude: Double) -> Int {
        Int((log(magnitude) * scale).rounded(.up))
    }

    /// The value that is as far from both ends of its bucket.
    private static func value(_ index: Int) -> Double {
        // In the logarithm, since γⁱ alone may leave the range.
        exp(Double(index) / scale + log(2 / (gamma + 1)))
    }

    mutating func merge(_ other: QuantileSketch) {
        positive.merge(other.positive)
        negative.merge(other.negative)
        zeroCount &+= other.zeroCount
        lowInfinities &+= other.lowInfinities
        highInfinities &+= other.highInfinities
        nanCount &+= other.nanCount
        minimum = min(minimum, other.minimum)
        maximum = max(maximum, other.maximum)
        count &+= other.count
    }

    /// Within 1 % of the value of rank `fraction · (count − 1)`, rounded down; nil if there is none.
    func quantile(_ fraction: Double) -> Double? {
        guard count > 0 else { return nil }
        var rank = min(count - 1, Int(fraction * Double(count - 1)))
        if rank < lowInfinities { return -.infinity }
        rank -= lowInfinities
        // Of negative values the one farthest from zero is the least.
        for place in negative.counts.indices.reversed() {
            if rank < negative.counts[place] { return within(-Self.value(negative.first + place)) }
            rank -= negative.counts[place]
        }
        if rank < zeroCount { return 0 }
        rank -= zeroCount
        for place in positive.counts.indices {
            if rank < positive.counts[place] { return within(Self.value(positive.first + place)) }
            rank -= positive.counts[place]
        }
        return rank < highInfinities ? .infinity : .nan
    }

    private func within(_ value: Double) -> Double { min(max(value, minimum), maximum) }
}

/// approx_percentile(x, f) and approx_quantile(x, f).
struct SketchStates: GroupStates {
    private let type: ResultType
    private let fraction: Constant
    private var sketches: [QuantileSketch] = []
    private(set) var looseBytes = 0

    init(_ call: AggregateCall) {
        type = call.argument?.type ?? .float64
        fraction = call.parameters[0]
    }

    var bytesPerGroup: Int { MemoryLayout<QuantileSketch>.stride }

    mutating func resize(_ groupCount: Int) { sketches.grow(to: groupCount, QuantileSketch()) }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        let run = rows.values
        looseBytes -= sketches[group].byteCount
        for row in 0..<run.count where run.isValid(row) {
            sketches[group].add(double(run.values[row], type))
        }
        looseBytes += sketches[group].byteCount
    }

    mutating func merge(_ other: SketchStates, _ groups: [Int]) {
        for (from, group) in groups.enumerated() {
            looseBytes -= sketches[group].byteCount
            sketches[group].merge(other.sketches[from])
            looseBytes += sketches[group].byteCount
        }
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        guard !fraction.isNull, let value = sketches[group].quantile(fraction.float64) else {
            return builder.appendNull()
        }
        builder.append(value.bitPattern)
    }
}
