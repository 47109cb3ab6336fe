// A head: what arrived since the last freeze, by table and shape.
//
// The applier (one thread) appends; the engine's publish lock guards the lists and what is
// published of each chunk. A frozen head never changes again.

/// Rows of one table in a head.
///
/// Safe: `chunks` changes only under the publish lock; what is `fileprivate` belongs to the applier.
final class HeadTable: @unchecked Sendable {
    let tableID: UInt32
    fileprivate(set) var chunks: [HeadChunk] = []
    fileprivate var active: [ShapeKey: HeadChunk] = [:]
    /// Shapes that filled a chunk.
    fileprivate var fullShapes: Set<ShapeKey> = []
    fileprivate var nextOrder: UInt32 = 0
    fileprivate var linesOfBatch: UInt32 = 0
    fileprivate(set) var firstSequence: UInt64 = 0
    fileprivate(set) var lastSequence: UInt64 = 0

    init(tableID: UInt32) { self.tableID = tableID }
}

/// Safe: see the note at the top of the file.
final class Head: @unchecked Sendable {
    private(set) var tables: [UInt32: HeadTable] = [:]
    private(set) var byteCount = 0
    private(set) var rowCount = 0
    private(set) var firstSequence: UInt64 = 0
    private(set) var lastSequence: UInt64 = 0
    /// Starts of the partitions that held no rows before this head, by database.
    private(set) var partitions: [UInt32: Set<Int64>] = [:]

    // The applier's own, between two publishes.
    private var touched: [HeadChunk] = []
    private var newChunks: [(table: HeadTable, chunk: HeadChunk)] = []
    private var newTables: [HeadTable] = []
    private var sealed: [HeadChunk] = []
    private var tablesSeen: [UInt32: HeadTable] = [:]
    private var tablesOfBatch: [HeadTable] = []
    private var newPartitions: [(databaseID: UInt32, starts: Set<Int64>)] = []

    private let memory: ChunkMemory

    init(memory: ChunkMemory) { self.memory = memory }

    var isEmpty: Bool { rowCount == 0 }

    /// Copies the rows of a group into chunks of its shape. The applier only.
    func append(
        tableID: UInt32, shape: ShapeKey, source: HeadChunk.Source, rowCount count: Int,
        firstLine: UInt32, sequence: UInt64
    ) {
        let table = tablesSeen[tableID] ?? makeTable(tableID)
        if table.firstSequence == 0 { table.firstSequence = sequence }
        table.lastSequence = sequence
        if firstSequence == 0 { firstSequence = sequence }
        lastSequence = sequence
        // Lines count on through a connection; order counts within the head.
        let base = table.nextOrder &- firstLine
        var row = 0
        while row < count {
            let chunk = activeChunk(table, shape)
            let before = chunk.byteCount
            let take = min(count - row, HeadChunk.rowsMax - chunk.rowCount)
            chunk.append(
                source, rows: row..<(row + take), orderBase: base, sequence: sequence)
            byteCount += chunk.byteCount - before
            touched.append(chunk)
            if chunk.isFull {
                sealed.append(chunk)
                table.active[shape] = nil
                table.fullShapes.insert(shape)
            }
            row += take
        }
        rowCount += count
    }

    /// Lines of one batch keep their order among all groups of a table; the next batch's rows
    /// come after the greatest line noted here.
    func advanceOrder(tableID: UInt32, past line: UInt32, firstLine: UInt32) {
        guard let table = tablesSeen[tableID] else { return }
        if table.linesOfBatch == 0 { tablesOfBatch.append(table) }
        table.linesOfBatch = max(table.linesOfBatch, line &- firstLine &+ 1)
    }

    /// The batch's rows are all in.
    func endBatch() {
        for table in tablesOfBatch {
            table.nextOrder &+= table.linesOfBatch
            table.linesOfBatch = 0
        }
        tablesOfBatch.removeAll(keepingCapacity: true)
    }

    /// Rows of these partitions came in.
    func note(partitions starts: Set<Int64>, ofDatabase id: UInt32) {
        newPartitions.append((id, starts))
    }

    private func makeTable(_ id: UInt32) -> HeadTable {
        let table = HeadTable(tableID: id)
        tablesSeen[id] = table
        newTables.append(table)
        return table
    }

    private func activeChunk(_ table: HeadTable, _ shape: ShapeKey) -> HeadChunk {
        if let chunk = table.active[shape] { return chunk }
        // A shape that filled a chunk will fill another one.
        let chunk = HeadChunk(
            shape: shape, capacity: table.fullShapes.contains(shape) ? HeadChunk.rowsMax : 64,
            memory: memory)
        byteCount += chunk.byteCount
        table.active[shape] = chunk
        newChunks.append((table, chunk))
        return chunk
    }

    /// Rows of a table that come from now on go into other chunks than those before. The applier only.
    func endChunks(ofTable id: UInt32) {
        guard let table = tablesSeen[id] else { return }
        sealed += table.active.values
        table.active.removeAll()
    }

    /// No more rows come. Under the publish lock.
    func seal() {
        for table in tables.values { for chunk in table.chunks { chunk.seal() } }
    }

    /// Makes everything appended visible; returns chunks that are full now and can be sorted.
    /// Under the publish lock.
    func publish() -> [HeadChunk] {
        for table in newTables { tables[table.tableID] = table }
        for (table, chunk) in newChunks { table.chunks.append(chunk) }
        for (id, starts) in newPartitions { partitions[id, default: []].formUnion(starts) }
        for chunk in touched { chunk.publish() }
        for chunk in sealed { chunk.seal() }
        defer {
            newTables.removeAll(keepingCapacity: true)
            newPartitions.removeAll(keepingCapacity: true)
            newChunks.removeAll(keepingCapacity: true)
            touched.removeAll(keepingCapacity: true)
            sealed.removeAll(keepingCapacity: true)
        }
        return sealed
    }
}
