// CREATE, ALTER and DROP of databases and tables.

internal import ApusStorage

extension Parser {
    mutating func definition() throws(QueryError) -> Statement {
        let verb = advance()
        let position = verb.position
        switch (verb.keyword, current.keyword) {
        case ("CREATE", "TABLE"):
            return Statement(.createTable(try createTable(at: position)), at: position)
        case ("CREATE", "DATABASE"):
            return Statement(.createDatabase(try createDatabase(at: position)), at: position)
        case ("ALTER", "DATABASE"):
            advance()
            let name = try name("a database's name")
            try expect("SET")
            let options = try databaseOptions()
            return Statement(
                .alterDatabase(
                    AlterDatabaseStatement(name: name, options: options, position: position)),
                at: position)
        case ("ALTER", "TABLE"):
            return Statement(.alterTable(try alterTable(at: position)), at: position)
        case ("DROP", "DATABASE"):
            advance()
            let ifExists = try ifExists()
            let name = try name("a database's name")
            return Statement(
                .dropDatabase(
                    DropDatabaseStatement(name: name, ifExists: ifExists, position: position)),
                at: position)
        case ("DROP", "TABLE"):
            advance()
            let ifExists = try ifExists()
            let name = try tableName()
            if current.is(.comma) { throw unsupported("dropping several tables at once") }
            return Statement(
                .dropTable(DropTableStatement(name: name, ifExists: ifExists, position: position)),
                at: position)
        case ("DROP", "SERIES"):
            advance()
            try expect("FROM")
            let name = try tableName()
            let condition = accept("WHERE") ? try expression() : nil
            return Statement(
                .dropSeries(
                    DropSeriesStatement(table: name, condition: condition, position: position)),
                at: position)
        default:
            let known = [
                "TABLE", "VIEW", "INDEX", "ROLLUP", "MATERIALIZED", "USER", "ROLE",
                "SCHEMA", "FUNCTION", "TEMPORARY", "TEMP", "OR", "UNIQUE", "SYSTEM", "EXTENSION",
            ]
            if known.contains(current.keyword) {
                throw unsupported("\(verb.keyword) \(current.keyword)", at: position)
            }
            throw unexpected(
                verb.keyword == "DROP" ? "DATABASE, TABLE or SERIES" : "DATABASE or TABLE")
        }
    }

    private mutating func ifExists() throws(QueryError) -> Bool {
        guard at("IF"), peek().keyword == "EXISTS" else { return false }
        return accept("IF", "EXISTS")
    }

    private mutating func ifNotExists() throws(QueryError) -> Bool {
        guard at("IF", "NOT") else { return false }
        advance()
        advance()
        try expect("EXISTS")
        return true
    }

    // MARK: - Tables

    private mutating func alterTable(
        at position: SourcePosition
    ) throws(QueryError) -> AlterTableStatement {
        advance()
        if try ifExists() { throw unsupported("IF EXISTS of a table in ALTER TABLE", at: position) }
        let table = try tableName()
        let actionPosition = current.position
        let verb = current.keyword
        if ["ADD", "ALTER", "MODIFY", "SET", "RESET", "OWNER", "ATTACH", "DETACH"].contains(verb) {
            var error = unsupported("ALTER TABLE … \(verb)", at: actionPosition)
            if verb == "ADD" {
                error.hint = "a column comes into being with the first row that has it"
            }
            throw error
        }
        guard verb == "DROP" || verb == "RENAME" else { throw unexpected("DROP or RENAME") }
        advance()
        if verb == "RENAME", at("TO") { throw unsupported("renaming a table", at: actionPosition) }
        if ["CONSTRAINT", "PARTITION"].contains(current.keyword), peek().isWord {
            throw unsupported("ALTER TABLE … \(verb) \(current.keyword)", at: actionPosition)
        }
        _ = accept("COLUMN")
        let ifExists = verb == "DROP" ? try ifExists() : false
        let column = try plainColumn()
        guard column.qualifiers.isEmpty else {
            throw QueryError(
                .syntax, "a column in ALTER TABLE has no table before its name",
                at: column.position)
        }
        let action: AlterTableStatement.Action
        if verb == "DROP" {
            action = .drop(ifExists: ifExists)
        } else {
            try expect("TO")
            action = .rename(to: try name("the column's new name"))
        }
        if current.is(.comma) { throw unsupported("several changes in one ALTER TABLE") }
        return AlterTableStatement(
            table: table, column: column, action: action, position: position)
    }

    private mutating func createTable(
        at position: SourcePosition
    ) throws(QueryError) -> CreateTableStatement {
        advance()
        let ifNotExists = try ifNotExists()
        let name = try tableName()
        if at("AS") { throw unsupported("CREATE TABLE AS") }
        var columns: [ColumnDefinition] = []
        try expect(.leftParenthesis)
        repeat { columns.append(try columnDefinition()) } while accept(.comma)
        guard accept(.rightParenthesis) else { throw unexpected("`,` or `)`") }
        if at("WITH") || at("PARTITION") || at("AS") || at("TIMESTAMP") {
            throw unsupported("\(current.keyword) behind CREATE TABLE")
        }
        return CreateTableStatement(
            name: name, columns: columns, ifNotExists: ifNotExists, position: position)
    }

    private mutating func columnDefinition() throws(QueryError) -> ColumnDefinition {
        let name = try name("a column's name")
        let isTime = (name.isQuoted ? name.text : asciiLowercased(name.text)) == "time"
        let typePosition = current.position
        if accept("TAG") {
            guard !isTime else { throw timeIsTimestamp(at: typePosition) }
            return ColumnDefinition(name: name, kind: .tag)
        }
        guard current.isWord else { throw unexpected("TAG or a type") }
        let type = try typeName()
        if at("NOT") || at("PRIMARY") || at("DEFAULT") || at("UNIQUE") || at("CHECK")
            || at("REFERENCES") || at("NULL")
        {
            throw unsupported("a constraint or default")
        }
        if isTime {
            guard type == .timestamp || type == .timestampLocal else {
                throw timeIsTimestamp(at: typePosition)
            }
            return ColumnDefinition(name: name, kind: .time)
        }
        return ColumnDefinition(
            name: name, kind: .field(try fieldType(type, at: typePosition)))
    }

    private func timeIsTimestamp(at position: SourcePosition) -> QueryError {
        QueryError(
            .semantic, "the column time is always the timestamp", at: position,
            hint: "write `time TIMESTAMP`, or leave it out")
    }

    private func fieldType(
        _ type: TypeName, at position: SourcePosition
    ) throws(QueryError) -> FieldType {
        switch type {
        case .float64: return .float64
        case .int64: return .int64
        case .uint64: return .uint64
        case .bool: return .bool
        case .string: return .string
        case .timestamp, .timestampLocal, .date, .interval:
            throw QueryError(
                .semantic, "a field cannot be of type \(type.name)", at: position,
                hint: "fields are double, bigint, ubigint, boolean or text")
        }
    }

    // MARK: - Databases

    private mutating func createDatabase(
        at position: SourcePosition
    ) throws(QueryError) -> CreateDatabaseStatement {
        advance()
        let ifNotExists = try ifNotExists()
        let name = try name("a database's name")
        let options = accept("WITH") ? try databaseOptions() : []
        return CreateDatabaseStatement(
            name: name, options: options, ifNotExists: ifNotExists, position: position)
    }

    /// `(name = value, …)`.
    private mutating func databaseOptions() throws(QueryError) -> [DatabaseOption] {
        var options: [DatabaseOption] = []
        try expect(.leftParenthesis)
        repeat {
            let name = try name("an option's name")
            guard !options.contains(where: { $0.name.text == name.text }) else {
                throw QueryError(
                    .syntax, "the option `\(name.text)` is given twice", at: name.position)
            }
            try expect(.equal)
            let position = current.position
            options.append(
                DatabaseOption(name: name, value: try optionValue(), valuePosition: position))
        } while accept(.comma)
        try expect(.rightParenthesis)
        return options
    }

    /// A string, a number, TRUE, FALSE, or a bare duration like `90d`.
    private mutating func optionValue() throws(QueryError) -> Literal {
        switch current.kind {
        case .string, .duration: return .string(advance().text)
        case .number(let literal):
            advance()
            return literal
        case .word where at("TRUE") || at("FALSE"):
            return .boolean(advance().keyword == "TRUE")
        default:
            throw unexpected("a value like '90d'")
        }
    }
}
