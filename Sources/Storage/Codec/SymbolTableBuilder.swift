// Chooses the strings of a symbol table and the lengths of their codes.
//
// Strings grow from single differences, after Tunstall (1967): the sample is cut into the longest
// strings known, and those that make up too much of it get longer by each difference that followed
// them. Lengths of codes are Huffman's with a limit, by the package-merge algorithm of Larmore and
// Hirschberg (JACM 1990).

/// Strings by their differences, for cutting a sequence into the longest known ones.
struct SymbolTrie {
    private static let fanOut = 32
    /// Node 0 is the root; a node's children by difference + 15, 0 where there is none.
    private var children = [UInt16](repeating: 0, count: fanOut)
    private(set) var strings: [[Int8]] = [[]]

    /// Adds a string whose prefixes are there.
    mutating func insert(_ string: [Int8]) {
        var node = 0
        for difference in string.dropLast() { node = child(node, difference) }
        guard let last = string.last, child(node, last) == 0 else { return }
        children[node * Self.fanOut + Self.place(last)] = UInt16(strings.count)
        strings.append(string)
        children.append(contentsOf: repeatElement(0, count: Self.fanOut))
    }

    @inline(__always)
    private static func place(_ difference: Int8) -> Int {
        Int(difference) &+ SymbolTable.differenceMax
    }

    private func child(_ node: Int, _ difference: Int8) -> Int {
        Int(children[node * Self.fanOut + Self.place(difference)])
    }

    /// The node of a string that is there.
    func node(of string: ArraySlice<Int8>) -> Int { string.reduce(0) { child($0, $1) } }

    func has(_ difference: Int8) -> Bool { child(0, difference) != 0 }

    /// Calls `body` with the node of each string that `differences` are cut into but the last.
    /// All differences are ones that `has` knows.
    /// - Returns: The node of the last, 0 without any differences.
    @inline(__always)
    @discardableResult
    func cut(_ differences: UnsafeBufferPointer<Int8>, _ body: (Int) -> Void) -> Int {
        // Safe: nodes are those of the trie, and differences −15 ... 15.
        children.withUnsafeBufferPointer { children in
            guard let children = children.baseAddress else { return 0 }
            var node = 0
            for difference in differences {
                let place = Self.place(difference)
                var next = Int(children[node &* Self.fanOut &+ place])
                if next == 0 {
                    body(node)
                    next = Int(children[place])
                }
                node = next
            }
            return node
        }
    }

    /// The strings with a code that a node's string is put together of.
    func parts(of node: Int, _ isCoded: [Bool]) -> [Int] {
        var parts: [Int] = []
        var rest = strings[node][...]
        while !rest.isEmpty {
            var (place, length, best, bestLength) = (0, 0, 0, 0)
            for difference in rest {
                place = child(place, difference)
                guard place != 0 else { break }
                length += 1
                if isCoded[place] { (best, bestLength) = (place, length) }
            }
            parts.append(best)
            rest = rest.dropFirst(max(1, bestLength))
        }
        return parts
    }
}

package enum SymbolTableBuilder {
    /// Differences that are enough to tell how often strings occur.
    static let sampleMax = 1 << 15
    private static let rounds = 4
    private static let stringsMax = 640
    /// Strings that are more than one in so many get longer …
    private static let growShare = 12
    /// … by differences that follow them in more than one string of so many, …
    private static let followerShare = 8_000
    /// … and get a code if they are then more than one in so many.
    private static let pruneShare = 8_000

    /// The table for a sample.
    /// - Parameter counts: How often each difference (+ 15) occurs in all there is. The rarest get
    ///   no code; 0 always does.
    static func build(_ sample: [Int8], counts: [Int]) -> SymbolTable {
        let kept = keptDifferences(counts)
        var trie = SymbolTrie()
        for difference in kept { trie.insert([difference]) }
        let isKept = { (difference: Int8) in kept.contains(difference) }
        let known = sample.map { isKept($0) ? $0 : 0 }
        return known.withUnsafeBufferPointer { sample in
            var best = codes(of: trie, for: sample)
            for _ in 0..<rounds {
                guard grow(&trie, sample) else { break }
                let next = codes(of: trie, for: sample)
                if next.bitCount < best.bitCount { best = next }
            }
            return best.table
        }
    }

    /// A patch takes some two bytes, a code of eleven bits a 2,048th of all room: where a
    /// difference occurs once in 32,768 times they cost the same.
    private static func keptDifferences(_ counts: [Int]) -> [Int8] {
        let total = counts.reduce(0, +)
        var kept: [Int8] = [0]
        for (index, count) in counts.enumerated() where count > 0 && count >= total >> 15 {
            let difference = Int8(index - SymbolTable.differenceMax)
            if difference != 0 { kept.append(difference) }
        }
        if kept.count == 1 { kept.append(1) }
        return kept
    }

    /// Makes frequent strings longer.
    /// - Returns: Whether there were any.
    private static func grow(_ trie: inout SymbolTrie, _ sample: UnsafeBufferPointer<Int8>) -> Bool
    {
        let places = 32
        var counts = [Int](repeating: 0, count: trie.strings.count)
        var followers = [Int](repeating: 0, count: trie.strings.count * places)
        var total = 0
        var position = 0
        trie.cut(sample) { node in
            counts[node] += 1
            total += 1
            position += trie.strings[node].count
            followers[node * places + Int(sample[position]) + SymbolTable.differenceMax] += 1
        }
        var added: [(string: [Int8], count: Int)] = []
        for node in counts.indices
        where counts[node] * growShare > total
            && trie.strings[node].count < SymbolTable.stringLengthMax
        {
            for place in 0..<places where followers[node * places + place] * followerShare > total {
                added.append(
                    (
                        trie.strings[node] + [Int8(place - SymbolTable.differenceMax)],
                        followers[node * places + place]
                    ))
            }
        }
        added.sort { $0.count > $1.count }
        for (string, _) in added.prefix(max(0, stringsMax - trie.strings.count)) {
            trie.insert(string)
        }
        return !added.isEmpty
    }

    /// Gives codes to the strings that are worth them.
    /// - Returns: The table, and how many bits the sample takes under it.
    private static func codes(
        of trie: SymbolTrie, for sample: UnsafeBufferPointer<Int8>
    ) -> (table: SymbolTable, bitCount: Int) {
        var counts = count(trie, sample)
        let total = counts.reduce(0, +)
        var isCoded = zip(trie.strings, counts).map { $0.count == 1 || $1 * pruneShare > total }
        isCoded[0] = false
        // What has no code is put together of others.
        for node in counts.indices.reversed() where !isCoded[node] && counts[node] > 0 {
            for part in trie.parts(of: node, isCoded) { counts[part] += counts[node] }
        }
        let order = counts.indices.filter { isCoded[$0] }.sorted {
            counts[$0] != counts[$1] ? counts[$0] < counts[$1] : $0 > $1
        }
        // A difference that the sample lacks may come later.
        let lengths = limitedLengths(order.map { max(1, counts[$0] * 8) })
        let codes = zip(order, lengths).map {
            SymbolTable.Code(string: trie.strings[$0], bitCount: $1)
        }
        let bitCount = zip(order, lengths).reduce(0) { $0 + counts[$1.0] * $1.1 }
        return (SymbolTable(codes: codes.reversed()), bitCount)
    }

    private static func count(_ trie: SymbolTrie, _ sample: UnsafeBufferPointer<Int8>) -> [Int] {
        var counts = [Int](repeating: 0, count: trie.strings.count)
        trie.cut(sample) { node in counts[node] += 1 }
        return counts
    }

    /// Code lengths for ascending weights, at least two and at most 2,048 of them.
    package static func limitedLengths(_ weights: [Int]) -> [Int] {
        // At each level the coins of all weights, and pairs of the level before.
        var levels: [[Bool]] = []
        var before: [Int] = []
        for _ in 0..<SymbolTable.codeBitsMax {
            var merged: [Int] = []
            var isCoin: [Bool] = []
            var (coin, pair) = (0, 0)
            while coin < weights.count || pair + 1 < before.count {
                let pairWeight = pair + 1 < before.count ? before[pair] + before[pair + 1] : Int.max
                if coin < weights.count, weights[coin] <= pairWeight {
                    merged.append(weights[coin])
                    isCoin.append(true)
                    coin += 1
                } else {
                    merged.append(pairWeight)
                    isCoin.append(false)
                    pair += 2
                }
            }
            levels.append(isCoin)
            before = merged
        }
        var lengths = [Int](repeating: 0, count: weights.count)
        var taken = 2 * weights.count - 2
        for isCoin in levels.reversed() {
            let coins = isCoin.prefix(taken).count { $0 }
            for index in 0..<coins { lengths[index] += 1 }
            taken = 2 * (min(taken, isCoin.count) - coins)
        }
        return lengths
    }
}
