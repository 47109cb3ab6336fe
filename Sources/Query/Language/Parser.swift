// Recursive descent over the tokens of one statement: the entry, the cursor and the errors. What
// each clause looks like is in the other Parser files.
//
// Invariants
//   - `index` never passes the last token, which is `.end`.
//   - Recursion is bounded by `depthMax`, and so is the depth of every expression that is made.

/// What a statement may be at most.
package struct ParserLimits: Sendable {
    /// Bytes of text. Default 8 MiB: an INSERT of some 100,000 rows.
    package var statementBytesMax = 8 << 20
    /// Levels of parentheses, calls and operators inside each other. Default 200.
    package var depthMax = 200

    package init() {}
}

package struct Parser {
    let tokens: [Token]
    let limits: ParserLimits
    var index = 0
    var depth = 0

    /// Parses one statement, with or without a closing `;`.
    ///
    /// - Throws: `syntax` with the position and what was expected there; `unsupported` for what is
    ///   part of the language and not built; `limit` for a text too long or nested too deeply.
    /// - Complexity: O(*n*) in the length of the text.
    package static func parse(
        _ text: String, limits: ParserLimits = ParserLimits()
    ) throws(QueryError) -> Statement {
        let byteCount = text.utf8.count
        guard byteCount <= limits.statementBytesMax else {
            throw QueryError(
                .limit,
                "the statement has \(byteCount) bytes, the limit is \(limits.statementBytesMax)")
        }
        var parser = Parser(tokens: try Lexer.tokens(of: text), limits: limits)
        return try parser.wholeStatement()
    }

    /// Parses a single expression, as tests and configuration want it.
    package static func parseExpression(
        _ text: String, limits: ParserLimits = ParserLimits()
    ) throws(QueryError) -> Expression {
        var parser = Parser(tokens: try Lexer.tokens(of: text), limits: limits)
        let expression = try parser.expression()
        guard parser.current.isEnd else { throw parser.unexpected("end of query") }
        return expression
    }

    private init(tokens: [Token], limits: ParserLimits) {
        self.tokens = tokens
        self.limits = limits
    }

    private mutating func wholeStatement() throws(QueryError) -> Statement {
        if current.isEnd || (current.is(.semicolon) && index + 1 == tokens.count - 1) {
            throw QueryError(.syntax, "the statement is empty", at: current.position)
        }
        let statement = try self.statement()
        let closed = accept(.semicolon)
        guard current.isEnd else {
            if closed {
                throw QueryError(
                    .syntax, "expected one statement, found a second one", at: current.position)
            }
            throw unexpected("end of query")
        }
        return statement
    }

    // MARK: - Cursor

    var current: Token { tokens[index] }

    /// The token `distance` ahead, the end at most.
    func peek(_ distance: Int = 1) -> Token {
        tokens[min(index + distance, tokens.count - 1)]
    }

    @discardableResult
    mutating func advance() -> Token {
        let token = tokens[index]
        if index + 1 < tokens.count { index += 1 }
        return token
    }

    mutating func accept(_ symbol: Symbol) -> Bool {
        guard current.is(symbol) else { return false }
        advance()
        return true
    }

    mutating func expect(_ symbol: Symbol) throws(QueryError) {
        guard accept(symbol) else { throw unexpected("`\(symbol.rawValue)`") }
    }

    func at(_ keyword: String) -> Bool { current.keyword == keyword }

    /// Whether these words come next.
    func at(_ first: String, _ second: String) -> Bool {
        current.keyword == first && peek().keyword == second
    }

    mutating func accept(_ keyword: String) -> Bool {
        guard at(keyword) else { return false }
        advance()
        return true
    }

    /// Consumes the two words if both come next.
    mutating func accept(_ first: String, _ second: String) -> Bool {
        guard at(first, second) else { return false }
        advance()
        advance()
        return true
    }

    mutating func expect(_ keyword: String) throws(QueryError) {
        guard accept(keyword) else { throw unexpected(keyword) }
    }

    /// One level deeper for the time of `body`.
    mutating func nested<Value>(
        _ body: (inout Parser) throws(QueryError) -> Value
    ) throws(QueryError) -> Value {
        depth += 1
        defer { depth -= 1 }
        guard depth <= limits.depthMax else { throw tooDeep(at: current.position) }
        return try body(&self)
    }

    /// Makes an expression, unless it is nested too deeply.
    func make(
        _ kind: Expression.Kind, at position: SourcePosition
    ) throws(QueryError) -> Expression {
        let expression = Expression(kind, at: position)
        guard expression.depth <= limits.depthMax else { throw tooDeep(at: position) }
        return expression
    }

    // MARK: - Errors

    func tooDeep(at position: SourcePosition) -> QueryError {
        QueryError(
            .limit, "the statement is nested too deeply, the limit is \(limits.depthMax) levels",
            at: position)
    }

    /// “expected … after …, found …”, at the current token.
    func unexpected(_ expected: String, hint: String? = nil) -> QueryError {
        var text = "expected \(expected)"
        if index > 0 {
            let previous = tokens[index - 1]
            // A word that leads a clause is quoted as a keyword, whatever its case.
            text += " after "
            text += previous.isWord ? describeWord(previous) : previous.found
        }
        text += ", found \(current.found)"
        return QueryError(.syntax, text, at: current.position, hint: hint ?? spellingHint(expected))
    }

    func unsupported(_ what: String, at position: SourcePosition? = nil) -> QueryError {
        QueryError(.unsupported, "\(what) is not available yet", at: position ?? current.position)
    }

    private func describeWord(_ token: Token) -> String {
        if ReservedWords.contains(token.keyword) || Parser.clauseWords.contains(token.keyword) {
            return token.keyword
        }
        return token.found
    }

    /// Words that are keywords where the grammar looks for them, and names elsewhere.
    private static let clauseWords: Set<String> = [
        "ALTER", "BY", "COMPACT", "DATABASE", "DELETE", "DESCRIBE", "DROP", "EXPLAIN", "IN",
        "INSERT", "INTERVAL", "KEY", "KEYS", "KILL", "PARTITION", "QUERY", "SET", "SHOW", "TABLE",
        "VALUES",
    ]

    /// Helps with names that need quotes, the commonest of slips.
    private func spellingHint(_ expected: String) -> String? {
        switch current.kind {
        case .duration:
            return "a name with a leading digit needs double quotes; "
                + "a duration outside SAMPLE BY is written INTERVAL '…'"
        case .symbol(.minus) where isGluedBetweenWords:
            return "a name with a dash needs double quotes"
        case .word where ReservedWords.contains(current.keyword) && expected.hasSuffix("name"):
            return "a name that is a keyword needs double quotes"
        default:
            return nil
        }
    }

    private var isGluedBetweenWords: Bool {
        index > 0 && tokens[index - 1].isWord
            && tokens[index - 1].endOffset == current.position.byteOffset
            && peek().position.byteOffset == current.endOffset
    }

}
