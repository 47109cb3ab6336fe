// LATEST ON over the last rows that the storage keeps: a pass over columns by series instead of a scan
// series by series, and a GROUP BY over tags behind it by codes. And questions that only ask which tags
// there are: of a series that has a row no other row can say more.

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
            case .countDistinct, .minimum, .maximum: continue
            default: return nil
            }
        }
        keys = []
        fields = []
        fieldIndex = [:]
        self.scan = scan
    }

    /// The series that have a last row, rising.
    private func live(
        _ rows: LastRowsView, _ series: SeriesSet?, _ snapshot: SeriesSnapshot,
        from firstTime: Int64
    ) throws(QueryError) -> [UInt32] {
        let count = min(rows.count, snapshot.count)
        let wanted = series?.count ?? count
        var live = [UInt32](repeating: 0, count: wanted)
        var liveCount = 0
        try live.withUnsafeMutableBufferPointer { live throws(QueryError) in
            // Safe: there are at most as many as were asked for.
            try forEach(series, count) { id in
                let time = rows.times[id]
                live[liveCount] = UInt32(truncatingIfNeeded: id)
                liveCount &+= time != LastRowsView.none && time >= firstTime ? 1 : 0
            }
        }
        live.removeLast(wanted - liveCount)
        return live
    }

    /// The series whose last rows are the last of their keys, rising.
    func winners(
        _ rows: LastRowsView, _ series: SeriesSet?, _ snapshot: SeriesSnapshot,
        from firstTime: Int64, _ context: QueryContext
    ) throws(QueryError) -> [UInt32] {
        let order = SeriesOrder(table: scan.table)
        let count = min(rows.count, snapshot.count)
        if keys.count == 1 {
            return try winnersByTag(rows, series, snapshot, count, firstTime, order)
        }
        var table = GroupTable()
        var best: [UInt32] = []
        var key = [UInt8](repeating: 0, count: keys.count * 4)
        let columns = keys.map { snapshot.tag($0).codes }
        try forEach(series, count) { id throws(QueryError) in
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
        return best.sorted()
    }

    private func winnersByTag(
        _ rows: LastRowsView, _ series: SeriesSet?, _ snapshot: SeriesSnapshot, _ count: Int,
        _ firstTime: Int64, _ order: SeriesOrder
    ) throws(QueryError) -> [UInt32] {
        let column = snapshot.tag(keys[0])
        // As many values as series: each has its own, since values come with series.
        if column.values.count == snapshot.count {
            return try live(rows, series, snapshot, from: firstTime)
        }
        let codes = column.codes.all(count)
        var best = [UInt32](repeating: .max, count: column.values.count + 1)
        try best.withUnsafeMutableBufferPointer { best throws(QueryError) in
            try codes.withUnsafeBufferPointer { codes throws(QueryError) in
                // Safe: a code is below `values.count + 1`, and there is one for each series.
                try forEach(series, count) { id in
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
        return best
    }

    private func wins(
        _ id: UInt32, _ other: UInt32, _ rows: LastRowsView, _ order: SeriesOrder
    ) -> Bool {
        let (time, best) = (rows.times[Int(id)], rows.times[Int(other)])
        return time != best ? time > best : order.isGreater(id, other)
    }

    @inline(__always)
    private func forEach(
        _ series: SeriesSet?, _ count: Int, _ body: (Int) throws(QueryError) -> Void
    ) throws(QueryError) {
        guard let series else {
            for id in 0..<count { try body(id) }
            return
        }
        var next = series.next(from: 0)
        while let id = next, Int(id) < count {
            try body(Int(id))
            next = series.next(from: id + 1)
        }
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
    ) throws(QueryError) -> Frame {
        try context.charge(series.count * 8 * (slots.count + 1), "the rows of LATEST ON")
        var columns: [Vector] = []
        for (slot, column) in scan.columns.enumerated() {
            let type: ResultType =
                switch column {
                case .time: .timestamp
                case .tag: .string
                case .field(let index): ResultType(scan.schema.fields[index].type)
                }
            guard slots.contains(slot) else {
                columns.append(Vector(Constant(nullOf: type), count: series.count))
                continue
            }
            switch column {
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
            var seen = CodeSet(count: column.values.count + 1)
            for id in series { seen.insert(Int(column.codes[Int(id)])) }
            // NULL is no value.
            seen.remove(0)
            counts.append(seen.memberCount)
        }
        return counts
    }

    /// Puts series into groups by tags, as GROUP BY has them: for each group its series and their tags'
    /// codes. Nil if a key isn't a tag.
    func groups(
        _ keys: [BoundExpression], _ series: [UInt32], _ snapshot: SeriesSnapshot
    ) -> (starts: [Int], series: [UInt32])? {
        var columns: [TagColumnValues] = []
        for key in keys {
            guard case .column(let slot) = key.kind, case .tag(let tag) = scan.columns[slot] else {
                return nil
            }
            columns.append(snapshot.tag(tag))
        }
        // Of one key or none: a counting sort by code.
        guard columns.count <= 1 else { return nil }
        guard let column = columns.first else { return ([0, series.count], series) }
        let codeCount = column.values.count + 1
        // Of a few series only theirs; of many all, which is a hundredth of the time a series.
        let isFew = series.count < snapshot.count / 64
        let codes =
            isFew ? series.map { column.codes[Int($0)] } : column.codes.all(snapshot.count)
        var starts = [Int](repeating: 0, count: codeCount + 1)
        var next = starts
        let sorted = [UInt32](unsafeUninitializedCapacity: series.count) { buffer, count in
            // Safe: codes are below `codeCount`, and series below the snapshot's count.
            codes.withUnsafeBufferPointer { codes in
                series.withUnsafeBufferPointer { series in
                    starts.withUnsafeMutableBufferPointer { starts in
                        for (place, id) in series.enumerated() {
                            starts[Int(codes[isFew ? place : Int(id)]) &+ 1] &+= 1
                        }
                        for code in 0..<codeCount { starts[code &+ 1] &+= starts[code] }
                    }
                    next = starts
                    next.withUnsafeMutableBufferPointer { next in
                        for (place, id) in series.enumerated() {
                            let code = Int(codes[isFew ? place : Int(id)])
                            buffer[next[code]] = id
                            next[code] &+= 1
                        }
                    }
                }
            }
            count = series.count
        }
        return (starts, sorted)
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
                return try shape.frame(rows, winners, series, slots: scan.needed, context)
            }
            return try group(grouping, shape, rows, winners, series, scan, context)
        }
        guard let frame = found else { return nil }
        report.usesLastRows = true
        report.groupCount = frame.count
        return frame
    }

    /// The frame behind a GROUP BY or DISTINCT of tags alone, if directories and heads tell which series
    /// have rows.
    func tagsFromPresence(
        _ plan: SelectPlan, _ scan: ScanPlan, _ request: ScanRequest, _ snapshot: Snapshot,
        _ context: QueryContext, _ report: inout ExecutionReport
    ) throws(QueryError) -> Frame? {
        guard plan.latest == nil, let grouping = plan.grouping, !request.timeRange.isEmpty,
            let shape = LatestShape(tagsOf: grouping, scan)
        else { return nil }
        // Behind the storage's snapshot: it has all its series.
        let series = scan.table.seriesSnapshot
        let presence = try translating { () throws(StorageError) in
            try snapshot.presence(
                of: scan.table, in: request.timeRange, among: request.series, count: series.count)
        }
        guard var present = presence.exact(among: request.series) else { return nil }
        if let wanted = request.series { present.formIntersection(wanted) }
        report.usesPresence = true
        let frame = try group(
            grouping, shape, nil, present.members, series, scan, context)
        report.groupCount = frame.count
        return frame
    }

    private func group(
        _ grouping: GroupingPlan, _ shape: LatestShape, _ rows: LastRowsView?, _ winners: [UInt32],
        _ series: SeriesSnapshot, _ scan: ScanPlan, _ context: QueryContext
    ) throws(QueryError) -> Frame {
        if let counts = shape.distinctCounts(grouping, winners, series) {
            return Frame(
                count: 1,
                columns: zip(grouping.aggregates, counts).map { call, count in
                    Vector(type: call.type, count: 1, values: [UInt64(count)])
                })
        }
        let worker = GroupingWorker(
            grouping, scan: nil, shape: nil, order: SeriesOrder(table: scan.table), context: context
        )
        guard let groups = shape.groups(grouping.keys, winners, series) else {
            let frame = try shape.frame(rows, winners, series, slots: scan.needed, context)
            try worker.add(frame, timesAscend: false, rowSeries: winners)
            return try worker.finish()
        }
        // The keys are the same in all rows of a group, so those of its first will do.
        let keySlots = grouping.keys.reduce(into: Set<Int>()) { $1.collectColumns(into: &$0) }
        let firsts = (0..<(groups.starts.count - 1)).filter {
            groups.starts[$0] < groups.starts[$0 + 1]
        }
        let keyFrame = try shape.frame(
            rows, firsts.map { groups.series[groups.starts[$0]] }, series, slots: keySlots, context)
        var slots: Set<Int> = []
        if let time = grouping.timeSlot { slots.insert(time) }
        for aggregate in grouping.aggregates {
            aggregate.argument?.collectColumns(into: &slots)
            aggregate.filter?.collectColumns(into: &slots)
        }
        let frame = try shape.frame(rows, groups.series, series, slots: slots, context)
        try worker.add(
            frame, keys: keyFrame, runs: firsts.map { groups.starts[$0]..<groups.starts[$0 + 1] },
            rowSeries: groups.series)
        return try worker.finish()
    }
}
