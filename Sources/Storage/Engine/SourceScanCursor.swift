// Where a scan stands in each input: the next wanted series, and its slices.

internal import ApusKernels

/// Rows of one series that lie together in one input, times ascending.
struct ScanSlice {
    enum Kind: UInt8 {
        /// A block of its own.
        case block
        /// Rows of the block that the cursor keeps decoded.
        case packed
        /// Positions in a chunk's order.
        case chunk
    }

    var kind: Kind
    /// Index among all cursors: the segments' first, then the chunks'.
    var input: Int
    var block = -1
    var rowStart = 0
    var rowCount: Int
    /// Between these lie all the slice's times in the request's span.
    var first: Int64
    var last: Int64
    /// Whether a row lies at `first`, at `last`.
    var isFirstExact = true
    var isLastExact = true
    /// Of a chunk: where its rows lie in the cursor's staged rows, or -1.
    var stagedStart = -1
}

/// What all cursors of a piece look for.
struct CursorTarget {
    let series: SeriesSet?
    let upper: UInt32
    let span: TimeSpan
    let bounds: [FieldBound]

    static let none = UInt64.max
}

struct SegmentCursor {
    let input: SegmentInput
    private(set) var block: Int
    /// Blocks below have been counted as read, skipped or summarised, or lie before the piece.
    private var countedBlocks: Int
    // The runs of the packed block that the cursor stands in.
    private var runs: [SegmentRun] = []
    private var runsBlock = -1
    private var runIndex = 0
    // The packed block whose rows have been asked for last; stays while slices refer to it.
    private(set) var buffer: RowBuffer?
    private var bufferBlock = -1
    private var hasColumns = false
    /// Whether the packed block's statistics allow for a row that satisfies the bounds.
    private(set) var packedMayMatch = true

    init(_ input: SegmentInput, lower: UInt32) {
        self.input = input
        block = input.firstBlock(reaching: lower, from: 0)
        countedBlocks = block
    }

    private mutating func countSkipped(before block: Int, _ counters: inout ScanCounters) {
        guard block > countedBlocks else { return }
        counters.blocksSkipped &+= block &- countedBlocks
        countedBlocks = block
    }

    /// The first wanted series from `from` on that has blocks in the span of times.
    mutating func seek(
        _ from: UInt32, _ target: CursorTarget, _ counters: inout ScanCounters
    ) throws(StorageError) -> UInt64 {
        var from = from
        let count = input.lastSeries.count
        while from <= target.upper {
            if let set = target.series {
                guard let member = set.next(from: from), member <= target.upper else { break }
                from = member
            }
            if block < count, input.lastSeries[block] < UInt64(from) {
                block = input.firstBlock(reaching: from, from: block + 1)
            }
            guard block < count, input.firstSeries[block] <= UInt64(target.upper) else { break }
            countSkipped(before: block, &counters)
            guard
                target.span.overlaps(
                    Int64(bitPattern: input.minTimes[block]),
                    Int64(bitPattern: input.maxTimes[block]))
            else {
                block += 1
                continue
            }
            let found =
                try input.runCounts[block] == 1
                ? UInt32(truncatingIfNeeded: input.firstSeries[block]) : run(reaching: from)
            if found == from || found <= target.upper && (target.series?.contains(found) ?? true) {
                return UInt64(found)
            }
            guard found < .max else { break }
            from = found + 1
        }
        return CursorTarget.none
    }

    /// The first series of the packed block that is `series` or later; its last one is.
    private mutating func run(reaching series: UInt32) throws(StorageError) -> UInt32 {
        if runsBlock != block {
            try input.directory.decodeRuns(block, into: &runs)
            runsBlock = block
            runIndex = 0
        }
        while runIndex < runs.count - 1, runs[runIndex].series < series { runIndex += 1 }
        return runs[runIndex].series
    }

    /// Adds the slices of the series that `seek` found, as far as they may have rows at `reached`
    /// or later.
    mutating func collect(
        _ series: UInt32, index: Int, _ target: CursorTarget, reached: Int64,
        into slices: inout [ScanSlice], _ counters: inout ScanCounters
    ) throws(StorageError) {
        guard input.runCounts[block] == 1 else {
            guard Int64(bitPattern: input.maxTimes[block]) >= reached else { return }
            try collectPacked(index: index, target, into: &slices, &counters)
            return
        }
        let count = input.lastSeries.count
        while block < count, input.firstSeries[block] == UInt64(series), input.runCounts[block] == 1
        {
            let first = Int64(bitPattern: input.minTimes[block])
            let last = Int64(bitPattern: input.maxTimes[block])
            if last >= reached, target.span.overlaps(first, last) {
                var slice = ScanSlice(
                    kind: .block, input: index, block: block,
                    rowCount: Int(input.rowCounts[block]), first: first, last: last)
                if first < target.span.first {
                    slice.first = target.span.first
                    slice.isFirstExact = false
                }
                if last > target.span.last {
                    slice.last = target.span.last
                    slice.isLastExact = false
                }
                slices.append(slice)
            } else {
                counters.blocksSkipped &+= 1
            }
            block += 1
        }
        countedBlocks = max(countedBlocks, block)
    }

    private mutating func collectPacked(
        index: Int, _ target: CursorTarget, into slices: inout [ScanSlice],
        _ counters: inout ScanCounters
    ) throws(StorageError) {
        if bufferBlock != block { try loadPacked(target, &counters) }
        guard let buffer, packedIsLoaded else { return }
        let run = runs[runIndex]
        let times = buffer.times + run.rowStart
        var (lower, upper) = (0, run.rowCount)
        if times[0] < target.span.first {
            lower = RowBuffer.lowerBound(times, run.rowCount, target.span.first)
        }
        if times[run.rowCount - 1] > target.span.last {
            upper = RowBuffer.lowerBound(times, run.rowCount, target.span.last + 1)
        }
        guard lower < upper else { return }
        slices.append(
            ScanSlice(
                kind: .packed, input: index, block: block, rowStart: run.rowStart + lower,
                rowCount: upper - lower, first: times[lower], last: times[upper - 1]))
    }

    private var packedIsLoaded: Bool { bufferBlock == block }

    private mutating func loadPacked(
        _ target: CursorTarget, _ counters: inout ScanCounters
    ) throws(StorageError) {
        let rows = buffer ?? RowBuffer(fieldCount: input.fields.count)
        buffer = rows
        bufferBlock = -1
        hasColumns = false
        rows.removeAll()
        try rows.decodeTimes(block, of: input, counters: &counters)
        bufferBlock = block
        countedBlocks = max(countedBlocks, block + 1)
        packedMayMatch = target.bounds.isEmpty || input.mayMatch(target.bounds, block: block)
    }

    /// The rows of the packed block that slices refer to.
    mutating func packedRows(_ counters: inout ScanCounters) throws(StorageError) -> RowBuffer {
        guard let buffer, bufferBlock >= 0 else { preconditionFailure("BUG: no packed block") }
        if !hasColumns {
            // The times lie there already, and are counted only once everything is.
            try buffer.decodeColumns(bufferBlock, of: input, counters: &counters)
            buffer.count = Int(input.rowCounts[bufferBlock])
            hasColumns = true
        }
        return buffer
    }
}

/// The wanted columns of a chunk, without an object that threads would count references to: several
/// that did so cost a scan of a head a third of its time.
///
/// Safe: the input, which the plan keeps, owns the memory of `columns` and keeps the chunk's; rows
/// below the view's count don't change.
struct ChunkColumns: @unchecked Sendable {
    struct Column {
        /// Nil where the chunk lacks the field.
        var values: UnsafePointer<UInt64>?
        var conversion: SlotConversion
    }

    let times: UnsafeMutablePointer<Int64>
    let orders: UnsafeMutablePointer<UInt32>
    let priority: Int
    /// By wanted field.
    let columns: UnsafeMutableBufferPointer<Column>

    /// Nil if there are strings, which are copied one by one.
    init?(_ storage: ChunkStorage, _ fields: [ScanField], priority: Int) {
        for field in fields where field.column >= 0 && field.stored == .string { return nil }
        times = storage.times
        orders = storage.order
        self.priority = priority
        columns = .allocate(capacity: fields.count)
        for (index, field) in fields.enumerated() {
            columns.initializeElement(
                at: index,
                to: Column(
                    values: field.column < 0 ? nil : UnsafePointer(storage.column(field.column)),
                    conversion: field.conversion))
        }
    }

    func deallocate() { columns.deallocate() }

    /// Asks for rows that are read soon: a few, as a series has in a chunk.
    ///
    /// Safe: nothing is read, so rows behind the last do no harm.
    @inline(__always)
    func prefetch(_ row: Int) {
        for offset in stride(from: row, through: row + 16, by: 8) {
            apus_prefetch(times + offset)
            for index in 0..<columns.count {
                if let values = columns[index].values { apus_prefetch(values + offset) }
            }
        }
    }
}

struct ChunkCursor {
    /// Rows to stage at a time.
    private static let stagedRowsMin = 128
    private static let stagedRowsMax = 256
    /// Columns that the chunks of a run may stage together: some KB each, which no budget counts.
    static let stagedColumnsMax = 8_192

    let input: ChunkInput
    let sorted: SortedRows
    private var position = 0
    // Rows of neighbouring series lie beside each other in a chunk, and one series' far apart: rows
    // of a few series gathered at once cost each line of memory one miss instead of several.
    let staged: RowBuffer
    /// Where the rows lie if they are in order themselves.
    let inPlace: ChunkColumns?
    // Of the chunk, where a look needs no reference to count.
    private let times: UnsafeMutablePointer<Int64>
    let lastTime: Int64
    private let mayStage: Bool
    private var stagedPositions = 0..<0
    /// Positions below have been decided to be too sparse for staging.
    private var sparseEnd = 0

    init(_ input: ChunkInput, _ request: ScanRequest, lower: UInt32, mayStage: Bool) {
        self.input = input
        sorted = input.sortedRows(request)
        staged = RowBuffer(fieldCount: input.fields.count)
        inPlace = sorted.isInPlace ? input.columns : nil
        times = input.view.storage.times
        lastTime = input.view.lastTime
        self.mayStage = mayStage && !request.latestOnly && !sorted.isInPlace
        position = sorted.firstPosition(reaching: lower, from: 0)
    }

    /// Stages the rows of some series from the position on, if most of them are wanted.
    private mutating func stage(_ target: CursorTarget) {
        let start = Int(sorted.starts[position])
        var end = position
        var wanted = 0
        while end < sorted.series.count, sorted.series[end] <= target.upper,
            Int(sorted.starts[end]) - start < Self.stagedRowsMin,
            Int(sorted.starts[end + 1]) - start <= Self.stagedRowsMax
        {
            if target.series?.contains(sorted.series[end]) ?? true { wanted += 1 }
            end += 1
        }
        guard wanted > 1, wanted * 2 >= end - position else {
            sparseEnd = max(end, position + 1)
            return
        }
        staged.removeAll()
        _ = staged.append(
            positions: start, Int(sorted.starts[end]) - start, of: input, sorted, withOrders: false)
        stagedPositions = position..<end
    }

    /// The first wanted series from `from` on.
    mutating func seek(_ from: UInt32, _ target: CursorTarget) -> UInt64 {
        var from = from
        let count = sorted.series.count
        while from <= target.upper {
            if let set = target.series {
                guard let member = set.next(from: from) else { break }
                from = member
            }
            position = sorted.firstPosition(reaching: from, from: position)
            guard position < count else { break }
            let found = sorted.series[position]
            guard found <= target.upper else { break }
            if found == from || target.series?.contains(found) ?? true { return UInt64(found) }
            guard found < .max else { break }
            from = found + 1
        }
        return CursorTarget.none
    }

    /// Adds the slice of the series that `seek` found.
    mutating func collect(index: Int, _ target: CursorTarget, into slices: inout [ScanSlice]) {
        let start = Int(sorted.starts[position])
        let end = Int(sorted.starts[position + 1])
        if mayStage, position >= sparseEnd, !stagedPositions.contains(position) { stage(target) }
        if stagedPositions.contains(position) {
            let offset = start - Int(sorted.starts[stagedPositions.lowerBound])
            slices.append(
                ScanSlice(
                    kind: .chunk, input: index, rowStart: start, rowCount: end - start,
                    first: staged.times[offset], last: staged.times[offset + end - start - 1],
                    stagedStart: offset))
            position += 1
            return
        }
        position += 1
        // Safe: positions and rows come from the chunk's own order, below the view's count.
        if sorted.isInPlace {
            // The next series' rows lie behind these, and are wanted when all other chunks have been
            // asked for this one's: late enough for memory.
            inPlace?.prefetch(end)
            // Without a look at the order: every cache line counts, a slice has few rows.
            var (lower, upper) = (start, end)
            if times[start] < target.span.first {
                lower += RowBuffer.lowerBound(times + start, end - start, target.span.first)
            }
            if times[end - 1] > target.span.last {
                upper =
                    lower + RowBuffer.lowerBound(times + lower, end - lower, target.span.last + 1)
            }
            guard lower < upper else { return }
            slices.append(
                ScanSlice(
                    kind: .chunk, input: index, rowStart: lower, rowCount: upper - lower,
                    first: times[lower], last: times[upper - 1]))
            return
        }
        let slice: ScanSlice? = sorted.rows.withUnsafeBufferPointer { rows in
            var (lower, upper) = (start, end)
            if times[Int(rows[start])] < target.span.first {
                lower = Self.lowerBound(rows, times, start, end, target.span.first)
            }
            if times[Int(rows[end - 1])] > target.span.last {
                upper = Self.lowerBound(rows, times, lower, end, target.span.last + 1)
            }
            guard lower < upper else { return nil }
            return ScanSlice(
                kind: .chunk, input: index, rowStart: lower, rowCount: upper - lower,
                first: times[Int(rows[lower])], last: times[Int(rows[upper - 1])])
        }
        if let slice { slices.append(slice) }
    }

    /// The first position whose time is `time` or later.
    private static func lowerBound(
        _ rows: UnsafeBufferPointer<UInt32>, _ times: UnsafeMutablePointer<Int64>, _ start: Int,
        _ end: Int, _ time: Int64
    ) -> Int {
        var (low, high) = (start, end)
        while low < high {
            let middle = (low + high) / 2
            if times[Int(rows[middle])] < time { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Leaves only the rows at a slice's last time.
    func trimToLast(_ slice: inout ScanSlice) {
        let kept = sorted.rows.withUnsafeBufferPointer { rows in
            Self.lowerBound(
                rows, times, slice.rowStart, slice.rowStart + slice.rowCount, slice.last)
        }
        slice.rowCount -= kept - slice.rowStart
        slice.rowStart = kept
        slice.first = slice.last
    }
}
