import ApusStorage
import Testing

@Suite struct ChunkMemoryTests {
    private static let rows = 65_536
    private static let blockBytes = rows * (16 + 8 * 3)

    private func storage(_ memory: ChunkMemory, rows: Int = Self.rows) -> ChunkStorage {
        ChunkStorage(capacity: rows, fieldCount: 3, memory: memory)
    }

    @Test func `what a chunk gives back the next one takes`() {
        let memory = ChunkMemory(keptBytesMax: 10 * Self.blockBytes, bytesMax: .max)
        var first: ChunkStorage? = storage(memory)
        let columns = first?.columns
        #expect(memory.freeBytes == 0 && first?.byteCount == Self.blockBytes)
        first = nil
        #expect(memory.freeBytes == Self.blockBytes)
        let second = storage(memory)
        #expect(second.columns == columns && memory.freeBytes == 0)
    }

    @Test func `no more is kept than was allowed, and small blocks not at all`() {
        let memory = ChunkMemory(keptBytesMax: 3 * Self.blockBytes + 1, bytesMax: .max)
        var all = (0..<5).map { _ in storage(memory) } + [storage(memory, rows: 64)]
        #expect(all.count == 6)
        all = []
        #expect(memory.freeBytes == 3 * Self.blockBytes)
    }

    @Test func `what is kept makes room for chunks of another shape`() {
        let memory = ChunkMemory(
            keptBytesMax: 10 * Self.blockBytes, bytesMax: 6 * Self.blockBytes)
        var old = (0..<4).map { _ in storage(memory) }
        old.removeAll()
        #expect(memory.freeBytes == 4 * Self.blockBytes)
        let first = storage(memory, rows: 2 * Self.rows)
        #expect(memory.freeBytes == 4 * Self.blockBytes)
        let second = storage(memory, rows: 2 * Self.rows)
        #expect(memory.freeBytes == 2 * Self.blockBytes)
        #expect(first.byteCount + second.byteCount == 4 * Self.blockBytes)
    }

    @Test func `columns of a block lie apart`() {
        let memory = ChunkMemory(keptBytesMax: 0, bytesMax: .max)
        for rows in [1, 3, 64, 1_000, Self.rows] {
            let chunk = storage(memory, rows: rows)
            for field in 0..<3 {
                chunk.column(field).update(repeating: UInt64(field), count: rows)
            }
            chunk.times.update(repeating: 7, count: rows)
            chunk.series.update(repeating: 8, count: rows)
            chunk.order.update(repeating: 9, count: rows)
            for row in [0, rows - 1] {
                #expect((0..<3).allSatisfy { chunk.column($0)[row] == UInt64($0) })
                #expect(chunk.times[row] == 7 && chunk.series[row] == 8 && chunk.order[row] == 9)
            }
        }
    }

    /// Found under load: flushed heads stayed in memory for as long as their chunks waited to be sorted.
    @Test func `a chunk that waits to be sorted is freed once nobody reads it`() {
        let memory = ChunkMemory(keptBytesMax: 10 * Self.blockBytes, bytesMax: .max)
        var chunk: HeadChunk? = HeadChunk(
            shape: ShapeKey(ids: [1, 2, 3], types: [.int64, .int64, .int64]),
            capacity: Self.rows, memory: memory)
        let waiting = chunk.map { WeakChunk($0) }
        #expect(waiting?.chunk != nil && memory.freeBytes == 0)
        chunk = nil
        #expect(waiting?.chunk == nil && memory.freeBytes == Self.blockBytes)
    }
}
