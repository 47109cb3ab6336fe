// One thread's share of a grouping: takes slices, summaries or frames, keeps groups and their
// accumulators, and is merged with the other threads' at the end.

internal import ApusStorage

struct GroupingWorker: ScanWorker {
    let plan: GroupingPlan
    private let scan: ScanPlan?
    /// Whether no expression runs per row: what is done instead is in `shape`, which is read in place, since a
    /// copy's references would be counted by all threads at every slice.
    private let hasShape: Bool
    private let shape: GroupingShape
    private let context: QueryContext
    /// Groups by their keys, where no shape is known; else they are in `buckets`.
    private var table = GroupTable()
    private var buckets = BucketGroups()
    private(set) var accumulators: [Accumulator]
    private var frames: ScanFrameBuilder?
    private var seriesCodes: SeriesCodes?
    /// A column a slot of the scan: the tags of one series, which all have a value each time, and
    /// NULL for what no key of a code reads.
    private var tagColumns: [Vector] = []
    /// Of each key that is nothing but a tag: the tag.
    private var keyTags: [Int?] = []
    /// The key at hand.
    private var codeKey: [UInt8] = []
    /// What each aggregate reads of the slice at hand, first and beside it.
    private var runs: [ColumnRun] = []
    private var otherRuns: [[ColumnRun]] = []
    /// Of each accumulator: asked of it, it would be copied at every run.
    private let takesValuesOnly: [Bool]
    /// Of the slice at hand, from 1.
    private var sliceNumber = 0
    /// Per field of the request: validity with stale markers taken out.
    private let withoutStale: ValidityScratch
    /// Groups that the accumulators have room for.
    private var roomCount = 0
    private var chargedBytes = 0
    private var callsSinceCheck = 0
    /// The bucket of the calendar that was looked up last.
    private var calendarSpan: Range<Int64> = 0..<0
    private(set) var failure: QueryError?
    private var hasFailed = false

    /// Without a scan, `order` settles ties between rows whose series are told.
    init(
        _ plan: GroupingPlan, scan: ScanPlan?, shape: GroupingShape?, order: SeriesOrder? = nil,
        context: QueryContext
    ) {
        self.plan = plan
        self.scan = scan
        hasShape = shape != nil
        self.shape = shape ?? GroupingShape()
        self.context = context
        let order = order ?? scan.map { SeriesOrder(table: $0.table) }
        accumulators = plan.aggregates.map { Accumulator($0, order: order) }
        takesValuesOnly = accumulators.map(\.takesValuesOnly)
        otherRuns = plan.aggregates.map { _ in [] }
        withoutStale = ValidityScratch(fieldCount: scan?.request.fields.count ?? 0)
        if let scan {
            frames = ScanFrameBuilder(scan, context)
            if let shape {
                seriesCodes = SeriesCodes(
                    shape.keyTags(plan, scan), scan.table.seriesSnapshot)
                keyTags = plan.keys.map { scan.tag($0) }
            }
        }
    }

    var isDone: Bool { hasFailed || context.isStopped }

    // MARK: - Scan

    mutating func consume(_ rows: ScanRows) throws(StorageError) {
        do throws(QueryError) {
            if hasShape {
                try addSlice(rows)
            } else if let frame = try frames?.frame(rows, 0..<rows.count) {
                try add(frame, timesAscend: true)
            }
            try keepWithinBudget()
        } catch {
            throw stop(error)
        }
    }

    mutating func consume(_ summary: ScanSummary) throws(StorageError) {
        do throws(QueryError) {
            precondition(hasShape, "BUG: a summary that was not asked for")
            try add(summary)
            try keepWithinBudget()
        } catch {
            throw stop(error)
        }
    }

    /// The error waits in `failure`, and the scan ends.
    private mutating func stop(_ error: QueryError) -> StorageError {
        failure = error
        hasFailed = true
        return .cancelled
    }

    /// Looks at the clock and at memory after some slices, which hold some thousand rows each at most.
    @inline(__always)
    private mutating func keepWithinBudget() throws(QueryError) {
        callsSinceCheck &+= 1
        guard callsSinceCheck >= 64 else { return }
        callsSinceCheck = 0
        try context.check()
        try charge()
    }

    private mutating func add(_ summary: ScanSummary) throws(QueryError) {
        let code = try code(of: summary.series)
        let start = shape.bucketKey == nil ? 0 : bucket(summary.firstTime).start
        let group = group(code, start)
        for index in accumulators.indices {
            switch shape.sources[index] {
            case .rows: accumulators[index].addRows(group, summary.rowCount)
            case .field(let field): accumulators[index].add(group, summary.statistics[field])
            case .time:
                accumulators[index].add(
                    group,
                    ColumnStatistics(
                        presentCount: summary.rowCount,
                        minimum: UInt64(bitPattern: summary.firstTime),
                        maximum: UInt64(bitPattern: summary.lastTime), hasRange: true))
            }
        }
    }

    private mutating func charge() throws(QueryError) {
        var bytes = table.byteCount + buckets.byteCount + (seriesCodes?.byteCount ?? 0)
        for accumulator in accumulators {
            bytes += max(groupCount, roomCount) * accumulator.bytesPerGroup + accumulator.looseBytes
        }
        // In steps, so that threads don't share a counter at every slice.
        guard bytes > chargedBytes + 65_536 else { return }
        try context.charge(bytes - chargedBytes, "the groups of GROUP BY")
        chargedBytes = bytes
    }

    // MARK: - Without expressions per row

    /// Half-open; a bucket that time's end cuts ends there.
    @inline(__always)
    private mutating func bucket(_ time: Int64) -> (start: Int64, end: Int64) {
        if shape.isCalendar {
            if !calendarSpan.contains(time) { lookUp(time) }
            return (calendarSpan.lowerBound, calendarSpan.upperBound)
        }
        let start = TimeBucket.floor(time, phase: shape.origin, width: shape.width)
        let (end, overflow) = start.addingReportingOverflow(shape.width)
        return (start, overflow ? .max : end)
    }

    @inline(never)
    private mutating func lookUp(_ time: Int64) {
        if let calendar = shape.calendar { calendarSpan = calendar.calendarSpan(time) }
    }

    private mutating func addSlice(_ rows: ScanRows) throws(QueryError) {
        let code = try code(of: rows.series)
        let count = rows.count
        runs.removeAll(keepingCapacity: true)
        for index in shape.sources.indices {
            runs.append(try run(rows, shape.sources[index], shape.argumentTypes[index]))
            for (place, other) in shape.otherSources[index].enumerated() {
                if place == 0 { otherRuns[index].removeAll(keepingCapacity: true) }
                otherRuns[index].append(try run(rows, other.source, other.type))
            }
        }
        sliceNumber &+= 1
        let times = rows.times
        var start = 0
        while start < count {
            var end = count
            var bucketStart: Int64 = 0
            if shape.bucketKey != nil {
                let edge: Int64
                (bucketStart, edge) = bucket(times[start])
                if times[count &- 1] >= edge {
                    end = Self.firstAtOrAfter(edge, times, start &+ 1, count)
                }
            }
            let group = group(code, bucketStart)
            for index in accumulators.indices {
                if case .rows = shape.sources[index] {
                    accumulators[index].addRows(group, end &- start)
                    continue
                }
                if takesValuesOnly[index] {
                    accumulators[index].add(group, runs[index].slice(start, end))
                    continue
                }
                var part = AggregateRows(
                    values: runs[index].slice(start, end), start: start, times: times + start,
                    series: rows.series, slice: sliceNumber)
                if otherRuns[index].isEmpty {
                    accumulators[index].add(group, part)
                } else {
                    add(group, &part, index)
                }
            }
            start = end
        }
    }

    /// Adds rows to an aggregate of several arguments.
    private mutating func add(_ group: Int, _ part: inout AggregateRows, _ index: Int) {
        let others = otherRuns[index]
        // Safe: the runs are lent for the call.
        others.withUnsafeBufferPointer {
            part.others = $0.baseAddress
            accumulators[index].add(group, part)
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
                run.validity = dropStale(run, index)
            }
            return run
        }
    }

    /// Stale markers read as NULL. The answer points into memory that the worker keeps.
    private func dropStale(_ run: ColumnRun, _ index: Int) -> UnsafePointer<UInt8>? {
        guard (0..<run.count).contains(where: { run.values[$0] == staleMarker }) else {
            return run.validity
        }
        let validity = withoutStale.room(index, run.count)
        for row in 0..<run.count {
            validity[row] = run.isValid(row) && run.values[row] != staleMarker ? 1 : 0
        }
        return UnsafePointer(validity.baseAddress)
    }

    @inline(__always)
    private mutating func code(of series: UInt32) throws(QueryError) -> UInt32 {
        let place = seriesCodes?.place(of: series)
        if let place, let known = seriesCodes?[place], known != 0 { return known &- 1 }
        let code = try newCode(of: series)
        if let place { seriesCodes?[place] = code &+ 1 }
        return code
    }

    private mutating func newCode(of series: UInt32) throws(QueryError) -> UInt32 {
        codeKey.removeAll(keepingCapacity: true)
        var frame: Frame?
        for (index, key) in plan.keys.enumerated() where index != shape.bucketKey {
            if let tag = keyTags[index] {
                frames?.withTag(tag, of: series) { KeyEncoder.append($0, to: &codeKey) }
                continue
            }
            let tags = frame ?? tagFrame(of: series)
            KeyEncoder.append(try key.evaluate(tags), 0, to: &codeKey)
            frame = tags
        }
        return buckets.code(of: codeKey)
    }

    /// The tags of a series as a frame of one row.
    private mutating func tagFrame(of series: UInt32) -> Frame {
        if tagColumns.isEmpty {
            let null = Vector(Constant(nullOf: .string), count: 1)
            tagColumns = Array(repeating: null, count: scan?.columns.count ?? 0)
        }
        for (slot, tag) in frames?.tags(of: series) ?? [:] {
            tagColumns[slot] = Vector(tag, count: 1)
        }
        return Frame(count: 1, columns: tagColumns)
    }

    @inline(__always)
    private mutating func group(_ code: UInt32, _ bucketStart: Int64) -> Int {
        let group = buckets.group(code, bucketStart)
        if group >= roomCount { makeRoom(group) }
        return group
    }

    /// Grows the accumulators by half, so that most groups need nothing of them.
    private mutating func makeRoom(_ group: Int) {
        roomCount = max(16, group + group / 2)
        for index in accumulators.indices { accumulators[index].resize(roomCount) }
    }

    // MARK: - Frames

    /// Adds rows in any order; `timesAscend` says that they are one series' and in order. Rows of
    /// several series may come with a series each.
    mutating func add(
        _ frame: Frame, timesAscend: Bool, rowSeries: [UInt32] = []
    ) throws(QueryError) {
        let keys = try evaluateAll(plan.keys, frame)
        let groups = groupRuns(keys, frame.count, singleRows: !timesAscend)
        for index in accumulators.indices { accumulators[index].resize(table.count) }
        let times = plan.timeSlot.map { frame.columns[$0].expanded().values }
        sliceNumber &+= 1
        for index in accumulators.indices {
            try accumulators[index].add(
                frame, groups, times: times, rowSeries: rowSeries,
                slice: timesAscend ? sliceNumber : 0)
        }
        if !timesAscend { try charge() }
    }

    /// Adds rows that lie group by group: row n of `keys` has the columns that the keys of run n read.
    mutating func add(
        _ frame: Frame, keys: Frame, runs: [Range<Int>], rowSeries: [UInt32]
    ) throws(QueryError) {
        let keys = try evaluateAll(plan.keys, keys)
        var groups: [GroupRun] = []
        // What picks a row wants each with its series.
        let picksRow = plan.aggregates.contains { $0.function.needsTime }
        var key: [UInt8] = []
        for (number, run) in runs.enumerated() {
            KeyEncoder.encode(keys, number, as: &key)
            let group = table.group(of: key)
            if picksRow {
                for row in run { groups.append(GroupRun(start: row, end: row + 1, group: group)) }
            } else {
                groups.append(GroupRun(start: run.lowerBound, end: run.upperBound, group: group))
            }
        }
        for index in accumulators.indices { accumulators[index].resize(table.count) }
        let times = plan.timeSlot.map { frame.columns[$0].expanded().values }
        for index in accumulators.indices {
            try accumulators[index].add(
                frame, groups, times: times, rowSeries: rowSeries, slice: 0)
        }
        try charge()
    }

    /// Rows of the only group that nothing more is asked of.
    mutating func addRows(_ count: Int) {
        let group = onlyGroup()
        for index in accumulators.indices {
            accumulators[index].resize(groupCount)
            accumulators[index].addRows(group, count)
        }
    }

    /// The group of a grouping without keys.
    private mutating func onlyGroup() -> Int {
        hasShape ? buckets.group(buckets.code(of: []), 0) : table.group(of: [])
    }

    var groupCount: Int { hasShape ? buckets.count : table.count }

    /// Neighbouring rows of one group, so that the table is asked once a run.
    private mutating func groupRuns(_ keys: [Vector], _ count: Int, singleRows: Bool) -> [GroupRun]
    {
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
            KeyEncoder.encode(keys, start, as: &key)
            runs.append(GroupRun(start: start, end: end, group: table.group(of: key)))
            start = end
        }
        return runs
    }

    // MARK: - Ends

    /// Adds the groups of another thread of the same grouping and takes its memory over.
    mutating func merge(_ other: GroupingWorker) throws(QueryError) {
        let groups =
            hasShape
            ? buckets.merge(other.buckets)
            : (0..<other.table.count).map { group in
                other.table.withKey(group) { table.group(of: $0) }
            }
        for index in accumulators.indices {
            accumulators[index].resize(groupCount)
            accumulators[index].merge(other.accumulators[index], groups)
        }
        try charge()
        try context.charge(-other.chargedBytes, "the groups of GROUP BY")
    }

    /// Keys, then aggregates, a row a group. Without keys there is always one row.
    mutating func finish() throws(QueryError) -> Frame {
        if plan.keys.isEmpty { _ = onlyGroup() }
        try charge()
        let types = plan.keys.map(\.type)
        var columns =
            hasShape
            ? buckets.columns(types, bucketKey: shape.bucketKey) : table.columns(types)
        let count = groupCount
        let windows = plan.window.map { $0.ranges(columns, count) }
        for index in accumulators.indices {
            columns.append(try accumulators[index].finish(count, windows: windows))
        }
        var frame = Frame(count: count, columns: columns)
        frame.context = context
        return frame
    }
}

/// Bytes of validity by field, written for one slice and read before the next comes.
///
/// Safe: belongs to one worker; a room is good until the next is asked for.
private final class ValidityScratch {
    private var rooms: [UnsafeMutableBufferPointer<UInt8>]

    init(fieldCount: Int) {
        rooms = (0..<fieldCount).map { _ in .allocate(capacity: 0) }
    }

    deinit { for room in rooms { room.deallocate() } }

    func room(_ field: Int, _ count: Int) -> UnsafeMutableBufferPointer<UInt8> {
        if rooms[field].count < count {
            rooms[field].deallocate()
            rooms[field] = .allocate(capacity: count)
        }
        return rooms[field]
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
