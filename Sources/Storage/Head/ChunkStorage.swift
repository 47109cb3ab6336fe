// The memory of a head chunk: contiguous columns for rows in order of arrival.
//
//     series   u32 × capacity
//     order    u32 × capacity    arrival order within the table's head, for "the later write wins"
//     times    i64 × capacity
//     columns  u64 × capacity × fields   field-major slots
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

    package init(capacity: Int, fieldCount: Int) {
        self.capacity = capacity
        self.fieldCount = fieldCount
        series = .allocate(capacity: capacity)
        order = .allocate(capacity: capacity)
        times = .allocate(capacity: capacity)
        columns = .allocate(capacity: max(1, capacity * fieldCount))
    }

    deinit {
        series.deallocate()
        order.deallocate()
        times.deallocate()
        columns.deallocate()
    }

    package var byteCount: Int { capacity * (16 + 8 * fieldCount) }

    @inline(__always)
    package func column(_ field: Int) -> UnsafeMutablePointer<UInt64> { columns + field * capacity }

    func grown(rowCount: Int, capacity wider: Int) -> ChunkStorage {
        let new = ChunkStorage(capacity: wider, fieldCount: fieldCount)
        new.series.update(from: series, count: rowCount)
        new.order.update(from: order, count: rowCount)
        new.times.update(from: times, count: rowCount)
        for field in 0..<fieldCount {
            new.column(field).update(from: column(field), count: rowCount)
        }
        return new
    }
}

/// The bytes of a chunk's strings, grown like `ChunkStorage`: by copying and publishing.
///
/// Safe: bytes below a published count are immutable.
package final class StringHeap: @unchecked Sendable {
    package let bytes: UnsafeMutablePointer<UInt8>
    package let capacity: Int

    package init(capacity: Int) {
        self.capacity = capacity
        bytes = .allocate(capacity: capacity)
    }

    deinit { bytes.deallocate() }
}
