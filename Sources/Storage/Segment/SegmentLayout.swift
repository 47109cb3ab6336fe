// A segment is one immutable file: the rows of several tables in one partition of one database.
//
//     ┌──────────────────────────────────────────────────────────────┐ 0
//     │ header                                                       │
//     ├──────────────────────────────────────────────────────────────┤ 16
//     │ table 0   group 0   rows stretch       runs, times of blocks │
//     │                     column 0 stretch   payloads of blocks    │
//     │                     column 1 stretch   …                     │
//     │           group 1   …                                        │
//     │           zeros to a multiple of 8                           │
//     │           directory   arrays over the table's blocks         │
//     │           series keys front-coded, in chunks                 │
//     │ table 1   …                                                  │
//     ├──────────────────────────────────────────────────────────────┤ multiple of 8
//     │ footer    identity, schemas, where everything is             │
//     ├──────────────────────────────────────────────────────────────┤
//     │ zeros, at least 16                                           │
//     │ trailer   where the footer is                                │
//     └──────────────────────────────────────────────────────────────┘ multiple of 64
//
// Header
//
//     offset  size  field
//     ──────  ────  ──────────────────────────────────────────────────────
//          0     8  magic           "APUSSEG" and a line feed
//          8     4  format          2
//         12     4  checksum        CRC-32C of bytes 0 ..< 12
//
// Trailer, the last 48 bytes
//
//     offset  size  field
//     ──────  ────  ──────────────────────────────────────────────────────
//          0     8  footerOffset    multiple of 8
//          8     8  footerByteCount
//         16     8  fileByteCount   all bytes of the file
//         24     4  footerChecksum  CRC-32C of the footer
//         28     4  format          2
//         32     4  reserved        zero
//         36     4  checksum        CRC-32C of bytes 0 ..< 36 of the trailer
//         40     8  magic           "APUSEND" and a line feed
//
// The footer and the zeros and trailer behind every block, directory and key keep a 64-byte vector
// load that starts at any of their bytes inside the mapping.

/// Constants of segment files, and their two ends.
package enum SegmentLayout {
    package static let formatNumber: UInt32 = 2
    package static let headerMagic = magic("APUSSEG\n")
    package static let trailerMagic = magic("APUSEND\n")
    package static let headerByteCount = 16
    package static let trailerByteCount = 48
    package static let alignment = 8
    /// The file's size is a multiple of it, and at least so many bytes follow the footer.
    package static let vectorByteCount = 64
    /// No block of any release has more rows; readers refuse more.
    package static let blockRowsLimit = 65_536
    /// Series with fewer rows than this share packed blocks, hours with fewer share series blocks.
    package static let denseRowsMin = 128
    /// Blocks whose payloads in a stretch share a checksum.
    package static let pageBlockCount = 8
    /// Series blocks are cut where times pass a multiple of this.
    package static let hourNanoseconds: Int64 = 3_600_000_000_000

    private static func magic(_ text: StaticString) -> UInt64 {
        precondition(text.utf8CodeUnitCount == 8, "BUG: a magic has eight bytes")
        var value: UInt64 = 0
        // Safe: the static string has eight bytes, checked above.
        for index in 0..<8 { value |= UInt64(text.utf8Start[index]) << UInt64(index * 8) }
        return value
    }

    package static func aligned(_ offset: Int) -> Int { (offset &+ 7) & ~7 }

    static func header() -> [UInt8] {
        var writer = ByteWriter(capacity: headerByteCount)
        writer.append(headerMagic)
        writer.append(formatNumber)
        writer.append(CRC32C.checksum(writer.bytes))
        return writer.bytes
    }

    /// Zeros and trailer to write right behind a footer that starts at `footerOffset`.
    static func ending(footerOffset: Int, footer: [UInt8]) -> [UInt8] {
        let footerEnd = footerOffset + footer.count
        let least = footerEnd + 16 + trailerByteCount
        let fileByteCount = (least + vectorByteCount - 1) / vectorByteCount * vectorByteCount
        var trailer = ByteWriter(capacity: trailerByteCount)
        trailer.append(UInt64(footerOffset))
        trailer.append(UInt64(footer.count))
        trailer.append(UInt64(fileByteCount))
        trailer.append(CRC32C.checksum(footer))
        trailer.append(formatNumber)
        trailer.append(UInt32(0))
        trailer.append(CRC32C.checksum(trailer.bytes))
        trailer.append(trailerMagic)
        var writer = ByteWriter(capacity: 128)
        writer.appendZeros(fileByteCount - footerEnd - trailerByteCount)
        writer.append(trailer.bytes)
        return writer.bytes
    }

    /// Checks both ends of a mapped file and the footer's checksum.
    /// - Returns: Where the footer lies, and the file's format.
    static func locateFooter(
        _ bytes: UnsafeRawBufferPointer, file: String
    ) throws(StorageError) -> (range: Range<Int>, format: UInt32) {
        func corrupt(_ offset: Int, _ reason: String) -> StorageError {
            .corrupt(file: file, offset: UInt64(offset), reason: reason)
        }
        guard bytes.count >= headerByteCount + trailerByteCount else {
            throw corrupt(bytes.count, "\(bytes.count) bytes are too few for a segment")
        }
        // Safe (all loads of this function): the file holds a header and a trailer, checked above.
        func load<T: FixedWidthInteger>(_ offset: Int, as: T.Type = T.self) -> T {
            T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        }
        guard load(0, as: UInt64.self) == headerMagic else {
            throw corrupt(0, "no segment begins like this")
        }
        let headerChecksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[0..<12]))
        guard load(12, as: UInt32.self) == headerChecksum else {
            throw corrupt(12, "the header's checksum does not match")
        }
        let format: UInt32 = load(8)
        try checkFormat(format, file: file)
        let trailer = bytes.count - trailerByteCount
        guard load(trailer + 40, as: UInt64.self) == trailerMagic else {
            throw corrupt(trailer + 40, "no segment ends like this: cut short or appended to")
        }
        let trailerBytes = UnsafeRawBufferPointer(rebasing: bytes[trailer..<(trailer + 36)])
        guard load(trailer + 36, as: UInt32.self) == CRC32C.checksum(trailerBytes) else {
            throw corrupt(trailer + 36, "the trailer's checksum does not match")
        }
        try checkFormat(load(trailer + 28), file: file)
        guard load(trailer + 28, as: UInt32.self) == format else {
            throw corrupt(trailer + 28, "header and trailer differ in the format")
        }
        let offset: UInt64 = load(trailer)
        let count: UInt64 = load(trailer + 8)
        guard load(trailer + 16, as: UInt64.self) == UInt64(bytes.count) else {
            throw corrupt(trailer + 16, "the file has \(bytes.count) bytes, the trailer says else")
        }
        guard load(trailer + 32, as: UInt32.self) == 0, offset % UInt64(alignment) == 0,
            offset >= UInt64(headerByteCount), offset <= UInt64(trailer),
            count <= UInt64(trailer) - offset
        else { throw corrupt(trailer, "the trailer points outside the file") }
        let footer = Int(offset)..<Int(offset + count)
        let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[footer]))
        guard checksum == load(trailer + 24) else {
            throw corrupt(footer.lowerBound, "the footer's checksum does not match")
        }
        return (footer, format)
    }

    /// Where a footer lies whose checksum matches, whatever else is wrong with the file.
    static func salvageFooter(
        _ bytes: UnsafeRawBufferPointer
    ) -> (range: Range<Int>, format: UInt32)? {
        guard bytes.count >= headerByteCount + trailerByteCount else { return nil }
        let trailer = bytes.count - trailerByteCount
        // Safe (all loads of this function): the file holds a trailer, checked above.
        func load<T: FixedWidthInteger>(_ offset: Int, as: T.Type = T.self) -> T {
            T(littleEndian: bytes.loadUnaligned(fromByteOffset: trailer + offset, as: T.self))
        }
        let (offset, count): (UInt64, UInt64) = (load(0), load(8))
        let format: UInt32 = load(28)
        guard (1...formatNumber).contains(format), offset >= UInt64(headerByteCount),
            offset <= UInt64(trailer), count <= UInt64(trailer) - offset
        else { return nil }
        let footer = Int(offset)..<Int(offset + count)
        let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[footer]))
        return checksum == load(24) ? (footer, format) : nil
    }

    private static func checkFormat(_ found: UInt32, file: String) throws(StorageError) {
        guard (1...formatNumber).contains(found) else {
            throw .unsupportedFormat(file: file, found: found, newestKnown: formatNumber)
        }
    }
}
