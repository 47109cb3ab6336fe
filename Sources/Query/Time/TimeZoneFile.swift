// The system's time zone files (RFC 8536), version 2 and later. All numbers are big-endian.
//
//     offset  size  field
//     ──────  ────  ──────────────────────────────────────────────────────
//          0     4  magic             "TZif"
//          4     1  version           0, or "2" and up
//          5    15  reserved
//         20     4  utcIndicators     counts of what follows the header
//         24     4  standardIndicators
//         28     4  leaps
//         32     4  transitions
//         36     4  types
//         40     4  abbreviationBytes
//         44        body: transitions × timeSize, transitions × 1, types × 6,
//                   abbreviationBytes, leaps × (timeSize + 4), indicators
//
// The first header and body have timeSize 4 and are passed over; the second pair has timeSize 8;
// behind it, between two newlines, the POSIX TZ rule for times after the last transition.

/// The transitions of a zone as its file lists them.
struct TimeZoneFile {
    /// Seconds since 1970 UTC from which `offsets[i + 1]` holds, ascending.
    var transitions: [Int64] = []
    /// Seconds east of UTC: before the first transition, then from each one on.
    var offsets: [Int32] = []
    /// The rule text for later times, empty if none.
    var rule = ""

    /// Reads the bytes of a file; nil if they are not a well-formed version 2 file.
    init?(_ bytes: [UInt8]) {
        guard let first = Header(bytes, at: 0), first.version >= 0x32,
            let second = Header(bytes, at: 44 + first.bodyByteCount(timeSize: 4))
        else { return nil }
        let body = second.offset + 44
        let end = body + second.bodyByteCount(timeSize: 8)
        guard end <= bytes.count, second.types > 0 else { return nil }
        let indexes = body + second.transitions * 8
        let types = indexes + second.transitions
        func offset(ofType index: Int) -> Int32? {
            guard index < second.types else { return nil }
            let value = Int32(
                truncatingIfNeeded: Header.integer(bytes, at: types + index * 6, size: 4))
            // A day and a bit either way is more than any zone ever had.
            return abs(Int(value)) <= 100_000 ? value : nil
        }
        guard let initial = offset(ofType: 0) else { return nil }
        offsets.append(initial)
        for index in 0..<second.transitions {
            let time = Int64(bitPattern: Header.integer(bytes, at: body + index * 8, size: 8))
            guard let value = offset(ofType: Int(bytes[indexes + index])),
                transitions.last.map({ $0 < time }) ?? true
            else { return nil }
            transitions.append(time)
            offsets.append(value)
        }
        if end < bytes.count, bytes[end] == 0x0A,
            let close = bytes[(end + 1)...].firstIndex(of: 0x0A)
        {
            rule = String(decoding: bytes[(end + 1)..<close], as: UTF8.self)
        }
    }

    private struct Header {
        let offset: Int
        let version: UInt8
        let utcIndicators: Int
        let standardIndicators: Int
        let leaps: Int
        let transitions: Int
        let types: Int
        let abbreviationBytes: Int

        init?(_ bytes: [UInt8], at offset: Int) {
            guard offset >= 0, offset + 44 <= bytes.count,
                Array(bytes[offset..<offset + 4]) == Array("TZif".utf8)
            else { return nil }
            self.offset = offset
            version = bytes[offset + 4]
            func count(_ index: Int) -> Int {
                Int(Header.integer(bytes, at: offset + 20 + index * 4, size: 4))
            }
            utcIndicators = count(0)
            standardIndicators = count(1)
            leaps = count(2)
            transitions = count(3)
            types = count(4)
            abbreviationBytes = count(5)
        }

        /// Counts have 32 bits, so that the sum fits an Int with room to spare.
        func bodyByteCount(timeSize: Int) -> Int {
            transitions * (timeSize + 1) + types * 6 + abbreviationBytes
                + leaps * (timeSize + 4) + standardIndicators + utcIndicators
        }

        static func integer(_ bytes: [UInt8], at offset: Int, size: Int) -> UInt64 {
            bytes[offset..<offset + size].reduce(0) { $0 << 8 | UInt64($1) }
        }
    }
}
