// Which series of a table have rows in a range of times: told by directories and heads, reading no column.
//
// A packed block says its first and last series and how many it has; mostly those are all between, and
// else its runs tell. A block inside of the range has rows of each of its series there; one that reaches
// out of the range may have some of them outside only.

/// The series that have rows in a range.
package struct SeriesPresence: Sendable {
    /// Have a row there.
    package var certain: SeriesSet
    /// Have rows in a block that lies partly there, or of which some are deleted. Some are certain as well.
    package fileprivate(set) var possible: SeriesSet

    fileprivate init(capacity: Int) {
        certain = SeriesSet(capacity: capacity)
        possible = SeriesSet(capacity: capacity)
    }

    /// Those that have to be looked at, of some that are wanted or of all.
    package func open(among wanted: SeriesSet?) -> SeriesSet {
        var open = possible
        open.subtract(certain)
        if let wanted { open.formIntersection(wanted) }
        return open
    }

    fileprivate mutating func insert(_ ids: Range<Int>, isCertain: Bool) {
        if isCertain { certain.insert(ids: ids) } else { possible.insert(ids: ids) }
    }

    fileprivate mutating func insert(_ id: UInt32, isCertain: Bool) {
        if isCertain { certain.insert(id) } else { possible.insert(id) }
    }
}

extension Snapshot {
    /// Which of some series have rows in a range.
    ///
    /// - Parameters:
    ///   - wanted: Those that are asked for; others may be in the answer, too. Nil for all.
    ///   - count: Series from this one on are not looked for.
    /// - Throws: `corrupt`, as `plan` does.
    /// - Complexity: 5–20 ns a block, 1 ns a series of blocks that leave series out, and as much as
    ///   that for each series of a head's chunk; a chunk that lies partly in the range, 1 ns a row.
    package func presence(
        of table: TableEntry, in range: TimeRange, among wanted: SeriesSet?, count: Int
    ) throws(StorageError) -> SeriesPresence {
        var presence = SeriesPresence(capacity: count)
        guard let range = visibleRange(range, of: table) else { return presence }
        let tombstones = tombstones(of: table).list
        do throws(StorageError) {
            for segment in version.segments where segment.entry.databaseID == table.database.id {
                guard let part = segment.table(id: table.id), part.rowCount > 0,
                    range.overlaps(first: part.minTime, last: part.maxTime)
                else { continue }
                try presence.add(
                    try part.directory(), range, wanted,
                    ScanInput.hiding(tombstones, in: .segment(part)))
            }
        } catch {
            setAside(error)
            throw error
        }
        for chunk in chunks(of: table) {
            let hidden = ScanInput.hiding(tombstones, in: .chunk(chunk))
            presence.add(chunk, range, isCertain: hidden.isEmpty)
        }
        if let dropped = table.droppedSeries {
            presence.certain.subtract(dropped)
            presence.possible.subtract(dropped)
        }
        return presence
    }

    /// The series of a scan without those that were dropped; nil if it may take rows of all that it finds.
    func visibleSeries(_ wanted: SeriesSet?, of table: TableEntry) -> SeriesSet? {
        guard tablesHidingRows.contains(table.id) else { return wanted }
        let living = table.seriesSnapshot.living
        guard var wanted else { return living }
        wanted.formIntersection(living)
        return wanted
    }
}

extension SeriesPresence {
    /// The series that have rows in some segments and chunks.
    static func series(
        of table: TableEntry, segments: [LoadedSegment], _ chunks: [ChunkView], count: Int
    ) throws(StorageError) -> SeriesSet {
        var presence = SeriesPresence(capacity: count)
        for segment in segments {
            guard let part = segment.table(id: table.id), part.rowCount > 0 else { continue }
            try presence.add(try part.directory(), .all, nil)
        }
        for chunk in chunks { presence.add(chunk, .all) }
        return presence.certain
    }
}

extension SegmentTable {
    /// Whether it has rows of one of some series.
    func holdsSome(of series: SeriesSet) throws(StorageError) -> Bool {
        let directory = try directory()
        var runs: [SegmentRun] = []
        for block in 0..<directory.blockCount {
            let (first, last) = (directory.firstSeries(block), directory.lastSeries(block))
            guard series.intersects(first, last) else { continue }
            if directory.runCount(block) == Int(last) - Int(first) + 1 { return true }
            try directory.decodeRuns(block, into: &runs)
            if runs.contains(where: { series.contains($0.series) }) { return true }
        }
        try directory.storage.file.checkReadable()
        return false
    }
}

extension ChunkView {
    func holdsSome(of series: SeriesSet) -> Bool {
        if let sortedRows { return sortedRows.series.contains(where: series.contains) }
        // Safe: rows below the view's count don't change.
        return (0..<rowCount).contains { series.contains(storage.series[$0]) }
    }
}

extension SeriesPresence {
    fileprivate mutating func add(
        _ directory: BlockDirectory, _ range: TimeRange, _ wanted: SeriesSet?,
        _ hidden: [Tombstone] = []
    ) throws(StorageError) {
        var runs: [SegmentRun] = []
        for block in 0..<directory.blockCount {
            let (firstTime, lastTime) = (directory.minTime(block), directory.maxTime(block))
            guard range.overlaps(first: firstTime, last: lastTime) else { continue }
            let (first, last) = (directory.firstSeries(block), directory.lastSeries(block))
            if let wanted, !wanted.intersects(first, last) { continue }
            // Of a block with rows that are deleted, only these can tell.
            let isCertain =
                range.covers(first: firstTime, last: lastTime)
                && !hidden.contains {
                    $0.range.overlaps(first: firstTime, last: lastTime) && $0.hasSome(first, last)
                }
            let ids = Int(first)..<(Int(last) + 1)
            if directory.runCount(block) == ids.count {
                insert(ids, isCertain: isCertain)
            } else {
                try directory.decodeRuns(block, into: &runs)
                for run in runs {
                    insert(Int(run.series)..<(Int(run.series) + 1), isCertain: isCertain)
                }
            }
        }
        try directory.storage.file.checkReadable()
    }

    fileprivate mutating func add(
        _ chunk: ChunkView, _ range: TimeRange, isCertain: Bool = true
    ) {
        guard chunk.rowCount > 0, range.overlaps(first: chunk.firstTime, last: chunk.lastTime)
        else { return }
        if let sorted = chunk.sortedRows, range.covers(first: chunk.firstTime, last: chunk.lastTime)
        {
            for id in sorted.series { insert(id, isCertain: isCertain) }
            return
        }
        // Safe: rows below the view's count don't change.
        for row in 0..<chunk.rowCount where range.contains(chunk.storage.times[row]) {
            insert(chunk.storage.series[row], isCertain: isCertain)
        }
    }
}
