// Operators, by PostgreSQL's precedence, loosest first:
//
//     OR · AND · NOT · IS · = <> < > <= >= · IN BETWEEN LIKE ILIKE · || ~ ~* !~ !~* · + - ·
//     * / // % · ^ · AT TIME ZONE · unary + - · ::
//
// Comparisons and IN/BETWEEN/LIKE do not chain, the rest is left-associative.

/// How tightly an operator binds; a higher raw value binds tighter.
enum Precedence: Int, Comparable {
    case or, and, not, `is`, comparison, membership, other, additive, multiplicative, power
    case atTimeZone, prefix

    static func < (left: Precedence, right: Precedence) -> Bool { left.rawValue < right.rawValue }

    /// The level an operand on the right of a left-associative operator starts at.
    var tighter: Precedence { Precedence(rawValue: rawValue + 1) ?? .prefix }
}

extension Parser {
    mutating func expression() throws(QueryError) -> Expression {
        try expression(atLeast: .or)
    }

    /// An expression of operators that bind at least as tightly as `lowest`.
    mutating func expression(atLeast lowest: Precedence) throws(QueryError) -> Expression {
        try nested { (parser: inout Parser) throws(QueryError) -> Expression in
            var left = try parser.prefixOperand()
            while let next = try parser.infix(left, atLeast: lowest) { left = next }
            return left
        }
    }

    private mutating func prefixOperand() throws(QueryError) -> Expression {
        let token = current
        if accept("NOT") {
            let operand = try expression(atLeast: .not)
            return try make(.unary(.not, operand), at: token.position)
        }
        if accept(.minus) {
            let operand = try nested { (parser: inout Parser) throws(QueryError) -> Expression in
                try parser.prefixOperand()
            }
            return try make(negated(operand), at: token.position)
        }
        if accept(.plus) {
            let operand = try nested { (parser: inout Parser) throws(QueryError) -> Expression in
                try parser.prefixOperand()
            }
            return try make(.unary(.plus, operand), at: token.position)
        }
        return try postfixOperand()
    }

    /// `-` before a number literal is part of it, so that `-9223372036854775808` is an int64.
    private func negated(_ operand: Expression) -> Expression.Kind {
        switch operand.kind {
        case .literal(.integer(let value)) where value >= 0: .literal(.integer(-value))
        case .literal(.unsigned(let value)) where value == 1 << 63: .literal(.integer(.min))
        case .literal(.unsigned(let value)): .literal(.double(-Double(value)))
        case .literal(.double(let value)) where value > 0: .literal(.double(-value))
        default: .unary(.minus, operand)
        }
    }

    /// The expression grown by the operator that comes next, or nil if none binds tightly enough.
    private mutating func infix(
        _ left: Expression, atLeast lowest: Precedence
    ) throws(QueryError) -> Expression? {
        switch current.kind {
        case .symbol(let symbol):
            return try symbolInfix(left, symbol, atLeast: lowest)
        case .word:
            return try wordInfix(left, atLeast: lowest)
        default:
            return nil
        }
    }

    private mutating func symbolInfix(
        _ left: Expression, _ symbol: Symbol, atLeast lowest: Precedence
    ) throws(QueryError) -> Expression? {
        if let (operation, precedence) = arithmetic(symbol) {
            guard precedence >= lowest else { return nil }
            let position = advance().position
            let right = try expression(atLeast: precedence.tighter)
            return try make(.binary(operation, left, right), at: position)
        }
        if let comparison = comparison(symbol) {
            guard .comparison >= lowest else { return nil }
            return try self.comparison(left, comparison)
        }
        let ignoresCase = symbol == .matchesIgnoringCase || symbol == .matchesNotIgnoringCase
        let negated = symbol == .matchesNot || symbol == .matchesNotIgnoringCase
        guard symbol == .matches || ignoresCase || negated, .other >= lowest else { return nil }
        let position = advance().position
        let pattern = try expression(atLeast: .additive)
        return try make(
            .matches(left, pattern: pattern, ignoresCase: ignoresCase, negated: negated),
            at: position)
    }

    private func arithmetic(_ symbol: Symbol) -> (BinaryOperator, Precedence)? {
        switch symbol {
        case .plus: (.add, .additive)
        case .minus: (.subtract, .additive)
        case .star: (.multiply, .multiplicative)
        case .slash: (.divide, .multiplicative)
        case .doubleSlash: (.divideTruncating, .multiplicative)
        case .percent: (.modulo, .multiplicative)
        case .caret: (.power, .power)
        case .concatenate: (.concatenate, .other)
        default: nil
        }
    }

    private func comparison(_ symbol: Symbol) -> BinaryOperator? {
        switch symbol {
        case .equal: .equal
        case .notEqual, .notEqualAngles: .notEqual
        case .less: .less
        case .lessOrEqual: .lessOrEqual
        case .greater: .greater
        case .greaterOrEqual: .greaterOrEqual
        default: nil
        }
    }

    private mutating func comparison(
        _ left: Expression, _ operation: BinaryOperator
    ) throws(QueryError) -> Expression {
        let position = advance().position
        if at("ANY") || at("ALL") || at("SOME") {
            throw unsupported("comparing with \(current.keyword) (…)")
        }
        let right = try expression(atLeast: .membership)
        if case .symbol(let symbol) = current.kind, comparison(symbol) != nil {
            throw QueryError(
                .syntax, "comparisons do not chain", at: current.position,
                hint: "write `a < b AND b < c`")
        }
        return try make(.binary(operation, left, right), at: position)
    }

    private mutating func wordInfix(
        _ left: Expression, atLeast lowest: Precedence
    ) throws(QueryError) -> Expression? {
        switch current.keyword {
        case "OR" where .or >= lowest:
            return try chain(left, "OR", operandsFrom: .and) { .or($0) }
        case "AND" where .and >= lowest:
            return try chain(left, "AND", operandsFrom: .not) { .and($0) }
        case "IS" where .is >= lowest:
            return try isTest(left)
        case "NOT" where .membership >= lowest:
            guard ["IN", "LIKE", "ILIKE", "BETWEEN", "SIMILAR"].contains(peek().keyword) else {
                advance()
                throw unexpected("IN, LIKE, ILIKE or BETWEEN")
            }
            let position = advance().position
            return try membership(left, negated: true, at: position)
        case "IN" where .membership >= lowest && peek().is(.leftParenthesis),
            "LIKE" where .membership >= lowest, "ILIKE" where .membership >= lowest,
            "BETWEEN" where .membership >= lowest,
            "SIMILAR" where .membership >= lowest && peek().keyword == "TO":
            return try membership(left, negated: false, at: current.position)
        case "AT" where .atTimeZone >= lowest && peek().keyword == "TIME":
            let position = advance().position
            try expect("TIME")
            try expect("ZONE")
            let zone = try expression(atLeast: .prefix)
            return try make(.atTimeZone(left, zone: zone), at: position)
        case "COLLATE":
            throw unsupported("COLLATE")
        default:
            return nil
        }
    }

    /// `a AND b AND c` as one list.
    private mutating func chain(
        _ first: Expression, _ keyword: String, operandsFrom lowest: Precedence,
        _ kind: ([Expression]) -> Expression.Kind
    ) throws(QueryError) -> Expression {
        let position = current.position
        var operands = [first]
        while accept(keyword) { operands.append(try expression(atLeast: lowest)) }
        return try make(kind(operands), at: position)
    }

    private mutating func isTest(_ left: Expression) throws(QueryError) -> Expression {
        let position = advance().position
        let negated = accept("NOT")
        if accept("DISTINCT") {
            try expect("FROM")
            let right = try expression(atLeast: .comparison)
            return try make(.isDistinct(left, right, negated: negated), at: position)
        }
        let test: IsTest
        switch current.keyword {
        case "NULL": test = .null
        case "TRUE": test = .true
        case "FALSE": test = .false
        case "UNKNOWN": test = .unknown
        default:
            throw unexpected(
                negated
                    ? "NULL, TRUE, FALSE or DISTINCT FROM"
                    : "NULL, NOT NULL, TRUE, FALSE or DISTINCT FROM")
        }
        advance()
        return try make(.isTest(left, test, negated: negated), at: position)
    }

    /// `IN`, `BETWEEN`, `LIKE` and `ILIKE`, the word itself being the current token.
    private mutating func membership(
        _ left: Expression, negated: Bool, at position: SourcePosition
    ) throws(QueryError) -> Expression {
        let keyword = advance().keyword
        let result: Expression
        switch keyword {
        case "IN":
            try expect(.leftParenthesis)
            if startsQuery {
                let query = try query()
                try expect(.rightParenthesis)
                return try make(.inQuery(left, query, negated: negated), at: position)
            }
            let list = try expressionList("an expression")
            try expect(.rightParenthesis)
            result = try make(.inList(left, list, negated: negated), at: position)
        case "BETWEEN":
            if at("SYMMETRIC") { throw unsupported("BETWEEN SYMMETRIC") }
            let low = try expression(atLeast: .other)
            try expect("AND")
            let high = try expression(atLeast: .other)
            result = try make(
                .between(left, low: low, high: high, negated: negated), at: position)
        case "LIKE", "ILIKE":
            if at("ANY") || at("ALL") { throw unsupported("\(keyword) \(current.keyword)") }
            let pattern = try expression(atLeast: .other)
            let escape = accept("ESCAPE") ? try expression(atLeast: .other) : nil
            result = try make(
                .like(
                    left, pattern: pattern, escape: escape, ignoresCase: keyword == "ILIKE",
                    negated: negated), at: position)
        default:
            throw unsupported("SIMILAR TO", at: position)
        }
        return result
    }

    /// One or more expressions between commas.
    mutating func expressionList(_ expected: String) throws(QueryError) -> [Expression] {
        var list = [try expression()]
        while accept(.comma) { list.append(try expression()) }
        return list
    }
}
