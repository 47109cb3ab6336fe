// The writing side of a symbol table; SymbolTable.swift has the drawing.

/// Writes differences under a symbol table.
struct SymbolEncoder {
    private let trie: SymbolTrie
    /// By node of the trie: the bits of its string, and from bit 58 on how many there are.
    private let codes: [UInt64]
    /// The same of the shortest string that begins like a node's, for the end of a stream.
    private let lastCodes: [UInt64]
    /// Whether every difference has a code.
    let knowsAll: Bool

    private static let countShift: UInt64 = 58

    init(_ table: SymbolTable) {
        var trie = SymbolTrie()
        for code in table.codes.sorted(by: { $0.string.count < $1.string.count }) {
            for end in code.string.indices { trie.insert(Array(code.string[...end])) }
        }
        var byString: [[Int8]: UInt64] = [:]
        for (code, pattern) in zip(table.codes, table.patterns) {
            byString[code.string] = UInt64(pattern) | UInt64(code.bitCount) << Self.countShift
        }
        var codes = trie.strings.map { byString[$0] ?? 0 }
        let isCoded = codes.map { $0 != 0 }
        var lastCodes = codes
        for node in codes.indices.dropFirst() {
            if !isCoded[node] {
                codes[node] = trie.parts(of: node, isCoded).reduce(0) { Self.join($0, codes[$1]) }
            }
            // Every prefix of a string has a node.
            guard isCoded[node] else { continue }
            for length in 1..<trie.strings[node].count {
                let prefix = trie.node(of: trie.strings[node].prefix(length))
                let known = lastCodes[prefix]
                if known == 0 || codes[node] >> Self.countShift < known >> Self.countShift {
                    lastCodes[prefix] = codes[node]
                }
            }
        }
        self.codes = codes
        self.lastCodes = lastCodes
        self.trie = trie
        let all = -SymbolTable.differenceMax...SymbolTable.differenceMax
        knowsAll = all.allSatisfy { trie.has(Int8($0)) }
    }

    private static func join(_ first: UInt64, _ second: UInt64) -> UInt64 {
        let count = first >> countShift
        let bits = first & (1 << countShift - 1) | (second & (1 << countShift - 1)) << count
        return bits | (count + second >> countShift) << countShift
    }

    func knows(_ difference: Int8) -> Bool { trie.has(difference) }

    /// One stream, padded to a byte. All differences are known.
    func encode(_ differences: UnsafeBufferPointer<Int8>) -> [UInt8] {
        let room = differences.count * SymbolTable.codeBitsMax / 8 + 32
        return [UInt8](unsafeUninitializedCapacity: room) { bytes, count in
            var pending: UInt64 = 0
            var pendingBits: UInt64 = 0
            let target = UnsafeMutableRawBufferPointer(bytes)
            var place = 0
            func put(_ code: UInt64) {
                pending |= (code & (1 << Self.countShift - 1)) &<< pendingBits
                pendingBits &+= code &>> Self.countShift
                // Safe: a difference takes 11 bits at most, and `room` is for those.
                target.storeBytes(of: pending.littleEndian, toByteOffset: place, as: UInt64.self)
                let whole = pendingBits & ~7
                place &+= Int(truncatingIfNeeded: whole &>> 3)
                pending = whole < 64 ? pending &>> whole : 0
                pendingBits &= 7
            }
            codes.withUnsafeBufferPointer { codes in
                let last = trie.cut(differences) { node in put(codes[node]) }
                if last != 0 { put(lastCodes[last]) }
            }
            count = place &+ (pendingBits > 0 ? 1 : 0)
        }
    }
}
