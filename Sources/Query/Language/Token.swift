// What the lexer cuts a statement into.

/// Operators and punctuation, by their spelling.
package enum Symbol: String, Sendable, CaseIterable {
    case leftParenthesis = "("
    case rightParenthesis = ")"
    case leftBracket = "["
    case rightBracket = "]"
    case comma = ","
    case semicolon = ";"
    case dot = "."
    case plus = "+"
    case minus = "-"
    case star = "*"
    case slash = "/"
    case doubleSlash = "//"
    case percent = "%"
    case caret = "^"
    case concatenate = "||"
    case equal = "="
    case notEqual = "!="
    case notEqualAngles = "<>"
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case matches = "~"
    case matchesIgnoringCase = "~*"
    case matchesNot = "!~"
    case matchesNotIgnoringCase = "!~*"
    case cast = "::"
    case colon = ":"
    case arrow = "=>"
}

package struct Token: Sendable {
    package enum Kind: Sendable {
        /// An unquoted word; `keyword` is its upper-case spelling.
        case word
        case quotedName
        case string
        case number(Literal)
        /// A number with a unit glued to it, like `5m` or `1h30m`.
        case duration
        case parameter(Int)
        case symbol(Symbol)
        case end
    }

    package var kind: Kind
    /// A word as written, a quoted name or string without quotes and escapes, else the spelling.
    package var text: String
    /// The upper-case spelling of a word, else empty.
    package var keyword: String
    package var position: SourcePosition
    /// Offset of the byte behind the token.
    package var endOffset: Int

    package func `is`(_ symbol: Symbol) -> Bool {
        if case .symbol(let own) = kind { own == symbol } else { false }
    }

    package var isEnd: Bool {
        if case .end = kind { true } else { false }
    }

    package var isString: Bool {
        if case .string = kind { true } else { false }
    }

    package var isWord: Bool {
        if case .word = kind { true } else { false }
    }

    package var isQuotedName: Bool {
        if case .quotedName = kind { true } else { false }
    }

    /// The token as an error message names it.
    package var found: String {
        switch kind {
        case .end: "end of query"
        case .string: "a string"
        case .quotedName: "\"\(Token.shortened(text))\""
        case .word:
            ReservedWords.contains(keyword) ? keyword : "`\(Token.shortened(text))`"
        default: "`\(Token.shortened(text))`"
        }
    }

    /// At most 40 characters, so that no message grows with the statement.
    private static func shortened(_ text: String) -> String {
        text.utf8.count > 40 ? String(text.prefix(40)) + "…" : text
    }
}

/// The words that cannot be a column, table or bare alias without quotes. Everything else can:
/// what a word means is decided by what stands around it.
package enum ReservedWords {
    package static func contains(_ keyword: String) -> Bool { words.contains(keyword) }

    private static let words: Set<String> = [
        "ALL", "AND", "ANY", "ARRAY", "AS", "ASC", "BETWEEN", "CASE", "CAST", "COLLATE", "CREATE",
        "CROSS", "DESC", "DISTINCT", "ELSE", "END", "EXCEPT", "EXISTS", "FALSE", "FETCH", "FOR",
        "FROM", "FULL", "GROUP", "HAVING", "ILIKE", "INNER", "INTERSECT", "INTO", "IS", "JOIN",
        "LATERAL", "LEFT", "LIKE", "LIMIT", "NATURAL", "NOT", "NULL", "OFFSET", "ON", "OR",
        "ORDER", "QUALIFY", "RETURNING", "RIGHT", "SELECT", "SOME", "THEN", "TRUE", "UNION",
        "USING", "WHEN", "WHERE", "WINDOW", "WITH",
    ]
}
