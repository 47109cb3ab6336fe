// Operands: literals, columns, calls, casts, CASE, parentheses.

extension Parser {
    /// A primary with the `::type` casts behind it.
    mutating func postfixOperand() throws(QueryError) -> Expression {
        var operand = try primary()
        while current.is(.cast) {
            let position = advance().position
            // `"type"::tag` says which name space is meant and is no cast.
            if at("TAG") || at("FIELD") {
                operand = try withColumnKind(operand)
                continue
            }
            operand = try make(.cast(operand, try typeName()), at: position)
        }
        if current.is(.leftBracket) { throw unsupported("an array or subscript") }
        return operand
    }

    private mutating func withColumnKind(_ operand: Expression) throws(QueryError) -> Expression {
        let token = advance()
        guard case .column(var column) = operand.kind, column.kind == nil else {
            throw QueryError(
                .syntax, "::\(asciiLowercased(token.text)) goes directly behind a column's name",
                at: token.position)
        }
        column.kind = token.keyword == "TAG" ? .tag : .field
        return try make(.column(column), at: operand.position)
    }

    private mutating func primary() throws(QueryError) -> Expression {
        let token = current
        switch token.kind {
        case .number(let literal):
            advance()
            return try make(.literal(literal), at: token.position)
        case .string:
            advance()
            return try make(.literal(.string(token.text)), at: token.position)
        case .parameter(let number):
            advance()
            return try make(.parameter(number), at: token.position)
        case .quotedName:
            return try nameOperand()
        case .symbol(.leftParenthesis):
            return try parenthesised()
        case .word:
            return try wordOperand()
        default:
            throw unexpected("an expression")
        }
    }

    private mutating func parenthesised() throws(QueryError) -> Expression {
        let position = advance().position
        if startsQuery {
            let query = try query()
            try expect(.rightParenthesis)
            return try make(.subquery(query), at: position)
        }
        let inner = try expression()
        if current.is(.comma) { throw unsupported("a row of several values") }
        try expect(.rightParenthesis)
        return inner
    }

    private mutating func wordOperand() throws(QueryError) -> Expression {
        let token = current
        switch token.keyword {
        case "NULL", "TRUE", "FALSE":
            advance()
            let literal: Literal =
                token.keyword == "NULL" ? .null : .boolean(token.keyword == "TRUE")
            return try make(.literal(literal), at: token.position)
        case "CASE":
            return try caseExpression()
        case "CAST" where peek().is(.leftParenthesis):
            return try castCall()
        case "EXISTS" where peek().is(.leftParenthesis):
            advance()
            advance()
            guard startsQuery else { throw unexpected("SELECT") }
            let query = try query()
            try expect(.rightParenthesis)
            return try make(.exists(query), at: token.position)
        case "EXISTS", "ARRAY":
            throw unsupported(token.keyword)
        case "INTERVAL" where peek().isString:
            return try intervalLiteral()
        case "TIMESTAMP", "TIMESTAMPTZ", "DATE", "TIMESTAMP_LOCAL":
            if let literal = try timeLiteral() { return literal }
            return try nameOperand()
        case "EXTRACT" where peek().is(.leftParenthesis):
            return try extractCall()
        case "SUBSTRING" where peek().is(.leftParenthesis):
            return try substringCall()
        case "POSITION" where peek().is(.leftParenthesis):
            return try positionCall()
        case "TRIM" where peek().is(.leftParenthesis):
            return try trimCall()
        case "LEFT", "RIGHT":
            // Reserved for joins, and functions of strings.
            guard peek().is(.leftParenthesis) else { throw unexpected("an expression") }
            return try nameOperand()
        case "DISTINCT":
            throw unexpected("an expression")
        default:
            guard !ReservedWords.contains(token.keyword) else { throw unexpected("an expression") }
            return try nameOperand()
        }
    }

    /// A column, qualified or not, or a function call.
    private mutating func nameOperand() throws(QueryError) -> Expression {
        let start = current.position
        let first = identifier(from: advance())
        if current.is(.leftParenthesis) { return try call(first) }
        var names = [first]
        while current.is(.dot) {
            advance()
            if current.is(.star) { throw unexpected("a column's name") }
            names.append(try nameAfterDot("a column's name"))
        }
        if current.is(.leftParenthesis) {
            throw QueryError(
                .unsupported, "a function's name has no schema", at: start,
                hint: "write `\(names.last?.text ?? "")(…)`")
        }
        return try make(.column(try columnReference(names)), at: start)
    }

    // MARK: - Literals with a type

    private mutating func intervalLiteral() throws(QueryError) -> Expression {
        let position = advance().position
        var text = advance().text
        // `INTERVAL '5' MINUTE`
        let units = ["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"]
        if units.contains(current.keyword), !peek().is(.leftParenthesis) {
            if peek().keyword == "TO" { throw unsupported("INTERVAL … TO …") }
            text += " " + asciiLowercased(current.text)
            advance()
        }
        return try make(.typedLiteral(.interval, text), at: position)
    }

    /// `TIMESTAMP '…'`, `DATE '…'`, `TIMESTAMP WITH TIME ZONE '…'`; nil if the word is a name here.
    private mutating func timeLiteral() throws(QueryError) -> Expression? {
        let hasZoneWords =
            at("TIMESTAMP") && ["WITH", "WITHOUT"].contains(peek().keyword)
            && peek(2).keyword == "TIME" && peek(3).keyword == "ZONE" && peek(4).isString
        guard peek().isString || hasZoneWords else { return nil }
        let position = current.position
        let type = try typeName()
        let text = advance().text
        return try make(.typedLiteral(type, text), at: position)
    }

    // MARK: - Calls

    private mutating func castCall() throws(QueryError) -> Expression {
        let position = advance().position
        try expect(.leftParenthesis)
        let operand = try expression()
        try expect("AS")
        let type = try typeName()
        try expect(.rightParenthesis)
        return try make(.cast(operand, type), at: position)
    }

    private mutating func caseExpression() throws(QueryError) -> Expression {
        let position = advance().position
        let operand = at("WHEN") ? nil : try expression()
        var branches: [CaseExpression.Branch] = []
        guard at("WHEN") else { throw unexpected("WHEN") }
        while accept("WHEN") {
            let condition = try expression()
            try expect("THEN")
            branches.append(
                CaseExpression.Branch(condition: condition, result: try expression()))
        }
        let otherwise = accept("ELSE") ? try expression() : nil
        guard accept("END") else { throw unexpected("WHEN, ELSE or END") }
        return try make(
            .caseWhen(
                CaseExpression(operand: operand, branches: branches, otherwise: otherwise)),
            at: position)
    }

    private mutating func extractCall() throws(QueryError) -> Expression {
        let position = advance().position
        try expect(.leftParenthesis)
        guard current.isWord || current.isString || current.isQuotedName else {
            throw unexpected("a field like hour or epoch")
        }
        let field = identifier(from: advance())
        try expect("FROM")
        let source = try expression()
        try expect(.rightParenthesis)
        return try make(.extract(field: field, source: source), at: position)
    }

    /// `substring(x FROM a FOR b)`, `substring(x, a, b)`.
    private mutating func substringCall() throws(QueryError) -> Expression {
        let name = identifier(from: advance())
        try expect(.leftParenthesis)
        var arguments = [try expression()]
        if accept("FROM") {
            arguments.append(try expression())
            if accept("FOR") { arguments.append(try expression()) }
        } else if accept("FOR") {
            let one = try make(.literal(.integer(1)), at: current.position)
            arguments += [one, try expression()]
        } else {
            while accept(.comma) { arguments.append(try expression()) }
        }
        guard accept(.rightParenthesis) else { throw unexpected("`,`, FROM or `)`") }
        return try make(
            .call(FunctionCall(name: name, arguments: arguments)), at: name.position)
    }

    /// `position(part IN whole)` is `strpos(whole, part)`.
    private mutating func positionCall() throws(QueryError) -> Expression {
        var name = identifier(from: advance())
        try expect(.leftParenthesis)
        let part = try expression(atLeast: .other)
        var arguments = [part]
        if accept("IN") {
            arguments = [try expression(), part]
            name.text = "strpos"
        } else {
            while accept(.comma) { arguments.append(try expression()) }
        }
        guard accept(.rightParenthesis) else { throw unexpected("IN or `)`") }
        return try make(
            .call(FunctionCall(name: name, arguments: arguments)), at: name.position)
    }

    /// `trim([BOTH | LEADING | TRAILING] [characters] FROM x)`, `trim(x [, characters])`.
    private mutating func trimCall() throws(QueryError) -> Expression {
        var name = identifier(from: advance())
        try expect(.leftParenthesis)
        let sides = ["BOTH": "btrim", "LEADING": "ltrim", "TRAILING": "rtrim"]
        let isName = peek().is(.rightParenthesis) || peek().is(.comma)
        name.text = "btrim"
        if !isName, let function = sides[current.keyword] {
            advance()
            name.text = function
        }
        var arguments: [Expression] = []
        if accept("FROM") {
            arguments = [try expression()]
        } else {
            arguments = [try expression()]
            if accept("FROM") {
                arguments.insert(try expression(), at: 0)
            } else {
                while accept(.comma) { arguments.append(try expression()) }
            }
        }
        try expect(.rightParenthesis)
        return try make(
            .call(FunctionCall(name: name, arguments: arguments)), at: name.position)
    }

    private mutating func call(_ name: Identifier) throws(QueryError) -> Expression {
        advance()
        var call = FunctionCall(name: name)
        if accept(.star) {
            call.isStar = true
        } else if !current.is(.rightParenthesis) {
            try arguments(of: &call)
        }
        if accept("ORDER", "BY") { call.orderBy = try orderItems() }
        guard accept(.rightParenthesis) else { throw unexpected("`,` or `)`") }
        if accept("WITHIN", "GROUP") {
            try expect(.leftParenthesis)
            guard accept("ORDER", "BY") else { throw unexpected("ORDER BY") }
            call.withinGroup = try orderItems()
            try expect(.rightParenthesis)
        }
        if at("FILTER"), peek().is(.leftParenthesis) {
            advance()
            advance()
            try expect("WHERE")
            call.filter = try expression()
            try expect(.rightParenthesis)
        }
        return try withWindow(call, at: name.position)
    }

    private mutating func orderItems() throws(QueryError) -> [OrderItem] {
        var items: [OrderItem] = []
        repeat { items.append(try orderItem()) } while accept(.comma)
        return items
    }

    private mutating func arguments(of call: inout FunctionCall) throws(QueryError) {
        if accept("DISTINCT") {
            call.isDistinct = true
        } else {
            _ = accept("ALL")
        }
        repeat {
            if current.isWord || current.isQuotedName, peek().is(.arrow) {
                let name = identifier(from: advance())
                advance()
                call.namedArguments.append(
                    FunctionCall.NamedArgument(name: name, value: try expression()))
            } else {
                guard call.namedArguments.isEmpty else {
                    throw QueryError(
                        .syntax, "an argument without a name cannot follow one with a name",
                        at: current.position)
                }
                call.arguments.append(try expression())
            }
        } while accept(.comma)
    }
}
