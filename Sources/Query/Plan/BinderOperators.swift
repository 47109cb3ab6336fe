// Operators: which types they take, and how two sides come to one type.

internal import ApusStorage

extension Binder {
    // MARK: - Types

    /// Gives a literal the type asked for, or casts where the cast is implied.
    func coerce(_ bound: BoundExpression, to type: ResultType) throws(QueryError) -> BoundExpression
    {
        if bound.isUntyped, let constant = bound.constant {
            let value =
                constant.isNull
                ? Constant(nullOf: type)
                : try castConstant(constant, to: type, session.zone.rules, at: bound.position)
            return BoundExpression(value, at: bound.position)
        }
        return bound.type == type ? bound : cast(bound, to: type)
    }

    func cast(_ bound: BoundExpression, to type: ResultType) -> BoundExpression {
        folded(BoundExpression(.cast(bound, zone: session.zone), type, at: bound.position))
    }

    func asString(_ bound: BoundExpression, _ op: String) throws(QueryError) -> BoundExpression {
        if bound.isUntyped { return try coerce(bound, to: .string) }
        guard bound.type == .string else {
            throw QueryError(
                .semantic, "\(op) needs strings, found \(bound.type.rawValue)", at: bound.position,
                hint: "cast with ::text")
        }
        return bound
    }

    /// Brings two sides to one type, except int64 and uint64, which compare by value.
    func unify(
        _ left: BoundExpression, _ right: BoundExpression, _ op: String,
        at position: SourcePosition
    ) throws(QueryError) -> (BoundExpression, BoundExpression) {
        if left.isUntyped, right.isUntyped {
            return (try coerce(left, to: .string), try coerce(right, to: .string))
        }
        if left.isUntyped { return (try coerce(left, to: right.type), right) }
        if right.isUntyped { return (left, try coerce(right, to: left.type)) }
        if left.type == right.type || (left.type.isInteger && right.type.isInteger) {
            return (left, right)
        }
        guard let common = commonType(left.type, right.type) else {
            throw mismatch(left, right, op, at: position)
        }
        return (try coerce(left, to: common), try coerce(right, to: common))
    }

    /// The type that values of both turn into by themselves; nil if there is none.
    func commonType(_ a: ResultType, _ b: ResultType) -> ResultType? {
        if a == b { return a }
        if a.isNumeric, b.isNumeric { return a == .float64 || b == .float64 ? .float64 : .int64 }
        let pair: Set<ResultType> = [a, b]
        switch pair {
        case [.timestamp, .int64]: return .timestamp
        case [.timestamp, .date], [.timestamp, .timestampLocal]: return .timestamp
        case [.timestampLocal, .date]: return .timestampLocal
        default: return nil
        }
    }

    func mismatch(
        _ left: BoundExpression, _ right: BoundExpression, _ op: String,
        at position: SourcePosition
    ) -> QueryError {
        QueryError(
            .semantic, "no operator \(op) for \(left.type.rawValue) and \(right.type.rawValue)",
            at: position, hint: stringColumnHint(left, right) ?? stringColumnHint(right, left))
    }

    /// `vmid = 100` with a tag vmid.
    private func stringColumnHint(
        _ column: BoundExpression, _ number: BoundExpression
    ) -> String? {
        guard case .column(let slot) = column.kind, column.type == .string, number.type.isNumeric,
            let scope, scope.used.indices.contains(slot)
        else { return nil }
        let kind = if case .tag = scope.used[slot].column { "tag" } else { "field" }
        let literal = number.constant.map {
            String(decoding: textBytes(of: $0, session.zone.rules), as: UTF8.self)
        }
        return
            "\(scope.name(of: scope.used[slot])) is a \(kind) (string): write '\(literal ?? "…")'"
    }

    // MARK: - Operators

    func bindUnary(
        _ op: UnaryOperator, _ operand: Expression, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        switch op {
        case .not: return BoundExpression(.not(try bindCondition(operand)), .bool, at: position)
        case .plus: return try bind(operand)
        case .minus:
            var bound = try bind(operand)
            if bound.isUntyped { bound = try coerce(bound, to: .float64) }
            if bound.type == .interval {
                return BoundExpression(
                    .timeArithmetic(.intervalNegated, bound, bound, zone: session.zone), .interval,
                    at: position)
            }
            guard bound.type.isNumeric else {
                throw QueryError(
                    .semantic, "no operator - for \(bound.type.rawValue)", at: position)
            }
            // -9223372036854775808 is an int64 although its digits alone are not.
            if let constant = bound.constant, bound.type == .uint64, constant.slot == 1 << 63 {
                return BoundExpression(.int64(.min), at: position)
            }
            return BoundExpression(
                .negate(bound), bound.type == .float64 ? .float64 : .int64, at: position)
        }
    }

    func bindBinary(
        _ op: BinaryOperator, _ left: BoundExpression, _ right: BoundExpression,
        at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        switch op {
        case .equal: return try comparison(.equal, left, right, op.rawValue, at: position)
        case .notEqual: return try comparison(.notEqual, left, right, op.rawValue, at: position)
        case .less: return try comparison(.less, left, right, op.rawValue, at: position)
        case .lessOrEqual:
            return try comparison(.lessOrEqual, left, right, op.rawValue, at: position)
        case .greater: return try comparison(.greater, left, right, op.rawValue, at: position)
        case .greaterOrEqual:
            return try comparison(.greaterOrEqual, left, right, op.rawValue, at: position)
        case .concatenate:
            func text(_ bound: BoundExpression) throws(QueryError) -> BoundExpression {
                try coerce(bound, to: .string)
            }
            return BoundExpression(
                .call(.concatOperator, [try text(left), try text(right)]), .string, at: position)
        case .power:
            return BoundExpression(
                .call(.power, [try number(left, "^"), try number(right, "^")]), .float64,
                at: position)
        case .add, .subtract, .multiply, .divide, .divideTruncating, .modulo:
            return try arithmetic(
                ArithmeticOperator(rawValue: op.rawValue) ?? .add, left, right, at: position)
        }
    }

    func comparison(
        _ op: ComparisonOperator, _ left: BoundExpression, _ right: BoundExpression,
        _ text: String, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        var (a, b) = try unify(left, right, text, at: position)
        if a.type != b.type {
            a = narrowedLiteral(a, like: b)
            b = narrowedLiteral(b, like: a)
        }
        return BoundExpression(.compare(op, a, b), .bool, at: position)
    }

    /// An int64 literal beside uint64 becomes one where it fits: one comparison a row, not two.
    private func narrowedLiteral(
        _ bound: BoundExpression, like other: BoundExpression
    ) -> BoundExpression {
        guard let constant = bound.constant, !constant.isNull, bound.type.isInteger,
            other.type.isInteger, bound.type != other.type, constant.int64 >= 0
        else { return bound }
        return BoundExpression(Constant(type: other.type, slot: constant.slot), at: bound.position)
    }

    /// A float64 operand.
    func number(_ bound: BoundExpression, _ op: String) throws(QueryError) -> BoundExpression {
        guard bound.isUntyped || bound.type.isNumeric else {
            throw QueryError(
                .semantic, "\(op) needs a number, found \(bound.type.rawValue)", at: bound.position)
        }
        return try coerce(bound, to: .float64)
    }

    private func arithmetic(
        _ op: ArithmeticOperator, _ left: BoundExpression, _ right: BoundExpression,
        at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        var left = left
        var right = right
        if left.isUntyped, right.isUntyped {
            left = try coerce(left, to: .float64)
            right = try coerce(right, to: .float64)
        } else if left.isUntyped {
            left = try coerce(left, to: literalType(op, beside: right.type, isLeft: true))
        } else if right.isUntyped {
            right = try coerce(right, to: literalType(op, beside: left.type, isLeft: false))
        }
        guard left.type.isNumeric, right.type.isNumeric else {
            return try timeOperator(op, left, right, at: position)
        }
        if op == .divide || left.type == .float64 || right.type == .float64 {
            left = try coerce(left, to: .float64)
            right = try coerce(right, to: .float64)
        }
        let type: ResultType =
            left.type == .float64
            ? .float64
            : (left.type == .uint64 && right.type == .uint64 ? .uint64 : .int64)
        return BoundExpression(.arithmetic(op, left, right), type, at: position)
    }

    /// `time - '1 hour'` is an interval's text, `time - '2026-01-01'` can't be told: PostgreSQL
    /// takes a timestamp there, and so does this.
    private func literalType(
        _ op: ArithmeticOperator, beside type: ResultType, isLeft: Bool
    ) -> ResultType {
        switch type {
        case .timestamp, .timestampLocal: op == .add ? .interval : type
        case .interval: op == .multiply || op == .divide ? .float64 : .interval
        default: type
        }
    }

    private func timeOperator(
        _ op: ArithmeticOperator, _ left: BoundExpression, _ right: BoundExpression,
        at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        func make(
            _ time: TimeOperator, _ a: BoundExpression, _ b: BoundExpression, _ type: ResultType
        ) -> BoundExpression {
            BoundExpression(.timeArithmetic(time, a, b, zone: session.zone), type, at: position)
        }
        func local(_ bound: BoundExpression) throws(QueryError) -> BoundExpression {
            try coerce(bound, to: .timestampLocal)
        }
        switch (op, left.type, right.type) {
        case (.add, .timestamp, .interval):
            return make(.timestampPlusInterval, left, right, .timestamp)
        case (.add, .interval, .timestamp):
            return make(.timestampPlusInterval, right, left, .timestamp)
        case (.subtract, .timestamp, .interval):
            return make(.timestampMinusInterval, left, right, .timestamp)
        case (.add, .timestampLocal, .interval), (.add, .date, .interval):
            return make(.localPlusInterval, try local(left), right, .timestampLocal)
        case (.add, .interval, .timestampLocal), (.add, .interval, .date):
            return make(.localPlusInterval, try local(right), left, .timestampLocal)
        case (.subtract, .timestampLocal, .interval), (.subtract, .date, .interval):
            return make(.localMinusInterval, try local(left), right, .timestampLocal)
        case (.subtract, .date, .date): return make(.dateMinusDate, left, right, .int64)
        case (.add, .date, .int64): return make(.datePlusDays, left, right, .date)
        case (.add, .int64, .date): return make(.datePlusDays, right, left, .date)
        case (.subtract, .date, .int64): return make(.dateMinusDays, left, right, .date)
        case (.subtract, _, _) where left.type.isInstant && right.type.isInstant:
            let (a, b) = try unify(left, right, "-", at: position)
            return make(.timestampMinusTimestamp, a, b, .interval)
        case (.add, .interval, .interval):
            return make(.intervalPlusInterval, left, right, .interval)
        case (.subtract, .interval, .interval):
            return make(.intervalMinusInterval, left, right, .interval)
        case (.multiply, .interval, _) where right.type.isNumeric:
            return make(.intervalTimesNumber, left, try number(right, "*"), .interval)
        case (.multiply, _, .interval) where left.type.isNumeric:
            return make(.intervalTimesNumber, right, try number(left, "*"), .interval)
        case (.divide, .interval, _) where right.type.isNumeric:
            return make(.intervalDividedByNumber, left, try number(right, "/"), .interval)
        default: throw mismatch(left, right, op.rawValue, at: position)
        }
    }

    // MARK: - BETWEEN, IN, CASE

    func bindBetween(
        _ operand: Expression, _ low: Expression, _ high: Expression, _ negated: Bool,
        at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        let value = try bind(operand)
        let above = try comparison(.greaterOrEqual, value, try bind(low), "BETWEEN", at: position)
        let below = try comparison(.lessOrEqual, value, try bind(high), "BETWEEN", at: position)
        let both = BoundExpression(.and([above, below]), .bool, at: position)
        return negated ? BoundExpression(.not(both), .bool, at: position) : both
    }

    func bindIn(
        _ operand: Expression, _ list: [Expression], _ negated: Bool, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        try bindIn(try bind(operand), try bindAll(list), negated, at: position)
    }

    func bindIn(
        _ operand: BoundExpression, _ list: [BoundExpression], _ negated: Bool,
        at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        var value = operand
        var items = list
        let typed = items.filter { !$0.isUntyped }
        if value.isUntyped { value = try coerce(value, to: typed.first?.type ?? .string) }
        var type = value.type
        for item in typed where item.type != type {
            guard let common = commonType(type, item.type) else {
                throw mismatch(value, item, "IN", at: position)
            }
            // Integers of both kinds compare by value as they are.
            if !(type.isInteger && item.type.isInteger) { type = common }
        }
        if !(value.type.isInteger && type.isInteger) { value = try coerce(value, to: type) }
        for index in items.indices {
            let keeps = items[index].type.isInteger && type.isInteger && !items[index].isUntyped
            if !keeps { items[index] = try coerce(items[index], to: type) }
            items[index] = narrowedLiteral(items[index], like: value)
        }
        let constants = items.compactMap(\.constant)
        guard items.count > Self.comparedItemsMax, constants.count == items.count else {
            return BoundExpression(.inList(value, items, negated: negated), .bool, at: position)
        }
        var set = ConstantSet(value.type)
        for constant in constants { set.insert(0, of: Vector(constant, count: 1)) }
        return BoundExpression(.inSet(value, set, negated: negated), .bool, at: position)
    }

    /// Items of an IN that are compared one by one.
    private static var comparedItemsMax: Int { 8 }

    func bindCase(
        _ expression: CaseExpression, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        var conditions: [BoundExpression] = []
        var results: [BoundExpression] = []
        let operand = try expression.operand.map { syntax throws(QueryError) in try bind(syntax) }
        for branch in expression.branches {
            if let operand {
                conditions.append(
                    try comparison(.equal, operand, try bind(branch.condition), "=", at: position))
            } else {
                conditions.append(try bindCondition(branch.condition))
            }
            results.append(try bind(branch.result))
        }
        if let otherwise = expression.otherwise { results.append(try bind(otherwise)) }
        let (values, type) = try sameType(results, "CASE", at: position)
        let branches = conditions.enumerated().map {
            BoundBranch(condition: $1, result: values[$0])
        }
        let otherwise = expression.otherwise != nil ? values.last : nil
        return BoundExpression(.caseWhen(branches, otherwise: otherwise), type, at: position)
    }

    /// Brings all of a list to one type.
    func sameType(
        _ list: [BoundExpression], _ what: String, at position: SourcePosition
    ) throws(QueryError) -> ([BoundExpression], ResultType) {
        var type: ResultType?
        for item in list where !item.isUntyped {
            guard let known = type else { type = item.type; continue }
            guard let common = commonType(known, item.type) else {
                throw QueryError(
                    .semantic,
                    "\(what) mixes \(known.rawValue) and \(item.type.rawValue)", at: item.position)
            }
            type = common
        }
        let target = type ?? .string
        var result: [BoundExpression] = []
        for item in list { result.append(try coerce(item, to: target)) }
        return (result, target)
    }
}
