// Writes one segment front to back: rows wait until their block is known, blocks wait in memory
// until their group is large enough that each column's stretch is worth reading alone, directory
// and keys follow the last group of a table, the footer everything.
//
// Drawings: SegmentLayout.swift, SegmentFooter.swift, BlockDirectory.swift, SeriesKeySection.swift.

/// How a segment is written.
package struct SegmentWriterOptions: Sendable {
    /// Rows of a block, 1 ... 65,536.
    package var blockRowsMax: Int
    package var encoding: EncodeOptions
    /// Encoded bytes of a table that wait in memory before its stretches are written.
    package var groupBytesMax: Int
    /// Encoded bytes after which the system is asked to start writing.
    package var writebackBytes: Int
    /// Thousands of series that have fewer rows on average leave their keys to the catalog.
    package var keyRowsMin: Int

    package init(
        blockRowsMax: Int = 1_024, encoding: EncodeOptions = EncodeOptions(),
        groupBytesMax: Int = 16 << 20, writebackBytes: Int = 2 << 20,
        keyRowsMin: Int = 32
    ) {
        self.blockRowsMax = min(max(blockRowsMax, 1), SegmentLayout.blockRowsLimit)
        self.encoding = encoding
        self.groupBytesMax = groupBytesMax
        self.writebackBytes = writebackBytes
        self.keyRowsMin = keyRowsMin
    }
}

/// What was written.
package struct SegmentSummary: Sendable, Equatable {
    package var path: String
    package var byteCount: Int
    package var tableCount: Int
    package var rowCount: Int
    package var blockCount: Int
    /// `minTime > maxTime` in a segment without rows.
    package var minTime: Int64
    package var maxTime: Int64
}

/// Writes a segment to `path` + ".new" and renames it when it is complete and synced.
///
/// Calls come in the order `beginTable`, `append`…, `endTable`, …, `finish`, from one thread at a
/// time; another order, or rows out of order, is a bug and stops. After a throw the writer is of
/// no more use: call `discard`. Memory: the waiting rows, one group, and about 100 bytes a block
/// and column of the table being written.
package final class SegmentWriter {
    private let fileSystem: any FileSystem
    private let path: String
    private let identity: SegmentIdentity
    private let options: SegmentWriterOptions
    private let output: SegmentOutput
    private var tables: [SegmentTableEntry] = []
    private var tableIDs: Set<UInt32> = []
    private var keys: SeriesKeySectionWriter
    private var table: OpenTable?

    /// Creates the file, replacing a remainder of an earlier attempt.
    package init(
        fileSystem: any FileSystem, path: String, identity: SegmentIdentity,
        options: SegmentWriterOptions = SegmentWriterOptions()
    ) throws(StorageError) {
        self.fileSystem = fileSystem
        self.path = path
        self.identity = identity
        self.options = options
        keys = SeriesKeySectionWriter(keyRowsMin: options.keyRowsMin)
        output = try SegmentOutput(
            fileSystem, path: path + ".new", writebackBytes: options.writebackBytes)
        try output.append(SegmentLayout.header())
    }

    package func beginTable(_ schema: SegmentTableSchema) throws(StorageError) {
        precondition(table == nil, "BUG: the table before has not ended")
        precondition(
            tableIDs.insert(schema.tableID).inserted, "BUG: a table comes twice")
        table = OpenTable(schema: schema, options: options, dataOffset: output.count)
    }

    /// Adds rows of one series, at ascending times.
    ///
    /// Series ascend within a table; further calls for the same series have later times. Columns
    /// come in the order of the schema's fields, nil where the field is absent from all rows. The
    /// memory may be reused after the call.
    package func append(
        series: UInt32, key: UnsafeRawBufferPointer, times: UnsafeBufferPointer<Int64>,
        columns: [ColumnSlice?]
    ) throws(StorageError) {
        guard let table else { preconditionFailure("BUG: no table has begun") }
        precondition(columns.count == table.schema.fields.count, "BUG: columns differ from fields")
        guard !times.isEmpty else { return }
        if table.series != series {
            if let before = table.series {
                precondition(before < series, "BUG: series do not ascend")
                table.closeRun()
            }
            keys.append(series, key: key)
            table.openRun(series)
        }
        keys.add(rows: times.count)
        var position = 0
        while position < times.count {
            let count = min(times.count - position, table.room)
            table.append(times, columns, position..<(position + count))
            position += count
            if table.room == 0 { table.cut(isFinal: false) }
            if table.encoder.groupByteCount >= options.groupBytesMax { try writeGroup(table) }
        }
    }

    package func endTable() throws(StorageError) {
        guard let table else { preconditionFailure("BUG: no table has begun") }
        if table.series != nil { table.closeRun() }
        table.flushPacked()
        try writeGroup(table)
        keys.finish()
        var entry = SegmentTableEntry(schema: table.schema)
        entry.rowCount = table.encoder.rowCount
        entry.blockCount = table.encoder.directory.blockCount
        entry.seriesCount = keys.seriesCount
        entry.minTime = table.encoder.minTime
        entry.maxTime = table.encoder.maxTime
        entry.dataOffset = table.dataOffset
        try output.align()
        entry.directoryOffset = output.count
        let directory = table.encoder.directory.encode(fields: table.schema.fields)
        entry.directoryByteCount = directory.count
        entry.directoryChecksum = CRC32C.checksum(directory)
        try output.append(directory)
        entry.keysByteCount = keys.section.count
        entry.keysChecksum = CRC32C.checksum(keys.section.bytes)
        try output.append(keys.section.bytes)
        keys.removeAll()
        tables.append(entry)
        self.table = nil
    }

    /// Completes, syncs and renames the file. The name is durable once the caller has synced the
    /// directory.
    package func finish() throws(StorageError) -> SegmentSummary {
        precondition(table == nil, "BUG: the last table has not ended")
        try output.align()
        let footerOffset = output.count
        let footer = SegmentFooter(identity: identity, tables: tables).encode()
        try output.append(footer)
        try output.append(SegmentLayout.ending(footerOffset: footerOffset, footer: footer))
        try output.finish()
        try fileSystem.rename(path + ".new", to: path)
        return SegmentSummary(
            path: path, byteCount: output.count, tableCount: tables.count,
            rowCount: tables.reduce(0) { $0 + $1.rowCount },
            blockCount: tables.reduce(0) { $0 + $1.blockCount },
            minTime: tables.map(\.minTime).min() ?? .max,
            maxTime: tables.map(\.maxTime).max() ?? .min)
    }

    /// Removes what was written, after an error or when the work is not wanted any more.
    package func discard() throws(StorageError) {
        try fileSystem.remove(path + ".new")
    }

    private func writeGroup(_ table: OpenTable) throws(StorageError) {
        for stretch in table.encoder.endGroup() { try output.append(stretch) }
    }
}

/// The table being written: rows that wait, and the blocks made of them.
private final class OpenTable {
    let schema: SegmentTableSchema
    let dataOffset: Int
    private let cutter: BlockCutter
    private var pending: PendingRows
    var encoder: BlockEncoder
    private(set) var series: UInt32?
    private var lastTime = Int64.min
    private var runRowCount = 0
    /// Whether the open series has passed the size of a packed one and owns all that waits.
    private var isLong = false

    init(schema: SegmentTableSchema, options: SegmentWriterOptions, dataOffset: Int) {
        self.schema = schema
        self.dataOffset = dataOffset
        cutter = BlockCutter(
            blockRowsMax: options.blockRowsMax, columnCount: schema.fields.count,
            level: options.encoding.level)
        pending = PendingRows(
            types: schema.fields.map(\.type), rowsExpected: options.blockRowsMax)
        encoder = BlockEncoder(
            schema: schema, options: options.encoding, blockRowsMax: options.blockRowsMax)
    }

    /// Rows that fit before something has to be cut.
    var room: Int {
        isLong ? cutter.pendingRowsMax - pending.rowCount : cutter.denseRowsMin - runRowCount
    }

    func openRun(_ series: UInt32) {
        self.series = series
        runRowCount = 0
        isLong = false
        pending.openRun(series)
    }

    func append(
        _ times: UnsafeBufferPointer<Int64>, _ columns: [ColumnSlice?], _ rows: Range<Int>
    ) {
        var previous = lastTime
        for index in rows {
            precondition(
                times[index] > previous || runRowCount == 0 && index == rows.lowerBound,
                "BUG: times do not ascend")
            previous = times[index]
        }
        lastTime = previous
        pending.append(times: times, columns: columns, rows: rows)
        runRowCount += rows.count
    }

    /// The open series is complete: a long one is cut to its end, a short one joins those before.
    func closeRun() {
        if isLong {
            cut(isFinal: true)
        } else if pending.rowCount > cutter.blockRowsMax {
            flushPacked(keepingLast: true)
        }
    }

    /// Called when no row has room any more, or when a long series is complete.
    func cut(isFinal: Bool) {
        if !isLong {
            flushPacked(keepingLast: true)
            isLong = true
            return
        }
        guard let run = pending.runs.first else { return }
        // Safe: `pending` owns room for at least `rowCount` times and is not changed while the
        // cutter looks; rows are removed only below.
        let times = UnsafeBufferPointer(
            start: UnsafePointer(pending.times), count: pending.rowCount)
        var start = 0
        for count in cutter.cuts(times, isFinal: isFinal) {
            encoder.encode(pending, start..<(start + count), runs: [(run.series, count)])
            start += count
        }
        pending.removeFirst(rows: start, runs: isFinal ? 1 : 0)
    }

    /// Makes a packed block of the complete short series that wait.
    func flushPacked(keepingLast: Bool = false) {
        let runs = keepingLast ? pending.runs.dropLast() : pending.runs[...]
        guard !runs.isEmpty else { return }
        let rows = runs.reduce(0) { $0 + $1.rowCount }
        encoder.encode(pending, 0..<rows, runs: runs)
        pending.removeFirst(rows: rows, runs: runs.count)
    }
}

/// Gathers small pieces into large writes and has them written out early.
private final class SegmentOutput {
    private let file: any FileHandle
    private let writebackBytes: Int
    private var buffer = ByteWriter(capacity: bufferBytes)
    private var written = 0
    private var writebackStart = 0

    private static let bufferBytes = 1 << 20

    init(_ fileSystem: any FileSystem, path: String, writebackBytes: Int) throws(StorageError) {
        self.writebackBytes = writebackBytes
        try fileSystem.remove(path)
        file = try fileSystem.open(path, create: true)
    }

    var count: Int { written + buffer.count }

    func append(_ bytes: [UInt8]) throws(StorageError) {
        if bytes.count >= Self.bufferBytes {
            try flush()
            try write(bytes)
        } else {
            buffer.append(bytes)
            if buffer.count >= Self.bufferBytes { try flush() }
        }
    }

    func align() throws(StorageError) {
        let rest = SegmentLayout.aligned(count) - count
        if rest > 0 { buffer.appendZeros(rest) }
    }

    func finish() throws(StorageError) {
        try flush()
        try file.sync()
    }

    private func flush() throws(StorageError) {
        guard buffer.count > 0 else { return }
        try write(buffer.bytes)
        buffer.removeAll()
    }

    private func write(_ bytes: [UInt8]) throws(StorageError) {
        var failure: StorageError?
        // Safe: `write` copies to the file and keeps nothing.
        bytes.withUnsafeBytes { raw in
            do throws(StorageError) { try file.write(raw, at: written) } catch { failure = error }
        }
        if let failure { throw failure }
        written += bytes.count
        if written - writebackStart >= writebackBytes {
            file.startWriteback(offset: writebackStart, count: written - writebackStart)
            writebackStart = written
        }
    }
}
