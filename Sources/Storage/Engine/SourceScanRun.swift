// Runs a piece: series by series, gathers the inputs' slices into groups that overlap in time, and
// hands the groups' rows to the consumer.

/// One thread's work on a piece.
///
/// Safe: `chunks`, `currents` and `columns` have one element a chunk, a cursor and a field, and are
/// freed with the run. Cursors of chunks in an array would be asked at every step whether they are
/// shared.
struct ScanRun: ~Copyable {
    /// Rows that are worth a call of the consumer, and rows at which a merge hands over.
    static let rowsWanted = 1_024
    static let rowsMax = 4_096

    let plan: ScanPlan
    let target: CursorTarget
    let isLatest: Bool
    /// Bounds that may skip blocks; none with `latestOnly`, where the last row counts as it is.
    let bounds: [FieldBound]
    var segments: [SegmentCursor] = []
    let chunks: UnsafeMutableBufferPointer<ChunkCursor>
    private let cursorCount: Int
    /// Each cursor's next series, segments first; `CursorTarget.none` at its end.
    private let currents: UnsafeMutablePointer<UInt64>
    private let columns: UnsafeMutablePointer<ColumnSlice>
    var slices: [ScanSlice] = []
    /// By input, segments first.
    var hidden: [HiddenTimes]
    /// Whether tombstones hide rows of some input.
    private let hidesRows: Bool
    let gathered: RowBuffer
    let interleaving = Interleaving()
    var merge = MergeState()
    var told = ToldBlocks()

    /// - Parameter span: Within that of the plan.
    init(
        plan: ScanPlan, piece: SourceScanPiece, span: TimeSpan, counters: inout ScanCounters
    ) throws(StorageError) {
        self.plan = plan
        let request = plan.request
        isLatest = request.latestOnly
        bounds = request.latestOnly ? [] : request.bounds
        target = CursorTarget(
            series: request.series, upper: piece.series.upperBound, span: span, bounds: bounds)
        hidden = plan.hidden.map { HiddenTimes($0) }
        hidesRows = !plan.hidden.isEmpty
        cursorCount = plan.segments.count + plan.chunks.count
        chunks = .allocate(capacity: plan.chunks.count)
        currents = .allocate(capacity: max(1, cursorCount))
        columns = .allocate(capacity: max(1, request.fields.count))
        gathered = RowBuffer(fieldCount: request.fields.count)
        segments.reserveCapacity(plan.segments.count)
        let lower = piece.series.lowerBound
        for index in 0..<cursorCount { currents[index] = CursorTarget.none }
        let mayStage =
            plan.chunks.count * request.fields.count <= ChunkCursor.stagedColumnsMax
        for (index, input) in plan.chunks.enumerated() {
            chunks.initializeElement(
                at: index,
                to: ChunkCursor(
                    input, request, lower: lower,
                    mayStage: mayStage && span.covers(input.view.firstTime, input.view.lastTime)))
            currents[plan.segments.count + index] = chunks[index].seek(lower, target)
        }
        for (index, input) in plan.segments.enumerated() {
            segments.append(SegmentCursor(input, lower: lower))
            currents[index] = try segments[index].seek(lower, target, &counters)
        }
    }

    deinit {
        chunks.deinitialize()
        chunks.deallocate()
        currents.deallocate()
        columns.deallocate()
    }

    mutating func scan<Consumer: ScanConsumer>(
        into consumer: inout Consumer, counters: inout ScanCounters
    ) throws(StorageError) {
        var least = CursorTarget.none
        for index in 0..<cursorCount { least = min(least, currents[index]) }
        while least != CursorTarget.none, !consumer.isDone {
            let series = UInt32(truncatingIfNeeded: least)
            slices.removeAll(keepingCapacity: true)
            least = try collect(series, &counters)
            guard !slices.isEmpty else { continue }
            if slices.count > 1 { sortSlices() }
            if isLatest {
                try scanLatest(series, into: &consumer, &counters)
            } else {
                try scanGroups(series, into: &consumer, &counters)
            }
        }
    }

    /// Gathers the slices of a series and moves on to the next one, which it returns.
    private mutating func collect(
        _ series: UInt32, _ counters: inout ScanCounters
    ) throws(StorageError) -> UInt64 {
        var least = CursorTarget.none
        // With `latestOnly` inputs come by falling last time, and the early ones need no look.
        var reached = Int64.min
        let base = segments.count
        for index in 0..<chunks.count {
            guard currents[base + index] == UInt64(series) else {
                least = min(least, currents[base + index])
                continue
            }
            if chunks[index].lastTime >= reached {
                let before = slices.count
                chunks[index].collect(index: base + index, target, into: &slices)
                if hidesRows { cutHidden(before, input: base + index, series) }
                if isLatest, let last = slices.last?.last { reached = max(reached, last) }
            }
            currents[base + index] =
                series < target.upper
                ? chunks[index].seek(series + 1, target) : CursorTarget.none
            least = min(least, currents[base + index])
        }
        for index in 0..<base {
            guard currents[index] == UInt64(series) else {
                least = min(least, currents[index])
                continue
            }
            let before = slices.count
            try segments[index].collect(
                series, index: index, target, reached: reached, into: &slices, &counters)
            if hidesRows { cutHidden(before, input: index, series) }
            if isLatest {
                for slice in slices[before...] where slice.isLastExact {
                    reached = max(reached, slice.last)
                }
            }
            currents[index] =
                series < target.upper
                ? try segments[index].seek(series + 1, target, &counters) : CursorTarget.none
            least = min(least, currents[index])
        }
        return least
    }

    private mutating func sortSlices() {
        var isSorted = true
        for index in 1..<slices.count where slices[index].first < slices[index - 1].first {
            isSorted = false
        }
        // Slices of one segment differ in `first`; among others the order doesn't matter.
        if !isSorted { slices.sort { $0.first < $1.first } }
    }

    /// The end of the group that begins at a slice: those that overlap it, or each other.
    func endOfGroup(_ start: Int) -> Int {
        var end = start + 1
        var last = slices[start].last
        while end < slices.count, slices[end].first <= last {
            last = max(last, slices[end].last)
            end += 1
        }
        return end
    }

    private mutating func scanGroups<Consumer: ScanConsumer>(
        _ series: UInt32, into consumer: inout Consumer, _ counters: inout ScanCounters
    ) throws(StorageError) {
        var start = 0
        while start < slices.count {
            let behind = try tell(from: start, series, into: &consumer, &counters)
            if behind > start {
                if consumer.isDone { return }
                start = behind
                continue
            }
            let end = endOfGroup(start)
            try finishTelling(series, into: &consumer)
            if end - start > 1 {
                if !interleave(start..<end) {
                    try mergeGroup(start..<end, series, into: &consumer, &counters)
                }
            } else {
                try scanLone(start, series, into: &consumer, &counters)
            }
            if gathered.count >= Self.rowsWanted { try flush(series, into: &consumer, &counters) }
            if consumer.isDone {
                gathered.removeAll()
                return
            }
            start = end
        }
        try finishTelling(series, into: &consumer)
        try flush(series, into: &consumer, &counters)
    }

    /// A slice that overlaps no other.
    private mutating func scanLone<Consumer: ScanConsumer>(
        _ index: Int, _ series: UInt32, into consumer: inout Consumer,
        _ counters: inout ScanCounters
    ) throws(StorageError) {
        let slice = slices[index]
        switch slice.kind {
        case .block:
            let input = segments[slice.input].input
            guard bounds.isEmpty || input.mayMatch(bounds, block: slice.block) else {
                counters.blocksSkipped &+= 1
                return
            }
            try gathered.append(
                block: slice.block, of: input, in: TimeSpan(first: slice.first, last: slice.last),
                counters: &counters)
        case .packed:
            guard segments[slice.input].packedMayMatch else { return }
            let rows = try segments[slice.input].packedRows(&counters)
            let range = slice.rowStart..<(slice.rowStart + slice.rowCount)
            if slices.count == 1 {
                try emit(rows, range, series, into: &consumer, &counters)
            } else {
                gathered.append(range, of: rows, types: plan.fieldTypes)
            }
        case .chunk:
            try scanLoneChunk(index, series, into: &consumer, &counters)
        }
    }

    private mutating func scanLoneChunk<Consumer: ScanConsumer>(
        _ index: Int, _ series: UInt32, into consumer: inout Consumer,
        _ counters: inout ScanCounters
    ) throws(StorageError) {
        let place = slices[index].input - segments.count
        for bound in bounds where chunks[place].input.fields[bound.field].column < 0 { return }
        let (staged, rows) = (slices[index].stagedStart, slices[index].rowCount)
        if slices.count == 1, staged >= 0,
            Interleaving.isStrict(chunks[place].staged.times + staged, rows)
        {
            try emit(
                chunks[place].staged, staged..<(staged + rows), series, into: &consumer, &counters)
            return
        }
        let before = gathered.count
        appendChunk(index)
        if !Interleaving.isStrict(gathered.times + before, gathered.count - before) {
            gathered.count = before
            try mergeGroup(index..<(index + 1), series, into: &consumer, &counters)
        }
    }

    /// Only the last row of a series: from the latest group backwards until one has a row.
    private mutating func scanLatest<Consumer: ScanConsumer>(
        _ series: UInt32, into consumer: inout Consumer, _ counters: inout ScanCounters
    ) throws(StorageError) {
        var groups: [Range<Int>] = []
        var start = 0
        while start < slices.count {
            let end = endOfGroup(start)
            groups.append(start..<end)
            start = end
        }
        while let group = groups.popLast() {
            let kept = narrowToLast(group, &counters)
            if kept.count > 1 {
                try mergeGroup(kept, series, into: &consumer, &counters)
            } else {
                try scanLone(kept.lowerBound, series, into: &consumer, &counters)
            }
            if gathered.count > 0 {
                gathered.keepLast()
                try flush(series, into: &consumer, &counters)
                return
            }
        }
    }

    /// Drops the slices of a group that cannot reach its greatest time, and from those of chunks
    /// and packed blocks the rows before it.
    private mutating func narrowToLast(
        _ group: Range<Int>, _ counters: inout ScanCounters
    ) -> Range<Int> {
        // Some row lies here or later.
        var reached = Int64.min
        for index in group {
            if slices[index].isLastExact { reached = max(reached, slices[index].last) }
            if slices[index].isFirstExact { reached = max(reached, slices[index].first) }
        }
        var kept = group.lowerBound
        for index in group {
            var slice = slices[index]
            guard slice.last >= reached else {
                if slice.kind == .block { counters.blocksSkipped &+= 1 }
                continue
            }
            switch slice.kind {
            case .block: break
            case .packed:
                slice.rowStart += slice.rowCount - 1
                slice.rowCount = 1
                slice.first = slice.last
            case .chunk: chunks[slice.input - segments.count].trimToLast(&slice)
            }
            slices[kept] = slice
            kept += 1
        }
        return group.lowerBound..<kept
    }

    /// Hands over what has been gathered.
    mutating func flush<Consumer: ScanConsumer>(
        _ series: UInt32, into consumer: inout Consumer, _ counters: inout ScanCounters
    ) throws(StorageError) {
        guard gathered.count > 0 else { return }
        try emit(gathered, 0..<gathered.count, series, into: &consumer, &counters)
        gathered.removeAll()
    }

    private func emit<Consumer: ScanConsumer>(
        _ buffer: RowBuffer, _ rows: Range<Int>, _ series: UInt32, into consumer: inout Consumer,
        _ counters: inout ScanCounters
    ) throws(StorageError) {
        counters.rowsScanned &+= rows.count
        let fieldCount = buffer.fieldCount
        let types = plan.fieldTypes
        let columns = columns
        try buffer.strings.withUnsafeBufferPointer { bytes throws(StorageError) in
            for field in 0..<fieldCount {
                let start = field &* buffer.stride &+ rows.lowerBound
                let slice = ColumnSlice(
                    type: types[field], count: rows.count,
                    values: UnsafePointer(buffer.values + start),
                    validity: buffer.hasAbsent[field]
                        ? UnsafePointer(buffer.validity + start) : nil,
                    stringBytes: types[field] == .string ? bytes.baseAddress : nil)
                (columns + field).initialize(to: slice)
            }
            // Safe: the consumer may look at the slices during the call only.
            try consumer.consume(
                ScanRows(
                    series: series, count: rows.count,
                    times: UnsafePointer(buffer.times + rows.lowerBound),
                    columns: UnsafeBufferPointer(start: columns, count: fieldCount)))
        }
    }
}
