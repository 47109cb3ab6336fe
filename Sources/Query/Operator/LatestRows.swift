// LATEST ON over the last rows that the storage keeps: a pass over columns by series instead of a scan
// series by series, and a GROUP BY over tags behind it by codes, for which PresentSeries asks, too.

internal import ApusKernels
internal import ApusStorage
internal import Glibc

/// A LATEST ON whose keys are tags and that nothing but tags narrows.
struct LatestShape {
    /// The tags of PARTITION BY.
    let keys: [Int]
    let fields: [(id: UInt32, type: FieldType)]
    /// Frame column → index into `fields`.
    private let fieldIndex: [Int: Int]
    private let scan: ScanPlan

    /// Nil if rows have to be looked at, or are strings.
    init?(_ latest: GroupingPlan, _ scan: ScanPlan) {
        guard scan.request.latestOnly, scan.timeRange == .all else { return nil }
        var keys: [Int] = []
        for key in latest.keys {
            guard case .column(let slot) = key.kind, case .tag(let tag) = scan.columns[slot] else {
                return nil
            }
            keys.append(tag)
        }
        let types = scan.request.fieldTypes ?? []
        guard types.count == scan.request.fields.count, !types.contains(.string) else { return nil }
        self.keys = keys
        self.scan = scan
        fields = zip(scan.request.fields, types).map { ($0, $1) }
        fieldIndex = scan.fieldIndex
    }

    /// For which tags rows have; nil if it makes a difference how many rows have them, or which.
    init?(tagsOf grouping: GroupingPlan, _ scan: ScanPlan) {
        guard !scan.picksRows, scan.bounds.isEmpty else { return nil }
        for slot in scan.needed { guard case .tag = scan.columns[slot] else { return nil } }
        for aggregate in grouping.aggregates {
            switch aggregate.function {
            case .countDistinct, .approximateDistinct, .minimum, .maximum, .anyValue: continue
            default: return nil
            }
        }
        keys = []
        fields = []
        fieldIndex = [:]
        self.scan = scan
    }

    /// The series whose last rows are the last of their keys.
    func winners(
        _ rows: LastRowsView, _ series: SeriesSet?, _ snapshot: SeriesSnapshot,
        from firstTime: Int64, _ context: QueryContext
    ) throws(QueryError) -> LastSeries {
        let order = SeriesOrder(table: scan.table)
        let count = min(rows.count, snapshot.count)
        if keys.count == 1 {
            return winnersByTag(rows, series, snapshot, count, firstTime, order)
        }
        var table = GroupTable()
        var best: [UInt32] = []
        var key = [UInt8](repeating: 0, count: keys.count * 4)
        let columns = keys.map { snapshot.tag($0).codes }
        try forEach(series, 0..<count) { id throws(QueryError) in
            if id % 65_536 == 0 { try context.check() }
            let time = rows.times[id]
            guard time != LastRowsView.none, time >= firstTime else { return }
            for (index, codes) in columns.enumerated() {
                withUnsafeBytes(of: codes[id]) { code in
                    for byte in 0..<4 { key[index * 4 + byte] = code[byte] }
                }
            }
            let group = table.group(of: key)
            if group == best.count {
                best.append(UInt32(id))
            } else if wins(UInt32(id), best[group], rows, order) {
                best[group] = UInt32(id)
            }
        }
        return .listed(best.sorted())
    }

    private func winnersByTag(
        _ rows: LastRowsView, _ series: SeriesSet?, _ snapshot: SeriesSnapshot, _ count: Int,
        _ firstTime: Int64, _ order: SeriesOrder
    ) -> LastSeries {
        let column = snapshot.tag(keys[0])
        if column.isUnique(among: snapshot.count) {
            return .living(series, below: count, from: firstTime)
        }
        let codes = column.codes.codes(of: 0..<count)
        var best = [UInt32](repeating: .max, count: column.values.count + 1)
        best.withUnsafeMutableBufferPointer { best in
            codes.withUnsafeBufferPointer { codes in
                // Safe: a code is below `values.count + 1`, and there is one for each series.
                forEach(series, 0..<count) { id in
                    let time = rows.times[id]
                    guard time != LastRowsView.none, time >= firstTime else { return }
                    let known = best[Int(codes[id])]
                    if known == .max || wins(UInt32(id), known, rows, order) {
                        best[Int(codes[id])] = UInt32(id)
                    }
                }
            }
        }
        best.removeAll { $0 == .max }
        if zip(best, best.dropFirst()).contains(where: { $0 > $1 }) { best.sort() }
        return .listed(best)
    }

    private func wins(
        _ id: UInt32, _ other: UInt32, _ rows: LastRowsView, _ order: SeriesOrder
    ) -> Bool {
        let (time, best) = (rows.times[Int(id)], rows.times[Int(other)])
        return time != best ? time > best : order.isGreater(id, other)
    }

    // MARK: Rows

    /// The scan's columns of some series' last rows, those that are needed.
    ///
    /// - Parameters:
    ///   - rows: May be left out if only tags are wanted.
    ///   - slots: Frame columns that are wanted of those.
    func frame(
        _ rows: LastRowsView?, _ series: [UInt32], _ snapshot: SeriesSnapshot, slots: Set<Int>,
        _ context: QueryContext
    ) -> Frame {
        var columns: [Vector] = []
        let types = scan.types
        for (slot, column) in scan.columns.enumerated() {
            let type = types[slot]
            guard slots.contains(slot) else {
                columns.append(Vector(Constant(nullOf: type), count: series.count))
                continue
            }
            switch column {
            case .output: preconditionFailure("BUG: a scan has no outputs of a query")
            case .tag(let tag): columns.append(tagVector(snapshot.tag(tag), series))
            case .time:
                guard let rows else { preconditionFailure("BUG: a time without last rows") }
                columns.append(
                    Vector(
                        type: .timestamp, count: series.count,
                        values: series.map { UInt64(bitPattern: rows.times[Int($0)]) }))
            case .field:
                guard let rows, let index = fieldIndex[slot] else {
                    preconditionFailure("BUG: a needed field is not in the request")
                }
                columns.append(fieldVector(rows.columns[index], type, series))
            }
        }
        var frame = Frame(count: series.count, columns: columns)
        frame.context = context
        return frame
    }

    private func tagVector(_ column: TagColumnValues, _ series: [UInt32]) -> Vector {
        // First where the values are, then their bytes: those of series here and there lie far apart, and
        // are asked for before they are copied.
        var places: [UnsafeRawPointer?] = []
        places.reserveCapacity(series.count)
        var values: [UInt64] = []
        values.reserveCapacity(series.count)
        var byteCount = 0
        var nullCount = 0
        for id in series {
            let value = column.value(of: id)
            let length = value?.count ?? 0
            places.append(value?.baseAddress)
            values.append(StringSlot(offset: byteCount, length: length).rawValue)
            byteCount &+= length
            nullCount &+= value == nil ? 1 : 0
        }
        let ahead = 16
        let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            places.withUnsafeBufferPointer { places in
                values.withUnsafeBufferPointer { values in
                    for row in 0..<places.count {
                        if row &+ ahead < places.count, let next = places[row &+ ahead] {
                            apus_prefetch(next)
                        }
                        let slot = StringSlot(rawValue: values[row])
                        // Safe: the snapshot, whose column this is, keeps the values; slots lie one behind
                        // the other and end at `byteCount`.
                        if let place = places[row], let base = buffer.baseAddress {
                            memcpy(base + slot.offset, place, slot.length)
                        }
                    }
                }
            }
            count = byteCount
        }
        var vector = Vector(type: .string, count: series.count, values: values, bytes: bytes)
        if nullCount > 0 { vector.validity = places.map { $0 == nil ? 0 : 1 } }
        return vector
    }

    /// Safe: the view has a slot and a byte of validity for each series.
    private func fieldVector(
        _ column: (values: UnsafePointer<UInt64>, validity: UnsafePointer<UInt8>),
        _ type: ResultType, _ series: [UInt32]
    ) -> Vector {
        let isFloat = type == .float64
        var missing = 0
        let values = [UInt64](unsafeUninitializedCapacity: series.count) { buffer, count in
            series.withUnsafeBufferPointer { series in
                for row in 0..<series.count {
                    let id = Int(series[row])
                    let value = column.values[id]
                    buffer[row] = value
                    missing &+= column.validity[id] == 0 || isFloat && value == staleMarker ? 1 : 0
                }
            }
            count = series.count
        }
        let isWhole = missing == 0
        var vector = Vector(type: type, count: series.count, values: values)
        guard !isWhole else { return vector }
        vector.validity = series.enumerated().map { row, id in
            column.validity[Int(id)] == 0 || isFloat && values[row] == staleMarker ? 0 : 1
        }
        return vector
    }

    // MARK: Groups

    /// What `count(DISTINCT tag)` without groups come to; nil if something else is asked too.
    func distinctCounts(
        _ grouping: GroupingPlan, _ series: [UInt32], _ snapshot: SeriesSnapshot
    ) -> [Int]? {
        guard grouping.keys.isEmpty else { return nil }
        var counts: [Int] = []
        for aggregate in grouping.aggregates {
            guard aggregate.function == .countDistinct, aggregate.filter == nil,
                case .column(let slot)? = aggregate.argument?.kind,
                case .tag(let tag) = scan.columns[slot]
            else { return nil }
            let column = snapshot.tag(tag)
            if column.isUnique(among: snapshot.count) {
                counts.append(series.count)
                continue
            }
            var seen = CodeSet(count: column.values.count + 1)
            for id in series { seen.insert(Int(column.codes[Int(id)])) }
            // NULL is no value.
            seen.remove(0)
            counts.append(seen.memberCount)
        }
        return counts
    }

    /// The tags that make up keys, and how many codes all of them together can have; nil if a key isn't a
    /// tag, or two have very many together.
    private func groupTags(
        _ keys: [BoundExpression], _ snapshot: SeriesSnapshot
    ) -> (columns: [TagColumnValues], codeCount: Int)? {
        var columns: [TagColumnValues] = []
        var codeCount = 1
        for key in keys {
            guard case .column(let slot) = key.kind, case .tag(let tag) = scan.columns[slot] else {
                return nil
            }
            let column = snapshot.tag(tag)
            // Both are below 2³².
            codeCount *= column.values.count + 1
            columns.append(column)
            if columns.count > 1, codeCount > 1 << 20 { return nil }
        }
        return (columns, codeCount)
    }

    /// Series that are grouped at a time: as many as stay in a core's cache, and many more than there are
    /// groups.
    func pieceSeries(_ keys: [BoundExpression], _ snapshot: SeriesSnapshot) -> Int {
        max(1 << 16, (groupTags(keys, snapshot)?.codeCount ?? 0) * 64)
    }

    /// Puts series, which rise, into groups by tags, as GROUP BY has them: for each group its series, by a
    /// counting sort of their tags' codes. Nil if the keys aren't tags, or too many.
    func groups(
        _ keys: [BoundExpression], _ series: [UInt32], _ snapshot: SeriesSnapshot
    ) -> (starts: [Int], series: [UInt32])? {
        guard let (columns, codeCount) = groupTags(keys, snapshot) else { return nil }
        guard !columns.isEmpty else { return ([0, series.count], series) }
        let codes = codes(of: series, columns)
        var starts = [Int](repeating: 0, count: codeCount + 1)
        let sorted = [UInt32](unsafeUninitializedCapacity: series.count) { buffer, count in
            // Safe: there is a code for each series, below `codeCount`.
            codes.withUnsafeBufferPointer { codes in
                starts.withUnsafeMutableBufferPointer { starts in
                    for code in codes { starts[Int(code) &+ 1] &+= 1 }
                    for code in 0..<codeCount { starts[code &+ 1] &+= starts[code] }
                }
                var next = starts
                next.withUnsafeMutableBufferPointer { next in
                    for place in 0..<codes.count {
                        let code = Int(codes[place])
                        buffer[next[code]] = series[place]
                        next[code] &+= 1
                    }
                }
            }
            count = series.count
        }
        return (starts, sorted)
    }

    /// For each of some series, which rise, one code of its values of all tags together.
    private func codes(of series: [UInt32], _ columns: [TagColumnValues]) -> [UInt32] {
        let first = Int(series.first ?? 0)
        let range = first..<(Int(series.last ?? 0) + 1)
        // Of a few series only theirs; of many all there are between, which is a hundredth of the time a
        // series.
        let isFew = series.count < range.count / 64
        var codes = [UInt32](repeating: 0, count: series.count)
        for column in columns {
            let own = isFew ? series.map { column.codes[Int($0)] } : column.codes.codes(of: range)
            let radix = UInt32(truncatingIfNeeded: column.values.count + 1)
            // Safe: series lie within `range`, and all codes together are below `codeCount`.
            codes.withUnsafeMutableBufferPointer { codes in
                own.withUnsafeBufferPointer { own in
                    for place in 0..<codes.count {
                        let code = own[isFew ? place : Int(series[place]) &- first]
                        codes[place] = codes[place] &* radix &+ code
                    }
                }
            }
        }
        return codes
    }
}

extension QueryEngine {
    /// The frame behind LATEST ON and GROUP BY, if the storage keeps last rows.
    func latestFromLastRows(
        _ plan: SelectPlan, _ scan: ScanPlan, _ request: ScanRequest, _ snapshot: Snapshot,
        _ context: QueryContext, _ report: inout ExecutionReport
    ) throws(QueryError) -> Frame? {
        guard let shape = plan.latest.flatMap({ LatestShape($0, scan) }),
            !request.timeRange.isEmpty, snapshot.warnings(for: scan.table, in: .all).isEmpty
        else { return nil }
        let wanted = request.series?.count ?? scan.table.seriesCount
        let firstTime = snapshot.firstVisibleTime(of: scan.table)
        let found: Frame? = try storage.withLastRows(
            of: scan.table, fields: shape.fields, wanted: wanted
        ) { rows throws(QueryError) -> Frame in
            // Behind the rows: it has all their series.
            let series = scan.table.seriesSnapshot
            // Dropped ones may have been there when the rows were gathered.
            let wanted = request.series ?? (series.dropped == nil ? nil : series.living)
            let winners = try shape.winners(rows, wanted, series, from: firstTime, context)
            guard let grouping = plan.grouping else {
                let listed = winners.listed(rows)
                try context.charge(
                    listed.count * 8 * (scan.needed.count + 1), "the rows of LATEST ON")
                return shape.frame(rows, listed, series, slots: scan.needed, context)
            }
            return try group(grouping, shape, rows, winners, series, scan, context)
        }
        guard let frame = found else { return nil }
        report.usesLastRows = true
        report.groupCount = frame.count
        return frame
    }

    /// Groups the last rows of series, or their tags, in pieces, by all threads.
    func group(
        _ grouping: GroupingPlan, _ shape: LatestShape, _ rows: LastRowsView?,
        _ winners: LastSeries,
        _ series: SeriesSnapshot, _ scan: ScanPlan, _ context: QueryContext
    ) throws(QueryError) -> Frame {
        if let counts = shape.distinctCounts(grouping, winners.listed(rows), series) {
            return Frame(
                count: 1,
                columns: zip(grouping.aggregates, counts).map { call, count in
                    Vector(type: call.type, count: 1, values: [UInt64(count)])
                })
        }
        let size = shape.pieceSeries(grouping.keys, series)
        let order = SeriesOrder(table: scan.table)
        let make = {
            GroupingWorker(grouping, scan: nil, shape: nil, order: order, context: context)
        }
        var workers = try inPieces(
            winners.pieceCount(size), helpers: pool.threadCount, context, make: make,
            step: { (worker, piece) throws(QueryError) in
                let listed = winners.listed(rows, piece: piece, of: size)
                let bytes = listed.count * 8 * (scan.needed.count + 1)
                try context.charge(bytes, "the rows of LATEST ON")
                try worker.add(listed, rows, shape, series, scan, context)
                try context.charge(-bytes, "the rows of LATEST ON")
                return true
            })
        var worker = workers.isEmpty ? make() : workers.removeFirst()
        for other in workers { try worker.merge(other) }
        return try worker.finish()
    }
}

extension GroupingWorker {
    /// Adds the last rows of series, which rise.
    fileprivate mutating func add(
        _ listed: [UInt32], _ rows: LastRowsView?, _ shape: LatestShape, _ series: SeriesSnapshot,
        _ scan: ScanPlan, _ context: QueryContext
    ) throws(QueryError) {
        guard !listed.isEmpty else { return }
        guard let groups = shape.groups(plan.keys, listed, series) else {
            let frame = shape.frame(rows, listed, series, slots: scan.needed, context)
            return try add(frame, timesAscend: false, rowSeries: listed)
        }
        // The keys are the same in all rows of a group, so those of its first will do.
        let keySlots = plan.keys.reduce(into: Set<Int>()) { $1.collectColumns(into: &$0) }
        let firsts = (0..<(groups.starts.count - 1)).filter {
            groups.starts[$0] < groups.starts[$0 + 1]
        }
        let keyFrame = shape.frame(
            rows, firsts.map { groups.series[groups.starts[$0]] }, series, slots: keySlots, context)
        var slots: Set<Int> = []
        if let time = plan.timeSlot { slots.insert(time) }
        for aggregate in plan.aggregates {
            aggregate.collectColumns(into: &slots)
        }
        let frame = shape.frame(rows, groups.series, series, slots: slots, context)
        try add(
            frame, keys: keyFrame, runs: firsts.map { groups.starts[$0]..<groups.starts[$0 + 1] },
            rowSeries: groups.series)
    }
}
