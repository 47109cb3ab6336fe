// The writing side of coded frames; CodedFrame.swift has the drawing.

internal import ApusKernels

/// Differences of some blocks of a column, before their symbol table is known.
struct CodedDrafts {
    /// One block's numbers.
    struct Block {
        var count: Int
        fileprivate var first: UInt64
        fileprivate var slope: Int64
        fileprivate var lowBits: Int
        fileprivate var differences: Range<Int>
        fileprivate var lows: Range<Int>
        fileprivate var patches: [(position: Int, difference: Int64)]

        /// What a number's distance from the line has above the low bits.
        fileprivate func high(_ numbers: UnsafePointer<UInt64>, _ index: Int) -> Int64 {
            let line = first &+ UInt64(bitPattern: slope) &* UInt64(index)
            return Int64(bitPattern: numbers[index] &- line) >> Int64(lowBits)
        }
    }

    /// How often each difference occurs, by difference + 15.
    private(set) var counts = [Int](repeating: 0, count: 2 * SymbolTable.differenceMax + 1)
    private var differences: [Int8] = []
    private var lows = ByteWriter()

    var differenceCount: Int { differences.count }

    mutating func removeAll() {
        counts = [Int](repeating: 0, count: counts.count)
        differences.removeAll(keepingCapacity: true)
        lows.removeAll()
    }

    /// Takes a block's numbers; nil where they are too few or too wild for codes to pay. 3 ns a number.
    mutating func add(_ numbers: UnsafePointer<UInt64>, count: Int) -> Block? {
        guard count >= CodedFrame.countMin, count <= CodedFrame.countMax else { return nil }
        let shape = CodedShape(numbers, count: count)
        guard shape.lowBits <= CodedFrame.lowBitsMax else { return nil }
        var block = Block(
            count: count, first: numbers[0], slope: shape.slope, lowBits: shape.lowBits,
            differences: differences.count..<(differences.count + count - 1),
            lows: lows.count..<lows.count, patches: [])
        let lowParts = Scratch(count: count)
        let isAdded = withUnsafeTemporaryAllocation(of: Int8.self, capacity: count) { small in
            guard let start = small.baseAddress else { return false }
            block.patches = Self.split(numbers, block, start, lowParts.pointer)
            let symbols = UnsafeBufferPointer(start: start, count: count &- 1)
            guard block.patches.count * 8 <= count, Self.isNear(symbols, count: count) else {
                return false
            }
            Self.count(symbols, into: &counts)
            differences.append(contentsOf: symbols)
            return true
        }
        guard isAdded else { return nil }
        IntegerFrame.appendBits(
            lowParts.pointer, count: count - 1, width: block.lowBits, into: &lows)
        block.lows = block.lows.lowerBound..<lows.count
        return block
    }

    /// In two tables by turns: one count would wait for the one before, mostly of the same.
    private static func count(
        _ differences: UnsafeBufferPointer<Int8>, into counts: inout [Int]
    ) {
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: 64) { tables in
            tables.initialize(repeating: 0)
            for index in differences.indices {
                let place = Int(differences[index]) &+ SymbolTable.differenceMax
                tables[place &+ (index & 1) &* 32] &+= 1
            }
            for place in counts.indices {
                counts[place] += Int(tables[place]) + Int(tables[place + 32])
            }
        }
    }

    /// Puts differences and low bits of numbers 1 … into their places.
    /// - Returns: The differences that are too large for a code, in whose places there is 0.
    private static func split(
        _ numbers: UnsafePointer<UInt64>, _ block: Block,
        _ differences: UnsafeMutablePointer<Int8>, _ lows: UnsafeMutablePointer<UInt64>
    ) -> [(position: Int, difference: Int64)] {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: block.count) { positions in
            // Safe: each has room for a block's numbers.
            let count = apus_split_differences(
                numbers, block.count, UInt64(bitPattern: block.slope), UInt32(block.lowBits),
                differences, lows, positions.baseAddress)
            return positions.prefix(count).map { position in
                let place = Int(position)
                return (place, block.high(numbers, place) &- block.high(numbers, place &- 1))
            }
        }
    }

    /// The symbol table for all blocks added.
    func table() -> SymbolTable {
        guard differences.count > SymbolTableBuilder.sampleMax else {
            return SymbolTableBuilder.build(differences, counts: counts)
        }
        // Pieces from everywhere.
        let pieceCount = 64
        let length = SymbolTableBuilder.sampleMax / pieceCount
        let step = differences.count / pieceCount
        var sample: [Int8] = []
        sample.reserveCapacity(SymbolTableBuilder.sampleMax)
        for piece in 0..<pieceCount {
            sample.append(contentsOf: differences[(piece * step)..<(piece * step + length)])
        }
        return SymbolTableBuilder.build(sample, counts: counts)
    }

    /// Writes a block as a coded frame. About 3 ns a number.
    /// - Returns: False, and nothing is written, where differences that have no code were what kept
    ///   the sums of the others in 16 bits.
    func write(_ block: Block, _ encoder: SymbolEncoder, into writer: inout ByteWriter) -> Bool {
        var patches = block.patches
        var symbols = Array(differences[block.differences])
        if !encoder.knowsAll {
            for index in symbols.indices where !encoder.knows(symbols[index]) {
                patches.append((index + 1, Int64(symbols[index])))
                symbols[index] = 0
            }
            if patches.count > block.patches.count {
                patches.sort { $0.position < $1.position }
                let isNear = symbols.withUnsafeBufferPointer {
                    Self.isNear($0, count: block.count)
                }
                guard isNear else { return false }
            }
        }
        let slopeFlag: UInt8 = block.slope != 0 ? CodedFrame.slopeFlag : 0
        let patchesFlag: UInt8 = patches.isEmpty ? 0 : CodedFrame.patchesFlag
        writer.append(UInt8(block.lowBits) | slopeFlag | patchesFlag)
        writer.appendSignedVarint(Int64(bitPattern: block.first))
        if block.slope != 0 { writer.appendSignedVarint(block.slope) }
        if !patches.isEmpty { Self.write(patches, count: block.count, into: &writer) }
        writer.append(Array(lows.bytes[block.lows]))
        let half = CodedFrame.firstStreamCount(block.count)
        symbols.withUnsafeBufferPointer { symbols in
            writer.append(encoder.encode(UnsafeBufferPointer(rebasing: symbols[..<half])))
            writer.append(
                encoder.encode(UnsafeBufferPointer(rebasing: symbols[half...])).reversed())
        }
        return true
    }

    /// Whether the sums of each stream stay in 16 bits.
    private static func isNear(_ symbols: UnsafeBufferPointer<Int8>, count: Int) -> Bool {
        let half = CodedFrame.firstStreamCount(count)
        guard (half + 1) * SymbolTable.differenceMax > Int(Int16.max) else { return true }
        var sum = 0
        for index in symbols.indices {
            sum = index == half ? Int(symbols[index]) : sum + Int(symbols[index])
            guard abs(sum) <= Int(Int16.max) else { return false }
        }
        return true
    }

    /// The numbers of a block again, `count` of them. 2 ns a number.
    func restore(_ block: Block, into out: UnsafeMutablePointer<UInt64>) {
        let slope = UInt64(bitPattern: block.slope)
        var line = block.first
        out[0] = line
        // Safe: the low bits were packed by `add`; the copy ends with what unpacking may read.
        let packed = Array(lows.bytes[block.lows]) + [UInt8](repeating: 0, count: 16)
        packed.withUnsafeBytes { packed in
            if block.lowBits > 0, let source = packed.baseAddress {
                BitPacking.unpack(
                    source, readable: packed.count, width: block.lowBits, count: block.count - 1,
                    base: 0, into: out + 1)
            } else {
                (out + 1).update(repeating: 0, count: block.count - 1)
            }
        }
        var patches = block.patches[...]
        var sum: Int64 = 0
        for (index, difference) in zip(1..., differences[block.differences]) {
            sum &+= Int64(difference)
            if let patch = patches.first, patch.position == index {
                sum &+= patch.difference
                patches.removeFirst()
            }
            line = line &+ slope
            out[index] = out[index] &+ line &+ UInt64(bitPattern: sum) &<< UInt64(block.lowBits)
        }
    }

    private static func write(
        _ patches: [(position: Int, difference: Int64)], count: Int, into writer: inout ByteWriter
    ) {
        let codes = patches.map {
            UInt64(bitPattern: ($0.difference &<< 1) ^ ($0.difference &>> 63))
        }
        let codeWidth = max(1, BitPacking.width(of: codes.reduce(0, |)))
        writer.appendVarint(UInt64(patches.count))
        writer.append(UInt8(codeWidth))
        IntegerFrame.appendPatches(
            patches.map { UInt64($0.position) }, width: IntegerFrame.positionWidth(count),
            into: &writer)
        IntegerFrame.appendPatches(codes, width: codeWidth, into: &writer)
    }
}

/// The line and the low bits that suit some numbers.
private struct CodedShape {
    private(set) var slope: Int64 = 0
    private(set) var lowBits = 0

    init(_ numbers: UnsafePointer<UInt64>, count: Int) {
        slope = Self.slope(numbers, count: count)
        // All but one in 400 fit into so many bits and a sign: found by halving.
        let differences = Scratch(count: count)
        apus_differences(numbers, count, UInt64(bitPattern: slope), differences.pointer)
        var (width, high) = (0, 63)
        while width < high {
            let middle = (width + high) / 2
            let reach: UInt64 = 1 &<< UInt64(middle)
            let missed = apus_count_outside(
                differences.pointer, count &- 1, 0 &- reach, 2 &* reach &- 1)
            if missed &* 400 <= count { high = middle } else { width = middle + 1 }
        }
        // Differences of up to three bits have short codes, several of which fit into a look-up;
        // the fourth is for the few. Without low bits it is for all: they cost a pass of their own.
        lowBits = width <= 4 ? 0 : width - 3
    }

    /// The middle one of some differences where the others are near it, as those of a counter are,
    /// whatever its resets; else 0.
    private static func slope(_ numbers: UnsafePointer<UInt64>, count: Int) -> Int64 {
        let sampleCount = min(31, count &- 1)
        return withUnsafeTemporaryAllocation(of: Int64.self, capacity: 31) { sample in
            for index in 0..<sampleCount {
                let from = index &* (count &- 1) / sampleCount
                let difference = Int64(bitPattern: numbers[from &+ 1] &- numbers[from])
                var place = index
                while place > 0, sample[place &- 1] > difference {
                    sample[place] = sample[place &- 1]
                    place = place &- 1
                }
                sample[place] = difference
            }
            let middle = sample[sampleCount / 2]
            let near = sample.prefix(sampleCount).count {
                ($0 &- middle).magnitude < middle.magnitude / 2
            }
            return near > sampleCount / 2 ? middle : 0
        }
    }
}
