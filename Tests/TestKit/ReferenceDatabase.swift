// The obvious slow database: dictionaries and no cleverness. What the engine answers has to be
// what this one answers, whatever was flushed, merged, crashed or replayed in between.

package import ApusStorage

/// A value as compared in tests: floats by their bits, so that NaN equals itself and -0 is not 0.
package enum ReferenceValue: Hashable, Sendable, CustomStringConvertible {
    case float64(UInt64)
    case int64(Int64)
    case uint64(UInt64)
    case bool(Bool)
    case string([UInt8])

    package var type: FieldType {
        switch self {
        case .float64: .float64
        case .int64: .int64
        case .uint64: .uint64
        case .bool: .bool
        case .string: .string
        }
    }

    package var written: RowBuilder.Value {
        switch self {
        case .float64(let bits): .float64(Double(bitPattern: bits))
        case .int64(let number): .int64(number)
        case .uint64(let number): .uint64(number)
        case .bool(let flag): .bool(flag)
        case .string(let bytes): .string(bytes)
        }
    }

    /// The value as a field of this type stores it, or nil if the field has to widen for it or
    /// can't take it at all.
    package func converted(to type: FieldType) -> ReferenceValue? {
        if self.type == type { return self }
        switch (self, type) {
        case (.int64(let number), .float64): return .float64(Double(number).bitPattern)
        case (.uint64(let number), .float64): return .float64(Double(number).bitPattern)
        case (.int64(let number), .uint64): return UInt64(exactly: number).map { .uint64($0) }
        case (.uint64(let number), .int64): return Int64(exactly: number).map { .int64($0) }
        default: return nil
        }
    }

    package var description: String {
        switch self {
        case .float64(let bits): "\(Double(bitPattern: bits))"
        case .int64(let number): "\(number)i"
        case .uint64(let number): "\(number)u"
        case .bool(let flag): "\(flag)"
        case .string(let bytes):
            bytes.count <= 40
                ? "\"\(String(decoding: bytes, as: UTF8.self))\"" : "\(bytes.count) bytes"
        }
    }
}

/// One line of a write.
package struct ReferenceRow: Sendable {
    package var table: String
    package var tags: [String: String]
    package var time: Int64
    package var fields: [(name: String, value: ReferenceValue)]

    package init(
        table: String, tags: [String: String], time: Int64,
        fields: [(name: String, value: ReferenceValue)]
    ) {
        self.table = table
        self.tags = tags
        self.time = time
        self.fields = fields
    }
}

/// What a store is asked to do in a simulated run.
package enum StoreOperation: Sendable {
    case write(database: String, rows: [ReferenceRow])
    case createDatabase(String, retentionSeconds: Int)
    case setRetention(database: String, seconds: Int)
    case dropDatabase(String)
    case createTable(database: String, table: String, fields: [(name: String, type: FieldType)])
    case dropTable(database: String, table: String)
    /// Those whose tag has the value.
    case dropSeries(database: String, table: String, tag: String, value: String)
    /// Rows from one time to before another, of all series or of those whose tag has a value.
    case delete(
        database: String, table: String, series: (tag: String, value: String)?, from: Int64,
        to: Int64)
    /// A field by its name, if there is one.
    case dropField(database: String, table: String, field: String)
    /// Unless something has the new name.
    case renameField(database: String, table: String, field: String, to: String)
    case flush
    case compact
    case maintain
    case reopen
    case advanceClock(seconds: Int)

    package var isWrite: Bool { if case .write = self { true } else { false } }

    package var summary: String {
        switch self {
        case .write(let database, let rows):
            "write \(rows.count) rows to \(database)"
        default: "\(self)"
        }
    }
}

package struct ReferenceDatabase: Sendable {
    package struct Table: Sendable {
        package var types: [String: FieldType] = [:]
        package var rows: [StoreContents.RowKey: [String: ReferenceValue]] = [:]

        /// Rows stay, also without any field.
        mutating func dropField(_ name: String) {
            types[name] = nil
            for key in rows.keys { rows[key]?[name] = nil }
        }

        mutating func renameField(_ name: String, to new: String) {
            guard let type = types[name], types[new] == nil else { return }
            types[new] = type
            for (key, fields) in rows { rows[key]?[new] = fields[name] }
            dropField(name)
        }
    }

    package struct Database: Sendable {
        package var retentionSeconds: Int
        package var tables: [String: Table] = [:]
    }

    package struct WriteOutcome: Sendable, Equatable {
        package var rowsStored = 0
        package var hasRefusals = false

        package init(rowsStored: Int = 0, hasRefusals: Bool = false) {
            self.rowsStored = rowsStored
            self.hasRefusals = hasRefusals
        }
    }

    package var databases: [String: Database] = [:]
    private let defaultRetentionSeconds: Int
    private let acceptFutureSeconds: Int
    /// Times this near to the ends of 64 bits are refused.
    private let edgeNanoseconds: Int64

    package init(options: StorageOptions) {
        defaultRetentionSeconds = options.defaultRetentionSeconds ?? 0
        acceptFutureSeconds = options.acceptFutureSeconds
        edgeNanoseconds = Int64(options.partitionSeconds) * 2_000_000_000
    }

    /// Does what the operation says; flushes and the like change nothing here.
    @discardableResult
    package mutating func apply(_ operation: StoreOperation, now: Int64) -> WriteOutcome {
        switch operation {
        case .write(let database, let rows):
            return write(rows, database, now: now)
        case .createDatabase(let name, let retention):
            if databases[name] == nil { databases[name] = Database(retentionSeconds: retention) }
        case .setRetention(let name, let seconds):
            databases[name]?.retentionSeconds = seconds
        case .dropDatabase(let name): databases[name] = nil
        case .createTable(let database, let table, let fields):
            guard databases[database] != nil, databases[database]?.tables[table] == nil else {
                break
            }
            databases[database]?.tables[table] = Table(
                types: Dictionary(
                    fields.map { ($0.name, $0.type) }, uniquingKeysWith: { a, _ in a }))
        case .dropTable(let database, let table):
            databases[database]?.tables[table] = nil
        case .dropSeries(let database, let table, let tag, let value):
            let rows = databases[database]?.tables[table]?.rows ?? [:]
            for key in rows.keys where Self.has(tag, value, key.series) {
                databases[database]?.tables[table]?.rows[key] = nil
            }
        case .delete(let database, let table, let series, let from, let to):
            let rows = databases[database]?.tables[table]?.rows ?? [:]
            for key in rows.keys where key.time >= from && (key.time < to || to == .max) {
                guard series.map({ Self.has($0.tag, $0.value, key.series) }) ?? true else {
                    continue
                }
                databases[database]?.tables[table]?.rows[key] = nil
            }
        case .dropField(let database, let table, let field):
            databases[database]?.tables[table]?.dropField(field)
        case .renameField(let database, let table, let field, let name):
            databases[database]?.tables[table]?.renameField(field, to: name)
        case .flush, .compact, .maintain, .reopen, .advanceClock: break
        }
        return WriteOutcome()
    }

    private static func has(_ tag: String, _ value: String, _ series: [UInt8]) -> Bool {
        var isFound = false
        series.withUnsafeBytes { key in
            _ = SeriesKey.forEachTag(key) { name, found in
                isFound =
                    isFound
                    || name.elementsEqual(tag.utf8) && found.elementsEqual(value.utf8)
                return true
            }
        }
        return isFound
    }

    private mutating func write(_ rows: [ReferenceRow], _ name: String, now: Int64) -> WriteOutcome
    {
        var outcome = WriteOutcome()
        let retention = databases[name]?.retentionSeconds ?? defaultRetentionSeconds
        let oldest = retention > 0 ? now - Int64(retention) * 1_000_000_000 : .min
        let latest =
            acceptFutureSeconds > 0 ? now + Int64(acceptFutureSeconds) * 1_000_000_000 : .max
        for row in rows {
            guard row.time >= max(oldest, .min + edgeNanoseconds), row.time <= latest else {
                outcome.hasRefusals = true
                continue
            }
            var database =
                databases.removeValue(forKey: name)
                ?? Database(retentionSeconds: defaultRetentionSeconds)
            var table = database.tables.removeValue(forKey: row.table) ?? Table()
            if Self.store(row, in: &table, &outcome) { outcome.rowsStored += 1 }
            database.tables[row.table] = table
            databases[name] = database
        }
        return outcome
    }

    private static func store(
        _ row: ReferenceRow, in table: inout Table, _ outcome: inout WriteOutcome
    ) -> Bool {
        let key = StoreContents.RowKey(series: SeriesKey.encode(row.tags), time: row.time)
        var stored = false
        for (name, value) in row.fields {
            if let type = table.types[name] {
                if value.converted(to: type) == nil {
                    guard type.isNumeric, value.type.isNumeric else {
                        outcome.hasRefusals = true
                        continue
                    }
                    table.types[name] = .float64
                }
            } else {
                table.types[name] = value.type
            }
            table.rows[key, default: [:]][name] = value
            stored = true
        }
        return stored
    }

    /// Takes over the field types that the engine settled on, where an operation with an unknown
    /// outcome may have left definitions behind, or taken some away. Returns what can't be explained by a
    /// widening.
    package mutating func adoptTypes(of catalog: Catalog) -> [String] {
        var problems: [String] = []
        for database in catalog.allDatabases {
            for table in database.allTables {
                let known = databases[database.name]?.tables[table.name]?.types ?? [:]
                for name in known.keys where table.schema.field(named: name) == nil {
                    databases[database.name]?.tables[table.name]?.types[name] = nil
                }
                for field in table.schema.fields {
                    let known = databases[database.name]?.tables[table.name]?.types[field.name]
                    if known == field.type { continue }
                    if let known, !(known.isNumeric && field.type == .float64) {
                        problems.append(
                            "\(database.name).\(table.name).\(field.name) is \(field.type), not \(known)"
                        )
                    }
                    databases[
                        database.name,
                        default: Database(
                            retentionSeconds: Int(database.retentionNanoseconds / 1_000_000_000))
                    ]
                    .tables[table.name, default: Table()].types[field.name] = field.type
                }
            }
        }
        return problems
    }

    /// All rows that a query sees, values in the types that their fields have by now.
    package func contents(now: Int64) -> StoreContents {
        var contents = StoreContents()
        for (name, database) in databases {
            let oldest =
                database.retentionSeconds > 0
                ? now - Int64(database.retentionSeconds) * 1_000_000_000 : .min
            for (tableName, table) in database.tables {
                var rows: [StoreContents.RowKey: [String: ReferenceValue]] = [:]
                for (key, fields) in table.rows where key.time >= oldest {
                    var converted: [String: ReferenceValue] = [:]
                    for (field, value) in fields {
                        converted[field] =
                            table.types[field].flatMap { value.converted(to: $0) } ?? value
                    }
                    rows[key] = converted
                }
                if !rows.isEmpty { contents.tables[.init(database: name, table: tableName)] = rows }
            }
        }
        return contents
    }
}
