// A catalog entry is one definition, as it lies in `definitions` log records and catalog files.
//
//     kind  u8       then
//     ────  ───────  ─────────────────────────────────────────────────────────────────────
//      1    database       id varint, name text, partition ns varint, retention ns varint
//      2    table          table id varint, database id varint, name text
//      3    tag            table id varint, index varint, name text, SQL name text
//      4    field          table id varint, field id varint, type u8, name text, SQL name text
//      5    series         table id varint, series id varint, key text (see SeriesKey)
//      6    drop table     table id varint
//      7    drop database  database id varint
//      8    series section see SeriesSection; in catalog files only
//      9    drop series    table id varint, count varint, and for each run of neighbours: distance from the
//                          end of the run before varint, length varint (at least 1)
//     10    drop fields    table id varint, first field id varint, count varint (at least 1): neighbours
//
// Series and fields that are dropped and were not defined before take the next ids: catalog files leave out
// what is gone.
//
// Entries follow each other without padding. They are idempotent: an entry for something that
// exists updates what may change (retention, a field's name and type, SQL names). Numbers are never reused.

package enum CatalogEntry: Equatable, Sendable {
    case database(
        id: UInt32, name: String, partitionNanoseconds: Int64, retentionNanoseconds: Int64)
    case table(id: UInt32, databaseID: UInt32, name: String)
    case tag(tableID: UInt32, index: Int, name: String, sqlName: String)
    case field(tableID: UInt32, FieldColumn)
    case series(tableID: UInt32, id: UInt32, key: [UInt8])
    case section(SeriesSection)
    case dropTable(id: UInt32)
    case dropDatabase(id: UInt32)
    /// Runs rise, and don't touch.
    case dropSeries(tableID: UInt32, [Range<Int>])
    case dropFields(tableID: UInt32, Range<UInt32>)

    static let runsMax = 1 << 16
    static let nameBytesMax = 65_535

    package func append(to writer: inout ByteWriter) {
        switch self {
        case .database(let id, let name, let partition, let retention):
            writer.append(UInt8(1))
            writer.appendVarint(UInt64(id))
            writer.appendText(name)
            writer.appendVarint(UInt64(partition))
            writer.appendVarint(UInt64(retention))
        case .table(let id, let databaseID, let name):
            writer.append(UInt8(2))
            writer.appendVarint(UInt64(id))
            writer.appendVarint(UInt64(databaseID))
            writer.appendText(name)
        case .tag(let tableID, let index, let name, let sqlName):
            writer.append(UInt8(3))
            writer.appendVarint(UInt64(tableID))
            writer.appendVarint(UInt64(index))
            writer.appendText(name)
            writer.appendText(sqlName)
        case .field(let tableID, let field):
            writer.append(UInt8(4))
            writer.appendVarint(UInt64(tableID))
            writer.appendVarint(UInt64(field.id))
            writer.append(field.type.rawValue)
            writer.appendText(field.name)
            writer.appendText(field.sqlName)
        case .series(let tableID, let id, let key):
            writer.append(UInt8(5))
            writer.appendVarint(UInt64(tableID))
            writer.appendVarint(UInt64(id))
            writer.appendText(key)
        case .dropTable(let id):
            writer.append(UInt8(6))
            writer.appendVarint(UInt64(id))
        case .dropDatabase(let id):
            writer.append(UInt8(7))
            writer.appendVarint(UInt64(id))
        case .section(let section):
            writer.append(UInt8(8))
            section.append(to: &writer)
        case .dropSeries(let tableID, let runs):
            writer.append(UInt8(9))
            writer.appendVarint(UInt64(tableID))
            writer.appendVarint(UInt64(runs.count))
            var end = 0
            for run in runs {
                writer.appendVarint(UInt64(run.lowerBound - end))
                writer.appendVarint(UInt64(run.count))
                end = run.upperBound
            }
        case .dropFields(let tableID, let fields):
            writer.append(UInt8(10))
            writer.appendVarint(UInt64(tableID))
            writer.appendVarint(UInt64(fields.lowerBound))
            writer.appendVarint(UInt64(fields.count))
        }
    }

    /// Whether it needs a log record, and a MANIFEST, that releases before it refuse.
    var isFieldDrop: Bool { if case .dropFields = self { true } else { false } }

    /// The entries that drop some series of a table.
    package static func drops(of series: SeriesSet, tableID: UInt32) -> [CatalogEntry] {
        let runs = series.runs
        return stride(from: 0, to: runs.count, by: runsMax).map {
            .dropSeries(tableID: tableID, Array(runs[$0..<min(runs.count, $0 + runsMax)]))
        }
    }

    package static func read(_ reader: inout ByteReader) throws(ByteReader.Malformed)
        -> CatalogEntry
    {
        let start = reader.offset
        let kind: UInt8 = try reader.read()
        func id(_ reader: inout ByteReader) throws(ByteReader.Malformed) -> UInt32 {
            UInt32(try reader.readCount(limit: Int(UInt32.max >> 1)))
        }
        func text(_ reader: inout ByteReader) throws(ByteReader.Malformed) -> String {
            try reader.readString(limit: nameBytesMax)
        }
        switch kind {
        case 1:
            let number = try id(&reader)
            let name = try text(&reader)
            let partition = try reader.readCount(limit: .max)
            let retention = try reader.readCount(limit: .max)
            guard partition > 0 else {
                throw .init(offset: start, reason: "a database with partitions of length 0")
            }
            return .database(
                id: number, name: name, partitionNanoseconds: Int64(partition),
                retentionNanoseconds: Int64(retention))
        case 2:
            return .table(id: try id(&reader), databaseID: try id(&reader), name: try text(&reader))
        case 3:
            return .tag(
                tableID: try id(&reader), index: try reader.readCount(limit: 65_535),
                name: try text(&reader), sqlName: try text(&reader))
        case 4:
            let table = try id(&reader)
            let field = try id(&reader)
            let rawType: UInt8 = try reader.read()
            guard let type = FieldType(rawValue: rawType) else {
                throw .init(offset: start, reason: "unknown field type \(rawType)")
            }
            let name = try text(&reader)
            return .field(
                tableID: table,
                FieldColumn(id: field, name: name, sqlName: try text(&reader), type: type))
        case 5:
            return .series(
                tableID: try id(&reader), id: try id(&reader),
                key: try reader.readText(limit: nameBytesMax * 2))
        case 6: return .dropTable(id: try id(&reader))
        case 7: return .dropDatabase(id: try id(&reader))
        case 8: return .section(try SeriesSection.read(&reader))
        case 9:
            let table = try id(&reader)
            var runs: [Range<Int>] = []
            var end = 0
            for _ in 0..<(try reader.readCount(limit: runsMax)) {
                let first = end + (try reader.readCount(limit: Int(WriteBatch.provisional) - end))
                let length = try reader.readCount(limit: Int(WriteBatch.provisional) - first)
                guard length > 0 else {
                    throw .init(offset: start, reason: "a run of no series is dropped")
                }
                runs.append(first..<(first + length))
                end = first + length
            }
            return .dropSeries(tableID: table, runs)
        case 10:
            let table = try id(&reader)
            let first = try reader.readCount(limit: Int(UInt32.max >> 1))
            let count = try reader.readCount(limit: Int(UInt32.max >> 1) - first)
            guard count > 0 else {
                throw .init(offset: start, reason: "a run of no fields is dropped")
            }
            return .dropFields(tableID: table, UInt32(first)..<UInt32(first + count))
        default: throw .init(offset: start, reason: "unknown catalog entry \(kind)")
        }
    }
}

extension CatalogEntry {
    /// A piece is closed by the entry that reaches this.
    static let pieceBytes = 4 << 20

    /// Entries one after the other, in pieces of a size that a log record can hold.
    static func pieces(_ entries: [CatalogEntry]) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var open = ByteWriter()
        for entry in entries {
            entry.append(to: &open)
            guard open.count >= pieceBytes else { continue }
            pieces.append(open.bytes)
            open = ByteWriter()
        }
        return open.count == 0 ? pieces : pieces + [open.bytes]
    }
}
