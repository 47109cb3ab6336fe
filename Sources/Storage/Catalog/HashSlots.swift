/// Numbers found by the hash of what they stand for, which lies elsewhere: the keys are the owner's.
///
/// Open addressing with linear probing, at most two thirds full. A slot is 32 bits of the hash and the
/// number plus one: keys are compared only where those bits agree, and growing needs no key. A large
/// table is 64 small ones, told apart by hash, so that none takes long to grow. 12–24 bytes a number.
///
/// Safe: `slots` of a part has `mask + 1` elements, of which one at least is empty; the table owns all parts,
/// and belongs to whoever holds its owner's lock.
final class HashSlots: @unchecked Sendable {
    /// A part of a table that was split: from then on a number is in the part that its hash names.
    private static let splitCount = 1 << 16
    private static let partBits: UInt64 = 6

    private struct Part {
        var slots: UnsafeMutablePointer<UInt64>
        var mask: Int
        var count = 0

        init(size: Int) {
            slots = .allocate(capacity: size)
            slots.initialize(repeating: 0, count: size)
            mask = size &- 1
        }

        @inline(__always)
        mutating func place(_ word: UInt64) {
            var slot = HashSlots.start(word) & mask
            while slots[slot] != 0 { slot = (slot &+ 1) & mask }
            slots[slot] = word
            count &+= 1
        }

        mutating func makeRoom(for more: Int) {
            var size = mask + 1
            while (count + more) * 3 > size * 2 { size *= 2 }
            guard size > mask + 1 else { return }
            var wider = Part(size: size)
            forEach { wider.place($0) }
            slots.deallocate()
            self = wider
        }

        func forEach(_ body: (UInt64) -> Void) {
            for slot in 0...mask where slots[slot] != 0 { body(slots[slot]) }
        }
    }

    private var parts: UnsafeMutablePointer<Part>
    private var partCount = 1
    /// Of many numbers that come at once, those that have no slot yet.
    private var waiting: [UInt64] = []
    private static let waitingMax = 1 << 21

    init() {
        parts = .allocate(capacity: 1)
        parts.initialize(to: Part(size: 16))
    }

    deinit {
        for index in 0..<partCount { parts[index].slots.deallocate() }
        parts.deallocate()
    }

    var byteCount: Int {
        (0..<partCount).reduce(waiting.capacity * 8) { $0 + (parts[$1].mask + 1) * 8 }
    }

    /// The upper half names the part, and with the bits below where to begin in it.
    @inline(__always)
    private static func start(_ word: UInt64) -> Int { Int(truncatingIfNeeded: word &>> 32) }

    @inline(__always)
    private func part(of word: UInt64) -> Int {
        partCount == 1 ? 0 : Int(truncatingIfNeeded: word &>> (64 &- Self.partBits))
    }

    /// The number with this hash that `matches` says is the one.
    @inline(__always)
    func find(_ hash: UInt64, matches: (UInt32) -> Bool) -> UInt32? {
        let part = parts[part(of: hash)]
        var slot = Self.start(hash) & part.mask
        while true {
            let word = part.slots[slot]
            if word == 0 { return nil }
            if word &>> 32 == hash &>> 32 {
                let number = UInt32(truncatingIfNeeded: word) &- 1
                if matches(number) { return number }
            }
            slot = (slot &+ 1) & part.mask
        }
    }

    @inline(__always)
    private static func word(_ hash: UInt64, _ number: UInt32) -> UInt64 {
        hash & ~0xFFFF_FFFF | UInt64(number) &+ 1
    }

    /// Adds a number below 2^32 − 1 that `find` didn't know.
    func insert(_ hash: UInt64, _ number: UInt32) {
        if partCount == 1, parts[0].count == Self.splitCount { split() }
        let index = part(of: hash)
        parts[index].makeRoom(for: 1)
        parts[index].place(Self.word(hash, number))
    }

    /// Adds neighbouring numbers, some of many; none is found before `settle`.
    func add(_ hashes: [UInt64], from first: Int) {
        for (index, hash) in hashes.enumerated() {
            waiting.append(Self.word(hash, UInt32(truncatingIfNeeded: first + index)))
        }
        if waiting.count >= Self.waitingMax { settle() }
    }

    var waitingCount: Int { waiting.count }

    /// Gives the numbers that wait their slots, part by part: a part fits into the processor's cache, all of
    /// them don't.
    func settle() {
        guard !waiting.isEmpty else { return }
        let words = waiting
        waiting = []
        if partCount == 1, parts[0].count + words.count > Self.splitCount { split() }
        var ofPart = [[UInt64]](repeating: [], count: partCount)
        for index in ofPart.indices {
            ofPart[index].reserveCapacity(words.count / partCount * 9 / 8)
        }
        for word in words { ofPart[part(of: word)].append(word) }
        for index in 0..<partCount {
            parts[index].makeRoom(for: ofPart[index].count)
            for word in ofPart[index] { parts[index].place(word) }
        }
    }

    /// Takes numbers out: a pass over all slots, 5 ns each.
    func removeAll(where isGone: (UInt32) -> Bool) {
        settle()
        for index in 0..<partCount {
            var kept: [UInt64] = []
            kept.reserveCapacity(parts[index].count)
            parts[index].forEach { word in
                if !isGone(UInt32(truncatingIfNeeded: word) &- 1) { kept.append(word) }
            }
            guard kept.count < parts[index].count else { continue }
            parts[index].slots.deallocate()
            parts[index] = Part(size: 16)
            parts[index].makeRoom(for: kept.count)
            for word in kept { parts[index].place(word) }
        }
    }

    private func split() {
        let old = parts
        partCount = 1 << Int(Self.partBits)
        parts = .allocate(capacity: partCount)
        for index in 0..<partCount { (parts + index).initialize(to: Part(size: 16)) }
        old[0].forEach { word in
            let index = part(of: word)
            parts[index].makeRoom(for: 1)
            parts[index].place(word)
        }
        old[0].slots.deallocate()
        old.deallocate()
    }
}
