// From syntax to bound expressions: names to columns, literals to types, calls to functions.

internal import ApusStorage

/// What a statement knows about its caller.
struct Session {
    var zone: ZoneHandle
    /// `now()`, the same throughout the statement.
    var now: Int64
    var database: String
    var access: QueryAccess
    var parameters: [QueryParameter]
}

final class Binder {
    let session: Session
    let scope: QueryScope?
    var aggregates: [AggregateCall] = []
    private(set) var gapFilled: [GapFillCall] = []
    var gapFill: GapFillBucket?
    /// Plans and runs subqueries; nil where there can be none.
    var planner: SelectPlanner?
    var namedWindows: [NamedWindow] = []
    var windows: [WindowCall] = []
    var allowsWindows = false
    /// The next aggregate that is bound is a window's.
    var bindsWindowAggregate = false
    /// What the column `time` stands for outside of aggregates: SAMPLE BY's bucket.
    var bucketForTime: BoundExpression?
    /// Aliases of the select list: name → what it stands for. Used where `usesAliases` is set.
    var aliases: [(name: String, value: Expression)] = []
    var usesAliases = false
    var allowsAggregates = false
    var insideAggregate = false
    /// The clause being bound, for messages.
    var clause = "this place"

    init(session: Session, scope: QueryScope?) {
        self.session = session
        self.scope = scope
    }

    /// Binds and folds; an untyped literal that remains is a string.
    func bind(_ syntax: Expression) throws(QueryError) -> BoundExpression {
        folded(try bindNode(syntax))
    }

    func bindAll(_ list: [Expression]) throws(QueryError) -> [BoundExpression] {
        var bound: [BoundExpression] = []
        for item in list { bound.append(try bind(item)) }
        return bound
    }

    /// Binds a condition: bool, or NULL.
    func bindCondition(_ syntax: Expression) throws(QueryError) -> BoundExpression {
        try asCondition(try bind(syntax))
    }

    func asCondition(_ bound: BoundExpression) throws(QueryError) -> BoundExpression {
        if bound.isUntyped { return try coerce(bound, to: .bool) }
        guard bound.type == .bool else {
            throw QueryError(
                .semantic, "expected a condition, found a value of type \(bound.type.rawValue)",
                at: bound.position)
        }
        return bound
    }

    func addAggregate(_ call: AggregateCall) -> Int {
        if let index = aggregates.firstIndex(of: call) { return index }
        aggregates.append(call)
        return aggregates.count - 1
    }

    func addGapFilled(_ call: GapFillCall) -> Int {
        if let index = gapFilled.firstIndex(of: call) { return index }
        gapFilled.append(call)
        return gapFilled.count - 1
    }

    private func bindNode(_ syntax: Expression) throws(QueryError) -> BoundExpression {
        let position = syntax.position
        switch syntax.kind {
        case .column(let reference): return try bindColumn(reference)
        case .literal(let literal): return bindLiteral(literal, at: position)
        case .typedLiteral(let type, let text):
            let value = try castConstant(
                .string(text), to: ResultType(type), session.zone.rules, at: position)
            return BoundExpression(value, at: position)
        case .parameter(let number): return try bindParameter(number, at: position)
        case .unary(let op, let operand): return try bindUnary(op, operand, at: position)
        case .binary(let op, let left, let right):
            return try bindBinary(op, try bind(left), try bind(right), at: position)
        case .and(let operands):
            return BoundExpression(.and(try conditions(operands)), .bool, at: position)
        case .or(let operands):
            return BoundExpression(.or(try conditions(operands)), .bool, at: position)
        case .isTest(let operand, let test, let negated):
            var bound = try bind(operand)
            if test != .null { bound = try asCondition(bound) }
            return BoundExpression(.isTest(bound, test, negated: negated), .bool, at: position)
        case .isDistinct(let left, let right, let negated):
            let (a, b) = try unify(
                try bind(left), try bind(right), "IS DISTINCT FROM", at: position)
            return BoundExpression(.isDistinct(a, b, negated: negated), .bool, at: position)
        case .between(let operand, let low, let high, let negated):
            return try bindBetween(operand, low, high, negated, at: position)
        case .inList(let operand, let list, let negated):
            return try bindIn(operand, list, negated, at: position)
        case .like(let operand, let pattern, let escape, let ignoresCase, let negated):
            var boundEscape: BoundExpression?
            if let escape { boundEscape = try asString(try bind(escape), "ESCAPE") }
            return BoundExpression(
                .like(
                    try asString(try bind(operand), "LIKE"),
                    pattern: try asString(try bind(pattern), "LIKE"), escape: boundEscape,
                    ignoresCase: ignoresCase, negated: negated), .bool, at: position)
        case .matches(let operand, let pattern, let ignoresCase, let negated):
            let text = try asString(try bind(operand), "~")
            let boundPattern = try asString(try bind(pattern), "~")
            // A pattern that can't be compiled is an error also where no row asks for it.
            if let constant = boundPattern.constant, !constant.isNull {
                _ = try compiledRegex(constant.text, ignoresCase: ignoresCase, at: position)
            }
            return BoundExpression(
                .matches(text, pattern: boundPattern, ignoresCase: ignoresCase, negated: negated),
                .bool, at: position)
        case .call(let call): return try bindCall(call, at: position)
        case .cast(let operand, let type):
            return try bindCast(try bind(operand), ResultType(type), at: position)
        case .caseWhen(let expression): return try bindCase(expression, at: position)
        case .extract(let field, let source):
            return try bindExtract(field.text, try bind(source), at: position)
        case .subquery(let query): return try bindSubquery(query, at: position)
        case .exists(let query): return try bindExists(query, at: position)
        case .inQuery(let operand, let query, let negated):
            return try bindIn(try bind(operand), query, negated, at: position)
        case .window(let call, let reference):
            return try bindWindow(call, reference, at: position)
        case .atTimeZone(let operand, let zone):
            return try bindAtTimeZone(try bind(operand), try bind(zone), at: position)
        }
    }

    private func conditions(_ list: [Expression]) throws(QueryError) -> [BoundExpression] {
        var bound: [BoundExpression] = []
        for item in list { bound.append(try bindCondition(item)) }
        return bound
    }

    private func bindLiteral(_ literal: Literal, at position: SourcePosition) -> BoundExpression {
        switch literal {
        case .null:
            var bound = BoundExpression(Constant(nullOf: .string), at: position)
            bound.isUntyped = true
            return bound
        case .boolean(let value): return BoundExpression(.bool(value), at: position)
        case .integer(let value): return BoundExpression(.int64(value), at: position)
        case .unsigned(let value):
            return BoundExpression(Constant(type: .uint64, slot: value), at: position)
        case .double(let value): return BoundExpression(.float64(value), at: position)
        case .string(let text):
            var bound = BoundExpression(.string(text), at: position)
            bound.isUntyped = true
            return bound
        }
    }

    private func bindParameter(
        _ number: Int, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        guard number >= 1, number <= session.parameters.count else {
            throw QueryError(
                .semantic, "there is no parameter $\(number), \(session.parameters.count) given",
                at: position)
        }
        let literal: Literal =
            switch session.parameters[number - 1] {
            case .null: .null
            case .bool(let value): .boolean(value)
            case .int64(let value): .integer(value)
            case .uint64(let value): .unsigned(value)
            case .float64(let value): .double(value)
            case .string(let text): .string(text)
            }
        return bindLiteral(literal, at: position)
    }

    private func bindColumn(_ reference: ColumnReference) throws(QueryError) -> BoundExpression {
        let position = reference.position
        if usesAliases, !insideAggregate, reference.qualifiers.isEmpty, reference.kind == nil {
            switch NameResolution.match(reference.name, in: aliases) {
            case .found(let expression):
                usesAliases = false
                defer { usesAliases = true }
                return try bind(expression)
            case .ambiguous(let names):
                // One alias given twice is one name: the first counts if both mean the same.
                if Set(names).count > 1 { throw NameResolution.ambiguous(reference.name, names) }
            case .missing: break
            }
        }
        if let scope, let column = try resolve(reference, scope) {
            if column == scope.time, let bucketForTime, !insideAggregate {
                var bucket = bucketForTime
                bucket.position = position
                return bucket
            }
            return scope.expression(column, at: position)
        }
        if reference.qualifiers.isEmpty, !reference.name.isQuoted, reference.kind == nil,
            let value = keyword(asciiLowercased(reference.name.text), at: position)
        {
            return value
        }
        if let error = correlated(reference) { throw error }
        if let scope { throw scope.unknownColumn(reference) }
        throw QueryError(
            .unknownColumn, "no column `\(reference.name.text)`: there is no FROM", at: position)
    }

    private func resolve(
        _ reference: ColumnReference, _ scope: QueryScope
    ) throws(QueryError) -> ScopeColumn? {
        do throws(QueryError) {
            return try scope.resolve(reference)
        } catch {
            throw error.code == .unknownTable ? correlated(reference) ?? error : error
        }
    }

    /// Values that PostgreSQL writes without parentheses; a column of that name comes first.
    private func keyword(_ name: String, at position: SourcePosition) -> BoundExpression? {
        let day = CalendarMath.nanosecondsPerDay
        let local = session.zone.rules.local(ofNanoseconds: session.now)
        switch name {
        case "current_timestamp": return BoundExpression(.timestamp(session.now), at: position)
        case "localtimestamp":
            return BoundExpression(
                Constant(type: .timestampLocal, slot: UInt64(bitPattern: local)), at: position)
        case "current_date":
            return BoundExpression(
                Constant(
                    type: .date, slot: UInt64(bitPattern: CalendarMath.floorDivide(local, day))),
                at: position)
        case "current_catalog": return BoundExpression(.string(session.database), at: position)
        case "current_schema": return BoundExpression(.string("public"), at: position)
        case "current_user", "session_user", "user":
            return BoundExpression(.string("apus"), at: position)
        default: return nil
        }
    }

    /// Replaces what has only constants below it by its value. A value that would be an error
    /// stays an expression: in a CASE it may never be asked for.
    func folded(_ bound: BoundExpression) -> BoundExpression {
        switch bound.kind {
        case .constant, .column, .aggregate, .gapFilled, .windowValue: return bound
        default: break
        }
        let children = bound.children
        guard children.allSatisfy({ $0.constant != nil }) else { return bound }
        guard let vector = try? bound.evaluate(Frame(count: 1, columns: [])), vector.count == 1
        else { return bound }
        var result = BoundExpression(vector.constant(0), at: bound.position)
        result.type = bound.type
        return result
    }
}

extension ResultType {
    init(_ type: TypeName) {
        switch type {
        case .float64: self = .float64
        case .int64: self = .int64
        case .uint64: self = .uint64
        case .bool: self = .bool
        case .string: self = .string
        case .timestamp: self = .timestamp
        case .timestampLocal: self = .timestampLocal
        case .date: self = .date
        case .interval: self = .interval
        }
    }
}
