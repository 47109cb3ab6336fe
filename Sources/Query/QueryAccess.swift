// What a caller may do with statements. Rights are asked of a statement once it is parsed; databases
// where a name is looked up, so that there is no way around them.

internal import ApusStorage

/// The rights of a caller, and the databases they hold for.
package struct QueryAccess: Sendable {
    package var canRead = true
    package var canWrite = true
    package var isAdmin = true
    /// Nil means every database.
    package var databases: [String]?
    /// Who asks: equal for whatever comes with one token. Nil where nobody needs one.
    package var holder: Int?

    package static let everything = QueryAccess()

    package init() {}

    /// By bytes, as the catalog tells names apart.
    package func covers(_ database: String) -> Bool {
        databases?.contains { $0.hasSameBytes(as: database) } ?? true
    }

    /// - Throws: `forbidden` unless the statement's kind is allowed.
    func check(_ statement: Statement) throws(QueryError) {
        let isAllowed: Bool
        let deed: String
        switch statement.kind {
        // Whose queries KILL may end is a matter of `oversees`.
        case .query, .show, .describe, .setTimeZone, .explain, .kill:
            (isAllowed, deed) = (canRead, "read")
        case .insert: (isAllowed, deed) = (canWrite, "write")
        default: (isAllowed, deed) = (isAdmin, "administer")
        }
        guard isAllowed else {
            throw QueryError(.forbidden, "the token may not \(deed)", at: statement.position)
        }
        switch statement.kind {
        case .flush, .compact(nil):
            guard databases == nil else {
                throw QueryError(
                    .forbidden, "this concerns every database, and the token holds for some",
                    at: statement.position)
            }
        default: break
        }
    }

    /// Whether the statements of another caller may be seen and ended: one's own, and for an
    /// administrator those of callers who reach no database beyond the administrator's.
    func oversees(_ other: QueryAccess) -> Bool {
        if holder == other.holder { return true }
        guard isAdmin else { return false }
        return databases == nil || (other.databases?.allSatisfy(covers) ?? false)
    }

    /// - Throws: `forbidden` unless the database is among the caller's.
    func check(database: String, at position: SourcePosition?) throws(QueryError) {
        guard covers(database) else { throw forbidden(database, at: position) }
    }

    /// The same words whether the database exists or not.
    func forbidden(_ database: String, at position: SourcePosition?) -> QueryError {
        QueryError(
            .forbidden, "the token does not hold for database \"\(database)\"", at: position)
    }
}
