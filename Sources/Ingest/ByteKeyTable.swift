internal import ApusStorage
internal import Glibc

/// Byte strings, numbered in order of insertion, found by hash.
///
/// Open addressing, at most half full; a slot holds the upper half of the hash and the number plus
/// one, so that keys are compared only when the hashes agree. Keys lie in chunks that never move,
/// each followed by a space and 16 bytes of slack: a pointer to a key is good until `removeAll`.
struct ByteKeyTable: ~Copyable {
    struct Key {
        var bytes: UnsafePointer<UInt8>
        var count: Int
        var hash: UInt64
    }

    private static let chunkBytes = 64 << 10
    private static let slackBytes = 17

    private var slots: UnsafeMutablePointer<UInt64>
    private var slotCount: Int
    private(set) var keys: UnsafeMutablePointer<Key>
    private var keyCapacity: Int
    private(set) var count = 0
    private var chunks: [UnsafeMutablePointer<UInt8>] = []
    private var chunkRest = 0
    private var chunkNext: UnsafeMutablePointer<UInt8>?
    private var chunkByteCount = 0

    // Safe: slots and keys are owned here and always have slotCount and keyCapacity elements.
    init() {
        slotCount = 64
        slots = .allocate(capacity: slotCount)
        slots.initialize(repeating: 0, count: slotCount)
        keyCapacity = 32
        keys = .allocate(capacity: keyCapacity)
    }

    deinit {
        slots.deallocate()
        keys.deallocate()
        for chunk in chunks { chunk.deallocate() }
    }

    var byteCount: Int {
        slotCount * 8 + keyCapacity * MemoryLayout<Key>.stride + chunkByteCount
    }

    static func hash(_ bytes: UnsafePointer<UInt8>, _ count: Int, space: UInt32) -> UInt64 {
        KeyHash.hash(bytes, count, seed: KeyHash.seed ^ UInt64(space) &* 0x9E37_79B9_7F4A_7C15)
    }

    /// The number of a key, or nil. `space` keeps equal keys of different owners apart if
    /// `matches` does; it sees the number of a key with equal bytes.
    @inline(__always)
    func find(
        _ bytes: UnsafePointer<UInt8>, _ length: Int, hash: UInt64
    ) -> UInt32? {
        let mask = slotCount &- 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while true {
            let word = slots[slot]
            if word == 0 { return nil }
            if word &>> 32 == hash &>> 32 {
                let index = Int(truncatingIfNeeded: word & 0xFFFF_FFFF) &- 1
                let key = keys[index]
                if key.hash == hash, key.count == length, memcmp(key.bytes, bytes, length) == 0 {
                    return UInt32(truncatingIfNeeded: index)
                }
            }
            slot = (slot &+ 1) & mask
        }
    }

    /// Adds a key that `find` didn't know and returns its number.
    mutating func insert(
        _ bytes: UnsafePointer<UInt8>, _ length: Int, hash: UInt64
    ) -> UInt32 {
        if (count + 1) * 2 > slotCount { growSlots() }
        if count == keyCapacity { growKeys() }
        let copy = allocate(length + Self.slackBytes)
        memcpy(copy, bytes, length)
        memset(copy + length, 0x20, Self.slackBytes)
        keys[count] = Key(bytes: UnsafePointer(copy), count: length, hash: hash)
        place(count)
        count += 1
        return UInt32(truncatingIfNeeded: count - 1)
    }

    mutating func removeAll() {
        guard count > 0 else { return }
        self = ByteKeyTable()
    }

    private mutating func allocate(_ byteCount: Int) -> UnsafeMutablePointer<UInt8> {
        if byteCount > chunkRest || chunkNext == nil {
            // The first chunk is small: most batches have no or few new series.
            let size = max(byteCount, chunks.isEmpty ? 2_048 : Self.chunkBytes)
            let chunk = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
            chunks.append(chunk)
            chunkNext = chunk
            chunkRest = size
            chunkByteCount += size
        }
        guard let result = chunkNext else { preconditionFailure("BUG: no chunk") }
        chunkNext = result + byteCount
        chunkRest -= byteCount
        return result
    }

    private func place(_ index: Int) {
        let hash = keys[index].hash
        let mask = slotCount - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 { slot = (slot + 1) & mask }
        slots[slot] = (hash & ~0xFFFF_FFFF) | UInt64(index + 1)
    }

    private mutating func growSlots() {
        slots.deallocate()
        slotCount *= 2
        slots = .allocate(capacity: slotCount)
        slots.initialize(repeating: 0, count: slotCount)
        for index in 0..<count { place(index) }
    }

    private mutating func growKeys() {
        let wider = UnsafeMutablePointer<Key>.allocate(capacity: keyCapacity * 2)
        wider.update(from: keys, count: count)
        keys.deallocate()
        keys = wider
        keyCapacity *= 2
    }
}
