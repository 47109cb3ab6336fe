/// FNV-1a over 64 bits: the same on every machine, and simple enough to be plainly right. Not for
/// speed: passes that are measured go without.
package struct Digest: Sendable {
    package private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    package init() {}

    package mutating func add(byte: UInt8) {
        value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
    }

    package mutating func add(_ word: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            add(byte: UInt8(truncatingIfNeeded: word >> shift))
        }
    }

    package mutating func add(_ number: Int) { add(UInt64(bitPattern: Int64(number))) }

    /// Their count first, so that two texts differ from one of both.
    package mutating func add(bytes: some Collection<UInt8>) {
        add(bytes.count)
        for byte in bytes { add(byte: byte) }
    }
}
