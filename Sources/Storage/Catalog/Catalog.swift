// The names and numbers of everything: databases, tables, columns, series.
//
// The catalog lives in memory, and changes only by applying entries (see CatalogEntry) that the log
// holds: those of a write lie in front of its rows (see StagedDefinitions), those of a statement are
// synced before it is answered (see Definition), and a replay applies the same again. A flush writes
// what changed since the flush before into a catalog file.
//
// Once the store is open, only the log thread changes the catalog.
//
// Lock order: the definition lock (`state`), then a table's schema or series mutex.

internal import Synchronization

package final class Catalog: Sendable {
    struct State {
        var databases: [NameKey: DatabaseEntry] = [:]
        var databasesByID: [UInt32: DatabaseEntry] = [:]
        var tablesByID: [UInt32: TableEntry] = [:]
        var nextDatabaseID: UInt32 = 1
        var nextTableID: UInt32 = 1
        var changes = Changes()
        /// The log is being read behind the catalog files, which may know of later drops: what it says
        /// of a number that was given and that nothing has is of the past.
        var isReplaying = false
        /// Catalog files are being read: `settle` comes at their end.
        var isLoading = false
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
    }

    /// What no catalog file holds yet.
    struct Changes {
        var databases: Set<UInt32> = []
        var tables: Set<UInt32> = []
        var drops: [CatalogEntry] = []
    }

    /// The definition lock: held for every change, never across I/O.
    let state = Mutex(State())
    private let drops = Atomic<UInt64>(0)

    package init() {}

    /// Rises whenever a table or series are dropped; series ids cached before may be stale.
    package var dropGeneration: UInt64 { drops.load(ordering: .acquiring) }

    package func database(named name: String) -> DatabaseEntry? {
        state.withLock { $0.databases[NameKey(name)] }
    }

    package func database(id: UInt32) -> DatabaseEntry? { state.withLock { $0.databasesByID[id] } }

    package func table(id: UInt32) -> TableEntry? { state.withLock { $0.tablesByID[id] } }

    /// All tables of all databases, by number.
    var allTables: [TableEntry] {
        state.withLock { $0.tablesByID.values.sorted { $0.id < $1.id } }
    }

    /// All databases, by name in byte order.
    package var allDatabases: [DatabaseEntry] {
        state.withLock { Array($0.databases.values) }
            .sorted { Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8)) }
    }

    // MARK: Applying entries

    /// Applies one entry. Returns what is wrong with it, or nil.
    ///
    /// A catalog file lists what is new before the drops: a name may be taken before the one who had
    /// it is gone.
    func apply(_ entry: CatalogEntry, _ state: inout State) -> String? {
        switch entry {
        case .database(let id, let name, let partition, let retention):
            if let known = state.databasesByID[id] {
                known.setRetention(retention)
            } else {
                if id < state.nextDatabaseID, state.isReplaying { return nil }
                state.nextDatabaseID = max(state.nextDatabaseID, id &+ 1)
                let database = DatabaseEntry(
                    id: id, name: name, partitionNanoseconds: partition,
                    retentionNanoseconds: retention)
                state.databases[NameKey(name)] = database
                state.databasesByID[id] = database
            }
            state.changes.databases.insert(id)
        case .table(let id, let databaseID, let name):
            if id < state.nextTableID, state.isReplaying { return nil }
            state.nextTableID = max(state.nextTableID, id &+ 1)
            guard state.tablesByID[id] == nil else { return nil }
            guard let database = state.databasesByID[databaseID] else {
                if databaseID < state.nextDatabaseID, state.isReplaying { return nil }
                return "table \(id) belongs to database \(databaseID), which is not defined"
            }
            let table = TableEntry(id: id, name: name, database: database)
            state.tablesByID[id] = table
            database.insert(table)
            state.changes.tables.insert(id)
        case .tag(let tableID, _, _, _), .field(let tableID, _), .series(let tableID, _, _),
            .dropFields(let tableID, _):
            guard let table = state.tablesByID[tableID] else {
                if tableID < state.nextTableID, state.isReplaying { return nil }
                return "a column or series of table \(tableID), which is not defined"
            }
            state.changes.tables.insert(tableID)
            return applyMember(entry, table, isReplaying: state.isReplaying)
        case .section(let section):
            guard let table = state.tablesByID[section.tableID] else {
                return "series of table \(section.tableID), which is not defined"
            }
            state.changes.tables.insert(section.tableID)
            let schema = table.schema
            if let wrong = table.series.withLock({ $0.append(section, schema) }) {
                return "table \(section.tableID): \(wrong)"
            }
            table.database.count(series: section.count)
        case .dropTable, .dropDatabase: applyDrop(entry, &state)
        case .dropSeries(let tableID, let runs):
            // Of a table that has gone meanwhile there is nothing to drop.
            guard let table = state.tablesByID[tableID] else { return nil }
            state.changes.drops.append(entry)
            let count = table.series.withLock { series in
                let count = series.drop(runs)
                if !state.isLoading { series.settle() }
                return count
            }
            table.database.count(series: -count)
            noteDrop()
        }
        return nil
    }

    private func applyDrop(_ entry: CatalogEntry, _ state: inout State) {
        switch entry {
        case .dropTable(let id):
            if let table = state.tablesByID.removeValue(forKey: id) {
                table.markDropped()
                table.database.remove(table)
                table.database.count(series: -table.livingSeriesCount)
                state.lastDrops[NameKey(table.database.name), default: [:]][NameKey(table.name)] =
                    dropGeneration + 1
                state.changes.drops.append(entry)
            }
            state.changes.tables.remove(id)
        case .dropDatabase(let id):
            if let database = state.databasesByID.removeValue(forKey: id) {
                for table in database.allTables { _ = apply(.dropTable(id: table.id), &state) }
                database.markDropped()
                let key = NameKey(database.name)
                if state.databases[key] === database { state.databases[key] = nil }
                state.changes.drops.append(entry)
            }
            state.changes.databases.remove(id)
        default: return
        }
        noteDrop()
    }

    private func noteDrop() { drops.add(1, ordering: .acquiringAndReleasing) }

    private func applyMember(
        _ entry: CatalogEntry, _ table: TableEntry, isReplaying: Bool
    ) -> String? {
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
                TableSchema(
                    tags: tags, fields: schema.fields, fieldCountEver: schema.fieldCountEver,
                    version: schema.version + 1))
        case .field(_, let field):
            guard field.id <= schema.fieldCountEver else {
                return "field \(field.id) of table \(table.id) leaves a gap"
            }
            let known = schema.field(id: field.id)
            if known == nil, field.id < schema.fieldCountEver {
                return isReplaying
                    ? nil : "field \(field.id) of table \(table.id) is defined after it was dropped"
            }
            let isOther =
                known.map { $0.type != field.type || !$0.name.hasSameBytes(as: field.name) }
            table.setSchema(schema.setting(field), isFieldChange: isOther ?? false)
        case .dropFields(_, let dropped):
            guard dropped.lowerBound <= schema.fieldCountEver else {
                return "field \(dropped.lowerBound) of table \(table.id) leaves a gap"
            }
            table.setSchema(schema.dropping(fields: dropped), isFieldChange: true)
        case .series(_, let id, let key):
            // Safe: the key is the entry's; what is kept of it is copied.
            return key.withUnsafeBytes { applySeries(table, schema, id, $0) }
        default: break
        }
        return nil
    }

    private func applySeries(
        _ table: TableEntry, _ schema: TableSchema, _ id: UInt32, _ key: UnsafeRawBufferPointer
    ) -> String? {
        table.series.withLock { series in
            series.settle()
            if id < series.count {
                return series.isDropped(id) || series.find(key, schema) == id
                    ? nil : "series \(id) of table \(table.id) is defined twice, differently"
            }
            guard id == series.count else {
                return "series \(id) of table \(table.id) leaves a gap"
            }
            guard series.insert(key, schema) != nil else {
                return "series \(id) of table \(table.id) has a malformed key, or a tag that is "
                    + "not defined"
            }
            table.database.count(series: 1)
            return nil
        }
    }

    /// Catalog files come now, and `settle` behind them.
    package func beginLoading() { state.withLock { $0.isLoading = true } }

    /// After catalog files, before anything is looked for.
    ///
    /// - Parameter usesThreads: Whether a second thread may help where there is much to do.
    package func settle(usesThreads: Bool = false) {
        let tables = state.withLock { Array($0.tablesByID.values) }
        var waiting = tables.flatMap { table in table.series.withLock { $0.unsettled } }
        waiting.sort { $0.waitingCount > $1.waitingCount }
        let total = waiting.reduce(0) { $0 + $1.waitingCount }
        let helper = Promise<Void>()
        if usesThreads, total > 1 << 17 {
            // By turns, the largest first.
            let others = waiting.indices.filter { $0 % 2 == 1 }.map { waiting[$0] }
            waiting = waiting.indices.filter { $0 % 2 == 0 }.map { waiting[$0] }
            startThread("apus-open") {
                for slots in others { slots.settle() }
                helper.fulfil(())
            }
        } else {
            helper.fulfil(())
        }
        for slots in waiting { slots.settle() }
        helper.wait()
        state.withLock { $0.isLoading = false }
        for table in tables { table.series.withLock { $0.settle() } }
    }

    /// Applies a run of entries, as in a log record or a catalog file's frame. `settle` has to follow
    /// catalog files.
    package func applyAll(_ bytes: UnsafeRawBufferPointer) throws(ByteReader.Malformed) {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            let offset = reader.offset
            try apply(try CatalogEntry.read(&reader), from: offset)
        }
    }

    /// - Parameter offset: Where the entry lies, for the error.
    func apply(_ entry: CatalogEntry, from offset: Int) throws(ByteReader.Malformed) {
        if let wrong = state.withLock({ apply(entry, &$0) }) {
            throw .init(offset: offset, reason: wrong)
        }
    }
}

extension Optional {
    /// The value, where our own code has just made sure that there is one; else the process stops,
    /// for that is a bug.
    func orStop(_ why: String) -> Wrapped {
        guard let self else { preconditionFailure("BUG: \(why)") }
        return self
    }
}
