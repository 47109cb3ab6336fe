// What each aggregate takes: numbers of arguments, types, constants; and the type it gives.

internal import ApusStorage

/// The arguments of a call as they were written, bound.
struct WrittenArguments {
    typealias OrderKey = (key: BoundExpression, order: AggregateCall.Order)

    let name: String
    var list: [BoundExpression]
    let position: SourcePosition
    var orderBy: [OrderKey] = []
    var withinGroup: [OrderKey] = []
}

extension Binder {
    func bindArguments(
        _ call: inout AggregateCall, _ written: WrittenArguments
    ) throws(QueryError) {
        if let (key, _) = written.orderBy.first, call.function != .stringAgg {
            throw QueryError(
                .unsupported, "ORDER BY inside \(written.name) is not available yet",
                at: key.position, hint: "string_agg(x, ',' ORDER BY y) takes one")
        }
        switch call.function {
        case .percentileContinuous, .percentileDiscrete, .mode:
            return try bindOrderedSet(&call, written)
        default: break
        }
        if let (key, _) = written.withinGroup.first {
            throw QueryError(
                .semantic, "\(written.name) takes no WITHIN GROUP", at: key.position,
                hint: "percentile_cont, percentile_disc and mode do")
        }
        if call.function.takesSamples { return try bindSamples(&call, written) }
        switch call.function {
        case .first, .last, .argMinimum, .argMaximum: try bindByKey(&call, written)
        case .approximatePercentile:
            try expect(2...2, written.name, written.list, at: written.position)
            call.arguments = [try numeric(written.list[0], written.name)]
            call.parameters = [try fraction(written.list[1], written)]
            call.type = .float64
        case .correlation, .covariancePopulation, .covarianceSample, .slope, .intercept,
            .determination, .pairCount, .averageX, .averageY, .squaresX, .squaresY, .products:
            try expect(2...2, written.name, written.list, at: written.position)
            for argument in written.list {
                call.arguments.append(try numeric(argument, written.name))
            }
            call.type = call.function == .pairCount ? .int64 : .float64
        case .stringAgg: try bindStringAgg(&call, written)
        case .histogram: try bindHistogram(&call, written)
        default: try bindOne(&call, written)
        }
    }

    /// Aggregates of one argument.
    private func bindOne(
        _ call: inout AggregateCall, _ written: WrittenArguments
    ) throws(QueryError) {
        try expect(1...1, written.name, written.list, at: written.position)
        let argument = try typed(written.list[0])
        switch call.function {
        case .count, .countDistinct, .countRows, .approximateDistinct: call.type = .int64
        case .minimum, .maximum, .anyValue, .latest: call.type = argument.type
        case .sum: call.type = try numeric(argument, written.name).type
        case .boolAnd, .boolOr:
            call.arguments = [try asCondition(written.list[0])]
            call.type = .bool
            return
        case .bitAnd, .bitOr, .bitXor:
            guard argument.type.isInteger else {
                throw QueryError(
                    .semantic,
                    "\(written.name) needs an integer, found \(argument.type.rawValue)",
                    at: argument.position)
            }
            call.type = argument.type
        default:
            _ = try numeric(argument, written.name)
            call.type = .float64
        }
        call.arguments = [argument]
        if call.function == .standardDeviation || call.function == .variance {
            call.isSample = !written.name.hasSuffix("_pop")
        }
    }

    /// `first(value [, key])`, `arg_min(value, key)`.
    private func bindByKey(
        _ call: inout AggregateCall, _ written: WrittenArguments
    ) throws(QueryError) {
        let byTime = call.function == .first || call.function == .last
        try expect((byTime ? 1 : 2)...2, written.name, written.list, at: written.position)
        call.arguments = [try typed(written.list[0])]
        call.type = call.arguments[0].type
        guard written.list.count == 2 else { return }
        let key = try typed(written.list[1])
        // The time itself is what first and last go by anyway.
        if byTime, case .column(let slot) = key.kind, scope?.isTime(slot) ?? false { return }
        call.arguments.append(key)
        if call.function == .first { call.function = .firstByKey }
        if call.function == .last { call.function = .lastByKey }
    }

    /// `percentile_cont(f) WITHIN GROUP (ORDER BY x)`, or `quantile_cont(x, f)`.
    private func bindOrderedSet(
        _ call: inout AggregateCall, _ written: WrittenArguments
    ) throws(QueryError) {
        let isMode = call.function == .mode
        var fractions = written.list
        var order = AggregateCall.Order(isDescending: false, nullsFirst: false)
        var value: BoundExpression
        if written.name.hasPrefix("quantile") || isMode && written.withinGroup.isEmpty {
            guard written.withinGroup.isEmpty else {
                throw QueryError(
                    .semantic, "\(written.name) takes no WITHIN GROUP", at: written.position,
                    hint: "percentile_cont and percentile_disc do")
            }
            try expect(
                (isMode ? 1 : 2)...(isMode ? 1 : 2), written.name, fractions, at: written.position)
            value = fractions.removeFirst()
        } else {
            guard written.withinGroup.count == 1 else {
                throw QueryError(
                    .semantic, "\(written.name) needs WITHIN GROUP (ORDER BY x) with one x",
                    at: written.position,
                    hint: isMode ? nil : "or write quantile_cont(x, fraction)")
            }
            (value, order) = written.withinGroup[0]
            try expect(
                (isMode ? 0 : 1)...(isMode ? 0 : 1), written.name, fractions, at: written.position)
        }
        value = try typed(value)
        if call.function == .percentileContinuous { value = try numeric(value, written.name) }
        call.arguments = [value]
        call.orders = [order]
        if let first = fractions.first { call.parameters = [try fraction(first, written)] }
        call.type = call.function == .percentileContinuous ? .float64 : value.type
    }

    /// `rate(x [, 'prometheus'])`, `time_weighted_avg(x [, 'linear'])`, `state_count(x, value)`.
    private func bindSamples(
        _ call: inout AggregateCall, _ written: WrittenArguments
    ) throws(QueryError) {
        let argument: BoundExpression
        var modes: [String] = []
        var count = 1...1
        switch call.function {
        case .delta, .increase, .rate: modes = ["prometheus"]
        case .timeWeightedAverage: modes = ["locf", "linear"]
        case .stateDuration, .stateCount: count = 2...2
        default: break
        }
        if !modes.isEmpty { count = 1...2 }
        try expect(count, written.name, written.list, at: written.position)
        switch call.function {
        case .stateDuration, .stateCount, .changes: argument = try typed(written.list[0])
        default: argument = try numeric(written.list[0], written.name)
        }
        call.arguments = [argument]
        switch call.function {
        case .stateDuration, .stateCount:
            // The comparison finds the common type, or says why there is none.
            let (left, right) = try unify(argument, written.list[1], "=", at: written.position)
            let state = try coerce(right, to: left.type)
            call.arguments = [left]
            call.parameters = [try constant(state, "the state", written)]
            call.type = call.function == .stateDuration ? .interval : .int64
            return
        case .resets, .changes: call.type = .int64
        default: call.type = .float64
        }
        guard written.list.count == 2 else { return }
        let mode = try constant(written.list[1], "the mode", written)
        guard mode.type == .string, modes.contains(mode.text) else {
            throw QueryError(
                .semantic, "\(written.name) has no such mode", at: written.list[1].position,
                hint: "its modes are " + modes.map { "'\($0)'" }.joined(separator: ", "))
        }
        if mode.text != "locf" { call.parameters = [mode] }
    }

    /// `string_agg(x, separator [ORDER BY …])`.
    private func bindStringAgg(
        _ call: inout AggregateCall, _ written: WrittenArguments
    ) throws(QueryError) {
        try expect(2...2, written.name, written.list, at: written.position)
        call.arguments = [try asString(written.list[0], written.name)]
        let separator = try asString(written.list[1], written.name)
        call.parameters = [try constant(separator, "the separator", written)]
        for (key, order) in written.orderBy {
            call.arguments.append(key)
            call.orders.append(order)
        }
        call.type = .string
    }

    /// `histogram(x, low, high, buckets)`.
    private func bindHistogram(
        _ call: inout AggregateCall, _ written: WrittenArguments
    ) throws(QueryError) {
        try expect(4...4, written.name, written.list, at: written.position)
        call.arguments = [try numeric(written.list[0], written.name)]
        let low = try constant(try number(written.list[1], written.name), "the bound", written)
        let high = try constant(try number(written.list[2], written.name), "the bound", written)
        guard low.float64.isFinite, high.float64.isFinite, low.float64 < high.float64 else {
            throw QueryError(
                .semantic, "histogram's lower bound must lie below its upper bound",
                at: written.list[1].position)
        }
        let count = try constant(
            try coerce(try numeric(written.list[3], written.name), to: .int64),
            "the number of buckets", written)
        guard (1...10_000).contains(count.int64) else {
            throw QueryError(
                .semantic, "histogram takes 1 to 10000 buckets, found \(count.int64)",
                at: written.list[3].position)
        }
        call.parameters = [low, high, count]
        call.type = .string
    }

    // MARK: - Pieces

    private func typed(_ argument: BoundExpression) throws(QueryError) -> BoundExpression {
        try argument.isUntyped ? coerce(argument, to: .string) : argument
    }

    /// A number of any type, as it is: a cast would be evaluated for every row.
    private func numeric(
        _ argument: BoundExpression, _ name: String
    ) throws(QueryError) -> BoundExpression {
        if argument.isUntyped, argument.constant?.isNull == true {
            return try coerce(argument, to: .float64)
        }
        guard argument.type.isNumeric else {
            throw QueryError(
                .semantic, "\(name) needs a number, found \(argument.type.rawValue)",
                at: argument.position)
        }
        return argument
    }

    private func constant(
        _ argument: BoundExpression, _ what: String, _ written: WrittenArguments
    ) throws(QueryError) -> Constant {
        guard let constant = argument.constant, !constant.isNull else {
            throw QueryError(
                .semantic, "\(what) of \(written.name) must be a constant", at: argument.position)
        }
        return constant
    }

    /// A constant in 0 … 1, or NULL, which makes the answer NULL.
    private func fraction(
        _ argument: BoundExpression, _ written: WrittenArguments
    ) throws(QueryError) -> Constant {
        guard let constant = try number(argument, written.name).constant else {
            throw QueryError(
                .semantic, "the fraction of \(written.name) must be a constant",
                at: argument.position,
                hint: "write percentile_cont(0.95) WITHIN GROUP (ORDER BY x), "
                    + "or quantile_cont(x, 0.95) and approx_percentile(x, 0.95)")
        }
        if constant.isNull || (0...1).contains(constant.float64) { return constant }
        throw QueryError(
            .semantic, "a fraction lies between 0 and 1, found \(constant.float64)",
            at: argument.position)
    }
}
