/// A fast 64-bit hash of short byte strings, seeded per process so that senders cannot aim for
/// collisions. Multiply-and-fold over 16-byte steps, after the construction of wyhash (Wang Yi);
/// its values are never stored on disk.
package enum KeyHash {
    /// Random once per process.
    package static let seed = UInt64.random(in: .min ... .max)

    @inline(__always)
    private static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }

    @inline(__always)
    package static func hash(_ base: UnsafeRawPointer, _ count: Int, seed: UInt64 = seed) -> UInt64
    {
        var state = seed ^ 0xA076_1D64_78BD_642F
        var position = 0
        // Safe: every load below stays within `count` bytes of `base`.
        while count &- position >= 16 {
            let left = base.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            let right = base.loadUnaligned(fromByteOffset: position &+ 8, as: UInt64.self)
            state = fold(left ^ 0xE703_7ED1_A0B4_28DB, right ^ state)
            position &+= 16
        }
        var left: UInt64 = 0
        var right: UInt64 = 0
        let rest = count &- position
        if rest >= 8 {
            left = base.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            right = base.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        } else if rest >= 4 {
            left = UInt64(base.loadUnaligned(fromByteOffset: position, as: UInt32.self))
            right = UInt64(base.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self))
        } else {
            var index = position
            while index < count {
                left = left &<< 8 | UInt64(base.load(fromByteOffset: index, as: UInt8.self))
                index &+= 1
            }
        }
        return fold(left ^ 0x8EBC_6AF0_9C88_C6E3, right ^ state ^ UInt64(truncatingIfNeeded: count))
    }

    /// A hash of a sequence of words, one after the other.
    @inline(__always)
    static func mix(_ state: UInt64, _ word: UInt64) -> UInt64 {
        fold(state ^ 0xE703_7ED1_A0B4_28DB, word ^ 0xA076_1D64_78BD_642F)
    }

    package static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        guard let base = bytes.baseAddress else { return fold(seed, 0x8EBC_6AF0_9C88_C6E3) }
        return hash(base, bytes.count)
    }
}
