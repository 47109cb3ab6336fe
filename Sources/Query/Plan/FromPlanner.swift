// FROM as a plan: tables and queries, joined, with what WHERE asks of each pushed into it.

internal import ApusStorage

/// A FROM whose names are known and whose joins are bound.
struct FromPlan {
    var scope: QueryScope
    var steps: [JoinStep] = []
    /// Conditions that each relation's own rows have to satisfy.
    var conditions: [[BoundExpression]]
    /// Whether a row of the relation can be missing from a joined one, so that WHERE can't be asked of it
    /// alone.
    var isOptional: [Bool]

    init(_ relation: any Relation) {
        scope = QueryScope([relation])
        conditions = [[]]
        isOptional = [false]
    }

    /// The relations that an expression reads.
    func relations(of expression: BoundExpression) -> Set<Int> {
        Set(expression.columnsUsed.map { scope.used[$0].relation })
    }
}

extension SelectPlanner {
    func bindFrom(_ item: FromItem) throws(QueryError) -> FromPlan {
        switch item {
        case .table(let reference): return FromPlan(try relation(of: reference))
        case .query(let derived):
            return FromPlan(
                try QueryRelation(
                    plan: try subplan(derived.query, at: derived.position),
                    name: derived.alias?.text ?? "", columnNames: derived.columns))
        case .join(let join):
            var plan = try bindFrom(join.left)
            guard case let right = try bindFrom(join.right), right.steps.isEmpty else {
                throw QueryError(
                    .unsupported, "a join on the right of a join is not available yet",
                    at: join.position)
            }
            let relation = right.scope.relations[0]
            if let same = plan.scope.relations.first(where: { $0.name == relation.name }),
                !same.name.isEmpty
            {
                throw QueryError(
                    .semantic, "`\(relation.name)` is there twice", at: join.position,
                    hint: "give each its alias: FROM \(relation.name) a JOIN \(relation.name) b …")
            }
            plan.scope.add(relation)
            plan.conditions.append([])
            try bindJoin(join, &plan)
            return plan
        }
    }

    /// A table, or the query that WITH calls so.
    private func relation(of reference: TableReference) throws(QueryError) -> any Relation {
        if reference.name.database == nil,
            case .found(let known) = NameResolution.match(
                reference.name.table, in: commonTables.map { ($0.table.name.text, $0) }.reversed())
        {
            var planner = self
            planner.commonTables = known.visible
            return try QueryRelation(
                plan: try planner.subplan(known.table.query, at: reference.position),
                name: reference.alias?.text ?? known.table.name.text,
                columnNames: known.table.columns)
        }
        return TableRelation(
            table: try engine.findTable(reference.name, session: session), alias: reference.alias)
    }

    // MARK: - Joins

    private func bindJoin(_ join: Join, _ plan: inout FromPlan) throws(QueryError) {
        let right = plan.scope.relations.count - 1
        var step: JoinStep
        switch join.kind {
        case .inner, .cross: step = JoinStep(keepsAll: false)
        case .left: step = JoinStep(keepsAll: true)
        case .asof(let keepsAll):
            step = JoinStep(keepsAll: keepsAll)
            step.asOf = try asOfRule(join, plan.scope, isStrict: false)
        case .lessThan(let keepsAll):
            step = JoinStep(keepsAll: keepsAll)
            step.asOf = try asOfRule(join, plan.scope, isStrict: true)
        }
        for name in join.columns {
            let left = try plan.scope.resolve(name, in: 0..<right)
            let own = try plan.scope.resolve(name, in: right..<(right + 1))
            let binder = Binder(session: session, scope: plan.scope)
            let (a, b) = try binder.unify(
                plan.scope.expression(left, at: name.position),
                plan.scope.expression(own, at: name.position), "=", at: name.position)
            try addKeys(a, b, to: &step, at: name.position)
            plan.scope.merge(left, own, isHidden: join.mergesColumns)
        }
        plan.isOptional.append(step.keepsAll || step.asOf != nil)
        if step.asOf != nil { plan.scope.prefersFirstTime = true }
        if let syntax = join.condition {
            let binder = Binder(session: session, scope: plan.scope)
            binder.planner = self
            binder.clause = "ON"
            let bound = try binder.bindCondition(syntax)
            for conjunct in PredicateSplit.conjuncts(bound) {
                try add(conjunct, to: &step, &plan, join)
            }
        }
        plan.steps.append(step)
    }

    private func asOfRule(
        _ join: Join, _ scope: QueryScope, isStrict: Bool
    ) throws(QueryError) -> AsOfRule {
        let right = scope.relations.count - 1
        guard let left = scope.time, let own = scope.time(of: right) else {
            throw QueryError(
                .semantic, "both sides of ASOF JOIN need a column `time` of type timestamp",
                at: join.position)
        }
        var tolerance: Int64?
        if let interval = join.tolerance {
            guard let nanoseconds = interval.fixedNanoseconds, nanoseconds >= 0 else {
                throw QueryError(
                    .semantic, "TOLERANCE takes a fixed duration, not months", at: join.position)
            }
            tolerance = nanoseconds
        }
        return AsOfRule(
            leftTime: scope.expression(left, at: join.position),
            rightTime: scope.expression(own, at: join.position), isStrict: isStrict,
            toleranceNanoseconds: tolerance)
    }

    /// Puts a condition of ON where it is cheapest.
    private func add(
        _ conjunct: BoundExpression, to step: inout JoinStep, _ plan: inout FromPlan, _ join: Join
    ) throws(QueryError) {
        let right = plan.scope.relations.count - 1
        if let (left, own) = equality(conjunct, right, plan) {
            return try addKeys(left, own, to: &step, at: conjunct.position)
        }
        if plan.relations(of: conjunct) == [right] {
            plan.conditions[right].append(conjunct)
            return
        }
        if var rule = step.asOf {
            guard case .compare(let op, let a, let b) = conjunct.kind,
                let isStrict = asOfOperator(op, a, b, rule)
            else {
                throw QueryError(
                    .unsupported, "ASOF JOIN by anything but equal columns is not available yet",
                    at: conjunct.position)
            }
            rule.isStrict = isStrict
            step.asOf = rule
            return
        }
        step.condition = conjoined(step.condition, conjunct)
    }

    /// Sides that have to be equal. int64 and uint64 are so by value, and not by their bits: such a pair is
    /// looked at again.
    private func addKeys(
        _ left: BoundExpression, _ right: BoundExpression, to step: inout JoinStep,
        at position: SourcePosition
    ) throws(QueryError) {
        step.leftKeys.append(left)
        step.rightKeys.append(right)
        guard left.type != right.type else { return }
        guard step.asOf == nil else {
            throw QueryError(
                .unsupported, "ASOF JOIN by int64 and uint64 is not available yet", at: position,
                hint: "cast one of them")
        }
        step.condition = conjoined(
            step.condition,
            BoundExpression(.compare(.equal, left, right), .bool, at: position))
    }

    /// DuckDB writes the inequality of times out: `a.time >= b.time`.
    private func asOfOperator(
        _ op: ComparisonOperator, _ a: BoundExpression, _ b: BoundExpression, _ rule: AsOfRule
    ) -> Bool? {
        let op = a == rule.leftTime && b == rule.rightTime ? op : op.flipped
        guard
            a == rule.leftTime && b == rule.rightTime || a == rule.rightTime && b == rule.leftTime
        else { return nil }
        switch op {
        case .greaterOrEqual: return false
        case .greater: return true
        default: return nil
        }
    }

    /// `left = right`, one side reading only relations before one, the other side only that one.
    private func equality(
        _ conjunct: BoundExpression, _ right: Int, _ plan: FromPlan
    ) -> (left: BoundExpression, right: BoundExpression)? {
        guard case .compare(.equal, let a, let b) = conjunct.kind else { return nil }
        let (ofA, ofB) = (plan.relations(of: a), plan.relations(of: b))
        if ofB == [right], !ofA.isEmpty, ofA.allSatisfy({ $0 < right }) { return (a, b) }
        if ofA == [right], !ofB.isEmpty, ofB.allSatisfy({ $0 < right }) { return (b, a) }
        return nil
    }

    func conjoined(_ first: BoundExpression?, _ second: BoundExpression) -> BoundExpression {
        guard let first else { return second }
        return BoundExpression(.and([first, second]), .bool, at: first.position)
    }

    // MARK: - Sources

    /// Fills in where a plan's rows come from, once all columns in use are known. `range` is what SAMPLE
    /// BY says of time.
    func planSource(
        _ from: FromPlan, _ condition: BoundExpression?, _ range: TimeRange,
        _ plan: inout SelectPlan
    ) throws(QueryError) {
        var from = from
        let scope = from.scope
        var times = range
        for conjunct in condition.map(PredicateSplit.conjuncts) ?? [] {
            let own = PredicateSplit.timeRange(conjunct, isTime: scope.isTime)
            if let own { times = times.intersection(own) }
        }
        if !times.isEmpty { plan.fill?.take(times) }
        var rest: BoundExpression?
        if range != .all { rest = timeCondition(range, scope) }
        if from.steps.isEmpty, let query = scope.relations[0] as? QueryRelation {
            if let condition { rest = conjoined(rest, condition) }
            plan.condition = rest
            plan.source = .query(query.plan, columns: scope.used.map { outputIndex($0) })
            return
        }
        if let known = rest { distribute(known, &from, &rest) }
        rest = nil
        if let condition {
            for conjunct in PredicateSplit.conjuncts(condition) {
                distribute(conjunct, &from, &rest)
            }
        }
        plan.condition = rest
        plan.source = .join(try joinPlan(from))
    }

    private func timeCondition(_ range: TimeRange, _ scope: QueryScope) -> BoundExpression? {
        guard let time = scope.time else { return nil }
        var condition: BoundExpression?
        if range.lower != .min {
            condition = BoundExpression(
                .compare(
                    .greaterOrEqual, scope.expression(time, at: .start),
                    BoundExpression(.timestamp(range.lower), at: .start)), .bool, at: .start)
        }
        if range.upper != .max {
            condition = conjoined(
                condition,
                BoundExpression(
                    .compare(
                        .less, scope.expression(time, at: .start),
                        BoundExpression(.timestamp(range.upper), at: .start)), .bool, at: .start))
        }
        return condition
    }

    private func outputIndex(_ column: ScopeColumn) -> Int {
        guard case .output(let index) = column.column else {
            preconditionFailure("BUG: a query's columns are outputs")
        }
        return index
    }

    /// Gives a condition of WHERE to the relation that it is about, or to the join of two.
    private func distribute(
        _ conjunct: BoundExpression, _ from: inout FromPlan, _ rest: inout BoundExpression?
    ) {
        let relations = from.relations(of: conjunct)
        guard let last = relations.max() else {
            rest = conjoined(rest, conjunct)
            return
        }
        if relations.count == 1, !from.isOptional[last] {
            from.conditions[last].append(conjunct)
        } else if last > 0, !from.isOptional[last], from.steps[last - 1].asOf == nil,
            let (left, own) = equality(conjunct, last, from), left.type == own.type
        {
            from.steps[last - 1].leftKeys.append(left)
            from.steps[last - 1].rightKeys.append(own)
        } else {
            rest = conjoined(rest, conjunct)
        }
    }

    private func joinPlan(_ from: FromPlan) throws(QueryError) -> JoinPlan {
        let scope = from.scope
        var inputs: [QueryPlan] = []
        var slots: [[Int]] = []
        for (index, relation) in scope.relations.enumerated() {
            let own = scope.used.indices.filter { scope.used[$0].relation == index }
            slots.append(own)
            var condition: BoundExpression?
            for conjunct in from.conditions[index] {
                condition = conjoined(condition, renumbered(conjunct, own))
            }
            let columns = own.map { scope.used[$0].column }
            inputs.append(.select(try input(relation, columns, condition)))
        }
        boundAsOf(from, &inputs)
        return JoinPlan(
            inputs: inputs, slots: slots, steps: from.steps,
            types: scope.used.map { scope.type(of: $0) })
    }

    /// The rows of one relation, some of its columns; the condition is over those.
    func input(
        _ relation: any Relation, _ columns: [ScanColumn], _ condition: BoundExpression?
    ) throws(QueryError) -> SelectPlan {
        var plan = SelectPlan()
        plan.outputs = columns.enumerated().map {
            BoundExpression(.column($0), relation.type(of: $1), at: .start)
        }
        plan.outputNames = columns.map { relation.name(of: $0) }
        let scope = QueryScope([relation])
        for column in columns { _ = scope.slot(of: ScopeColumn(relation: 0, column: column)) }
        plan.scope = scope
        if let table = relation as? TableRelation {
            var scan = ScanPlan(table: table.table, columns: columns, schema: table.schema)
            scan.needed = Set(columns.indices)
            if let condition { PredicateSplit.push(condition, into: &scan) }
            scan.finishRequest()
            plan.scan = scan
        } else if let query = relation as? QueryRelation {
            plan.condition = condition
            plan.source = .query(
                query.plan,
                columns: columns.map { outputIndex(ScopeColumn(relation: 0, column: $0)) })
        }
        return plan
    }

    /// The expression over a relation's own columns, which are those of some slots.
    private func renumbered(_ expression: BoundExpression, _ slots: [Int]) -> BoundExpression {
        var result = expression
        // From the front: a slot is never below its place.
        for (place, slot) in slots.enumerated() where place != slot {
            result = result.withColumn(slot, as: place)
        }
        return result
    }

    /// No row of the right that is later than all of the left, or too long before, is looked for.
    private func boundAsOf(_ from: FromPlan, _ inputs: inout [QueryPlan]) {
        guard case .select(let first) = inputs[0], let left = first.scan else { return }
        for (index, step) in from.steps.enumerated() {
            guard let rule = step.asOf, case .column(let leftSlot) = rule.leftTime.kind,
                from.scope.used[leftSlot] == ScopeColumn(relation: 0, column: .time),
                case .column(let rightSlot) = rule.rightTime.kind,
                from.scope.used[rightSlot].column == .time,
                case .select(var plan) = inputs[index + 1], var scan = plan.scan
            else { continue }
            var range = TimeRange.all
            range.upper = left.timeRange.upper
            if let tolerance = rule.toleranceNanoseconds, left.timeRange.lower != .min {
                let (lower, overflow) = left.timeRange.lower.subtractingReportingOverflow(tolerance)
                if !overflow { range.lower = lower }
            }
            scan.timeRange = scan.timeRange.intersection(range)
            scan.request.timeRange = scan.timeRange
            plan.scan = scan
            inputs[index + 1] = .select(plan)
        }
    }
}
