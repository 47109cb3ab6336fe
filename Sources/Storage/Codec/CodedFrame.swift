// A coded frame holds `count` 64-bit numbers near a line as differences under a symbol table: at a
// percent or two above the entropy of the differences, where a packed frame pays for the widest.
//
//     field       size    present   meaning
//     ──────────  ──────  ────────  ────────────────────────────────────────────────────────
//     shape       1       always    bits 0–5: low bits a number, 0 ... 48; bit 6: there is a slope;
//                                   bit 7: there are patches
//     first       varint  always    zig-zag: number 0
//     slope       varint  if bit 6  zig-zag
//     patches     varint  if bit 7  how many, 1 ... count − 1
//     codeWidth   1       if bit 7  bits a patch's code, 1 ... 64
//     positions   bits    if bit 7  patches × bits of (count − 1), ascending, horizontal
//     codes       bits    if bit 7  patches × codeWidth, horizontal: zig-zag
//     lows        bits    always    (count − 1) × low bits, see BitPacking
//     streams     rest    always    differences 1 ... count − 1 under the symbol table
//
//     number[i] = first + slope × i + sum[i] × 2^lowBits + low[i]          (modulo 2^64)
//     sum[i]    = all differences and patches up to i
//
// Two streams share the last bytes, since two are decoded in the time of one: the first has the
// differences 1 ... count / 2 from the front on, the second the others from the last byte backwards.
// Each is codes, low bits first, padded with zeros to a byte. A patch is added to the difference at
// its position. The differences alone, without patches, add up to 16 bits with a sign in each stream.

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

    /// Takes a block's numbers; nil where they are too few or too wild for codes to pay.
    mutating func add(_ numbers: UnsafePointer<UInt64>, count: Int) -> Block? {
        guard count >= CodedFrame.countMin, count <= CodedFrame.countMax else { return nil }
        let shape = CodedShape(numbers, count: count)
        guard shape.lowBits <= CodedFrame.lowBitsMax else { return nil }
        var block = Block(
            count: count, first: numbers[0], slope: shape.slope, lowBits: shape.lowBits,
            differences: differences.count..<(differences.count + count - 1),
            lows: lows.count..<lows.count, patches: [])
        let start = differences.count
        differences.append(contentsOf: repeatElement(0, count: count - 1))
        let scratch = Scratch(count: count)
        let fits = differences.withUnsafeMutableBufferPointer { all in
            Self.split(numbers, &block, all.baseAddress.map { $0 + start }, scratch.pointer)
        }
        guard fits, block.patches.count * 8 <= count else {
            differences.removeLast(count - 1)
            return nil
        }
        Self.count(differences[block.differences], into: &counts)
        IntegerFrame.appendBits(
            scratch.pointer, count: count - 1, width: block.lowBits, into: &lows)
        block.lows = block.lows.lowerBound..<lows.count
        return block
    }

    /// In two tables by turns: one count would wait for the one before, mostly of the same.
    private static func count(_ differences: ArraySlice<Int8>, into counts: inout [Int]) {
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: 64) { tables in
            tables.initialize(repeating: 0)
            differences.withUnsafeBufferPointer { differences in
                for index in differences.indices {
                    let place = Int(differences[index]) &+ SymbolTable.differenceMax
                    tables[place &+ (index & 1) &* 32] &+= 1
                }
            }
            for place in counts.indices {
                counts[place] += Int(tables[place]) + Int(tables[place + 32])
            }
        }
    }

    /// Puts differences and low bits of numbers 1 … into their places.
    /// - Returns: Whether their sums stay in 16 bits.
    private static func split(
        _ numbers: UnsafePointer<UInt64>, _ block: inout Block, _ out: UnsafeMutablePointer<Int8>?,
        _ lows: UnsafeMutablePointer<UInt64>
    ) -> Bool {
        guard let out else { return false }
        let keep = BitPacking.mask(block.lowBits)
        let shift = Int64(block.lowBits)
        var before: Int64 = 0
        var line = block.first
        var sum = 0
        var reach = 0
        let half = CodedFrame.firstStreamCount(block.count)
        for index in 1..<block.count {
            line = line &+ UInt64(bitPattern: block.slope)
            let distance = numbers[index] &- line
            lows[index &- 1] = distance & keep
            let high = Int64(bitPattern: distance) &>> shift
            let difference = high &- before
            before = high
            if index &- 1 == half { sum = 0 }
            if difference.magnitude <= UInt64(SymbolTable.differenceMax) {
                out[index &- 1] = Int8(truncatingIfNeeded: difference)
                sum = sum &+ Int(difference)
                reach = max(reach, abs(sum))
            } else {
                out[index &- 1] = 0
                block.patches.append((index, difference))
            }
        }
        return reach <= Int(Int16.max)
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
                guard Self.isNear(symbols, count: block.count) else { return false }
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
    private static func isNear(_ symbols: [Int8], count: Int) -> Bool {
        let half = CodedFrame.firstStreamCount(count)
        var sum = 0
        for index in symbols.indices {
            sum = index == half ? Int(symbols[index]) : sum + Int(symbols[index])
            guard abs(sum) <= Int(Int16.max) else { return false }
        }
        return true
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
        var sample: [Int64] = []
        sample.reserveCapacity(sampleCount)
        for index in 0..<sampleCount {
            let place = index &* (count &- 1) / sampleCount
            sample.append(Int64(bitPattern: numbers[place &+ 1] &- numbers[place]))
        }
        sample.sort()
        let middle = sample[sampleCount / 2]
        let spread = sample.map { ($0 &- middle).magnitude }.sorted()[sampleCount / 2]
        return spread < middle.magnitude / 2 ? middle : 0
    }
}

enum CodedFrame {
    static let slopeFlag: UInt8 = 0x40
    static let patchesFlag: UInt8 = 0x80
    static let lowBitsMax = 48
    static let countMin = 8
    static let countMax = 65_536

    /// Of the differences of `count` numbers.
    static func firstStreamCount(_ count: Int) -> Int { count / 2 }

    /// Reads a frame that ends where the reader's bytes do. 0.5–0.9 ns a number.
    ///
    /// Safe: `out` has room for count + 64.
    static func read(
        _ reader: inout ByteReader, count: Int, decoder: SymbolDecoder,
        into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        let start = reader.offset
        guard (countMin...countMax).contains(count) else {
            throw .init(offset: start, reason: "a coded frame of \(count) numbers")
        }
        let shape = try reader.read(UInt8.self)
        let lowBits = Int(shape & ~(slopeFlag | patchesFlag))
        guard lowBits <= lowBitsMax else {
            throw .init(offset: start, reason: "\(lowBits) low bits")
        }
        let first = UInt64(bitPattern: try reader.readSignedVarint())
        let slope =
            shape & slopeFlag != 0 ? UInt64(bitPattern: try reader.readSignedVarint()) : 0
        let patches = shape & patchesFlag != 0 ? try Patches(&reader, count: count) : nil
        let lows = try reader.readBytes(
            BitPacking.byteCount(count: count &- 1, width: lowBits))
        let streams = try reader.readBytes(reader.remaining)
        out[0] = first
        // Safe: `lows` are as many bytes as that many numbers take, and `streams` follow them.
        if lowBits > 0, let source = lows.baseAddress {
            BitPacking.unpack(
                source, readable: lows.count &+ streams.count, width: lowBits, count: count &- 1,
                base: 0, into: out + 1)
        }
        let isWhole = decoder.decode(
            streams, count: count &- 1, first: first, slope: slope, shift: lowBits, into: out + 1)
        guard isWhole else { throw .init(offset: start, reason: "codes end early or late") }
        guard patches?.apply(to: out, count: count, lowBits: lowBits) ?? true else {
            throw .init(offset: start, reason: "a patch is misplaced")
        }
    }

    /// What is added to single differences.
    private struct Patches {
        private let count: Int
        private let positions: UnsafeRawBufferPointer
        private let positionWidth: Int
        private let codes: UnsafeRawBufferPointer
        private let codeWidth: Int

        init(_ reader: inout ByteReader, count rows: Int) throws(ByteReader.Malformed) {
            let start = reader.offset
            count = try reader.readCount(limit: rows &- 1)
            codeWidth = Int(try reader.read(UInt8.self))
            positionWidth = IntegerFrame.positionWidth(rows)
            guard count > 0, (1...64).contains(codeWidth) else {
                throw .init(offset: start, reason: "patches out of range")
            }
            positions = try reader.readBytes(
                BitPacking.byteCount(count: count, width: positionWidth))
            codes = try reader.readBytes(BitPacking.byteCount(count: count, width: codeWidth))
        }

        /// - Returns: Whether the positions ascend and lie inside.
        func apply(
            to numbers: UnsafeMutablePointer<UInt64>, count rows: Int, lowBits: Int
        ) -> Bool {
            var added: UInt64 = 0
            var from = 0
            for index in 0..<count {
                let position = BitPacking.value(positions, index: index, width: positionWidth)
                guard position > from, position < UInt64(rows) else { return false }
                let end = Int(truncatingIfNeeded: position)
                if added != 0 { for row in from..<end { numbers[row] = numbers[row] &+ added } }
                let code = BitPacking.value(codes, index: index, width: codeWidth)
                let difference = (code &>> 1) ^ (0 &- (code & 1))
                added = added &+ difference &<< UInt64(truncatingIfNeeded: lowBits)
                from = end
            }
            for row in from..<rows { numbers[row] = numbers[row] &+ added }
            return true
        }
    }
}
