// The memory of a head chunk, one block: contiguous columns for rows in order of arrival.
//
//     columns  u64 × capacity × fields   field-major slots
//     times    i64 × capacity
//     series   u32 × capacity
//     order    u32 × capacity    arrival order within the table's head, for "the later write wins"
//
// Growing copies into a new storage and publishes that; snapshots keep the old one alive and only
// read rows below the count they captured, which are never written again.

/// Safe: rows below a published count are immutable; only the applier writes above it.
package final class ChunkStorage: @unchecked Sendable {
    package let capacity: Int
    package let fieldCount: Int
    package let series: UnsafeMutablePointer<UInt32>
    package let order: UnsafeMutablePointer<UInt32>
    package let times: UnsafeMutablePointer<Int64>
    package let columns: UnsafeMutablePointer<UInt64>

    private let memory: ChunkMemory

    package init(capacity: Int, fieldCount: Int, memory: ChunkMemory) {
        self.capacity = capacity
        self.fieldCount = fieldCount
        self.memory = memory
        let block = memory.take(Self.byteCount(capacity, fieldCount))
        // Safe: the block has just room for these, the wider ones first.
        columns = block.bindMemory(to: UInt64.self, capacity: capacity * fieldCount)
        let behindColumns = block + capacity * fieldCount * 8
        times = behindColumns.bindMemory(to: Int64.self, capacity: capacity)
        series = (behindColumns + capacity * 8).bindMemory(to: UInt32.self, capacity: capacity)
        order = (behindColumns + capacity * 12).bindMemory(to: UInt32.self, capacity: capacity)
    }

    deinit { memory.give(UnsafeMutableRawPointer(columns), byteCount) }

    private static func byteCount(_ capacity: Int, _ fieldCount: Int) -> Int {
        capacity * (16 + 8 * fieldCount)
    }

    package var byteCount: Int { Self.byteCount(capacity, fieldCount) }

    @inline(__always)
    package func column(_ field: Int) -> UnsafeMutablePointer<UInt64> { columns + field * capacity }

    func grown(rowCount: Int, capacity wider: Int) -> ChunkStorage {
        let new = ChunkStorage(capacity: wider, fieldCount: fieldCount, memory: memory)
        new.series.update(from: series, count: rowCount)
        new.order.update(from: order, count: rowCount)
        new.times.update(from: times, count: rowCount)
        for field in 0..<fieldCount {
            new.column(field).update(from: column(field), count: rowCount)
        }
        return new
    }

    /// A copy whose row `n` is this one's row `rows[n]`.
    ///
    /// Safe: `rows` are below this storage's published count.
    func rearranged(_ rows: UnsafeBufferPointer<UInt32>) -> ChunkStorage {
        let new = ChunkStorage(
            capacity: rows.count, fieldCount: fieldCount, memory: memory)
        for index in 0..<rows.count {
            let row = Int(rows[index])
            new.series[index] = series[row]
            new.order[index] = order[row]
            new.times[index] = times[row]
        }
        for field in 0..<fieldCount {
            let source = column(field)
            let target = new.column(field)
            for index in 0..<rows.count { target[index] = source[Int(rows[index])] }
        }
        return new
    }
}
