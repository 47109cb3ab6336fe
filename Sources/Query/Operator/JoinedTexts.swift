// string_agg: texts and the keys that order them are collected, and joined at the end.

internal import ApusStorage

struct JoinedTextStates: GroupStates {
    private let position: SourcePosition?
    private let separator: [UInt8]
    private let orders: [AggregateCall.Order]
    /// The texts, then the keys of ORDER BY: a row of each for every value.
    private var columns: [VectorBuilder]
    private var groups: [Int] = []
    private var rowsByGroup: [[Int]] = []
    private var vectors: [Vector] = []

    init(_ call: AggregateCall) {
        position = call.argument?.position
        separator = call.parameters[0].bytes
        orders = call.orders
        columns = call.arguments.map { VectorBuilder($0.type) }
    }

    var bytesPerGroup: Int { 8 }
    var looseBytes: Int { groups.count * 8 + columns.reduce(0) { $0 + $1.byteCount } }

    mutating func resize(_ groupCount: Int) {}

    mutating func add(_ group: Int, _ rows: AggregateRows) {
        for row in 0..<rows.values.count where rows.values.isValid(row) {
            groups.append(group)
            columns[0].append(raw: rows.values.bytes(row))
            for index in columns.indices.dropFirst() {
                let keys = rows.other(index - 1)
                if !keys.isValid(row) {
                    columns[index].appendNull()
                } else if columns[index].type.usesBytes {
                    columns[index].append(raw: keys.bytes(row))
                } else {
                    columns[index].append(keys.values[row])
                }
            }
        }
    }

    mutating func merge(_ other: JoinedTextStates, _ groups: [Int]) {
        self.groups += other.groups.map { groups[$0] }
        for index in columns.indices {
            var column = other.columns[index]
            columns[index].append(column.finish())
        }
    }

    mutating func prepare(_ groupCount: Int, _ windows: [TimeRange]?) {
        vectors = columns.indices.map { columns[$0].finish() }
        rowsByGroup = [[Int]](repeating: [], count: groupCount)
        let keys = Array(vectors.dropFirst())
        let sortKeys = zip(keys, orders).map { key, order in
            SortKey(
                expression: BoundExpression(Constant(nullOf: key.type), at: .start),
                isDescending: order.isDescending, nullsFirst: order.nullsFirst)
        }
        let order = RowSort.order(keys, sortKeys, count: groups.count, limit: nil)
        for row in order { rowsByGroup[groups[row]].append(row) }
    }

    func append(_ group: Int, to builder: inout VectorBuilder) throws(QueryError) {
        guard let first = rowsByGroup[group].first else { return builder.appendNull() }
        var text = vectors[0].byteArray(first)
        for row in rowsByGroup[group].dropFirst() {
            text += separator
            vectors[0].withBytes(row) { text.append(contentsOf: $0) }
            // What a slot can say of a string's length.
            guard text.count <= StringSlot.lengthMax else {
                throw QueryError(
                    .limit, "string_agg gives a string of more than \(StringSlot.lengthMax) bytes",
                    at: position, hint: "group by more keys, or add DISTINCT")
            }
        }
        builder.append(text: text)
    }
}
