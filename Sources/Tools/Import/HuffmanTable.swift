// Codes of deflate as tables to look bits up in.
//
//     entry bits  meaning
//     ──────────  ──────────────────────────────────────────────────────────────────────────
//      0–4        bits of the code, the whole of it also in linked parts
//      5–8        extra bits that follow; of a link, the bits of the part it leads to
//      9–23       the literal, the base of length or distance; of a link, where its part begins
//     28          the block's end
//     29          a link: the code is longer than the root
//     30          special: a link, the end, or a code that means nothing
//     31          a literal

/// A table with a root of `rootBits` and linked parts for longer codes. For one thread.
///
/// Safe: the memory is owned here, freed once, and as large as the largest set of codes needs: a
/// linked part has at least two of 288 symbols and at most 2^(15 − rootBits) entries.
final class HuffmanTable {
    static let bitsMask: UInt32 = 31
    static let extraShift: UInt32 = 5
    static let extraMask: UInt32 = 15
    static let baseShift: UInt32 = 9
    static let baseMask: UInt32 = 0x7FFF
    static let isEnd: UInt32 = 1 << 28
    static let isLink: UInt32 = 1 << 29
    static let special: UInt32 = 1 << 30
    static let isLiteral: UInt32 = 1 << 31

    static let codeBitsMax = 15
    private static let symbolsMax = 288

    let entries: UnsafeMutablePointer<UInt32>
    private let rootBits: Int
    private let codeBitsMax: Int

    init(rootBits: Int, codeBitsMax: Int = codeBitsMax) {
        self.rootBits = rootBits
        self.codeBitsMax = codeBitsMax
        let linked =
            codeBitsMax > rootBits ? Self.symbolsMax / 2 * (1 << (codeBitsMax - rootBits)) : 0
        entries = .allocate(capacity: 1 << rootBits + linked)
        entries.initialize(repeating: Self.special, count: 1 << rootBits + linked)
    }

    deinit { entries.deallocate() }

    /// Lays out the codes that go with their lengths, 0 for none.
    /// - Parameter entry: What a symbol means, without the bits of its code.
    /// - Parameter mayBeAlone: Whether there may be one code only, of one bit, or none.
    /// - Returns: False for lengths that make no code: too many of them, or too few.
    func build(_ lengths: [UInt8], mayBeAlone: Bool = true, entry: (Int) -> UInt32) -> Bool {
        precondition(lengths.count <= Self.symbolsMax, "BUG: more symbols than deflate has")
        var counts = [Int](repeating: 0, count: codeBitsMax + 1)
        for length in lengths {
            guard length <= codeBitsMax else { return false }
            counts[Int(length)] += 1
        }
        counts[0] = 0
        var nextCodes = [Int](repeating: 0, count: codeBitsMax + 2)
        var (left, longest) = (1, 0)
        for bits in 1...codeBitsMax {
            left = left * 2 - counts[bits]
            guard left >= 0 else { return false }
            nextCodes[bits + 1] = (nextCodes[bits] + counts[bits]) * 2
            if counts[bits] > 0 { longest = bits }
        }
        guard left == 0 || mayBeAlone && longest <= 1 else { return false }
        entries.update(repeating: Self.special, count: 1 << rootBits)
        var codes: [(symbol: Int, bits: Int, code: Int)] = []
        for (symbol, length) in lengths.enumerated() where length > 0 {
            let bits = Int(length)
            codes.append((symbol, bits, Self.reversed(nextCodes[bits], bits)))
            nextCodes[bits] += 1
        }
        link(codes)
        for (symbol, bits, code) in codes {
            let meaning = entry(symbol) | UInt32(bits)
            if bits <= rootBits {
                for place in stride(from: code, to: 1 << rootBits, by: 1 << bits) {
                    entries[place] = meaning
                }
            } else {
                let link = entries[code & (1 << rootBits - 1)]
                let start = Int(link >> Self.baseShift & Self.baseMask)
                let partBits = Int(link >> Self.extraShift & Self.extraMask)
                for place in stride(
                    from: code >> rootBits, to: 1 << partBits, by: 1 << (bits - rootBits))
                { entries[start + place] = meaning }
            }
        }
        return true
    }

    /// Puts links in the root's places of all longer codes.
    private func link(_ codes: [(symbol: Int, bits: Int, code: Int)]) {
        var partBits: [Int: Int] = [:]
        for (_, bits, code) in codes where bits > rootBits {
            let root = code & (1 << rootBits - 1)
            partBits[root] = max(partBits[root] ?? 0, bits - rootBits)
        }
        var next = 1 << rootBits
        for (root, bits) in partBits {
            entries[root] =
                Self.special | Self.isLink | UInt32(bits) << Self.extraShift
                | UInt32(next) << Self.baseShift
            next += 1 << bits
        }
    }

    /// Codes are written from their highest bit on, everything else from the lowest.
    private static func reversed(_ code: Int, _ bits: Int) -> Int {
        var (rest, result) = (code, 0)
        for _ in 0..<bits {
            result = result << 1 | rest & 1
            rest >>= 1
        }
        return result
    }
}

/// What deflate's symbols mean.
enum DeflateSymbols {
    /// In which order the lengths of the codes of code lengths come.
    static let codeOrder = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ]

    static func literal(_ symbol: Int) -> UInt32 {
        switch symbol {
        case ..<256: HuffmanTable.isLiteral | UInt32(symbol) << HuffmanTable.baseShift
        case 256: HuffmanTable.special | HuffmanTable.isEnd
        case 285: meaning(base: 258, extra: 0)
        case ..<265: meaning(base: symbol - 254, extra: 0)
        case ..<285:
            // Four lengths share a number of extra bits.
            meaning(
                base: 3 + (4 + (symbol - 265) % 4) << ((symbol - 265) / 4 + 1),
                extra: (symbol - 265) / 4 + 1)
        default: HuffmanTable.special
        }
    }

    static func distance(_ symbol: Int) -> UInt32 {
        switch symbol {
        case ..<4: meaning(base: symbol + 1, extra: 0)
        case ..<30:
            meaning(
                base: 1 + (2 + symbol % 2) << (symbol / 2 - 1), extra: symbol / 2 - 1)
        default: HuffmanTable.special
        }
    }

    private static func meaning(base: Int, extra: Int) -> UInt32 {
        UInt32(base) << HuffmanTable.baseShift | UInt32(extra) << HuffmanTable.extraShift
    }
}
