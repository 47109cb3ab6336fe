// FROM: tables, queries in parentheses, joins.

extension Parser {
    mutating func fromItem() throws(QueryError) -> FromItem {
        var item = try fromOperand()
        var joinCount = 0
        while let kind = try joinKind() {
            let position = current.position
            joinCount += 1
            guard joinCount <= 32 else {
                throw QueryError(.limit, "a query joins at most 33 tables", at: position)
            }
            var join = Join(kind: kind, left: item, right: try fromOperand(), position: position)
            if case .cross = kind {} else { try joinCondition(&join) }
            item = .join(join)
        }
        return item
    }

    private mutating func fromOperand() throws(QueryError) -> FromItem {
        if at("LATERAL") { throw unsupported("LATERAL") }
        let position = current.position
        guard accept(.leftParenthesis) else { return .table(try tableReference()) }
        guard startsQuery || current.is(.leftParenthesis) else {
            throw unsupported("a join in parentheses")
        }
        let query = try query()
        try expect(.rightParenthesis)
        let alias = try tableAlias()
        return .query(
            DerivedTable(
                query: query, alias: alias, columns: alias == nil ? [] : try columnAliases(),
                position: position))
    }

    private mutating func tableReference() throws(QueryError) -> TableReference {
        let name = try tableName()
        if current.is(.leftParenthesis) {
            throw unsupported("a function in FROM", at: name.position)
        }
        return TableReference(name: name, alias: try tableAlias())
    }

    private mutating func tableAlias() throws(QueryError) -> Identifier? {
        if accept("AS") { return try name("an alias") }
        guard
            current.isQuotedName
                || (current.isWord && !ReservedWords.contains(current.keyword) && !startsClause())
        else { return nil }
        return identifier(from: advance())
    }

    /// Whether an unreserved word begins a clause here rather than being an alias.
    private func startsClause() -> Bool {
        switch (current.keyword, peek().keyword) {
        case ("LATEST", "ON"), ("SAMPLE", "BY"), ("ASOF", "JOIN"), ("ASOF", "LEFT"),
            ("ASOF", "INNER"), ("LT", "JOIN"), ("LT", "LEFT"), ("LT", "INNER"), ("SPLICE", "JOIN"),
            ("TABLESAMPLE", _), ("PARTITION", "BY"), ("ALIGN", "TO"):
            true
        case ("FILL", _): peek().is(.leftParenthesis)
        case ("TOLERANCE", _):
            if case .duration = peek().kind { true } else { peek().keyword == "INTERVAL" }
        default: false
        }
    }

    /// The words of a join up to JOIN, or a comma; nil if none comes.
    private mutating func joinKind() throws(QueryError) -> Join.Kind? {
        if accept(.comma) { return .cross }
        switch (current.keyword, peek().keyword) {
        case ("ASOF", "JOIN"), ("ASOF", "LEFT"), ("ASOF", "INNER"):
            advance()
            return .asof(keepsAll: try keepsAll())
        case ("LT", "JOIN"), ("LT", "LEFT"), ("LT", "INNER"):
            advance()
            return .lessThan(keepsAll: try keepsAll())
        case ("SPLICE", "JOIN"), ("WINDOW", "JOIN"): throw unsupported("\(current.keyword) JOIN")
        case ("RIGHT", _), ("FULL", _), ("NATURAL", _): throw unsupported("\(current.keyword) JOIN")
        case ("TABLESAMPLE", _): throw unsupported("TABLESAMPLE")
        case ("CROSS", _):
            advance()
            try expect("JOIN")
            return .cross
        case ("LEFT", _):
            advance()
            _ = accept("OUTER")
            if at("SEMI") || at("ANTI") { throw unsupported("LEFT \(current.keyword) JOIN") }
            try expect("JOIN")
            return .left
        case ("JOIN", _), ("INNER", _):
            _ = accept("INNER")
            try expect("JOIN")
            return .inner
        default: return nil
        }
    }

    /// Behind ASOF or LT: every row of the left stays unless it says INNER.
    private mutating func keepsAll() throws(QueryError) -> Bool {
        let isInner = accept("INNER")
        if !isInner, accept("LEFT") { _ = accept("OUTER") }
        try expect("JOIN")
        return !isInner
    }

    private mutating func joinCondition(_ join: inout Join) throws(QueryError) {
        if accept("USING") {
            join.columns = try columnAliases()
            guard !join.columns.isEmpty else { throw unexpected("columns in parentheses") }
            join.mergesColumns = true
        } else if accept("ON") {
            // QuestDB's `ON (host, region)` names columns that both sides have.
            if isColumnList {
                join.columns = try columnAliases()
            } else {
                join.condition = try expression()
            }
        }
        if accept("TOLERANCE") { join.tolerance = try sampleWidth() }
        let isAsOf =
            switch join.kind {
            case .asof, .lessThan: true
            default: false
            }
        guard isAsOf || join.condition != nil || !join.columns.isEmpty else {
            throw unexpected("ON or USING", hint: "CROSS JOIN takes every pair of rows")
        }
        if !isAsOf, join.tolerance != nil {
            throw QueryError(
                .syntax, "TOLERANCE belongs to ASOF JOIN and LT JOIN", at: join.position)
        }
    }

    /// `(name)` or `(name, …)`, and nothing of an expression.
    private var isColumnList: Bool {
        guard current.is(.leftParenthesis), peek().isWord || peek().isQuotedName else {
            return false
        }
        guard peek(2).is(.rightParenthesis) else { return peek(2).is(.comma) }
        // `(flag) AND …` is a condition.
        if case .symbol(let symbol) = peek(3).kind {
            return [.comma, .rightParenthesis, .semicolon].contains(symbol)
        }
        return !["AND", "OR", "IS", "NOT", "IN"].contains(peek(3).keyword)
    }
}
