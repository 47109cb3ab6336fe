// The numbers of LIMIT, OFFSET and KILL.

internal import ApusStorage

extension Session {
    /// The number behind LIMIT, OFFSET or KILL; nil if there is none, or NULL. One beyond what can be
    /// counted is as good as the greatest.
    func rowLimit(_ syntax: Expression?, _ clause: String) throws(QueryError) -> Int? {
        guard let syntax else { return nil }
        let binder = Binder(session: self, scope: nil)
        let bound = try binder.bind(syntax)
        let value = bound.isUntyped ? try binder.coerce(bound, to: .int64) : bound
        guard let constant = value.constant, value.type.isInteger else {
            throw QueryError(.semantic, "\(clause) takes a whole number", at: syntax.position)
        }
        if constant.isNull { return nil }
        if value.type == .uint64 { return Int(clamping: constant.slot) }
        guard constant.int64 >= 0 else {
            throw QueryError(.semantic, "\(clause) must not be negative", at: syntax.position)
        }
        return Int(constant.int64)
    }
}
