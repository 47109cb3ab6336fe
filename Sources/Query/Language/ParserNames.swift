// Names of columns, tables and types.

extension Parser {
    func identifier(from token: Token) -> Identifier {
        Identifier(text: token.text, isQuoted: !token.isWord, position: token.position)
    }

    /// A name that is not reserved.
    mutating func name(_ expected: String) throws(QueryError) -> Identifier {
        if current.isQuotedName { return identifier(from: advance()) }
        guard current.isWord, !ReservedWords.contains(current.keyword) else {
            let hint = current.isString ? "a name is quoted with \"…\", not with '…'" : nil
            throw unexpected(expected, hint: hint)
        }
        return identifier(from: advance())
    }

    /// Behind a dot or AS every word is a name.
    mutating func nameAfterDot(_ expected: String) throws(QueryError) -> Identifier {
        guard current.isWord || current.isQuotedName else { throw unexpected(expected) }
        return identifier(from: advance())
    }

    /// `table`, `database.table`, `database.public.table`.
    mutating func tableName() throws(QueryError) -> TableName {
        var names = [try name("a table's name")]
        while accept(.dot) { names.append(try nameAfterDot("a table's name")) }
        if current.is(.minus) || current.is(.slash) || current.is(.colon) {
            throw QueryError(
                .syntax, "expected the end of a table's name, found `\(current.text)`",
                at: current.position, hint: "a name with dashes or the like needs double quotes")
        }
        switch names.count {
        case 1: return TableName(database: nil, table: names[0])
        case 2: return TableName(database: names[0], table: names[1])
        case 3 where isPublic(names[1]): return TableName(database: names[0], table: names[2])
        default:
            throw QueryError(
                .syntax, "a table is `table`, `database.table` or `database.public.table`",
                at: names[0].position, hint: "a name with dots needs double quotes")
        }
    }

    /// A column from its names between dots.
    func columnReference(_ names: [Identifier]) throws(QueryError) -> ColumnReference {
        var names = names
        let position = names[0].position
        let name = names.removeLast()
        if names.count == 3, isPublic(names[1]) { names.remove(at: 1) }
        guard names.count <= 2 else {
            throw QueryError(
                .syntax, "a column has at most a database and a table before its name",
                at: position, hint: "a name with dots needs double quotes")
        }
        return ColumnReference(qualifiers: names, name: name)
    }

    /// A column where no expression may stand.
    mutating func plainColumn() throws(QueryError) -> ColumnReference {
        var names = [try name("a column's name")]
        while accept(.dot) { names.append(try nameAfterDot("a column's name")) }
        var column = try columnReference(names)
        if current.is(.cast), ["TAG", "FIELD"].contains(peek().keyword) {
            advance()
            column.kind = advance().keyword == "TAG" ? .tag : .field
        }
        return column
    }

    private func isPublic(_ name: Identifier) -> Bool { asciiLowercased(name.text) == "public" }

    /// A type in a cast. Widths narrower than ours take the next wider type.
    mutating func typeName() throws(QueryError) -> TypeName {
        guard current.isWord || current.isQuotedName else { throw unexpected("a type's name") }
        let token = advance()
        let type: TypeName
        switch asciiUppercased(token.text) {
        case "DOUBLE":
            _ = accept("PRECISION")
            type = .float64
        case "FLOAT", "FLOAT4", "FLOAT8", "FLOAT64", "REAL", "NUMERIC", "DECIMAL": type = .float64
        case "BIGINT", "INT", "INTEGER", "INT8", "INT64", "INT4", "INT2", "SMALLINT": type = .int64
        case "UBIGINT", "UINT64": type = .uint64
        case "BOOLEAN", "BOOL": type = .bool
        case "TEXT", "VARCHAR", "STRING": type = .string
        case "CHARACTER" where at("VARYING"):
            advance()
            type = .string
        case "TIMESTAMPTZ": type = .timestamp
        case "TIMESTAMP": type = try timestampType()
        case "TIMESTAMP_LOCAL": type = .timestampLocal
        case "DATE": type = .date
        case "INTERVAL": type = .interval
        default:
            throw QueryError(
                .syntax, "there is no type \(token.found)", at: token.position,
                hint: "types are double, bigint, ubigint, boolean, text, timestamp, "
                    + "timestamp_local, date and interval")
        }
        if current.is(.leftParenthesis) { throw unsupported("a type with a width or precision") }
        if current.is(.leftBracket) { throw unsupported("an array type") }
        return type
    }

    private mutating func timestampType() throws(QueryError) -> TypeName {
        guard at("WITH") || at("WITHOUT"), peek().keyword == "TIME" else { return .timestamp }
        let isLocal = advance().keyword == "WITHOUT"
        advance()
        try expect("ZONE")
        return isLocal ? .timestampLocal : .timestamp
    }
}
