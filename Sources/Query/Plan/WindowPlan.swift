// Window functions after binding.

internal import ApusStorage

/// A window function over some rows: those of its partition, in its order, as far as its frame reaches.
struct WindowCall: Hashable {
    enum Function: Hashable {
        case rowNumber, rank, denseRank, percentRank, cumulativeDistribution, ntile
        case lag, lead, firstValue, lastValue, nthValue
        case aggregate(AggregateCall)
    }

    enum Bound: Hashable {
        case unbounded
        /// Rows, groups of peers, or a distance in the order's key: below zero towards the start.
        case offset(Constant, isPreceding: Bool)
        case currentRow
    }

    struct Extent: Hashable {
        var unit: WindowSpecification.Unit
        var start: Bound
        var end: Bound
    }

    var function: Function
    var arguments: [BoundExpression] = []
    var partitionBy: [BoundExpression]
    var orderBy: [SortKey]
    var extent: Extent
    /// Whose days and months a distance in time goes by.
    var zone: ZoneHandle
    var type: ResultType

    /// The call with every expression replaced.
    func mapped(
        _ body: (BoundExpression) throws(QueryError) -> BoundExpression
    ) throws(QueryError) -> WindowCall {
        var result = self
        func all(_ list: [BoundExpression]) throws(QueryError) -> [BoundExpression] {
            var mapped: [BoundExpression] = []
            for item in list { mapped.append(try body(item)) }
            return mapped
        }
        result.arguments = try all(arguments)
        result.partitionBy = try all(partitionBy)
        for index in orderBy.indices {
            result.orderBy[index].expression = try body(orderBy[index].expression)
        }
        if case .aggregate(var call) = function {
            call.arguments = try all(call.arguments)
            if let filter = call.filter { call.filter = try body(filter) }
            result.function = .aggregate(call)
        }
        return result
    }
}

extension Binder {
    func mapWindows(
        _ body: (BoundExpression) throws(QueryError) -> BoundExpression
    ) throws(QueryError) {
        for index in windows.indices { windows[index] = try windows[index].mapped(body) }
    }

    func bindWindow(
        _ call: FunctionCall, _ reference: WindowReference, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        guard allowsWindows, !insideAggregate else {
            throw QueryError(
                .semantic,
                "\(insideAggregate ? "an aggregate" : clause) cannot hold a window function",
                at: position, hint: "QUALIFY filters by one")
        }
        // Inside a name is the column, as inside an aggregate.
        let used = usesAliases
        (allowsWindows, usesAliases) = (false, false)
        defer { (allowsWindows, usesAliases) = (true, used) }
        let specification = try specification(reference)
        var orderBy: [SortKey] = []
        for item in specification.orderBy {
            var bound = try bind(item.expression)
            if bound.isUntyped { bound = try coerce(bound, to: .string) }
            orderBy.append(SortKey(bound, item))
        }
        let (function, arguments, type) = try windowFunction(call, at: position)
        let window = WindowCall(
            function: function, arguments: arguments,
            partitionBy: try bindAll(specification.partitionBy), orderBy: orderBy,
            extent: try extent(specification.extent, orderBy), zone: session.zone, type: type)
        let index = windows.firstIndex(of: window) ?? windows.count
        if index == windows.count { windows.append(window) }
        return BoundExpression(.windowValue(index), type, at: position)
    }

    private func specification(
        _ reference: WindowReference
    ) throws(QueryError) -> WindowSpecification {
        switch reference {
        case .written(let specification): return specification
        case .named(let name):
            let all = namedWindows.map { ($0.name.text, $0.specification) }
            guard case .found(let known) = NameResolution.match(name, in: all) else {
                throw QueryError(
                    .semantic, "there is no window `\(name.text)`", at: name.position,
                    hint: "WINDOW \(name.text) AS (…) goes behind HAVING")
            }
            return known
        }
    }

    // MARK: - Functions

    private func windowFunction(
        _ call: FunctionCall, at position: SourcePosition
    ) throws(QueryError) -> (WindowCall.Function, [BoundExpression], ResultType) {
        let name = asciiLowercased(call.name.text)
        if let simple = try rankingFunction(name, call, at: position) { return simple }
        if let offset = try offsetFunction(name, call, at: position) { return offset }
        guard let function = AggregateCall.functions[name] else {
            throw QueryError(
                .semantic, "\(name) is neither a window function nor an aggregate", at: position)
        }
        let allowed = allowsAggregates
        allowsAggregates = true
        defer { allowsAggregates = allowed }
        // Bound as an aggregate, and taken out of the list of those of the groups again.
        let knownCount = aggregates.count
        bindsWindowAggregate = true
        let bound = try bindAggregate(function, call, name, at: position)
        guard case .aggregate(let index) = bound.kind else {
            preconditionFailure("BUG: an aggregate that was bound as something else")
        }
        let aggregate = aggregates[index]
        if index >= knownCount { aggregates.remove(at: index) }
        guard !aggregate.function.needsTime else {
            throw QueryError(
                .semantic, "\(name) has no window form", at: position,
                hint: "first_value and last_value go by the window's order")
        }
        return (.aggregate(aggregate), [], bound.type)
    }

    private func rankingFunction(
        _ name: String, _ call: FunctionCall, at position: SourcePosition
    ) throws(QueryError) -> (WindowCall.Function, [BoundExpression], ResultType)? {
        let function: WindowCall.Function
        var type = ResultType.int64
        switch name {
        case "row_number": function = .rowNumber
        case "rank": function = .rank
        case "dense_rank": function = .denseRank
        case "percent_rank": (function, type) = (.percentRank, .float64)
        case "cume_dist": (function, type) = (.cumulativeDistribution, .float64)
        case "ntile":
            let arguments = try plainArguments(call, name, 1...1, at: position)
            return (.ntile, [try wholeNumber(arguments[0], name)], .int64)
        default: return nil
        }
        _ = try plainArguments(call, name, 0...0, at: position)
        return (function, [], type)
    }

    private func offsetFunction(
        _ name: String, _ call: FunctionCall, at position: SourcePosition
    ) throws(QueryError) -> (WindowCall.Function, [BoundExpression], ResultType)? {
        let function: WindowCall.Function
        var range = 1...1
        switch name {
        case "lag": (function, range) = (.lag, 1...3)
        case "lead": (function, range) = (.lead, 1...3)
        case "first_value": function = .firstValue
        case "last_value": function = .lastValue
        case "nth_value": (function, range) = (.nthValue, 2...2)
        default: return nil
        }
        var arguments = try plainArguments(call, name, range, at: position)
        if arguments[0].isUntyped { arguments[0] = try coerce(arguments[0], to: .string) }
        if arguments.count > 1 { arguments[1] = try wholeNumber(arguments[1], name) }
        if arguments.count > 2 {
            let (value, fallback) = try unify(arguments[0], arguments[2], name, at: position)
            (arguments[0], arguments[2]) = (value, try coerce(fallback, to: value.type))
        }
        return (function, arguments, arguments[0].type)
    }

    private func plainArguments(
        _ call: FunctionCall, _ name: String, _ range: ClosedRange<Int>,
        at position: SourcePosition
    ) throws(QueryError) -> [BoundExpression] {
        guard !call.isStar, !call.isDistinct, call.filter == nil, call.namedArguments.isEmpty else {
            throw QueryError(
                .semantic, "\(name) takes no `*`, DISTINCT, FILTER or named arguments",
                at: position)
        }
        let arguments = try bindAll(call.arguments)
        try expect(range, name, arguments, at: position)
        return arguments
    }

    private func wholeNumber(
        _ bound: BoundExpression, _ name: String
    ) throws(QueryError) -> BoundExpression {
        let bound = bound.isUntyped ? try coerce(bound, to: .int64) : bound
        guard bound.type == .int64 else {
            throw QueryError(
                .semantic, "\(name) needs a whole number here", at: bound.position)
        }
        return bound
    }

    // MARK: - Frames

    private func extent(
        _ written: WindowSpecification.Extent?, _ orderBy: [SortKey]
    ) throws(QueryError) -> WindowCall.Extent {
        guard let written else {
            return WindowCall.Extent(
                unit: .range, start: .unbounded, end: orderBy.isEmpty ? .unbounded : .currentRow)
        }
        let order = [written.start.rank, written.end.rank]
        guard order[0] <= order[1], order[0] < 4, order[1] > 0 else {
            throw QueryError(
                .semantic, "the window's frame ends before it begins", at: written.position)
        }
        return WindowCall.Extent(
            unit: written.unit, start: try bound(written.start, written, orderBy),
            end: try bound(written.end, written, orderBy))
    }

    private func bound(
        _ written: WindowSpecification.Bound, _ extent: WindowSpecification.Extent,
        _ orderBy: [SortKey]
    ) throws(QueryError) -> WindowCall.Bound {
        switch written {
        case .unboundedPreceding, .unboundedFollowing: return .unbounded
        case .currentRow: return .currentRow
        case .preceding(let syntax):
            return .offset(try distance(syntax, extent, orderBy), isPreceding: true)
        case .following(let syntax):
            return .offset(try distance(syntax, extent, orderBy), isPreceding: false)
        }
    }

    private func distance(
        _ syntax: Expression, _ extent: WindowSpecification.Extent, _ orderBy: [SortKey]
    ) throws(QueryError) -> Constant {
        var value = try bind(syntax)
        if extent.unit == .range {
            guard orderBy.count == 1, let key = orderBy.first?.expression else {
                throw QueryError(
                    .semantic, "RANGE with a distance needs one key in ORDER BY",
                    at: extent.position)
            }
            if key.type.isInstant {
                value = try coerce(value, to: .interval)
            } else if key.type.isNumeric {
                value = try coerce(value, to: key.type)
            } else {
                throw QueryError(
                    .semantic, "RANGE with a distance goes by a number or a time",
                    at: extent.position)
            }
        } else {
            value = try wholeNumber(value, extent.unit == .rows ? "ROWS" : "GROUPS")
        }
        guard let constant = value.constant, !constant.isNull else {
            throw QueryError(.semantic, "a frame's distance is a constant", at: syntax.position)
        }
        let isNegative =
            switch constant.type {
            case .int64: constant.int64 < 0
            case .float64: !(constant.float64 >= 0)
            case .interval: constant.interval.comparableNanoseconds < 0
            default: false
            }
        guard !isNegative else {
            throw QueryError(.semantic, "a frame's distance is not below zero", at: syntax.position)
        }
        return constant
    }
}

extension WindowSpecification.Bound {
    /// In the order in which bounds lie along a partition.
    fileprivate var rank: Int {
        switch self {
        case .unboundedPreceding: 0
        case .preceding: 1
        case .currentRow: 2
        case .following: 3
        case .unboundedFollowing: 4
        }
    }
}

extension SelectPlanner {
    /// Numbers the columns that window functions add behind those that are there.
    func planWindows(
        _ draft: inout Draft, _ binder: Binder, _ plan: inout SelectPlan
    ) throws(QueryError) {
        guard !binder.windows.isEmpty else { return }
        let base =
            plan.grouping.map { grouping in
                grouping.keys.count + (plan.fill?.columns.count ?? grouping.aggregates.count)
            } ?? binder.scope?.used.count ?? 0
        try draft.replaceAll { $0.withWindows(from: base) }
        plan.windows = binder.windows
    }
}

extension BoundExpression {
    fileprivate func withWindows(from base: Int) -> BoundExpression {
        // Nothing in this body can fail.
        var result = (try? mapChildren { $0.withWindows(from: base) }) ?? self
        if case .windowValue(let index) = kind { result.kind = .column(base + index) }
        return result
    }
}
