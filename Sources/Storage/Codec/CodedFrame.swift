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
    /// - Parameter deferred: May take the frame. Then its numbers are there later, and whether it is whole
    ///   is known later.
    static func read(
        _ reader: inout ByteReader, count: Int, decoder: SymbolDecoder,
        deferred: DeferredFrames? = nil, into out: UnsafeMutablePointer<UInt64>
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
        var job = decoder.job(
            streams, count: count &- 1, first: first, slope: slope, shift: lowBits, into: out + 1)
        if let job, let deferred, patches == nil, deferred.take(job) { return }
        guard job?.run() ?? false else {
            throw .init(offset: start, reason: "codes end early or late")
        }
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
