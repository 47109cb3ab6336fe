// The payloads of one column in the group of blocks being written.
//
// A cold segment's numbers are kept twice until the group ends: as the payloads they have without a
// symbol table, and as differences. Only then is known what the table is and whether it pays.

package struct StretchWriter {
    package init() {}

    /// A block's share of the stretch.
    package struct Payload {
        package var encoding: Encoding
        package var byteCount: Int
    }

    /// A group's stretch as it goes into the file.
    package struct Stretch {
        /// The symbol table and its checksum, then the payloads.
        package var bytes: [UInt8]
        package var tableByteCount: Int
        package var payloads: [Payload]
    }

    private var plain = ByteWriter()
    private var payloads: [Payload] = []
    private var drafts = CodedDrafts()
    private var blocks: [ColumnDraft?] = []

    /// Payloads this small gain nothing that matters.
    private static let plainBytesMin = 12
    /// Less than that isn't worth decoding codes: 1 part in 32.
    private static let gainShift = 5

    /// Adds a block's values.
    /// - Returns: Their payload without a symbol table, for who wants to decode it again, and the
    ///   power of ten by which all values are integers, if they are doubles encoded as such.
    package mutating func append(
        _ slice: ColumnSlice, _ options: EncodeOptions
    ) -> (encoding: Encoding, payload: [UInt8], exponent: Int?) {
        let encoded = ColumnCodec.encodePlain(slice)
        var (encoding, payload) = (encoded.encoding, encoded.payload)
        var draft: ColumnDraft?
        if options.level == .cold, payload.count >= Self.plainBytesMin {
            draft = ColumnCodec.draft(slice, into: &drafts)
        }
        blocks.append(draft)
        if draft == nil { (encoding, payload) = ColumnCodec.compressed(encoding, payload, options) }
        plain.append(payload.bytes)
        payloads.append(Payload(encoding: encoding, byteCount: payload.count))
        return (encoding, payload.bytes, encoded.exponent)
    }

    /// Bytes of all payloads so far without symbol tables.
    package var plainByteCount: Int { plain.count }

    /// A block without any value.
    mutating func appendAbsent() {
        payloads.append(Payload(encoding: Encoding(rawValue: 0), byteCount: 0))
        blocks.append(nil)
    }

    mutating func removeAll() {
        plain.removeAll()
        payloads.removeAll(keepingCapacity: true)
        drafts.removeAll()
        blocks.removeAll(keepingCapacity: true)
    }

    /// The group's stretch, coded where that is smaller.
    /// - Parameter verify: Called with each coded payload; stops the process if it decodes to other
    ///   values than those of its draft.
    package func finish(
        verify: (Int, Payload, UnsafeRawBufferPointer, SymbolDecoder, ColumnDraft) -> Void
    ) -> Stretch {
        let plainStretch = Stretch(bytes: plain.bytes, tableByteCount: 0, payloads: payloads)
        guard drafts.differenceCount > 0 else { return plainStretch }
        let table = drafts.table()
        let encoder = SymbolEncoder(table)
        let decoder = SymbolDecoder(table)
        var writer = ByteWriter(capacity: plain.count)
        table.write(to: &writer)
        writer.append(CRC32C.checksum(writer.bytes))
        let tableByteCount = writer.count
        var result: [Payload] = []
        var place = 0
        for index in payloads.indices {
            let before = writer.count
            var payload = payloads[index]
            if let draft = blocks[index] {
                ColumnCodec.write(draft, of: drafts, encoder, into: &writer)
                let coded = writer.count - before
                if coded < payload.byteCount - payload.byteCount >> Self.gainShift {
                    payload = Payload(encoding: draft.encoding, byteCount: coded)
                    // Safe: the payload was just appended, and `verify` keeps nothing.
                    writer.bytes.withUnsafeBytes { bytes in
                        verify(
                            index, payload, UnsafeRawBufferPointer(rebasing: bytes[before...]),
                            decoder, draft)
                    }
                } else {
                    writer.truncate(to: before)
                }
            }
            let plainByteCount = payloads[index].byteCount
            if writer.count == before {
                writer.append(Array(plain.bytes[place..<(place + plainByteCount)]))
            }
            place += plainByteCount
            result.append(payload)
        }
        guard writer.count < plain.count - plain.count >> Self.gainShift else {
            return plainStretch
        }
        return Stretch(bytes: writer.bytes, tableByteCount: tableByteCount, payloads: result)
    }
}
