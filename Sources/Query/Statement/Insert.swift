// INSERT: rows become a write batch, by the table's kinds. In a new table a string is a tag.

internal import ApusStorage

extension StatementExecution {
    private enum Target {
        case time
        case tag(String)
        case field(String, FieldType)
        /// A column of a table that does not exist yet, said to be a field.
        case newField(String)
        /// … of which nothing is said: its kind follows its value.
        case new(String)

        /// What may be there only once in a list of columns.
        var identity: [UInt8] {
            switch self {
            case .time: []
            case .tag(let name): [1] + Array(name.utf8)
            case .field(let name, _), .newField(let name): [2] + Array(name.utf8)
            case .new(let name): [3] + Array(name.utf8)
            }
        }
    }

    mutating func insert(_ insert: InsertStatement) throws(QueryError) {
        var table: TableEntry?
        do throws(QueryError) {
            table = try engine.findTable(insert.table, session: session)
        } catch {
            let options = engine.storage.options
            let mayCreate =
                error.code == .unknownTable
                || (error.code == .unknownDatabase && options.createDatabases)
            guard mayCreate, options.createTables else { throw error }
        }
        let database: String
        if let table {
            database = table.database.name
        } else {
            database = try databaseName(
                of: insert.table, mayCreate: engine.storage.options.createDatabases)
        }
        let relation = table.map { TableRelation(table: $0, alias: nil) }
        var targets: [Target] = []
        var seen: Set<[UInt8]> = []
        for column in insert.columns {
            let target = try target(column, relation)
            guard seen.insert(target.identity).inserted else {
                throw QueryError(
                    .semantic, "`\(column.name.text)` is there twice", at: column.position)
            }
            targets.append(target)
        }

        let binder = Binder(session: session, scope: nil)
        var builder = RowBuilder(database: database)
        var newTypes: [String: ResultType] = [:]
        for row in insert.rows {
            try append(
                row, targets, binder, table?.name ?? insert.table.table.text, to: &builder,
                &newTypes, at: insert.position)
        }
        let batch = builder.batch
        batch.isOneStatement = true
        _ = try translating { () throws(StorageError) in try engine.storage.commit(batch) }
    }

    private func target(
        _ column: ColumnReference, _ relation: TableRelation?
    ) throws(QueryError) -> Target {
        guard let relation else {
            let name = column.name.text
            switch column.kind {
            case .tag: return .tag(name)
            case .field: return .newField(name)
            case nil:
                // As every name: quoted it is another one than the timestamp's.
                let bare = column.name.isQuoted ? name : asciiLowercased(name)
                return bare.hasSameBytes(as: "time") ? .time : .new(name)
            }
        }
        let scope = QueryScope([relation])
        guard let found = try scope.resolve(column)?.column else {
            throw scope.unknownColumn(column)
        }
        switch found {
        case .output: throw scope.unknownColumn(column)
        case .time: return .time
        case .tag(let index): return .tag(relation.schema.tags[index].name)
        case .field(let index):
            return .field(relation.schema.fields[index].name, relation.schema.fields[index].type)
        }
    }

    private func append(
        _ row: [Expression], _ targets: [Target], _ binder: Binder, _ table: String,
        to builder: inout RowBuilder, _ newTypes: inout [String: ResultType],
        at position: SourcePosition
    ) throws(QueryError) {
        var time = session.now
        var tags: [String: String] = [:]
        var fields: [(name: String, value: RowBuilder.Value)] = []
        for (syntax, target) in zip(row, targets) {
            let bound = try binder.bind(syntax)
            func constant(_ type: ResultType) throws(QueryError) -> Constant? {
                let value = try binder.coerce(bound, to: type)
                guard let constant = value.constant else {
                    let vector = try value.evaluate(Frame(count: 1, columns: []))
                    return vector.isValid(0) ? vector.constant(0) : nil
                }
                return constant.isNull ? nil : constant
            }
            switch target {
            case .time:
                guard let value = try constant(.timestamp) else {
                    throw QueryError(.semantic, "time cannot be NULL", at: syntax.position)
                }
                time = value.int64
            case .tag(let name):
                guard bound.isUntyped || bound.type == .string else {
                    throw QueryError(
                        .semantic, "\(name) is a tag (string): write a quoted value",
                        at: syntax.position)
                }
                if let value = try constant(.string), !value.bytes.isEmpty {
                    tags[name] = value.text
                }
            case .field(let name, let type):
                if let value = try constant(assigned(bound, to: type, name, at: syntax.position)) {
                    fields.append((name, stored(value)))
                }
            case .newField(let name), .new(let name):
                guard let value = try constant(bound.isUntyped ? .string : bound.type) else {
                    continue
                }
                let isField = if case .newField = target { true } else { false }
                if value.type == .string, !isField {
                    if !value.bytes.isEmpty { tags[name] = value.text }
                } else if value.type.isNumeric || value.type == .bool || value.type == .string {
                    let known = newTypes[name] ?? value.type
                    guard known == value.type || known.isNumeric && value.type.isNumeric else {
                        throw QueryError(
                            .semantic,
                            "\(name) is \(known.rawValue) in a row before, found "
                                + value.type.rawValue,
                            at: syntax.position)
                    }
                    newTypes[name] = known
                    fields.append((name, stored(value)))
                } else {
                    throw QueryError(
                        .semantic, "a \(value.type.rawValue) cannot be stored in a field",
                        at: syntax.position)
                }
            }
        }
        guard !fields.isEmpty else {
            throw QueryError(
                .semantic, "a row needs a field that is not NULL",
                at: row.first?.position ?? position)
        }
        builder.append(table: table, tags: tags, time: time, fields: fields)
    }

    /// The type in which a field takes a value. Numbers stay what they are: the storage fits them
    /// in or widens the field.
    private func assigned(
        _ bound: BoundExpression, to type: FieldType, _ name: String, at position: SourcePosition
    ) throws(QueryError) -> ResultType {
        let own = ResultType(type)
        if bound.isUntyped || bound.type == own || own == .string { return own }
        guard bound.type.isNumeric, own.isNumeric else {
            throw QueryError(
                .semantic, "\(name) is a field (\(own.rawValue)), found \(bound.type.rawValue)",
                at: position)
        }
        return bound.type
    }

    private func stored(_ value: Constant) -> RowBuilder.Value {
        switch value.type {
        case .float64: .float64(value.float64)
        case .uint64: .uint64(value.slot)
        case .bool: .bool(value.slot != 0)
        case .string: .string(value.bytes)
        default: .int64(value.int64)
        }
    }
}
