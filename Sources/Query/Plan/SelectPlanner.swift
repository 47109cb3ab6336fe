// Binds a query and arranges it as a plan.

internal import ApusStorage

/// What WITH calls a query, and what that query can itself refer to.
struct KnownQuery {
    var table: CommonTable
    var visible: [KnownQuery]
}

/// Plans made for one statement: queries of WITH are planned at each place that names them.
final class PlanCounter {
    private static let plansMax = 1_000
    private var count = 0

    func add(at position: SourcePosition) throws(QueryError) {
        count += 1
        guard count <= Self.plansMax else {
            throw QueryError(
                .limit, "the statement comes to more than \(Self.plansMax) queries", at: position)
        }
    }
}

struct SelectPlanner {
    let engine: QueryEngine
    let session: Session
    var commonTables: [KnownQuery] = []
    /// Runs the subqueries whose values the plan needs; nil where there are none.
    var subqueries: SubqueryRunner?
    private let counter = PlanCounter()
    /// What the queries around a value's subquery have in FROM.
    var outerScopes: [QueryScope] = []
    /// Queries around the one that is being planned.
    private var depth = 0
    private static let depthMax = 32
    private static let commonTablesMax = 100

    init(engine: QueryEngine, session: Session, subqueries: SubqueryRunner? = nil) {
        self.engine = engine
        self.session = session
        self.subqueries = subqueries
    }

    func plan(_ query: Query) throws(QueryError) -> QueryPlan {
        var inner = self
        if inner.commonTables.count + query.commonTables.count > Self.commonTablesMax {
            throw QueryError(
                .limit, "a statement names at most \(Self.commonTablesMax) queries by WITH",
                at: query.commonTables.first?.name.position)
        }
        for table in query.commonTables {
            inner.commonTables.append(KnownQuery(table: table, visible: inner.commonTables))
        }
        switch query.body {
        case .select(let select): return .select(try inner.plan(select))
        case .set(let operation): return .set(try inner.plan(operation))
        }
    }

    func subplan(_ query: Query, at position: SourcePosition) throws(QueryError) -> QueryPlan {
        try counter.add(at: position)
        guard depth < Self.depthMax else {
            throw QueryError(
                .limit, "queries are nested more than \(Self.depthMax) levels deep", at: position,
                hint: "those of WITH count where they are named")
        }
        var inner = self
        inner.depth += 1
        return try inner.plan(query)
    }

    // MARK: - SELECT

    /// What a SELECT's clauses come to, on their way to a plan.
    struct Draft {
        var outputs: [BoundExpression] = []
        var names: [String] = []
        var sortKeys: [SortKey] = []
        var having: BoundExpression?
        var qualify: BoundExpression?
        var distinctOn: [BoundExpression] = []
        var keys: [BoundExpression] = []
        var groups = false
        /// Aggregates of the select list, which come first.
        var selectedAggregateCount = 0

        /// Replaces the expressions of all clauses behind grouping.
        mutating func replaceAll(
            _ body: (BoundExpression) throws(QueryError) -> BoundExpression
        ) throws(QueryError) {
            outputs = try outputs.map { bound throws(QueryError) in try body(bound) }
            having = try having.map { bound throws(QueryError) in try body(bound) }
            qualify = try qualify.map { bound throws(QueryError) in try body(bound) }
            distinctOn = try distinctOn.map { bound throws(QueryError) in try body(bound) }
            for index in sortKeys.indices {
                sortKeys[index].expression = try body(sortKeys[index].expression)
            }
        }
    }

    func plan(_ select: SelectStatement) throws(QueryError) -> SelectPlan {
        let from = try select.from.map { item throws(QueryError) in try bindFrom(item) }
        let binder = Binder(session: session, scope: from?.scope)
        binder.planner = self
        binder.namedWindows = select.windows
        binder.clause = "WHERE"
        let condition = try select.condition.map { syntax throws(QueryError) in
            try binder.bindCondition(syntax)
        }
        let sample = try select.sampleBy.map { syntax throws(QueryError) in
            try bindSample(syntax, from?.scope, binder)
        }
        var draft = try bindClauses(select, sample, binder)
        var plan = SelectPlan()
        plan.scope = from?.scope
        let isDistinctAlone =
            select.isDistinct && binder.windows.isEmpty && draft.qualify == nil
        if draft.groups || isDistinctAlone {
            try planGrouping(select, &draft, binder, &plan)
            plan.fill = try fillPlan(sample, draft, binder)
            if plan.fill == nil { try showIntervals(&draft, binder, &plan) }
        } else {
            plan.isDistinct = select.isDistinct
        }
        if plan.isDistinct { try checkOrderOfDistinct(draft) }
        try planWindows(&draft, binder, &plan)
        plan.outputs = draft.outputs
        plan.outputNames = draft.names
        plan.having = draft.having
        plan.qualify = draft.qualify
        plan.sortKeys = draft.sortKeys
        plan.distinctOn = draft.distinctOn
        plan.limit = try session.rowLimit(select.limit, "LIMIT")
        plan.offset = try session.rowLimit(select.offset, "OFFSET") ?? 0
        try planRows(select, from, condition, sample?.range ?? .all, binder, &plan)
        return plan
    }

    private func bindClauses(
        _ select: SelectStatement, _ sample: BoundSample?, _ binder: Binder
    ) throws(QueryError) -> Draft {
        var draft = Draft()
        let (items, aliases) = try expandItems(select, binder)
        binder.aliases = aliases
        binder.allowsAggregates = true
        binder.allowsWindows = true
        binder.clause = "the select list"
        draft.outputs = try items.map { item throws(QueryError) in try bindItem(item, binder) }
        draft.names = items.map(\.name)
        draft.selectedAggregateCount = binder.aggregates.count
        if let sample, !draft.outputs.contains(sample.bucket) {
            draft.outputs.insert(sample.bucket, at: 0)
            draft.names.insert("time", at: 0)
        }
        draft.sortKeys = try bindOrder(select, Array(zip(draft.names, draft.outputs)), binder)
        draft.distinctOn = try bindDistinctOn(select, draft, binder)
        binder.usesAliases = true
        if let syntax = select.qualify {
            binder.clause = "QUALIFY"
            draft.qualify = try binder.bindCondition(syntax)
        }
        binder.allowsWindows = false
        if let syntax = select.having {
            binder.clause = "HAVING"
            draft.having = try binder.bindCondition(syntax)
        }
        binder.usesAliases = false
        if let sample {
            draft.keys = sample.keys(of: draft.outputs)
        } else {
            draft.keys = try bindGroupBy(select, draft.outputs, binder)
        }
        if sample != nil, select.orderBy.isEmpty, select.ordersByAll == nil {
            draft.sortKeys = draft.keys.map {
                SortKey(expression: $0, isDescending: false, nullsFirst: false)
            }
        }
        draft.groups =
            !draft.keys.isEmpty || !binder.aggregates.isEmpty || draft.having != nil
            || select.groupsByAll
        return draft
    }

    private func planGrouping(
        _ select: SelectStatement, _ draft: inout Draft, _ binder: Binder,
        _ plan: inout SelectPlan
    ) throws(QueryError) {
        if draft.groups {
            let keys = draft.keys
            func after(_ bound: BoundExpression) throws(QueryError) -> BoundExpression {
                try binder.afterGrouping(bound, keys: keys)
            }
            try draft.replaceAll(after)
            try binder.mapWindows { bound throws(QueryError) in try after(bound) }
            plan.isDistinct = select.isDistinct
        } else {
            // DISTINCT over plain rows is a grouping by everything.
            draft.keys = draft.outputs
            draft.sortKeys = try sortKeysOfDistinct(draft.sortKeys, draft.outputs)
            draft.outputs = draft.outputs.enumerated().map {
                BoundExpression(.column($0), $1.type, at: $1.position)
            }
        }
        let needsTime = binder.aggregates.contains { $0.function.needsTime }
        plan.grouping = GroupingPlan(
            keys: draft.keys, aggregates: binder.aggregates,
            timeSlot: needsTime ? binder.scope.flatMap { scope in scope.time.map(scope.slot) } : nil
        )
    }

    /// Equal intervals may be written in several ways. Their key is none of them; one of the group's own is
    /// shown.
    private func showIntervals(
        _ draft: inout Draft, _ binder: Binder, _ plan: inout SelectPlan
    ) throws(QueryError) {
        for (index, key) in draft.keys.enumerated() where key.type == .interval {
            let call = AggregateCall(function: .anyValue, argument: key, type: .interval)
            let column = draft.keys.count + binder.addAggregate(call)
            func shown(_ bound: BoundExpression) -> BoundExpression {
                bound.withColumn(index, as: column)
            }
            try draft.replaceAll(shown)
            try binder.mapWindows(shown)
        }
        plan.grouping?.aggregates = binder.aggregates
    }

    // MARK: - Rows

    private func planRows(
        _ select: SelectStatement, _ from: FromPlan?, _ condition: BoundExpression?,
        _ range: TimeRange, _ binder: Binder, _ plan: inout SelectPlan
    ) throws(QueryError) {
        guard let from else {
            if let latest = select.latestOn {
                throw QueryError(.semantic, "LATEST ON needs a table", at: latest.position)
            }
            plan.condition = condition
            return
        }
        let scope = from.scope
        var latestKeys: [BoundExpression]?
        if let latest = select.latestOn { latestKeys = try bindLatest(latest, scope, binder) }
        var needed = plan.slotsNeeded
        if let latestKeys {
            let time = scope.slot(of: try scope.needTime("LATEST ON", at: select.position))
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
        if plan.readsAllRows, plan.latest != nil {
            throw QueryError(
                .unsupported,
                "LATEST ON beside window functions or DISTINCT ON is not available yet",
                at: select.position, hint: "put it into a subquery")
        }
        guard let table = scope.table else {
            if let call = plan.grouping?.aggregates.first(where: { $0.isExtrapolated }) {
                throw QueryError(
                    .unsupported, "'prometheus' over anything but a table is not available yet",
                    at: call.argument?.position)
            }
            try planSource(from, condition, range, &plan)
            return
        }
        if plan.readsAllRows {
            // Window functions and DISTINCT ON look at all rows together.
            let rows = try input(table, scope.used.map(\.column), condition)
            plan.source = .query(.select(rows), columns: Array(scope.used.indices))
            return
        }
        var scan = ScanPlan(
            table: table.table, columns: scope.used.map(\.column), schema: table.schema)
        scan.needed = needed
        scan.timeRange = range
        if let condition { PredicateSplit.push(condition, into: &scan) }
        try plan.grouping?.findWindow(scan)
        scan.finishRequest()
        scan.request.latestOnly =
            !scan.picksRows && scan.bounds.isEmpty && keysAreTags(latestKeys, scope)
        if !scan.timeRange.isEmpty { plan.fill?.take(scan.timeRange) }
        plan.scan = scan
    }

    /// Whether all rows of a series have one key, so that its last row is all there is to see.
    private func keysAreTags(_ keys: [BoundExpression]?, _ scope: QueryScope) -> Bool {
        keys?.allSatisfy { key in
            guard case .column(let slot) = key.kind, case .tag = scope.used[slot].column else {
                return false
            }
            return true
        } ?? false
    }

    private func bindLatest(
        _ latest: LatestOn, _ scope: QueryScope, _ binder: Binder
    ) throws(QueryError) -> [BoundExpression] {
        let time = try scope.needTime("LATEST ON", at: latest.position)
        guard try scope.resolve(latest.time) == time else {
            throw QueryError(
                .semantic, "LATEST ON takes the column `time`", at: latest.time.position)
        }
        binder.bucketForTime = nil
        var keys: [BoundExpression] = []
        for column in latest.partitionColumns {
            keys.append(try binder.bind(Expression(.column(column), at: column.position)))
        }
        return keys
    }
}

extension SelectPlan {
    /// The frame columns that something behind the rows reads.
    fileprivate var slotsNeeded: Set<Int> {
        var needed: Set<Int> = []
        if let grouping {
            for key in grouping.keys { key.collectColumns(into: &needed) }
            for aggregate in grouping.aggregates {
                aggregate.collectColumns(into: &needed)
            }
            if let slot = grouping.timeSlot { needed.insert(slot) }
        } else {
            for output in outputs { output.collectColumns(into: &needed) }
            for key in sortKeys { key.expression.collectColumns(into: &needed) }
        }
        return needed
    }

    /// Whether rows that are not grouped have to be there all together.
    fileprivate var readsAllRows: Bool {
        grouping == nil && (!windows.isEmpty || qualify != nil || !distinctOn.isEmpty)
    }
}
