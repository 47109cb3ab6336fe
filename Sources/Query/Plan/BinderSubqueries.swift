// Subqueries that stand for values: they are run before the query around them is planned, which then has
// constants in their place and can push them down.

internal import ApusStorage

/// Runs the subqueries of a statement on the statement's snapshot.
struct SubqueryRunner {
    /// - Parameter rowsMax: Rows that are wanted at most.
    var rows: (_ plan: QueryPlan, _ rowsMax: Int) throws(QueryError) -> Frame
    /// The statement's.
    let context: QueryContext
}

extension Binder {
    private func plan(
        _ query: Query, at position: SourcePosition
    ) throws(QueryError) -> (plan: QueryPlan, runner: SubqueryRunner) {
        guard let planner, let runner = planner.subqueries else {
            throw QueryError(.unsupported, "a subquery here is not available yet", at: position)
        }
        var inner = planner
        if let scope { inner.outerScopes.append(scope) }
        return (try inner.subplan(query, at: position), runner)
    }

    /// The error for a name that only a query around this one has; nil if none has it.
    func correlated(_ reference: ColumnReference) -> QueryError? {
        let isOuter = planner?.outerScopes.contains { (try? $0.resolve(reference)) != nil } ?? false
        guard isOuter else { return nil }
        return QueryError(
            .unsupported,
            "a subquery that refers to the query around it (`\(reference.name.text)`) is not "
                + "available yet", at: reference.position,
            hint: "a JOIN with a grouped subquery does the same")
    }

    private func oneColumn(_ plan: QueryPlan, at position: SourcePosition) throws(QueryError) {
        let count = plan.resultColumns.count
        guard count == 1 else {
            throw QueryError(
                .semantic, "a subquery here has one column, this one has \(count)", at: position)
        }
    }

    func bindSubquery(
        _ query: Query, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        let (plan, runner) = try plan(query, at: position)
        try oneColumn(plan, at: position)
        let rows = try runner.rows(plan, 2)
        guard rows.count <= 1 else {
            throw QueryError(
                .semantic, "a subquery that stands for a value gave more than one row",
                at: position, hint: "add LIMIT 1, or an aggregate")
        }
        let value =
            rows.count == 1
            ? rows.columns[0].constant(0) : Constant(nullOf: plan.resultColumns[0].type)
        return BoundExpression(value, at: position)
    }

    func bindExists(
        _ query: Query, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        let (plan, runner) = try plan(query, at: position)
        return BoundExpression(.bool(try runner.rows(plan, 1).count > 0), at: position)
    }

    func bindIn(
        _ operand: BoundExpression, _ query: Query, _ negated: Bool, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        let (plan, runner) = try plan(query, at: position)
        try oneColumn(plan, at: position)
        let rows = try runner.rows(plan, .max)
        guard rows.count > 0 else { return BoundExpression(.bool(negated), at: position) }
        var item = BoundExpression(.column(0), rows.columns[0].type, at: position)
        var value = operand.isUntyped ? try coerce(operand, to: item.type) : operand
        guard let type = commonType(value.type, item.type) else {
            throw mismatch(value, item, "IN", at: position)
        }
        // Integers of both kinds compare by value as they are.
        if !(value.type.isInteger && item.type.isInteger) {
            value = try coerce(value, to: type)
            item = try coerce(item, to: type)
        }
        let items = try item.evaluate(rows)
        var set = ConstantSet(value.type)
        var chargedBytes = 0
        for row in 0..<items.count {
            set.insert(row, of: items)
            guard row % 4_096 == 4_095 || row == items.count - 1 else { continue }
            try runner.context.check()
            try runner.context.charge(set.byteCount - chargedBytes, "the values of IN")
            chargedBytes = set.byteCount
        }
        return BoundExpression(.inSet(value, set, negated: negated), .bool, at: position)
    }
}
