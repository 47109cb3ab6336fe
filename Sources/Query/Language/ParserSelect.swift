// SELECT and its clauses. What later releases bring is recognised, so that the error says so.

extension Parser {
    mutating func select() throws(QueryError) -> SelectStatement {
        var statement = SelectStatement(position: current.position)
        try expect("SELECT")
        try distinct(&statement)
        repeat { statement.items.append(try selectItem()) } while accept(.comma)
        if at("INTO") { throw unsupported("SELECT INTO") }
        if accept("FROM") {
            statement.from = try tableReference()
            try rejectJoins()
        }
        if accept("WHERE") { statement.condition = try expression() }
        try latestOn(&statement)
        try rejectSampleBy()
        try grouping(&statement)
        if at("WINDOW") || at("QUALIFY") { throw unsupported(current.keyword) }
        if accept("ORDER") {
            try expect("BY")
            if at("ALL") { throw unsupported("ORDER BY ALL") }
            repeat { statement.orderBy.append(try orderItem()) } while accept(.comma)
        }
        (statement.limit, statement.offset) = try limitAndOffset()
        if at("FETCH") || at("FOR") { throw unsupported(current.keyword) }
        return statement
    }

    private mutating func distinct(_ statement: inout SelectStatement) throws(QueryError) {
        if accept("DISTINCT") {
            if at("ON") { throw unsupported("DISTINCT ON") }
            statement.isDistinct = true
        } else {
            _ = accept("ALL")
        }
    }

    private mutating func selectItem() throws(QueryError) -> SelectItem {
        let position = current.position
        if accept(.star) {
            try rejectStarModifiers()
            return SelectItem(kind: .star(qualifier: nil), position: position)
        }
        let isName = current.isQuotedName || (current.isWord && !isReserved(current))
        if isName, peek().is(.dot), peek(2).is(.star) {
            let qualifier = identifier(from: advance())
            advance()
            advance()
            try rejectStarModifiers()
            return SelectItem(kind: .star(qualifier: qualifier), position: position)
        }
        if at("COLUMNS"), peek().is(.leftParenthesis), peek(2).isString {
            throw unsupported("COLUMNS(…)")
        }
        let expression = try expression()
        var alias: Identifier?
        if accept("AS") {
            alias = try nameAfterDot("an alias")
        } else if current.isQuotedName || (current.isWord && !isReserved(current)) {
            alias = identifier(from: advance())
        }
        return SelectItem(kind: .expression(expression, alias: alias), position: position)
    }

    private func rejectStarModifiers() throws(QueryError) {
        if ["EXCLUDE", "EXCEPT", "REPLACE"].contains(current.keyword), peek().is(.leftParenthesis) {
            throw unsupported("* \(current.keyword)")
        }
    }

    private func isReserved(_ token: Token) -> Bool { ReservedWords.contains(token.keyword) }

    // MARK: - FROM

    private mutating func tableReference() throws(QueryError) -> TableReference {
        if current.is(.leftParenthesis) { throw unsupported("a subquery") }
        if at("LATERAL") { throw unsupported("LATERAL") }
        let name = try tableName()
        if current.is(.leftParenthesis) {
            throw unsupported("a function in FROM", at: name.position)
        }
        var alias: Identifier?
        if accept("AS") {
            alias = try self.name("an alias")
        } else if current.isQuotedName
            || (current.isWord && !isReserved(current) && !startsClause())
        {
            alias = identifier(from: advance())
        }
        return TableReference(name: name, alias: alias)
    }

    /// Whether an unreserved word begins a clause here rather than being an alias.
    private func startsClause() -> Bool {
        switch (current.keyword, peek().keyword) {
        case ("LATEST", "ON"), ("SAMPLE", "BY"), ("ASOF", _), ("LT", "JOIN"), ("SPLICE", "JOIN"),
            ("TABLESAMPLE", _), ("PARTITION", "BY"), ("ALIGN", "TO"):
            true
        case ("FILL", _): peek().is(.leftParenthesis)
        default: false
        }
    }

    private func rejectJoins() throws(QueryError) {
        if current.is(.comma) { throw unsupported("a join") }
        switch (current.keyword, peek().keyword) {
        case ("ASOF", _), ("LT", "JOIN"), ("SPLICE", "JOIN"), ("WINDOW", "JOIN"):
            throw unsupported("\(current.keyword) JOIN")
        case ("JOIN", _), ("INNER", _), ("LEFT", _), ("RIGHT", _), ("FULL", _), ("CROSS", _),
            ("NATURAL", _):
            throw unsupported("JOIN")
        case ("TABLESAMPLE", _):
            throw unsupported("TABLESAMPLE")
        default:
            return
        }
    }

    // MARK: - Time series clauses

    private mutating func latestOn(_ statement: inout SelectStatement) throws(QueryError) {
        let position = current.position
        if at("LATEST"), peek().keyword == "BY" { throw unsupported("LATEST BY") }
        guard accept("LATEST", "ON") else { return }
        let time = try plainColumn()
        try expect("PARTITION")
        try expect("BY")
        var columns = [try plainColumn()]
        while accept(.comma) { columns.append(try plainColumn()) }
        statement.latestOn = LatestOn(time: time, partitionColumns: columns, position: position)
        if at("WHERE") {
            throw QueryError(
                .syntax, "WHERE goes before LATEST ON", at: current.position,
                hint: "rows are filtered first, then the latest of each key is taken")
        }
    }

    private func rejectSampleBy() throws(QueryError) {
        if at("SAMPLE", "BY") { throw unsupported("SAMPLE BY") }
        if at("FILL"), peek().is(.leftParenthesis) { throw unsupported("FILL") }
    }

    // MARK: - Grouping, order and limits

    private mutating func grouping(_ statement: inout SelectStatement) throws(QueryError) {
        if accept("GROUP") {
            try expect("BY")
            if at("ALL") { throw unsupported("GROUP BY ALL") }
            if current.is(.leftParenthesis), peek().is(.rightParenthesis) {
                throw unsupported("an empty grouping")
            }
            statement.groupBy = try expressionList("an expression")
            try rejectSampleBy()
        }
        if accept("HAVING") { statement.having = try expression() }
    }

    mutating func orderItem() throws(QueryError) -> OrderItem {
        var item = OrderItem(
            expression: try expression(), isDescending: false, nullsFirst: nil)
        if accept("DESC") {
            item.isDescending = true
        } else {
            _ = accept("ASC")
        }
        if accept("NULLS") {
            if accept("FIRST") {
                item.nullsFirst = true
            } else if accept("LAST") {
                item.nullsFirst = false
            } else {
                throw unexpected("FIRST or LAST")
            }
        }
        return item
    }

    /// `LIMIT n` and `OFFSET n` in either order, each at most once.
    mutating func limitAndOffset() throws(QueryError) -> (limit: Expression?, offset: Expression?) {
        var limit: Expression?
        var offset: Expression?
        var hasLimit = false
        while true {
            if at("LIMIT"), !hasLimit {
                advance()
                hasLimit = true
                if !accept("ALL") { limit = try expression() }
                if current.is(.comma) {
                    throw QueryError(
                        .syntax, "LIMIT takes one number", at: current.position,
                        hint: "write LIMIT n OFFSET m")
                }
            } else if at("OFFSET"), offset == nil {
                advance()
                offset = try expression()
                if !accept("ROWS") { _ = accept("ROW") }
            } else {
                return (limit, offset)
            }
        }
    }
}
