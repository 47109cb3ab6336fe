// What the writes of one group define, between deciding and being in force:
//
//     stage   look, and take numbers: nobody else sees anything of it
//     log     the log thread writes the entries in front of the rows that need them
//     enact   the catalog applies them, as a replay would
//
// So a write that was refused, for a full disk too, has created nothing. Only the log thread changes
// the catalog: what is staged can't be overtaken. The numbers of a stage that is thrown away are
// given to the next one.

internal import Synchronization

/// A table as it will be. One object for all writes of a group.
final class StagedTable {
    let table: TableEntry
    fileprivate(set) var schema: TableSchema
    /// The series to come; their ids count on from those of the table.
    fileprivate var series = SeriesKeys()
    fileprivate let seriesKnown: Int
    private let livingKnown: Int
    /// Of the tags that the table has, by index.
    private let valueCounts: [Int]
    private let valueCountMax: Int
    /// Values by tag that series to come bring, from the first `noted` of them.
    private var newValues: [[UInt8]: Set<[UInt8]>] = [:]
    private var noted = 0

    fileprivate init(_ table: TableEntry) {
        self.table = table
        schema = table.schema
        (seriesKnown, livingKnown, valueCounts) = table.series.withLock {
            ($0.count, $0.livingCount, $0.valueCounts)
        }
        valueCountMax = valueCounts.max() ?? 0
    }

    /// Ids that are given.
    var seriesCount: Int { seriesKnown + series.count }
    var livingSeriesCount: Int { livingKnown + series.count }

    /// The tag with the most values, and how many; of the table as it is.
    var widestTag: (name: String, valueCount: Int)? {
        valueCounts.indices.max { valueCounts[$0] < valueCounts[$1] }
            .map { (schema.tags[$0].name, valueCounts[$0]) }
    }

    /// The tag of a series to come that has no room for its value.
    func tagWithoutRoom(for key: [UInt8], valuesMax: Int) -> String? {
        guard valueCountMax + series.count >= valuesMax else { return nil }
        noteNewValues()
        var full: String?
        forEachTag(key) { name, value in
            let index = schema.tagIndex(named: name, likely: 0)
            let count = index.map { $0 < valueCounts.count ? valueCounts[$0] : 0 } ?? 0
            let new = newValues[Array(name)] ?? []
            guard count + new.count >= valuesMax, !new.contains(value) else { return }
            let known = index.flatMap { tag in
                table.series.withLock { $0.code(of: value, tag: tag) }
            }
            if known == nil { full = full ?? String(decoding: name, as: UTF8.self) }
        }
        return full
    }

    private func noteNewValues() {
        for number in noted..<series.count {
            forEachTag(series[number]) { name, value in
                let index = schema.tagIndex(named: name, likely: 0)
                let known = index.flatMap { tag in
                    table.series.withLock { $0.code(of: value, tag: tag) }
                }
                if known == nil { newValues[Array(name), default: []].insert(value) }
            }
        }
        noted = series.count
    }

    /// Safe: names are lent for the call.
    private func forEachTag(
        _ key: [UInt8], _ body: (_ name: UnsafeRawBufferPointer, _ value: [UInt8]) -> Void
    ) {
        key.withUnsafeBytes { bytes in
            _ = SeriesKey.forEachTag(bytes) { name, value in
                body(name, Array(value))
                return true
            }
        }
    }

    /// Safe: the key's bytes are compared and not kept.
    func seriesID(forKey key: UnsafeRawBufferPointer) -> UInt32? {
        table.seriesID(forKey: key)
            ?? series.find(key).map { UInt32(truncatingIfNeeded: seriesKnown) + $0 }
    }
}

/// Series keys that aren't in force yet, numbered from 0.
private struct SeriesKeys {
    private var keys: [[UInt8]] = []
    private let slots = HashSlots()

    var count: Int { keys.count }

    subscript(_ number: Int) -> [UInt8] { keys[number] }

    func find(_ key: UnsafeRawBufferPointer) -> UInt32? {
        keys.isEmpty
            ? nil : slots.find(KeyHash.hash(key)) { keys[Int($0)].elementsEqual(key) }
    }

    mutating func insert(_ key: [UInt8]) {
        // Safe: the bytes are read for the hash alone.
        slots.insert(
            key.withUnsafeBytes { KeyHash.hash($0) }, UInt32(truncatingIfNeeded: keys.count))
        keys.append(key)
    }
}

struct StagedDefinitions {
    let catalog: Catalog
    /// In the order in which they have to be applied.
    private(set) var entries: [CatalogEntry] = []
    private var databases: [NameKey: DatabaseEntry] = [:]
    private var tables: [UInt32: StagedTable] = [:]
    private var newTables: [UInt32: [NameKey: StagedTable]] = [:]
    private var newSeries: [UInt32: Int] = [:]
    private var nextDatabaseID: UInt32
    private var nextTableID: UInt32

    init(catalog: Catalog) {
        self.catalog = catalog
        (nextDatabaseID, nextTableID) = catalog.state.withLock {
            ($0.nextDatabaseID, $0.nextTableID)
        }
    }

    // MARK: Looking

    func database(named name: String) -> DatabaseEntry? {
        databases[NameKey(name)] ?? catalog.database(named: name)
    }

    mutating func table(named name: String, in database: DatabaseEntry) -> StagedTable? {
        if let made = newTables[database.id]?[NameKey(name)] { return made }
        return database.table(named: name).map { known($0) }
    }

    private mutating func known(_ table: TableEntry) -> StagedTable {
        if let staged = tables[table.id] { return staged }
        let staged = StagedTable(table)
        tables[table.id] = staged
        return staged
    }

    func tableCount(in database: DatabaseEntry) -> Int {
        database.tableCount + (newTables[database.id]?.count ?? 0)
    }

    func seriesCount(in database: DatabaseEntry) -> Int {
        database.seriesCount + (newSeries[database.id] ?? 0)
    }

    // MARK: Making

    mutating func makeDatabase(
        named name: String, partitionNanoseconds: Int64, retentionNanoseconds: Int64
    ) -> DatabaseEntry {
        let database = DatabaseEntry(
            id: nextDatabaseID, name: name, partitionNanoseconds: partitionNanoseconds,
            retentionNanoseconds: retentionNanoseconds)
        nextDatabaseID += 1
        databases[NameKey(name)] = database
        entries.append(
            .database(
                id: database.id, name: name, partitionNanoseconds: partitionNanoseconds,
                retentionNanoseconds: retentionNanoseconds))
        return database
    }

    mutating func makeTable(named name: String, in database: DatabaseEntry) -> StagedTable {
        let staged = StagedTable(TableEntry(id: nextTableID, name: name, database: database))
        nextTableID += 1
        newTables[database.id, default: [:]][NameKey(name)] = staged
        entries.append(.table(id: staged.table.id, databaseID: database.id, name: name))
        return staged
    }

    mutating func makeTag(named name: String, in staged: StagedTable) {
        let schema = staged.schema
        let wider = schema.adding(tag: name)
        staged.schema = wider
        let index = wider.tags.count - 1
        entries.append(
            .tag(
                tableID: staged.table.id, index: index, name: name,
                sqlName: wider.tags[index].sqlName))
        // A field may have given up its bare name.
        for (before, after) in zip(schema.fields, wider.fields) where before != after {
            entries.append(.field(tableID: staged.table.id, after))
        }
    }

    mutating func makeField(
        named name: String, _ type: FieldType, in staged: StagedTable
    ) -> FieldColumn {
        staged.schema = staged.schema.adding(field: name, type: type)
        let field = staged.schema.fields[staged.schema.fields.count - 1]
        entries.append(.field(tableID: staged.table.id, field))
        return field
    }

    mutating func widen(
        _ field: FieldColumn, to type: FieldType, in staged: StagedTable
    ) -> FieldColumn {
        let wider = FieldColumn(
            id: field.id, name: field.name, sqlName: field.sqlName, type: type)
        staged.schema = staged.schema.setting(wider)
        entries.append(.field(tableID: staged.table.id, wider))
        return wider
    }

    /// A series that `seriesID(forKey:)` didn't know, and whose tags are in the schema.
    mutating func makeSeries(key: [UInt8], in staged: StagedTable) -> UInt32 {
        let id = UInt32(truncatingIfNeeded: staged.seriesCount)
        staged.series.insert(key)
        newSeries[staged.table.database.id, default: 0] += 1
        entries.append(.series(tableID: staged.table.id, id: id, key: key))
        return id
    }
}

extension Catalog {
    /// Entries applied before others may look: many series must not keep readers waiting.
    private static let entriesPerLock = 512

    /// Puts in force what the log holds. The log thread only.
    func enact(_ staged: StagedDefinitions) {
        var rest = staged.entries[...]
        while !rest.isEmpty {
            let some = rest.prefix(Self.entriesPerLock)
            rest = rest.dropFirst(some.count)
            state.withLock { state in
                for entry in some { _ = apply(entry, &state) }
            }
        }
    }
}
