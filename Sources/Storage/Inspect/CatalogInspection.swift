// A catalog file for a person. CatalogFile.swift and CatalogEntry.swift have the drawings.

enum CatalogInspection {
    static func read(_ bytes: [UInt8], _ name: String) throws(StorageError) -> FileInspection {
        var result = FileInspection(kind: .catalog, name: name, byteCount: bytes.count)
        var definitions = DefinitionListing()
        var frameCount = 0
        do throws(StorageError) {
            try CatalogFile.read(bytes, path: name) { frame throws(ByteReader.Malformed) in
                frameCount += 1
                try definitions.add(frame)
            }
        } catch { try result.take(error) }
        let format =
            bytes.count < 12 ? 0 : bytes[8..<12].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        result.fact("format", .number(format))
        result.fact("frames", .number(UInt64(frameCount)))
        result.fact("series", .number(UInt64(definitions.seriesCount)))
        result.listings = definitions.listings
        return result
    }

    static func annotate(
        _ annotator: inout ByteAnnotator, _ file: UnsafeRawBufferPointer
    ) throws(ByteReader.Malformed) {
        try annotator.bytes(8, "magic \"APUSCAT1\"")
        let format = try annotator.number(UInt32.self, "format")
        let header = UnsafeRawBufferPointer(rebasing: file.prefix(12))
        try annotator.checksum("checksum of the header", actual: CRC32C.checksum(header))
        while annotator.remaining > 0 {
            annotator.title("frame")
            let byteCount = Int(try annotator.number(UInt32.self, "payload bytes"))
            let start = annotator.offset + 4
            let end = min(start + (byteCount == 0 ? 4 : byteCount), file.count)
            let payload = UnsafeRawBufferPointer(rebasing: file[min(start, end)..<end])
            try annotator.checksum(
                "checksum of the payload", actual: CRC32C.checksum(payload))
            if byteCount == 0 {
                try annotator.number(UInt32.self, "frames before this last one:")
                continue
            }
            if format > 1, try annotator.number(UInt8.self, "compression") == 1 {
                try annotator.bytes(
                    max(0, end - annotator.offset), "entries, compressed")
            }
            while annotator.offset < end { try annotateEntry(&annotator) }
        }
    }

    /// One definition, in a catalog file or in the log.
    static func annotateEntry(
        _ annotator: inout ByteAnnotator
    ) throws(ByteReader.Malformed) {
        let kinds = [
            "entry", "database:", "table:", "tag:", "field:", "series:", "drop table:",
            "drop database:", "series section:", "drop series:", "drop fields:",
        ]
        let start = annotator.offset
        let kind = Int(try annotator.number(UInt8.self, "entry of kind"))
        guard kind > 0, kind < kinds.count else {
            throw .init(offset: start, reason: "unknown catalog entry \(kind)")
        }
        switch kind {
        case 1:
            try annotator.varint("  database")
            try annotator.text("  name")
            try annotator.varint("  partition, ns")
            try annotator.varint("  retention, ns")
        case 2:
            try annotator.varint("  table")
            try annotator.varint("  of database")
            try annotator.text("  name")
        case 3, 4:
            try annotator.varint("  \(kind == 3 ? "tag" : "field") of table")
            try annotator.varint("  number")
            if kind == 4 { try annotator.number(UInt8.self, "  type") }
            try annotator.text("  name")
            try annotator.text("  SQL name")
        case 5:
            try annotator.varint("  series of table")
            try annotator.varint("  number")
            let end = annotator.offset + (try annotator.count("  bytes of the key:"))
            while annotator.offset < end {
                try annotator.text("    tag")
                try annotator.text("    value")
            }
        case 8: try annotateSection(&annotator)
        case 9:
            try annotator.varint("  series of table")
            for _ in 0..<(try annotator.count("  runs:")) {
                try annotator.varint("    distance")
                try annotator.varint("    series")
            }
        case 10:
            try annotator.varint("  fields of table")
            try annotator.varint("  first")
            try annotator.varint("  fields")
        default: try annotator.varint("  \(kinds[kind])")
        }
    }
}

extension CatalogInspection {
    private static func annotateSection(
        _ annotator: inout ByteAnnotator
    ) throws(ByteReader.Malformed) {
        try annotator.varint("  series of table")
        try annotator.varint("  first")
        try annotator.varint("  series")
        for _ in 0..<(try annotator.count("  tags:")) {
            try annotator.varint("    tag")
            try annotator.varint("    values before")
            let valueCount = try annotator.count("    new values:")
            if valueCount > 0 { try annotateColumn(&annotator, "values") }
            try annotateColumn(&annotator, "codes")
        }
    }

    private static func annotateColumn(
        _ annotator: inout ByteAnnotator, _ what: String
    ) throws(ByteReader.Malformed) {
        let encoding = Encoding(
            rawValue: try annotator.number(UInt8.self, "    encoding of the \(what)"))
        let byteCount = try annotator.count("    bytes:")
        try annotator.bytes(byteCount, "    \(what), \(encoding)")
    }
}

/// Definitions by table, of a catalog file or of records.
struct DefinitionListing {
    private(set) var seriesCount = 0
    private var databases: [(name: String, row: [FileInspection.Fact.Value])] = []
    private var tables:
        [UInt32: (name: String, database: UInt32?, tags: [String], fields: [String])] = [:]
    private var series: [UInt32: Int] = [:]
    private var drops: [String] = []

    mutating func add(_ frame: UnsafeRawBufferPointer) throws(ByteReader.Malformed) {
        // Safe: the bytes are read through `ByteReader` alone, and nothing keeps them.
        var reader = ByteReader(frame)
        while !reader.isAtEnd {
            switch try CatalogEntry.read(&reader) {
            case .database(let id, let name, let partition, let retention):
                databases.append(
                    (
                        name,
                        [
                            .text(name), .number(UInt64(id)), .duration(partition),
                            retention == 0 ? .text("for ever") : .duration(retention),
                        ]
                    ))
            case .table(let id, let database, let name):
                tables[id, default: ("", nil, [], [])].name = name
                tables[id]?.database = database
            case .tag(let table, _, _, let sqlName):
                tables[table, default: ("", nil, [], [])].tags.append(sqlName)
            case .field(let table, let field):
                tables[table, default: ("", nil, [], [])].fields.append(
                    "\(field.sqlName) \(field.type.name)")
            case .series(let table, _, _):
                seriesCount += 1
                series[table, default: 0] += 1
            case .section(let section):
                seriesCount += section.count
                series[section.tableID, default: 0] += section.count
            case .dropTable(let id): drops.append("table \(id)")
            case .dropDatabase(let id): drops.append("database \(id)")
            case .dropSeries(let table, let runs):
                let count = runs.reduce(0) { $0 + $1.count }
                drops.append("\(count) series of table \(table)")
            case .dropFields(let table, let fields):
                let numbers =
                    fields.count == 1
                    ? "field \(fields.lowerBound)"
                    : "fields \(fields.lowerBound) to \(fields.upperBound - 1)"
                drops.append("\(numbers) of table \(table)")
            }
        }
    }

    var listings: [FileInspection.Listing] {
        var databaseList = FileInspection.Listing(
            "databases", ["name", ">number", ">partition", ">keeps"])
        for database in databases { databaseList.append(database.row) }
        var tableList = FileInspection.Listing(
            "tables", [">number", "name", ">database", ">new series", "new columns"])
        for id in Set(tables.keys).union(series.keys).sorted() {
            let table = tables[id]
            let columns = (table?.tags.map { "\($0) tag" } ?? []) + (table?.fields ?? [])
            tableList.append([
                .number(UInt64(id)), .text(table?.name ?? ""),
                table?.database.map { .number(UInt64($0)) } ?? .text(""),
                .number(UInt64(series[id] ?? 0)), .text(columns.joined(separator: ", ")),
            ])
        }
        var dropList = FileInspection.Listing("dropped", ["what"])
        for drop in drops { dropList.append([.text(drop)]) }
        return [databaseList, tableList, dropList].filter { $0.rowCount > 0 }
    }
}
