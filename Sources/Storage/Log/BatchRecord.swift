// The payload of a `write` record: one batch's rows as columns, compact, not the text.
//
//     field            size      meaning
//     ───────────────  ────────  ──────────────────────────────────────────────────────────
//     groupCount       varint
//     for each group:
//       tableID        varint
//       rowCount       varint    1 …
//       fieldCount     varint    1 …
//       fields         each      field id varint, type u8
//       ordered        u8        0: row order is base, base + 1, …; 1: explicit
//       order          varint(s) base, or for each row the distance from the row before
//       series         varints   for each row the zig-zag distance from the row before
//       times          pairs     zig-zag distance varint, run length varint, until all rows
//       for each field:
//         string       varints   length of each; then the bytes of all
//         other        u8, u64   width w and first slot; then (slot XOR first) in w bits each,
//                                low bits first, padded to a byte; w = 64 stores slots whole
//
// Row order decides which line of a batch wins where two groups hold the same series and time.

/// A group of a decoded record, ready to be applied.
package struct RecordGroup {
    package var tableID: UInt32
    package var rowCount: Int
    package var fields: [(id: UInt32, type: FieldType)]
    package var order: [UInt32]
    package var series: [UInt32]
    package var times: [Int64]
    /// Field-major, `rowCount` slots each; string slots point into `strings`.
    package var columns: [UInt64]
    package var strings: [UInt8]
}

package enum BatchRecord {
    static let groupCountMax = 1 << 20
    static let rowCountMax = 1 << 26
    static let fieldCountMax = 65_535
    /// What the rows of a record may take in memory. Columns of one value take no bytes a row in a
    /// record, so that its size alone bounds nothing.
    package static let memoryBytesMax = 2 << 30

    /// Order, series and time of a row, and its slots.
    private static func memoryBytes(rows: Int, fields: Int) -> Int { rows * (16 + 8 * fields) }

    /// Why no record could be read back that holds this batch, or nil.
    package static func limitPassed(by batch: WriteBatch) -> String? {
        guard batch.groups.count <= groupCountMax else {
            return "a write has at most \(groupCountMax) groups of rows with the same fields"
        }
        var bytes = 0
        for group in batch.groups {
            guard group.rowCount <= rowCountMax, group.fieldCount <= fieldCountMax else {
                return "a write has at most \(rowCountMax) rows with the same fields, of at most "
                    + "\(fieldCountMax) fields"
            }
            bytes += memoryBytes(rows: group.rowCount, fields: group.fieldCount)
        }
        guard bytes <= memoryBytesMax else {
            return "the rows of a write take at most \(memoryBytesMax) bytes: send it in parts"
        }
        return nil
    }

    package static func encode(_ batch: WriteBatch, into writer: inout ByteWriter) {
        let groups = batch.groups.filter { $0.rowCount > 0 && $0.binding != nil }
        writer.appendVarint(UInt64(groups.count))
        for group in groups { encode(group, strings: batch.strings, into: &writer) }
    }

    private static func encode(
        _ group: RowGroup, strings: UnsafeMutableRawPointer, into writer: inout ByteWriter
    ) {
        guard let binding = group.binding else { return }
        let rows = group.rowCount
        let stored = binding.fields.enumerated().compactMap { index, field in
            field.map { (index, $0) }
        }
        writer.appendVarint(UInt64(binding.table.id))
        writer.appendVarint(UInt64(rows))
        writer.appendVarint(UInt64(stored.count))
        for (_, field) in stored {
            writer.appendVarint(UInt64(field.id))
            writer.append(field.type.rawValue)
        }
        encodeOrder(group, into: &writer)
        encodeSeries(group, into: &writer)
        encodeTimes(group, into: &writer)
        for (index, field) in stored {
            let column = group.column(index)
            if field.type == .string {
                for row in 0..<rows {
                    writer.appendVarint(UInt64(StringSlot(rawValue: column[row]).length))
                }
                for row in 0..<rows {
                    let slot = StringSlot(rawValue: column[row])
                    writer.append(
                        UnsafeRawBufferPointer(start: strings + slot.offset, count: slot.length))
                }
            } else {
                encodeSlots(column, rows, into: &writer)
            }
        }
    }

    private static func encodeOrder(_ group: RowGroup, into writer: inout ByteWriter) {
        let lines = group.lines
        var contiguous = true
        for row in 1..<max(1, group.rowCount) where lines[row] != lines[row - 1] &+ 1 {
            contiguous = false
            break
        }
        writer.append(UInt8(contiguous ? 0 : 1))
        writer.appendVarint(UInt64(lines[0]))
        if !contiguous {
            for row in 1..<group.rowCount {
                writer.appendVarint(UInt64(lines[row] &- lines[row - 1]))
            }
        }
    }

    /// Varints straight into reserved space: these loops run once a row.
    private static func encodeSeries(_ group: RowGroup, into writer: inout ByteWriter) {
        let series = group.series
        writer.append(capacityMax: group.rowCount * 5) { out in
            guard let base = out.baseAddress else { return 0 }
            var position = 0
            var last: UInt32 = 0
            for row in 0..<group.rowCount {
                let distance = Int64(series[row]) &- Int64(last)
                last = series[row]
                var code = UInt64(bitPattern: (distance &<< 1) ^ (distance &>> 63))
                // Safe: a 33-bit code takes at most five bytes, and five a row were reserved.
                while code >= 0x80 {
                    base.storeBytes(
                        of: UInt8(truncatingIfNeeded: code) | 0x80, toByteOffset: position,
                        as: UInt8.self)
                    code &>>= 7
                    position &+= 1
                }
                base.storeBytes(
                    of: UInt8(truncatingIfNeeded: code), toByteOffset: position, as: UInt8.self)
                position &+= 1
            }
            return position
        }
    }

    private static func encodeTimes(_ group: RowGroup, into writer: inout ByteWriter) {
        let times = group.times
        var row = 0
        var last: Int64 = 0
        while row < group.rowCount {
            let distance = times[row] &- last
            var run = 1
            while row + run < group.rowCount, times[row + run] &- times[row + run - 1] == distance {
                run += 1
            }
            writer.appendSignedVarint(distance)
            writer.appendVarint(UInt64(run))
            row += run
            last = times[row - 1]
        }
    }

    private static func encodeSlots(
        _ slots: UnsafeMutablePointer<UInt64>, _ count: Int, into writer: inout ByteWriter
    ) {
        let first = slots[0]
        var all: UInt64 = 0
        for row in 0..<count { all |= slots[row] ^ first }
        let used = 64 - all.leadingZeroBitCount
        let width = used > 56 ? 64 : used
        writer.append(UInt8(width))
        writer.append(first)
        guard width > 0 else { return }
        if width == 64 {
            writer.append(UnsafeRawBufferPointer(start: slots, count: count * 8))
            return
        }
        let bytes = BitPacking.byteCount(count: count, width: width)
        writer.append(capacityMax: bytes) { out in
            // Safe: the writer made exactly the room that packing takes.
            if let base = out.baseAddress {
                BitPacking.packHorizontal(
                    slots, count: count, width: width, flip: first, into: base)
            }
            return bytes
        }
    }

    // MARK: Decoding

    /// - Parameter keysOnly: leaves the groups without their columns and strings: what tables and
    ///   rows a record is about takes a fraction of the time. Bounds are checked all the same.
    package static func decode(
        _ payload: UnsafeRawBufferPointer, keysOnly: Bool = false
    ) throws(ByteReader.Malformed) -> [RecordGroup] {
        var reader = ByteReader(payload)
        let count = try reader.readCount(limit: groupCountMax)
        var groups: [RecordGroup] = []
        var memoryLeft = memoryBytesMax
        for _ in 0..<count { groups.append(try decodeGroup(&reader, &memoryLeft, keysOnly)) }
        guard reader.isAtEnd else {
            throw .init(offset: reader.offset, reason: "bytes behind the last group")
        }
        return groups
    }

    private static func decodeGroup(
        _ reader: inout ByteReader, _ memoryLeft: inout Int, _ keysOnly: Bool
    ) throws(ByteReader.Malformed) -> RecordGroup {
        let table = UInt32(try reader.readCount(limit: Int(UInt32.max)))
        // A row takes a byte at least, and a field two.
        let rows = try reader.readCount(limit: min(rowCountMax, reader.remaining))
        let fieldCount = try reader.readCount(limit: min(fieldCountMax, reader.remaining))
        guard rows > 0 else { throw .init(offset: reader.offset, reason: "a group without rows") }
        memoryLeft -= memoryBytes(rows: rows, fields: fieldCount)
        guard memoryLeft >= 0 else {
            throw .init(
                offset: reader.offset, reason: "rows of more than \(memoryBytesMax) bytes in memory"
            )
        }
        var fields: [(id: UInt32, type: FieldType)] = []
        for _ in 0..<fieldCount {
            let id = UInt32(try reader.readCount(limit: Int(UInt32.max)))
            let raw: UInt8 = try reader.read()
            guard let type = FieldType(rawValue: raw) else {
                throw .init(offset: reader.offset - 1, reason: "unknown field type \(raw)")
            }
            fields.append((id, type))
        }
        var group = RecordGroup(
            tableID: table, rowCount: rows, fields: fields, order: [], series: [], times: [],
            columns: [], strings: [])
        try decodeKeys(&reader, &group)
        if !keysOnly { group.columns.reserveCapacity(rows * fieldCount) }
        for field in fields {
            if field.type == .string {
                try decodeStrings(&reader, &group, keysOnly)
            } else {
                try decodeSlots(&reader, &group, keysOnly)
            }
        }
        return group
    }

    private static func decodeKeys(
        _ reader: inout ByteReader, _ group: inout RecordGroup
    ) throws(ByteReader.Malformed) {
        let rows = group.rowCount
        group.order.reserveCapacity(rows)
        let explicit: UInt8 = try reader.read()
        var order = UInt32(truncatingIfNeeded: try reader.readVarint())
        group.order.append(order)
        for _ in 1..<max(1, rows) {
            order &+= explicit == 0 ? 1 : UInt32(truncatingIfNeeded: try reader.readVarint())
            group.order.append(order)
        }
        group.series.reserveCapacity(rows)
        var series: Int64 = 0
        for _ in 0..<rows {
            series &+= try reader.readSignedVarint()
            guard series >= 0, series < Int64(WriteBatch.provisional) else {
                throw .init(offset: reader.offset, reason: "an impossible series id")
            }
            group.series.append(UInt32(series))
        }
        group.times.reserveCapacity(rows)
        var time: Int64 = 0
        while group.times.count < rows {
            let distance = try reader.readSignedVarint()
            let run = try reader.readCount(limit: rows - group.times.count)
            guard run > 0 else {
                throw .init(offset: reader.offset, reason: "an empty run of times")
            }
            for _ in 0..<run {
                time &+= distance
                group.times.append(time)
            }
        }
    }

    private static func decodeStrings(
        _ reader: inout ByteReader, _ group: inout RecordGroup, _ isSkipped: Bool
    ) throws(ByteReader.Malformed) {
        var lengths: [Int] = []
        lengths.reserveCapacity(group.rowCount)
        var total = 0
        for _ in 0..<group.rowCount {
            let length = try reader.readCount(limit: StringSlot.lengthMax)
            lengths.append(length)
            total += length
        }
        let bytes = try reader.readBytes(total)
        if isSkipped { return }
        var offset = group.strings.count
        group.strings.append(contentsOf: bytes)
        for length in lengths {
            group.columns.append(StringSlot(offset: offset, length: length).rawValue)
            offset += length
        }
    }

    private static func decodeSlots(
        _ reader: inout ByteReader, _ group: inout RecordGroup, _ isSkipped: Bool
    ) throws(ByteReader.Malformed) {
        let rows = group.rowCount
        let width = Int(try reader.read(UInt8.self))
        let first: UInt64 = try reader.read()
        guard width <= 56 || width == 64 else {
            throw .init(offset: reader.offset, reason: "slots of \(width) bits")
        }
        let bytes = try reader.readBytes((rows * width + 7) / 8)
        if isSkipped { return }
        if width == 0 {
            group.columns.append(contentsOf: repeatElement(first, count: rows))
        } else if width == 64 {
            for row in 0..<rows {
                group.columns.append(
                    UInt64(
                        littleEndian: bytes.loadUnaligned(fromByteOffset: row * 8, as: UInt64.self))
                )
            }
        } else if let source = bytes.baseAddress {
            let slots = Scratch(count: rows)
            // Safe: the packed bytes are there, and `slots` has room for all rows.
            BitPacking.unpackHorizontal(
                source, readable: bytes.count, width: width, count: rows, base: 0,
                into: slots.pointer)
            for row in 0..<rows { slots.pointer[row] ^= first }
            group.columns.append(
                contentsOf: UnsafeBufferPointer(start: slots.pointer, count: rows))
        }
    }
}
