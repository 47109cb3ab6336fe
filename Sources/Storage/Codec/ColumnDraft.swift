// Columns whose numbers wait for the symbol table of their group of blocks.

/// A block's column as differences, kept in the `CodedDrafts` of its column.
package struct ColumnDraft {
    let encoding: Encoding
    /// What the payload has before its frame.
    fileprivate let head: [UInt8]
    fileprivate let block: CodedDrafts.Block
    /// See `ColumnCodec.checksum`, for who decodes the payload.
    let checksum: UInt32
    /// Roughly the bytes of the payload without a symbol table; nil where only encoding tells.
    let plainByteCount: Int?
    /// The power of ten by which all values are integers, if that is what is encoded.
    let exponent: Int?
}

extension ColumnCodec {
    /// Takes a block's column; nil where its values are no numbers that codes suit. 6 ns a value.
    static func draft(_ slice: ColumnSlice, into drafts: inout CodedDrafts) -> ColumnDraft? {
        guard slice.type == .float64 || slice.type == .int64 || slice.type == .uint64 else {
            return nil
        }
        var head = ByteWriter()
        let present = Presence.write(slice.validity, count: slice.count, into: &head)
        guard present >= CodedFrame.countMin else { return nil }
        guard present < slice.count else {
            return draft(slice, slice.values, present, head, &drafts)
        }
        let dense = Scratch(count: present)
        Presence.gather(slice, into: dense.pointer)
        return draft(slice, dense.pointer, present, head, &drafts)
    }

    private static func draft(
        _ slice: ColumnSlice, _ values: UnsafePointer<UInt64>, _ count: Int, _ head: ByteWriter,
        _ drafts: inout CodedDrafts
    ) -> ColumnDraft? {
        let type = slice.type
        var head = head
        var integers = values
        var encoding = Encoding.deltaCoded
        var plan: DecimalPlan?
        if type == .float64 {
            guard let found = DecimalCodec.plan(values, count: count) else { return nil }
            DecimalCodec.writeHead(found, values: values, count: count, into: &head)
            integers = UnsafePointer(found.integers.scratch.pointer)
            encoding = .decimal
            plan = found
        }
        let factored = FactoredIntegers(integers, count: count)
        if let factored {
            factored.writeHead(into: &head)
            integers = factored.numbers
            if type != .float64 { encoding = .nested }
        }
        let frameByteCount = OrderChoice.byteCount(integers, count: count)
        // All values alike, or nearly so, gain nothing that matters.
        guard frameByteCount >= frameBytesMin, let block = drafts.add(integers, count: count)
        else { return nil }
        let byteCount = head.count + frameByteCount
        return ColumnDraft(
            encoding: encoding, head: head.bytes, block: block,
            checksum: checksum(
                values, present: count, validity: slice.validity, count: slice.count),
            plainByteCount: plan == nil || DecimalCodec.isShort(byteCount, count: count)
                ? byteCount : nil,
            exponent: plan.flatMap { $0.exceptions.isEmpty ? $0.exponent : nil })
    }

    private static let frameBytesMin = 12

    /// Of the slots of present values, and of which those are if not all.
    ///
    /// Safe: `values` has `present` slots, `validity` then `count` bytes.
    static func checksum(
        _ values: UnsafePointer<UInt64>, present: Int, validity: UnsafePointer<UInt8>?, count: Int
    ) -> UInt32 {
        let sum = CRC32C.checksum(UnsafeRawBufferPointer(start: values, count: present &* 8))
        guard present < count, let validity else { return sum }
        return CRC32C.checksum(
            UnsafeRawBufferPointer(start: validity, count: count), continuing: sum)
    }

    /// Appends the payload of a draft under a symbol table; nothing, and false, where codes can't
    /// hold it.
    static func write(
        _ draft: ColumnDraft, of drafts: CodedDrafts, _ encoder: SymbolEncoder,
        into writer: inout ByteWriter
    ) -> Bool {
        let before = writer.count
        writer.append(draft.head)
        if draft.encoding != .deltaCoded { writer.append(FrameOrder.coded.rawValue) }
        if drafts.write(draft.block, encoder, into: &writer) { return true }
        writer.truncate(to: before)
        return false
    }

    /// The payload of a draft without a symbol table.
    static func plain(
        _ draft: ColumnDraft, of drafts: CodedDrafts
    ) -> (encoding: Encoding, payload: ByteWriter) {
        let numbers = Scratch(count: draft.block.count)
        drafts.restore(draft.block, into: numbers.pointer)
        var payload = ByteWriter(capacity: 256)
        payload.append(draft.head)
        guard draft.encoding == .deltaCoded else {
            IntegerFrame.writeOrdered(numbers.pointer, count: draft.block.count, into: &payload)
            return (draft.encoding, payload)
        }
        let encoding = encodeIntegers(numbers.pointer, count: draft.block.count, into: &payload)
        return (encoding, payload)
    }
}
