// What a column would take in other encodings: why it has the one it has, for who inspects a file.

/// An encoding that could hold a column's block.
package struct EncodingCandidate: Sendable, Equatable {
    package var encoding: Encoding
    /// Of the whole payload.
    package var byteCount: Int
}

extension ColumnCodec {
    /// The encodings that could hold a column, smallest first. A symbol table's is not among them,
    /// since it belongs to a group of blocks. Some 50 ns a value.
    ///
    /// Safe: a slice has `count` values, and `dense` room for those present.
    package static func candidates(_ slice: ColumnSlice) -> [EncodingCandidate] {
        var head = ByteWriter()
        let present = Presence.write(slice.validity, count: slice.count, into: &head)
        guard present > 0 else { return [] }
        let dense = Scratch(count: present)
        if present < slice.count { Presence.gather(slice, into: dense.pointer) }
        let values = present < slice.count ? UnsafePointer(dense.pointer) : slice.values
        let contents =
            slice.type == .string
            ? strings(values, present, slice.stringBytes) : numbers(values, present, slice.type)
        var all = contents.map { encoding, bytes in
            EncodingCandidate(encoding: encoding, byteCount: head.count + bytes.count)
        }
        for level in [EncodeOptions.Level.hot, .cold] {
            guard let (encoding, bytes) = contents.min(by: { $0.bytes.count < $1.bytes.count }),
                let (wrapper, packed) = BlockCompression.compress(
                    bytes, encoding: encoding, level: level, percentMax: 100)
            else { continue }
            all.append(
                EncodingCandidate(encoding: wrapper, byteCount: head.count + packed.count))
        }
        return all.sorted { $0.byteCount < $1.byteCount }
    }

    private typealias Content = (encoding: Encoding, bytes: ByteWriter)

    private static func content(
        _ encoding: Encoding, _ write: (inout ByteWriter) -> Void
    ) -> Content {
        var writer = ByteWriter()
        write(&writer)
        return (encoding, writer)
    }

    private static func numbers(
        _ values: UnsafePointer<UInt64>, _ count: Int, _ type: FieldType
    ) -> [Content] {
        var all = frames(values, count)
        if type != .float64, let factored = FactoredIntegers(values, count: count) {
            all.append(
                content(.nested) {
                    factored.writeHead(into: &$0)
                    IntegerFrame.writeOrdered(factored.numbers, count: count, into: &$0)
                })
        }
        if type == .bool {
            all.append(
                content(.booleanBitmap) {
                    IntegerFrame.appendBits(values, count: count, width: 1, into: &$0)
                })
        }
        if type == .float64 {
            all.append(
                content(.splitGorilla) { GorillaCodec.write(values, count: count, into: &$0) })
            if let plan = DecimalCodec.plan(values, count: count) {
                all.append(
                    content(.decimal) {
                        DecimalCodec.write(plan, values: values, count: count, into: &$0)
                    })
            }
        }
        return all
    }

    /// The values themselves, and their differences.
    private static func frames(_ values: UnsafePointer<UInt64>, _ count: Int) -> [Content] {
        let deltas = Scratch(count: count)
        let scratch = Scratch(count: count)
        let plain = FramePlan.choose(values, count: count)
        var all = [
            content(.packed) {
                IntegerFrame.write(
                    values, count: count, plan: plain, scratch: scratch.pointer, into: &$0)
            }
        ]
        let choice = OrderChoice(values, count: count, deltas: deltas.pointer)
        guard choice.order != .plain else { return all }
        all.append(
            content(choice.order == .delta ? .deltaPacked : .nested) {
                choice.write(
                    values, count: count, deltas: deltas.pointer, scratch: scratch.pointer,
                    into: &$0)
            })
        return all
    }

    private static func strings(
        _ slots: UnsafePointer<UInt64>, _ count: Int, _ bytes: UnsafePointer<UInt8>?
    ) -> [Content] {
        guard let bytes else { return [] }
        var all = [
            content(.rawStrings) {
                StringCodec.writeRaw(slots, count: count, bytes: bytes, into: &$0)
            }
        ]
        if let hex = HexStrings(slots, count: count, bytes: bytes) {
            all.append(
                content(.hexStrings) { hex.write(slots, count: count, bytes: bytes, into: &$0) })
        }
        if let dictionary = StringCodec.dictionary(slots, count: count, bytes: bytes) {
            var encoding = Encoding.dictionary
            let found = content(.dictionary) {
                encoding = StringCodec.write(dictionary, bytes: bytes, into: &$0)
            }
            all.append((encoding, found.bytes))
        }
        return all
    }
}
