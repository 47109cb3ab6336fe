// The payloads of one column in the group of blocks being written.
//
// A cold segment's numbers wait as differences until the group ends. Only then is known what their
// symbol table is and whether it pays; where it doesn't, they get the payloads they have without one.

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

    /// What became of a block that was appended.
    package struct Appended {
        /// Its payload without a symbol table, for who wants to decode it again; nil if what it will
        /// be comes at the group's end.
        package var payload: (encoding: Encoding, bytes: [UInt8])?
        /// Of the payload without a symbol table, roughly.
        package var byteCount: Int
        /// The power of ten by which all values are integers, if they are doubles encoded as such.
        package var exponent: Int?
    }

    private struct Block {
        /// Its payload without a symbol table; roughly its size where there is none yet.
        var payload: Payload
        /// Where that lies in `plain`.
        var place: Range<Int>?
        var draft: ColumnDraft?
    }

    private var plain = ByteWriter()
    private var drafts = CodedDrafts()
    private var blocks: [Block] = []

    /// What a column has to have in a group for a table of some 130 bytes to pay.
    private static let tableBytesMin = 512
    /// Less than that isn't worth decoding codes: 1 part in 32.
    private static let gainShift = 5

    /// Adds a block's values.
    package mutating func append(_ slice: ColumnSlice, _ options: EncodeOptions) -> Appended {
        let draft = options.level == .cold ? ColumnCodec.draft(slice, into: &drafts) : nil
        if let draft, let byteCount = draft.plainByteCount {
            let payload = Payload(encoding: draft.encoding, byteCount: byteCount)
            blocks.append(Block(payload: payload, place: nil, draft: draft))
            return Appended(byteCount: byteCount, exponent: draft.exponent)
        }
        let encoded = ColumnCodec.encodePlain(slice)
        var (encoding, bytes) = (encoded.encoding, encoded.payload)
        if draft == nil { (encoding, bytes) = ColumnCodec.compressed(encoding, bytes, options) }
        let place = plain.count..<(plain.count + bytes.count)
        plain.append(bytes.bytes)
        blocks.append(
            Block(
                payload: Payload(encoding: encoding, byteCount: bytes.count), place: place,
                draft: draft))
        return Appended(
            payload: (encoding, bytes.bytes), byteCount: bytes.count, exponent: encoded.exponent)
    }

    /// A block without any value.
    mutating func appendAbsent() {
        let payload = Payload(encoding: Encoding(rawValue: 0), byteCount: 0)
        blocks.append(Block(payload: payload, place: 0..<0, draft: nil))
    }

    package mutating func removeAll() {
        plain.removeAll()
        drafts.removeAll()
        blocks.removeAll(keepingCapacity: true)
    }

    /// The group's stretch, coded where that is smaller.
    /// - Parameter verify: Called with each payload that `append` did not give; stops the process if
    ///   it decodes to other values than those of its draft.
    package func finish(
        verify: (Int, Payload, UnsafeRawBufferPointer, SymbolDecoder?, ColumnDraft) -> Void
    ) -> Stretch {
        let plainByteCount = blocks.reduce(0) { $0 + $1.payload.byteCount }
        if drafts.differenceCount > 0, plainByteCount >= Self.tableBytesMin {
            let coded = finish(Self.Codes(drafts.table()), plainByteCount, verify)
            let gain = plainByteCount >> Self.gainShift
            if coded.bytes.count < plainByteCount - gain { return coded }
        }
        return finish(nil, plainByteCount, verify)
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
        _ codes: Codes?, _ byteCount: Int,
        _ verify: (Int, Payload, UnsafeRawBufferPointer, SymbolDecoder?, ColumnDraft) -> Void
    ) -> Stretch {
        var writer = ByteWriter(capacity: byteCount)
        if let codes { writer.append(codes.bytes) }
        var payloads: [Payload] = []
        for (index, block) in blocks.enumerated() {
            let before = writer.count
            let (payload, isNew) = append(block, codes, &writer)
            payloads.append(payload)
            guard isNew, let draft = block.draft else { continue }
            // Safe: the payload was just appended, and `verify` keeps nothing.
            writer.bytes.withUnsafeBytes { bytes in
                verify(
                    index, payload, UnsafeRawBufferPointer(rebasing: bytes[before...]),
                    codes?.decoder, draft)
            }
        }
        return Stretch(
            bytes: writer.bytes, tableByteCount: codes?.bytes.count ?? 0, payloads: payloads)
    }

    /// Appends a block: coded, if that is smaller than it is plain, else compressed where that pays.
    /// - Returns: The payload, and whether it is another than `append` gave.
    private func append(
        _ block: Block, _ codes: Codes?, _ writer: inout ByteWriter
    ) -> (payload: Payload, isNew: Bool) {
        let before = writer.count
        let plainMax = block.payload.byteCount - block.payload.byteCount >> Self.gainShift
        if let codes, let draft = block.draft,
            ColumnCodec.write(draft, of: drafts, codes.encoder, into: &writer)
        {
            let byteCount = writer.count - before
            if byteCount < plainMax {
                return (Payload(encoding: draft.encoding, byteCount: byteCount), true)
            }
            writer.truncate(to: before)
        }
        guard let draft = block.draft else {
            if let place = block.place { writer.append(Array(plain.bytes[place])) }
            return (block.payload, false)
        }
        var (encoding, bytes) = (block.payload.encoding, ByteWriter())
        if let place = block.place {
            bytes.append(Array(plain.bytes[place]))
        } else {
            (encoding, bytes) = ColumnCodec.plain(draft, of: drafts)
        }
        let packed = ColumnCodec.compressed(encoding, bytes, EncodeOptions(level: .cold))
        writer.append(packed.payload.bytes)
        return (
            Payload(encoding: packed.encoding, byteCount: packed.payload.count),
            block.place == nil || packed.encoding != encoding
        )
    }
}
