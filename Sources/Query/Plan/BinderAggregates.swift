// Aggregate calls, and what is left of an expression once its rows are grouped.

internal import ApusStorage

extension Binder {
    func bindAggregate(
        _ function: AggregateCall.Function, _ call: FunctionCall, _ name: String,
        at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        guard !insideAggregate else {
            throw QueryError(.semantic, "an aggregate inside an aggregate", at: position)
        }
        guard allowsAggregates else {
            throw QueryError(.semantic, "\(clause) cannot hold an aggregate", at: position)
        }
        // An aggregate over a window may hold aggregates of the groups.
        insideAggregate = !bindsWindowAggregate
        bindsWindowAggregate = false
        defer { insideAggregate = false }
        if let named = call.namedArguments.first {
            throw QueryError(
                .semantic, "\(name) has no argument called `\(named.name.text)`",
                at: named.name.position)
        }
        var filter: BoundExpression?
        if let syntax = call.filter { filter = try bindCondition(syntax) }
        if call.isStar {
            guard function == .count else {
                throw QueryError(.semantic, "\(name)(*) has no meaning", at: position)
            }
            return aggregate(
                AggregateCall(function: .countRows, filter: filter, type: .int64), at: position)
        }
        var written = WrittenArguments(
            name: name, list: try bindAll(call.arguments), position: position)
        written.orderBy = try bindOrderKeys(call.orderBy)
        written.withinGroup = try bindOrderKeys(call.withinGroup)
        var bound = AggregateCall(function: function, filter: filter, type: .int64)
        try bindArguments(&bound, written)
        if call.isDistinct { try makeDistinct(&bound, written) }
        if bound.function.needsTime {
            guard scope != nil || !bound.function.takesSamples else {
                throw QueryError(.semantic, "\(name) needs a table with times", at: position)
            }
            if let scope {
                let isByKey = bound.arguments.count > 1
                if let time = scope.time {
                    _ = scope.slot(of: time)
                } else if !isByKey {
                    _ = try scope.needTime(name, at: position)
                }
            }
        }
        return aggregate(bound, at: position)
    }

    private func bindOrderKeys(
        _ items: [OrderItem]
    ) throws(QueryError) -> [(key: BoundExpression, order: AggregateCall.Order)] {
        var bound: [(key: BoundExpression, order: AggregateCall.Order)] = []
        for item in items {
            var key = try bind(item.expression)
            if key.isUntyped { key = try coerce(key, to: .string) }
            let nullsFirst = item.nullsFirst ?? item.isDescending
            bound.append(
                (
                    key,
                    AggregateCall.Order(isDescending: item.isDescending, nullsFirst: nullsFirst)
                ))
        }
        return bound
    }

    private func makeDistinct(
        _ call: inout AggregateCall, _ written: WrittenArguments
    ) throws(QueryError) {
        switch call.function {
        case .count: call.function = .countDistinct
        // No value counts for more when it comes again.
        case .minimum, .maximum, .anyValue, .boolAnd, .boolOr, .bitAnd, .bitOr,
            .approximateDistinct:
            break
        case .sum, .average, .standardDeviation, .variance, .median, .skewness, .kurtosis,
            .product, .bitXor, .histogram, .approximatePercentile:
            call.isDistinct = true
        case .percentileContinuous where written.withinGroup.isEmpty,
            .percentileDiscrete where written.withinGroup.isEmpty:
            call.isDistinct = true
        case .stringAgg:
            guard call.arguments.dropFirst().allSatisfy({ $0 == call.argument }) else {
                throw QueryError(
                    .semantic,
                    "\(written.name)(DISTINCT x …) can be ordered by x alone",
                    at: call.arguments.last?.position)
            }
            call.isDistinct = true
        default:
            throw QueryError(
                .semantic, "\(written.name)(DISTINCT …) has no meaning", at: written.position)
        }
    }

    private func aggregate(_ call: AggregateCall, at position: SourcePosition) -> BoundExpression {
        BoundExpression(.aggregate(addAggregate(call)), call.type, at: position)
    }

    /// The expression over the columns that grouping yields: keys, then aggregates.
    func afterGrouping(
        _ bound: BoundExpression, keys: [BoundExpression]
    ) throws(QueryError) -> BoundExpression {
        if let index = keys.firstIndex(of: bound) {
            return BoundExpression(.column(index), bound.type, at: bound.position)
        }
        switch bound.kind {
        case .aggregate(let index):
            return BoundExpression(.column(keys.count + index), bound.type, at: bound.position)
        case .gapFilled(let index):
            return BoundExpression(
                .column(keys.count + aggregates.count + index), bound.type, at: bound.position)
        case .column(let slot):
            let name = scope.map { $0.name(of: $0.used[slot]) } ?? "?"
            throw QueryError(
                .semantic, "column `\(name)` must be in GROUP BY or inside an aggregate",
                at: bound.position)
        default:
            return try bound.mapChildren { child throws(QueryError) in
                try afterGrouping(child, keys: keys)
            }
        }
    }
}
