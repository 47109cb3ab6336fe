// A write batch is what one request wants to store, as columns, before anything is published.
//
// Rows with the same table and the same fields (names, types, order) form a *group*; the group's
// `RowShape` is shared from batch to batch by the parser that made it, so that names are bound to
// the schema once and not once a request. New series stay provisional in the batch until it is
// committed: a refused batch leaves no trace in the catalog.
//
// A batch belongs to one thread at a time: the parser's, then the committer's, then the log's.

internal import Glibc

/// Table and fields of the rows of a group, as written. Owned by one parser, not thread-safe.
package final class RowShape {
    package let table: [UInt8]
    package let fieldNames: [[UInt8]]
    /// The types as written (`1i` is int64, `1` float64, …), not as stored.
    package let types: [FieldType]
    /// What the engine last bound the names to. Set where the parser's thread commits.
    package var binding: ShapeBinding?

    package var tableName: String { String(decoding: table, as: UTF8.self) }

    package init(table: [UInt8], fieldNames: [[UInt8]], types: [FieldType]) {
        self.table = table
        self.fieldNames = fieldNames
        self.types = types
    }
}

/// Rows of one shape. All columns have a slot for every row: no field is absent.
///
/// Safe: the arrays are owned by the group, grow only through `reserveRow` and are freed with it.
package final class RowGroup: @unchecked Sendable {
    package let shape: RowShape
    package let fieldCount: Int
    package var rowCount = 0
    package private(set) var capacity: Int
    /// Series ids, or `WriteBatch.provisional | index into newSeries`.
    package private(set) var series: UnsafeMutablePointer<UInt32>
    /// Nanoseconds since 1970 UTC.
    package private(set) var times: UnsafeMutablePointer<Int64>
    /// The line of the request that a row came from, 1-based; rises within the group.
    package private(set) var lines: UnsafeMutablePointer<UInt32>
    /// Field-major slots: field f of row r is `columns[f * capacity + r]`. Strings are
    /// `StringSlot`s into the batch's `strings`.
    package private(set) var columns: UnsafeMutablePointer<UInt64>
    /// Set by commit: what the columns are stored as.
    package private(set) var binding: ShapeBinding?
    /// The types that the slots have now: as written, but for integers that were converted to be
    /// stored as floats.
    package private(set) var types: [FieldType]
    /// Whether its lines were reported as stored without some of their fields.
    package var isNotedInPart = false
    /// The series as they were before the log thread resolved them.
    private var provisional: [UInt32] = []

    package init(shape: RowShape, capacity: Int = 64) {
        self.shape = shape
        self.capacity = capacity
        fieldCount = shape.types.count
        types = shape.types
        series = .allocate(capacity: capacity)
        times = .allocate(capacity: capacity)
        lines = .allocate(capacity: capacity)
        columns = .allocate(capacity: max(1, capacity * fieldCount))
    }

    deinit {
        series.deallocate()
        times.deallocate()
        lines.deallocate()
        columns.deallocate()
    }

    package var bytesPerRow: Int { 16 + 8 * fieldCount }
    package var byteCount: Int { capacity * bytesPerRow }

    /// Makes sure that one more row fits.
    @inline(__always)
    package func reserveRow() {
        if rowCount == capacity { grow() }
    }

    @inline(never)
    private func grow() {
        let wider = capacity * 2
        func moved<T>(_ old: UnsafeMutablePointer<T>) -> UnsafeMutablePointer<T> {
            let new = UnsafeMutablePointer<T>.allocate(capacity: wider)
            new.update(from: old, count: rowCount)
            old.deallocate()
            return new
        }
        series = moved(series)
        times = moved(times)
        lines = moved(lines)
        let newColumns = UnsafeMutablePointer<UInt64>.allocate(capacity: max(1, wider * fieldCount))
        for field in 0..<fieldCount {
            (newColumns + field * wider).update(from: columns + field * capacity, count: rowCount)
        }
        columns.deallocate()
        columns = newColumns
        capacity = wider
    }

    @inline(__always)
    package func column(_ field: Int) -> UnsafeMutablePointer<UInt64> { columns + field * capacity }

    /// The index into the batch's new series, if the row's series is one of them.
    @inline(__always)
    package func provisionalSeries(_ row: Int) -> Int? {
        series[row] >= WriteBatch.provisional ? Int(series[row] & ~WriteBatch.provisional) : nil
    }

    // MARK: Binding

    package var hasTypesOfShape: Bool { types == shape.types }

    /// Whether an integer of the other sign would be another number.
    package func hasTopBit(field: Int) -> Bool {
        let column = column(field)
        var all: UInt64 = 0
        for row in 0..<rowCount { all |= column[row] }
        return all >> 63 == 1
    }

    /// Puts ids in place of new series; all of them have to be resolved.
    func takeSeries(from batch: WriteBatch) {
        guard !batch.newSeries.isEmpty else { return }
        provisional = Array(UnsafeBufferPointer(start: series, count: rowCount))
        for row in 0..<rowCount {
            guard let index = provisionalSeries(row) else { continue }
            series[row] = batch.newSeries[index].resolved.orStop("a series was resolved")
        }
    }

    /// Integers written into a float field become floats. Integers of the other sign that fit keep
    /// their bits.
    package func bind(to binding: ShapeBinding) {
        self.binding = binding
        for (index, field) in binding.fields.enumerated() {
            guard let field, field.type == .float64 else { continue }
            let column = column(index)
            switch types[index] {
            case .int64:
                for row in 0..<rowCount {
                    column[row] = Double(Int64(bitPattern: column[row])).bitPattern
                }
                types[index] = .float64
            case .uint64:
                for row in 0..<rowCount { column[row] = Double(column[row]).bitPattern }
                types[index] = .float64
            default: break
            }
        }
    }

    /// Back to names: what it was bound to may never come to be.
    fileprivate func unbind() {
        binding = nil
        for row in 0..<min(rowCount, provisional.count) { series[row] = provisional[row] }
        provisional = []
    }

    /// Gives rows of dropped series new ones with the same tags, which commit will resolve.
    ///
    /// - Parameter key: Of a series; nil once it has been forgotten. Its rows are refused then.
    fileprivate func renew(
        _ batch: WriteBatch, _ dropped: SeriesSet, _ key: (UInt32) -> [UInt8]?
    ) {
        guard (0..<rowCount).contains(where: { dropped.contains(series[$0]) }) else { return }
        unbind()
        var renewed: [UInt32: UInt32] = [:]
        filterRows { row in
            let id = series[row]
            guard dropped.contains(id) else { return true }
            if let known = renewed[id] {
                series[row] = known
                return true
            }
            guard let key = key(id) else {
                batch.reject(
                    LineRejection(
                        line: Int(lines[row]), kind: .limit,
                        reason: "its series was dropped while the row waited: send it again"),
                    table: shape.tableName)
                return false
            }
            let new = WriteBatch.provisional | UInt32(truncatingIfNeeded: batch.newSeries.count)
            batch.newSeries.append(WriteBatch.NewSeries(table: shape.table, key: key))
            renewed[id] = new
            series[row] = new
            return true
        }
    }

    /// Keeps the rows for which `keep` holds, in order.
    package func filterRows(_ keep: (Int) -> Bool) {
        var kept = 0
        for row in 0..<rowCount where keep(row) {
            if kept != row {
                series[kept] = series[row]
                times[kept] = times[row]
                lines[kept] = lines[row]
                for field in 0..<fieldCount { column(field)[kept] = column(field)[row] }
            }
            kept += 1
        }
        rowCount = kept
    }
}

/// A line that was not stored, or not whole.
package struct LineRejection: Sendable, Equatable {
    package enum Kind: Sendable, Hashable { case malformed, conflict, retention, future, limit }
    /// 1-based line of the request.
    package var line: Int
    /// 1-based byte column, 0 where the whole line is meant.
    package var column: Int
    package var kind: Kind
    package var reason: String

    package init(line: Int, column: Int = 0, kind: Kind = .malformed, reason: String) {
        self.line = line
        self.column = column
        self.kind = kind
        self.reason = reason
    }
}

/// What refused lines are counted by.
package struct RejectionKey: Hashable, Sendable {
    package var table: String
    package var kind: LineRejection.Kind
}

/// Everything one request wants to store in one database.
package final class WriteBatch: @unchecked Sendable {
    /// Marks a series id that is an index into `newSeries`.
    package static let provisional: UInt32 = 0x8000_0000
    package static let rejectionsKeptMax = 16

    /// A series that the catalog didn't know when its first line was parsed.
    package struct NewSeries: Sendable {
        package let table: [UInt8]
        package let key: [UInt8]
        /// Filled by commit.
        package var resolved: UInt32?
        /// The place at which the parser of the batch remembers the series; `UInt32.max` if at none.
        package let cacheHint: UInt32

        package init(table: [UInt8], key: [UInt8], cacheHint: UInt32 = .max) {
            self.table = table
            self.key = key
            self.cacheHint = cacheHint
        }
    }

    package let database: String
    /// Whether a row that is refused refuses all of them, as one statement.
    package var isOneStatement = false
    package var groups: [RowGroup] = []
    /// Starts of partitions that held no rows when the batch was looked at.
    var newPartitions: Set<Int64> = []
    /// The start of the latest partition that a row belongs to.
    var latestPartition = Int64.min
    package var newSeries: [NewSeries] = []
    /// Bytes of string values; never moves while a parser appends through `appendString`.
    package var strings: UnsafeMutableRawPointer { stringBytes }
    package var stringCount: Int { stringEnd }
    // Not to be seen from other modules: accesses need no checks then.
    private var stringBytes: UnsafeMutableRawPointer
    private var stringEnd = 0
    private var stringCapacity: Int
    /// The first lines that were refused, wholly or in part, and how many there were in all.
    package private(set) var rejections: [LineRejection] = []
    package private(set) var rejectedCount = 0
    /// The same of those whose table is known.
    package private(set) var rejectedByTable: [RejectionKey: Int] = [:]
    /// How many of them are stored without the fields that were refused.
    package private(set) var partialCount = 0
    /// `Catalog.dropGeneration` when parsing began: series ids are good while it is unchanged.
    package var dropGeneration: UInt64 = 0
    /// Which cache the hints of `newSeries` mean; 0 for none. Only parsers look at it.
    package var cacheEpoch: UInt64 = 0

    package init(database: String) {
        self.database = database
        stringCapacity = 256
        stringBytes = .allocate(byteCount: 256, alignment: 8)
    }

    deinit { stringBytes.deallocate() }

    /// Why a batch that is one statement may not be stored.
    var refusalOfStatement: StorageError? {
        guard isOneStatement, let first = rejections.first else { return nil }
        let reason = "row \(first.line): \(first.reason)"
        return first.kind == .limit ? .limit(reason) : .invalid(reason)
    }

    /// For a batch that is committed again, after a full disk.
    func unbind() {
        for group in groups { group.unbind() }
        for index in newSeries.indices { newSeries[index].resolved = nil }
    }

    /// Back to names where a field was widened, renamed or dropped since they were bound: its values must not
    /// go to a field that has another name by now, or to none. Rows of a dropped table go with it.
    func unbindChangedFields() {
        for group in groups {
            guard let binding = group.binding, !binding.table.isDropped,
                !binding.hasCurrentFields
            else { continue }
            group.unbind()
        }
    }

    /// Rows of series that were dropped since parsing began are written behind the drop.
    ///
    /// - Parameter table: A group's table as it is now, nil if there is none.
    func renewDroppedSeries(_ table: (RowGroup) -> TableEntry?) {
        for group in groups {
            guard let table = table(group), table.droppedSeries != nil else { continue }
            let snapshot = table.seriesSnapshot
            let schema = table.schema
            guard let dropped = snapshot.dropped else { continue }
            group.renew(self, dropped) { id in
                snapshot.isForgotten(id) ? nil : snapshot.key(of: id, schema)
            }
            for index in newSeries.indices where newSeries[index].table == group.shape.table {
                if let id = newSeries[index].resolved, dropped.contains(id) {
                    newSeries[index].resolved = nil
                }
            }
        }
    }

    package var rowCount: Int { groups.reduce(0) { $0 + $1.rowCount } }
    /// Fields that commit refused don't count.
    package var valueCount: Int {
        groups.reduce(0) {
            $0 + $1.rowCount * ($1.binding?.storedFieldCount ?? $1.fieldCount)
        }
    }
    package var byteCount: Int { groups.reduce(stringCapacity) { $0 + $1.byteCount } }

    /// Copies a string's bytes into the batch.
    package func appendString(_ bytes: UnsafeRawBufferPointer) -> StringSlot {
        let start = stringEnd
        let end = start + bytes.count
        if end > stringCapacity { growStrings(end) }
        if let base = bytes.baseAddress {
            (stringBytes + start).copyMemory(from: base, byteCount: bytes.count)
        }
        stringEnd = end
        return StringSlot(offset: start, length: bytes.count)
    }

    private func growStrings(_ needed: Int) {
        stringCapacity = max(stringCapacity * 2, needed)
        let wider = UnsafeMutableRawPointer.allocate(byteCount: stringCapacity, alignment: 8)
        wider.copyMemory(from: stringBytes, byteCount: stringEnd)
        stringBytes.deallocate()
        stringBytes = wider
    }

    /// Takes back strings of a row that was not finished. `count` is an earlier `stringCount`.
    package func truncateStrings(to count: Int) {
        if count < stringEnd { stringEnd = max(0, count) }
    }

    /// To be called once a line, however much of it is refused.
    package func reject(
        _ rejection: LineRejection, table: String? = nil, isStoredInPart: Bool = false
    ) {
        rejectedCount += 1
        if let table {
            rejectedByTable[RejectionKey(table: table, kind: rejection.kind), default: 0] += 1
        }
        if isStoredInPart { partialCount += 1 }
        if rejections.count < Self.rejectionsKeptMax { rejections.append(rejection) }
    }
}
