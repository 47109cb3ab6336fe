// What becomes of dropped series.
//
//     drop      the catalog says that they are gone: no query shows them, and the same tags written again
//               make another series (Definition, SeriesIndex)
//     rewrite   segments that hold rows of theirs are written again without them, one a tick
//     sweep     the index gives back what they took, once nobody can have a batch with their ids
//     files     the next merge of catalog files leaves them out (SeriesSection)
//
// Series whose last partition went past its retention are dropped, too: nobody asked for it, so nothing may
// be lost. Which have no rows is found out on the background thread, and looked at once more on the log
// thread, where no rows can come in between. A batch that was parsed before and comes behind gets new
// series (WriteBatch.renewDroppedSeries).

internal import Synchronization

extension Maintenance {
    /// A batch that takes longer from parsing to the log has its rows of dropped series refused.
    private static let sweepNanoseconds: Int64 = 60_000_000_000

    /// Writes a segment that has rows of dropped series again without them. False if there is none.
    ///
    /// A table that has none left, in heads neither, is read without a look at what was dropped.
    func rewriteWithoutDropped(databaseID: UInt32?) throws(StorageError) -> Bool {
        for id in shared.tablesWithDropped.withLock({ $0.keys.sorted() }) {
            guard let table = shared.catalog.table(id: id), let dropped = table.droppedSeries else {
                shared.tablesWithDropped.withLock { $0[id] = nil }
                continue
            }
            guard table.hidesRows, databaseID == nil || databaseID == table.database.id else {
                continue
            }
            // Heads first: what is flushed meanwhile is in the segments.
            let heads = shared.published.withLock { $0.chunks(of: table) }
            let isInHeads = heads.contains { $0.holdsSome(of: dropped) }
            for segment in currentSegments() where segment.entry.databaseID == table.database.id {
                guard segment.damage == nil, let part = segment.table(id: id), part.rowCount > 0,
                    try part.holdsSome(of: dropped)
                else { continue }
                try merge([segment], level: CompactionPolicy.level(merging: [segment]))
                return true
            }
            if !isInHeads { table.series.withLock { $0.noteNoRows(of: dropped) } }
        }
        return false
    }

    /// Gives back what series took that were dropped a while ago, in memory and in catalog files.
    func sweepDropped() throws(StorageError) {
        let oldest = monotonicNanoseconds() - Self.sweepNanoseconds
        let waiting = shared.tablesWithDropped.withLock { tables in
            tables.filter { $0.value <= oldest }.map(\.key)
        }
        let due = waiting.filter { id in
            !(shared.catalog.table(id: id)?.hidesRows ?? false)
        }
        guard !due.isEmpty else { return }
        shared.tablesWithDropped.withLock { for id in due { $0[id] = nil } }
        for id in due { shared.catalog.table(id: id)?.series.withLock { $0.sweep() } }
        try mergeCatalogFiles(isWanted: true)
    }

    /// Has the log thread drop the series of which no row is left.
    func retireSeries(ofDatabases databases: Set<UInt32>) {
        for table in shared.catalog.allTables where databases.contains(table.database.id) {
            // The index first: of all series that it has, rows come in view or are yet to come.
            var gone = table.seriesSnapshot.living
            let (version, heads) = shared.published.withLock {
                ($0.version, $0.chunks(of: table))
            }
            // Of what can't be read nobody knows whose rows it has.
            guard version.damaged.isEmpty else { continue }
            let segments = version.segments.filter { $0.entry.databaseID == table.database.id }
            do throws(StorageError) {
                gone.subtract(
                    try SeriesPresence.series(
                        of: table, segments: segments, heads, count: gone.capacity))
            } catch { continue }
            guard !gone.isEmpty else { continue }
            shared.commits.push(
                .define(
                    .retireSeries(table, gone, seen: Set(segments.map(\.entry.number))), { _ in }))
        }
    }
}

extension EngineShared {
    /// Tables of which heads or segments may hold rows of dropped series.
    var tablesHidingRows: Set<UInt32> {
        let tables = tablesWithDropped.withLock { Array($0.keys) }
        return Set(tables.filter { catalog.table(id: $0)?.hidesRows ?? false })
    }

    /// Segments may hold rows of series that are dropped now.
    func noteDroppedSeries(of table: TableEntry) {
        tablesWithDropped.withLock { $0[table.id] = monotonicNanoseconds() }
    }

    /// What a definition wants to retire, without series that have rows by now. The log thread only.
    func withoutThoseThatCameBack(_ definition: Definition) throws(StorageError) -> Definition {
        guard case .retireSeries(let table, var gone, let seen) = definition else {
            return definition
        }
        let (version, heads) = published.withLock { ($0.version, $0.chunks(of: table)) }
        let segments = version.segments.filter {
            $0.entry.databaseID == table.database.id && !seen.contains($0.entry.number)
        }
        gone.subtract(
            try SeriesPresence.series(of: table, segments: segments, heads, count: gone.capacity))
        return .retireSeries(table, gone, seen: seen)
    }
}
