// What a column would take in other encodings: why it has the one it has, for who inspects a file.

/// An encoding that could hold a column's block.
package struct EncodingCandidate: Sendable, Equatable {
    package var encoding: Encoding
    /// Of the whole payload; LZ4 and Zstandard around the smallest of the others.
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
        let maker = CandidateMaker(
            head: head, type: slice.type,
            values: present < slice.count ? UnsafePointer(dense.pointer) : slice.values,
            count: present)
        let payloads = slice.type == .string ? maker.strings(slice.stringBytes) : maker.numbers()
        var all = payloads.map { EncodingCandidate(encoding: $0, byteCount: $1.count) }
        if let (encoding, smallest) = payloads.min(by: { $0.payload.count < $1.payload.count }) {
            for level in [EncodeOptions.Level.hot, .cold] {
                let packed = BlockCompression.compress(
                    smallest, encoding: encoding, level: level, percentMax: 100)
                if let (wrapper, bytes) = packed {
                    all.append(EncodingCandidate(encoding: wrapper, byteCount: bytes.count))
                }
            }
        }
        return all.sorted { $0.byteCount < $1.byteCount }
    }
}

/// Payloads of one column's present values.
private struct CandidateMaker {
    typealias Candidate = (encoding: Encoding, payload: ByteWriter)

    let head: ByteWriter
    let type: FieldType
    let values: UnsafePointer<UInt64>
    let count: Int

    private func candidate(_ write: (inout ByteWriter) -> Encoding) -> Candidate {
        var payload = head
        let encoding = write(&payload)
        return (encoding, payload)
    }

    func numbers() -> [Candidate] {
        let scratch = Scratch(count: count)
        let plain = FramePlan.choose(values, count: count)
        var all = [
            candidate {
                IntegerFrame.write(
                    values, count: count, plan: plain, scratch: scratch.pointer, into: &$0)
                return .packed
            },
            candidate { ColumnCodec.encodeIntegers(values, count: count, into: &$0) },
        ]
        if all[1].encoding == .packed { all.removeLast() }
        if type == .int64 || type == .uint64,
            let factored = FactoredIntegers(values, count: count)
        {
            all.append(
                candidate {
                    factored.writeHead(into: &$0)
                    IntegerFrame.writeOrdered(factored.numbers, count: count, into: &$0)
                    return .nested
                })
        }
        if type == .bool {
            all.append(
                candidate {
                    IntegerFrame.appendBits(values, count: count, width: 1, into: &$0)
                    return .booleanBitmap
                })
        }
        if type == .float64 {
            all.append(
                candidate {
                    GorillaCodec.write(values, count: count, into: &$0)
                    return .splitGorilla
                })
            if let plan = DecimalCodec.plan(values, count: count) {
                all.append(
                    candidate {
                        DecimalCodec.write(plan, values: values, count: count, into: &$0)
                        return .decimal
                    })
            }
        }
        return all
    }

    /// What is too large to be compressed is left out: a dictionary's or a constant's texts may be,
    /// written out for each row.
    func strings(_ bytes: UnsafePointer<UInt8>?) -> [Candidate] {
        guard let bytes else { return [] }
        var all: [Candidate] = []
        if let dictionary = StringCodec.dictionary(values, count: count, bytes: bytes) {
            all.append(candidate { StringCodec.write(dictionary, bytes: bytes, into: &$0) })
        }
        guard StringCodec.byteCount(values, count: count) <= BlockCompression.payloadBytesMax
        else { return all }
        all.append(
            candidate {
                StringCodec.writeRaw(values, count: count, bytes: bytes, into: &$0)
                return .rawStrings
            })
        if let hex = HexStrings(values, count: count, bytes: bytes) {
            all.append(
                candidate {
                    hex.write(values, count: count, bytes: bytes, into: &$0)
                    return .hexStrings
                })
        }
        return all
    }
}
