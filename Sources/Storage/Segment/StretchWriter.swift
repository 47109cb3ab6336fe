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
    /// What a column has to have in a group for a table of some 130 bytes to pay.
    private static let tableBytesMin = 512
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
    /// - Parameter verify: Called with each payload that is another than `append` gave; stops the
    ///   process if it decodes to other values than those of its draft.
    package func finish(
        verify: (Int, Payload, UnsafeRawBufferPointer, SymbolDecoder?, ColumnDraft) -> Void
    ) -> Stretch {
        guard drafts.differenceCount > 0 else {
            return Stretch(bytes: plain.bytes, tableByteCount: 0, payloads: payloads)
        }
        if plain.count >= Self.tableBytesMin {
            let coded = finish(Self.Codes(drafts.table()), verify)
            if coded.bytes.count < plain.count - plain.count >> Self.gainShift { return coded }
        }
        return finish(nil, verify)
    }

    /// A symbol table as it will be read.
    private struct Codes {
        let bytes: [UInt8]
        let encoder: SymbolEncoder
        let decoder: SymbolDecoder

        init(_ table: SymbolTable) {
            var writer = ByteWriter()
            table.write(to: &writer)
            // Safe: the reader keeps nothing.
            let read = writer.bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                return try? SymbolTable.read(&reader)
            }
            guard let read, read == table else {
                preconditionFailure("BUG: a symbol table reads as another")
            }
            writer.append(CRC32C.checksum(writer.bytes))
            bytes = writer.bytes
            encoder = SymbolEncoder(table)
            decoder = SymbolDecoder(read)
        }
    }

    private func finish(
        _ codes: Codes?,
        _ verify: (Int, Payload, UnsafeRawBufferPointer, SymbolDecoder?, ColumnDraft) -> Void
    ) -> Stretch {
        var writer = ByteWriter(capacity: plain.count)
        if let codes { writer.append(codes.bytes) }
        var result: [Payload] = []
        var place = 0
        for index in payloads.indices {
            let before = writer.count
            let end = place + payloads[index].byteCount
            var payload = payloads[index]
            if let draft = blocks[index],
                let smaller = append(draft, codes, place..<end, payload, &writer)
            {
                payload = smaller
                // Safe: the payload was just appended, and `verify` keeps nothing.
                writer.bytes.withUnsafeBytes { bytes in
                    verify(
                        index, payload, UnsafeRawBufferPointer(rebasing: bytes[before...]),
                        codes?.decoder, draft)
                }
            } else {
                writer.append(Array(plain.bytes[place..<end]))
            }
            place = end
            result.append(payload)
        }
        return Stretch(
            bytes: writer.bytes, tableByteCount: codes?.bytes.count ?? 0, payloads: result)
    }

    /// Appends a block coded, or compressed, if that is smaller than it is plain.
    private func append(
        _ draft: ColumnDraft, _ codes: Codes?, _ place: Range<Int>, _ payload: Payload,
        _ writer: inout ByteWriter
    ) -> Payload? {
        let before = writer.count
        if let codes, ColumnCodec.write(draft, of: drafts, codes.encoder, into: &writer) {
            let byteCount = writer.count - before
            if byteCount < payload.byteCount - payload.byteCount >> Self.gainShift {
                return Payload(encoding: draft.encoding, byteCount: byteCount)
            }
            writer.truncate(to: before)
        }
        var bytes = ByteWriter(capacity: place.count)
        bytes.append(Array(plain.bytes[place]))
        let packed = ColumnCodec.compressed(
            payload.encoding, bytes, EncodeOptions(level: .cold))
        guard packed.encoding != payload.encoding else { return nil }
        writer.append(packed.payload.bytes)
        return Payload(encoding: packed.encoding, byteCount: packed.payload.count)
    }
}
