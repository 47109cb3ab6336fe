import ApusStorage

/// Makes the checksums of changed segments right again, so that what lies behind them is tested.
enum SegmentForgery {
    /// Where the footer lies, by the trailer.
    static func footerRange(_ bytes: [UInt8]) -> Range<Int> {
        let offset = Int(number(bytes, bytes.count - 48, 8))
        return offset..<(offset + Int(number(bytes, bytes.count - 40, 8)))
    }

    /// Of a footer and the trailer.
    static func renewFooterChecksums(_ forged: inout [UInt8]) {
        let footer = Array(forged[footerRange(forged)])
        store(CRC32C.checksum(footer), &forged, forged.count - 24)
        let trailer = Array(forged[(forged.count - 48)..<(forged.count - 12)])
        store(CRC32C.checksum(trailer), &forged, forged.count - 12)
    }

    /// Of a table's directory, which stands in the footer and is found there by its old value.
    static func renewChecksums(
        _ forged: inout [UInt8], directory: Range<Int>, of original: [UInt8]
    ) {
        let old = checksumBytes(CRC32C.checksum(Array(original[directory])))
        let places = footerRange(original).dropLast(3)
        guard let place = places.first(where: { Array(original[$0..<($0 + 4)]) == old }) else {
            preconditionFailure("BUG: the footer does not have the directory's checksum")
        }
        store(CRC32C.checksum(Array(forged[directory])), &forged, place)
        renewFooterChecksums(&forged)
    }

    static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64($1 * 8) }
    }

    static func checksumBytes(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32($0 * 8)) }
    }

    static func store(_ value: UInt32, _ bytes: inout [UInt8], _ offset: Int) {
        for (index, byte) in checksumBytes(value).enumerated() { bytes[offset + index] = byte }
    }
}
