// Filling the buckets that have no rows: what SAMPLE BY … FILL and time_bucket_gapfill ask for.

internal import ApusStorage

/// What a missing value becomes.
enum FillMode: Hashable {
    case null
    /// The value before it, of the same key, within the range.
    case previous
    /// On the line between the values before and behind it, of the same key.
    case linear
    case value(Constant)
}

/// A column of the filled rows, behind their keys.
struct FillColumn: Hashable {
    /// Over the grouped rows.
    var expression: BoundExpression
    var mode: FillMode
    /// Whether a NULL in a bucket that has rows is missing, too.
    var fillsNulls: Bool
}

struct FillPlan {
    /// Which key is the bucket.
    var bucketKey: Int
    var rule: BucketRule
    /// Buckets from the one of the first time up to the one before the end are there for every key; where
    /// one is nil, from the first, or up to the last, that has rows.
    var lower: Int64?
    var upper: Int64?
    /// Whether rows beyond the range are kept, and the range with them.
    var reachesRows = false
    /// Those of the aggregates first, in their order.
    var columns: [FillColumn]

    mutating func take(_ range: TimeRange) {
        if lower == nil, range.lower != .min { lower = range.lower }
        if upper == nil, range.upper != .max { upper = range.upper }
    }
}

/// `locf(…)` or `interpolate(…)`, noted while the select list is bound.
struct GapFillCall: Hashable {
    var argument: BoundExpression
    var mode: FillMode
    var fillsNulls: Bool
}

/// `time_bucket_gapfill(…)`, of which a query has one.
struct GapFillBucket {
    var bucket: BoundExpression
    var lower: Int64?
    var upper: Int64?
}

extension Binder {
    /// `time_bucket_gapfill(width, time [, zone] [, start, finish])`, after TimescaleDB.
    func bindGapFill(
        _ call: FunctionCall, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        let name = "time_bucket_gapfill"
        var arguments = try bindAll(call.arguments)
        var named = call.namedArguments
        var bounds: [BoundExpression] = []
        while arguments.count > 2, let last = arguments.last, bounds.count < 2,
            last.type.isInstant || last.isUntyped && isTimestamp(last.constant?.text ?? "")
        {
            bounds.insert(arguments.removeLast(), at: 0)
        }
        var lower = try bounds.first.map { bound throws(QueryError) in try instant(bound, name) }
        var upper = try bounds.count > 1 ? instant(bounds[1], name) : nil
        for argument in named {
            switch asciiLowercased(argument.name.text) {
            case "start": lower = try instant(try bind(argument.value), name)
            case "finish": upper = try instant(try bind(argument.value), name)
            default: continue
            }
        }
        named.removeAll { ["start", "finish"].contains(asciiLowercased($0.name.text)) }
        let bucket = try bindBucket(name, arguments, named, at: position)
        if let known = gapFill, known.bucket != bucket {
            throw QueryError(
                .semantic, "a query has one time_bucket_gapfill", at: position)
        }
        gapFill = GapFillBucket(bucket: bucket, lower: lower, upper: upper)
        return bucket
    }

    /// `locf(value [, treat_null_as_missing => true])` and `interpolate(value)`.
    func bindGapFilled(
        _ call: FunctionCall, _ name: String, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        guard allowsAggregates, !insideAggregate else {
            throw QueryError(.semantic, "\(clause) cannot hold \(name)", at: position)
        }
        let arguments = try bindAll(call.arguments)
        try expect(1...1, name, arguments, at: position)
        guard arguments[0].containsAggregate else {
            throw QueryError(
                .semantic, "\(name) takes an aggregate, or an expression of some",
                at: arguments[0].position)
        }
        var filled = GapFillCall(
            argument: arguments[0], mode: name == "locf" ? .previous : .linear,
            fillsNulls: name != "locf")
        for argument in call.namedArguments {
            guard name == "locf", asciiLowercased(argument.name.text) == "treat_null_as_missing",
                let value = try bind(argument.value).constant, value.type == .bool, !value.isNull
            else {
                throw QueryError(
                    .semantic, "\(name) has no such argument", at: argument.name.position,
                    hint: "locf(value, treat_null_as_missing => true)")
            }
            filled.fillsNulls = value.slot == 1
        }
        if filled.mode == .linear { try checkLinear(filled.argument) }
        let index = addGapFilled(filled)
        return BoundExpression(.gapFilled(index), filled.argument.type, at: position)
    }

    func checkLinear(_ bound: BoundExpression) throws(QueryError) {
        guard bound.type.isNumeric || bound.type == .timestamp || bound.type == .timestampLocal
        else {
            throw QueryError(
                .semantic, "a line goes through numbers, not through \(bound.type.rawValue)",
                at: bound.position, hint: "FILL(PREV) or locf repeats the value before")
        }
    }
}
