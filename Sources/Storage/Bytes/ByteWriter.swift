/// Appends little-endian numbers, varints and bytes to a buffer.
///
/// Structures of files and log records are built with it; block payloads too. Everything on disk is
/// little-endian and unaligned.
package struct ByteWriter: Sendable {
    package private(set) var bytes: [UInt8]

    package init(capacity: Int = 0) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package var count: Int { bytes.count }

    package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    /// Takes back what was appended after there were `count` bytes.
    package mutating func truncate(to count: Int) { bytes.removeLast(bytes.count - count) }

    package mutating func reserve(_ more: Int) { bytes.reserveCapacity(bytes.count + more) }

    @inline(__always)
    package mutating func append<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// LEB128: seven bits a byte, low bits first, the high bit says that more follow.
    package mutating func appendVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// A signed number as a varint of its zig-zag code (0, −1, 1, −2, …).
    package mutating func appendSignedVarint(_ value: Int64) {
        appendVarint(UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)))
    }

    package mutating func append(_ raw: UnsafeRawBufferPointer) { bytes.append(contentsOf: raw) }
    package mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }

    /// A varint length and as many bytes.
    package mutating func appendText(_ text: [UInt8]) {
        appendVarint(UInt64(text.count))
        bytes.append(contentsOf: text)
    }

    package mutating func appendText(_ text: String) { appendText(Array(text.utf8)) }

    package mutating func appendZeros(_ count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: count))
    }

    package mutating func alignTo(_ alignment: Int) {
        let rest = bytes.count % alignment
        if rest != 0 { appendZeros(alignment - rest) }
    }

    /// Overwrites a number written earlier, such as a length or a checksum.
    package mutating func patch<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        withUnsafeBytes(of: value.littleEndian) { source in
            for (index, byte) in source.enumerated() { bytes[offset + index] = byte }
        }
    }

    /// Appends up to `capacityMax` bytes that `fill` writes into raw memory; it returns how many.
    package mutating func append(
        capacityMax: Int, _ fill: (UnsafeMutableRawBufferPointer) throws -> Int
    ) rethrows {
        let start = bytes.count
        appendZeros(capacityMax)
        // Safe: the buffer lives for the closure and the region was just made.
        let used = try bytes.withUnsafeMutableBytes { buffer in
            try fill(UnsafeMutableRawBufferPointer(rebasing: buffer[start...]))
        }
        precondition(used <= capacityMax, "BUG: a fill passed its capacity")
        bytes.removeLast(capacityMax - used)
    }
}
