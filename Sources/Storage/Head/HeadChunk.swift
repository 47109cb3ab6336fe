// A chunk of a table's head: rows of one shape (field ids and types) in order of arrival.
//
// State                     owner                    guard
// ────────────────────────  ───────────────────────  ─────────────────────────────────────────
// rows above the count      the applier              nobody else looks
// storage, heap, counts     the applier writes;      the engine's publish lock, for readers
//                           storage: once sealed,
//                           the background thread
// sortedRows                the background thread    the engine's publish lock

internal import Synchronization

/// The fields of a chunk, by id and stored type.
package struct ShapeKey: Hashable, Sendable {
    package var ids: [UInt32]
    package var types: [FieldType]

    package init(ids: [UInt32], types: [FieldType]) {
        self.ids = ids
        self.types = types
    }
}

/// The rows of a sealed chunk in order of (series, time, arrival).
package final class SortedRows: Sendable {
    /// Position in the order → row of the chunk.
    package let rows: [UInt32]
    /// Distinct series, ascending, and where each one's rows begin; one more end closes it.
    package let series: [UInt32]
    package let starts: [UInt32]
    /// The chunk's rows lie in this order themselves: `rows` counts up from 0.
    package let isInPlace: Bool

    package init(rows: [UInt32], series: [UInt32], starts: [UInt32], isInPlace: Bool = false) {
        self.isInPlace = isInPlace
        self.rows = rows
        self.series = series
        self.starts = starts
    }
}

/// What a reader holds of a chunk: a count of rows that will never change.
package struct ChunkView: Sendable {
    /// The chunk's, of all chunks of the process.
    package let number: UInt64
    package let shape: ShapeKey
    package let storage: ChunkStorage
    package let heap: StringHeap?
    package let rowCount: Int
    package let firstTime: Int64
    package let lastTime: Int64
    /// Of the log record that its last row came with.
    package let lastSequence: UInt64
    package let sortedRows: SortedRows?
}

/// Safe: see the state table above.
package final class HeadChunk: @unchecked Sendable {
    package static let rowsMax = 65_536
    private static let numbers = Atomic<UInt64>(1)

    private let number = HeadChunk.numbers.wrappingAdd(1, ordering: .relaxed).oldValue

    package let shape: ShapeKey
    private var storage: ChunkStorage
    private var strings = StringPool()
    private var written = 0
    private var writtenFirst = Int64.max
    private var writtenLast = Int64.min
    private var writtenSequence: UInt64 = 0

    // Published, under the engine's publish lock.
    package private(set) var published: ChunkView
    private(set) var isSealed = false

    package init(shape: ShapeKey, capacity: Int = 64, memory: ChunkMemory) {
        self.shape = shape
        storage = ChunkStorage(
            capacity: capacity, fieldCount: shape.ids.count, memory: memory)
        published = ChunkView(
            number: number, shape: shape, storage: storage, heap: nil, rowCount: 0, firstTime: .max,
            lastTime: .min, lastSequence: 0, sortedRows: nil)
    }

    var rowCount: Int { written }
    var isFull: Bool { written >= Self.rowsMax || strings.count > 64 << 20 }
    var byteCount: Int { storage.byteCount + strings.byteCount }

    /// What `append` copies from: field-major columns with a stride, in the chunk's field order.
    package struct Source {
        package var series: UnsafePointer<UInt32>
        package var times: UnsafePointer<Int64>
        package var order: UnsafePointer<UInt32>
        package var columns: [UnsafePointer<UInt64>]
        package var strings: UnsafeRawPointer

        package init(
            series: UnsafePointer<UInt32>, times: UnsafePointer<Int64>,
            order: UnsafePointer<UInt32>, columns: [UnsafePointer<UInt64>],
            strings: UnsafeRawPointer
        ) {
            self.series = series
            self.times = times
            self.order = order
            self.columns = columns
            self.strings = strings
        }
    }

    /// Copies rows behind those written so far; they stay unseen until `publish`.
    package func append(
        _ source: Source, rows: Range<Int>, orderBase: UInt32, sequence: UInt64
    ) {
        let count = rows.count
        if written + count > storage.capacity {
            let wanted = max(written + count, storage.capacity * 2)
            storage = storage.grown(
                rowCount: written,
                capacity: min(max(wanted, 64), max(Self.rowsMax, written + count)))
        }
        (storage.series + written).update(from: source.series + rows.lowerBound, count: count)
        (storage.times + written).update(from: source.times + rows.lowerBound, count: count)
        let order = storage.order + written
        for row in 0..<count { order[row] = orderBase &+ source.order[rows.lowerBound + row] }
        for field in 0..<shape.ids.count {
            let target = storage.column(field) + written
            let from = source.columns[field] + rows.lowerBound
            if shape.types[field] == .string {
                copyStrings(from, target, count, source.strings)
            } else {
                target.update(from: from, count: count)
            }
        }
        var first = writtenFirst
        var last = writtenLast
        for row in rows {
            first = min(first, source.times[row])
            last = max(last, source.times[row])
        }
        writtenFirst = first
        writtenLast = last
        writtenSequence = sequence
        written += count
    }

    private func copyStrings(
        _ from: UnsafePointer<UInt64>, _ target: UnsafeMutablePointer<UInt64>, _ count: Int,
        _ bytes: UnsafeRawPointer
    ) {
        for row in 0..<count {
            let slot = StringSlot(rawValue: from[row])
            target[row] = strings.slot(of: bytes + slot.offset, slot.length)
        }
    }

    /// Makes what was appended visible. Under the publish lock.
    package func publish() {
        published = ChunkView(
            number: number, shape: shape, storage: storage, heap: strings.heap, rowCount: written,
            firstTime: writtenFirst,
            lastTime: writtenLast, lastSequence: writtenSequence, sortedRows: nil)
    }

    /// No more rows come. Under the publish lock.
    package func seal() {
        isSealed = true
        strings.forget()
    }

    /// The same rows in another order, in which they lie in `storage` from now on. Under the publish
    /// lock, and only once sealed: the applier doesn't touch the chunk any more.
    package func setSorted(_ sorted: SortedRows, in storage: ChunkStorage) {
        precondition(isSealed, "BUG: rearranged while rows may come")
        self.storage = storage
        let now = published
        published = ChunkView(
            number: number, shape: shape, storage: storage, heap: now.heap, rowCount: now.rowCount,
            firstTime: now.firstTime, lastTime: now.lastTime, lastSequence: now.lastSequence,
            sortedRows: sorted)
    }
}
