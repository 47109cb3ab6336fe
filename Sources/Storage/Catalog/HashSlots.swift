/// Numbers found by the hash of what they stand for, which lies elsewhere: the keys are the owner's.
///
/// Open addressing with linear probing, at most two thirds full. A slot is 32 bits of the hash and the
/// number plus one: keys are compared only where those bits agree, and growing needs no key. A large
/// table is 64 small ones, told apart by hash, so that none takes long to grow. 12–24 bytes a number.
struct HashSlots: Sendable {
    /// A part of a table that was split: from then on a number is in the part that its hash names.
    private static let splitCount = 1 << 16
    private static let partBits: UInt64 = 6

    private struct Part: Sendable {
        var slots = [UInt64](repeating: 0, count: 16)
        var count = 0

        mutating func place(_ word: UInt64) {
            let mask = slots.count &- 1
            var slot = HashSlots.start(word) & mask
            while slots[slot] != 0 { slot = (slot &+ 1) & mask }
            slots[slot] = word
            count += 1
        }

        mutating func insert(_ word: UInt64) {
            if (count + 1) * 3 > slots.count * 2 {
                let old = slots
                slots = [UInt64](repeating: 0, count: old.count * 2)
                count = 0
                for word in old where word != 0 { place(word) }
            }
            place(word)
        }
    }

    private var parts = [Part()]

    var byteCount: Int { parts.reduce(0) { $0 + $1.slots.capacity * 8 } }

    /// The upper half names the part, and with the bits below where to begin in it.
    @inline(__always)
    private static func start(_ word: UInt64) -> Int { Int(truncatingIfNeeded: word &>> 32) }

    @inline(__always)
    private func part(of word: UInt64) -> Int {
        parts.count == 1 ? 0 : Int(truncatingIfNeeded: word &>> (64 &- Self.partBits))
    }

    /// The number with this hash that `matches` says is the one.
    @inline(__always)
    func find(_ hash: UInt64, matches: (UInt32) -> Bool) -> UInt32? {
        let index = part(of: hash)
        let mask = parts[index].slots.count &- 1
        var slot = Self.start(hash) & mask
        while true {
            let word = parts[index].slots[slot]
            if word == 0 { return nil }
            if word &>> 32 == hash &>> 32 {
                let number = UInt32(truncatingIfNeeded: word) &- 1
                if matches(number) { return number }
            }
            slot = (slot &+ 1) & mask
        }
    }

    /// Adds a number below 2^32 − 1 that `find` didn't know.
    mutating func insert(_ hash: UInt64, _ number: UInt32) {
        if parts.count == 1, parts[0].count == Self.splitCount { split() }
        parts[part(of: hash)].insert(hash & ~0xFFFF_FFFF | UInt64(number) + 1)
    }

    private mutating func split() {
        let words = parts[0].slots
        parts = [Part](repeating: Part(), count: 1 << Int(Self.partBits))
        for word in words where word != 0 { parts[part(of: word)].insert(word) }
    }
}
