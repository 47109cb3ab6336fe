// What Tab makes of the word before the cursor: keywords, and the names that the source knows.

package enum Completion {
    /// What a word became, or what it could become.
    package enum Result: Equatable, Sendable {
        case nothing
        /// In place of the word.
        case text(String)
        case choices([String])
    }

    /// Words that people type, not all that the language has, and none that it hasn't yet.
    private static let keywords = [
        "ALTER", "AND", "ASC", "AVG", "BETWEEN", "BY", "CASE", "COLUMN", "COMPACT", "COUNT",
        "CREATE",
        "DATABASE", "DATABASES", "DESC", "DESCRIBE", "DISTINCT", "DROP", "ELSE", "END", "EXPLAIN",
        "FIRST", "FLUSH", "FROM", "GROUP", "HAVING", "ILIKE", "INSERT", "INTERVAL", "INTO", "IS",
        "KILL", "LAST", "LATEST", "LIKE", "LIMIT", "MAX", "MEDIAN", "MIN", "NOT", "NULL", "NULLS",
        "OFFSET", "ORDER", "PARTITION", "QUERIES", "QUERY", "RENAME", "SELECT", "SERIES", "SET",
        "SHOW",
        "SUM", "TABLE", "TABLES", "TAG", "THEN", "TIME", "TIME_BUCKET", "VALUES", "WHEN", "WHERE",
        "WITH",
    ]

    /// - Parameter names: as a statement has them; they go before keywords of the same spelling.
    package static func complete(_ word: String, names: [String], hasKeywords: Bool) -> Result {
        let wanted = word.lowercased()
        func fits(_ name: String) -> Bool { name.lowercased().hasPrefix(wanted) }
        var found = names.filter { fits($0) || fits(String($0.drop { $0 == "\"" })) }
        if hasKeywords, !word.isEmpty {
            let isUpper = word == word.uppercased()
            found += keywords.filter(fits).map { isUpper ? $0 : $0.lowercased() }
        }
        var seen: Set<String> = []
        found = found.filter { seen.insert($0).inserted }
        guard let first = found.first else { return .nothing }
        guard found.count > 1 else { return .text(first + " ") }
        var common = first[...]
        for other in found { common = common.prefix(commonCount(common, other)) }
        return common.count > word.count ? .text(String(common)) : .choices(found)
    }

    private static func commonCount(_ a: Substring, _ b: String) -> Int {
        zip(a, b).prefix { $0 == $1 }.count
    }
}

extension Session {
    /// What the word at the end of a text may become. Any key that is typed meanwhile ends the
    /// questions to the source, and so does its failure: what is known then has to do.
    package func complete(
        _ word: String, after text: String, interrupt: Int32
    ) -> Completion.Result {
        func names(_ statement: String) -> [String] {
            let rows = try? rows(of: statement, database: database, interrupt: interrupt)
            return (rows ?? []).compactMap { $0.first ?? nil }
        }
        let command = text.drop { $0.isWhitespace }
        if command.hasPrefix("\\c ") {
            return Completion.complete(word, names: names("SHOW DATABASES"), hasKeywords: false)
        }
        let tables = names("SHOW TABLES")
        var known = tables.map(Self.tableReference)
        if command.hasPrefix("\\") {
            return Completion.complete(word, names: known, hasKeywords: false)
        }
        let words = text.split { !($0.isLetter || $0.isNumber || "_.-".contains($0)) }
        for table in tables where words.contains(table[...]) {
            known += names("DESCRIBE \(SQLText.quoted(identifier: table))")
                .map(Self.tableReference)
        }
        return Completion.complete(word, names: known, hasKeywords: true)
    }
}
