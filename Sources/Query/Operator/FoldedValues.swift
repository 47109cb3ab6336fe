// Aggregates that fold values into one slot, and counts in buckets of values.
//
// Safe: runs hold pointers to at least `count` slots, as `ColumnRun` promises.

internal import ApusStorage

/// bool_and, bool_or, bit_and, bit_or, bit_xor and product.
struct FoldStates: GroupStates {
    private let function: AggregateCall.Function
    private let type: ResultType
    private let start: UInt64
    private var hasValue: [Bool] = []
    private var slots: [UInt64] = []

    init(_ call: AggregateCall) {
        function = call.function
        type = call.argument?.type ?? .int64
        start =
            switch call.function {
            case .boolAnd: 1
            case .bitAnd: .max
            case .product: (1.0).bitPattern
            default: 0
            }
    }

    var bytesPerGroup: Int { 9 }

    mutating func resize(_ groupCount: Int) {
        hasValue.grow(to: groupCount, false)
        slots.grow(to: groupCount, start)
    }

    private func folded(_ a: UInt64, _ b: UInt64) -> UInt64 {
        switch function {
        case .boolAnd, .bitAnd: a & b
        case .boolOr, .bitOr: a | b
        case .bitXor: a ^ b
        default: (Double(bitPattern: a) * Double(bitPattern: b)).bitPattern
        }
    }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        let run = rows.values
        var result = slots[group]
        for row in 0..<run.count where run.isValid(row) {
            let slot =
                function == .product ? double(run.values[row], type).bitPattern : run.values[row]
            result = folded(result, slot)
            hasValue[group] = true
        }
        slots[group] = result
    }

    mutating func merge(_ other: FoldStates, _ groups: [Int]) {
        for (from, group) in groups.enumerated() where other.hasValue[from] {
            hasValue[group] = true
            slots[group] = folded(slots[group], other.slots[from])
        }
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        if hasValue[group] { builder.append(slots[group]) } else { builder.appendNull() }
    }
}

/// histogram(x, low, high, buckets), as TimescaleDB's: a cell for what lies below, one for each bucket,
/// one for what lies at or above `high`; NaN lies above.
struct HistogramStates: GroupStates {
    private let type: ResultType
    private let low: Double
    private let high: Double
    private let bucketCount: Int
    private var counts: [Int] = []

    init(_ call: AggregateCall) {
        type = call.argument?.type ?? .float64
        low = call.parameters[0].float64
        high = call.parameters[1].float64
        bucketCount = Int(call.parameters[2].int64)
    }

    private var cellCount: Int { bucketCount + 2 }

    var bytesPerGroup: Int { cellCount * 8 }

    mutating func resize(_ groupCount: Int) { counts.grow(to: groupCount * cellCount, 0) }

    private func cell(_ value: Double) -> Int {
        if value < low { return 0 }
        guard value < high else { return bucketCount + 1 }
        // Halves, since the width may lie beyond the range of doubles; rounding may reach `high`.
        let share = (value / 2 - low / 2) / (high / 2 - low / 2)
        return min(bucketCount, Int(share * Double(bucketCount)) + 1)
    }

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        let run = rows.values
        let base = group * cellCount
        for row in 0..<run.count where run.isValid(row) {
            counts[base + cell(double(run.values[row], type))] &+= 1
        }
    }

    mutating func merge(_ other: HistogramStates, _ groups: [Int]) {
        for (from, group) in groups.enumerated() {
            for cell in 0..<cellCount {
                counts[group * cellCount + cell] &+= other.counts[from * cellCount + cell]
            }
        }
    }

    func append(_ group: Int, to builder: inout VectorBuilder) {
        let cells = counts[(group * cellCount)..<((group + 1) * cellCount)]
        guard cells.contains(where: { $0 > 0 }) else { return builder.appendNull() }
        let text = "{" + cells.map { String($0) }.joined(separator: ",") + "}"
        builder.append(text: text.utf8)
    }
}
