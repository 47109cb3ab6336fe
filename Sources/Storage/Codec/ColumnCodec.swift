// Columns of a block. Every payload that isn't compressed begins with the rows' presence (see
// Presence); the present values follow one after another, in the encoding's own form:
//
//     encoding       after the presence
//     ─────────────  ───────────────────────────────────────────────────────────────────────
//     constant       nothing if no row is present; for strings the bytes; else the slot's low
//                    bytes, high zero bytes left out
//     packed         frame
//     deltaPacked    first varint, frame           (see IntegerFrame)
//     gorilla, splitGorilla                        (see GorillaCodec)
//     decimal        exponent, exceptions, frame   (see DecimalCodec)
//     deltaCoded     coded frame                   (see CodedFrame)
//     nested         nested frame                  (see IntegerFrame)
//     booleanBitmap  a bit a value, low bits first, unused bits zero
//     dictionary, rawStrings                       (see StringCodec)
//     hexDictionary, hexStrings                    (see StringCodec, HexStrings)
//     lz4, zstd      instead of the presence: another encoding and its payload, compressed
//                                                  (see BlockCompression)
//
// A payload ends exactly where its bytes end.

/// Encodes, decodes and summarises the columns of blocks.
package enum ColumnCodec {
    /// Appends the payload in the smallest of the fitting encodings; of two alike, the one that
    /// decodes faster. 4–6 ns a value for numbers, 20 for doubles that are no decimals.
    package static func encode(
        _ slice: ColumnSlice, options: EncodeOptions, into writer: inout ByteWriter
    ) -> Encoding {
        let plain = encodePlain(slice)
        let (outer, bytes) = compressed(plain.encoding, plain.payload, options)
        writer.append(bytes.bytes)
        return outer
    }

    /// A payload without LZ4 or Zstandard around it.
    struct Plain {
        var encoding: Encoding
        var payload: ByteWriter
        /// The power of ten by which all values are integers, if they are encoded as such.
        var exponent: Int?
    }

    static func encodePlain(_ slice: ColumnSlice) -> Plain {
        var payload = ByteWriter(capacity: 256)
        let present = Presence.write(slice.validity, count: slice.count, into: &payload)
        let start = payload.count
        let encoding: Encoding
        if present == slice.count {
            encoding = ColumnEncoder(slice, slice.values, present).encode(into: &payload)
        } else {
            let dense = Scratch(count: present)
            Presence.gather(slice, into: dense.pointer)
            encoding = ColumnEncoder(slice, dense.pointer, present).encode(into: &payload)
        }
        let exponent =
            encoding == .decimal ? DecimalCodec.exponent(ofPayload: payload.bytes[start]) : nil
        return Plain(encoding: encoding, payload: payload, exponent: exponent)
    }

    /// Writes integers in the cheapest order, which is the encoding's.
    static func encodeIntegers(
        _ numbers: UnsafePointer<UInt64>, count: Int, into writer: inout ByteWriter
    ) -> Encoding {
        let deltas = Scratch(count: count)
        let scratch = Scratch(count: count)
        let choice = OrderChoice(numbers, count: count, deltas: deltas.pointer)
        if choice.order == .doubleDelta { writer.append(choice.order.rawValue) }
        choice.write(
            numbers, count: count, deltas: deltas.pointer, scratch: scratch.pointer, into: &writer)
        switch choice.order {
        case .plain: return .packed
        case .delta: return .deltaPacked
        default: return .nested
        }
    }

    /// A payload with LZ4 or Zstandard around it, where that pays.
    static func compressed(
        _ encoding: Encoding, _ payload: ByteWriter, _ options: EncodeOptions
    ) -> (encoding: Encoding, payload: ByteWriter) {
        guard let percentMax = compressionPercentMax(encoding, options),
            let (outer, bytes) = BlockCompression.compress(
                payload, encoding: encoding, level: options.level, percentMax: percentMax)
        else { return (encoding, payload) }
        return (outer, bytes)
    }

    /// What compression has to bring; nil where it isn't tried. Numbers lose more speed by it.
    private static func compressionPercentMax(
        _ encoding: Encoding, _ options: EncodeOptions
    ) -> Int? {
        switch encoding {
        case .dictionary, .rawStrings, .hexStrings, .hexDictionary: 90
        case .constant: nil
        default: options.level == .cold ? 75 : nil
        }
    }

    /// Decodes a payload of `count` rows, which has to be exactly `bytes`.
    ///
    /// Safe: `values` has room for count + 64 slots, `validity` for count + 64 bytes.
    /// - Parameter deferred: Finishes numbers later; without it they are there at once.
    /// - Returns: How many rows are present. When all are, `validity` is not touched; else it holds
    ///   0 or 1 a row, and slots of absent rows are 0. Strings are appended to `strings`, slots
    ///   point into it.
    /// - Throws: `CodecError` for bytes that `encode` cannot have written, after which the buffers
    ///   hold anything; `isUnsupported` for an encoding this release doesn't know.
    package static func decode(
        _ encoding: Encoding, _ bytes: UnsafeRawBufferPointer, type: FieldType, count: Int,
        symbols: SymbolDecoder? = nil, deferred: DeferredFrames? = nil,
        values: UnsafeMutablePointer<UInt64>, validity: UnsafeMutablePointer<UInt8>,
        strings: inout [UInt8]
    ) throws(CodecError) -> Int {
        do throws(ByteReader.Malformed) {
            guard encoding == .lz4 || encoding == .zstd else {
                var reader = ByteReader(bytes)
                return try ColumnDecoder.decode(
                    encoding, &reader, type: type, count: count, symbols: symbols,
                    deferred: deferred, values: values, validity: validity, strings: &strings)
            }
            let inner = try BlockCompression.decompress(bytes, wrapper: encoding)
            return try decodeInner(
                inner.encoding, inner.payload, type: type, count: count, values: values,
                validity: validity, strings: &strings)
        } catch {
            if error.reason == ColumnDecoder.unknownReason { throw CodecError.unknown(encoding) }
            throw CodecError(error)
        }
    }

    private static func decodeInner(
        _ encoding: Encoding, _ payload: [UInt8], type: FieldType, count: Int,
        values: UnsafeMutablePointer<UInt64>, validity: UnsafeMutablePointer<UInt8>,
        strings: inout [UInt8]
    ) throws(ByteReader.Malformed) -> Int {
        var outcome = Result<Int, ByteReader.Malformed>.success(0)
        payload.withUnsafeBytes { buffer in
            do throws(ByteReader.Malformed) {
                var reader = ByteReader(buffer)
                outcome = .success(
                    try ColumnDecoder.decode(
                        encoding, &reader, type: type, count: count, symbols: nil, deferred: nil,
                        values: values, validity: validity, strings: &strings))
            } catch {
                outcome = .failure(error)
            }
        }
        return try outcome.get()
    }
}

/// Chooses and writes the form of the present values of a slice.
private struct ColumnEncoder {
    let type: FieldType
    let values: UnsafePointer<UInt64>
    let count: Int
    let stringBytes: UnsafePointer<UInt8>?

    init(_ slice: ColumnSlice, _ values: UnsafePointer<UInt64>, _ count: Int) {
        type = slice.type
        self.values = values
        self.count = count
        stringBytes = slice.stringBytes
    }

    func encode(into writer: inout ByteWriter) -> Encoding {
        guard count > 0 else { return .constant }
        if type == .string { return encodeStrings(into: &writer) }
        var different: UInt64 = 0
        for index in 0..<count { different |= values[index] ^ values[0] }
        if different == 0 {
            var rest = values[0]
            while rest != 0 {
                writer.append(UInt8(truncatingIfNeeded: rest))
                rest &>>= 8
            }
            return .constant
        }
        switch type {
        case .float64: return encodeFloats(into: &writer)
        case .bool: return encodeBools(into: &writer)
        default:
            guard let factored = FactoredIntegers(values, count: count) else {
                return encodeIntegers(into: &writer)
            }
            factored.writeHead(into: &writer)
            IntegerFrame.writeOrdered(factored.numbers, count: count, into: &writer)
            return .nested
        }
    }

    private func encodeIntegers(into writer: inout ByteWriter) -> Encoding {
        ColumnCodec.encodeIntegers(values, count: count, into: &writer)
    }

    /// A bitmap, unless the bools change so seldom that patched deltas are smaller.
    private func encodeBools(into writer: inout ByteWriter) -> Encoding {
        var integers = ByteWriter()
        let encoding = encodeIntegers(into: &integers)
        if integers.count < (count &+ 7) / 8 {
            writer.append(integers.bytes)
            return encoding
        }
        IntegerFrame.appendBits(values, count: count, width: 1, into: &writer)
        return .booleanBitmap
    }

    /// Decimals where most values are; Gorilla or packed bit patterns where that isn't so or where
    /// the decimals are long.
    private func encodeFloats(into writer: inout ByteWriter) -> Encoding {
        var best = ByteWriter()
        var encoding = Encoding.decimal
        if let plan = DecimalCodec.plan(values, count: count) {
            DecimalCodec.write(plan, values: values, count: count, into: &best)
            if DecimalCodec.isShort(best.count, count: count) {
                writer.append(best.bytes)
                return .decimal
            }
        }
        var other = ByteWriter()
        let packed = encodeIntegers(into: &other)
        if best.count == 0 || other.count < best.count {
            best = other
            encoding = packed
        }
        other.removeAll()
        GorillaCodec.write(values, count: count, into: &other)
        // It decodes several times slower than the others.
        if other.count < best.count &- best.count / 16 {
            best = other
            encoding = .splitGorilla
        }
        writer.append(best.bytes)
        return encoding
    }

    private func encodeStrings(into writer: inout ByteWriter) -> Encoding {
        guard let stringBytes else {
            // Only empty strings have no bytes to point to.
            return .constant
        }
        if let dictionary = StringCodec.dictionary(values, count: count, bytes: stringBytes) {
            if dictionary.slots.count == 1 {
                let slot = StringSlot(rawValue: values[0])
                // Safe: slots point into the buffer that goes with the slice.
                writer.append(
                    UnsafeRawBufferPointer(start: stringBytes + slot.offset, count: slot.length))
                return .constant
            }
            let saved = StringCodec.byteCount(values, count: count) &- dictionary.byteCount
            // A code takes up to two bytes, which short strings may not save.
            if saved > count {
                return StringCodec.write(dictionary, bytes: stringBytes, into: &writer)
            }
        }
        if let hex = HexStrings(values, count: count, bytes: stringBytes) {
            hex.write(values, count: count, bytes: stringBytes, into: &writer)
            return .hexStrings
        }
        StringCodec.writeRaw(values, count: count, bytes: stringBytes, into: &writer)
        return .rawStrings
    }
}
