// Columns whose numbers wait for the symbol table of their group of blocks.

/// A block's column as differences, kept in the `CodedDrafts` of its column.
package struct ColumnDraft {
    let encoding: Encoding
    /// What the payload has before the coded frame.
    fileprivate let head: [UInt8]
    fileprivate let block: CodedDrafts.Block
    /// Of the present values' slots, for who decodes the payload again.
    let checksum: UInt32
}

extension ColumnCodec {
    /// Takes a block's column; nil where its values are no numbers that codes suit. 10 ns a value.
    static func draft(_ slice: ColumnSlice, into drafts: inout CodedDrafts) -> ColumnDraft? {
        guard slice.type == .float64 || slice.type == .int64 || slice.type == .uint64 else {
            return nil
        }
        var head = ByteWriter()
        let present = Presence.write(slice.validity, count: slice.count, into: &head)
        guard present >= CodedFrame.countMin else { return nil }
        guard present < slice.count else {
            return draft(slice.values, present, slice.type, head, &drafts)
        }
        let dense = Scratch(count: present)
        Presence.gather(slice, into: dense.pointer)
        return draft(dense.pointer, present, slice.type, head, &drafts)
    }

    private static func draft(
        _ values: UnsafePointer<UInt64>, _ count: Int, _ type: FieldType, _ head: ByteWriter,
        _ drafts: inout CodedDrafts
    ) -> ColumnDraft? {
        let checksum = checksum(values, count: count)
        guard type == .float64 else {
            let factored = FactoredIntegers(values, count: count)
            return drafts.add(factored?.numbers ?? values, count: count).map {
                var head = head
                if let factored { append(factored, to: &head) }
                return ColumnDraft(
                    encoding: factored == nil ? .deltaCoded : .nested, head: head.bytes, block: $0,
                    checksum: checksum)
            }
        }
        guard let plan = DecimalCodec.plan(values, count: count) else { return nil }
        let integers = UnsafePointer(plan.integers.scratch.pointer)
        let factored = FactoredIntegers(integers, count: count)
        return drafts.add(factored?.numbers ?? integers, count: count).map {
            var head = head
            DecimalCodec.writeHead(plan, values: values, count: count, into: &head)
            append(factored, to: &head)
            return ColumnDraft(encoding: .decimal, head: head.bytes, block: $0, checksum: checksum)
        }
    }

    /// What a nested frame has before its codes.
    private static func append(_ factored: FactoredIntegers?, to head: inout ByteWriter) {
        factored?.writeHead(into: &head)
        head.append(FrameOrder.coded.rawValue)
    }

    /// Of the slots of present values.
    ///
    /// Safe: `values` has `count` of them.
    static func checksum(_ values: UnsafePointer<UInt64>, count: Int) -> UInt32 {
        CRC32C.checksum(UnsafeRawBufferPointer(start: values, count: count &* 8))
    }

    /// Appends the payload of a draft; nothing, and false, where codes can't hold it.
    static func write(
        _ draft: ColumnDraft, of drafts: CodedDrafts, _ encoder: SymbolEncoder,
        into writer: inout ByteWriter
    ) -> Bool {
        let before = writer.count
        writer.append(draft.head)
        if drafts.write(draft.block, encoder, into: &writer) { return true }
        writer.truncate(to: before)
        return false
    }
}
