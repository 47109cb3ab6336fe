/// A set of dense series ids of one table, as a bitmap.
///
/// A million series are a megabit. Ids at or above `capacity` are never members.
package struct SeriesSet: Sendable, Equatable {
    package private(set) var words: [UInt64]
    package private(set) var capacity: Int

    /// The empty set over ids `0 ..< capacity`.
    package init(capacity: Int) {
        self.capacity = capacity
        words = [UInt64](repeating: 0, count: (capacity + 63) / 64)
    }

    /// The full set over ids `0 ..< capacity`.
    package init(all capacity: Int) {
        self.capacity = capacity
        words = [UInt64](repeating: .max, count: (capacity + 63) / 64)
        clearTail()
    }

    private mutating func clearTail() {
        let rest = capacity & 63
        if rest != 0, !words.isEmpty { words[words.count - 1] &= (1 &<< UInt64(rest)) &- 1 }
    }

    @inline(__always)
    package func contains(_ id: UInt32) -> Bool {
        let index = Int(id &>> 6)
        return index < words.count && words[index] &>> UInt64(id & 63) & 1 == 1
    }

    package mutating func insert(_ id: UInt32) {
        guard Int(id) < capacity else { return }
        words[Int(id >> 6)] |= 1 &<< UInt64(id & 63)
    }

    package mutating func insert(ids: Range<Int>) {
        let ids = ids.clamped(to: 0..<capacity)
        guard !ids.isEmpty else { return }
        let (first, last) = (ids.lowerBound >> 6, (ids.upperBound - 1) >> 6)
        let head = UInt64.max &<< UInt64(ids.lowerBound & 63)
        let tail = UInt64.max &>> UInt64(63 - (ids.upperBound - 1) & 63)
        guard first < last else {
            words[first] |= head & tail
            return
        }
        words[first] |= head
        for index in (first + 1)..<last { words[index] = .max }
        words[last] |= tail
    }

    /// Lends the words from that of `id` on, which is a multiple of 64 and below `capacity`. Bits at or
    /// above `capacity` have to stay 0.
    mutating func withWords(from id: Int, _ body: (UnsafeMutablePointer<UInt64>) -> Void) {
        words.withUnsafeMutableBufferPointer { words in
            // Safe: the word of an id below `capacity` is there.
            if let base = words.baseAddress { body(base + id / 64) }
        }
    }

    /// Ids up to another capacity can be members; those at or above it no longer are.
    package mutating func resize(to other: Int) {
        let wordCount = (other + 63) / 64
        if wordCount > words.count {
            words.append(contentsOf: repeatElement(0, count: wordCount - words.count))
        } else {
            words.removeLast(words.count - wordCount)
        }
        capacity = other
        clearTail()
    }

    package mutating func remove(_ id: UInt32) {
        guard Int(id) < capacity else { return }
        words[Int(id >> 6)] &= ~(1 &<< UInt64(id & 63))
    }

    package mutating func remove(below id: Int) {
        let id = min(max(id, 0), capacity)
        for index in 0..<(id / 64) { words[index] = 0 }
        if id % 64 != 0 { words[id / 64] &= .max &<< UInt64(id % 64) }
    }

    package var count: Int { words.reduce(0) { $0 &+ $1.nonzeroBitCount } }
    package var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    package mutating func formIntersection(_ other: SeriesSet) {
        for index in words.indices {
            words[index] &= index < other.words.count ? other.words[index] : 0
        }
    }

    package mutating func formUnion(_ other: SeriesSet) {
        if other.capacity > capacity { resize(to: other.capacity) }
        for index in other.words.indices { words[index] |= other.words[index] }
    }

    package func intersects(_ other: SeriesSet) -> Bool {
        zip(words, other.words).contains { $0 & $1 != 0 }
    }

    /// Whether all of some ids are members.
    package func covers(_ ids: Range<Int>) -> Bool {
        ids.allSatisfy { contains(UInt32(truncatingIfNeeded: $0)) }
    }

    /// Members that follow one on the other, as ranges.
    package var runs: [Range<Int>] {
        var runs: [Range<Int>] = []
        forEach { id in
            let id = Int(id)
            if let last = runs.last, last.upperBound == id {
                runs[runs.count - 1] = last.lowerBound..<(id + 1)
            } else {
                runs.append(id..<(id + 1))
            }
        }
        return runs
    }

    package mutating func subtract(_ other: SeriesSet) {
        for index in words.indices where index < other.words.count {
            words[index] &= ~other.words[index]
        }
    }

    /// Whether some member lies in a closed range of ids.
    package func intersects(_ first: UInt32, _ last: UInt32) -> Bool {
        let end = min(Int(last >> 6), words.count - 1)
        var index = Int(first >> 6)
        var wanted = UInt64.max &<< UInt64(first & 63)
        while index <= end {
            if index == Int(last >> 6) { wanted &= .max &>> UInt64(63 - last & 63) }
            if words[index] & wanted != 0 { return true }
            wanted = .max
            index += 1
        }
        return false
    }

    /// The smallest member at or above `id`.
    package func next(from id: UInt32) -> UInt32? {
        var index = Int(id >> 6)
        guard index < words.count else { return nil }
        var word = words[index] & (UInt64.max &<< UInt64(id & 63))
        while word == 0 {
            index += 1
            guard index < words.count else { return nil }
            word = words[index]
        }
        return UInt32(index * 64 + word.trailingZeroBitCount)
    }

    /// All members, rising.
    package var members: [UInt32] {
        var members: [UInt32] = []
        members.reserveCapacity(count)
        forEach { members.append($0) }
        return members
    }

    package func forEach(_ body: (UInt32) -> Void) {
        for index in words.indices {
            var word = words[index]
            while word != 0 {
                body(UInt32(truncatingIfNeeded: index &* 64 &+ word.trailingZeroBitCount))
                word &= word &- 1
            }
        }
    }
}
