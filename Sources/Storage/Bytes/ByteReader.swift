/// Reads what `ByteWriter` wrote, from bytes that cannot be trusted.
///
/// Every read is checked against the end and throws `Malformed` instead of trapping. Lengths read
/// from the input are checked before anything is allocated by them.
package struct ByteReader {
    /// The bytes end early or hold an impossible number. `offset` is where the read began.
    package struct Malformed: Error, Equatable, Sendable {
        package var offset: Int
        package var reason: String

        package init(offset: Int, reason: String) {
            self.offset = offset
            self.reason = reason
        }
    }

    package let buffer: UnsafeRawBufferPointer
    package private(set) var offset: Int

    package init(_ buffer: UnsafeRawBufferPointer, offset: Int = 0) {
        self.buffer = buffer
        self.offset = offset
    }

    package var remaining: Int { buffer.count - offset }
    package var isAtEnd: Bool { offset >= buffer.count }

    @inline(__always)
    package mutating func read<T: FixedWidthInteger>(_: T.Type = T.self) throws(Malformed) -> T {
        let size = MemoryLayout<T>.size
        guard remaining >= size else { throw Malformed(offset: offset, reason: "ends early") }
        // Safe: the bound was checked on the line above.
        let value = buffer.loadUnaligned(fromByteOffset: offset, as: T.self)
        offset += size
        return T(littleEndian: value)
    }

    @inline(__always)
    package mutating func readVarint() throws(Malformed) -> UInt64 {
        // Most are short.
        if offset < buffer.count, buffer[offset] < 0x80 {
            defer { offset += 1 }
            return UInt64(buffer[offset])
        }
        return try readLongVarint()
    }

    private mutating func readLongVarint() throws(Malformed) -> UInt64 {
        let start = offset
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard offset < buffer.count else {
                throw Malformed(offset: start, reason: "a varint ends early")
            }
            let byte = buffer[offset]
            offset += 1
            guard shift < 63 || byte <= 1 else {
                throw Malformed(offset: start, reason: "a varint passes 64 bits")
            }
            value |= UInt64(byte & 0x7F) &<< shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }

    package mutating func readSignedVarint() throws(Malformed) -> Int64 {
        let code = try readVarint()
        return Int64(bitPattern: code &>> 1) ^ -Int64(bitPattern: code & 1)
    }

    /// A varint that has to be at most `limit`, as an Int.
    package mutating func readCount(limit: Int) throws(Malformed) -> Int {
        let start = offset
        let value = try readVarint()
        guard value <= UInt64(limit) else {
            throw Malformed(offset: start, reason: "\(value) passes the limit \(limit)")
        }
        return Int(value)
    }

    @inline(__always)
    package mutating func readBytes(_ count: Int) throws(Malformed) -> UnsafeRawBufferPointer {
        guard count >= 0, remaining >= count else {
            throw Malformed(offset: offset, reason: "\(count) bytes wanted, \(remaining) left")
        }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + count)])
    }

    package mutating func readText(limit: Int = 1 << 24) throws(Malformed) -> [UInt8] {
        let count = try readCount(limit: limit)
        return Array(try readBytes(count))
    }

    package mutating func readString(limit: Int = 1 << 24) throws(Malformed) -> String {
        String(decoding: try readText(limit: limit), as: UTF8.self)
    }

    package mutating func skip(_ count: Int) throws(Malformed) { _ = try readBytes(count) }
}
