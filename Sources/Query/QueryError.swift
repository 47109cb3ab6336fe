/// What is wrong with a statement, or why it could not be answered.
///
/// Replaced by the language front end's version; the shape stays.
public struct QueryError: Error, Equatable, Sendable {
    public enum Code: String, Sendable {
        case syntax, semantic, unsupported
        case unknownColumn = "unknown_column"
        case unknownTable = "unknown_table"
        case unknownDatabase = "unknown_database"
        case ambiguous
        case budget, timeout, cancelled, overloaded
        case readOnly = "read_only"
        case corrupt, io, `internal`
    }

    public var code: Code
    public var message: String
    /// 1-based position in the statement, where there is one.
    public var line: Int?
    public var column: Int?

    public init(_ code: Code, _ message: String, line: Int? = nil, column: Int? = nil) {
        self.code = code
        self.message = message
        self.line = line
        self.column = column
    }
}
