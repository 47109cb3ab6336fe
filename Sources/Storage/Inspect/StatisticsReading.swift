// One reading of a directory for StoreStatistics: catalog files, segments, then all names.

internal import Glibc

struct StatisticsReading {
    let fileSystem: any FileSystem
    let manifest: Manifest
    var result = StoreStatistics()
    private var names = CatalogNames()
    private var tables: [UInt32: TableStatistics] = [:]
    private var tableDatabases: [UInt32: UInt32] = [:]
    private var partitions: [UInt32: [Int64: StoreStatistics.Partition]] = [:]
    private var databaseNames: [UInt32: String] = [:]

    init(fileSystem: any FileSystem, manifest: Manifest) {
        self.fileSystem = fileSystem
        self.manifest = manifest
    }

    mutating func find(_ file: String, _ offset: UInt64, _ what: String) {
        result.findings.append(.init(file: file, offset: offset, what: what))
    }

    /// Returns false if a listed file was not there.
    mutating func readAll() throws(StorageError) -> Bool {
        result.version = manifest.version
        result.flushedThrough = manifest.flushedThrough
        var isWhole = true
        for file in manifest.catalogFiles {
            let path = CatalogFile.path(file.number)
            try guarding(path, &isWhole) { reading throws(StorageError) in
                let bytes = try reading.fileSystem.readFile(path)
                try CatalogFile.read(bytes, path: path) { frame throws(ByteReader.Malformed) in
                    try reading.names.add(frame)
                }
            }
        }
        for segment in manifest.segments {
            try guarding(segment.path, &isWhole) { reading throws(StorageError) in
                try reading.add(segment)
            }
        }
        try countFiles()
        collect()
        return isWhole
    }

    /// Keeps damage as a finding, and remembers a file that isn't there.
    private mutating func guarding(
        _ path: String, _ isWhole: inout Bool,
        _ body: (inout StatisticsReading) throws(StorageError) -> Void
    ) throws(StorageError) {
        do throws(StorageError) { try body(&self) } catch {
            switch error {
            case .corrupt(let file, let offset, let reason): find(file, offset, reason)
            case .io(_, _, let number) where number == ENOENT:
                find(path, 0, "the file is missing")
                isWhole = false
            default: throw error
            }
        }
    }

    private mutating func add(_ segment: Manifest.Segment) throws(StorageError) {
        let reader = try SegmentReader.open(fileSystem, path: segment.path)
        databaseNames[segment.databaseID] = reader.identity.databaseName
        var bytes = StoreStatistics.SegmentBytes()
        defer {
            bytes.frame = reader.byteCount - bytes.total
            result.segmentBytes.rows += bytes.rows
            result.segmentBytes.values += bytes.values
            result.segmentBytes.directories += bytes.directories
            result.segmentBytes.keys += bytes.keys
        }
        var partition =
            partitions[segment.databaseID]?[segment.partitionStart]
            ?? .init(start: segment.partitionStart, nanoseconds: segment.partitionNanoseconds)
        partition.segmentCount += 1
        partition.byteCount += reader.byteCount
        partition.rowCount += reader.tables.reduce(0) { $0 + $1.rowCount }
        partitions[segment.databaseID, default: [:]][segment.partitionStart] = partition
        for table in reader.tables {
            let id = table.schema.tableID
            tableDatabases[id] = segment.databaseID
            var statistics = tables[id] ?? TableStatistics(id: id, name: table.schema.name)
            let before = statistics
            try statistics.add(table)
            bytes.rows += statistics.rowsByteCount - before.rowsByteCount
            bytes.values += statistics.valuesByteCount - before.valuesByteCount
            bytes.directories += statistics.directoryByteCount - before.directoryByteCount
            bytes.keys += statistics.keysByteCount - before.keysByteCount
            tables[id] = statistics
        }
    }

    // MARK: Every file

    private mutating func countFiles() throws(StorageError) {
        var kinds: [String: StoreStatistics.FileKind] = [:]
        if let bytes = try? fileSystem.readFile(Manifest.previousPath),
            let previous = try? Manifest.decode(bytes, path: Manifest.previousPath)
        {
            for segment in previous.segments { kinds[segment.path] = .predecessor }
            for file in previous.catalogFiles {
                kinds[CatalogFile.path(file.number)] = .predecessor
            }
        }
        for segment in manifest.segments { kinds[segment.path] = .segment }
        for file in manifest.catalogFiles { kinds[CatalogFile.path(file.number)] = .catalog }
        let firstNeeded = firstNeededLog()
        try walk("", depth: 0) { reading, path, name, byteCount in
            let kind = kinds[path] ?? Self.kind(path, name, firstNeeded: firstNeeded)
            reading.result.files[kind, default: .init()].add(byteCount)
            if kind == .unknown { reading.result.unknownFiles.append(path) }
        }
        let segments = result.files[.segment]?.bytes ?? 0
        result.segmentBytes.frame = max(0, segments - result.segmentBytes.total)
        if let clean = manifest.cleanEnd {
            let newest = try fileSystem.list(LogNames.directory).compactMap(LogNames.number).max()
            result.isClosed = (newest ?? 0) <= clean.fileNumber
        }
    }

    /// The number of the oldest log file with a record that no segment has.
    private func firstNeededLog() -> UInt64 {
        guard let chain = try? LogChain(fileSystem: fileSystem) else { return 0 }
        let start = try? chain.firstNeeded(
            flushedThrough: manifest.flushedThrough, cleanEnd: manifest.cleanEnd)
        return start.map { chain.files[$0].number } ?? 0
    }

    private static func kind(
        _ path: String, _ name: String, firstNeeded: UInt64
    ) -> StoreStatistics.FileKind {
        if path == "LOCK" { return .lock }
        if path == Manifest.path || path == Manifest.previousPath { return .manifest }
        let isOurs = path.hasPrefix("log/") || path.hasPrefix("catalog/") || path.hasPrefix("data/")
        if isOurs || path.hasPrefix(Manifest.path), name.hasSuffix(".new") { return .halfMade }
        if path.hasPrefix("log/") {
            if LogNames.spare(ofName: name) != nil { return .logSpare }
            guard let number = LogNames.number(ofName: name) else { return .unknown }
            return number < firstNeeded ? .logFlushed : .logNeeded
        }
        let isListable =
            path.hasPrefix("data/") && name.hasSuffix(".segment")
            || path.hasPrefix("catalog/") && name.hasSuffix(".catalog")
        return isListable ? .unlisted : .unknown
    }

    /// Every file below a directory. Files that go meanwhile are left out.
    private mutating func walk(
        _ directory: String, depth: Int,
        _ body: (inout StatisticsReading, String, String, Int) -> Void
    ) throws(StorageError) {
        // Deeper than any store; a link that leads back ends here too.
        guard depth < 16 else { return }
        for name in try fileSystem.list(directory).sorted() {
            let path = directory.isEmpty ? name : directory + "/" + name
            if name.hasSuffix("/") {
                try walk(String(path.dropLast()), depth: depth + 1, body)
            } else if let file = try? fileSystem.open(path, create: false),
                let byteCount = try? file.size
            {
                body(&self, path, name, byteCount)
            }
        }
    }

    // MARK: By database

    private mutating func collect() {
        let ids = Set(partitions.keys).union(names.databases.keys).sorted()
        for id in ids where !names.droppedDatabases.contains(id) || partitions[id] != nil {
            let known = names.databases[id]
            var database = StoreStatistics.Database(
                id: id, name: known?.name ?? databaseNames[id] ?? "?",
                retentionNanoseconds: known?.retention)
            database.partitions = (partitions[id] ?? [:]).values.sorted { $0.start < $1.start }
            for (tableID, table) in names.tables
            where table.database == id && tables[tableID] == nil
                && !names.droppedTables.contains(tableID)
            {
                tables[tableID] = TableStatistics(id: tableID, name: table.name)
                tableDatabases[tableID] = id
            }
            for (tableID, owner) in tableDatabases where owner == id {
                guard var table = tables[tableID] else { continue }
                table.name = names.tables[tableID]?.name ?? table.name
                table.seriesCount =
                    (names.seriesCounts[tableID] ?? 0) - (names.droppedSeries[tableID]?.count ?? 0)
                table.isDropped =
                    names.droppedTables.contains(tableID) || names.droppedDatabases.contains(id)
                for place in table.columns.indices {
                    let field = names.fields[tableID]?[table.columns[place].fieldID]
                    table.columns[place].name = field?.name ?? table.columns[place].name
                    table.columns[place].sqlName = field?.sqlName ?? table.columns[place].sqlName
                    table.columns[place].isDropped = names.hasDropped(
                        field: table.columns[place].fieldID, ofTable: tableID)
                }
                database.tables.append(table)
            }
            database.tables.sort { ($0.name, $0.id) < ($1.name, $1.id) }
            result.databases.append(database)
        }
        result.databases.sort { ($0.name, $0.id) < ($1.name, $1.id) }
    }
}

/// The names and counts of catalog files, without their series' keys.
struct CatalogNames {
    var databases: [UInt32: (name: String, retention: Int64)] = [:]
    var tables: [UInt32: (name: String, database: UInt32)] = [:]
    /// Series that were given a number.
    var seriesCounts: [UInt32: Int] = [:]
    var droppedSeries: [UInt32: SeriesSet] = [:]
    var droppedTables: Set<UInt32> = []
    var droppedDatabases: Set<UInt32> = []
    /// By table and number, as the last file has them.
    var fields: [UInt32: [UInt32: FieldColumn]] = [:]
    var droppedFields: [UInt32: Set<Range<UInt32>>] = [:]

    func hasDropped(field: UInt32, ofTable table: UInt32) -> Bool {
        droppedFields[table]?.contains { $0.contains(field) } ?? false
    }

    /// Takes a frame of whole entries.
    ///
    /// Safe: all reading goes through `ByteReader`, and nothing keeps the payload.
    mutating func add(_ frame: UnsafeRawBufferPointer) throws(ByteReader.Malformed) {
        var reader = ByteReader(frame)
        while !reader.isAtEnd {
            if frame[reader.offset] == 5 {
                // A series: by far the most, and only their number matters.
                try reader.skip(1)
                let table = UInt32(try reader.readCount(limit: Int(UInt32.max)))
                let series = try reader.readCount(limit: Int(UInt32.max))
                try reader.skip(try reader.readCount(limit: reader.remaining))
                seriesCounts[table] = max(seriesCounts[table] ?? 0, series + 1)
                continue
            }
            switch try CatalogEntry.read(&reader) {
            case .database(let id, let name, _, let retention): databases[id] = (name, retention)
            case .table(let id, let database, let name): tables[id] = (name, database)
            case .dropTable(let id): droppedTables.insert(id)
            case .dropDatabase(let id): droppedDatabases.insert(id)
            case .section(let section):
                seriesCounts[section.tableID] = max(
                    seriesCounts[section.tableID] ?? 0, section.firstSeries + section.count)
            case .dropSeries(let table, let runs):
                // Runs of several entries may say the same again.
                let end = max(seriesCounts[table] ?? 0, runs.last?.upperBound ?? 0)
                seriesCounts[table] = end
                var dropped = droppedSeries[table] ?? SeriesSet(capacity: end)
                dropped.resize(to: max(end, dropped.capacity))
                for run in runs { dropped.insert(ids: run) }
                droppedSeries[table] = dropped
            case .field(let table, let field): fields[table, default: [:]][field.id] = field
            case .dropFields(let table, let run): droppedFields[table, default: []].insert(run)
            case .tag, .series: break
            }
        }
    }
}
