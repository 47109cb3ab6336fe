// Aggregate calls, and what is left of an expression once its rows are grouped.

internal import ApusStorage

extension Binder {
    static func aggregateFunction(_ name: String) -> AggregateCall.Function? {
        switch name {
        case "count": .count
        case "sum": .sum
        case "avg", "mean": .average
        case "min": .minimum
        case "max": .maximum
        case "first": .first
        case "last": .last
        case "stddev", "stddev_samp", "stddev_pop": .standardDeviation
        case "variance", "var_samp", "var_pop": .variance
        case "median": .median
        default: nil
        }
    }

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
        insideAggregate = true
        defer { insideAggregate = false }
        var filter: BoundExpression?
        if let syntax = call.filter { filter = try bindCondition(syntax) }
        if call.isStar {
            guard function == .count else {
                throw QueryError(.semantic, "\(name)(*) has no meaning", at: position)
            }
            return aggregate(
                AggregateCall(function: .countRows, filter: filter, type: .int64), at: position)
        }
        var arguments = try bindAll(call.arguments)
        if arguments.count == 2, function == .first || function == .last {
            guard case .column(let slot) = arguments[1].kind, let scope, scope.isTime(slot)
            else {
                throw QueryError(
                    .unsupported, "\(name)(value, key) by anything but time is not available yet",
                    at: arguments[1].position)
            }
            arguments.removeLast()
        }
        try expect(1...1, name, arguments, at: position)
        var argument = arguments[0]
        if argument.isUntyped { argument = try coerce(argument, to: .string) }
        var function = function
        if call.isDistinct {
            switch function {
            case .count: function = .countDistinct
            case .minimum, .maximum: break
            default:
                throw QueryError(
                    .unsupported, "\(name)(DISTINCT …) is not available yet", at: position)
            }
        }
        let type = try resultType(function, argument, name)
        if function == .first || function == .last, let scope {
            _ = scope.slot(of: try scope.needTime(name, at: position))
        }
        var aggregateCall = AggregateCall(
            function: function, argument: argument, filter: filter, type: type)
        if function == .standardDeviation || function == .variance {
            aggregateCall.isSample = !name.hasSuffix("_pop")
        }
        return aggregate(aggregateCall, at: position)
    }

    private func aggregate(_ call: AggregateCall, at position: SourcePosition) -> BoundExpression {
        BoundExpression(.aggregate(addAggregate(call)), call.type, at: position)
    }

    private func resultType(
        _ function: AggregateCall.Function, _ argument: BoundExpression, _ name: String
    ) throws(QueryError) -> ResultType {
        switch function {
        case .count, .countDistinct, .countRows: return .int64
        case .sum, .average, .standardDeviation, .variance, .median:
            guard argument.type.isNumeric else {
                throw QueryError(
                    .semantic, "\(name) needs a number, found \(argument.type.rawValue)",
                    at: argument.position)
            }
            return function == .sum ? argument.type : .float64
        case .minimum, .maximum:
            guard argument.type != .interval else {
                throw QueryError(
                    .unsupported, "\(name) of intervals is not available yet", at: argument.position
                )
            }
            return argument.type
        case .first, .last, .latest: return argument.type
        }
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
