// Decompresses deflate (RFC 1951), the inside of gzip: three times as fast as zlib where most bytes are
// copies of earlier ones, as in line protocol.
//
//     block     3 bits, then
//     ────────  ───────────────────────────────────────────────────────────────────────────
//     0 stored  to the next byte; length, its complement (16 bits each), bytes
//     1 fixed   symbols in codes of the standard's
//     2 coded   the lengths of the block's own codes, themselves in a code; symbols
//
//     symbol    0–255 a byte · 256 the block's end · 257–285 a length, then a distance
//
// What makes it fast: 56 bits at a time without asking whether they are there, 2,048 entries of code
// that hold all that a symbol means, and copies of 16 bytes that may reach over their end.

/// For one thread.
///
/// Safe: all memory is owned here and freed once. `window` holds the last 32 KiB and what was not
/// taken yet; it is written up to `window + capacity + slack`.
final class Inflater {
    enum Failure: Error { case broken, endsEarly, input(InputFault) }

    private static let historyBytes = 32 << 10
    /// Small enough to stay in a core's second cache.
    private static let capacity = 256 << 10
    private static let lengthMax = 258
    private static let outputSlack = 64

    private enum State { case blockHead, stored(Int), coded, end }

    private let window = UnsafeMutablePointer<UInt8>.allocate(
        capacity: capacity + lengthMax + outputSlack)
    private let literals = HuffmanTable(rootBits: 11)
    private let distances = HuffmanTable(rootBits: 8)
    private let lengths = HuffmanTable(rootBits: 7, codeBitsMax: 7)
    private var state = State.blockHead
    private var isLastBlock = false
    private var hasFixedCodes = false
    private var bits: UInt64 = 0
    private var bitCount = 0
    private var written = 0
    private var taken = 0

    deinit { window.deallocate() }

    /// Begins a new stream, without what an earlier one left.
    func reset() {
        state = .blockHead
        isLastBlock = false
        (bits, bitCount, written, taken) = (0, 0, 0, 0)
    }

    /// Whole bytes that were taken from the input and not used yet.
    var unusedByteCount: Int { bitCount >> 3 }

    /// Whether all of the stream was given; then the input stands at the byte behind it.
    var isAtEnd: Bool { if case .end = state { taken == written } else { false } }

    /// Fills the buffer from its start. 0 only at the end of the stream.
    func read(
        _ input: CompressedInput, into output: UnsafeMutableRawBufferPointer
    ) throws(Failure) -> Int {
        var count = 0
        while count < output.count {
            if taken == written {
                if case .end = state { break }
                makeRoom()
                try decode(input)
            }
            let more = min(written - taken, output.count - count)
            // Safe: both ranges lie in their buffers.
            UnsafeMutableRawBufferPointer(rebasing: output[count...]).copyMemory(
                from: UnsafeRawBufferPointer(start: window + taken, count: more))
            taken += more
            count += more
        }
        return count
    }

    /// Keeps the history of copies only.
    private func makeRoom() {
        guard written > Self.historyBytes else { return }
        // Safe: the last 32 KiB of what was written, moved to the front of the same memory.
        window.update(from: window + written - Self.historyBytes, count: Self.historyBytes)
        written = Self.historyBytes
        taken = written
    }

    /// Until the window is full, or the stream at its end.
    private func decode(_ input: CompressedInput) throws(Failure) {
        while written < Self.capacity {
            switch state {
            case .end: return
            case .blockHead: try readBlockHead(input)
            case .stored(let left): try copyStored(left, input)
            case .coded: try decodeSymbols(input)
            }
        }
    }

    // MARK: Bits

    /// 56 bits at least. Behind the end come zeros, and an error once they are used.
    @inline(__always)
    private func refillBits(_ input: CompressedInput) throws(Failure) {
        if input.position + 8 > input.count { try refill(input) }
        // Safe: eight bytes are there, or zeros in the input's slack.
        let word = (input.bytes + input.position).loadUnaligned(as: UInt64.self)
        bits |= UInt64(littleEndian: word) &<< UInt64(bitCount)
        input.position += (63 - bitCount) >> 3
        bitCount |= 56
    }

    private func refill(_ input: CompressedInput) throws(Failure) {
        // Behind what is moved away no byte could be given back.
        input.position -= bitCount >> 3
        bitCount &= 7
        bits &= (1 << UInt64(bitCount)) - 1
        guard input.position <= input.count else { throw .endsEarly }
        do throws(InputFault) { try input.refill() } catch { throw .input(error) }
    }

    private func takeBits(_ count: Int) -> Int {
        let value = bits & ((1 << UInt64(count)) - 1)
        bits >>= UInt64(count)
        bitCount -= count
        return Int(value)
    }

    /// Gives whole bytes back to the input.
    private func alignToByte(_ input: CompressedInput) throws(Failure) {
        input.position -= bitCount >> 3
        (bits, bitCount) = (0, 0)
        guard input.position <= input.count else { throw .endsEarly }
    }

    // MARK: Blocks

    private func readBlockHead(_ input: CompressedInput) throws(Failure) {
        if isLastBlock {
            try alignToByte(input)
            state = .end
            return
        }
        try refillBits(input)
        isLastBlock = takeBits(1) == 1
        switch takeBits(2) {
        case 0:
            try alignToByte(input)
            try refillBits(input)
            let length = takeBits(16)
            guard takeBits(16) == ~length & 0xFFFF else { throw .broken }
            try alignToByte(input)
            state = .stored(length)
        case 1:
            try readFixedCodes()
            state = .coded
        case 2:
            try readCodes(input)
            state = .coded
        default: throw .broken
        }
    }

    private func copyStored(_ left: Int, _ input: CompressedInput) throws(Failure) {
        guard left > 0 else {
            state = .blockHead
            return
        }
        if input.position >= input.count {
            try refill(input)
            guard input.position < input.count else { throw .endsEarly }
        }
        let count = min(left, input.count - input.position, Self.capacity - written)
        // Safe: the smallest of what is left, what is there and what has room.
        UnsafeMutableRawPointer(window + written).copyMemory(
            from: input.bytes + input.position, byteCount: count)
        written += count
        input.position += count
        state = .stored(left - count)
    }

    private func readFixedCodes() throws(Failure) {
        guard !hasFixedCodes else { return }
        let literalLengths = (0..<288).map { symbol -> UInt8 in
            symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8
        }
        guard literals.build(literalLengths, entry: DeflateSymbols.literal),
            distances.build([UInt8](repeating: 5, count: 32), entry: DeflateSymbols.distance)
        else { throw .broken }
        hasFixedCodes = true
    }

    private func readCodes(_ input: CompressedInput) throws(Failure) {
        hasFixedCodes = false
        try refillBits(input)
        let literalCount = takeBits(5) + 257
        let distanceCount = takeBits(5) + 1
        let codeCount = takeBits(4) + 4
        guard literalCount <= 286, distanceCount <= 30 else { throw .broken }
        var codeLengths = [UInt8](repeating: 0, count: 19)
        for place in DeflateSymbols.codeOrder.prefix(codeCount) {
            if bitCount < 8 { try refillBits(input) }
            codeLengths[place] = UInt8(takeBits(3))
        }
        let areCodes = lengths.build(codeLengths, mayBeAlone: false) { symbol in
            UInt32(symbol) << HuffmanTable.baseShift
        }
        guard areCodes else { throw .broken }
        var all: [UInt8] = []
        while all.count < literalCount + distanceCount {
            try refillBits(input)
            let entry = lengths.entries[Int(bits & 127)]
            guard entry & HuffmanTable.special == 0 else { throw .broken }
            _ = takeBits(Int(entry & HuffmanTable.bitsMask))
            let symbol = Int(entry >> HuffmanTable.baseShift)
            switch symbol {
            case ..<16: all.append(UInt8(symbol))
            case 16:
                guard let last = all.last else { throw .broken }
                all += repeatElement(last, count: takeBits(2) + 3)
            case 17: all += repeatElement(0, count: takeBits(3) + 3)
            default: all += repeatElement(0, count: takeBits(7) + 11)
            }
        }
        // Without a code for its end a block could not end.
        guard all.count == literalCount + distanceCount, all[256] > 0,
            literals.build(Array(all[..<literalCount]), entry: DeflateSymbols.literal),
            distances.build(Array(all[literalCount...]), entry: DeflateSymbols.distance)
        else { throw .broken }
    }

    // MARK: Symbols

    /// The fields as locals, which stay in registers.
    private struct Cursor {
        var bits: UInt64
        var bitCount: Int
        var source: UnsafeRawPointer
        var target: UnsafeMutablePointer<UInt8>

        /// Safe: eight bytes behind `source` are readable.
        @inline(__always)
        mutating func refill() {
            let word = source.loadUnaligned(as: UInt64.self)
            bits |= UInt64(littleEndian: word) &<< UInt64(truncatingIfNeeded: bitCount)
            source += (63 &- bitCount) &>> 3
            bitCount |= 56
        }

        @inline(__always)
        mutating func skip(_ count: UInt32) {
            bits &>>= UInt64(truncatingIfNeeded: count)
            bitCount = bitCount &- Int(truncatingIfNeeded: count)
        }

        /// The base of an entry and its extra bits, behind the code itself.
        @inline(__always)
        mutating func take(_ entry: UInt32) -> Int {
            skip(entry & HuffmanTable.bitsMask)
            let extra = entry &>> HuffmanTable.extraShift & HuffmanTable.extraMask
            let more = bits & ((1 &<< UInt64(truncatingIfNeeded: extra)) &- 1)
            skip(extra)
            return Int(truncatingIfNeeded: entry &>> HuffmanTable.baseShift & HuffmanTable.baseMask)
                &+ Int(truncatingIfNeeded: more)
        }
    }

    private func decodeSymbols(_ input: CompressedInput) throws(Failure) {
        while written < Self.capacity {
            if input.position + CompressedInput.slack > input.count { try refill(input) }
            // Each turn takes less than 16 bytes; the input's slack is larger than a turn.
            let inputEnd = max(input.count - CompressedInput.slack / 2, input.position + 1)
            guard let isBlockEnd = decodeSymbols(input, until: inputEnd) else { throw .broken }
            guard input.position - bitCount >> 3 <= input.count else { throw .endsEarly }
            if isBlockEnd {
                state = .blockHead
                return
            }
        }
    }

    /// Turns until the input or the window is used up, or the block at its end (true); nil if a code
    /// means nothing or a copy begins before the stream.
    ///
    /// Safe: a turn begins before `inputEnd`, takes less than 16 bytes and reads 8 behind them, which
    /// the slack has; it begins before `capacity` and writes no more than `lengthMax`, three bytes and
    /// the 16 bytes by which copies are too long. Copies begin inside of what was written.
    private func decodeSymbols(_ input: CompressedInput, until inputEnd: Int) -> Bool? {
        let (literals, distances) = (literals.entries, distances.entries)
        let sourceEnd = input.bytes + inputEnd
        let targetEnd = window + Self.capacity
        var cursor = Cursor(
            bits: bits, bitCount: bitCount, source: input.bytes + input.position,
            target: window + written)
        defer {
            bits = cursor.bits
            bitCount = cursor.bitCount
            input.position = cursor.source - input.bytes
            written = cursor.target - window
        }
        while cursor.source < sourceEnd, cursor.target < targetEnd {
            cursor.refill()
            var entry = literals[Int(truncatingIfNeeded: cursor.bits & 2047)]
            // Two literals of up to eleven bits each leave enough for a third look.
            for _ in 0..<2 where entry & HuffmanTable.isLiteral != 0 {
                cursor.skip(entry & HuffmanTable.bitsMask)
                cursor.target.pointee = UInt8(truncatingIfNeeded: entry &>> HuffmanTable.baseShift)
                cursor.target += 1
                entry = literals[Int(truncatingIfNeeded: cursor.bits & 2047)]
            }
            // A length and a distance take up to 48 bits.
            cursor.refill()
            if entry & HuffmanTable.special != 0 {
                guard entry & HuffmanTable.isLink != 0 else {
                    guard entry & HuffmanTable.isEnd != 0 else { return nil }
                    cursor.skip(entry & HuffmanTable.bitsMask)
                    return true
                }
                entry = Self.linked(literals, entry, cursor.bits, rootBits: 11)
                if entry & HuffmanTable.special != 0 {
                    guard entry & HuffmanTable.isEnd != 0 else { return nil }
                    cursor.skip(entry & HuffmanTable.bitsMask)
                    return true
                }
            }
            if entry & HuffmanTable.isLiteral != 0 {
                cursor.skip(entry & HuffmanTable.bitsMask)
                cursor.target.pointee = UInt8(truncatingIfNeeded: entry &>> HuffmanTable.baseShift)
                cursor.target += 1
                continue
            }
            let length = cursor.take(entry)
            var far = distances[Int(truncatingIfNeeded: cursor.bits & 255)]
            if far & HuffmanTable.special != 0 {
                guard far & HuffmanTable.isLink != 0 else { return nil }
                far = Self.linked(distances, far, cursor.bits, rootBits: 8)
                guard far & HuffmanTable.special == 0 else { return nil }
            }
            let distance = cursor.take(far)
            guard distance <= cursor.target - window else { return nil }
            Self.copy(cursor.target, distance: distance, length: length)
            cursor.target += length
        }
        return false
    }

    @inline(__always)
    private static func linked(
        _ entries: UnsafeMutablePointer<UInt32>, _ link: UInt32, _ bits: UInt64, rootBits: UInt64
    ) -> UInt32 {
        let extra = UInt64(link &>> HuffmanTable.extraShift & HuffmanTable.extraMask)
        let place = (bits &>> rootBits) & ((1 &<< extra) &- 1)
        let base = link &>> HuffmanTable.baseShift & HuffmanTable.baseMask
        return entries[Int(truncatingIfNeeded: base) &+ Int(truncatingIfNeeded: place)]
    }

    /// Safe: `distance` bytes before `target` were written, and 16 behind the copy may be.
    @inline(__always)
    private static func copy(
        _ target: UnsafeMutablePointer<UInt8>, distance: Int, length: Int
    ) {
        var to = UnsafeMutableRawPointer(target)
        var from = UnsafeRawPointer(target - distance)
        let end = to + length
        if distance >= 16 {
            repeat {
                to.storeBytes(
                    of: from.loadUnaligned(as: SIMD16<UInt8>.self), as: SIMD16<UInt8>.self)
                to += 16
                from += 16
            } while to < end
        } else if distance >= 8 {
            repeat {
                to.storeBytes(of: from.loadUnaligned(as: UInt64.self), as: UInt64.self)
                to += 8
                from += 8
            } while to < end
        } else {
            while to < end {
                to.storeBytes(of: from.load(as: UInt8.self), as: UInt8.self)
                to += 1
                from += 1
            }
        }
    }
}
