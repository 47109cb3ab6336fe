// A definition is a change of the catalog that a statement asks for, CREATE, ALTER, DROP, or retention.
//
//     plan    which entries it takes; changes nothing
//     log     the log thread makes the entries durable, in every mode of durability
//     enact   applies them; from now on everyone sees the change
//
// So a definition that failed was never in force. The log thread does these steps, one definition
// after the other, and nobody else changes the catalog. Writes that were bound before and come behind
// a drop in the log go with the table: replay leaves them out, too.

internal import Synchronization

enum Definition: Sendable {
    case createDatabase(
        String, ifNotExists: Bool, partitionNanoseconds: Int64, retentionNanoseconds: Int64)
    case setRetention(database: String, nanoseconds: Int64)
    case dropDatabase(String, ifExists: Bool)
    case createTable(
        String, database: String, tags: [String], fields: [(name: String, type: FieldType)],
        ifNotExists: Bool)
    case dropTable(String, database: String, ifExists: Bool)
    case dropSeries(TableEntry, SeriesSet)
    /// By its number: what had the name when somebody looked, and nothing else.
    case dropField(TableEntry, FieldColumn, ifExists: Bool)
    case renameField(TableEntry, FieldColumn, to: String)
    /// Drops those of some series of which there are no rows, neither in heads nor in segments that have
    /// come since somebody looked at `seen`.
    case retireSeries(TableEntry, SeriesSet, seen: Set<UInt64>)

    /// That the thing to be made is there.
    var existsError: StorageError? {
        switch self {
        case .createDatabase(let name, let ifNotExists, _, _):
            ifNotExists ? nil : .exists("database \"\(name)\"")
        case .createTable(let name, _, _, _, let ifNotExists):
            ifNotExists ? nil : .exists("table \"\(name)\"")
        default: nil
        }
    }
}

extension Catalog {
    /// The entries that a definition takes, none if there is nothing to do.
    func plan(
        _ definition: Definition, _ options: StorageOptions
    ) throws(StorageError) -> [CatalogEntry] {
        let planned: Result<[CatalogEntry], StorageError> = state.withLock { state in
            do throws(StorageError) {
                return .success(try Self.entries(of: definition, state, options))
            } catch {
                return .failure(error)
            }
        }
        return try planned.get()
    }

    /// Applies entries that the log holds. The log thread only.
    func enact(_ entries: [CatalogEntry]) {
        state.withLock { state in
            for entry in entries { _ = apply(entry, &state) }
        }
    }

    private static func entries(
        of definition: Definition, _ state: State, _ options: StorageOptions
    ) throws(StorageError) -> [CatalogEntry] {
        func database(_ name: String) throws(StorageError) -> DatabaseEntry {
            guard let database = state.databases[NameKey(name)] else {
                throw .unknownDatabase(name)
            }
            return database
        }
        switch definition {
        case .createDatabase(let name, _, let partition, let retention):
            guard state.databases[NameKey(name)] == nil else {
                if let error = definition.existsError { throw error }
                return []
            }
            return [
                .database(
                    id: state.nextDatabaseID, name: name, partitionNanoseconds: partition,
                    retentionNanoseconds: retention)
            ]
        case .setRetention(let name, let nanoseconds):
            let database = try database(name)
            return [
                .database(
                    id: database.id, name: database.name,
                    partitionNanoseconds: database.partitionNanoseconds,
                    retentionNanoseconds: nanoseconds)
            ]
        case .dropDatabase(let name, let ifExists):
            guard let database = state.databases[NameKey(name)] else {
                if ifExists { return [] }
                throw .unknownDatabase(name)
            }
            return [.dropDatabase(id: database.id)]
        case .createTable(let name, let databaseName, let tags, let fields, _):
            let database = try database(databaseName)
            guard database.table(named: name) == nil else {
                if let error = definition.existsError { throw error }
                return []
            }
            guard database.tableCount < options.tablesPerDatabaseMax else {
                throw .limit(
                    "database \(database.name) is at its limit of \(options.tablesPerDatabaseMax) "
                        + "tables")
            }
            let schema = try schema(tags, fields, options)
            return entries(table: state.nextTableID, name, database, schema)
        case .dropTable(let name, let databaseName, let ifExists):
            guard let table = try database(databaseName).table(named: name) else {
                if ifExists { return [] }
                throw .unknownTable(database: databaseName, table: name)
            }
            return [.dropTable(id: table.id)]
        case .dropSeries(let table, var series), .retireSeries(let table, var series, _):
            guard state.tablesByID[table.id] === table else {
                throw .unknownTable(database: table.database.name, table: table.name)
            }
            table.series.withLock { index in
                series.resize(to: min(series.capacity, index.count))
                if let dropped = index.dropped { series.subtract(dropped) }
            }
            return CatalogEntry.drops(of: series, tableID: table.id)
        case .dropField(let table, let field, let ifExists):
            guard try living(field, of: table, state) != nil else {
                if ifExists { return [] }
                throw gone(field, table)
            }
            return [.dropFields(tableID: table.id, field.id..<(field.id + 1))]
        case .renameField(let table, let field, let name):
            guard let living = try living(field, of: table, state) else {
                throw gone(field, table)
            }
            guard table.schema.holder(ofName: name) == nil else {
                throw .exists("a column \"\(name)\" of table \(table.name)")
            }
            return [
                .field(
                    tableID: table.id,
                    FieldColumn(id: living.id, name: name, sqlName: name, type: living.type))
            ]
        }
    }

    /// A field that somebody looked at, as it is now; nil if it is dropped.
    private static func living(
        _ field: FieldColumn, of table: TableEntry, _ state: State
    ) throws(StorageError) -> FieldColumn? {
        guard state.tablesByID[table.id] === table else {
            throw .unknownTable(database: table.database.name, table: table.name)
        }
        return table.schema.field(id: field.id)
    }

    private static func gone(_ field: FieldColumn, _ table: TableEntry) -> StorageError {
        .invalid("field \"\(field.name)\" of table \(table.name) was dropped meanwhile")
    }

    private static func schema(
        _ tags: [String], _ fields: [(name: String, type: FieldType)], _ options: StorageOptions
    ) throws(StorageError) -> TableSchema {
        guard tags.count <= options.tagsPerTableMax else {
            throw .limit("a table has at most \(options.tagsPerTableMax) tags")
        }
        guard fields.count <= options.fieldsPerTableMax else {
            throw .limit("a table has at most \(options.fieldsPerTableMax) fields")
        }
        var schema = TableSchema.empty
        for tag in tags where schema.tagIndex(named: tag) == nil {
            schema = schema.adding(tag: tag)
        }
        for field in fields {
            guard schema.field(named: field.name) == nil else {
                throw .limit("field \"\(field.name)\" is given twice")
            }
            schema = schema.adding(field: field.name, type: field.type)
        }
        return schema
    }

    private static func entries(
        table id: UInt32, _ name: String, _ database: DatabaseEntry, _ schema: TableSchema
    ) -> [CatalogEntry] {
        [.table(id: id, databaseID: database.id, name: name)]
            + schema.tags.enumerated().map { index, tag in
                .tag(tableID: id, index: index, name: tag.name, sqlName: tag.sqlName)
            }
            + schema.fields.map { .field(tableID: id, $0) }
    }
}
