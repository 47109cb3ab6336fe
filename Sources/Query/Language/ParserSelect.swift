// SELECT and its clauses, up to ORDER BY. What later releases bring is recognised, so that the error says
// so.

extension Parser {
    /// Up to ORDER BY, which may belong to more than this SELECT.
    mutating func select() throws(QueryError) -> SelectStatement {
        var statement = SelectStatement(position: current.position)
        try expect("SELECT")
        try distinct(&statement)
        repeat { statement.items.append(try selectItem()) } while accept(.comma)
        if at("INTO") { throw unsupported("SELECT INTO") }
        if accept("FROM") { statement.from = try fromItem() }
        if accept("WHERE") { statement.condition = try expression() }
        try latestOn(&statement)
        try sampleBy(&statement)
        try grouping(&statement)
        statement.windows = try namedWindows()
        if accept("QUALIFY") { statement.qualify = try expression() }
        return statement
    }

    private mutating func distinct(_ statement: inout SelectStatement) throws(QueryError) {
        if accept("DISTINCT") {
            if at("ON"), peek().is(.leftParenthesis) {
                advance()
                advance()
                statement.distinctOn = try expressionList("an expression")
                try expect(.rightParenthesis)
            } else {
                statement.isDistinct = true
            }
        } else {
            _ = accept("ALL")
        }
    }

    private mutating func selectItem() throws(QueryError) -> SelectItem {
        let position = current.position
        if accept(.star) {
            return SelectItem(
                kind: .star(qualifier: nil, excluded: try excluded()), position: position)
        }
        let isName = current.isQuotedName || (current.isWord && !isReserved(current))
        if isName, peek().is(.dot), peek(2).is(.star) {
            let qualifier = identifier(from: advance())
            advance()
            advance()
            return SelectItem(
                kind: .star(qualifier: qualifier, excluded: try excluded()), position: position)
        }
        if at("COLUMNS"), peek().is(.leftParenthesis), peek(2).isString {
            advance()
            advance()
            let pattern = advance().text
            try expect(.rightParenthesis)
            return SelectItem(kind: .columns(pattern: pattern), position: position)
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

    /// `EXCLUDE (a, b)` or `EXCLUDE a`, as DuckDB has it.
    private mutating func excluded() throws(QueryError) -> [Identifier] {
        if at("REPLACE"), peek().is(.leftParenthesis) { throw unsupported("* REPLACE") }
        let isExclude = at("EXCLUDE") && (peek().isWord || peek().isQuotedName)
        if peek().is(.leftParenthesis), at("EXCLUDE") || at("EXCEPT"), peek(2).keyword != "SELECT" {
            advance()
            return try columnAliases()
        }
        guard isExclude, !ReservedWords.contains(peek().keyword) else { return [] }
        advance()
        return [try name("a column's name")]
    }

    private func isReserved(_ token: Token) -> Bool { ReservedWords.contains(token.keyword) }

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

    // MARK: - Grouping, order and limits

    private mutating func grouping(_ statement: inout SelectStatement) throws(QueryError) {
        if at("GROUP"), statement.sampleBy != nil {
            throw QueryError(
                .syntax, "SAMPLE BY and GROUP BY don't go together", at: current.position,
                hint: "what SAMPLE BY's select list has beside aggregates are the groups")
        }
        if accept("GROUP") {
            try expect("BY")
            if at("ALL"), !peek().is(.dot), !peek().is(.leftParenthesis) {
                advance()
                statement.groupsByAll = true
            } else if current.is(.leftParenthesis), peek().is(.rightParenthesis) {
                throw unsupported("an empty grouping")
            } else {
                statement.groupBy = try expressionList("an expression")
            }
            if at("SAMPLE", "BY") {
                throw QueryError(
                    .syntax, "SAMPLE BY and GROUP BY don't go together", at: current.position,
                    hint: "time_bucket in GROUP BY does what SAMPLE BY does")
            }
        }
        if accept("HAVING") { statement.having = try expression() }
    }

    /// Behind ORDER: the keys, or what ALL says.
    mutating func order() throws(QueryError) -> (keys: [OrderItem], all: OrderItem?) {
        try expect("BY")
        if at("ALL") {
            let item = Expression(.literal(.null), at: advance().position)
            return ([], try direction(of: item))
        }
        var keys: [OrderItem] = []
        repeat { keys.append(try orderItem()) } while accept(.comma)
        return (keys, nil)
    }

    mutating func orderItem() throws(QueryError) -> OrderItem {
        try direction(of: try expression())
    }

    private mutating func direction(of expression: Expression) throws(QueryError) -> OrderItem {
        var item = OrderItem(expression: expression, isDescending: false, nullsFirst: nil)
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
