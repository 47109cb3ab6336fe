// A frame holds `count` 64-bit numbers as small distances from a base. Integers, decimals, times,
// lengths and dictionary codes all end up in one.
//
//     field          size      present        meaning
//     ─────────────  ────────  ─────────────  ──────────────────────────────────────────────
//     width          1         always         bits 0–6: bits a distance, 0 ... 64;
//                                             bit 7: there are exceptions
//     base           varint    always         zig-zag
//     exceptions     varint    if bit 7       how many, 1 ... count
//     codeWidth      1         if bit 7       bits an exception's code, 1 ... 64
//     positions      bits      if bit 7       exceptions × bits of (count − 1), ascending, horizontal
//     codes          bits      if bit 7       exceptions × codeWidth, horizontal
//     distances      bits      always         count × width, see BitPacking
//
// number = base + distance, modulo 2^64, except at `positions`, where the distance lies outside
// 0 ..< 2^width: an even code c stands for 2^width + c / 2, an odd one for −1 − (c − 1) / 2.
// Modular arithmetic makes every 64-bit pattern come back, whatever its type.

internal import ApusKernels

/// How the numbers before a frame were prepared.
enum FrameOrder: UInt8 {
    /// As they are.
    case plain = 0
    /// Differences: a zig-zag varint with the first number precedes the frame, whose distance 0 is 0.
    case delta = 1
    /// Differences under a symbol table: see CodedFrame.
    case coded = 2
    /// Differences of differences: zig-zag varints with the first number and the first difference
    /// precede the frame, whose distances 0 and 1 are 0.
    case doubleDelta = 3
    /// Divided by a common factor: see FactorCodec.
    case factored = 4
}

enum IntegerFrame {
    private static let exceptionsFlag: UInt8 = 0x80

    // MARK: Writing

    /// Writes `numbers` as planned. `scratch` has room for `count`; both are read and written here
    /// only.
    static func write(
        _ numbers: UnsafePointer<UInt64>, count: Int, plan: FramePlan,
        scratch: UnsafeMutablePointer<UInt64>, into writer: inout ByteWriter
    ) {
        let keep = BitPacking.mask(plan.width)
        let (positions, codes) = withUnsafeTemporaryAllocation(
            of: UInt32.self, capacity: max(1, count)
        ) { outside in
            // Safe: there is room for the index of every number.
            let found = apus_split_distances(
                numbers, count, plan.base, keep, scratch, outside.baseAddress)
            return exceptions(outside.prefix(found), scratch, bound: keep &+ 1)
        }
        guard !positions.isEmpty else {
            writer.append(UInt8(plan.width))
            writer.appendSignedVarint(Int64(bitPattern: plan.base))
            appendBits(scratch, count: count, width: plan.width, into: &writer)
            return
        }
        let codeWidth = max(1, BitPacking.width(of: codes.reduce(0, |)))
        writer.append(UInt8(plan.width) | exceptionsFlag)
        writer.appendSignedVarint(Int64(bitPattern: plan.base))
        writer.appendVarint(UInt64(positions.count))
        writer.append(UInt8(codeWidth))
        appendPatches(positions, width: positionWidth(count), into: &writer)
        appendPatches(codes, width: codeWidth, into: &writer)
        appendBits(scratch, count: count, width: plan.width, into: &writer)
    }

    /// Takes distances that don't fit out of `scratch`, and returns where they were and their codes.
    private static func exceptions(
        _ outside: Slice<UnsafeMutableBufferPointer<UInt32>>,
        _ scratch: UnsafeMutablePointer<UInt64>, bound: UInt64
    ) -> (positions: [UInt64], codes: [UInt64]) {
        var positions: [UInt64] = []
        var codes: [UInt64] = []
        positions.reserveCapacity(outside.count)
        codes.reserveCapacity(outside.count)
        for index in outside {
            let distance = Int64(bitPattern: scratch[Int(index)])
            positions.append(UInt64(index))
            codes.append(
                distance < 0
                    ? UInt64(bitPattern: ~distance) &<< 1 | 1
                    : (UInt64(bitPattern: distance) &- bound) &<< 1)
            scratch[Int(index)] = 0
        }
        return (positions, codes)
    }

    /// Writes numbers in the cheapest order: the order's byte, and what that order consists of.
    static func writeNested(
        _ numbers: UnsafePointer<UInt64>, count: Int, into writer: inout ByteWriter
    ) {
        guard let factored = FactoredIntegers(numbers, count: count) else {
            return writeOrdered(numbers, count: count, into: &writer)
        }
        factored.writeHead(into: &writer)
        writeOrdered(factored.numbers, count: count, into: &writer)
    }

    /// The same without looking for a factor.
    static func writeOrdered(
        _ numbers: UnsafePointer<UInt64>, count: Int, into writer: inout ByteWriter
    ) {
        let work = Scratch(count: count)
        let deltas = Scratch(count: count)
        let choice = OrderChoice(numbers, count: count, deltas: deltas.pointer)
        writer.append(choice.order.rawValue)
        choice.write(
            numbers, count: count, deltas: deltas.pointer, scratch: work.pointer, into: &writer)
    }

    static func positionWidth(_ count: Int) -> Int {
        count > 1 ? BitPacking.width(of: UInt64(count &- 1)) : 0
    }

    static func appendBits(
        _ values: UnsafePointer<UInt64>, count: Int, width: Int, into writer: inout ByteWriter
    ) {
        let size = BitPacking.byteCount(count: count, width: width)
        guard size > 0 else { return }
        writer.append(capacityMax: size) { buffer in
            // Safe: the writer made exactly the room that packing takes.
            if let base = buffer.baseAddress {
                BitPacking.pack(values, count: count, width: width, into: base)
            }
            return size
        }
    }

    /// Horizontally packed whatever their count, since they are read one by one.
    static func appendPatches(_ values: [UInt64], width: Int, into writer: inout ByteWriter) {
        let size = BitPacking.byteCount(count: values.count, width: width)
        guard size > 0 else { return }
        writer.append(capacityMax: size) { buffer in
            // Safe: the writer made exactly the room that packing takes.
            if let base = buffer.baseAddress {
                BitPacking.packHorizontal(values, count: values.count, width: width, into: base)
            }
            return size
        }
    }

    // MARK: Reading

    private struct Header {
        var base: UInt64
        var width: Int
        var exceptionCount = 0
        var codeWidth = 0
    }

    private static func readHeader(
        _ reader: inout ByteReader, count: Int
    ) throws(ByteReader.Malformed) -> Header {
        let start = reader.offset
        let first = try reader.read(UInt8.self)
        let width = Int(first & ~exceptionsFlag)
        guard width <= 64 else {
            throw ByteReader.Malformed(offset: start, reason: "a width of \(width) bits")
        }
        let base = UInt64(bitPattern: try reader.readSignedVarint())
        var header = Header(base: base, width: width)
        if first & exceptionsFlag != 0 {
            header.exceptionCount = try reader.readCount(limit: count)
            header.codeWidth = Int(try reader.read(UInt8.self))
            guard header.exceptionCount > 0, (1...64).contains(header.codeWidth), width < 64 else {
                throw ByteReader.Malformed(offset: start, reason: "exceptions out of range")
            }
        }
        return header
    }

    /// Reads a frame of `count` numbers in `order` into exactly `count` slots.
    static func read(
        _ reader: inout ByteReader, order: FrameOrder, count: Int,
        into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        switch order {
        case .plain:
            try readPlain(&reader, count: count, into: out)
        case .delta:
            let first = UInt64(bitPattern: try reader.readSignedVarint())
            let header = try readHeader(&reader, count: count)
            try readBody(&reader, header: header, count: count, into: out)
            // Safe: `out` holds the `count` differences just read.
            apus_running_sums(out, count, first &- header.base)
        case .doubleDelta:
            let first = UInt64(bitPattern: try reader.readSignedVarint())
            let difference = UInt64(bitPattern: try reader.readSignedVarint())
            guard count > 2 else {
                throw ByteReader.Malformed(offset: reader.offset, reason: "too few differences")
            }
            let header = try readHeader(&reader, count: count)
            try readBody(&reader, header: header, count: count, into: out)
            // Safe: `out` holds the `count` numbers just read.
            out[1] = difference
            apus_running_sums(out + 1, count &- 1, 0)
            out[0] = first
            apus_running_sums(out, count, 0)
        case .coded, .factored:
            throw ByteReader.Malformed(offset: reader.offset, reason: "no such frame here")
        }
    }

    static func readPlain(
        _ reader: inout ByteReader, count: Int, into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        let header = try readHeader(&reader, count: count)
        try readBody(&reader, header: header, count: count, into: out)
    }

    /// - Parameter symbols: Under which coded frames are read; without it they are refused.
    static func readNested(
        _ reader: inout ByteReader, count: Int, symbols: SymbolDecoder? = nil, mayNest: Bool = true,
        into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        let start = reader.offset
        guard let order = FrameOrder(rawValue: try reader.read(UInt8.self)) else {
            throw ByteReader.Malformed(offset: start, reason: "an unknown order of a frame")
        }
        switch order {
        case .coded:
            guard let symbols else {
                throw ByteReader.Malformed(offset: start, reason: "codes without a table")
            }
            try CodedFrame.read(&reader, count: count, decoder: symbols, into: out)
        case .factored:
            let factored = try FactoredIntegers.Head(&reader)
            guard mayNest else {
                throw ByteReader.Malformed(offset: start, reason: "a factor of a factor")
            }
            try readNested(
                &reader, count: count, symbols: symbols, mayNest: false, into: out)
            factored.apply(to: out, count: count)
        default:
            try read(&reader, order: order, count: count, into: out)
        }
    }

    private static func readBody(
        _ reader: inout ByteReader, header: Header, count: Int,
        into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        let patches = header.exceptionCount
        guard patches > 0 else {
            try unpack(&reader, count: count, width: header.width, base: header.base, into: out)
            return
        }
        let positionBits = positionWidth(count)
        // Streams up to the payload's end: what follows makes reading them whole words safe.
        let positions = UnsafeRawBufferPointer(rebasing: reader.buffer[reader.offset...])
        try reader.skip(BitPacking.byteCount(count: patches, width: positionBits))
        let codes = UnsafeRawBufferPointer(rebasing: reader.buffer[reader.offset...])
        try reader.skip(BitPacking.byteCount(count: patches, width: header.codeWidth))
        try unpack(&reader, count: count, width: header.width, base: header.base, into: out)
        let fits = withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2 * patchChunk) {
            scratch in
            guard let scratch = scratch.baseAddress else { return false }
            return patch(
                out, count: count, header: header, positions: positions,
                positionBits: positionBits, codes: codes, scratch: scratch)
        }
        guard fits else {
            throw ByteReader.Malformed(offset: reader.offset, reason: "an exception past the end")
        }
    }

    private static let patchChunk = 64

    /// Puts the exceptions in their places.
    ///
    /// Safe: `positions` and `codes` begin with as many as the header says; `scratch` has room for
    /// two chunks; no place outside of `count` is written.
    /// - Returns: Whether all places lie below `count`.
    private static func patch(
        _ out: UnsafeMutablePointer<UInt64>, count: Int, header: Header,
        positions: UnsafeRawBufferPointer, positionBits: Int, codes: UnsafeRawBufferPointer,
        scratch: UnsafeMutablePointer<UInt64>
    ) -> Bool {
        let bound = BitPacking.mask(header.width) &+ 1
        let chunkCodes = scratch + patchChunk
        for start in stride(from: 0, to: header.exceptionCount, by: patchChunk) {
            let chunk = min(patchChunk, header.exceptionCount &- start)
            unpackChunk(positions, start: start, width: positionBits, count: chunk, into: scratch)
            unpackChunk(
                codes, start: start, width: header.codeWidth, count: chunk, into: chunkCodes)
            for index in 0..<chunk {
                let position = scratch[index]
                guard position < UInt64(truncatingIfNeeded: count) else { return false }
                // All ones for an odd code, else zero: signs come without a pattern to predict.
                let code = chunkCodes[index]
                let isBelow = 0 &- (code & 1)
                let distance = ((code &>> 1) ^ isBelow) &+ (bound & ~isBelow)
                out[Int(truncatingIfNeeded: position)] = header.base &+ distance
            }
        }
        return true
    }

    /// - Parameter start: A multiple of eight, whose bits begin at a byte.
    private static func unpackChunk(
        _ bytes: UnsafeRawBufferPointer, start: Int, width: Int, count: Int,
        into out: UnsafeMutablePointer<UInt64>
    ) {
        let skipped = start / 8 &* width
        guard width > 0, let source = bytes.baseAddress else {
            out.update(repeating: 0, count: count)
            return
        }
        BitPacking.unpackHorizontal(
            source + skipped, readable: bytes.count &- skipped, width: width, count: count,
            base: 0, into: out)
    }

    static func readBits(
        _ reader: inout ByteReader, count: Int, width: Int, into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        try unpack(&reader, count: count, width: width, base: 0, into: out)
    }

    private static func unpack(
        _ reader: inout ByteReader, count: Int, width: Int, base: UInt64,
        into out: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        let readable = reader.remaining
        let bytes = try reader.readBytes(BitPacking.byteCount(count: count, width: width))
        // Safe: the reader checked that the packed bytes are there, and `readable` ends with them.
        if let source = bytes.baseAddress {
            BitPacking.unpack(
                source, readable: readable, width: width, count: count, base: base, into: out)
        } else {
            out.update(repeating: base, count: count)
        }
    }
}

/// Which order of a frame is the smallest for some numbers, and how it is laid out.
struct OrderChoice {
    private(set) var order: FrameOrder
    private(set) var plan: FramePlan
    private let first: UInt64

    /// Fills `deltas`, which has room for `count`, with the differences.
    init(_ numbers: UnsafePointer<UInt64>, count: Int, deltas: UnsafeMutablePointer<UInt64>) {
        guard count > 2 else {
            order = .plain
            plan = FramePlan.choose(numbers, count: count)
            first = 0
            return
        }
        // Safe: `deltas` has room for `count`.
        apus_differences(numbers, count, 0, deltas + 1)
        let delta = FramePlan.choose(deltas + 1, count: count &- 1)
        first = numbers[0]
        let firstBits = 8 &* (1 &+ BitPacking.width(of: first &+ first) / 7) &+ delta.width
        let plain = FramePlan.choose(numbers, count: count, against: delta)
        if delta.bits &+ firstBits < plain.bits {
            order = .delta
            plan = delta
            deltas[0] = delta.base
            if Self.doubleMayFit(deltas + 1, count: count &- 1, width: delta.width) {
                tryDouble(deltas, count: count, spent: firstBits)
            }
        } else {
            order = .plain
            plan = plain
        }
    }

    /// Roughly the bytes of a nested frame in the cheapest order.
    static func byteCount(_ numbers: UnsafePointer<UInt64>, count: Int) -> Int {
        let deltas = Scratch(count: count)
        let choice = OrderChoice(numbers, count: count, deltas: deltas.pointer)
        let firsts = choice.order == .plain ? 0 : BitPacking.width(of: choice.first) / 7 &+ 1
        return 3 &+ firsts &+ (choice.plan.bits &+ 7) / 8
    }

    /// Whether differences of differences, a few of them, are two bits smaller.
    private static func doubleMayFit(
        _ deltas: UnsafePointer<UInt64>, count: Int, width: Int
    ) -> Bool {
        let samples = 16
        guard width > 6, count > 2 &* samples else { return false }
        var fitting = 0
        let reach = BitPacking.mask(width &- 3)
        for sample in 0..<samples {
            let place = sample &* (count &- 1) / samples
            let second = Int64(bitPattern: deltas[place &+ 1] &- deltas[place])
            if second.magnitude < reach { fitting += 1 }
        }
        return fitting &* 8 >= samples &* 7
    }

    private mutating func tryDouble(
        _ deltas: UnsafeMutablePointer<UInt64>, count: Int, spent: Int
    ) {
        let seconds = Scratch(count: count)
        for index in 2..<count { seconds.pointer[index] = deltas[index] &- deltas[index &- 1] }
        let double = FramePlan.choose(seconds.pointer + 2, count: count &- 2)
        let firstBits = 16 &+ BitPacking.width(of: deltas[1] &+ deltas[1])
        guard double.bits &+ firstBits < plan.bits else { return }
        order = .doubleDelta
        plan = double
        // What `write` takes: the first difference, then the others' differences.
        let difference = deltas[1]
        deltas.update(from: seconds.pointer, count: count)
        deltas[0] = difference
    }

    func write(
        _ numbers: UnsafePointer<UInt64>, count: Int, deltas: UnsafeMutablePointer<UInt64>,
        scratch: UnsafeMutablePointer<UInt64>, into writer: inout ByteWriter
    ) {
        switch order {
        case .plain:
            IntegerFrame.write(numbers, count: count, plan: plan, scratch: scratch, into: &writer)
        case .delta:
            writer.appendSignedVarint(Int64(bitPattern: first))
            IntegerFrame.write(deltas, count: count, plan: plan, scratch: scratch, into: &writer)
        case .doubleDelta:
            writer.appendSignedVarint(Int64(bitPattern: first))
            writer.appendSignedVarint(Int64(bitPattern: deltas[0]))
            deltas[0] = plan.base
            deltas[1] = plan.base
            IntegerFrame.write(deltas, count: count, plan: plan, scratch: scratch, into: &writer)
        case .coded, .factored:
            preconditionFailure("BUG: an order that is not chosen here")
        }
    }
}
