// Line protocol, from bytes to a write batch.
//
//     piece    |····partial|line\nline\nline\n···························line\n·par|
//               └─ carried ┘└───────────── parsed in place ──────────────┘└ carried ┘
//
// Lines are parsed where they lie as far as 64 readable bytes follow, which lets the kernels load
// words without looking at the end; the last lines go through the tail buffer, which has slack of
// its own. Three layers:
//   - fast path   predicted series and pattern; gives up at anything unexpected, stores nothing then
//   - slow path   the whole grammar for one line whose end is known; says what is wrong
//   - splitter    finds the end of a line, also of a line that makes no sense

package import ApusStorage
internal import Glibc

/// The columns of a group as the hot loop writes them. `rowCount` is ahead of the group's own.
struct GroupSlot {
    var series: UnsafeMutablePointer<UInt32>
    var times: UnsafeMutablePointer<Int64>
    var lines: UnsafeMutablePointer<UInt32>
    var columns: UnsafeMutablePointer<UInt64>
    var capacity: Int
    var rowCount: Int
    var shape: UInt32
}

/// Series of one batch that the catalog doesn't know: table, a zero byte, canonical key.
final class ProvisionalSeries {
    var keys = ByteKeyTable()
}

/// Parses one request or one connection's stream into write batches. Not thread-safe; lives on the
/// thread of its context, where any number of parsers may take turns piece by piece.
package final class LineParser {
    static let slackBytes = 64

    package let database: String
    /// The time of lines without a timestamp; a stream's owner moves it forward.
    package var arrivalNanoseconds: Int64
    /// Lines without a timestamp are refused: the same lines sent twice have to be the same rows.
    package var requiresTime = false
    /// Lines seen, blank lines and comments included. A newline inside a string starts no line.
    package internal(set) var lineCount = 0
    /// Bytes of a last line that never ended.
    package private(set) var discardedBytes = 0
    /// Rows parsed since the last `takeBatch`.
    package internal(set) var pendingRows = 0

    let context: LineContext
    let precision: TimePrecision
    var databaseNumber: UInt32 = 0
    private var epoch: UInt64 = 0
    /// The entry of the line before, 0 for none.
    var last: UInt32 = 0

    private(set) var batch: WriteBatch?
    private(set) var batchSerial: UInt64 = 0
    var provisional: ProvisionalSeries?
    /// Strings of finished rows; what lies behind is of a line that failed.
    var finishedStringCount = 0
    private(set) var groups: UnsafeMutablePointer<GroupSlot>
    private(set) var groupCount = 0
    private var groupCapacity = 4
    /// Shape number → 1 + index in `groups`, 0 for none.
    private var groupOfShape: UnsafeMutablePointer<UInt32>
    private var shapeCapacity = 16

    private var tail: UnsafeMutablePointer<UInt8>
    private var tailCount = 0
    private var tailCapacity = 0
    private var tailSplitter = LineSplitter()
    /// Inside a line that is too long, up to its next newline.
    var isSkipping = false

    /// Safe: groups, groupOfShape and tail are owned here and grow through the functions below.
    package init(
        context: LineContext, database: String, precision: TimePrecision, arrivalNanoseconds: Int64
    ) {
        self.context = context
        self.database = database
        self.precision = precision
        self.arrivalNanoseconds = arrivalNanoseconds
        groups = .allocate(capacity: groupCapacity)
        groupOfShape = .allocate(capacity: shapeCapacity)
        groupOfShape.initialize(repeating: 0, count: shapeCapacity)
        tail = .allocate(capacity: Self.slackBytes)
        tail.initialize(repeating: 0, count: Self.slackBytes)
    }

    deinit {
        groups.deallocate()
        groupOfShape.deallocate()
        tail.deallocate()
    }

    /// Bytes of memory that the pending batch and the tail hold.
    package var pendingBytes: Int {
        (batch?.byteCount ?? 0) + tailCapacity
            + (batch.map { $0.newSeries.count * 192 } ?? 0)
    }

    /// Bytes that the gathered rows and the tail fill: less than what they hold, for room is taken for
    /// as many rows as batches had before.
    package var gatheredBytes: Int {
        guard let batch else { return tailCount }
        var bytes = batch.stringCount + tailCount + batch.newSeries.count * 192
        for index in 0..<groupCount {
            bytes += groups[index].rowCount * batch.groups[index].bytesPerRow
        }
        return bytes
    }

    // MARK: Pieces

    /// Parses any piece of input. Complete lines become rows or rejections; the tail is carried,
    /// bounded by `lineBytesMax`. The bytes are not needed afterwards.
    package func feed(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        beginBatch()
        // Safe: position moves from the first byte to the end and the functions called return
        // positions within that range.
        let start = base.assumingMemoryBound(to: UInt8.self)
        let end = start + bytes.count
        let cut = lastLineEnd(start, end)
        var position = start
        while position < end {
            if tailCount == 0, !isSkipping, position < cut {
                position = parseLines(position, cut, end)
                if position == end { break }
            }
            position = carry(position, end)
        }
    }

    /// The input ended. With `endsLine` (HTTP, UDP) the tail is a line; without (a closed TCP
    /// connection) it is discarded, since a cut number is a wrong number.
    package func finish(endsLine: Bool) {
        if tailCount > 0 {
            if endsLine {
                beginBatch()
                withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1) { newline in
                    guard let base = newline.baseAddress else { return }
                    base.pointee = UInt8(ascii: "\n")
                    appendToTail(base, base + 1)
                }
                parseTail()
            } else {
                discardedBytes += tailCount
            }
        }
        tailCount = 0
        tailSplitter.reset()
        isSkipping = false
    }

    /// Behind the last newline that has the slack behind it.
    private func lastLineEnd(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8> {
        guard end - start > Self.slackBytes else { return start }
        var position = end - Self.slackBytes
        while position > start {
            if position[-1] == UInt8(ascii: "\n") { return position }
            position -= 1
        }
        return start
    }

    /// Takes bytes of one line into the tail and parses it when it is complete.
    private func carry(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8> {
        if isSkipping {
            guard let newline = Self.newline(start, end) else { return end }
            isSkipping = false
            return newline + 1
        }
        let room = context.limits.lineBytesMax + 1 - tailCount
        let window = end - start > room ? start + room : end
        if let newline = tailSplitter.advance(start, window) {
            appendToTail(start, newline + 1)
            parseTail()
            tailCount = 0
            tailSplitter.reset()
            return newline + 1
        }
        appendToTail(start, window)
        if tailCount > context.limits.lineBytesMax {
            refuseLongLine()
            tailCount = 0
            tailSplitter.reset()
            isSkipping = true
        }
        return window
    }

    static func newline(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8>? {
        memchr(start, 0x0A, end - start).map {
            UnsafePointer($0.assumingMemoryBound(to: UInt8.self))
        }
    }

    func refuseLongLine() {
        lineCount += 1
        batch?.reject(
            LineRejection(
                line: lineCount, kind: .limit,
                reason: "line longer than \(context.limits.lineBytesMax) bytes"))
    }

    private func appendToTail(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) {
        let count = end - start
        if tailCount + count > tailCapacity {
            let capacity = max(1_024, tailCapacity * 2, tailCount + count)
            let wider = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity + Self.slackBytes)
            memcpy(wider, tail, tailCount)
            memset(wider + tailCount, 0, capacity + Self.slackBytes - tailCount)
            tail.deallocate()
            tail = wider
            tailCapacity = capacity
        }
        memcpy(tail + tailCount, start, count)
        tailCount += count
    }

    /// Parses the tail, one line whose last byte is its newline.
    private func parseTail() {
        let start = UnsafePointer(tail)
        let end = start + tailCount
        let stop = parseLines(start, end, end + Self.slackBytes)
        // Only a string without an end at the end of the input gets here.
        if stop < end, !isSkipping { parseCarefully(stop, end - 1) }
    }

    // MARK: Batches

    /// What was parsed so far; the parser goes on with a new batch. nil when there are neither
    /// rows nor rejections.
    package func takeBatch() -> WriteBatch? {
        guard let batch else { return nil }
        guard pendingRows > 0 || batch.rejectedCount > 0 else { return nil }
        batch.truncateStrings(to: finishedStringCount)
        var hasEmptyGroup = false
        for index in 0..<groupCount {
            let slot = groups[index]
            batch.groups[index].rowCount = slot.rowCount
            if slot.rowCount == 0 { hasEmptyGroup = true }
            guard slot.shape != .max, epoch == context.epoch else { continue }
            context.shapes[Int(slot.shape)].expect(rowCount: slot.rowCount)
        }
        if hasEmptyGroup { batch.groups.removeAll { $0.rowCount == 0 } }
        forgetGroups()
        groupCount = 0
        pendingRows = 0
        finishedStringCount = 0
        provisional = nil
        self.batch = nil
        return batch
    }

    /// Takes over the series ids that a commit gave to a batch of one of the context's parsers.
    /// To be called on the context's thread, after the commit succeeded.
    package static func learn(from batch: WriteBatch, context: LineContext) {
        context.learn(from: batch)
    }

    /// Makes sure that there is a batch and that what this parser remembers of the context's
    /// caches is still there.
    private func beginBatch() {
        if let batch, pendingRows == 0, batch.rejectedCount == 0,
            batch.dropGeneration != context.catalog.dropGeneration
        {
            // Nothing in it yet: begin again with what the catalog says now.
            forgetGroups()
            groupCount = 0
            self.batch = nil
        }
        if batch == nil {
            let begun = context.beginBatch()
            let fresh = WriteBatch(database: database)
            fresh.dropGeneration = begun.dropGeneration
            fresh.cacheEpoch = context.epoch
            batch = fresh
            batchSerial = begun.serial
        }
        if epoch != context.epoch {
            epoch = context.epoch
            last = 0
            databaseNumber = context.databaseNumber(database)
            memset(groupOfShape, 0, shapeCapacity * 4)
            for index in 0..<groupCount { groups[index].shape = .max }
            // Hints given before mean entries that are gone.
            if let batch, !batch.newSeries.isEmpty { batch.cacheEpoch = 0 }
        }
    }

    private func forgetGroups() {
        for index in 0..<groupCount where groups[index].shape != .max {
            groupOfShape[Int(groups[index].shape)] = 0
        }
    }

    /// The index of a shape's group in the batch, nil if the batch may have no more groups.
    @inline(__always)
    func groupIndex(shape: UInt32) -> Int? {
        if Int(shape) < shapeCapacity, groupOfShape[Int(shape)] != 0 {
            return Int(groupOfShape[Int(shape)]) &- 1
        }
        return addGroup(shape: shape)
    }

    @inline(never)
    private func addGroup(shape: UInt32) -> Int? {
        guard let batch, groupCount < context.limits.shapesPerBatchMax else { return nil }
        if Int(shape) >= shapeCapacity {
            let capacity = max(shapeCapacity * 2, Int(shape) + 1)
            let wider = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity)
            wider.initialize(repeating: 0, count: capacity)
            wider.update(from: groupOfShape, count: shapeCapacity)
            groupOfShape.deallocate()
            groupOfShape = wider
            shapeCapacity = capacity
        }
        if groupCount == groupCapacity {
            let wider = UnsafeMutablePointer<GroupSlot>.allocate(capacity: groupCapacity * 2)
            wider.update(from: groups, count: groupCount)
            groups.deallocate()
            groups = wider
            groupCapacity *= 2
        }
        let cached = context.shapes[Int(shape)]
        let rows = min(
            max(cached.expectedRowCount, 4), 8_192, max(4, 131_072 / cached.shape.types.count))
        let group = RowGroup(shape: cached.shape, capacity: rows)
        batch.groups.append(group)
        groups[groupCount] = Self.slot(group, rowCount: 0, shape: shape)
        groupCount += 1
        groupOfShape[Int(shape)] = UInt32(groupCount)
        return groupCount - 1
    }

    /// Doubles a full group.
    @inline(never)
    func growGroup(_ index: Int) {
        guard let batch else { return }
        let group = batch.groups[index]
        group.rowCount = groups[index].rowCount
        group.reserveRow()
        groups[index] = Self.slot(
            group, rowCount: groups[index].rowCount, shape: groups[index].shape)
    }

    private static func slot(_ group: RowGroup, rowCount: Int, shape: UInt32) -> GroupSlot {
        GroupSlot(
            series: group.series, times: group.times, lines: group.lines, columns: group.columns,
            capacity: group.capacity, rowCount: rowCount, shape: shape)
    }
}
