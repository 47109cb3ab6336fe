// What a query reads: one version of segments and the published rows of the heads, taken at once.

internal import Synchronization

/// Safe to share between threads. Holds memory and mapped files while it lives.
package final class Snapshot: Sendable {
    package let version: Version
    package let visibleSequence: UInt64
    /// Chunks by table, oldest head first; the index is the head's place.
    private let chunks: [UInt32: [(head: Int, view: ChunkView)]]
    /// Tables asked for that were there still when all else had been taken: a drop that comes later
    /// takes nothing away from this snapshot.
    private let tablesPresent: Set<UInt32>
    /// Tables of which there may be rows of dropped series here.
    let tablesHidingRows: Set<UInt32>
    /// What is deleted, by table.
    private let tombstones: [UInt32: TableTombstones]
    private let nowNanoseconds: Int64
    /// Told about damage that a scan met.
    let setAside: @Sendable (StorageError) -> Void

    init(
        version: Version, visibleSequence: UInt64, chunks: [UInt32: [(head: Int, view: ChunkView)]],
        tablesPresent: Set<UInt32>, tablesHidingRows: Set<UInt32>,
        tombstones: [UInt32: TableTombstones], nowNanoseconds: Int64,
        setAside: @escaping @Sendable (StorageError) -> Void
    ) {
        self.setAside = setAside
        self.version = version
        self.visibleSequence = visibleSequence
        self.chunks = chunks
        self.tablesPresent = tablesPresent
        self.tablesHidingRows = tablesHidingRows
        self.tombstones = tombstones
        self.nowNanoseconds = nowNanoseconds
    }

    /// What heads hold of a table, oldest first.
    func chunks(of table: TableEntry) -> [ChunkView] { (chunks[table.id] ?? []).map(\.view) }

    /// What is deleted of a table.
    func tombstones(of table: TableEntry) -> TableTombstones { tombstones[table.id] ?? .init() }

    /// Rows before this are past the retention of the table's database.
    package func firstVisibleTime(of table: TableEntry) -> Int64 {
        visible(.all, of: table).lower
    }

    /// Independent pieces of a scan, each about `rowsPerMorsel` rows.
    ///
    /// Rows past the database's retention are left out. A segment's table found damaged is set
    /// aside: the call throws `corrupt`, and the next snapshot goes without it.
    package func plan(
        _ table: TableEntry, _ request: ScanRequest, rowsPerMorsel: Int
    ) throws(StorageError) -> [ScanMorsel] {
        do throws(StorageError) {
            return try planned(table, request, rowsPerMorsel: rowsPerMorsel)
        } catch {
            setAside(error)
            throw error
        }
    }

    private func planned(
        _ table: TableEntry, _ request: ScanRequest, rowsPerMorsel: Int
    ) throws(StorageError) -> [ScanMorsel] {
        guard let range = visibleRange(request.timeRange, of: table) else { return [] }
        var request = request
        request.timeRange = range
        request.series = visibleSeries(request.series, of: table)
        let types = try types(of: request, table)
        let heads = (chunks[table.id] ?? []).filter {
            request.timeRange.overlaps(first: $0.view.firstTime, last: $0.view.lastTime)
        }
        let tombstones = tombstones(of: table).list
        var morsels: [ScanMorsel] = []
        for span in spans(of: table, heads, request.timeRange) {
            var part = request
            part.timeRange = span.range
            var inputs = span.segments.enumerated().map {
                ScanInput(source: .segment($1), priority: $0, tombstones: tombstones)
            }
            for (head, view) in heads
            where span.range.overlaps(first: view.firstTime, last: view.lastTime) {
                inputs.append(
                    ScanInput(
                        source: .chunk(view), priority: span.segments.count + head,
                        tombstones: tombstones))
            }
            guard !inputs.isEmpty else { continue }
            let scan = try SourceScan(inputs: inputs, request: part, fieldTypes: types)
            for piece in scan.pieces(rowsPerMorsel: rowsPerMorsel) {
                morsels.append(
                    ScanMorsel(
                        estimatedRows: piece.estimatedRows, timeRange: span.range, scan: scan,
                        piece: piece))
            }
        }
        return morsels
    }

    /// Those in which values are wanted.
    private func types(
        of request: ScanRequest, _ table: TableEntry
    ) throws(StorageError) -> [FieldType] {
        if let types = request.fieldTypes { return types }
        let schema = table.schema
        var types: [FieldType] = []
        for id in request.fields {
            guard let field = schema.field(id: id) else {
                throw .invalid("table \(table.name) has no field \(id) any more")
            }
            types.append(field.type)
        }
        return types
    }

    private struct Span {
        var range: TimeRange
        var segments: [SegmentTable]
    }

    /// The request's range cut at partitions: each with its segments, and what lies between them,
    /// where only heads can have rows.
    private func spans(
        of table: TableEntry, _ heads: [(head: Int, view: ChunkView)], _ range: TimeRange
    ) -> [Span] {
        var partitions: [Int64: (end: Int64, segments: [SegmentTable])] = [:]
        for segment in version.segments where segment.entry.databaseID == table.database.id {
            guard let part = segment.table(id: table.id), part.rowCount > 0 else {
                continue
            }
            let end = segment.entry.partitionStart.addingReportingOverflow(
                segment.entry.partitionNanoseconds)
            partitions[
                segment.entry.partitionStart, default: (end.overflow ? .max : end.partialValue, [])
            ]
            .segments.append(part)
        }
        var spans: [Span] = []
        var position = range.lower
        for start in partitions.keys.sorted() {
            guard let partition = partitions[start] else { continue }
            let inside = TimeRange(lower: start, upper: partition.end).intersection(range)
            guard !inside.isEmpty else { continue }
            if position < inside.lower {
                spans.append(
                    Span(range: TimeRange(lower: position, upper: inside.lower), segments: []))
            }
            let overlapping = partition.segments.filter {
                inside.overlaps(first: $0.minTime, last: $0.maxTime)
            }
            spans.append(Span(range: inside, segments: overlapping))
            position = inside.upper
        }
        if position < range.upper {
            spans.append(Span(range: TimeRange(lower: position, upper: range.upper), segments: []))
        }
        return spans
    }

    /// Rows that directories count, and the ranges whose rows have to be scanned for: those where
    /// inputs overlap in time, and may hold a row twice.
    package func countedRows(
        of table: TableEntry, in range: TimeRange
    ) -> (rows: Int, rest: [TimeRange]) {
        guard let range = visibleRange(range, of: table) else { return (0, []) }
        // Directories count rows of dropped series, too.
        guard visibleSeries(nil, of: table) == nil else { return (0, [range]) }
        let heads = (chunks[table.id] ?? []).filter {
            range.overlaps(first: $0.view.firstTime, last: $0.view.lastTime)
        }
        let tombstones = tombstones(of: table).list
        var rows = 0
        var rest: [TimeRange] = []
        for span in spans(of: table, heads, range) {
            let segments = span.segments.sorted { $0.minTime < $1.minTime }
            let isApart = zip(segments, segments.dropFirst()).allSatisfy { $0.maxTime < $1.minTime }
            let isWhole = segments.allSatisfy {
                span.range.contains($0.minTime) && span.range.contains($0.maxTime)
            }
            let headStart = heads.lazy.map(\.view).filter {
                span.range.overlaps(first: $0.firstTime, last: $0.lastTime)
            }.map(\.firstTime).min()
            let hidesRows = segments.contains {
                !ScanInput.hiding(tombstones, in: .segment($0)).isEmpty
            }
            guard isApart, isWhole, !hidesRows, let end = segments.last?.maxTime,
                headStart ?? .max > end
            else {
                if headStart != nil || !segments.isEmpty { rest.append(span.range) }
                continue
            }
            rows += segments.reduce(0) { $0 + $1.rowCount }
            // Rows of heads that are all later than the segments' are looked at alone.
            if headStart != nil { rest.append(TimeRange(lower: end + 1, upper: span.range.upper)) }
        }
        return (rows, rest)
    }

    /// Runs one morsel on the calling thread. Damage is treated as by `plan`.
    /// - Parameter range: Rows of other times are left out, which the consumer knew only now.
    package func run<Consumer: ScanConsumer>(
        _ morsel: ScanMorsel, _ request: ScanRequest, within range: TimeRange = .all,
        into consumer: inout Consumer, counters: inout ScanCounters
    ) throws(StorageError) {
        guard let scan = morsel.scan, let piece = morsel.piece else { return }
        do throws(StorageError) {
            try scan.run(piece, within: range, into: &consumer, counters: &counters)
        } catch {
            setAside(error)
            throw error
        }
    }

    /// What damaged, set-aside files could have changed in an answer about this table and range.
    ///
    /// Where a file's footer can't be read, nobody knows which tables of the database it held.
    package func warnings(for table: TableEntry, in range: TimeRange) -> [String] {
        let range = visible(range, of: table)
        guard !range.isEmpty else { return [] }
        return version.damaged.compactMap { segment in
            guard segment.entry.databaseID == table.database.id,
                let lost = segment.lostTimes(ofTable: table.id),
                range.overlaps(first: lost.lowerBound, last: lost.upperBound)
            else { return nil }
            return "\(segment.entry.path) is damaged and set aside: rows between "
                + "\(lost.lowerBound) and \(lost.upperBound) ns may be missing"
        }
    }

    /// The part of a range that the database's retention lets see.
    private func visible(_ range: TimeRange, of table: TableEntry) -> TimeRange {
        let retention = table.database.retentionNanoseconds
        guard retention > 0 else { return range }
        return range.intersection(TimeRange(lower: nowNanoseconds &- retention, upper: .max))
    }

    /// The part of a range in which the table has rows to show; nil if there is none.
    func visibleRange(_ range: TimeRange, of table: TableEntry) -> TimeRange? {
        let range = visible(range, of: table)
        guard !range.isEmpty, tablesPresent.contains(table.id) || !table.isDropped else {
            return nil
        }
        return range
    }

    /// The least and greatest time of the table's rows, deleted ones too, from directories; nil if empty.
    package func timeBounds(of table: TableEntry) -> (first: Int64, last: Int64)? {
        var first = Int64.max
        var last = Int64.min
        for segment in version.segments {
            guard let part = segment.table(id: table.id), part.rowCount > 0 else {
                continue
            }
            first = min(first, part.minTime)
            last = max(last, part.maxTime)
        }
        for (_, view) in chunks[table.id] ?? [] where view.rowCount > 0 {
            first = min(first, view.firstTime)
            last = max(last, view.lastTime)
        }
        return first <= last ? (first, last) : nil
    }

    /// Upper bound of the table's rows in a range, for planning.
    package func estimatedRows(of table: TableEntry, in range: TimeRange) -> Int {
        var rows = 0
        for segment in version.segments {
            guard let part = segment.table(id: table.id),
                range.overlaps(first: part.minTime, last: part.maxTime)
            else { continue }
            rows += part.rowCount
        }
        for (_, view) in chunks[table.id] ?? []
        where range.overlaps(first: view.firstTime, last: view.lastTime) {
            rows += view.rowCount
        }
        return rows
    }
}

/// A piece of a scan. Opaque to its users.
package struct ScanMorsel: Sendable {
    /// Rows at most, for progress and scheduling.
    package var estimatedRows: Int
    package var timeRange: TimeRange
    var scan: SourceScan?
    var piece: SourceScanPiece?
}

extension StorageEngine {
    /// A consistent view of everything acknowledged before the call.
    ///
    /// - Parameter tables: Those the query reads; nil means all. Cost: a microsecond, and some
    ///   nanoseconds a chunk.
    package func snapshot(of tables: [TableEntry]? = nil) -> Snapshot {
        let now = shared.environment.now()
        // Before the rest: a table that hides none now won't do so in a later state.
        let hiding = shared.tablesHidingRows
        let (version, sequence, tombstones, chunks) = shared.published.withLock { published in
            var chunks: [UInt32: [(head: Int, view: ChunkView)]] = [:]
            let heads = published.frozen.map(\.head) + [published.active]
            for (index, head) in heads.enumerated() {
                func add(_ table: HeadTable) {
                    for chunk in table.chunks where chunk.published.rowCount > 0 {
                        chunks[table.tableID, default: []].append((index, chunk.published))
                    }
                }
                if let tables {
                    for table in tables { if let found = head.tables[table.id] { add(found) } }
                } else {
                    for table in head.tables.values { add(table) }
                }
            }
            return (
                published.version, published.visibleSequence, published.tombstones, chunks
            )
        }
        let present = (tables ?? []).lazy.filter { !$0.isDropped }.map(\.id)
        return Snapshot(
            version: version, visibleSequence: sequence, chunks: chunks,
            tablesPresent: Set(present), tablesHidingRows: hiding, tombstones: tombstones,
            nowNanoseconds: now,
            setAside: { [shared] in shared.setAside($0) })
    }
}
