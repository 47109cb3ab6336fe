// A symbol table says which bits stand for which differences: a Huffman code over short strings of
// small differences, shared by the blocks of a column. Strings instead of single differences let a
// frequent one cost less than a bit, and bring several at a look-up.
//
//     field     size           meaning
//     ────────  ─────────────  ──────────────────────────────────────────────────────────
//     counts    11 varints     how many codes have 1, 2, … 11 bits; ∑ count / 2^bits == 1
//     strings   bits, padded   one a code, in the order of the codes: 3 bits how many differences
//                              (1 ... 7), then 5 bits each, the difference + 15
//
// Codes are canonical: they count up, those of more bits beginning where those of fewer end, and are
// written from their highest bit on. No string stands twice. Unused bits of the last byte are zero.
//
// Decoding looks up 11 bits at a time, and an entry has as many whole codes as fit into them: the
// running sums of up to seven differences, how many there are, and how many bits they took.

/// Strings of differences and the lengths of their codes.
package struct SymbolTable: Sendable, Equatable {
    package static let codeBitsMax = 11
    static let stringLengthMax = 7
    /// Differences are −15 ... 15.
    static let differenceMax = 15

    /// Differences of a code, its length in bits.
    package struct Code: Sendable, Equatable {
        package var string: [Int8]
        package var bitCount: Int
    }

    /// By rising length: the order in which codes count up.
    package let codes: [Code]

    init(codes: [Code]) { self.codes = codes }

    /// The bits of each code as they are written, lowest first.
    var patterns: [UInt16] {
        var patterns: [UInt16] = []
        patterns.reserveCapacity(codes.count)
        var next: UInt32 = 0
        var bitCount = codes.first?.bitCount ?? 0
        for code in codes {
            next &<<= UInt32(code.bitCount &- bitCount)
            bitCount = code.bitCount
            patterns.append(Self.reversed(UInt16(truncatingIfNeeded: next), bitCount))
            next &+= 1
        }
        return patterns
    }

    private static func reversed(_ value: UInt16, _ bitCount: Int) -> UInt16 {
        var result: UInt16 = 0
        for bit in 0..<bitCount where value &>> UInt16(bit) & 1 != 0 {
            result |= 1 &<< UInt16(bitCount &- 1 &- bit)
        }
        return result
    }

    // MARK: Bytes

    func write(to writer: inout ByteWriter) {
        for bitCount in 1...Self.codeBitsMax {
            writer.appendVarint(UInt64(codes.count { $0.bitCount == bitCount }))
        }
        var bits = BitWriter()
        for code in codes {
            bits.append(UInt64(code.string.count), 3)
            for difference in code.string {
                bits.append(UInt64(Int(difference) + Self.differenceMax), 5)
            }
        }
        writer.append(bits.finish())
    }

    /// Reads a table that ends where the bytes do.
    package static func read(_ reader: inout ByteReader) throws(ByteReader.Malformed) -> SymbolTable
    {
        let start = reader.offset
        func malformed(_ reason: String) -> ByteReader.Malformed {
            .init(offset: start, reason: "symbol table: \(reason)")
        }
        var counts: [Int] = []
        var space = 0
        for bitCount in 1...codeBitsMax {
            let count = try reader.readCount(limit: 1 << bitCount)
            counts.append(count)
            space += count << (codeBitsMax - bitCount)
        }
        guard space == 1 << codeBitsMax else { throw malformed("codes leave or lack room") }
        let packed = try reader.readBytes(reader.remaining)
        var bits = BitReader(packed)
        var codes: [Code] = []
        var known: Set<[Int8]> = []
        for (index, count) in counts.enumerated() {
            for _ in 0..<count {
                guard let length = bits.read(3), length > 0 else { throw malformed("no string") }
                var string: [Int8] = []
                for _ in 0..<length {
                    guard let code = bits.read(5), code <= 2 * UInt64(differenceMax) else {
                        throw malformed("a difference out of range")
                    }
                    string.append(Int8(code) - Int8(differenceMax))
                }
                guard known.insert(string).inserted else { throw malformed("a string repeats") }
                codes.append(Code(string: string, bitCount: index + 1))
            }
        }
        guard bits.isAtEnd else { throw malformed("bytes left over") }
        return SymbolTable(codes: codes)
    }
}

/// Bits, low ones first.
struct BitWriter {
    private var bytes: [UInt8] = []
    private var pending: UInt64 = 0
    private var pendingCount = 0

    /// At most 32 at a time.
    mutating func append(_ value: UInt64, _ bitCount: Int) {
        pending |= value &<< UInt64(pendingCount)
        pendingCount &+= bitCount
        while pendingCount >= 8 {
            bytes.append(UInt8(truncatingIfNeeded: pending))
            pending &>>= 8
            pendingCount &-= 8
        }
    }

    func finish() -> [UInt8] {
        pendingCount > 0 ? bytes + [UInt8(truncatingIfNeeded: pending)] : bytes
    }
}

/// What `BitWriter` wrote, from bytes that can't be trusted.
///
/// Safe: no bit past the end is read; the bytes are whoever's who reads them meanwhile.
struct BitReader {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Nil past the end.
    mutating func read(_ bitCount: Int) -> UInt64? {
        guard position + bitCount <= bytes.count * 8 else { return nil }
        var value: UInt64 = 0
        for bit in 0..<bitCount {
            let at = position + bit
            value |= UInt64(bytes[at >> 3] >> UInt8(at & 7) & 1) << UInt64(bit)
        }
        position += bitCount
        return value
    }

    /// Whether less than a byte is left, and nothing but zeros.
    var isAtEnd: Bool {
        var rest = self
        let left = bytes.count * 8 - position
        return left < 8 && rest.read(left) == 0
    }
}
