// Strings of a column.
//
//     rawStrings                              dictionary
//     field     size   meaning                field     size    meaning
//     ────────  ─────  ───────────────        ────────  ──────  ──────────────────────────────
//     lengths   frame  nested, one a value    distinct  varint  1 ... count
//     bytes     rest   one after another      lengths   frame   nested, one a distinct string
//                                             codes     frame   nested, one a value
//                                             bytes     rest    of the distinct strings, in order
//                                                               of their first use
//
// The lengths add up to exactly the bytes that are left. hexStrings and hexDictionary have what
// HexStrings draws in place of lengths and bytes, in a dictionary behind the codes.

enum StringCodec {
    /// Distinct strings of some values and the code of each value.
    struct Dictionary {
        /// Slots of the distinct strings, in order of first use.
        var slots: [UInt64] = []
        var codes: [UInt64] = []
        var byteCount = 0
    }

    // MARK: Writing

    /// The bytes of all values together.
    static func byteCount(_ slots: UnsafePointer<UInt64>, count: Int) -> Int {
        var sum = 0
        for index in 0..<count { sum = sum &+ StringSlot(rawValue: slots[index]).length }
        return sum
    }

    /// Distinct strings of the values, or nil once there are more than half as many as values.
    static func dictionary(
        _ slots: UnsafePointer<UInt64>, count: Int, bytes: UnsafePointer<UInt8>
    ) -> Dictionary? {
        var result = Dictionary()
        result.codes.reserveCapacity(count)
        // Open addressing, at most half full: distinct ≤ count / 2 + 1 < size / 2.
        let bits = max(4, BitPacking.width(of: UInt64(count)) &+ 1)
        let last = (1 &<< bits) &- 1
        var table = [UInt32](repeating: 0, count: last &+ 1)
        let distinctMax = max(1, count / 2)
        for index in 0..<count {
            if index > 0, slots[index] == slots[index &- 1] {
                result.codes.append(result.codes[index &- 1])
                continue
            }
            let slot = StringSlot(rawValue: slots[index])
            var place = Int(truncatingIfNeeded: hash(slot, bytes) &>> UInt64(64 &- bits))
            while true {
                let entry = Int(table[place])
                if entry == 0 {
                    guard result.slots.count < distinctMax else { return nil }
                    result.slots.append(slot.rawValue)
                    result.byteCount = result.byteCount &+ slot.length
                    table[place] = UInt32(result.slots.count)
                    result.codes.append(UInt64(result.slots.count &- 1))
                    break
                }
                if equal(StringSlot(rawValue: result.slots[entry &- 1]), slot, bytes) {
                    result.codes.append(UInt64(entry &- 1))
                    break
                }
                place = (place &+ 1) & last
            }
        }
        return result
    }

    private static func hash(_ slot: StringSlot, _ bytes: UnsafePointer<UInt8>) -> UInt64 {
        var state = UInt64(slot.length) ^ 0x9E37_79B9_7F4A_7C15
        let raw = UnsafeRawPointer(bytes) + slot.offset
        var position = 0
        while position &+ 8 <= slot.length {
            state ^= raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            state = state &* 0xD6E8_FEB8_6659_FD93
            state ^= state &>> 32
            position = position &+ 8
        }
        while position < slot.length {
            state =
                (state ^ UInt64(raw.load(fromByteOffset: position, as: UInt8.self)))
                &* 0x0000_0100_0000_01B3
            position = position &+ 1
        }
        return (state ^ state &>> 29) &* 0xBF58_476D_1CE4_E5B9
    }

    private static func equal(
        _ left: StringSlot, _ right: StringSlot, _ bytes: UnsafePointer<UInt8>
    ) -> Bool {
        guard left.length == right.length else { return false }
        if left.offset == right.offset { return true }
        let leftBytes = UnsafeRawBufferPointer(start: bytes + left.offset, count: left.length)
        let rightBytes = UnsafeRawBufferPointer(start: bytes + right.offset, count: right.length)
        return leftBytes.elementsEqual(rightBytes)
    }

    static func writeRaw(
        _ slots: UnsafePointer<UInt64>, count: Int, bytes: UnsafePointer<UInt8>?,
        into writer: inout ByteWriter
    ) {
        writeLengths(slots, count: count, into: &writer)
        writeBytes(slots, count: count, bytes: bytes, into: &writer)
    }

    static func write(
        _ dictionary: Dictionary, bytes: UnsafePointer<UInt8>, into writer: inout ByteWriter
    ) -> Encoding {
        let (slots, codes) = (dictionary.slots, dictionary.codes)
        writer.appendVarint(UInt64(slots.count))
        let hex = HexStrings(slots, count: slots.count, bytes: bytes)
        if hex == nil { writeLengths(slots, count: slots.count, into: &writer) }
        IntegerFrame.writeNested(codes, count: codes.count, into: &writer)
        guard let hex else {
            writeBytes(slots, count: slots.count, bytes: bytes, into: &writer)
            return .dictionary
        }
        hex.write(slots, count: slots.count, bytes: bytes, into: &writer)
        return .hexDictionary
    }

    private static func writeLengths(
        _ slots: UnsafePointer<UInt64>, count: Int, into writer: inout ByteWriter
    ) {
        let lengths = Scratch(count: count)
        for index in 0..<count {
            lengths.pointer[index] = UInt64(StringSlot(rawValue: slots[index]).length)
        }
        IntegerFrame.writeNested(lengths.pointer, count: count, into: &writer)
    }

    private static func writeBytes(
        _ slots: UnsafePointer<UInt64>, count: Int, bytes: UnsafePointer<UInt8>?,
        into writer: inout ByteWriter
    ) {
        guard let bytes else { return }
        writer.reserve(byteCount(slots, count: count))
        for index in 0..<count {
            let slot = StringSlot(rawValue: slots[index])
            // Safe: slots point into the buffer that goes with the slice.
            writer.append(UnsafeRawBufferPointer(start: bytes + slot.offset, count: slot.length))
        }
    }

    // MARK: Reading

    /// Reads the strings of a raw payload: bytes go to `strings`, slots to `out`.
    static func readRaw(
        _ reader: inout ByteReader, count: Int, into out: UnsafeMutablePointer<UInt64>,
        strings: inout [UInt8]
    ) throws(ByteReader.Malformed) {
        try IntegerFrame.readNested(&reader, count: count, into: out)
        try place(&reader, out, count: count, strings: &strings)
    }

    static func readDictionary(
        _ reader: inout ByteReader, isHex: Bool, count: Int,
        into out: UnsafeMutablePointer<UInt64>, strings: inout [UInt8]
    ) throws(ByteReader.Malformed) {
        let start = reader.offset
        let distinct = try reader.readCount(limit: count)
        guard distinct > 0 || count == 0 else {
            throw ByteReader.Malformed(offset: start, reason: "a dictionary of no strings")
        }
        let slots = Scratch(count: distinct)
        if !isHex { try IntegerFrame.readNested(&reader, count: distinct, into: slots.pointer) }
        try IntegerFrame.readNested(&reader, count: count, into: out)
        var largest: UInt64 = 0
        for index in 0..<count { largest = max(largest, out[index]) }
        guard largest < UInt64(max(1, distinct)) else {
            throw ByteReader.Malformed(offset: start, reason: "a code past the dictionary")
        }
        if isHex {
            try HexStrings.read(&reader, slots.pointer, count: distinct, strings: &strings)
        } else {
            try place(&reader, slots.pointer, count: distinct, strings: &strings)
        }
        for index in 0..<count { out[index] = slots.pointer[Int(out[index])] }
    }

    /// Turns lengths into slots over the bytes that are left, which are appended to `strings`.
    private static func place(
        _ reader: inout ByteReader, _ slots: UnsafeMutablePointer<UInt64>, count: Int,
        strings: inout [UInt8]
    ) throws(ByteReader.Malformed) {
        let start = reader.offset
        let size = reader.remaining
        var offset = strings.count
        var left = size
        for index in 0..<count {
            let length = slots[index]
            guard length <= UInt64(left), length <= UInt64(StringSlot.lengthMax),
                offset <= StringSlot.offsetMax
            else {
                throw ByteReader.Malformed(offset: start, reason: "strings pass their bytes")
            }
            slots[index] = StringSlot(offset: offset, length: Int(length)).rawValue
            offset = offset &+ Int(length)
            left = left &- Int(length)
        }
        guard left == 0 else {
            throw ByteReader.Malformed(offset: start, reason: "bytes that belong to no string")
        }
        strings.append(contentsOf: try reader.readBytes(size))
    }
}
