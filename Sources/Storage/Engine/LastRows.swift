// Of each series of a table its latest row, kept for LATEST ON and dashboards.
//
// Filled once queries have asked for enough of them; from then on brought up to date from what came into
// the heads since: by a query that wants it, and by the background thread before a flush takes rows out of
// the heads. Writers don't know of it.
//
//     fill      segment by segment, oldest first, each block's last row of each of its series; then the
//               chunks
//     catch up  the rows that chunks have got since; a chunk that was put in another order meanwhile is
//               taken as a whole again, which changes nothing that it has said before
//
// A row wins by its time; a later segment's adds its fields to, or replaces them in, an earlier one's of the
// same time. Where two rows of one time in chunks say different things of a field, which of them came later
// is the scan's to know: the series is looked up there. So is one whose latest row may be deleted; after a
// DELETE all is filled anew.

internal import Glibc
internal import Synchronization

/// What is lent of a table's last rows: of series 0 ..< count.
///
/// Safe: good during the call that lends it.
package struct LastRowsView {
    package let count: Int
    /// `LastRowsView.none` where the series has no row.
    package let times: UnsafePointer<Int64>
    /// By field asked for.
    package let columns: [(values: UnsafePointer<UInt64>, validity: UnsafePointer<UInt8>)]

    package static let none = Int64.min
}

/// The last rows of one table.
///
/// Safe: everything is guarded by `lock`, which the functions of `LastRows` hold.
private final class LastRowTable: @unchecked Sendable {
    /// A cached field.
    struct Column {
        let id: UInt32
        let type: FieldType
        var values: UnsafeMutablePointer<UInt64>
        var validity: UnsafeMutablePointer<UInt8>
    }

    let lock = ReadWriteLock()
    let table: TableEntry
    let fieldVersion: Int
    private(set) var columns: [Column]
    private(set) var times: UnsafeMutablePointer<Int64>
    private(set) var count = 0
    private var capacity = 0
    /// Series of which rows at their last time say different things.
    private(set) var doubtful: [UInt32] = []
    /// Rows that were taken of each chunk there was, by its number.
    private var taken: [UInt64: Int] = [:]
    /// All rows of writes up to this one are in.
    private(set) var sequence: UInt64 = 0
    private(set) var isFilled = false
    private(set) var damagedCount = 0
    /// All up to this DELETE of the table is left out.
    private(set) var deletedThrough: UInt64 = 0

    init(_ table: TableEntry, _ fields: [(id: UInt32, type: FieldType)]) {
        self.table = table
        fieldVersion = table.fieldVersion
        times = .allocate(capacity: 1)
        columns = fields.map {
            Column(
                id: $0.id, type: $0.type, values: .allocate(capacity: 1),
                validity: .allocate(capacity: 1))
        }
    }

    deinit {
        times.deallocate()
        for column in columns { column.values.deallocate(); column.validity.deallocate() }
    }

    /// Whether no field has widened or gone since.
    var isCurrent: Bool { fieldVersion == table.fieldVersion }

    var byteCount: Int { Self.byteCount(series: capacity, fields: columns.count) }

    static func byteCount(series: Int, fields: Int) -> Int { series * (8 + fields * 9) }

    func view(_ fields: [UInt32]) -> LastRowsView {
        LastRowsView(
            count: count, times: UnsafePointer(times),
            columns: fields.compactMap { id in
                columns.first { $0.id == id }.map {
                    (UnsafePointer($0.values), UnsafePointer($0.validity))
                }
            })
    }

    // MARK: Filling

    /// Makes room for series up to one.
    func grow(to series: Int) {
        guard series > count else { return }
        if series > capacity {
            let wider = max(series, capacity + capacity / 4, 64)
            func moved<T>(_ old: UnsafeMutablePointer<T>) -> UnsafeMutablePointer<T> {
                let new = UnsafeMutablePointer<T>.allocate(capacity: wider)
                new.update(from: old, count: count)
                old.deallocate()
                return new
            }
            times = moved(times)
            for index in columns.indices {
                columns[index].values = moved(columns[index].values)
                columns[index].validity = moved(columns[index].validity)
            }
            capacity = wider
        }
        // Safe: there is room for so many.
        (times + count).update(repeating: LastRowsView.none, count: series - count)
        for column in columns {
            (column.values + count).update(repeating: 0, count: series - count)
            (column.validity + count).update(repeating: 0, count: series - count)
        }
        count = series
    }

    /// A scan says what a series' last row is, in some partition.
    func note(_ rows: ScanRows) {
        let row = rows.count - 1
        let series = Int(rows.series)
        grow(to: series + 1)
        guard row >= 0, rows.times[row] > times[series] else { return }
        times[series] = rows.times[row]
        for (index, column) in columns.enumerated() {
            let slice = rows.columns[index]
            column.values[series] = slice.values[row]
            column.validity[series] = slice.validity.map { $0[row] } ?? 1
        }
    }

    func forget(_ series: [UInt32]) {
        for series in series { times[Int(series)] = LastRowsView.none }
    }

    /// Takes the last row of each series in a segment. 2–5 ns a row and field.
    func take(_ segment: SegmentTable) throws(StorageError) {
        let request = ScanRequest(fields: columns.map(\.id))
        let input = try SegmentInput(
            try segment.directory(), request: request, fieldTypes: columns.map(\.type), priority: 0)
        let buffer = RowBuffer(fieldCount: columns.count)
        let span = TimeSpan(first: .min, last: .max)
        var runs: [SegmentRun] = []
        var counters = ScanCounters()
        for block in 0..<input.lastSeries.count {
            buffer.removeAll()
            try buffer.append(block: block, of: input, in: span, counters: &counters)
            if input.runCounts[block] == 1 {
                note(buffer, buffer.count - 1, Int(input.firstSeries[block]))
            } else {
                try input.directory.decodeRuns(block, into: &runs)
                for run in runs {
                    note(buffer, run.rowStart + run.rowCount - 1, Int(run.series))
                }
            }
        }
        try input.directory.storage.file.checkReadable()
    }

    /// Safe: the row is one of the buffer's, which has a slot of each column for it. There is room for all
    /// series that the catalog knows; what a damaged file says of others must not take memory.
    private func note(_ buffer: RowBuffer, _ row: Int, _ series: Int) {
        guard row >= 0, series < count, buffer.times[row] >= times[series] else { return }
        let isNew = buffer.times[row] > times[series]
        times[series] = buffer.times[row]
        for (index, column) in columns.enumerated() {
            let place = index * buffer.stride + row
            let isPresent = !buffer.hasAbsent[index] || buffer.validity[place] != 0
            if isPresent { column.values[series] = buffer.values[place] }
            if isPresent || isNew { column.validity[series] = isPresent ? 1 : 0 }
        }
    }

    func becomeFilled(damagedCount: Int, deletedThrough: UInt64) {
        isFilled = true
        self.damagedCount = damagedCount
        self.deletedThrough = deletedThrough
    }

    /// Doubts the series whose last row may be a deleted one.
    func doubt(_ tombstones: [Tombstone]) {
        for tombstone in tombstones {
            for run in tombstone.runs {
                for series in run.clamped(to: 0..<count)
                where times[series] != LastRowsView.none && tombstone.range.contains(times[series])
                {
                    doubtful.append(UInt32(truncatingIfNeeded: series))
                }
            }
        }
    }

    private func note(_ chunks: [ChunkView], through sequence: UInt64) {
        taken = Dictionary(chunks.map { ($0.number, $0.rowCount) }) { first, _ in first }
        self.sequence = sequence
    }

    /// Nobody doubts any more.
    func settle() { doubtful = [] }

    // MARK: Catching up

    /// Takes the rows that came since.
    /// - Returns: Whether that was possible: a chunk may hold a field in a type that is new.
    func catchUp(_ chunks: [ChunkView], through sequence: UInt64) -> Bool {
        var added: [(chunk: ChunkView, sources: [Source], start: Int)] = []
        for chunk in chunks {
            let known = taken[chunk.number] ?? 0
            guard known < chunk.rowCount else { continue }
            var sources: [Source] = []
            for column in columns {
                guard let source = Source(column, in: chunk) else { return false }
                sources.append(source)
            }
            added.append((chunk, sources, chunk.sortedRows == nil ? known : 0))
        }
        for (chunk, sources, start) in added { take(chunk, sources, from: start) }
        note(chunks, through: sequence)
        return true
    }

    /// Where a chunk has a cached field.
    private struct Source {
        var slots: UnsafePointer<UInt64>?
        var conversion: SlotConversion = .none

        /// Safe: the chunk's view keeps the memory.
        init?(_ column: Column, in chunk: ChunkView) {
            guard let place = chunk.shape.ids.firstIndex(of: column.id) else { return }
            guard
                let conversion = SlotConversion(
                    from: chunk.shape.types[place], to: column.type)
            else { return nil }
            self.conversion = conversion
            slots = UnsafePointer(chunk.storage.column(place))
        }

        @inline(__always)
        func value(_ row: Int) -> UInt64? {
            guard let slot = slots?[row] else { return nil }
            return switch conversion {
            case .none, .reinterpret: slot
            case .signedToFloat: Double(Int64(bitPattern: slot)).bitPattern
            case .unsignedToFloat: Double(slot).bitPattern
            }
        }
    }

    private func take(_ chunk: ChunkView, _ sources: [Source], from start: Int) {
        let storage = chunk.storage
        // Safe: rows below the view's count don't change, and `grow` makes the room.
        for row in start..<chunk.rowCount {
            let series = Int(storage.series[row])
            if series >= count { grow(to: series + 1) }
            let time = storage.times[row]
            if time < times[series] { continue }
            if time == times[series] {
                merge(row, series, sources)
                continue
            }
            times[series] = time
            for index in columns.indices {
                let value = sources[index].value(row)
                columns[index].values[series] = value ?? 0
                columns[index].validity[series] = value == nil ? 0 : 1
            }
        }
    }

    /// Another row of the series' last time: it adds fields, or says the same, or it is doubtful.
    private func merge(_ row: Int, _ series: Int, _ sources: [Source]) {
        for index in columns.indices {
            guard let value = sources[index].value(row) else { continue }
            if columns[index].validity[series] == 0 {
                columns[index].values[series] = value
                columns[index].validity[series] = 1
            } else if columns[index].values[series] != value {
                doubtful.append(UInt32(truncatingIfNeeded: series))
                return
            }
        }
    }
}

/// Takes last rows from a scan.
private struct LastRowFiller: ScanConsumer {
    let rows: LastRowTable
    var isDone: Bool { false }
    mutating func consume(_ rows: ScanRows) throws(StorageError) { self.rows.note(rows) }
    mutating func consume(_ summary: ScanSummary) throws(StorageError) {}
}

/// The last rows of tables, bounded together. Thread-safe.
final class LastRows: Sendable {
    private struct State {
        var tables: [UInt32: LastRowTable] = [:]
        /// On the monotonic clock, in nanoseconds.
        var lastUse: [UInt32: Int64] = [:]
        /// Series that queries have asked a table for without it being kept.
        var asked: [UInt32: Int] = [:]
    }

    /// What no query has asked for since is dropped: keeping it costs 5 ns a row.
    private static let unusedNanosecondsMax: Int64 = 600_000_000_000

    private let bytesMax: Int
    private let state = Mutex(State())

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// The table's last rows with some fields, if they are kept, or worth to be from now on.
    fileprivate func find(
        _ table: TableEntry, _ fields: [(id: UInt32, type: FieldType)], wanted: Int
    ) -> LastRowTable? {
        let seriesCount = table.seriesCount
        return state.withLock { state in
            state.lastUse[table.id] = monotonicNanoseconds()
            var all = fields
            if let known = state.tables[table.id] {
                let isGood = known.isCurrent && known.table === table
                if isGood,
                    fields.allSatisfy({ field in known.columns.contains { $0.id == field.id } })
                {
                    return known
                }
                if isGood {
                    for column in known.columns
                    where !fields.contains(where: { $0.id == column.id }) {
                        all.append((column.id, column.type))
                    }
                }
            }
            state.asked[table.id, default: 0] += max(1, wanted)
            // To look up a series here and there costs as much as a hundred in a pass over all.
            guard state.asked[table.id] ?? 0 >= seriesCount / 64 else { return nil }
            let needed = LastRowTable.byteCount(series: seriesCount, fields: all.count)
            guard needed <= bytesMax else { return nil }
            state.asked[table.id] = 0
            let made = LastRowTable(table, all)
            // Of a dropped field only snapshots from before know values.
            let schema = table.schema
            guard all.allSatisfy({ schema.field(id: $0.id) != nil }) else { return nil }
            state.tables[table.id] = made
            dropOthers(&state, but: table.id, room: needed)
            return made
        }
    }

    private func dropOthers(_ state: inout State, but id: UInt32, room: Int) {
        func total() -> Int {
            state.tables.reduce(0) { $0 + ($1.key == id ? room : $1.value.byteCount) }
        }
        while total() > bytesMax || state.tables.count > 1_024,
            let oldest = state.tables.keys.filter({ $0 != id }).min(by: {
                state.lastUse[$0] ?? 0 < state.lastUse[$1] ?? 0
            })
        {
            remove(oldest, &state)
        }
    }

    private func remove(_ id: UInt32, _ state: inout State) {
        state.tables[id] = nil
        state.lastUse[id] = nil
        state.asked[id] = nil
    }

    func dropAll() { state.withLock { $0 = State() } }

    fileprivate func drop(_ rows: LastRowTable) {
        state.withLock { state in
            if state.tables[rows.table.id] === rows { remove(rows.table.id, &state) }
        }
    }

    /// Those that are kept. What belongs to dropped tables goes, and what nobody wants.
    fileprivate var all: [LastRowTable] {
        state.withLock { state in
            let oldest = monotonicNanoseconds() - Self.unusedNanosecondsMax
            for (id, use) in state.lastUse
            where use < oldest || state.tables[id]?.table.isDropped ?? false { remove(id, &state) }
            return Array(state.tables.values)
        }
    }
}

extension EngineShared {
    /// What heads hold of a table, and how far that and segments go.
    private func heads(of table: TableEntry) -> (
        chunks: [ChunkView], visible: UInt64, flushed: UInt64, damagedCount: Int, deleted: UInt64
    ) {
        published.withLock { published in
            (
                published.chunks(of: table), published.visibleSequence, published.flushedSequence,
                published.version.damaged.count, published.tombstones[table.id]?.lastSequence ?? 0
            )
        }
    }

    /// Brings last rows up to date. Its lock is held for writing.
    /// - Returns: Whether they still can be.
    fileprivate func catchUp(_ rows: LastRowTable) -> Bool {
        let now = heads(of: rows.table)
        guard rows.isFilled, now.flushed <= rows.sequence, now.damagedCount == rows.damagedCount,
            now.deleted == rows.deletedThrough, rows.isCurrent
        else { return false }
        return rows.catchUp(now.chunks, through: now.visible)
    }

    /// Before the oldest frozen head goes.
    func catchUpLastRows() {
        for rows in lastRows.all {
            let isGood = rows.lock.withWrite { !rows.isFilled || catchUp(rows) }
            if !isGood { lastRows.drop(rows) }
        }
    }
}

extension StorageEngine {
    /// Lends the last row of every series of a table, if it is kept: nil if a scan has to be made.
    ///
    /// All that was acknowledged before is in. Rows past the retention are, too.
    /// - Parameters:
    ///   - fields: Their ids, and the types in which their values are wanted, none of them strings.
    ///   - wanted: How many series the caller asks for: once that is a 64th of the table's, it is
    ///     kept.
    package func withLastRows<R, Failure: Error>(
        of table: TableEntry, fields: [(id: UInt32, type: FieldType)], wanted: Int,
        _ body: (LastRowsView) throws(Failure) -> R
    ) throws(Failure) -> R? {
        guard !fields.contains(where: { $0.type == .string }),
            let rows = shared.lastRows.find(table, fields, wanted: wanted)
        else { return nil }
        guard bringUpToDate(rows) else {
            shared.lastRows.drop(rows)
            return nil
        }
        let ids = fields.map(\.id)
        return try rows.lock.withRead { () throws(Failure) in try body(rows.view(ids)) }
    }

    private func bringUpToDate(_ rows: LastRowTable) -> Bool {
        rows.lock.withWrite {
            do throws(StorageError) {
                if rows.isFilled {
                    guard shared.catchUp(rows) else { return false }
                } else {
                    let snapshot = snapshot(of: [rows.table])
                    rows.grow(to: rows.table.seriesCount)
                    for segment in snapshot.version.segments
                    where segment.entry.databaseID == rows.table.database.id {
                        guard let part = segment.table(id: rows.table.id), part.rowCount > 0
                        else { continue }
                        try rows.take(part)
                    }
                    let deleted = snapshot.tombstones(of: rows.table)
                    rows.becomeFilled(
                        damagedCount: snapshot.version.damaged.count,
                        deletedThrough: deleted.lastSequence)
                    let chunks = snapshot.chunks(of: rows.table)
                    guard rows.catchUp(chunks, through: snapshot.visibleSequence) else {
                        return false
                    }
                    rows.doubt(deleted.list)
                }
                // Newer rows may come while these are looked for, and are found again by the next.
                let doubtful = rows.doubtful
                guard !doubtful.isEmpty else { return rows.isCurrent }
                var set = SeriesSet(capacity: rows.count)
                for series in doubtful { set.insert(series) }
                rows.forget(doubtful)
                try scan(rows, set, snapshot(of: [rows.table]))
                rows.settle()
                return rows.isCurrent
            } catch {
                return false
            }
        }
    }

    private func scan(
        _ rows: LastRowTable, _ series: SeriesSet, _ snapshot: Snapshot
    ) throws(StorageError) {
        var request = ScanRequest(series: series, fields: rows.columns.map(\.id))
        request.fieldTypes = rows.columns.map(\.type)
        request.latestOnly = true
        var filler = LastRowFiller(rows: rows)
        var counters = ScanCounters()
        for morsel in try snapshot.plan(rows.table, request, rowsPerMorsel: .max) {
            try snapshot.run(morsel, request, into: &filler, counters: &counters)
        }
    }
}
