// The reading side of ColumnCodec, whose file draws the payloads.

enum ColumnDecoder {
    /// Marks an unknown number; the caller turns it into `isUnsupported`.
    static let unknownReason = "an unknown encoding"

    static func decode(
        _ encoding: Encoding, _ reader: inout ByteReader, type: FieldType, count: Int,
        symbols: SymbolDecoder?, deferred: DeferredFrames?,
        values: UnsafeMutablePointer<UInt64>, validity: UnsafeMutablePointer<UInt8>,
        strings: inout [UInt8]
    ) throws(ByteReader.Malformed) -> Int {
        guard (1...13).contains(encoding.rawValue) else {
            throw ByteReader.Malformed(offset: 0, reason: unknownReason)
        }
        guard count >= 0, fits(encoding, type) else {
            throw ByteReader.Malformed(offset: 0, reason: "\(encoding.name) holds no \(type.name)")
        }
        let present = try Presence.read(&reader, count: count, validity: validity)
        if present > 0 || encoding != .constant {
            // What has absent rows is spread over them below.
            try decodeDense(
                encoding, &reader, type: type, count: present, symbols: symbols,
                deferred: present == count ? deferred : nil, values: values, strings: &strings)
        }
        guard reader.isAtEnd else {
            throw ByteReader.Malformed(offset: reader.offset, reason: "bytes left over")
        }
        if present != count {
            Presence.spread(values, validity: validity, count: count, present: present)
        }
        return present
    }

    private static func fits(_ encoding: Encoding, _ type: FieldType) -> Bool {
        switch encoding {
        case .constant: true
        case .packed, .deltaPacked, .nested: type != .string
        case .deltaCoded: type == .int64 || type == .uint64
        case .gorilla, .splitGorilla, .decimal: type == .float64
        case .booleanBitmap: type == .bool
        default: type == .string
        }
    }

    /// The present values, one after another.
    private static func decodeDense(
        _ encoding: Encoding, _ reader: inout ByteReader, type: FieldType, count: Int,
        symbols: SymbolDecoder?, deferred: DeferredFrames?,
        values: UnsafeMutablePointer<UInt64>, strings: inout [UInt8]
    ) throws(ByteReader.Malformed) {
        switch encoding {
        case .constant:
            try readConstant(&reader, type: type, count: count, values: values, strings: &strings)
        case .packed:
            try IntegerFrame.readPlain(&reader, count: count, into: values)
        case .deltaPacked:
            try IntegerFrame.read(&reader, order: .delta, count: count, into: values)
        case .gorilla:
            try GorillaCodec.read(&reader, count: count, into: values)
        case .splitGorilla:
            try GorillaCodec.readSplit(&reader, count: count, into: values)
        case .decimal:
            try DecimalCodec.read(&reader, count: count, symbols: symbols, into: values)
        case .nested:
            try IntegerFrame.readNested(&reader, count: count, symbols: symbols, into: values)
        case .deltaCoded:
            guard let symbols else {
                throw ByteReader.Malformed(offset: 0, reason: "codes without a table")
            }
            try CodedFrame.read(
                &reader, count: count, decoder: symbols, deferred: deferred, into: values)
        case .booleanBitmap:
            try readBitmap(&reader, count: count, values: values)
        case .dictionary, .hexDictionary:
            try StringCodec.readDictionary(
                &reader, isHex: encoding == .hexDictionary, count: count, into: values,
                strings: &strings)
        case .hexStrings:
            try HexStrings.read(&reader, values, count: count, strings: &strings)
        default:
            try StringCodec.readRaw(&reader, count: count, into: values, strings: &strings)
        }
        if type == .bool { try checkBools(values, count: count) }
    }

    private static func readConstant(
        _ reader: inout ByteReader, type: FieldType, count: Int,
        values: UnsafeMutablePointer<UInt64>, strings: inout [UInt8]
    ) throws(ByteReader.Malformed) {
        let start = reader.offset
        let bytes = try reader.readBytes(reader.remaining)
        let slot: UInt64
        if type == .string {
            guard bytes.count <= StringSlot.lengthMax, strings.count <= StringSlot.offsetMax else {
                throw ByteReader.Malformed(offset: start, reason: "a string past its limit")
            }
            slot = StringSlot(offset: strings.count, length: bytes.count).rawValue
            strings.append(contentsOf: bytes)
        } else {
            guard bytes.count <= 8 else {
                throw ByteReader.Malformed(offset: start, reason: "a constant of many bytes")
            }
            slot = bytes.reversed().reduce(0) { $0 &<< 8 | UInt64($1) }
        }
        // Safe: the caller gives room for `count` slots and more, see `decode`.
        for index in 0..<count { values[index] = slot }
    }

    private static func readBitmap(
        _ reader: inout ByteReader, count: Int, values: UnsafeMutablePointer<UInt64>
    ) throws(ByteReader.Malformed) {
        let start = reader.offset
        try IntegerFrame.readBits(&reader, count: count, width: 1, into: values)
        // The horizontal rest alone has unused bits.
        guard count & 7 != 0, let last = reader.buffer.last else { return }
        guard last &>> UInt8(count & 7) == 0 else {
            throw ByteReader.Malformed(offset: start, reason: "unused bits are set")
        }
    }

    private static func checkBools(
        _ values: UnsafePointer<UInt64>, count: Int
    ) throws(ByteReader.Malformed) {
        var all: UInt64 = 0
        // Safe: the decoder before this filled `count` slots.
        for index in 0..<count { all |= values[index] }
        guard all <= 1 else {
            throw ByteReader.Malformed(offset: 0, reason: "a bool that is neither 0 nor 1")
        }
    }
}
