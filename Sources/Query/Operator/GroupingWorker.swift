// One thread's share of a grouping: takes slices, summaries or frames, keeps groups and their
// accumulators, and is merged with the other threads' at the end.

internal import ApusStorage

final class GroupingWorker: ScanWorker {
    let plan: GroupingPlan
    private let scan: ScanPlan?
    private let shape: GroupingShape?
    private let context: QueryContext
    private(set) var table = GroupTable()
    private(set) var accumulators: [Accumulator]
    private var frames: ScanFrameBuilder?
    private var buckets = BucketGroups()
    /// Series → 1 + code of its part of the key.
    private var seriesCodes: [UInt32] = []
    private var codeTable = GroupTable()
    /// A column a slot of the scan: the tags of one series, which all have a value each time, and
    /// NULL for what no key of a code reads.
    private var tagColumns: [Vector] = []
    /// Per code: the encoded keys before and behind the bucket.
    private var codeKeys: [(before: [UInt8], behind: [UInt8])] = []
    /// Per field of the request: validity with stale markers taken out.
    ///
    /// Safe: each buffer is written in one call and read before the next slice comes.
    private var staleScratch: [UnsafeMutableBufferPointer<UInt8>] = []
    private var chargedBytes = 0
    private var callsSinceCheck = 0
    var failure: QueryError?

    /// Without a scan, `order` settles ties between rows whose series are told.
    init(
        _ plan: GroupingPlan, scan: ScanPlan?, shape: GroupingShape?, order: SeriesOrder? = nil,
        context: QueryContext
    ) {
        self.plan = plan
        self.scan = scan
        self.shape = shape
        self.context = context
        let order = order ?? scan.map { SeriesOrder(table: $0.table) }
        accumulators = plan.aggregates.map { Accumulator($0, order: order) }
        if let scan {
            frames = ScanFrameBuilder(scan, context)
            if shape != nil {
                seriesCodes = [UInt32](repeating: 0, count: scan.table.seriesCount)
                staleScratch = scan.request.fields.map { _ in .allocate(capacity: 0) }
            }
        }
    }

    var isDone: Bool { failure != nil || context.isStopped }

    // MARK: - Scan

    func consume(_ rows: ScanRows) throws(StorageError) {
        try guarded { () throws(QueryError) in
            if let shape {
                try addSlice(rows, shape)
            } else if let frame = try frames?.frame(rows, 0..<rows.count) {
                try add(frame, timesAscend: true)
            }
        }
    }

    func consume(_ summary: ScanSummary) throws(StorageError) {
        try guarded { () throws(QueryError) in
            guard let shape else { preconditionFailure("BUG: a summary that was not asked for") }
            let code = try code(of: summary.series)
            let group = group(code, shape.bucketKey == nil ? 0 : bucket(summary.firstTime, shape))
            for (index, accumulator) in accumulators.enumerated() {
                switch shape.sources[index] {
                case .rows: accumulator.addRows(group, summary.rowCount)
                case .field(let field): accumulator.add(group, summary.statistics[field])
                case .time:
                    accumulator.add(
                        group,
                        ColumnStatistics(
                            presentCount: summary.rowCount,
                            minimum: UInt64(bitPattern: summary.firstTime),
                            maximum: UInt64(bitPattern: summary.lastTime), hasRange: true))
                }
            }
        }
    }

    /// Runs a step; an error of the query ends the scan and waits in `failure`.
    private func guarded(_ body: () throws(QueryError) -> Void) throws(StorageError) {
        do throws(QueryError) {
            try body()
            callsSinceCheck += 1
            if callsSinceCheck >= 64 {
                callsSinceCheck = 0
                try context.check()
            }
            try charge()
        } catch {
            failure = error
            throw .cancelled
        }
    }

    private func charge() throws(QueryError) {
        var bytes = table.byteCount + buckets.byteCount
        for accumulator in accumulators {
            bytes += table.count * accumulator.bytesPerGroup + accumulator.looseBytes
        }
        // In steps, so that threads don't share a counter at every slice.
        guard bytes > chargedBytes + 65_536 else { return }
        try context.charge(bytes - chargedBytes, "the groups of GROUP BY")
        chargedBytes = bytes
    }

    // MARK: - Without expressions per row

    @inline(__always)
    private func bucket(_ time: Int64, _ shape: GroupingShape) -> Int64 {
        TimeBucket.floor(time, phase: shape.origin, width: shape.width)
    }

    private func addSlice(_ rows: ScanRows, _ shape: GroupingShape) throws(QueryError) {
        let code = try code(of: rows.series)
        let count = rows.count
        let runs = try accumulators.indices.map { index throws(QueryError) in
            try run(rows, shape.sources[index], shape.argumentTypes[index])
        }
        let times = rows.times
        var start = 0
        while start < count {
            var end = count
            var bucketStart: Int64 = 0
            if shape.bucketKey != nil {
                bucketStart = bucket(times[start], shape)
                let (edge, overflow) = bucketStart.addingReportingOverflow(shape.width)
                if !overflow, times[count &- 1] >= edge {
                    end = Self.firstAtOrAfter(edge, times, start &+ 1, count)
                }
            }
            let group = group(code, bucketStart)
            for index in accumulators.indices {
                if case .rows = shape.sources[index] {
                    accumulators[index].addRows(group, end &- start)
                } else {
                    accumulators[index].add(
                        group, runs[index].slice(start, end), times: times + start,
                        series: rows.series)
                }
            }
            start = end
        }
    }

    /// The first row at or behind a time, among ascending times of which the last is.
    private static func firstAtOrAfter(
        _ edge: Int64, _ times: UnsafePointer<Int64>, _ start: Int, _ count: Int
    ) -> Int {
        var low = start
        var high = count &- 1
        while low < high {
            let middle = (low &+ high) &>> 1
            if times[middle] < edge { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    private func run(
        _ rows: ScanRows, _ source: GroupingShape.Source, _ type: ResultType
    ) throws(QueryError) -> ColumnRun {
        switch source {
        case .rows, .time:
            // Safe: a slice has `count` times; an Int64 and a UInt64 have one layout.
            return ColumnRun(
                values: UnsafeRawPointer(rows.times).assumingMemoryBound(to: UInt64.self),
                validity: nil, count: rows.count, stringBytes: nil)
        case .field(let index):
            let slice = rows.columns[index]
            guard ResultType(slice.type) == type else { throw ScanFrameBuilder.schemaChanged }
            var run = ColumnRun(
                values: slice.values, validity: slice.validity, count: rows.count,
                stringBytes: slice.stringBytes)
            if type == .float64, AggregateKernels.mayHoldNaN(slice.values, rows.count) {
                run.validity = withoutStale(run, index)
            }
            return run
        }
    }

    /// Stale markers read as NULL. The answer points into memory that the worker keeps.
    private func withoutStale(_ run: ColumnRun, _ index: Int) -> UnsafePointer<UInt8>? {
        guard (0..<run.count).contains(where: { run.values[$0] == staleMarker }) else {
            return run.validity
        }
        if staleScratch[index].count < run.count {
            staleScratch[index].deallocate()
            staleScratch[index] = .allocate(capacity: run.count)
        }
        let validity = staleScratch[index]
        for row in 0..<run.count {
            validity[row] = run.isValid(row) && run.values[row] != staleMarker ? 1 : 0
        }
        return UnsafePointer(validity.baseAddress)
    }

    deinit { for buffer in staleScratch { buffer.deallocate() } }

    private func code(of series: UInt32) throws(QueryError) -> UInt32 {
        let id = Int(series)
        if id < seriesCodes.count, seriesCodes[id] != 0 { return seriesCodes[id] - 1 }
        guard let shape, let tags = frames?.tags(of: series) else { return 0 }
        if tagColumns.isEmpty {
            let null = Vector(Constant(nullOf: .string), count: 1)
            tagColumns = Array(repeating: null, count: scan?.columns.count ?? 0)
        }
        for (slot, tag) in tags { tagColumns[slot] = Vector(tag, count: 1) }
        let frame = Frame(count: 1, columns: tagColumns)
        var before: [UInt8] = []
        var behind: [UInt8] = []
        for (index, key) in plan.keys.enumerated() where index != shape.bucketKey {
            let vector = try key.evaluate(frame)
            if let bucket = shape.bucketKey, index > bucket {
                KeyEncoder.append(vector, 0, to: &behind)
            } else {
                KeyEncoder.append(vector, 0, to: &before)
            }
        }
        let code = codeTable.group(of: before + behind)
        if code == codeKeys.count { codeKeys.append((before, behind)) }
        if id >= seriesCodes.count {
            seriesCodes.append(
                contentsOf: repeatElement(0, count: id + 1 - seriesCodes.count))
        }
        seriesCodes[id] = UInt32(truncatingIfNeeded: code + 1)
        return UInt32(truncatingIfNeeded: code)
    }

    @inline(__always)
    private func group(_ code: UInt32, _ bucketStart: Int64) -> Int {
        buckets.find(code, bucketStart) ?? newGroup(code, bucketStart)
    }

    private func newGroup(_ code: UInt32, _ bucketStart: Int64) -> Int {
        var key = codeKeys[Int(code)].before
        if shape?.bucketKey != nil {
            key.append(1)
            withUnsafeBytes(of: bucketStart) { key.append(contentsOf: $0) }
        }
        key += codeKeys[Int(code)].behind
        let group = table.group(of: key)
        for accumulator in accumulators { accumulator.resize(group + 1) }
        buckets.insert(code, bucketStart, group)
        return group
    }

    // MARK: - Frames

    /// Adds rows in any order; `timesAscend` says that they are one series' and in order. Rows of
    /// several series may come with a series each.
    func add(
        _ frame: Frame, timesAscend: Bool, rowSeries: [UInt32] = []
    ) throws(QueryError) {
        let keys = try evaluateAll(plan.keys, frame)
        let groups = groupRuns(keys, frame.count, singleRows: !timesAscend)
        for accumulator in accumulators { accumulator.resize(table.count) }
        let times = plan.timeSlot.map { frame.columns[$0].expanded().values }
        for (index, aggregate) in plan.aggregates.enumerated() {
            try add(aggregate, accumulators[index], frame, groups, times, rowSeries)
        }
        if !timesAscend { try charge() }
    }

    /// Adds rows that lie group by group: row n of `keys` has the columns that the keys of run n read.
    func add(
        _ frame: Frame, keys: Frame, runs: [Range<Int>], rowSeries: [UInt32]
    ) throws(QueryError) {
        let keys = try evaluateAll(plan.keys, keys)
        var groups: [GroupRun] = []
        // What picks a row wants each with its series.
        let picksRow = plan.aggregates.contains {
            switch $0.function {
            case .first, .last, .latest: true
            default: false
            }
        }
        var key: [UInt8] = []
        for (number, run) in runs.enumerated() {
            key.removeAll(keepingCapacity: true)
            for vector in keys { KeyEncoder.append(vector, number, to: &key) }
            let group = table.group(of: key)
            if picksRow {
                for row in run { groups.append(GroupRun(start: row, end: row + 1, group: group)) }
            } else {
                groups.append(GroupRun(start: run.lowerBound, end: run.upperBound, group: group))
            }
        }
        for accumulator in accumulators { accumulator.resize(table.count) }
        let times = plan.timeSlot.map { frame.columns[$0].expanded().values }
        for (index, aggregate) in plan.aggregates.enumerated() {
            try add(aggregate, accumulators[index], frame, groups, times, rowSeries)
        }
        try charge()
    }

    /// Rows of the only group that nothing more is asked of.
    func addRows(_ count: Int) {
        let group = table.group(of: [])
        for accumulator in accumulators {
            accumulator.resize(group + 1)
            accumulator.addRows(group, count)
        }
    }

    private func add(
        _ aggregate: AggregateCall, _ accumulator: Accumulator, _ frame: Frame,
        _ runs: [GroupRun], _ times: [UInt64]?, _ rowSeries: [UInt32]
    ) throws(QueryError) {
        var mask: [UInt8]?
        if let filter = aggregate.filter { mask = trueMask(try filter.evaluate(frame)).mask }
        guard let argument = aggregate.argument else {
            for run in runs {
                var rows = run.end - run.start
                if let mask { rows = mask[run.start..<run.end].reduce(0) { $0 + Int($1) } }
                accumulator.addRows(run.group, rows)
            }
            return
        }
        var vector = try argument.evaluate(frame).expanded()
        if let mask {
            for row in 0..<vector.count where mask[row] == 0 { vector.setNull(row) }
        }
        // Safe: the arrays live through the closures; runs lie within the frame's rows.
        vector.values.withUnsafeBufferPointer { values in
            vector.validity.withUnsafeBufferPointer { validity in
                vector.bytes.withUnsafeBufferPointer { bytes in
                    (times ?? []).withUnsafeBytes { times in
                        guard let base = values.baseAddress else { return }
                        let all = ColumnRun(
                            values: base,
                            validity: validity.isEmpty ? nil : validity.baseAddress,
                            count: frame.count, stringBytes: bytes.baseAddress)
                        let clock = times.bindMemory(to: Int64.self).baseAddress
                        for run in runs {
                            accumulator.add(
                                run.group, all.slice(run.start, run.end),
                                times: clock.map { $0 + run.start },
                                series: rowSeries.isEmpty ? frame.series : rowSeries[run.start])
                        }
                    }
                }
            }
        }
    }

    struct GroupRun {
        var start: Int
        var end: Int
        var group: Int
    }

    /// Neighbouring rows of one group, so that the table is asked once a run.
    private func groupRuns(_ keys: [Vector], _ count: Int, singleRows: Bool) -> [GroupRun] {
        var runs: [GroupRun] = []
        var start = 0
        var key: [UInt8] = []
        let isConstant = keys.allSatisfy { $0.isConstant }
        while start < count {
            var end = start + 1
            if !singleRows {
                if isConstant {
                    end = count
                } else {
                    while end < count, keys.allSatisfy({ $0.hasSameSlot(start, end) }) { end += 1 }
                }
            }
            key.removeAll(keepingCapacity: true)
            for vector in keys { KeyEncoder.append(vector, start, to: &key) }
            runs.append(GroupRun(start: start, end: end, group: table.group(of: key)))
            start = end
        }
        return runs
    }

    // MARK: - Ends

    /// Adds another thread's groups and takes its memory over.
    func merge(_ other: GroupingWorker) throws(QueryError) {
        var groups: [Int] = []
        groups.reserveCapacity(other.table.count)
        for group in 0..<other.table.count {
            groups.append(other.table.withKey(group) { table.group(of: $0) })
        }
        for (index, accumulator) in accumulators.enumerated() {
            accumulator.resize(table.count)
            accumulator.merge(other.accumulators[index], groups)
        }
        try charge()
        try context.charge(-other.chargedBytes, "the groups of GROUP BY")
        other.chargedBytes = 0
        other.accumulators = []
    }

    /// Keys, then aggregates, a row a group. Without keys there is always one row.
    func finish() throws(QueryError) -> Frame {
        if plan.keys.isEmpty { _ = table.group(of: []) }
        var columns = table.columns(plan.keys.map(\.type))
        for accumulator in accumulators { columns.append(try accumulator.finish(table.count)) }
        var frame = Frame(count: table.count, columns: columns)
        frame.context = context
        return frame
    }
}

extension Vector {
    /// Whether two rows have the same slot: equal values mostly have, different ones never (but
    /// for strings, where the table settles it).
    @inline(__always)
    func hasSameSlot(_ a: Int, _ b: Int) -> Bool {
        if isConstant { return true }
        return values[a] == values[b] && (validity.isEmpty || validity[a] == validity[b])
    }
}
