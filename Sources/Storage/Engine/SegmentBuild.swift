// Writes one segment: the rows of a frozen head that fall into a partition, or several segments
// merged into one. Both are a merge scan with the segment writer as its consumer.

internal import Synchronization

struct SegmentBuild {
    private let maintenance: Maintenance
    private let database: DatabaseEntry?
    private let partition: Int64
    private let number: UInt64

    init(_ maintenance: Maintenance, database: DatabaseEntry?, partition: Int64, number: UInt64) {
        self.maintenance = maintenance
        self.database = database
        self.partition = partition
        self.number = number
    }

    private struct TableInput {
        var table: TableEntry
        var inputs: [ScanInput] = []
        var firstSequence: UInt64
        var lastSequence: UInt64
        /// The widest type that the inputs have of each field. Not the table's: that one may just
        /// have become wider, and the log not know of it yet. After a power loss it would be the
        /// narrower one again, and the segment say something that can't be.
        var fieldTypes: [UInt32: FieldType] = [:]

        init(_ table: TableEntry, firstSequence: UInt64, lastSequence: UInt64) {
            self.table = table
            self.firstSequence = firstSequence
            self.lastSequence = lastSequence
        }

        mutating func note(_ field: UInt32, _ type: FieldType) {
            guard let known = fieldTypes[field] else {
                fieldTypes[field] = type
                return
            }
            // Numbers only ever widen to float64.
            if known != type { fieldTypes[field] = .float64 }
        }
    }

    /// The part of a frozen head that falls into the partition; nil if no row does.
    func write(heads: [HeadTable], frozen: FrozenHead) throws(StorageError) -> Manifest.Segment? {
        guard let database else { return nil }
        var tables: [TableInput] = []
        let tombstones = maintenance.shared.published.withLock { $0.tombstones }
        for head in heads {
            guard let table = maintenance.shared.catalog.table(id: head.tableID) else { continue }
            var input = TableInput(
                table, firstSequence: head.firstSequence, lastSequence: head.lastSequence)
            for chunk in head.chunks {
                let view = maintenance.shared.published.withLock { _ in chunk.published }
                guard view.rowCount > 0 else { continue }
                input.inputs.append(
                    ScanInput(
                        source: .chunk(view), priority: 0,
                        tombstones: tombstones[head.tableID]?.list ?? []))
                for (id, type) in zip(view.shape.ids, view.shape.types) { input.note(id, type) }
            }
            tables.append(input)
        }
        return try write(
            tables, database, partitionNanoseconds: database.partitionNanoseconds,
            first: frozen.head.firstSequence, last: frozen.head.lastSequence, replaces: [],
            level: .hot)
    }

    /// Segments of the partition, oldest first, as one; nil if nothing of them is left.
    func write(
        merging segments: [LoadedSegment], level: EncodeOptions.Level
    ) throws(StorageError) -> Manifest.Segment? {
        guard let database, let oldest = segments.first, let newest = segments.last else {
            return nil
        }
        // All that lie between the inputs' records are among these: the inputs were there before.
        let tombstones = maintenance.shared.published.withLock { $0.tombstones }
        var byTable: [UInt32: TableInput] = [:]
        for (priority, segment) in segments.enumerated() {
            for part in segment.reader?.tables ?? [] {
                guard let table = maintenance.shared.catalog.table(id: part.schema.tableID) else {
                    continue
                }
                var input =
                    byTable[table.id]
                    ?? TableInput(
                        table, firstSequence: part.schema.firstSequence,
                        lastSequence: part.schema.lastSequence)
                input.inputs.append(
                    ScanInput(
                        source: .segment(part), priority: priority,
                        tombstones: tombstones[table.id]?.list ?? []))
                for field in part.schema.fields { input.note(field.id, field.type) }
                input.firstSequence = min(input.firstSequence, part.schema.firstSequence)
                input.lastSequence = max(input.lastSequence, part.schema.lastSequence)
                byTable[table.id] = input
            }
        }
        return try write(
            byTable.keys.sorted().compactMap { byTable[$0] }, database,
            partitionNanoseconds: oldest.entry.partitionNanoseconds,
            first: oldest.entry.firstSequence, last: newest.entry.lastSequence,
            replaces: segments.map(\.entry.number), level: level)
    }

    private func write(
        _ tables: [TableInput], _ database: DatabaseEntry, partitionNanoseconds: Int64,
        first: UInt64,
        last: UInt64, replaces: [UInt64], level: EncodeOptions.Level
    ) throws(StorageError) -> Manifest.Segment? {
        guard !tables.isEmpty else { return nil }
        let fileSystem = maintenance.fileSystem
        let directory = Manifest.Segment.directory(database.id, partition)
        try maintenance.makeDurableDirectory(directory)
        let path = Manifest.Segment.path(database.id, partition, number)
        let writer = try SegmentWriter(
            fileSystem: fileSystem, path: path,
            identity: SegmentIdentity(
                number: number, databaseID: database.id, databaseName: database.name,
                partitionStart: partition, partitionNanoseconds: partitionNanoseconds,
                firstSequence: first, lastSequence: last, replaces: replaces, level: level),
            options: SegmentWriterOptions(
                blockRowsMax: maintenance.shared.options.blockRowsMax,
                encoding: EncodeOptions(level: level),
                groupBytesMax: level == .cold ? 4 << 20 : 16 << 20))
        do throws(StorageError) {
            let end = partition.addingReportingOverflow(partitionNanoseconds)
            let range = TimeRange(lower: partition, upper: end.overflow ? .max : end.partialValue)
            for table in tables { try write(table, range, isMerge: !replaces.isEmpty, to: writer) }
            let summary = try writer.finish()
            guard summary.rowCount > 0 else {
                try fileSystem.remove(path)
                return nil
            }
            try fileSystem.syncDirectory(directory)
            return Manifest.Segment(
                number: number, databaseID: database.id, partitionStart: partition,
                partitionNanoseconds: partitionNanoseconds, byteCount: summary.byteCount,
                firstSequence: first, lastSequence: last, minTime: summary.minTime,
                maxTime: summary.maxTime)
        } catch {
            try? writer.discard()
            throw error
        }
    }

    private func write(
        _ input: TableInput, _ range: TimeRange, isMerge: Bool, to writer: SegmentWriter
    ) throws(StorageError) {
        let schema = input.table.schema
        // Without those that were dropped. Rows that have no other stay, as rows do in PostgreSQL.
        let fields = input.fieldTypes.keys.sorted().compactMap { id in
            schema.field(id: id).map { field in
                SegmentField(
                    id: id, name: field.name, sqlName: field.sqlName,
                    type: input.fieldTypes[id] ?? field.type)
            }
        }
        var request = ScanRequest(timeRange: range, fields: fields.map(\.id))
        request.series = input.table.hidesRows ? input.table.seriesSnapshot.living : nil
        let scan = try SourceScan(
            inputs: input.inputs, request: request, fieldTypes: fields.map(\.type))
        let pieces = scan.pieces(rowsPerMorsel: .max)
        guard !pieces.isEmpty else { return }
        try writer.beginTable(
            SegmentTableSchema(
                tableID: input.table.id, name: input.table.name, firstSequence: input.firstSequence,
                lastSequence: input.lastSequence, tagKeys: schema.tags.map(\.name),
                fields: fields))
        var consumer = SegmentFeed(
            writer: writer, table: input.table, maintenance: maintenance, isMerge: isMerge)
        var counters = ScanCounters()
        for piece in pieces { try scan.run(piece, into: &consumer, counters: &counters) }
        try writer.endTable()
    }
}

/// Hands merged rows to the writer.
private struct SegmentFeed: ScanConsumer {
    let writer: SegmentWriter
    private let snapshot: SeriesSnapshot
    private let schema: TableSchema
    private var series = UInt32.max
    private var key: [UInt8] = []
    private let maintenance: Maintenance
    private let isMerge: Bool

    init(writer: SegmentWriter, table: TableEntry, maintenance: Maintenance, isMerge: Bool) {
        self.writer = writer
        snapshot = table.seriesSnapshot
        // Afterwards: it has the tags of all of them.
        schema = table.schema
        self.maintenance = maintenance
        self.isMerge = isMerge
    }

    var isDone: Bool { false }

    mutating func consume(_ rows: ScanRows) throws(StorageError) {
        if maintenance.shared.isStopping.load(ordering: .relaxed) { throw .closed }
        if isMerge { maintenance.makeRoom() }
        if rows.series != series {
            series = rows.series
            key = snapshot.key(of: rows.series, schema)
        }
        var columns: [ColumnSlice?] = []
        columns.reserveCapacity(rows.columns.count)
        for column in rows.columns { columns.append(isAbsent(column) ? nil : column) }
        var failure: StorageError?
        // Safe: the writer copies key and rows before it returns.
        key.withUnsafeBytes { bytes in
            do throws(StorageError) {
                try writer.append(
                    series: rows.series, key: bytes,
                    times: UnsafeBufferPointer(start: rows.times, count: rows.count),
                    columns: columns)
            } catch { failure = error }
        }
        if let failure { throw failure }
    }

    private func isAbsent(_ column: ColumnSlice) -> Bool {
        guard let validity = column.validity else { return false }
        for row in 0..<column.count where validity[row] != 0 { return false }
        return true
    }

    mutating func consume(_ summary: ScanSummary) throws(StorageError) {
        preconditionFailure("BUG: a flush asked for no summaries")
    }
}
