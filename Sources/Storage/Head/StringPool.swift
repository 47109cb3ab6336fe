internal import Glibc

// The strings of a chunk's rows.
//
// States, names and images of machines repeat at every scrape: a string that is still remembered from
// rows before isn't kept again but shares their slot. So the heap stays small, and whoever reads rows
// series by series sees equal strings by equal slots, without looking at the bytes.

/// Appends strings to a heap. The applier's; readers hold the heap.
package struct StringPool {
    /// Longer strings are texts, which don't repeat.
    private static let rememberedLengthMax = 64
    private static let placesMax = 32_768

    package private(set) var heap: StringHeap?
    package private(set) var count = 0
    /// Slots by the hash of their bytes, 0 for none: the latest of those with one place.
    private var places: [UInt64] = []
    private var missCount = 0

    package init() {}

    package var byteCount: Int { (heap?.capacity ?? 0) + places.count * 8 }

    /// Safe: the bytes are copied.
    package mutating func slot(of bytes: UnsafeRawPointer, _ length: Int) -> UInt64 {
        guard length > 0, length <= Self.rememberedLengthMax else { return append(bytes, length) }
        if missCount >= places.count, places.count < Self.placesMax {
            places = [UInt64](repeating: 0, count: max(16, places.count * 4))
            missCount = 0
        }
        let place = Int(truncatingIfNeeded: KeyHash.hash(bytes, length)) & (places.count &- 1)
        let known = StringSlot(rawValue: places[place])
        // Safe: a slot that is remembered lies within the heap.
        if known.length == length, let heap,
            memcmp(heap.bytes + known.offset, bytes, length) == 0
        {
            return known.rawValue
        }
        missCount &+= 1
        let slot = append(bytes, length)
        places[place] = slot
        return slot
    }

    /// No more strings come.
    package mutating func forget() { places = [] }

    private mutating func append(_ bytes: UnsafeRawPointer, _ length: Int) -> UInt64 {
        let heap = room(length)
        memcpy(heap.bytes + count, bytes, length)
        defer { count &+= length }
        return StringSlot(offset: count, length: length).rawValue
    }

    private mutating func room(_ more: Int) -> StringHeap {
        if let heap, count + more <= heap.capacity { return heap }
        let wider = StringHeap(capacity: max(256, (count + more) * 2))
        if let heap { wider.bytes.update(from: heap.bytes, count: count) }
        heap = wider
        return wider
    }
}

/// Grown by copying and publishing, as `ChunkStorage`.
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
