// UNION, INTERSECT and EXCEPT: two queries brought to the same types.

internal import ApusStorage

extension SelectPlanner {
    func plan(_ operation: SetOperation) throws(QueryError) -> SetPlan {
        var left = try subplan(operation.left, at: operation.position)
        var right = try subplan(operation.right, at: operation.position)
        let (a, b) = (left.resultColumns, right.resultColumns)
        guard a.count == b.count else {
            throw QueryError(
                .semantic,
                "\(operation.kind.rawValue) joins queries with \(a.count) and \(b.count) columns",
                at: operation.position)
        }
        let binder = Binder(session: session, scope: nil)
        var columns: [ResultColumn] = []
        for index in a.indices {
            var type = a[index].type
            if left.isNull(index) {
                type = b[index].type
            } else if right.isNull(index) || right.literal(index) != nil {
                // A literal takes the type of the other side.
            } else if left.literal(index) != nil {
                type = b[index].type
            } else if type != b[index].type {
                guard let common = binder.commonType(type, b[index].type) else {
                    throw QueryError(
                        .semantic,
                        "column \(index + 1) of \(operation.kind.rawValue) is \(type.rawValue) and "
                            + "\(b[index].type.rawValue)", at: operation.position,
                        hint: "cast one of them")
                }
                type = common
            }
            columns.append(ResultColumn(name: a[index].name, type: type))
        }
        left = try converted(left, to: columns, binder)
        right = try converted(right, to: columns, binder)
        var plan = SetPlan(
            kind: operation.kind, isAll: operation.isAll, left: left, right: right,
            columns: columns)
        plan.sortKeys = try sortKeys(operation, plan)
        plan.limit = try session.rowLimit(operation.limit, "LIMIT")
        plan.offset = try session.rowLimit(operation.offset, "OFFSET") ?? 0
        return plan
    }

    private func converted(
        _ plan: QueryPlan, to columns: [ResultColumn], _ binder: Binder
    ) throws(QueryError) -> QueryPlan {
        let own = plan.resultColumns
        guard zip(own, columns).contains(where: { $0.type != $1.type }) else { return plan }
        var outer = SelectPlan()
        outer.source = .query(plan, columns: Array(own.indices))
        outer.outputNames = columns.map(\.name)
        outer.outputs = try columns.indices.map { index throws(QueryError) in
            let column = BoundExpression(.column(index), own[index].type, at: .start)
            if own[index].type == columns[index].type { return column }
            if plan.isNull(index) {
                return BoundExpression(Constant(nullOf: columns[index].type), at: .start)
            }
            if let literal = plan.literal(index) {
                return try binder.coerce(literal, to: columns[index].type)
            }
            return BoundExpression(
                .cast(column, zone: session.zone), columns[index].type, at: .start)
        }
        return .select(outer)
    }

    /// Over the names or numbers of the columns.
    private func sortKeys(
        _ operation: SetOperation, _ plan: SetPlan
    ) throws(QueryError) -> [SortKey] {
        guard !operation.orderBy.isEmpty || operation.ordersByAll != nil else { return [] }
        let relation = try QueryRelation(plan: .set(plan), name: "", columnNames: [])
        let scope = QueryScope([relation])
        let outputs = plan.columns.indices.map { index in
            scope.expression(ScopeColumn(relation: 0, column: .output(index)), at: .start)
        }
        let binder = Binder(session: session, scope: scope)
        binder.clause = "ORDER BY"
        var keys = operation.ordersByAll.map { all in outputs.map { SortKey($0, all) } } ?? []
        for item in operation.orderBy {
            let key: BoundExpression
            if let output = try ordinal(item.expression, outputs, "ORDER BY") {
                key = output
            } else {
                key = try binder.bind(item.expression)
            }
            keys.append(SortKey(key, item))
        }
        return keys
    }
}

extension QueryPlan {
    /// A quoted literal that has not met its type yet, if that is what a column is.
    fileprivate func literal(_ column: Int) -> BoundExpression? {
        guard case .select(let plan) = self, !plan.isDistinct, plan.outputs[column].isUntyped else {
            return nil
        }
        return plan.outputs[column]
    }

    /// Whether a column is nothing but a NULL without a type.
    fileprivate func isNull(_ column: Int) -> Bool {
        switch self {
        case .select(let plan):
            plan.outputs[column].isUntyped && plan.outputs[column].constant?.isNull ?? false
        case .set(let plan): plan.left.isNull(column) && plan.right.isNull(column)
        }
    }
}
