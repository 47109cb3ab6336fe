// Binds a SELECT and arranges it as a plan.

internal import ApusStorage

struct SelectPlanner {
    let engine: QueryEngine
    let session: Session

    func plan(_ select: SelectStatement) throws(QueryError) -> SelectPlan {
        var scope: TableScope?
        if let from = select.from {
            scope = TableScope(
                table: try engine.findTable(from.name, session: session),
                alias: from.alias)
        }
        let binder = Binder(session: session, scope: scope)
        var plan = SelectPlan()
        plan.scope = scope

        binder.clause = "WHERE"
        let condition = try select.condition.map { syntax throws(QueryError) in
            try binder.bindCondition(syntax)
        }
        let (items, aliases) = try expandItems(select, scope)
        binder.aliases = aliases

        binder.allowsAggregates = true
        binder.clause = "the select list"
        var outputs = try items.map { item throws(QueryError) in try bindItem(item, binder) }
        plan.outputNames = items.map(\.name)
        var sortKeys = try bindOrder(select, Array(zip(plan.outputNames, outputs)), binder)
        var having: BoundExpression?
        if let syntax = select.having {
            binder.usesAliases = true
            binder.clause = "HAVING"
            having = try binder.bindCondition(syntax)
            binder.usesAliases = false
        }
        var keys = try bindGroupBy(select, outputs, binder)
        let groups = !keys.isEmpty || !binder.aggregates.isEmpty || having != nil

        if groups {
            outputs = try outputs.map { bound throws(QueryError) in
                try binder.afterGrouping(bound, keys: keys)
            }
            having = try having.map { bound throws(QueryError) in
                try binder.afterGrouping(bound, keys: keys)
            }
            for index in sortKeys.indices {
                sortKeys[index].expression = try binder.afterGrouping(
                    sortKeys[index].expression, keys: keys)
            }
            plan.isDistinct = select.isDistinct
        } else if select.isDistinct {
            // DISTINCT over plain rows is a grouping by everything.
            keys = outputs
            sortKeys = try sortKeysOfDistinct(sortKeys, outputs)
            outputs = outputs.enumerated().map {
                BoundExpression(.column($0), $1.type, at: $1.position)
            }
        }
        if groups || select.isDistinct {
            let needsTime = binder.aggregates.contains { $0.function.needsTime }
            plan.grouping = GroupingPlan(
                keys: keys, aggregates: binder.aggregates,
                timeSlot: needsTime ? scope?.slot(of: .time) : nil)
        }
        plan.outputs = outputs
        plan.having = having
        plan.sortKeys = sortKeys
        plan.limit = try session.rowLimit(select.limit, "LIMIT")
        plan.offset = try session.rowLimit(select.offset, "OFFSET") ?? 0
        try planScan(select, condition, scope, binder, &plan)
        return plan
    }

    // MARK: - The scan

    private func planScan(
        _ select: SelectStatement, _ condition: BoundExpression?, _ scope: TableScope?,
        _ binder: Binder, _ plan: inout SelectPlan
    ) throws(QueryError) {
        guard let scope else {
            if let latest = select.latestOn {
                throw QueryError(.semantic, "LATEST ON needs a table", at: latest.position)
            }
            plan.conditionWithoutTable = condition
            return
        }
        var latestKeys: [BoundExpression]?
        if let latest = select.latestOn { latestKeys = try bindLatest(latest, scope, binder) }
        var scan = ScanPlan(table: scope.table, columns: [], schema: scope.schema)
        var needed: Set<Int> = []
        if let grouping = plan.grouping {
            for key in grouping.keys { key.collectColumns(into: &needed) }
            for aggregate in grouping.aggregates {
                aggregate.collectColumns(into: &needed)
            }
            if let slot = grouping.timeSlot { needed.insert(slot) }
        } else {
            for output in plan.outputs { output.collectColumns(into: &needed) }
            for key in plan.sortKeys { key.expression.collectColumns(into: &needed) }
        }
        if let latestKeys {
            let time = scope.slot(of: .time)
            plan.latest = GroupingPlan(
                keys: latestKeys,
                aggregates: scope.used.indices.map {
                    let type = scope.type(of: scope.used[$0])
                    // Columns that nothing reads afterwards are not carried along.
                    let argument =
                        needed.contains($0)
                        ? BoundExpression(.column($0), type, at: select.position)
                        : BoundExpression(Constant(nullOf: type), at: select.position)
                    return AggregateCall(function: .latest, argument: argument, type: type)
                }, timeSlot: time)
            for key in latestKeys { key.collectColumns(into: &needed) }
            needed.insert(time)
        }
        scan.columns = scope.used
        scan.needed = needed
        if let condition { PredicateSplit.push(condition, into: &scan) }
        try plan.grouping?.findWindow(scan)
        scan.finishRequest()
        scan.request.latestOnly =
            !scan.picksRows && scan.bounds.isEmpty && keysAreTags(latestKeys, scope)
        plan.scan = scan
    }

    /// Whether all rows of a series have one key, so that its last row is all there is to see.
    private func keysAreTags(_ keys: [BoundExpression]?, _ scope: TableScope) -> Bool {
        keys?.allSatisfy { key in
            guard case .column(let slot) = key.kind, case .tag = scope.used[slot] else {
                return false
            }
            return true
        } ?? false
    }

    private func bindLatest(
        _ latest: LatestOn, _ scope: TableScope, _ binder: Binder
    ) throws(QueryError) -> [BoundExpression] {
        guard try scope.resolve(latest.time) == .time else {
            throw QueryError(
                .semantic, "LATEST ON takes the column `time`", at: latest.time.position)
        }
        var keys: [BoundExpression] = []
        for column in latest.partitionColumns {
            keys.append(try binder.bind(Expression(.column(column), at: column.position)))
        }
        return keys
    }

    // MARK: - Clauses

    private struct Item {
        var name: String
        var expression: Expression?
        var column: ScanColumn?
        var position: SourcePosition
    }

    private func expandItems(
        _ select: SelectStatement, _ scope: TableScope?
    ) throws(QueryError) -> ([Item], [(name: String, value: Expression)]) {
        var items: [Item] = []
        var aliases: [(name: String, value: Expression)] = []
        for item in select.items {
            switch item.kind {
            case .star(let qualifier):
                guard let scope else {
                    throw QueryError(.semantic, "* needs a table in FROM", at: item.position)
                }
                if let qualifier, !scope.fits(qualifier, scope.name) {
                    throw QueryError(
                        .unknownTable, "`\(qualifier.text)` is not a table of this query",
                        at: qualifier.position)
                }
                items += scope.starColumns().map {
                    Item(name: scope.name(of: $0), column: $0, position: item.position)
                }
            case .expression(let expression, let alias):
                var name = alias?.text ?? expression.outputName
                if alias == nil, let scope, case .column(let reference) = expression.kind,
                    let column = try scope.resolve(reference)
                {
                    name = scope.name(of: column)
                }
                if let alias { aliases.append((alias.text, expression)) }
                items.append(Item(name: name, expression: expression, position: item.position))
            }
        }
        return (items, aliases)
    }

    private func bindItem(_ item: Item, _ binder: Binder) throws(QueryError) -> BoundExpression {
        if let column = item.column, let scope = binder.scope {
            return BoundExpression(
                .column(scope.slot(of: column)), scope.type(of: column), at: item.position)
        }
        guard let expression = item.expression else {
            preconditionFailure("BUG: an item is a column or an expression")
        }
        var bound = try binder.bind(expression)
        if bound.isUntyped { bound = try binder.coerce(bound, to: .string) }
        return bound
    }

    /// An integer literal is the number of an output.
    private func ordinal(
        _ expression: Expression, _ outputs: [BoundExpression], _ clause: String
    ) throws(QueryError) -> BoundExpression? {
        guard case .literal(.integer(let number)) = expression.kind else { return nil }
        guard number >= 1, number <= outputs.count else {
            throw QueryError(
                .semantic, "\(clause) \(number): the select list has \(outputs.count) columns",
                at: expression.position)
        }
        return outputs[Int(number) - 1]
    }

    private func bindGroupBy(
        _ select: SelectStatement, _ outputs: [BoundExpression], _ binder: Binder
    ) throws(QueryError) -> [BoundExpression] {
        binder.allowsAggregates = false
        binder.usesAliases = true
        binder.clause = "GROUP BY"
        defer { binder.usesAliases = false }
        var keys: [BoundExpression] = []
        for syntax in select.groupBy {
            var key: BoundExpression
            if let output = try ordinal(syntax, outputs, "GROUP BY") {
                key = output
            } else {
                key = try binder.bind(syntax)
            }
            guard !key.containsAggregate else {
                throw QueryError(
                    .semantic, "GROUP BY cannot hold an aggregate", at: syntax.position)
            }
            key.position = syntax.position
            if !keys.contains(key) { keys.append(key) }
        }
        return keys
    }

    private func bindOrder(
        _ select: SelectStatement, _ outputs: [(name: String, value: BoundExpression)],
        _ binder: Binder
    ) throws(QueryError) -> [SortKey] {
        binder.usesAliases = true
        binder.clause = "ORDER BY"
        defer { binder.usesAliases = false }
        var keys: [SortKey] = []
        for item in select.orderBy {
            var bound: BoundExpression
            if let output = try ordinal(item.expression, outputs.map(\.value), "ORDER BY") {
                bound = output
            } else if let output = try unaliasedOutput(item.expression, outputs, binder) {
                bound = output
            } else {
                bound = try binder.bind(item.expression)
            }
            if bound.isUntyped { bound = try binder.coerce(bound, to: .string) }
            keys.append(
                SortKey(
                    expression: bound, isDescending: item.isDescending,
                    nullsFirst: item.nullsFirst ?? item.isDescending))
        }
        return keys
    }

    /// The output of that name, where the name stands alone: `SELECT max(v) … ORDER BY max`, as
    /// PostgreSQL has it. An alias comes first.
    private func unaliasedOutput(
        _ expression: Expression, _ outputs: [(name: String, value: BoundExpression)],
        _ binder: Binder
    ) throws(QueryError) -> BoundExpression? {
        guard case .column(let reference) = expression.kind, reference.qualifiers.isEmpty,
            reference.kind == nil,
            case .missing = NameResolution.match(reference.name, in: binder.aliases)
        else { return nil }
        let fitting = NameResolution.all(reference.name, in: outputs)
        guard let output = fitting.first else { return nil }
        // Several columns of one name are one if they are computed alike.
        guard fitting.allSatisfy({ $0 == output }) else {
            throw QueryError(
                .ambiguous, "ORDER BY `\(reference.name.text)` fits several columns of the answer",
                at: reference.position, hint: "give the one you mean an alias")
        }
        return output
    }

    private func sortKeysOfDistinct(
        _ keys: [SortKey], _ outputs: [BoundExpression]
    ) throws(QueryError) -> [SortKey] {
        try keys.map { key throws(QueryError) in
            guard let index = outputs.firstIndex(of: key.expression) else {
                throw QueryError(
                    .semantic, "with DISTINCT, ORDER BY takes what the select list has",
                    at: key.expression.position)
            }
            var key = key
            key.expression = BoundExpression(
                .column(index), key.expression.type, at: key.expression.position)
            return key
        }
    }
}
