// Why a statement was refused or gave up.

/// Why a statement was refused or gave up, in the words and with the position a person needs.
///
/// The code says what the caller can do; the server turns it into an HTTP status. The message
/// names what was expected, a table, a column or a limit, and never quotes stored values.
public struct QueryError: Error, Hashable, Sendable {
    public enum Code: String, Hashable, Sendable, CaseIterable {
        /// The text is not a statement. Mend it at the position given.
        case syntax
        /// The statement is well formed and means nothing (types, misplaced aggregates, values).
        case semantic
        /// There is no such column in the tables in scope.
        case unknownColumn = "unknown_column"
        /// There is no such table in the database.
        case unknownTable = "unknown_table"
        /// There is no such database.
        case unknownDatabase = "unknown_database"
        /// No query of that number is running, or none that the caller may see.
        case unknownQuery = "unknown_query"
        /// There is no such function.
        case unknownFunction = "unknown_function"
        /// An unquoted name fits several names that differ only in case. Quote it.
        case ambiguous
        /// Part of the language, and not built yet.
        case unsupported
        /// Something of that name exists already.
        case exists
        /// A limit on statements or answers is passed; the message names it.
        case limit
        /// The query's memory budget is used up. Ask for less, or raise the budget.
        case budget
        /// The query's time is used up. Ask for less, or raise `timeout`.
        case timeout
        /// The caller asked for the query to stop, or went away.
        case cancelled
        /// Somebody ended the query by KILL. Sent again, it would run again.
        case killed
        /// Too much is going on. Send it again later.
        case overloaded
        /// The store was closed. Open it again.
        case closed
        /// The statement writes, and this way in, or the store, only reads.
        case readOnly = "read_only"
        /// The caller has not the right to this statement, or to this database.
        case forbidden
        /// Stored bytes are damaged and `strict` was asked for, or nothing else could be served.
        case damaged
        /// A fault of ours or of the machine.
        case `internal` = "internal"
    }

    public var code: Code
    public var message: String
    /// From 1.
    public var line: Int?
    /// In Unicode code points, from 1.
    public var column: Int?
    public var hint: String?

    public init(
        _ code: Code, _ message: String, line: Int? = nil, column: Int? = nil, hint: String? = nil
    ) {
        self.code = code
        self.message = message
        self.line = line
        self.column = column
        self.hint = hint
    }

    package init(
        _ code: Code, _ message: String, at position: SourcePosition?, hint: String? = nil
    ) {
        self.init(
            code, message, line: position?.line, column: position?.column, hint: hint)
    }

    /// The same, with the place that it is about.
    func at(_ position: SourcePosition) -> QueryError {
        QueryError(code, message, at: position, hint: hint)
    }
}

extension QueryError: CustomStringConvertible {
    public var description: String {
        var text = "\(code.rawValue): \(message)"
        if let line, let column { text += " (line \(line), column \(column))" }
        if let hint { text += "; \(hint)" }
        return text
    }
}
