// Exact percentiles: the values of each group are collected and ordered at the end.
//
// Safe: runs hold pointers to at least `count` slots, as `ColumnRun` promises.

internal import ApusStorage

/// Values of one group, as integers that sort as SQL sorts the values: all of them, or, where few differ,
/// how often each occurs.
struct CollectedValues {
    /// Values of which a quarter may be distinct to be counted.
    private static let countedMin = 8_192

    private var keys: [UInt64] = []
    /// Instead of `keys`.
    private var counts: ValueCounts?
    /// When to look next whether counting pays.
    private var nextLook = countedMin

    var byteCount: Int { keys.capacity * 8 + (counts?.byteCount ?? 0) }
    var count: Int { counts?.total ?? keys.count }

    /// As they are, or as doubles.
    mutating func add(_ run: ColumnRun, _ type: ResultType, asDoubles: Bool) {
        if asDoubles, type != .float64 {
            for row in 0..<run.count where run.isValid(row) {
                append(
                    OrderedSlot.key(double(run.values[row], type).bitPattern, .float64))
            }
        } else {
            for row in 0..<run.count where run.isValid(row) {
                append(OrderedSlot.key(run.values[row], type))
            }
        }
        if count >= nextLook { look() }
    }

    @inline(__always)
    private mutating func append(_ key: UInt64) {
        if counts == nil { keys.append(key) } else { counts?.add(key) }
    }

    /// Changes the form, if the other one is smaller by far.
    private mutating func look() {
        nextLook = count * 4
        if let counts {
            guard counts.distinctCount * 4 > counts.total else { return }
            keys.reserveCapacity(counts.total)
            counts.forEach { keys += repeatElement($0, count: $1) }
            self.counts = nil
        } else {
            var counts = ValueCounts()
            let distinctMax = keys.count / 4
            for key in keys {
                counts.add(key)
                if counts.distinctCount > distinctMax { return }
            }
            self.counts = counts
            keys = []
        }
    }

    mutating func merge(_ other: CollectedValues) {
        if count == 0 {
            self = other
            return
        }
        if counts == nil, let others = other.counts {
            var counts = others
            for key in keys { counts.add(key) }
            self.counts = counts
            keys = []
        } else if counts != nil {
            other.counts?.forEach { counts?.add($0, $1) }
            for key in other.keys { counts?.add(key) }
        } else {
            keys += other.keys
        }
        if count >= nextLook { look() }
    }

    /// The value of a rank, counted from the least, and the one before it. The values lose their order.
    private mutating func ranked(_ rank: Int) -> (key: UInt64, before: UInt64) {
        if let counts {
            let ordered = counts.ordered()
            var index = 0
            while ordered[index].end <= rank { index += 1 }
            let start = index == 0 ? 0 : ordered[index - 1].end
            return (
                ordered[index].key,
                rank > start || index == 0 ? ordered[index].key : ordered[index - 1].key
            )
        }
        Self.select(rank, &keys)
        // What lies before is not greater, so its greatest is the neighbour.
        return (keys[rank], keys[..<rank].max() ?? keys[rank])
    }

    private static func value(_ key: UInt64) -> Double {
        Double(bitPattern: OrderedSlot.slot(key, .float64))
    }

    /// Between the values on both sides of a fraction of the way from the first to the last, as
    /// PostgreSQL's `percentile_cont`; nil if there is none. The values lose their order.
    mutating func continuous(_ fraction: Double, isDescending: Bool) -> Double? {
        guard count > 0 else { return nil }
        let last = count - 1
        let place = fraction * Double(last)
        let low = min(last, Int(place))
        let share = place - Double(low)
        if share == 0 || low == last {
            return Self.value(ranked(isDescending ? last - low : low).key)
        }
        let both = ranked(isDescending ? last - low : low + 1)
        let (upper, lower) = (Self.value(both.key), Self.value(both.before))
        return isDescending
            ? Self.between(upper, lower, share) : Self.between(lower, upper, share)
    }

    private static func between(_ from: Double, _ to: Double, _ share: Double) -> Double {
        if from == to { return from }
        let width = to - from
        // A width beyond the range of doubles, between finite values.
        if width.isInfinite, from.isFinite, to.isFinite { return from * (1 - share) + to * share }
        return from + width * share
    }

    /// The first value that so large a fraction of all doesn't lie behind, as PostgreSQL's
    /// `percentile_disc`.
    mutating func discrete(_ fraction: Double, isDescending: Bool) -> UInt64? {
        guard count > 0 else { return nil }
        return ranked(DiscreteRank.index(fraction, of: count, isDescending: isDescending)).key
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

enum DiscreteRank {
    /// The place, counted from the least value, of the value that a fraction stands for.
    static func index(_ fraction: Double, of count: Int, isDescending: Bool) -> Int {
        let rank = min(count, max(1, Int((fraction * Double(count)).rounded(.up))))
        return isDescending ? count - rank : rank - 1
    }
}

/// Strings or intervals of one group.
struct CollectedTexts {
    private var slots: [UInt64] = []
    private var bytes: [UInt8] = []

    var byteCount: Int { slots.capacity * 8 + bytes.capacity }

    mutating func add(_ run: ColumnRun) {
        for row in 0..<run.count where run.isValid(row) {
            let text = run.bytes(row)
            slots.append(StringSlot(offset: bytes.count, length: text.count).rawValue)
            bytes.append(contentsOf: text)
        }
    }

    mutating func merge(_ other: CollectedTexts) {
        let base = bytes.count
        for raw in other.slots {
            let slot = StringSlot(rawValue: raw)
            slots.append(StringSlot(offset: slot.offset + base, length: slot.length).rawValue)
        }
        bytes += other.bytes
    }

    private mutating func sort(_ type: ResultType) {
        bytes.withUnsafeBytes { bytes in
            slots.sort { compareBytes(Self.text($0, bytes), Self.text($1, bytes), type) < 0 }
        }
    }

    private static func text(
        _ raw: UInt64, _ bytes: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        let slot = StringSlot(rawValue: raw)
        return UnsafeRawBufferPointer(
            rebasing: bytes[slot.offset..<(slot.offset + slot.length)])
    }

    private func array(_ raw: UInt64) -> [UInt8] {
        bytes.withUnsafeBytes { Array(Self.text(raw, $0)) }
    }

    mutating func discrete(
        _ fraction: Double, _ type: ResultType, isDescending: Bool
    ) -> [UInt8]? {
        guard !slots.isEmpty else { return nil }
        sort(type)
        return array(
            slots[DiscreteRank.index(fraction, of: slots.count, isDescending: isDescending)])
    }
}

/// median, percentile_cont and percentile_disc.
struct CollectedStates: GroupStates {
    private let function: AggregateCall.Function
    private let type: ResultType
    /// Nil for a fraction of NULL.
    private let fraction: Double?
    private let isDescending: Bool
    private let asDoubles: Bool
    private var numbers: [CollectedValues] = []
    private var texts: [CollectedTexts] = []
    private(set) var looseBytes = 0

    init(_ call: AggregateCall) {
        function = call.function
        type = call.argument?.type ?? .float64
        isDescending = call.orders.first?.isDescending ?? false
        asDoubles = call.function == .median || call.function == .percentileContinuous
        if let written = call.parameters.first {
            fraction = written.isNull ? nil : written.float64
        } else {
            fraction = 0.5
        }
    }

    var bytesPerGroup: Int { 64 }

    mutating func resize(_ groupCount: Int) {
        if type.usesBytes {
            texts.grow(to: groupCount, CollectedTexts())
        } else {
            numbers.grow(to: groupCount, CollectedValues())
        }
    }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        if type.usesBytes {
            looseBytes -= texts[group].byteCount
            texts[group].add(rows.values)
            looseBytes += texts[group].byteCount
        } else {
            looseBytes -= numbers[group].byteCount
            numbers[group].add(rows.values, type, asDoubles: asDoubles)
            looseBytes += numbers[group].byteCount
        }
    }

    mutating func merge(_ other: CollectedStates, _ groups: [Int]) {
        for (from, group) in groups.enumerated() {
            if type.usesBytes {
                texts[group].merge(other.texts[from])
            } else {
                numbers[group].merge(other.numbers[from])
            }
        }
        looseBytes += other.looseBytes
    }

    /// The values of the group are given up.
    mutating func append(_ group: Int, to builder: inout VectorBuilder) {
        guard let fraction else { return builder.appendNull() }
        if type.usesBytes {
            defer { texts[group] = CollectedTexts() }
            let text = texts[group].discrete(fraction, type, isDescending: isDescending)
            guard let text else { return builder.appendNull() }
            return builder.append(text: text)
        }
        defer { numbers[group] = CollectedValues() }
        let slot: UInt64? =
            switch function {
            case .percentileDiscrete:
                numbers[group].discrete(fraction, isDescending: isDescending)
                    .map { OrderedSlot.slot($0, type) }
            default: numbers[group].continuous(fraction, isDescending: isDescending)?.bitPattern
            }
        guard let slot else { return builder.appendNull() }
        builder.append(slot)
    }
}
