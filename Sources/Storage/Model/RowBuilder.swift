/// Builds write batches from typed rows, for INSERT, embedders and tests.
///
/// Slower than a parser that predicts shapes, and simple: one dictionary look-up a row.
package struct RowBuilder {
    package enum Value: Sendable, Equatable {
        case float64(Double)
        case int64(Int64)
        case uint64(UInt64)
        case bool(Bool)
        case string([UInt8])

        package var type: FieldType {
            switch self {
            case .float64: .float64
            case .int64: .int64
            case .uint64: .uint64
            case .bool: .bool
            case .string: .string
            }
        }
    }

    private struct ShapeKey: Hashable {
        var table: NameKey
        var fields: [NameKey]
        var types: [FieldType]
    }

    private struct SeriesName: Hashable {
        var table: NameKey
        var key: [UInt8]
    }

    package let batch: WriteBatch
    private var groups: [ShapeKey: RowGroup] = [:]
    private var provisional: [SeriesName: UInt32] = [:]
    private var line: UInt32 = 0

    package init(database: String) {
        batch = WriteBatch(database: database)
        // All series are provisional: no drop can make their ids stale.
        batch.dropGeneration = .max
    }

    /// Adds a row. Tags with empty values are absent. Fields must not be empty.
    package mutating func append(
        table: String, tags: [String: String], time: Int64, fields: [(name: String, value: Value)]
    ) {
        line += 1
        let shapeKey = ShapeKey(
            table: NameKey(table), fields: fields.map { NameKey($0.name) },
            types: fields.map(\.value.type))
        let group: RowGroup
        if let known = groups[shapeKey] {
            group = known
        } else {
            group = RowGroup(
                shape: RowShape(
                    table: Array(table.utf8),
                    fieldNames: shapeKey.fields.map { Array($0.text.utf8) },
                    types: shapeKey.types), capacity: 16)
            groups[shapeKey] = group
            batch.groups.append(group)
        }
        let key = SeriesKey.encode(tags)
        let name = SeriesName(table: NameKey(table), key: key)
        let id: UInt32
        if let known = provisional[name] {
            id = known
        } else {
            id = WriteBatch.provisional | UInt32(batch.newSeries.count)
            batch.newSeries.append(.init(table: Array(table.utf8), key: key))
            provisional[name] = id
        }
        group.reserveRow()
        let row = group.rowCount
        group.series[row] = id
        group.times[row] = time
        group.lines[row] = line
        for (index, field) in fields.enumerated() {
            group.column(index)[row] = slot(field.value)
        }
        group.rowCount = row + 1
    }

    private func slot(_ value: Value) -> UInt64 {
        switch value {
        case .float64(let number): number.bitPattern
        case .int64(let number): UInt64(bitPattern: number)
        case .uint64(let number): number
        case .bool(let flag): flag ? 1 : 0
        // Safe: the batch copies the bytes.
        case .string(let bytes): bytes.withUnsafeBytes { batch.appendString($0) }.rawValue
        }
    }
}
