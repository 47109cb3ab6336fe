// Reads everything out of an engine through its scans, and holds the promises of a scan against
// what came: ascending times, no row twice, statistics that say what the rows say.

package import ApusStorage
internal import Synchronization

/// Collects the rows of one table.
private struct RowCollector: ScanConsumer {
    let names: [String]
    let types: [FieldType]
    let table: TableEntry
    var rows: StoreContents.Rows = [:]
    var problems: [String] = []
    var summaries: [ScanSummary] = []
    let isDone = false

    mutating func consume(_ slice: ScanRows) throws(StorageError) {
        let series = table.seriesSnapshot
        let key =
            Int(slice.series) < series.count ? series.key(of: slice.series, table.schema) : nil
        guard let key else {
            problems.append("series \(slice.series) is not in the catalog")
            return
        }
        if slice.columns.count != names.count {
            problems.append("\(slice.columns.count) columns, \(names.count) asked for")
            return
        }
        for row in 0..<slice.count {
            let time = slice.times[row]
            if row > 0, time <= slice.times[row - 1] {
                problems.append("times don't ascend at \(time)")
            }
            var fields: [String: ReferenceValue] = [:]
            for (index, column) in slice.columns.enumerated() {
                if let value = value(column, row, index) { fields[names[index]] = value }
            }
            if rows.updateValue(fields, forKey: .init(series: key, time: time)) != nil {
                problems.append("row \(StoreContents.RowKey(series: key, time: time)) came twice")
            }
        }
    }

    mutating func consume(_ summary: ScanSummary) throws(StorageError) { summaries.append(summary) }

    private mutating func value(_ column: ColumnSlice, _ row: Int, _ index: Int) -> ReferenceValue?
    {
        if column.type != types[index] {
            problems.append(
                "column \(names[index]) came as \(column.type), the table says \(types[index])")
        }
        if let validity = column.validity, validity[row] == 0 { return nil }
        let slot = column.values[row]
        switch column.type {
        case .float64: return .float64(slot)
        case .int64: return .int64(Int64(bitPattern: slot))
        case .uint64: return .uint64(slot)
        case .bool:
            if slot > 1 { problems.append("a bool of \(slot)") }
            return .bool(slot == 1)
        case .string:
            let place = StringSlot(rawValue: slot)
            guard let bytes = column.stringBytes else {
                if place.length > 0 { problems.append("a string without bytes") }
                return .string([])
            }
            return .string(
                Array(UnsafeBufferPointer(start: bytes + place.offset, count: place.length)))
        }
    }
}

package struct ScanDump: Sendable {
    package var contents = StoreContents()
    /// Promises that a scan broke.
    package var problems: [String] = []
    package var warnings: [String] = []

    /// Reads the whole store. With `checksScans`, narrower scans and statistics are compared too.
    package static func read(
        _ engine: StorageEngine, checksScans: Bool = true, rowsPerMorsel: Int = 1_000
    ) throws(StorageError) -> ScanDump {
        var dump = ScanDump()
        let snapshot = engine.snapshot()
        for database in engine.catalog.allDatabases {
            for table in database.allTables {
                let all = ScanRequest(fields: table.schema.fields.map(\.id))
                let collector = try run(snapshot, table, all, rowsPerMorsel)
                let name = "\(database.name).\(table.name)"
                dump.problems += collector.problems.prefix(5).map { "\(name): \($0)" }
                dump.warnings += snapshot.warnings(for: table, in: .all)
                if !collector.rows.isEmpty {
                    dump.contents.tables[.init(database: database.name, table: table.name)] =
                        collector.rows
                }
                guard checksScans else { continue }
                let checks = try ScanChecks.problems(snapshot, table, collector.rows, rowsPerMorsel)
                dump.problems += checks.prefix(5).map { "\(name): \($0)" }
            }
        }
        return dump
    }

    fileprivate static func run(
        _ snapshot: Snapshot, _ table: TableEntry, _ request: ScanRequest, _ rowsPerMorsel: Int
    ) throws(StorageError) -> RowCollector {
        let schema = table.schema
        let asked = request.fields.compactMap { schema.field(id: $0) }
        var collector = RowCollector(
            names: asked.map(\.name), types: asked.map(\.type), table: table)
        var counters = ScanCounters()
        for morsel in try snapshot.plan(table, request, rowsPerMorsel: rowsPerMorsel) {
            try snapshot.run(morsel, request, into: &collector, counters: &counters)
        }
        return collector
    }
}

/// Scans that have to agree with the plain one.
private enum ScanChecks {
    static func problems(
        _ snapshot: Snapshot, _ table: TableEntry, _ rows: StoreContents.Rows, _ rowsPerMorsel: Int
    ) throws(StorageError) -> [String] {
        let fields = table.schema.fields
        var problems: [String] = []
        let times = rows.keys.map(\.time).sorted()
        guard let first = times.first, let last = times.last else { return [] }

        // Half of the time, and only the first field, if there is one.
        let middle = times[times.count / 2]
        let one = fields.prefix(1)
        var request = ScanRequest(
            timeRange: TimeRange(lower: first, upper: middle), fields: one.map(\.id))
        let part = try ScanDump.run(snapshot, table, request, rowsPerMorsel)
        problems += part.problems
        // A row without the field may come or not come: who asks for a field gets its values.
        let expected = rows.filter { $0.key.time < middle }
            .mapValues { $0.filter { $0.key == one.first?.name } }.filter { !$0.value.isEmpty }
        if part.rows.filter({ !$0.value.isEmpty }) != expected {
            problems.append(
                "scan below \(middle) has \(part.rows.count) rows, \(expected.count) expected")
        }
        if part.rows.keys.contains(where: { $0.time >= middle }) {
            problems.append("scan below \(middle) gives later rows")
        }

        // Every other series.
        let series = table.seriesSnapshot
        var set = SeriesSet(capacity: series.count)
        var keys: Set<[UInt8]> = []
        for id in stride(from: 0, to: UInt32(series.count), by: 2) {
            set.insert(id)
            // What was dropped may have come again under another number.
            if series.dropped?.contains(id) ?? false { continue }
            keys.insert(series.key(of: id, table.schema))
        }
        request = ScanRequest(series: set, fields: fields.map(\.id))
        let some = try ScanDump.run(snapshot, table, request, rowsPerMorsel)
        if some.rows != rows.filter({ keys.contains($0.key.series) }) {
            problems.append("scan of every other series has \(some.rows.count) rows")
        }

        problems += try latest(snapshot, table, rows, rowsPerMorsel)
        problems += try summaries(snapshot, table, rows, .whole, rowsPerMorsel)
        problems += try summaries(
            snapshot, table, rows, .fixed(originNanoseconds: 0, widthNanoseconds: 600_000_000_000),
            rowsPerMorsel)
        if let bounds = snapshot.timeBounds(of: table) {
            if bounds.first > first || bounds.last < last {
                problems.append("time bounds are too narrow")
            }
        } else {
            problems.append("no time bounds for a table with rows")
        }
        if snapshot.estimatedRows(of: table, in: .all) < rows.count {
            problems.append("fewer rows estimated than there are")
        }
        return problems
    }

    private static func latest(
        _ snapshot: Snapshot, _ table: TableEntry, _ rows: StoreContents.Rows, _ rowsPerMorsel: Int
    ) throws(StorageError) -> [String] {
        var request = ScanRequest(fields: table.schema.fields.map(\.id))
        request.latestOnly = true
        let found = try ScanDump.run(snapshot, table, request, rowsPerMorsel)
        return newest(found.rows) == newest(rows) ? [] : ["latestOnly gives other last rows"]
    }

    private static func newest(_ rows: StoreContents.Rows) -> StoreContents.Rows {
        var times: [[UInt8]: Int64] = [:]
        for key in rows.keys { times[key.series] = max(times[key.series] ?? .min, key.time) }
        return rows.filter { times[$0.key.series] == $0.key.time }
    }

    /// Statistics and rows together have to give the counts, ranges and sums that rows give alone.
    private static func summaries(
        _ snapshot: Snapshot, _ table: TableEntry, _ rows: StoreContents.Rows,
        _ buckets: SummaryBuckets,
        _ rowsPerMorsel: Int
    ) throws(StorageError) -> [String] {
        let fields = table.schema.fields
        var request = ScanRequest(fields: fields.map(\.id))
        request.summaries = buckets
        let found = try ScanDump.run(snapshot, table, request, rowsPerMorsel)
        var problems = found.problems
        let count = found.rows.count + found.summaries.reduce(0) { $0 + $1.rowCount }
        if count != rows.count {
            problems.append("\(count) rows by summaries, \(rows.count) by rows")
        }
        for summary in found.summaries where summary.statistics.count != fields.count {
            problems.append("\(summary.statistics.count) statistics for \(fields.count) fields")
            return problems
        }
        for (index, field) in fields.enumerated() {
            let statistics = found.summaries.map { $0.statistics[index] }
            let loose = found.rows.values.compactMap { $0[field.name] }
            let values = rows.values.compactMap { $0[field.name] }
            let present = loose.count + statistics.reduce(0) { $0 + $1.presentCount }
            if present != values.count {
                problems.append(
                    "\(field.name): \(present) values by summaries, \(values.count) by rows")
            }
            if let wrong = range(field.type, statistics, loose, values) {
                problems.append("\(field.name): \(wrong)")
            }
        }
        for summary in found.summaries {
            if case .fixed(let origin, let width) = buckets,
                bucket(summary.firstTime, origin, width) != bucket(summary.lastTime, origin, width)
            {
                problems.append("a summary spans two buckets")
            }
        }
        return problems
    }

    private static func bucket(_ time: Int64, _ origin: Int64, _ width: Int64) -> Int64 {
        let (quotient, remainder) = (time - origin).quotientAndRemainder(dividingBy: width)
        return remainder < 0 ? quotient - 1 : quotient
    }

    private static func range(
        _ type: FieldType, _ statistics: [ColumnStatistics], _ loose: [ReferenceValue],
        _ values: [ReferenceValue]
    ) -> String? {
        let ranged = statistics.filter { $0.hasRange && $0.presentCount > $0.nanCount }
        func extremes<T: Comparable>(_ slot: (UInt64) -> T, _ read: (ReferenceValue) -> T?)
            -> String?
        {
            let bySummary =
                loose.compactMap(read) + ranged.flatMap { [slot($0.minimum), slot($0.maximum)] }
            let byRows = values.compactMap(read)
            return bySummary.min() == byRows.min() && bySummary.max() == byRows.max()
                ? nil : "minimum or maximum by summaries is wrong"
        }
        switch type {
        case .float64:
            return extremes({ Double(bitPattern: $0) }) {
                if case .float64(let bits) = $0, !Double(bitPattern: bits).isNaN {
                    Double(bitPattern: bits)
                } else {
                    nil
                }
            }
        case .int64:
            if let wrong = extremes(
                { Int64(bitPattern: $0) }, { if case .int64(let n) = $0 { n } else { nil } })
            {
                return wrong
            }
        case .uint64:
            if let wrong = extremes({ $0 }, { if case .uint64(let n) = $0 { n } else { nil } }) {
                return wrong
            }
        case .bool, .string: return nil
        }
        func sum(_ values: [ReferenceValue]) -> Int128 {
            values.reduce(0) { total, value in
                switch value {
                case .int64(let number): total + Int128(number)
                case .uint64(let number): total + Int128(number)
                default: total
                }
            }
        }
        var total = sum(loose)
        for part in statistics where part.presentCount > 0 {
            guard case .integer(let number) = part.sum else { return nil }
            total += number
        }
        return total == sum(values)
            ? nil : "the sum by summaries is \(total), by rows \(sum(values))"
    }
}
