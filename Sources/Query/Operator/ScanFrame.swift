// Turns a slice of a scan into a frame of the rows that WHERE lets through: times and fields copied,
// tags as constants of the series.

internal import ApusStorage
internal import Synchronization

struct ScanFrameBuilder {
    private let scan: ScanPlan
    private let context: QueryContext
    private let types: [ResultType]
    private var snapshot: SeriesSnapshot
    private var cachedSeries: UInt32?
    private var cachedTags: [Int: Constant] = [:]
    /// Those of the slice that come under `frame`.
    private var selection = RowSelection()

    init(_ scan: ScanPlan, _ context: QueryContext) {
        self.scan = scan
        self.context = context
        snapshot = scan.table.seriesSnapshot
        types = scan.types
    }

    /// Calls `body` with a tag of a series.
    mutating func withTag(
        _ tag: Int, of series: UInt32, _ body: (UnsafeRawBufferPointer?) -> Void
    ) {
        if series >= snapshot.count { snapshot = scan.table.seriesSnapshot }
        // Safe: the snapshot, which holds the bytes, stays for the call.
        body(snapshot.value(of: tag, series))
    }

    /// The tags of a series that the query needs, by frame column.
    mutating func tags(of series: UInt32) -> [Int: Constant] {
        if cachedSeries == series { return cachedTags }
        if series >= snapshot.count { snapshot = scan.table.seriesSnapshot }
        var tags: [Int: Constant] = [:]
        for slot in scan.needed {
            guard case .tag(let tag) = scan.columns[slot] else { continue }
            let value = snapshot.value(of: tag, series)
            tags[slot] =
                value.map { Constant(type: .string, bytes: Array($0)) }
                ?? Constant(nullOf: .string)
        }
        cachedSeries = series
        cachedTags = tags
        return tags
    }

    /// Of some of the rows; nil if none of them is left.
    mutating func frame(_ rows: ScanRows, _ range: Range<Int>) throws(QueryError) -> Frame? {
        var picked: RowSelection?
        if !scan.filters.isEmpty || range.count < rows.count {
            selection.select(range, of: rows.count)
            for filter in scan.filters where selection.count > 0 {
                try filter.apply(column(filter.slot, rows), to: &selection)
            }
            if selection.count == 0 { return nil }
            if selection.count < rows.count { picked = selection }
        }
        let frame = try frame(rows, picked)
        guard let residual = scan.residual else { return frame }
        return try frame.filtered(by: residual)
    }

    private func column(_ slot: Int, _ rows: ScanRows) -> ColumnSlice {
        guard let index = scan.fieldIndex[slot] else {
            preconditionFailure("BUG: a needed field is not in the request")
        }
        return rows.columns[index]
    }

    private mutating func frame(
        _ rows: ScanRows, _ picked: RowSelection?
    ) throws(QueryError) -> Frame {
        let tags = tags(of: rows.series)
        let count = picked?.count ?? rows.count
        var columns: [Vector] = []
        columns.reserveCapacity(types.count)
        for slot in types.indices {
            guard scan.needed.contains(slot) else {
                columns.append(Vector(Constant(nullOf: types[slot]), count: count))
                continue
            }
            switch scan.columns[slot] {
            case .time:
                // Safe: a slice has `count` times; an Int64 and a UInt64 have one layout.
                let times = UnsafeRawPointer(rows.times).assumingMemoryBound(to: UInt64.self)
                columns.append(
                    Vector(
                        type: .timestamp, count: count,
                        values: Self.copy(times, rows.count, picked)))
            case .tag:
                columns.append(Vector(tags[slot] ?? Constant(nullOf: .string), count: count))
            case .field:
                columns.append(
                    try Self.vector(column(slot, rows), types[slot], rows.count, picked))
            case .output: preconditionFailure("BUG: a scan has no outputs of a query")
            }
        }
        var frame = Frame(count: count, columns: columns)
        frame.series = rows.series
        frame.context = context
        return frame
    }

    /// Safe: `values` has `count`, of which those picked are wanted, or all.
    private static func copy<T>(
        _ values: UnsafePointer<T>, _ count: Int, _ picked: RowSelection?
    ) -> [T] {
        picked?.gather(values) ?? Array(UnsafeBufferPointer(start: values, count: count))
    }

    static var schemaChanged: QueryError {
        QueryError(.internal, "a column changed its type while the query ran: send it again")
    }

    private static func vector(
        _ slice: ColumnSlice, _ type: ResultType, _ rowCount: Int, _ picked: RowSelection?
    ) throws(QueryError) -> Vector {
        guard ResultType(slice.type) == type else { throw schemaChanged }
        // Safe: a slice has `rowCount` slots, and as many validity bytes if any.
        let values = copy(slice.values, rowCount, picked)
        let validity = slice.validity.map { copy($0, rowCount, picked) }
        if type == .string { return strings(slice, values, validity ?? []) }
        var vector = Vector(
            type: type, count: values.count, values: values, validity: validity ?? [])
        if type == .float64, AggregateKernels.mayHoldNaN(slice.values, rowCount) {
            for row in values.indices where values[row] == staleMarker { vector.setNull(row) }
        }
        return vector
    }

    private static func strings(
        _ slice: ColumnSlice, _ values: [UInt64], _ validity: [UInt8]
    ) -> Vector {
        var builder = VectorBuilder(.string, capacity: values.count)
        for row in 0..<values.count {
            guard validity.isEmpty || validity[row] != 0 else { builder.appendNull(); continue }
            let slot = StringSlot(rawValue: values[row])
            builder.append(
                raw: UnsafeRawBufferPointer(
                    start: slice.stringBytes.map { $0 + slot.offset },
                    count: slice.stringBytes == nil ? 0 : slot.length))
        }
        return builder.finish()
    }
}

extension Frame {
    /// The rows for which a condition is TRUE; nil if there are none.
    func filtered(by condition: BoundExpression) throws(QueryError) -> Frame? {
        let (mask, kept) = trueMask(try condition.evaluate(self))
        if kept == 0 { return nil }
        return kept == count ? self : compacted(by: mask, keptCount: kept)
    }

    /// The same, which may be none.
    func onlyThose(_ condition: BoundExpression) throws(QueryError) -> Frame {
        try filtered(by: condition)
            ?? compacted(by: [UInt8](repeating: 0, count: count), keptCount: 0)
    }

    func compacted(by mask: [UInt8], keptCount: Int) -> Frame {
        var frame = self
        frame.count = keptCount
        frame.columns = columns.map { $0.compacted(by: mask, keptCount: keptCount) }
        return frame
    }
}
