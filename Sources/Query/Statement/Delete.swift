// DELETE: rows of a table by tags and time.

internal import ApusStorage

extension StatementExecution {
    /// So often the series are looked at again if some have come meanwhile. After that those that come while
    /// the statement runs may stay.
    private static let looksMax = 8

    func delete(_ delete: DeleteStatement) throws(QueryError) {
        let table = try engine.findTable(delete.table, session: session)
        let scan = try deletedRows(table, delete.condition)
        for look in 1...Self.looksMax {
            let series = try scan.seriesPredicate?.select(table, engine.predicates, context)
            let isDone = try translating { () throws(StorageError) in
                try engine.storage.delete(
                    from: table, series: series, in: scan.timeRange,
                    seesAllSeries: look < Self.looksMax)
            }
            if isDone { return }
        }
    }

    /// A condition as series and a range of times, if it is nothing else.
    private func deletedRows(
        _ table: TableEntry, _ condition: Expression?
    ) throws(QueryError) -> ScanPlan {
        let relation = TableRelation(table: table, alias: nil)
        guard let condition else {
            return ScanPlan(table: table, columns: [], schema: relation.schema)
        }
        let scope = QueryScope([relation])
        let binder = Binder(session: session, scope: scope)
        binder.clause = "WHERE"
        let bound = try binder.bindCondition(condition)
        var scan = ScanPlan(
            table: table, columns: scope.used.map(\.column), schema: relation.schema)
        let empty = scan
        PredicateSplit.push(bound, into: &scan)
        guard scan.picksRows else { return scan }
        let culprit = Self.culprit(in: bound, empty)
        let readsField = culprit.columnsUsed.contains { slot in
            if case .field = scan.columns[slot] { true } else { false }
        }
        throw QueryError(
            .unsupported,
            readsField
                ? "DELETE takes no condition on fields"
                : "DELETE takes conditions on one tag each, and one range of times for all of them",
            at: culprit.position,
            hint: "write (conditions on tags, with AND, OR, NOT) AND time >= … AND time < …")
    }

    /// The first part of a condition that is neither about tags nor a bound of time.
    private static func culprit(in condition: BoundExpression, _ empty: ScanPlan) -> BoundExpression
    {
        guard case .and(let parts) = condition.kind else { return condition }
        let part = parts.first { part in
            var scan = empty
            PredicateSplit.push(part, into: &scan)
            return scan.picksRows
        }
        return part.map { culprit(in: $0, empty) } ?? condition
    }
}
