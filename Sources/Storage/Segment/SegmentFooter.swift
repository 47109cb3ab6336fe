// The footer names everything in a segment, so that MANIFEST and catalog can be rebuilt from it.
//
//     field                 size     meaning
//     ────────────────────  ───────  ──────────────────────────────────────────────
//     number                8        the segment's number, never reused
//     databaseID            4
//     partitionStart        8        nanoseconds since 1970 UTC
//     partitionNanoseconds  8        at least 1
//     firstSequence         8        of the log records whose rows are inside
//     lastSequence          8        not below firstSequence
//     level                 1        0 hot, 1 cold: how much work encoding was; not in format 1
//     databaseName          text
//     replaceCount          varint   segments whose rows this one has taken over
//       number              varint   for each
//     stringCount           varint   names used below, each once
//       string              text     for each
//     tableCount            varint
//     for each table, in file order:
//       tableID             varint   below 2^32, once in a segment
//       name                varint   index of a string
//       firstSequence       varint
//       lastSequence        varint   not below firstSequence
//       tagKeyCount         varint
//         tagKey            varint   index of a string, for each
//       fieldCount          varint
//         fieldID           varint   for each: below 2^32, once in a table
//         name              varint   index of a string
//         sqlName           varint   index of a string
//         type              1        FieldType
//       rowCount            varint
//       blockCount          varint
//       seriesCount         varint
//       minTime             8        of the rows; Int64.max in a table without rows
//       maxTime             8        Int64.min in a table without rows
//       dataOffset          varint   where its first stretch begins
//       directoryOffset     varint   multiple of 8
//       directoryByteCount  varint
//       directoryChecksum   4        CRC-32C of the directory
//       keysByteCount       varint   the keys lie right behind the directory
//       keysChecksum        4        CRC-32C of the keys
//
// Text is a varint length and UTF-8. Sections tile the file: the first `dataOffset` is the header's
// end, each later one the end of the keys before it, and the footer follows the last keys (at the
// next multiple of 8).

/// What a segment says about itself.
package struct SegmentIdentity: Sendable, Equatable {
    package var number: UInt64
    package var databaseID: UInt32
    package var databaseName: String
    package var partitionStart: Int64
    package var partitionNanoseconds: Int64
    package var firstSequence: UInt64
    package var lastSequence: UInt64
    /// Numbers of the segments whose rows this one has taken over.
    package var replaces: [UInt64]
    /// How much work went into its blocks.
    package var level: EncodeOptions.Level

    package init(
        number: UInt64, databaseID: UInt32, databaseName: String, partitionStart: Int64,
        partitionNanoseconds: Int64, firstSequence: UInt64, lastSequence: UInt64,
        replaces: [UInt64] = [], level: EncodeOptions.Level = .hot
    ) {
        self.number = number
        self.databaseID = databaseID
        self.databaseName = databaseName
        self.partitionStart = partitionStart
        self.partitionNanoseconds = partitionNanoseconds
        self.firstSequence = firstSequence
        self.lastSequence = lastSequence
        self.replaces = replaces
        self.level = level
    }
}

/// A field of a table as the segment stores it. A later widening lives in the catalog only.
package struct SegmentField: Sendable, Equatable {
    package var id: UInt32
    package var name: String
    /// The column's name in SQL, which differs where a tag or the time has the name already.
    package var sqlName: String
    package var type: FieldType

    package init(id: UInt32, name: String, sqlName: String, type: FieldType) {
        self.id = id
        self.name = name
        self.sqlName = sqlName
        self.type = type
    }
}

/// A table of a segment: its name and number, its tags, the fields that have a column inside.
package struct SegmentTableSchema: Sendable, Equatable {
    package var tableID: UInt32
    package var name: String
    package var firstSequence: UInt64
    package var lastSequence: UInt64
    package var tagKeys: [String]
    package var fields: [SegmentField]

    package init(
        tableID: UInt32, name: String, firstSequence: UInt64, lastSequence: UInt64,
        tagKeys: [String], fields: [SegmentField]
    ) {
        self.tableID = tableID
        self.name = name
        self.firstSequence = firstSequence
        self.lastSequence = lastSequence
        self.tagKeys = tagKeys
        self.fields = fields
    }
}

/// A table's entry in the footer.
struct SegmentTableEntry: Sendable, Equatable {
    /// Of the segment.
    var format = SegmentLayout.formatNumber
    var schema: SegmentTableSchema
    var rowCount = 0
    var blockCount = 0
    var seriesCount = 0
    var minTime = Int64.max
    var maxTime = Int64.min
    var dataOffset = 0
    var directoryOffset = 0
    var directoryByteCount = 0
    var directoryChecksum: UInt32 = 0
    var keysByteCount = 0
    var keysChecksum: UInt32 = 0

    var keysOffset: Int { directoryOffset + directoryByteCount }
    var end: Int { keysOffset + keysByteCount }
}

/// The footer in memory, and its two directions.
struct SegmentFooter: Sendable, Equatable {
    var identity: SegmentIdentity
    var tables: [SegmentTableEntry]

    func encode() -> [UInt8] {
        var names = NameTable()
        var tableWriter = ByteWriter()
        for table in tables { Self.append(table, names: &names, to: &tableWriter) }

        var writer = ByteWriter()
        writer.append(identity.number)
        writer.append(identity.databaseID)
        writer.append(identity.partitionStart)
        writer.append(identity.partitionNanoseconds)
        writer.append(identity.firstSequence)
        writer.append(identity.lastSequence)
        writer.append(identity.level.rawValue)
        writer.appendText(identity.databaseName)
        writer.appendVarint(UInt64(identity.replaces.count))
        for number in identity.replaces { writer.appendVarint(number) }
        writer.appendVarint(UInt64(names.strings.count))
        for string in names.strings { writer.appendText(string) }
        writer.appendVarint(UInt64(tables.count))
        writer.append(tableWriter.bytes)
        return writer.bytes
    }

    private static func append(
        _ table: SegmentTableEntry, names: inout NameTable, to writer: inout ByteWriter
    ) {
        let schema = table.schema
        writer.appendVarint(UInt64(schema.tableID))
        writer.appendVarint(names.index(of: schema.name))
        writer.appendVarint(schema.firstSequence)
        writer.appendVarint(schema.lastSequence)
        writer.appendVarint(UInt64(schema.tagKeys.count))
        for key in schema.tagKeys { writer.appendVarint(names.index(of: key)) }
        writer.appendVarint(UInt64(schema.fields.count))
        for field in schema.fields {
            writer.appendVarint(UInt64(field.id))
            writer.appendVarint(names.index(of: field.name))
            writer.appendVarint(names.index(of: field.sqlName))
            writer.append(field.type.rawValue)
        }
        for count in [table.rowCount, table.blockCount, table.seriesCount] {
            writer.appendVarint(UInt64(count))
        }
        writer.append(table.minTime)
        writer.append(table.maxTime)
        writer.appendVarint(UInt64(table.dataOffset))
        writer.appendVarint(UInt64(table.directoryOffset))
        writer.appendVarint(UInt64(table.directoryByteCount))
        writer.append(table.directoryChecksum)
        writer.appendVarint(UInt64(table.keysByteCount))
        writer.append(table.keysChecksum)
    }

    /// Reads a footer whose checksum has matched.
    /// - Parameter footerOffset: Where it lies in the file; sections have to end there.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, footerOffset: Int, format: UInt32
    ) throws(ByteReader.Malformed) -> SegmentFooter {
        // Safe: the bytes are read through `ByteReader` alone, which checks each bound.
        var reader = ByteReader(bytes)
        let number: UInt64 = try reader.read()
        let databaseID: UInt32 = try reader.read()
        let partitionStart: Int64 = try reader.read()
        let partitionNanoseconds: Int64 = try reader.read()
        let firstSequence: UInt64 = try reader.read()
        let lastSequence: UInt64 = try reader.read()
        guard partitionNanoseconds > 0, firstSequence <= lastSequence else {
            throw .init(offset: 0, reason: "an impossible partition or sequence range")
        }
        var level = EncodeOptions.Level.hot
        if format > 1 {
            guard let stated = EncodeOptions.Level(rawValue: try reader.read()) else {
                throw .init(offset: reader.offset - 1, reason: "no known level")
            }
            level = stated
        }
        let databaseName = try reader.readString()
        var replaces: [UInt64] = []
        for _ in 0..<(try reader.readCount(limit: reader.remaining)) {
            replaces.append(try reader.readVarint())
        }
        var names: [String] = []
        for _ in 0..<(try reader.readCount(limit: reader.remaining)) {
            names.append(try reader.readString())
        }
        let tableCount = try reader.readCount(limit: reader.remaining)
        var tables: [SegmentTableEntry] = []
        var end = SegmentLayout.headerByteCount
        for _ in 0..<tableCount {
            let start = reader.offset
            var table = try decodeTable(&reader, names: names, footerOffset: footerOffset)
            table.format = format
            guard table.dataOffset == end else {
                throw .init(offset: start, reason: "a table does not begin where the last ended")
            }
            end = table.end
            tables.append(table)
        }
        guard reader.isAtEnd, SegmentLayout.aligned(end) == footerOffset,
            Set(tables.map(\.schema.tableID)).count == tables.count
        else {
            throw .init(offset: reader.offset, reason: "tables repeat, or leave bytes over")
        }
        return SegmentFooter(
            identity: SegmentIdentity(
                number: number, databaseID: databaseID, databaseName: databaseName,
                partitionStart: partitionStart, partitionNanoseconds: partitionNanoseconds,
                firstSequence: firstSequence, lastSequence: lastSequence, replaces: replaces,
                level: level),
            tables: tables)
    }

    private static func decodeTable(
        _ reader: inout ByteReader, names: [String], footerOffset: Int
    ) throws(ByteReader.Malformed) -> SegmentTableEntry {
        let start = reader.offset
        func malformed(_ reason: String) -> ByteReader.Malformed {
            .init(offset: start, reason: reason)
        }
        func number32(_ reader: inout ByteReader) throws(ByteReader.Malformed) -> UInt32 {
            UInt32(truncatingIfNeeded: try reader.readCount(limit: Int(UInt32.max)))
        }
        func name(_ reader: inout ByteReader) throws(ByteReader.Malformed) -> String {
            let index = try reader.readCount(limit: names.count)
            guard index < names.count else { throw malformed("no string \(index)") }
            return names[index]
        }
        var schema = SegmentTableSchema(
            tableID: try number32(&reader), name: try name(&reader),
            firstSequence: try reader.readVarint(), lastSequence: try reader.readVarint(),
            tagKeys: [], fields: [])
        for _ in 0..<(try reader.readCount(limit: reader.remaining)) {
            schema.tagKeys.append(try name(&reader))
        }
        for _ in 0..<(try reader.readCount(limit: reader.remaining)) {
            let (id, fieldName) = (try number32(&reader), try name(&reader))
            let sqlName = try name(&reader)
            guard let type = FieldType(rawValue: try reader.read()) else {
                throw malformed("a field of no known type")
            }
            schema.fields.append(
                SegmentField(id: id, name: fieldName, sqlName: sqlName, type: type))
        }
        var table = SegmentTableEntry(schema: schema)
        table.rowCount = try reader.readCount(limit: 1 << 48)
        // Two blocks differ in series or time, so that every block but one has a directory byte.
        table.blockCount = try reader.readCount(limit: footerOffset)
        table.seriesCount = try reader.readCount(limit: Int(UInt32.max))
        table.minTime = try reader.read()
        table.maxTime = try reader.read()
        table.dataOffset = try reader.readCount(limit: footerOffset)
        table.directoryOffset = try reader.readCount(limit: footerOffset)
        table.directoryByteCount = try reader.readCount(limit: footerOffset)
        table.directoryChecksum = try reader.read()
        table.keysByteCount = try reader.readCount(limit: footerOffset)
        table.keysChecksum = try reader.read()
        guard table.end <= footerOffset, table.dataOffset <= table.directoryOffset,
            table.directoryOffset % SegmentLayout.alignment == 0,
            schema.firstSequence <= schema.lastSequence,
            table.rowCount == 0 || table.minTime <= table.maxTime,
            table.blockCount <= table.rowCount, table.seriesCount <= table.rowCount,
            (table.rowCount == 0) == (table.blockCount == 0),
            Set(schema.fields.map(\.id)).count == schema.fields.count
        else { throw malformed("a table's entry contradicts itself") }
        return table
    }

    /// Strings by index, each stored once: thousands of tables share their tag keys.
    private struct NameTable {
        var strings: [String] = []
        private var indexes: [String: UInt64] = [:]

        mutating func index(of string: String) -> UInt64 {
            // Strings that Swift calls equal but whose bytes differ share nothing: NFC and NFD.
            if let index = indexes[string], strings[Int(index)].utf8.elementsEqual(string.utf8) {
                return index
            }
            let index = UInt64(strings.count)
            strings.append(string)
            indexes[string] = index
            return index
        }
    }
}
