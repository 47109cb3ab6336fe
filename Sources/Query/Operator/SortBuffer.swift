// Rows waiting to be ordered: output columns and sort keys side by side. With a LIMIT only the best
// rows are kept.

internal import ApusStorage

struct SortBuffer {
    let keys: [SortKey]
    /// Outputs, then keys.
    private var builders: [VectorBuilder]
    private let outputCount: Int
    /// Rows that can be wanted; nil for all.
    private let rowsMax: Int?
    private var chargedBytes = 0
    private let context: QueryContext

    init(types: [ResultType], keys: [SortKey], rowsMax: Int?, context: QueryContext) {
        self.keys = keys
        self.rowsMax = rowsMax
        self.context = context
        outputCount = types.count
        builders = (types + keys.map(\.expression.type)).map { VectorBuilder($0) }
    }

    var count: Int { builders.first?.count ?? 0 }

    mutating func append(outputs: [Vector], keys: [Vector]) throws(QueryError) {
        for (index, vector) in (outputs + keys).enumerated() { builders[index].append(vector) }
        if let rowsMax, count > 1_024, count / 2 >= rowsMax { keepBest(rowsMax) }
        let bytes = builders.reduce(count * RowSort.bytesPerRow) { $0 + $1.byteCount }
        if bytes > chargedBytes + 65_536 {
            try context.charge(bytes - chargedBytes, "the rows of ORDER BY")
            chargedBytes = bytes
        }
    }

    mutating func merge(_ other: SortBuffer) throws(QueryError) {
        var other = other
        let columns = other.take()
        try append(
            outputs: Array(columns[..<outputCount]), keys: Array(columns[outputCount...]))
    }

    private mutating func take() -> [Vector] {
        builders.indices.map { builders[$0].finish() }
    }

    /// Finds the threshold as soon as there are rows enough, without waiting for more.
    mutating func settle() {
        guard let rowsMax, rowsMax > 0 else { return }
        if count > rowsMax || (count == rowsMax && threshold == nil) { keepBest(rowsMax) }
    }

    private mutating func keepBest(_ rowsMax: Int) {
        let count = count
        let columns = take()
        let order = RowSort.order(
            Array(columns[outputCount...]), keys, count: count, limit: rowsMax)
        for (index, column) in columns.enumerated() {
            builders[index].append(column.gathered(order))
        }
        // Values in slots only: what a later row has to reach to be among the best.
        if let last = order.last, order.count == rowsMax, !columns[outputCount].type.usesBytes {
            threshold = columns[outputCount].constant(last)
        }
    }

    /// The first key of the worst row kept, once there are as many as can be wanted.
    private(set) var threshold: Constant?

    /// Rows whose first key could still be among the best; nil where that isn't known.
    func contenders(_ firstKey: Vector) -> (mask: [UInt8], count: Int)? {
        guard let threshold, let key = keys.first, !threshold.isNull,
            firstKey.validity.isEmpty, !firstKey.isConstant
        else { return nil }
        return trueMask(
            compareVectors(
                key.isDescending ? .greaterOrEqual : .lessOrEqual, firstKey,
                Vector(threshold, count: firstKey.count)))
    }

    /// The output columns in order.
    mutating func finish() -> [Vector] {
        let count = count
        let columns = take()
        let order = RowSort.order(
            Array(columns[outputCount...]), keys, count: count, limit: rowsMax)
        return columns[..<outputCount].map { $0.gathered(order) }
    }

    static func compare(_ column: Vector, _ a: Int, _ b: Int, _ key: SortKey) -> Int {
        let aValid = column.isValid(a)
        let bValid = column.isValid(b)
        guard aValid, bValid else {
            if aValid == bValid { return 0 }
            return aValid == key.nullsFirst ? 1 : -1
        }
        let order = compareValues(column, a, b)
        return key.isDescending ? -order : order
    }

    private static func compareValues(_ column: Vector, _ a: Int, _ b: Int) -> Int {
        let x = column.slot(a)
        let y = column.slot(b)
        switch column.type {
        case .float64: return compareDoubles(Double(bitPattern: x), Double(bitPattern: y))
        case .uint64, .bool: return x == y ? 0 : (x < y ? -1 : 1)
        case .string:
            return column.withBytes(a) { p in column.withBytes(b) { q in compareBytes(p, q) } }
        case .interval:
            return column.withBytes(a) { p in
                column.withBytes(b) { q in IntervalValue(p).compare(IntervalValue(q)) }
            }
        default:
            let (p, q) = (Int64(bitPattern: x), Int64(bitPattern: y))
            return p == q ? 0 : (p < q ? -1 : 1)
        }
    }
}
