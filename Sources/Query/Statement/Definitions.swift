// CREATE, ALTER and DROP of databases and tables.

internal import ApusStorage

extension StatementExecution {
    func define(_ statement: Statement) throws(QueryError) {
        let storage = engine.storage
        switch statement.kind {
        case .createTable(let create):
            let (tags, fields) = try columns(create)
            let database = try databaseName(of: create.name)
            // The session's database comes into being by its first table, as by its first write.
            if create.name.database == nil, storage.options.createDatabases,
                storage.catalog.database(named: database) == nil
            {
                try translating { () throws(StorageError) in
                    try storage.createDatabase(
                        database, ifNotExists: true,
                        retentionNanoseconds: storage.options.defaultRetentionNanoseconds,
                        partitionNanoseconds: nil)
                }
            }
            try translating { () throws(StorageError) in
                try storage.createTable(
                    database: database, name: create.name.table.text, tags: tags, fields: fields,
                    ifNotExists: create.ifNotExists)
            }
        case .createDatabase(let create):
            try session.access.check(database: create.name.text, at: create.name.position)
            let options = try databaseOptions(create.options, mayPartition: true)
            try translating { () throws(StorageError) in
                try storage.createDatabase(
                    create.name.text, ifNotExists: create.ifNotExists,
                    retentionNanoseconds: options.retention,
                    partitionNanoseconds: options.partition)
            }
        case .alterDatabase(let alter):
            let options = try databaseOptions(alter.options, mayPartition: false)
            let database = try engine.findDatabase(alter.name, session.access)
            guard let retention = options.retention else { return }
            try translating { () throws(StorageError) in
                try storage.setRetention(ofDatabase: database.name, nanoseconds: retention)
            }
        case .alterTable(let alter): try alterTable(alter)
        case .dropTable(let drop):
            let table: TableEntry
            do throws(QueryError) {
                table = try engine.findTable(drop.name, session: session)
            } catch {
                let isMissing = error.code == .unknownTable || error.code == .unknownDatabase
                if drop.ifExists, isMissing { return }
                throw error
            }
            try translating { () throws(StorageError) in
                try storage.dropTable(
                    database: table.database.name, name: table.name, ifExists: drop.ifExists)
            }
        case .dropSeries(let drop): try dropSeries(drop)
        case .dropDatabase(let drop):
            let name: String
            do throws(QueryError) {
                name = try engine.findDatabase(drop.name, session.access).name
            } catch {
                if drop.ifExists, error.code == .unknownDatabase { return }
                throw error
            }
            try translating { () throws(StorageError) in
                try storage.dropDatabase(name, ifExists: drop.ifExists)
            }
        default:
            throw QueryError(
                .unsupported, "this statement is not available yet", at: statement.position)
        }
    }

    private func dropSeries(_ drop: DropSeriesStatement) throws(QueryError) {
        let table = try engine.findTable(drop.table, session: session)
        guard let series = try matching(table, drop.condition) else {
            throw QueryError(
                .unsupported, "DROP SERIES takes a condition on tags alone",
                at: drop.condition?.position ?? drop.position,
                hint:
                    "a series goes with all of its rows; rows of some time go with their partition, by retention"
            )
        }
        try translating { () throws(StorageError) in
            try engine.storage.dropSeries(series, of: table)
        }
    }

    /// The database a new table goes into: as found, or as written if it may come into being.
    func databaseName(
        of name: TableName, mayCreate: Bool = false
    ) throws(QueryError) -> String {
        guard let database = name.database, asciiLowercased(database.text) != "public" else {
            try session.access.check(database: session.database, at: name.table.position)
            return session.database
        }
        do throws(QueryError) {
            return try engine.findDatabase(database, session.access).name
        } catch {
            guard mayCreate, error.code == .unknownDatabase else { throw error }
            return database.text
        }
    }

    private func columns(
        _ create: CreateTableStatement
    ) throws(QueryError) -> (tags: [String], fields: [(name: String, type: FieldType)]) {
        var tags: [String] = []
        var fields: [(name: String, type: FieldType)] = []
        for column in create.columns {
            let name = column.name.text
            switch column.kind {
            case .time:
                guard name == "time" else {
                    throw QueryError(
                        .semantic, "a table's timestamp is called `time`",
                        at: column.name.position)
                }
            case .tag: tags.append(name)
            case .field(let type): fields.append((name, type))
            }
        }
        return (tags, fields)
    }

    private func databaseOptions(
        _ options: [DatabaseOption], mayPartition: Bool
    ) throws(QueryError) -> (retention: Int64?, partition: Int64?) {
        var retention: Int64?
        var partition: Int64?
        for option in options {
            switch asciiLowercased(option.name.text) {
            case "retention": retention = try duration(option, forever: true)
            case "partition" where mayPartition: partition = try duration(option, forever: false)
            default:
                throw QueryError(
                    .semantic, "there is no database option `\(option.name.text)`",
                    at: option.name.position,
                    hint: mayPartition
                        ? "options are retention and partition" : "the option is retention")
            }
        }
        return (retention, partition)
    }

    private func duration(_ option: DatabaseOption, forever: Bool) throws(QueryError) -> Int64 {
        func invalid(_ reason: String) -> QueryError {
            QueryError(
                .semantic, "\(option.name.text): \(reason)", at: option.valuePosition,
                hint: "write it like '90d'" + (forever ? ", or 'none' to keep for ever" : ""))
        }
        switch option.value {
        case .string(let text):
            if forever, ["none", "inf", "infinite", "0", "0s"].contains(asciiLowercased(text)) {
                return 0
            }
            let interval: Interval
            do throws(QueryError) {
                interval = try Interval.duration(text)
            } catch {
                throw invalid(error.message)
            }
            // A month of retention is 30 days: files go by age, not by the calendar.
            let value = IntervalValue(interval)
            let days = Int128(value.months) * 30 + Int128(value.days)
            let total = days * 86_400_000_000_000 + Int128(value.nanoseconds)
            guard let nanoseconds = Int64(exactly: total), nanoseconds > 0 else {
                throw invalid("out of range")
            }
            return nanoseconds
        case .integer(0) where forever: return 0
        case .null where forever: return 0
        default: throw invalid("expected a duration in quotes")
        }
    }
}
