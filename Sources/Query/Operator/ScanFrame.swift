// Turns a slice of a scan into a frame: times and fields copied, tags as constants of the series.

internal import ApusStorage
internal import Synchronization

struct ScanFrameBuilder {
    private let scan: ScanPlan
    private let context: QueryContext
    private let types: [ResultType]
    private var cachedSeries: UInt32?
    private var cachedTags: [Int: Constant] = [:]

    init(_ scan: ScanPlan, _ context: QueryContext) {
        self.scan = scan
        self.context = context
        types = scan.columns.map { column in
            switch column {
            case .time: .timestamp
            case .tag: .string
            case .field(let index): ResultType(scan.schema.fields[index].type)
            }
        }
    }

    /// The tags of a series that the query needs, by frame column.
    mutating func tags(of series: UInt32) -> [Int: Constant] {
        if cachedSeries == series { return cachedTags }
        var tags: [Int: Constant] = [:]
        scan.table.series.withLock { index in
            for slot in scan.needed {
                guard case .tag(let tag) = scan.columns[slot] else { continue }
                let value = tag < index.tags.count ? index.tags[tag].value(of: series) : nil
                tags[slot] =
                    value.map { Constant(type: .string, bytes: $0) } ?? Constant(nullOf: .string)
            }
        }
        cachedSeries = series
        cachedTags = tags
        return tags
    }

    mutating func frame(_ rows: ScanRows) throws(QueryError) -> Frame {
        let tags = tags(of: rows.series)
        var columns: [Vector] = []
        columns.reserveCapacity(types.count)
        for slot in types.indices {
            guard scan.needed.contains(slot) else {
                columns.append(Vector(Constant(nullOf: types[slot]), count: rows.count))
                continue
            }
            switch scan.columns[slot] {
            case .time:
                // Safe: a slice has `count` times; an Int64 and a UInt64 have one layout.
                let times = UnsafeRawBufferPointer(
                    start: rows.times, count: rows.count * 8
                ).bindMemory(to: UInt64.self)
                columns.append(
                    Vector(type: .timestamp, count: rows.count, values: Array(times)))
            case .tag:
                columns.append(
                    Vector(tags[slot] ?? Constant(nullOf: .string), count: rows.count))
            case .field:
                guard let index = scan.fieldIndex[slot] else {
                    preconditionFailure("BUG: a needed field is not in the request")
                }
                columns.append(try Self.vector(rows.columns[index], types[slot], rows.count))
            }
        }
        var frame = Frame(count: rows.count, columns: columns)
        frame.series = rows.series
        frame.context = context
        return frame
    }

    static var schemaChanged: QueryError {
        QueryError(.internal, "a column changed its type while the query ran: send it again")
    }

    private static func vector(
        _ slice: ColumnSlice, _ type: ResultType, _ count: Int
    ) throws(QueryError) -> Vector {
        guard ResultType(slice.type) == type else { throw schemaChanged }
        // Safe: a slice has `count` slots, and as many validity bytes if any.
        let values = UnsafeBufferPointer(start: slice.values, count: count)
        let validity = slice.validity.map { Array(UnsafeBufferPointer(start: $0, count: count)) }
        if type == .string { return strings(slice, values, validity ?? []) }
        var vector = Vector(
            type: type, count: count, values: Array(values), validity: validity ?? [])
        if type == .float64, AggregateKernels.mayHoldNaN(slice.values, count) {
            for row in 0..<count where values[row] == staleMarker { vector.setNull(row) }
        }
        return vector
    }

    private static func strings(
        _ slice: ColumnSlice, _ values: UnsafeBufferPointer<UInt64>, _ validity: [UInt8]
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

    func compacted(by mask: [UInt8], keptCount: Int) -> Frame {
        var frame = self
        frame.count = keptCount
        frame.columns = columns.map { $0.compacted(by: mask, keptCount: keptCount) }
        return frame
    }
}
