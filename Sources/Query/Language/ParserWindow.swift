// OVER and WINDOW: what rows a window function looks at.

extension Parser {
    /// A call with the OVER behind it, if there is one.
    mutating func withWindow(
        _ call: FunctionCall, at position: SourcePosition
    ) throws(QueryError) -> Expression {
        if at("IGNORE", "NULLS") || at("RESPECT", "NULLS") {
            throw unsupported("\(current.keyword) NULLS")
        }
        guard at("OVER"), peek().is(.leftParenthesis) || peek().isWord || peek().isQuotedName else {
            return try make(.call(call), at: position)
        }
        advance()
        let reference: WindowReference =
            current.is(.leftParenthesis)
            ? .written(try windowSpecification()) : .named(try name("a window's name"))
        return try make(.window(call, reference), at: position)
    }

    mutating func namedWindows() throws(QueryError) -> [NamedWindow] {
        guard accept("WINDOW") else { return [] }
        var windows: [NamedWindow] = []
        repeat {
            let name = try name("a window's name")
            try expect("AS")
            windows.append(NamedWindow(name: name, specification: try windowSpecification()))
        } while accept(.comma)
        return windows
    }

    private mutating func windowSpecification() throws(QueryError) -> WindowSpecification {
        try expect(.leftParenthesis)
        var specification = WindowSpecification()
        if accept("PARTITION") {
            try expect("BY")
            specification.partitionBy = try expressionList("an expression")
        }
        if accept("ORDER") {
            try expect("BY")
            repeat { specification.orderBy.append(try orderItem()) } while accept(.comma)
        }
        if at("ROWS") || at("RANGE") || at("GROUPS") { specification.extent = try windowExtent() }
        try expect(.rightParenthesis)
        return specification
    }

    private mutating func windowExtent() throws(QueryError) -> WindowSpecification.Extent {
        let token = advance()
        let unit: WindowSpecification.Unit =
            switch token.keyword {
            case "ROWS": .rows
            case "GROUPS": .groups
            default: .range
            }
        var extent = WindowSpecification.Extent(
            unit: unit, start: .unboundedPreceding, end: .currentRow, position: token.position)
        if accept("BETWEEN") {
            extent.start = try windowBound()
            try expect("AND")
            extent.end = try windowBound()
        } else {
            extent.start = try windowBound()
        }
        if at("EXCLUDE") { throw unsupported("EXCLUDE in a window") }
        return extent
    }

    private mutating func windowBound() throws(QueryError) -> WindowSpecification.Bound {
        if accept("UNBOUNDED") {
            if accept("PRECEDING") { return .unboundedPreceding }
            try expect("FOLLOWING")
            return .unboundedFollowing
        }
        if accept("CURRENT") {
            try expect("ROW")
            return .currentRow
        }
        // Not `a AND b`: the AND is BETWEEN's.
        let distance = try expression(atLeast: .additive)
        if accept("PRECEDING") { return .preceding(distance) }
        guard accept("FOLLOWING") else { throw unexpected("PRECEDING or FOLLOWING") }
        return .following(distance)
    }
}
