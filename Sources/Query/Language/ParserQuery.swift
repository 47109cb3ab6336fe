// WITH, UNION and its kin around SELECTs.

internal import ApusStorage

extension Parser {
    /// A whole query, as a statement or in parentheses.
    mutating func query() throws(QueryError) -> Query {
        try nested { (parser: inout Parser) throws(QueryError) -> Query in
            var commonTables: [CommonTable] = []
            if parser.accept("WITH") {
                if parser.at("RECURSIVE"), !parser.peek().is(.leftParenthesis) {
                    throw parser.unsupported("WITH RECURSIVE")
                }
                repeat {
                    let table = try parser.commonTable()
                    if commonTables.contains(where: {
                        $0.name.text.hasSameBytes(as: table.name.text)
                    }) {
                        throw QueryError(
                            .semantic, "WITH names `\(table.name.text)` twice",
                            at: table.name.position)
                    }
                    commonTables.append(table)
                } while parser.accept(.comma)
            }
            var query = try parser.setOperations()
            query.commonTables = commonTables + query.commonTables
            return query
        }
    }

    /// Whether a query begins here.
    var startsQuery: Bool { at("SELECT") || at("WITH") }

    private mutating func commonTable() throws(QueryError) -> CommonTable {
        let name = try name("a name for the query")
        let columns = try columnAliases()
        try expect("AS")
        if at("MATERIALIZED") || at("NOT") { throw unsupported("MATERIALIZED") }
        try expect(.leftParenthesis)
        let query = try query()
        try expect(.rightParenthesis)
        return CommonTable(name: name, columns: columns, query: query)
    }

    /// `(a, b)` behind the name of a query.
    mutating func columnAliases() throws(QueryError) -> [Identifier] {
        guard accept(.leftParenthesis) else { return [] }
        var names: [Identifier] = []
        repeat { names.append(try nameAfterDot("a column's name")) } while accept(.comma)
        try expect(.rightParenthesis)
        return names
    }

    /// UNION and EXCEPT from left to right, INTERSECT before them; then the order of the whole.
    private mutating func setOperations() throws(QueryError) -> Query {
        var left = try intersections()
        while at("UNION") || at("EXCEPT") {
            let kind: SetOperation.Kind = at("UNION") ? .union : .except
            let (position, isAll) = setOperator()
            let right = try intersections()
            left = Query(
                .set(
                    SetOperation(
                        kind: kind, isAll: isAll, left: left, right: right, position: position)))
            guard left.depth <= limits.depthMax else { throw tooDeep(at: position) }
        }
        return try withOrder(left)
    }

    private mutating func intersections() throws(QueryError) -> Query {
        var left = try queryTerm()
        while at("INTERSECT") {
            let (position, isAll) = setOperator()
            let right = try queryTerm()
            left = Query(
                .set(
                    SetOperation(
                        kind: .intersect, isAll: isAll, left: left, right: right,
                        position: position)))
            guard left.depth <= limits.depthMax else { throw tooDeep(at: position) }
        }
        return left
    }

    private mutating func setOperator() -> (SourcePosition, isAll: Bool) {
        let position = advance().position
        if accept("ALL") { return (position, true) }
        _ = accept("DISTINCT")
        return (position, false)
    }

    private mutating func queryTerm() throws(QueryError) -> Query {
        if at("VALUES") { throw unsupported("VALUES as a query") }
        guard accept(.leftParenthesis) else { return Query(.select(try select())) }
        let inner = try query()
        try expect(.rightParenthesis)
        return inner
    }

    /// ORDER BY and LIMIT belong to the last SELECT, or to all of a UNION.
    private mutating func withOrder(_ query: Query) throws(QueryError) -> Query {
        guard at("ORDER") || at("LIMIT") || at("OFFSET") || at("FETCH") || at("FOR") else {
            return query
        }
        var query = query
        switch query.body {
        case .select(var select):
            guard select.orderBy.isEmpty, select.ordersByAll == nil, select.limit == nil,
                select.offset == nil
            else {
                throw unsupported("ORDER BY or LIMIT behind a SELECT in parentheses that has one")
            }
            if accept("ORDER") { (select.orderBy, select.ordersByAll) = try order() }
            (select.limit, select.offset) = try limitAndOffset()
            query.body = .select(select)
        case .set(var operation):
            guard operation.orderBy.isEmpty, operation.ordersByAll == nil, operation.limit == nil,
                operation.offset == nil
            else {
                throw unsupported("ORDER BY or LIMIT behind a query in parentheses that has one")
            }
            if accept("ORDER") { (operation.orderBy, operation.ordersByAll) = try order() }
            (operation.limit, operation.offset) = try limitAndOffset()
            query.body = .set(operation)
        }
        if at("FETCH") || at("FOR") { throw unsupported(current.keyword) }
        return query
    }
}

extension Query {
    /// Levels of set operations inside each other on the left.
    var depth: Int {
        var depth = 1
        var query = self
        while case .set(let operation) = query.body {
            depth += 1
            query = operation.left
        }
        return depth
    }
}
