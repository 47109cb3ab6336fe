import ApusStorage
import ApusTestKit

/// A small closed store of format 3 with one of everything, the same bytes every time.
///
/// Only what the machine's Zstandard and LZ4 make of their input may differ (`compressedPath`).
enum GoldenStore {
    static let databaseID: UInt32 = 1
    static let day: Int64 = 86_400_000_000_000
    static let second: Int64 = 1_000_000_000
    static let catalogPath = "catalog/000001.catalog"
    static let packedPath = "data/1/0/000002.segment"
    static let seriesPath = "data/1/0/000003.segment"
    static let compressedPath = "data/1/86400000000000/000004.segment"
    static let codedPath = "data/1/172800000000000/000005.segment"
    static let lastSequence: UInt64 = 7

    static func make() throws -> SimulatedFileSystem {
        let disk = SimulatedFileSystem()
        for directory in ["catalog", "data/1/0", "data/1/\(day)", "data/1/\(2 * day)"] {
            try disk.createDirectory(directory)
        }
        let catalog = CatalogFile.encode { add in entries.forEach(add) }
        disk.setContents(catalogPath, catalog)
        var segments: [Manifest.Segment] = []
        for (number, start, tables) in segmentPlans {
            segments.append(try writeSegment(number, start, tables, to: disk))
        }
        var manifest = Manifest()
        manifest.version = 1
        manifest.flushedThrough = 2
        manifest.nextFileNumber = 4
        manifest.nextDatabaseID = 3
        manifest.nextTableID = 5
        manifest.lastClock = 1_700_000_000_000_000_000
        manifest.catalogFiles = [.init(number: 1, byteCount: catalog.count)]
        manifest.segments = Array(segments.prefix(2))
        disk.setContents(Manifest.previousPath, manifest.encoded())
        manifest.version = 2
        manifest.flushedThrough = 3
        manifest.nextFileNumber = 6
        manifest.segments = segments
        manifest.tombstones = [tombstone(2)]
        manifest.cleanEnd = try writeLog(disk)
        disk.setContents(Manifest.path, manifest.encoded())
        disk.setContents("LOCK", [])
        return disk
    }

    // MARK: The catalog

    static let fields: [FieldColumn] = [
        FieldColumn(id: 0, name: "usage", sqlName: "usage", type: .float64),
        FieldColumn(id: 1, name: "n", sqlName: "n", type: .int64),
        FieldColumn(id: 2, name: "total", sqlName: "total", type: .uint64),
        FieldColumn(id: 3, name: "up", sqlName: "up", type: .bool),
        FieldColumn(id: 4, name: "time", sqlName: "field_time", type: .string),
    ]

    static func key(_ id: Int) -> [UInt8] {
        SeriesKey.encode(["host": "host-\(id)", "région": id == 1 ? "" : "eu"])
    }

    /// Series 3 to 12 of the first table.
    private static var section: CatalogEntry {
        var hosts = SeriesSection.Tag(
            index: 0, firstValue: 3, values: [], strings: [], codes: (4...13).map { $0 })
        for id in 3...12 {
            let name = Array("host-\(id)".utf8)
            hosts.values.append(
                StringSlot(offset: hosts.strings.count, length: name.count).rawValue)
            hosts.strings += name
        }
        let regions = SeriesSection.Tag(
            index: 1, firstValue: 1, values: [], strings: [],
            codes: (3...12).map { $0 % 4 == 0 ? 0 : 1 })
        return .section(
            SeriesSection(tableID: 1, firstSeries: 3, count: 10, tags: [hosts, regions]))
    }

    static var entries: [CatalogEntry] { entries(hasSection: true) }

    /// Formats before the third have no sections.
    static func entries(hasSection: Bool) -> [CatalogEntry] {
        var all: [CatalogEntry] = [
            .database(
                id: 1, name: "fleet", partitionNanoseconds: day, retentionNanoseconds: 30 * day),
            .database(id: 2, name: "old", partitionNanoseconds: day, retentionNanoseconds: 0),
            .table(id: 1, databaseID: 1, name: "cpu"),
            .table(id: 2, databaseID: 1, name: "日誌"),
            .table(id: 3, databaseID: 1, name: "gone"),
        ]
        for table in [1, 2] as [UInt32] {
            all.append(.tag(tableID: table, index: 0, name: "host", sqlName: "host"))
            all.append(.tag(tableID: table, index: 1, name: "région", sqlName: "région"))
            for field in fields { all.append(.field(tableID: table, field)) }
            for id in 0..<3 {
                all.append(.series(tableID: table, id: UInt32(id), key: key(id)))
            }
        }
        if hasSection { all.append(section) }
        return all + [.dropTable(id: 3), .dropDatabase(id: 2)]
    }

    // MARK: Segments

    private static let segmentPlans: [(UInt64, Int64, [PlainTable])] = [
        (2, 0, [packedTable(1), packedTable(2)]), (3, 0, [seriesTable()]),
        (4, day, [compressedTable()]), (5, 2 * day, [codedTable(), nestedTable()]),
    ]

    /// What each segment holds.
    static func tables(_ path: String) -> [PlainTable] {
        switch path {
        case packedPath: [packedTable(1), packedTable(2)]
        case seriesPath: [seriesTable()]
        case codedPath: [codedTable(), nestedTable()]
        default: [compressedTable()]
        }
    }

    private static func schema(_ id: UInt32) -> SegmentTableSchema {
        SegmentTableSchema(
            tableID: id, name: id == 1 ? "cpu" : "日誌", firstSequence: 1, lastSequence: 2,
            tagKeys: ["host", "région"],
            fields: fields.map {
                SegmentField(id: $0.id, name: $0.name, sqlName: $0.sqlName, type: $0.type)
            })
    }

    private static func double(_ value: Double) -> PlainValue { .slot(value.bitPattern) }
    private static func integer(_ value: Int) -> PlainValue {
        .slot(UInt64(bitPattern: Int64(value)))
    }

    /// Short series in one block: irregular times, absent values, every kind of NaN and zero.
    private static func packedTable(_ id: UInt32) -> PlainTable {
        let one = PlainSeries(
            id: 0, key: key(0), times: [1, 11, 21, 31, 41, 51].map { $0 * second },
            columns: [
                [1.5, 2.25, -0.0, 0.0, .nan, .infinity].map(double),
                [-5, -5, 7, 0, .max, .min].map(integer),
                (1...6).map { .slot(UInt64.max - UInt64($0)) },
                [.slot(1), nil, .slot(0), .slot(1), nil, nil],
                nil,
            ])
        let two = PlainSeries(
            id: 1, key: key(1), times: [1_000_000_007, 2_000_000_011, 9_000_000_000_123],
            columns: [
                [0.1, 0.2, 0.3].map(double), [1, nil, 3].map { $0.map(integer) },
                [.slot(1), .slot(2), .slot(3)], nil,
                ["", "line one\nline two", "naïve"].map { .text(Array($0.utf8)) },
            ])
        return PlainTable(schema: schema(id), series: id == 1 ? [one, two] : [two])
    }

    /// Long series in blocks of their own: regular and jittering times, walks, decimals, doubles whose
    /// bits change in the middle, a constant.
    private static func seriesTable() -> PlainTable {
        var random = SplitMix(state: 1)
        var walk = 50
        func series(_ id: Int) -> PlainSeries {
            let times = (0..<140).map {
                Int64($0) * 10 * second + (id == 0 ? 0 : Int64(random.below(1_000)) * 1_000_000)
            }
            let columns: [[PlainValue?]?] = [
                times.indices.map {
                    id == 0
                        ? double(Double(100 + $0 * 3 % 17) / 100)
                        : .slot(Double.pi.bitPattern ^ UInt64(random.below(256)) << 40)
                },
                times.map { _ in
                    walk += random.below(3) - 1
                    return integer(walk)
                },
                times.map { _ in .slot(id == 0 ? UInt64(random.below(8)) : 300) },
                times.indices.map { .slot($0 < 100 ? 1 : 0) },
                times.indices.map {
                    .text(Array(["running", "stopped", "unknown"][$0 / 50].utf8))
                },
            ]
            return PlainSeries(id: UInt32(id), key: key(id), times: times, columns: columns)
        }
        return PlainTable(
            schema: schema(1), series: [series(0), series(2)])
    }

    /// Compressible strings: LZ4 or Zstandard around the payload.
    private static func compressedTable() -> PlainTable {
        let times = (0..<130).map { day + Int64($0) * second }
        let lines = times.indices.map {
            PlainValue.text(Array("GET /api/v1/things/\($0 * 37 % 130) 200 in \($0 % 9) ms".utf8))
        }
        return PlainTable(
            schema: schema(2),
            series: [
                PlainSeries(
                    id: 2, key: key(2), times: times,
                    columns: [nil, times.indices.map(integer), nil, nil, lines])
            ])
    }

    /// Enough numbers for symbol tables: a walk, decimals with a hole, a counter that resets.
    private static func codedTable() -> PlainTable {
        var random = SplitMix(state: 2)
        let times = (0..<720).map { 2 * day + Int64($0) * 10 * second }
        let series = (0..<3).map { id in
            var (walk, decimal, counter) = (50, 1_000, 0)
            let columns: [[PlainValue?]?] = [
                times.indices.map {
                    decimal += random.below(41) - 20
                    return $0 % 100 == 99 ? nil : double(Double(decimal) / 100)
                },
                times.map { _ in
                    walk += random.below(3) + random.below(3) - 2
                    return integer(walk)
                },
                times.map { _ in
                    counter = random.below(300) == 0 ? 0 : counter + 10_000 + random.below(60)
                    return .slot(UInt64(counter))
                },
                nil, nil,
            ]
            return PlainSeries(id: UInt32(id), key: key(id), times: times, columns: columns)
        }
        return PlainTable(schema: schema(1), series: series)
    }

    /// What is left: numbers with a common factor, differences that grow, UUIDs and other
    /// hexadecimal strings, all different and by turns.
    private static func nestedTable() -> PlainTable {
        var random = SplitMix(state: 3)
        func hex(_ digits: Int) -> [UInt8] {
            let alphabet = Array("0123456789abcdef".utf8)
            return (0..<digits).map { _ in alphabet[random.below(16)] }
        }
        func uuid() -> [UInt8] {
            [8, 4, 4, 4, 12].map(hex).reduce(into: []) { $0 += ($0.isEmpty ? [] : [45]) + $1 }
        }
        let times = (0..<150).map { 2 * day + Int64($0) * 10 * second }
        let containers = (0..<5).map { _ in hex(12) }
        let series = (0..<2).map { id in
            PlainSeries(
                id: UInt32(id), key: key(id), times: times,
                columns: [
                    nil, times.map { _ in integer(random.below(1 << 20) * 4_096) },
                    times.indices.map { .slot(UInt64($0 * $0 * $0 + random.below(3))) }, nil,
                    times.indices.map { .text(id == 0 ? uuid() : containers[$0 * $0 % 5]) },
                ])
        }
        return PlainTable(schema: schema(2), series: series)
    }

    private static func writeSegment(
        _ number: UInt64, _ start: Int64, _ tables: [PlainTable], to disk: SimulatedFileSystem
    ) throws -> Manifest.Segment {
        let identity = SegmentIdentity(
            number: number, databaseID: databaseID, databaseName: "fleet", partitionStart: start,
            partitionNanoseconds: day, firstSequence: number > 3 ? 3 : 1,
            lastSequence: number > 3 ? 3 : 2, replaces: number == 3 ? [1] : [],
            level: number > 3 ? .cold : .hot)
        let writer = try SegmentWriter(
            fileSystem: disk, path: Manifest.Segment.path(databaseID, start, number),
            identity: identity,
            options: SegmentWriterOptions(encoding: EncodeOptions(level: identity.level)))
        for table in tables {
            var schema = table.schema
            schema.firstSequence = identity.firstSequence
            schema.lastSequence = identity.lastSequence
            try writer.beginTable(schema)
            for series in table.series {
                try append(
                    series, 0..<series.times.count, types: schema.fields.map(\.type), to: writer)
            }
            try writer.endTable()
        }
        let summary = try writer.finish()
        return Manifest.Segment(
            number: number, databaseID: databaseID, partitionStart: start,
            partitionNanoseconds: day, byteCount: summary.byteCount,
            firstSequence: identity.firstSequence, lastSequence: identity.lastSequence,
            minTime: summary.minTime, maxTime: summary.maxTime)
    }

    // MARK: The log

    /// Two runs of series of the second table, in a second of which it has no rows.
    static func tombstone(_ sequence: UInt64) -> Tombstone {
        Tombstone(
            tableID: 2, sequence: sequence,
            range: TimeRange(lower: -second, upper: second / 2), runs: [0..<2, 5..<9])
    }

    /// Records 3 to 7 in two files: definitions, rows, a statement, a tombstone, a checkpoint.
    private static func writeLog(_ disk: SimulatedFileSystem) throws -> LogPosition {
        var options = StorageOptions()
        options.logFileBytes = 8192
        let first = try LogWriter(
            fileSystem: disk, nextSequence: 3, nextFileNumber: 1, options: options,
            makeGeneration: { 0x0403_0201 })
        first.beginGroup()
        try first.appendRecord(kind: .definitions) { entries[0].append(to: &$0) }
        try first.commitGroup(sync: true)
        first.beginGroup()
        try first.appendRecord(kind: .write) { BatchRecord.encode(batch(), into: &$0) }
        try first.commitGroup(sync: true)
        let second = try LogWriter(
            fileSystem: disk, nextSequence: 5, nextFileNumber: 2, options: options,
            liveFiles: first.liveFiles, makeGeneration: { 0x0807_0605 })
        second.beginGroup()
        try second.appendRecord(kind: .statement) { CatalogEntry.dropTable(id: 3).append(to: &$0) }
        try second.appendRecord(kind: .delete) { tombstone(6).append(to: &$0) }
        try second.appendRecord(kind: .checkpoint) { _ in }
        try second.commitGroup(sync: true)
        return try second.finishCleanly(flushedThrough: 3)
    }

    /// Two groups: all types with rows in order, and a lone int64 with lines in between.
    static func batch() -> WriteBatch {
        let batch = WriteBatch(database: "fleet")
        let database = DatabaseEntry(
            id: 1, name: "fleet", partitionNanoseconds: day, retentionNanoseconds: 0)
        let table = TableEntry(id: 1, name: "cpu", database: database)
        func group(
            _ fields: [FieldColumn],
            rows: [(line: UInt32, series: UInt32, time: Int64, slots: [UInt64])]
        ) {
            let shape = RowShape(
                table: Array("cpu".utf8), fieldNames: fields.map { Array($0.name.utf8) },
                types: fields.map(\.type))
            let group = RowGroup(shape: shape)
            for row in rows {
                group.reserveRow()
                group.series[group.rowCount] = row.series
                group.times[group.rowCount] = row.time
                group.lines[group.rowCount] = row.line
                for (index, slot) in row.slots.enumerated() {
                    group.column(index)[group.rowCount] = slot
                }
                group.rowCount += 1
            }
            group.bind(
                to: ShapeBinding(table: table, fields: fields, fieldVersion: 0))
            batch.groups.append(group)
        }
        func text(_ string: String) -> UInt64 {
            Array(string.utf8).withUnsafeBytes { batch.appendString($0) }.rawValue
        }
        let start: Int64 = 1_700_000_000_000_000_000
        group(
            fields,
            rows: [
                (1, 0, start, [(1.5).bitPattern, 3, 10, 1, text("running")]),
                (2, 2, start, [(2.5).bitPattern, 4, 11, 0, text("")]),
                (3, 1, start + second, [(2.5).bitPattern, 5, 1_000_000, 1, text("stopped")]),
            ])
        group(
            [fields[1]],
            rows: [
                (5, 0, start + second, [UInt64(bitPattern: -1)]), (8, 0, start - second, [0]),
            ])
        return batch
    }
}
