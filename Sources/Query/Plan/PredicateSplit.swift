// Divides WHERE into what the scan can use — a range of times, a set of series, bounds on field
// values, comparisons with constants — and the rest, which is evaluated row by row.

internal import ApusStorage

enum PredicateSplit {
    static func push(_ condition: BoundExpression, into scan: inout ScanPlan) {
        var rest: [BoundExpression] = []
        var series: [SeriesPredicate] = []
        for conjunct in conjuncts(condition) {
            if let constant = conjunct.constant {
                if constant.isNull || constant.slot == 0 {
                    scan.timeRange = TimeRange(lower: 0, upper: 0)
                }
            } else if let range = timeRange(conjunct, isTime: { scan.columns[$0] == .time }) {
                scan.timeRange = scan.timeRange.intersection(range)
            } else if let predicate = SeriesPredicate(conjunct, scan.columns, negated: false) {
                series.append(predicate)
            } else {
                if let bound = fieldBound(conjunct, scan) { scan.bounds.append(bound) }
                if let filter = rowFilter(conjunct, scan) {
                    scan.filters.append(filter)
                } else {
                    rest.append(conjunct)
                }
            }
        }
        if !series.isEmpty { scan.seriesPredicate = series.count == 1 ? series[0] : .and(series) }
        if !rest.isEmpty {
            scan.residual =
                rest.count == 1
                ? rest[0] : BoundExpression(.and(rest), .bool, at: condition.position)
        }
    }

    static func conjuncts(_ condition: BoundExpression) -> [BoundExpression] {
        switch condition.kind {
        case .and(let list): return list.flatMap(conjuncts)
        case .not(let inner):
            // NOT (a OR b) is NOT a AND NOT b, also with NULLs.
            guard case .or(let list) = inner.kind else { return [condition] }
            return list.flatMap {
                conjuncts(BoundExpression(.not($0), .bool, at: condition.position))
            }
        default: return [condition]
        }
    }

    /// `column op constant`, whichever way round.
    private static func comparison(
        _ conjunct: BoundExpression
    ) -> (column: BoundExpression, op: ComparisonOperator, constant: Constant)? {
        guard case .compare(let op, let left, let right) = conjunct.kind else { return nil }
        if let constant = right.constant, !constant.isNull { return (left, op, constant) }
        if let constant = left.constant, !constant.isNull { return (right, op.flipped, constant) }
        return nil
    }

    /// What a comparison of the time with a constant leaves of time.
    static func timeRange(
        _ conjunct: BoundExpression, isTime: (_ slot: Int) -> Bool
    ) -> TimeRange? {
        guard let (column, op, constant) = comparison(conjunct),
            case .column(let slot) = column.kind, isTime(slot), constant.type == .timestamp
        else { return nil }
        let value = constant.int64
        // `upper` excludes; Int64.max as `upper` reaches the end of time.
        let behind = value == .max ? Int64.max : value + 1
        switch op {
        case .equal: return TimeRange(lower: value, upper: behind)
        case .less: return TimeRange(lower: .min, upper: value)
        case .lessOrEqual: return TimeRange(lower: .min, upper: behind)
        case .greater:
            return value == .max
                ? TimeRange(lower: 0, upper: 0) : TimeRange(lower: behind, upper: .max)
        case .greaterOrEqual: return TimeRange(lower: value, upper: .max)
        case .notEqual: return nil
        }
    }

    private static func rowFilter(
        _ conjunct: BoundExpression, _ scan: ScanPlan
    ) -> RowFilter? {
        guard let (column, op, constant) = comparison(conjunct),
            case .column(let slot) = column.kind, case .field = scan.columns[slot]
        else { return nil }
        return RowFilter(slot: slot, type: column.type, op, constant)
    }

    private static func fieldBound(
        _ conjunct: BoundExpression, _ scan: ScanPlan
    ) -> (slot: Int, bound: FieldBound)? {
        guard case (var column, let op, let constant)? = comparison(conjunct),
            constant.type.isNumeric
        else { return nil }
        if case .cast(let inner, _) = column.kind, column.type == .float64, inner.type.isNumeric {
            column = inner
        }
        guard case .column(let slot) = column.kind, case .field = scan.columns[slot] else {
            return nil
        }
        let value: Double =
            switch constant.type {
            case .float64: constant.float64
            case .int64: Double(constant.int64)
            default: Double(constant.slot)
            }
        guard !value.isNaN else { return nil }
        // Outwards by one step: integers above 2^53 round when they become doubles.
        let below = value.nextDown
        let above = value.nextUp
        var bound = FieldBound(
            field: 0, lower: -.infinity, upper: .infinity, acceptsNaN: false)
        switch op {
        case .equal: (bound.lower, bound.upper) = (below, above)
        case .less, .lessOrEqual: bound.upper = above
        case .greater, .greaterOrEqual:
            bound.lower = below
            bound.acceptsNaN = true
        case .notEqual: return nil
        }
        return (slot, bound)
    }
}
