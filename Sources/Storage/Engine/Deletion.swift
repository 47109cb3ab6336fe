// What becomes of a DELETE.
//
//     log      the log thread makes it a tombstone with a place in the order of writes, and syncs it
//     hide     chunks of heads and segments that are wholly older are read without the rows that it hides:
//              what came before is in other chunks than what comes afterwards (SourceScanHidden)
//     write    a flush or a merge leaves these rows out: what it makes is as old as the newest of its inputs,
//              and no tombstone of before hides anything of it
//     forget   a tombstone goes once no older rows are left that it hides
//
// Invariants
//   - A tombstone hides rows of inputs whose last sequence is below its own, and no others.
//   - MANIFEST lists those at or below its `flushedThrough`; the log has the others.
//   - Only the background thread forgets, between two merges: none forgets what another one needs.

internal import Synchronization

/// What a statement wants deleted.
struct Deletion: Sendable {
    let table: TableEntry
    /// Nil for all that there are when it is logged.
    let series: SeriesSet?
    let range: TimeRange
    /// Whether `series` has to have room for all series that there are then.
    let seesAllSeries: Bool

    /// What it comes to when its turn is there.
    enum Outcome {
        case tombstone(Tombstone)
        /// There is nothing that it could hide.
        case nothing
        /// There are series that it hasn't looked at.
        case lookAgain
    }
}

/// Which segments hold rows that a tombstone hides: neither changes but by writing them again.
struct TombstoneSearch {
    /// On the monotonic clock.
    let begin: Int64
    var holding: Set<UInt64> = []
    var clean: Set<UInt64> = []
}

extension Published {
    mutating func forget(_ sequences: Set<UInt64>) {
        guard !sequences.isEmpty else { return }
        for table in tombstones.keys { tombstones[table]?.forget(sequences) }
    }
}

extension EngineShared {
    /// Decides what a deletion comes to as the record with a sequence. The log thread only.
    func decide(
        _ deletion: Deletion, sequence: UInt64
    ) throws(StorageError) -> Deletion.Outcome {
        let table = deletion.table
        guard catalog.table(id: table.id) === table else {
            throw .unknownTable(database: table.database.name, table: table.name)
        }
        let count = table.seriesCount
        if let series = deletion.series, deletion.seesAllSeries, series.capacity < count {
            return .lookAgain
        }
        let runs = deletion.series?.runs ?? (count > 0 ? [0..<count] : [])
        guard !runs.isEmpty, !deletion.range.isEmpty else { return .nothing }
        let tombstone = Tombstone(
            tableID: table.id, sequence: sequence, range: deletion.range, runs: runs)
        guard runs.count <= Tombstone.runsMax else {
            throw .limit(
                "what is to be deleted lies in \(runs.count) groups of neighbouring series, and one "
                    + "statement takes \(Tombstone.runsMax): delete it in parts")
        }
        var waiting = published.withLock { $0.tombstones[table.id] } ?? TableTombstones()
        waiting.insert(tombstone)
        guard waiting.list.count <= options.deletesPerTableMax,
            waiting.runCount <= Tombstone.runsMax
        else {
            throw .limit(
                "table \(table.name) has \(waiting.list.count - 1) deletes whose rows are hidden and "
                    + "not gone yet, and has no room for another one: COMPACT it, then delete again"
            )
        }
        return .tombstone(tombstone)
    }

    /// The tombstones that MANIFEST has to list.
    func tombstones(through sequence: UInt64, but forgotten: Set<UInt64>) -> [Tombstone] {
        let all = published.withLock { $0.tombstones }
        return all.values.flatMap(\.list)
            .filter { $0.sequence <= sequence && !forgotten.contains($0.sequence) }
            .sorted { $0.sequence < $1.sequence }
    }
}

extension Maintenance {
    /// Writes a segment that has rows which a tombstone hides again without them, and forgets tombstones
    /// that hide none any more. False if there is none to write.
    ///
    /// - Parameter isWanted: Somebody waits for it; else a tombstone has to be there for a while, so that
    ///   one after the other doesn't write the same segment each time.
    func rewriteWithoutDeleted(
        databaseID: UInt32?, isWanted: Bool
    ) throws(StorageError) -> Bool {
        let tombstones = shared.published.withLock { $0.tombstones }.values.flatMap(\.list)
        guard !tombstones.isEmpty || !searches.isEmpty else { return false }
        let sequences = Set(tombstones.map(\.sequence))
        searches = searches.filter { sequences.contains($0.key) }
        let segments = currentSegments()
        let present = Set(segments.map(\.entry.number))
        var forgotten: Set<UInt64> = []
        var next: LoadedSegment?
        for tombstone in tombstones.sorted(by: { $0.sequence < $1.sequence }) {
            let sequence = tombstone.sequence
            guard let table = shared.catalog.table(id: tombstone.tableID) else {
                forgotten.insert(sequence)
                continue
            }
            var search = searches[sequence] ?? TombstoneSearch(begin: monotonicNanoseconds())
            let mayWrite =
                next == nil && (databaseID == nil || databaseID == table.database.id)
                && (isWanted || isDue(search))
            // Mostly nothing has changed since the last look.
            if !mayWrite, !search.holding.isDisjoint(with: present) { continue }
            let (isNeeded, segment) = try look(for: tombstone, of: table, in: segments, &search)
            searches[sequence] = search
            if !isNeeded { forgotten.insert(sequence) }
            if mayWrite { next = segment }
        }
        try forget(forgotten)
        guard let next else { return false }
        try merge([next], level: CompactionPolicy.level(merging: [next]))
        return true
    }

    private func isDue(_ search: TombstoneSearch) -> Bool {
        guard let seconds = shared.options.coldAfterSeconds else { return false }
        return monotonicNanoseconds() - search.begin >= Int64(seconds) * 1_000_000_000
    }

    /// Whether there are rows that a tombstone hides, or may be, and a segment that can be written without.
    private func look(
        for tombstone: Tombstone, of table: TableEntry, in segments: [LoadedSegment],
        _ search: inout TombstoneSearch
    ) throws(StorageError) -> (isNeeded: Bool, segment: LoadedSegment?) {
        let heads = shared.published.withLock { $0.chunks(of: table) }
        var isNeeded = heads.contains { view in
            view.rowCount > 0
                && tombstone.reaches(
                    lastSequence: view.lastSequence, first: view.firstTime, last: view.lastTime)
        }
        var found: LoadedSegment?
        for segment in segments where segment.entry.databaseID == table.database.id {
            // A file that is damaged may be put back from a copy.
            if let lost = segment.lostTimes(ofTable: table.id),
                tombstone.reaches(
                    lastSequence: segment.entry.firstSequence, first: lost.lowerBound,
                    last: lost.upperBound)
            {
                isNeeded = true
                continue
            }
            guard let part = segment.table(id: table.id), part.rowCount > 0,
                tombstone.reaches(
                    lastSequence: part.schema.lastSequence, first: part.minTime, last: part.maxTime)
            else { continue }
            let number = segment.entry.number
            if !search.holding.contains(number), !search.clean.contains(number) {
                if try part.hasRows(of: tombstone, table) {
                    search.holding.insert(number)
                } else {
                    search.clean.insert(number)
                }
            }
            guard search.holding.contains(number) else { continue }
            isNeeded = true
            if found == nil, segment.damage == nil { found = segment }
        }
        return (isNeeded, found)
    }

    /// MANIFEST is replaced if it lists one of them. What only the log has comes back with a replay, and
    /// is forgotten again.
    private func forget(_ sequences: Set<UInt64>) throws(StorageError) {
        guard !sequences.isEmpty else { return }
        if manifest.tombstones.contains(where: { sequences.contains($0.sequence) }) {
            try install(manifest, adding: [], removing: [], forgetting: sequences) { _ in }
        } else {
            shared.published.withLock { $0.forget(sequences) }
        }
        for sequence in sequences { searches[sequence] = nil }
    }
}

/// Wants to know whether there is a row at all.
private struct RowSearch: ScanConsumer {
    var isDone = false
    mutating func consume(_ rows: ScanRows) throws(StorageError) {
        isDone = isDone || rows.count > 0
    }
    mutating func consume(_ summary: ScanSummary) throws(StorageError) { isDone = true }
}

extension SegmentTable {
    /// Whether there are rows that a tombstone names, older or not. Of most blocks the directory tells, or
    /// their times.
    fileprivate func hasRows(
        of tombstone: Tombstone, _ table: TableEntry
    ) throws(StorageError) -> Bool {
        let scan = try SourceScan(
            inputs: [ScanInput(source: .segment(self), priority: 0)],
            request: ScanRequest(
                timeRange: tombstone.range, series: tombstone.series(below: table.seriesCount)),
            fieldTypes: [])
        var search = RowSearch()
        var counters = ScanCounters()
        for piece in scan.pieces(rowsPerMorsel: .max) where !search.isDone {
            try scan.run(piece, into: &search, counters: &counters)
        }
        return search.isDone
    }
}
