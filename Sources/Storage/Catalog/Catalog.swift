// The names and numbers of everything: databases, tables, columns, series.
//
// The catalog lives in memory. What a write brings along is in force at once: each such change
// appends an entry (see CatalogEntry) to a journal, in order; the log thread drains the journal into
// `definitions` records before the first batch that could rely on it, so a row never becomes durable
// without what it refers to. What a statement asks for is in force once its record is durable (see
// Definition). A flush writes what changed since the flush before into a catalog file.
//
// Lock order: the definition lock (`state`), then a table's schema or series mutex.

internal import Synchronization

package final class Catalog: Sendable {
    struct State {
        var databases: [NameKey: DatabaseEntry] = [:]
        var databasesByID: [UInt32: DatabaseEntry] = [:]
        var tablesByID: [UInt32: TableEntry] = [:]
        var droppedTables: Set<UInt32> = []
        var droppedDatabases: Set<UInt32> = []
        var nextDatabaseID: UInt32 = 1
        var nextTableID: UInt32 = 1
        /// Entries that no log record holds yet.
        var journal = CatalogJournal()
        var changes = Changes()
        /// The log is being read behind the catalog files: definitions of things that are gone may
        /// come up.
        var isReplaying = false
        /// The generation of the last drop of each table dropped since the store opened, by database
        /// and name: for batches whose parsing began before. Grows with the names that were ever
        /// dropped, not with how often: some 100 bytes each, less than the table itself had.
        var lastDrops: [NameKey: [NameKey: UInt64]] = [:]

        /// Names of tables dropped after a generation was read.
        func tablesDropped(
            inDatabase database: String, since generation: UInt64
        ) -> Set<[UInt8]> {
            let drops = lastDrops[NameKey(database)] ?? [:]
            return Set(drops.lazy.filter { $0.value > generation }.map { Array($0.key.text.utf8) })
        }

        mutating func record(_ entry: CatalogEntry) { journal.record(entry) }
    }

    /// What no catalog file holds yet.
    struct Changes {
        var databases: Set<UInt32> = []
        var tables: Set<UInt32> = []
        var drops: [CatalogEntry] = []

        var isEmpty: Bool { databases.isEmpty && tables.isEmpty && drops.isEmpty }

        mutating func merge(_ other: Changes) {
            databases.formUnion(other.databases)
            tables.formUnion(other.tables)
            drops = other.drops + drops
        }
    }

    /// The definition lock: held for every change, never across I/O.
    let state = Mutex(State())
    private let drops = Atomic<UInt64>(0)

    package init() {}

    /// Rises whenever a table is dropped; series ids cached before may be stale.
    package var dropGeneration: UInt64 { drops.load(ordering: .acquiring) }

    package func database(named name: String) -> DatabaseEntry? {
        state.withLock { $0.databases[NameKey(name)] }
    }

    package func database(id: UInt32) -> DatabaseEntry? { state.withLock { $0.databasesByID[id] } }

    package func table(id: UInt32) -> TableEntry? { state.withLock { $0.tablesByID[id] } }

    /// All databases, by name in byte order.
    package var allDatabases: [DatabaseEntry] {
        state.withLock { Array($0.databases.values) }
            .sorted { Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8)) }
    }

    // MARK: What writes bring along, all under the definition lock

    func makeDatabase(
        _ state: inout State, name: String, partitionNanoseconds: Int64, retentionNanoseconds: Int64
    ) -> DatabaseEntry {
        let id = state.nextDatabaseID
        let entry = CatalogEntry.database(
            id: id, name: name, partitionNanoseconds: partitionNanoseconds,
            retentionNanoseconds: retentionNanoseconds)
        state.record(entry)
        _ = apply(entry, &state)
        return state.databasesByID[id].orStop("a database was just made")
    }

    func makeTable(_ state: inout State, database: DatabaseEntry, name: String) -> TableEntry {
        let id = state.nextTableID
        let entry = CatalogEntry.table(id: id, databaseID: database.id, name: name)
        state.record(entry)
        _ = apply(entry, &state)
        return state.tablesByID[id].orStop("a table was just made")
    }

    /// The index of a tag, made if it is new.
    func tagIndex(_ state: inout State, _ table: TableEntry, _ name: String) -> Int {
        let schema = table.schema
        if let index = schema.tagIndex(named: name) { return index }
        let wider = schema.adding(tag: name)
        table.setSchema(wider)
        state.changes.tables.insert(table.id)
        let index = wider.tags.count - 1
        state.record(
            .tag(tableID: table.id, index: index, name: name, sqlName: wider.tags[index].sqlName))
        // A field may have given up its bare name.
        for (before, after) in zip(schema.fields, wider.fields) where before != after {
            state.record(.field(tableID: table.id, after))
        }
        return index
    }

    func makeField(
        _ state: inout State, _ table: TableEntry, _ name: String, _ type: FieldType
    ) -> FieldColumn {
        let wider = table.schema.adding(field: name, type: type)
        table.setSchema(wider)
        state.changes.tables.insert(table.id)
        let field = wider.fields[wider.fields.count - 1]
        state.record(.field(tableID: table.id, field))
        return field
    }

    func widen(_ state: inout State, _ table: TableEntry, fieldID: UInt32, to type: FieldType) {
        let wider = table.schema.widening(fieldIndex: Int(fieldID), to: type)
        table.setSchema(wider, widened: true)
        state.changes.tables.insert(table.id)
        state.record(.field(tableID: table.id, wider.fields[Int(fieldID)]))
    }

    /// The id of a series, made if it is new.
    func seriesID(_ state: inout State, _ table: TableEntry, key: [UInt8]) -> UInt32 {
        if let id = key.withUnsafeBytes({ table.seriesID(forKey: $0) }) { return id }
        // Safe: `decode` gives ranges inside of the key, and all that is kept is copied.
        let tags = key.withUnsafeBytes { bytes in
            (SeriesKey.decode(bytes) ?? []).map { tag in
                (
                    name: String(decoding: bytes[tag.key], as: UTF8.self),
                    value: Array(bytes[tag.value])
                )
            }
        }
        let indexed = tags.map { (index: tagIndex(&state, table, $0.name), value: $0.value) }
        let id = key.withUnsafeBytes { bytes in
            table.series.withLock { $0.insert(bytes, tags: indexed) }
        }
        state.changes.tables.insert(table.id)
        state.record(.series(tableID: table.id, id: id, key: key))
        return id
    }

    // MARK: Applying entries: from the log, from catalog files, and from the changes above

    /// Applies one entry. Returns what is wrong with it, or nil.
    ///
    /// Where a name is given twice, the greater number stands and the other is dropped: a write
    /// made it while a statement that had taken the smaller number was on its way to the disk, and
    /// nothing was stored under that. (A catalog file also lists what is new before the drops.)
    func apply(_ entry: CatalogEntry, _ state: inout State) -> String? {
        switch entry {
        case .database(let id, let name, let partition, let retention):
            // A number below the next one that nothing has was dropped: merged catalog files forget
            // drops, and the log may still hold what came before them.
            let isKnownNumber = id < state.nextDatabaseID
            state.nextDatabaseID = max(state.nextDatabaseID, id + 1)
            guard !state.droppedDatabases.contains(id) else { return nil }
            if isKnownNumber, state.databasesByID[id] == nil, state.isReplaying { return nil }
            if let known = state.databasesByID[id] {
                known.setRetention(retention)
            } else {
                if let other = state.databases[NameKey(name)] {
                    _ = apply(.dropDatabase(id: min(id, other.id)), &state)
                    if other.id > id { return nil }
                }
                let database = DatabaseEntry(
                    id: id, name: name, partitionNanoseconds: partition,
                    retentionNanoseconds: retention)
                state.databases[NameKey(name)] = database
                state.databasesByID[id] = database
            }
            state.changes.databases.insert(id)
        case .table(let id, let databaseID, let name):
            let isKnownNumber = id < state.nextTableID
            state.nextTableID = max(state.nextTableID, id + 1)
            if isKnownNumber, state.isReplaying { return nil }
            guard !state.droppedTables.contains(id), state.tablesByID[id] == nil,
                !state.droppedDatabases.contains(databaseID)
            else { return nil }
            guard let database = state.databasesByID[databaseID] else {
                if databaseID < state.nextDatabaseID, state.isReplaying { return nil }
                return "table \(id) belongs to database \(databaseID), which is not defined"
            }
            if let other = database.table(named: name) {
                _ = apply(.dropTable(id: min(id, other.id)), &state)
                if other.id > id { return nil }
            }
            let table = TableEntry(id: id, name: name, database: database)
            state.tablesByID[id] = table
            database.insert(table)
            state.changes.tables.insert(id)
        case .tag(let tableID, _, _, _), .field(let tableID, _), .series(let tableID, _, _):
            if state.droppedTables.contains(tableID) { return nil }
            guard let table = state.tablesByID[tableID] else {
                if tableID < state.nextTableID, state.isReplaying { return nil }
                return "a column or series of table \(tableID), which is not defined"
            }
            state.changes.tables.insert(tableID)
            return applyMember(entry, table)
        case .dropTable, .dropDatabase: applyDrop(entry, &state)
        }
        return nil
    }

    private func applyDrop(_ entry: CatalogEntry, _ state: inout State) {
        switch entry {
        case .dropTable(let id):
            if let table = state.tablesByID.removeValue(forKey: id) {
                table.markDropped()
                table.database.remove(table)
                state.lastDrops[NameKey(table.database.name), default: [:]][NameKey(table.name)] =
                    dropGeneration + 1
            }
            if state.droppedTables.insert(id).inserted { state.changes.drops.append(entry) }
            state.changes.tables.remove(id)
        case .dropDatabase(let id):
            if let database = state.databasesByID.removeValue(forKey: id) {
                for table in database.allTables { _ = apply(.dropTable(id: table.id), &state) }
                database.markDropped()
                let key = NameKey(database.name)
                if state.databases[key] === database { state.databases[key] = nil }
            }
            if state.droppedDatabases.insert(id).inserted { state.changes.drops.append(entry) }
            state.changes.databases.remove(id)
        default: return
        }
        noteDrop()
    }

    private func noteDrop() { drops.add(1, ordering: .acquiringAndReleasing) }

    private func applyMember(_ entry: CatalogEntry, _ table: TableEntry) -> String? {
        let schema = table.schema
        switch entry {
        case .tag(_, let index, let name, let sqlName):
            guard index <= schema.tags.count else {
                return "tag \(index) of table \(table.id) leaves a gap"
            }
            var tags = schema.tags
            let tag = TagColumn(name: name, sqlName: sqlName)
            if index < tags.count { tags[index] = tag } else { tags.append(tag) }
            table.setSchema(
                TableSchema(tags: tags, fields: schema.fields, version: schema.version + 1))
        case .field(_, let field):
            guard field.id <= schema.fields.count else {
                return "field \(field.id) of table \(table.id) leaves a gap"
            }
            var fields = schema.fields
            var widened = false
            if Int(field.id) < fields.count {
                widened = fields[Int(field.id)].type != field.type
                fields[Int(field.id)] = field
            } else {
                fields.append(field)
            }
            table.setSchema(
                TableSchema(tags: schema.tags, fields: fields, version: schema.version + 1),
                widened: widened)
        case .series(_, let id, let key):
            return key.withUnsafeBytes { applySeries(table, schema, id, $0) }
        default: break
        }
        return nil
    }

    private func applySeries(
        _ table: TableEntry, _ schema: TableSchema, _ id: UInt32, _ key: UnsafeRawBufferPointer
    ) -> String? {
        guard let ranges = SeriesKey.decode(key) else { return "a malformed series key" }
        var tags: [(index: Int, value: [UInt8])] = []
        for range in ranges {
            let name = String(decoding: key[range.key], as: UTF8.self)
            guard let index = schema.tagIndex(named: name) else {
                return "series \(id) of table \(table.id) has a tag that is not defined"
            }
            tags.append((index, Array(key[range.value])))
        }
        return table.series.withLock { series in
            if id < series.count {
                return series.withKey(of: id) { $0.elementsEqual(key) }
                    ? nil : "series \(id) of table \(table.id) is defined twice, differently"
            }
            guard id == series.count else {
                return "series \(id) of table \(table.id) leaves a gap"
            }
            _ = series.insert(key, tags: tags)
            return nil
        }
    }

    /// Applies a run of entries, as in a log record or a catalog file's frame.
    func applyAll(_ bytes: UnsafeRawBufferPointer) throws(ByteReader.Malformed) {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            let offset = reader.offset
            let entry = try CatalogEntry.read(&reader)
            if let wrong = state.withLock({ apply(entry, &$0) }) {
                throw .init(offset: offset, reason: wrong)
            }
        }
    }

    // MARK: The journal

    /// Takes the entries that no log record holds yet, in pieces of a record each.
    func takeJournal() -> [[UInt8]] { state.withLock { $0.journal.take() } }

    /// Gives pieces back that could not be logged.
    func returnJournal(_ pieces: [[UInt8]]) { state.withLock { $0.journal.giveBack(pieces) } }
}

extension Optional {
    /// The value, where our own code has just made sure that there is one; else the process stops,
    /// for that is a bug.
    func orStop(_ why: String) -> Wrapped {
        guard let self else { preconditionFailure("BUG: \(why)") }
        return self
    }
}
