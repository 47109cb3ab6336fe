// An expression after binding: names are column numbers, every node has a type, literals have the
// type of their surroundings, and what is constant is folded.
//
// Equality ignores positions: `GROUP BY f(x)` and `SELECT f(x)` are the same expression.

package enum ComparisonOperator: Hashable, Sendable {
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual

    /// The operator with its sides exchanged.
    package var flipped: ComparisonOperator {
        switch self {
        case .equal, .notEqual: self
        case .less: .greater
        case .lessOrEqual: .greaterOrEqual
        case .greater: .less
        case .greaterOrEqual: .lessOrEqual
        }
    }
}

package enum ArithmeticOperator: String, Hashable, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case divideTruncating = "//"
    case modulo = "%"
}

package struct BoundExpression: Hashable, Sendable {
    package indirect enum Kind: Hashable, Sendable {
        case constant(Constant)
        /// A column of the frame that the expression is evaluated over.
        case column(Int)
        /// An aggregate of the query, before it is replaced by the column that holds its result.
        case aggregate(Int)
        /// A value of locf or interpolate, before it is replaced likewise.
        case gapFilled(Int)
        /// What a window function comes to, likewise.
        case windowValue(Int)
        case not(BoundExpression)
        case and([BoundExpression])
        case or([BoundExpression])
        /// Both sides have one type, or are int64 and uint64.
        case compare(ComparisonOperator, BoundExpression, BoundExpression)
        case isDistinct(BoundExpression, BoundExpression, negated: Bool)
        case isTest(BoundExpression, IsTest, negated: Bool)
        /// Number operators: both sides integers, or both float64.
        case arithmetic(ArithmeticOperator, BoundExpression, BoundExpression)
        case negate(BoundExpression)
        /// Operators of times and intervals.
        case timeArithmetic(TimeOperator, BoundExpression, BoundExpression, zone: ZoneHandle)
        /// All of one type.
        case inList(BoundExpression, [BoundExpression], negated: Bool)
        /// More constants than are worth a comparison each.
        case inSet(BoundExpression, ConstantSet, negated: Bool)
        case like(
            BoundExpression, pattern: BoundExpression, escape: BoundExpression?, ignoresCase: Bool,
            negated: Bool)
        case matches(
            BoundExpression, pattern: BoundExpression, ignoresCase: Bool, negated: Bool)
        case caseWhen([BoundBranch], otherwise: BoundExpression?)
        case coalesce([BoundExpression])
        case call(ScalarFunction, [BoundExpression])
        case cast(BoundExpression, zone: ZoneHandle)
        /// A bucket of fixed or calendar width with constant parameters.
        case bucket(BucketRule, BoundExpression)
        case extract(DatePart, BoundExpression, zone: ZoneHandle)
        /// timestamp → timestamp_local, or back.
        case atTimeZone(BoundExpression, zone: BoundExpression)
    }

    package var kind: Kind
    package var type: ResultType
    package var position: SourcePosition
    /// A string or NULL literal that has not met its type yet.
    package var isUntyped = false

    package init(_ kind: Kind, _ type: ResultType, at position: SourcePosition) {
        self.kind = kind
        self.type = type
        self.position = position
    }

    package init(_ constant: Constant, at position: SourcePosition) {
        self.init(.constant(constant), constant.type, at: position)
    }

    package static func == (left: BoundExpression, right: BoundExpression) -> Bool {
        left.type == right.type && left.kind == right.kind
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(type)
        hasher.combine(kind)
    }

    package var constant: Constant? {
        if case .constant(let constant) = kind { constant } else { nil }
    }
}

package struct BoundBranch: Hashable, Sendable {
    package var condition: BoundExpression
    package var result: BoundExpression
}

package enum TimeOperator: Hashable, Sendable {
    case timestampPlusInterval, timestampMinusInterval
    case localPlusInterval, localMinusInterval
    case timestampMinusTimestamp
    case datePlusDays, dateMinusDays, dateMinusDate
    case intervalPlusInterval, intervalMinusInterval
    case intervalTimesNumber, intervalDividedByNumber
    case intervalNegated
}

package enum ScalarFunction: String, Hashable, Sendable {
    case abs, round, floor, ceil, trunc, sign, sqrt, exp, ln, log, power, cbrt
    case sin, cos, tan, asin, acos, atan, atan2, degrees, radians, pi
    case greatest, least, nullif
    case lower, upper, length, octetLength, substr, trim, ltrim, rtrim, replace, concat, left, right
    case startsWith, strpos, reverse, `repeat`, lpad, rpad, splitPart, concatOperator
    case toTimestamp, epochNanoseconds
}

extension BoundExpression {
    /// The direct children.
    package var children: [BoundExpression] {
        switch kind {
        case .constant, .column, .aggregate, .gapFilled, .windowValue: []
        case .not(let a), .isTest(let a, _, _), .negate(let a), .cast(let a, _), .bucket(_, let a),
            .extract(_, let a, _), .inSet(let a, _, _):
            [a]
        case .and(let list), .or(let list), .coalesce(let list), .call(_, let list): list
        case .compare(_, let a, let b), .isDistinct(let a, let b, _), .arithmetic(_, let a, let b),
            .timeArithmetic(_, let a, let b, _), .atTimeZone(let a, let b),
            .matches(let a, let b, _, _):
            [a, b]
        case .inList(let a, let list, _): [a] + list
        case .like(let a, let pattern, let escape, _, _):
            [a, pattern] + (escape.map { [$0] } ?? [])
        case .caseWhen(let branches, let otherwise):
            branches.flatMap { [$0.condition, $0.result] } + (otherwise.map { [$0] } ?? [])
        }
    }

    /// The expression with every direct child replaced.
    package func mapChildren(
        _ body: (BoundExpression) throws(QueryError) -> BoundExpression
    ) throws(QueryError) -> BoundExpression {
        var result = self
        func all(_ list: [BoundExpression]) throws(QueryError) -> [BoundExpression] {
            var mapped: [BoundExpression] = []
            mapped.reserveCapacity(list.count)
            for item in list { mapped.append(try body(item)) }
            return mapped
        }
        switch kind {
        case .constant, .column, .aggregate, .gapFilled, .windowValue: break
        case .not(let a): result.kind = .not(try body(a))
        case .negate(let a): result.kind = .negate(try body(a))
        case .isTest(let a, let test, let negated):
            result.kind = .isTest(try body(a), test, negated: negated)
        case .cast(let a, let zone): result.kind = .cast(try body(a), zone: zone)
        case .bucket(let rule, let a): result.kind = .bucket(rule, try body(a))
        case .extract(let part, let a, let zone):
            result.kind = .extract(part, try body(a), zone: zone)
        case .and(let list): result.kind = .and(try all(list))
        case .or(let list): result.kind = .or(try all(list))
        case .coalesce(let list): result.kind = .coalesce(try all(list))
        case .call(let function, let list): result.kind = .call(function, try all(list))
        case .compare(let op, let a, let b): result.kind = .compare(op, try body(a), try body(b))
        case .isDistinct(let a, let b, let negated):
            result.kind = .isDistinct(try body(a), try body(b), negated: negated)
        case .arithmetic(let op, let a, let b):
            result.kind = .arithmetic(op, try body(a), try body(b))
        case .timeArithmetic(let op, let a, let b, let zone):
            result.kind = .timeArithmetic(op, try body(a), try body(b), zone: zone)
        case .atTimeZone(let a, let b): result.kind = .atTimeZone(try body(a), zone: try body(b))
        case .matches(let a, let b, let ignoresCase, let negated):
            result.kind = .matches(
                try body(a), pattern: try body(b), ignoresCase: ignoresCase, negated: negated)
        case .inList(let a, let list, let negated):
            result.kind = .inList(try body(a), try all(list), negated: negated)
        case .inSet(let a, let set, let negated):
            result.kind = .inSet(try body(a), set, negated: negated)
        case .like(let a, let pattern, let escape, let ignoresCase, let negated):
            var newEscape: BoundExpression?
            if let escape { newEscape = try body(escape) }
            result.kind = .like(
                try body(a), pattern: try body(pattern), escape: newEscape,
                ignoresCase: ignoresCase, negated: negated)
        case .caseWhen(let branches, let otherwise):
            var newBranches: [BoundBranch] = []
            for branch in branches {
                newBranches.append(
                    BoundBranch(
                        condition: try body(branch.condition), result: try body(branch.result)))
            }
            var newOtherwise: BoundExpression?
            if let otherwise { newOtherwise = try body(otherwise) }
            result.kind = .caseWhen(newBranches, otherwise: newOtherwise)
        }
        return result
    }

    /// The columns an expression reads.
    package func collectColumns(into columns: inout Set<Int>) {
        if case .column(let index) = kind { columns.insert(index) }
        for child in children { child.collectColumns(into: &columns) }
    }

    package var columnsUsed: Set<Int> {
        var columns: Set<Int> = []
        collectColumns(into: &columns)
        return columns
    }

    /// The expression with one column under another number.
    func withColumn(_ column: Int, as other: Int) -> BoundExpression {
        // Nothing in this body can fail.
        var result = (try? mapChildren { $0.withColumn(column, as: other) }) ?? self
        if case .column(column) = kind { result.kind = .column(other) }
        return result
    }

    package var containsWindow: Bool {
        if case .windowValue = kind { return true }
        return children.contains { $0.containsWindow }
    }

    package var containsAggregate: Bool {
        switch kind {
        case .aggregate, .gapFilled: return true
        default: break
        }
        return children.contains { $0.containsAggregate }
    }
}
