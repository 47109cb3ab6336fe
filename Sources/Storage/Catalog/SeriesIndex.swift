// The series of one table in memory: key ↔ dense id, and per tag a dictionary of values with a
// forward column series → value code.
//
// Invariants
//   1. Ids are dense, given in order of creation and never reused.
//   2. `codes[tag][id]` is 0 where the series lacks the tag, else 1 + the value's code.
//   3. A forward column may be shorter than the series count: the missing tail lacks the tag.

/// The distinct values of one tag, in order of first appearance.
package struct TagValues: Sendable {
    /// Code → value.
    package private(set) var values: [[UInt8]] = []
    private var codeByValue: [[UInt8]: UInt32] = [:]
    /// Series id → 1 + code, 0 where absent; may end early (invariant 3).
    package fileprivate(set) var codes: [UInt32] = []

    fileprivate mutating func code(of value: [UInt8]) -> UInt32 {
        if let code = codeByValue[value] { return code }
        let code = UInt32(values.count)
        values.append(value)
        codeByValue[value] = code
        return code
    }

    fileprivate mutating func set(_ id: Int, _ value: [UInt8]) {
        let code = code(of: value)
        // A key that names a tag twice, as no writer of ours makes one: the later value stands.
        if codes.count == id + 1 {
            codes[id] = code + 1
            return
        }
        if codes.count < id { codes.append(contentsOf: repeatElement(0, count: id - codes.count)) }
        codes.append(code + 1)
    }

    /// The value of a series, or nil if it lacks the tag.
    package func value(of id: UInt32) -> [UInt8]? {
        guard id < codes.count, codes[Int(id)] != 0 else { return nil }
        return values[Int(codes[Int(id)]) - 1]
    }

    package func code(ofValue value: [UInt8]) -> UInt32? { codeByValue[value] }
}

/// All series of one table. Lives in the mutex of its `TableEntry`.
package struct SeriesIndex: Sendable {
    private var keyBytes: [UInt8] = []
    private var keyEnds: [Int] = []
    /// Open addressing: 0 is empty, else id + 1. At most two thirds full.
    private var slots: [UInt32] = [UInt32](repeating: 0, count: 16)
    private var hashes: [UInt32] = []
    package private(set) var tags: [TagValues] = []

    package init() {}

    package var count: Int { keyEnds.count }

    /// Bytes of memory held, estimated.
    package var byteCount: Int {
        keyBytes.capacity + keyEnds.capacity * 8 + slots.count * 4 + hashes.capacity * 4
            + tags.reduce(0) { $0 + $1.codes.capacity * 4 + $1.values.count * 96 }
    }

    package func withKey<R>(of id: UInt32, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let end = keyEnds[Int(id)]
        let start = id == 0 ? 0 : keyEnds[Int(id) - 1]
        // Safe: ends rise and the last is `keyBytes.count`; `body` must not keep the bytes.
        return keyBytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[start..<end])) }
    }

    package func key(of id: UInt32) -> [UInt8] { withKey(of: id) { Array($0) } }

    package func find(_ key: UnsafeRawBufferPointer) -> UInt32? {
        find(key, hash: KeyHash.hash(key))
    }

    private func find(_ key: UnsafeRawBufferPointer, hash: UInt64) -> UInt32? {
        let mask = slots.count - 1
        let short = UInt32(truncatingIfNeeded: hash)
        var slot = Int(truncatingIfNeeded: hash &>> 32) & mask
        while slots[slot] != 0 {
            let id = slots[slot] - 1
            if hashes[Int(id)] == short,
                withKey(of: id, { $0.count == key.count && $0.elementsEqual(key) })
            {
                return id
            }
            slot = (slot + 1) & mask
        }
        return nil
    }

    /// Adds a series that `find` didn't know. `tagIndex` maps a tag name to its index, and may
    /// have had to create it.
    package mutating func insert(
        _ key: UnsafeRawBufferPointer, tags keyTags: [(index: Int, value: [UInt8])]
    ) -> UInt32 {
        let hash = KeyHash.hash(key)
        let id = keyEnds.count
        keyBytes.append(contentsOf: key)
        keyEnds.append(keyBytes.count)
        hashes.append(UInt32(truncatingIfNeeded: hash))
        if (id + 1) * 3 > slots.count * 2 { grow() } else { place(UInt32(id), hash: hash) }
        for tag in keyTags {
            while tags.count <= tag.index { tags.append(TagValues()) }
            tags[tag.index].set(id, tag.value)
        }
        return UInt32(id)
    }

    private mutating func place(_ id: UInt32, hash: UInt64) {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash &>> 32) & mask
        while slots[slot] != 0 { slot = (slot + 1) & mask }
        slots[slot] = id + 1
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 2)
        for id in 0..<UInt32(keyEnds.count) {
            place(id, hash: withKey(of: id) { KeyHash.hash($0) })
        }
    }

    /// The series for which a test of the tag's value holds; nil stands for an absent tag.
    ///
    /// The test runs once per distinct value, the rest is a pass over four bytes a series.
    package func select(
        tag index: Int, where test: (UnsafeRawBufferPointer?) -> Bool
    ) -> SeriesSet {
        let absent = test(nil)
        guard index < tags.count else {
            return absent ? SeriesSet(all: count) : SeriesSet(capacity: count)
        }
        let tag = tags[index]
        var accepted = [Bool](repeating: false, count: tag.values.count + 1)
        accepted[0] = absent
        for (code, value) in tag.values.enumerated() {
            accepted[code + 1] = value.withUnsafeBytes { test($0) }
        }
        var result = SeriesSet(capacity: count)
        for id in 0..<tag.codes.count where accepted[Int(tag.codes[id])] {
            result.insert(UInt32(truncatingIfNeeded: id))
        }
        if absent, tag.codes.count < count {
            for id in tag.codes.count..<count { result.insert(UInt32(truncatingIfNeeded: id)) }
        }
        return result
    }
}
