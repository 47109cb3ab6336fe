// Every statement but SELECT.

extension Parser {
    mutating func statement() throws(QueryError) -> Statement {
        let start = current
        let position = start.position
        guard start.isWord else {
            if start.is(.leftParenthesis) { return Statement(.query(try query()), at: position) }
            throw unexpected("a statement")
        }
        switch start.keyword {
        case "SELECT", "WITH": return Statement(.query(try query()), at: position)
        case "SHOW": return Statement(.show(try show()), at: position)
        case "DESCRIBE", "DESC":
            advance()
            return Statement(.describe(try optionalTableWordThenName()), at: position)
        case "EXPLAIN": return try explain()
        case "INSERT": return Statement(.insert(try insert()), at: position)
        case "DELETE": return Statement(.delete(try delete()), at: position)
        case "CREATE", "ALTER", "DROP": return try definition()
        case "FLUSH":
            advance()
            return Statement(.flush, at: position)
        case "COMPACT":
            advance()
            let isWhole = current.isEnd || current.is(.semicolon)
            return Statement(
                .compact(isWhole ? nil : try optionalTableWordThenName()), at: position)
        case "KILL":
            advance()
            if at("QUERY") { advance() }
            return Statement(.kill(try expression()), at: position)
        case "SET": return Statement(.setTimeZone(try setTimeZone()), at: position)
        case "VALUES", "TABLE", "FROM", "UPDATE", "TRUNCATE", "MERGE", "COPY", "GRANT",
            "REVOKE", "BEGIN", "START", "COMMIT", "ROLLBACK", "PREPARE", "EXECUTE",
            "DEALLOCATE", "USE", "VACUUM", "ANALYZE", "RESET":
            throw unsupported(start.keyword)
        default:
            throw unexpected("a statement")
        }
    }

    /// `[TABLE] name`, the word counting as such only before another name.
    private mutating func optionalTableWordThenName() throws(QueryError) -> TableName {
        if at("TABLE"), peek().isWord || peek().isQuotedName { advance() }
        return try tableName()
    }

    private mutating func explain() throws(QueryError) -> Statement {
        let position = advance().position
        let analyze = accept("ANALYZE")
        if current.is(.leftParenthesis) || at("VERBOSE") {
            throw unsupported("EXPLAIN with options")
        }
        if at("EXPLAIN") { throw unexpected("a statement to explain") }
        return Statement(.explain(try statement(), analyze: analyze), at: position)
    }

    // MARK: - SHOW

    private mutating func show() throws(QueryError) -> ShowStatement {
        advance()
        if accept("DATABASES") { return .databases }
        if accept("TABLES") {
            guard accept("FROM") || accept("IN") else { return .tables(database: nil) }
            return .tables(database: try name("a database's name"))
        }
        if accept("TAG", "KEYS") { return .tagKeys(try fromTable()) }
        if accept("FIELD", "KEYS") { return .fieldKeys(try fromTable()) }
        if accept("TAG", "VALUES") { return .tagValues(try showTagValues()) }
        if accept("SERIES") {
            let table = try fromTable()
            let condition = accept("WHERE") ? try expression() : nil
            let (limit, offset) = try limitAndOffset()
            return .series(
                ShowSeries(table: table, condition: condition, limit: limit, offset: offset))
        }
        if accept("CARDINALITY") {
            let table = at("FROM") ? try fromTable() : nil
            let (limit, offset) = try limitAndOffset()
            return .cardinality(table, limit: limit, offset: offset)
        }
        if accept("QUERIES") { return .queries }
        if at("TAG") {
            advance()
            throw unexpected("KEYS or VALUES")
        }
        if at("FIELD") {
            advance()
            throw unexpected("KEYS")
        }
        throw unexpected(
            "DATABASES, TABLES, TAG KEYS, TAG VALUES, FIELD KEYS, SERIES, CARDINALITY or QUERIES")
    }

    private mutating func fromTable() throws(QueryError) -> TableName {
        try expect("FROM")
        return try tableName()
    }

    private mutating func showTagValues() throws(QueryError) -> ShowTagValues {
        let table = try fromTable()
        try expect("WITH")
        try expect("KEY")
        var keys: [Identifier] = []
        if accept(.equal) {
            keys = [try name("a tag's name")]
        } else if accept("IN") {
            try expect(.leftParenthesis)
            repeat { keys.append(try name("a tag's name")) } while accept(.comma)
            try expect(.rightParenthesis)
        } else {
            throw unexpected("`=` or IN")
        }
        let condition = accept("WHERE") ? try expression() : nil
        let (limit, offset) = try limitAndOffset()
        return ShowTagValues(
            table: table, keys: keys, condition: condition, limit: limit, offset: offset)
    }

    // MARK: - Rows

    private mutating func insert() throws(QueryError) -> InsertStatement {
        let position = advance().position
        try expect("INTO")
        let table = try tableName()
        guard accept(.leftParenthesis) else {
            throw unexpected("`(` and the columns' names")
        }
        var columns: [ColumnReference] = []
        repeat {
            let column = try plainColumn()
            guard column.qualifiers.isEmpty else {
                throw QueryError(
                    .syntax, "a column in INSERT has no table before its name",
                    at: column.position)
            }
            columns.append(column)
        } while accept(.comma)
        try expect(.rightParenthesis)
        if at("SELECT") || at("WITH") { throw unsupported("INSERT … SELECT") }
        try expect("VALUES")
        var rows: [[Expression]] = []
        repeat { rows.append(try row(columnCount: columns.count)) } while accept(.comma)
        if at("ON") || at("RETURNING") { throw unsupported("\(current.keyword) behind INSERT") }
        return InsertStatement(table: table, columns: columns, rows: rows, position: position)
    }

    private mutating func row(columnCount: Int) throws(QueryError) -> [Expression] {
        let position = current.position
        try expect(.leftParenthesis)
        let values = try expressionList("a value")
        try expect(.rightParenthesis)
        guard values.count == columnCount else {
            throw QueryError(
                .syntax, "the row has \(values.count) values for \(columnCount) columns",
                at: position)
        }
        return values
    }

    private mutating func delete() throws(QueryError) -> DeleteStatement {
        let position = advance().position
        let table = try fromTable()
        let condition = accept("WHERE") ? try expression() : nil
        return DeleteStatement(table: table, condition: condition, position: position)
    }

    // MARK: - Session

    private mutating func setTimeZone() throws(QueryError) -> String? {
        advance()
        if at("SESSION") || at("LOCAL") { advance() }
        if !accept("TIME", "ZONE") {
            guard at("TIMEZONE") else {
                guard current.isWord else { throw unexpected("a setting's name") }
                throw unsupported("SET \(current.text)")
            }
            advance()
            guard accept(.equal) || accept("TO") else { throw unexpected("`=` or TO") }
        }
        if accept("DEFAULT") || accept("LOCAL") { return nil }
        guard current.isString || current.isQuotedName || current.isWord else {
            throw unexpected("a time zone's name in quotes")
        }
        return advance().text
    }
}
