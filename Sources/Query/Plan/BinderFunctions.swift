// Scalar functions: names, numbers of arguments and types.

internal import ApusStorage

extension Binder {
    private static let numberFunctions: [String: ScalarFunction] = [
        "sqrt": .sqrt, "exp": .exp, "ln": .ln, "log10": .log, "cbrt": .cbrt, "sin": .sin,
        "cos": .cos, "tan": .tan, "asin": .asin, "acos": .acos, "atan": .atan,
        "degrees": .degrees, "radians": .radians,
    ]

    private static let stringFunctions: [String: (ScalarFunction, ClosedRange<Int>)] = [
        "lower": (.lower, 1...1), "upper": (.upper, 1...1), "trim": (.trim, 1...2),
        "btrim": (.trim, 1...2), "ltrim": (.ltrim, 1...2), "rtrim": (.rtrim, 1...2),
        "replace": (.replace, 3...3), "reverse": (.reverse, 1...1), "length": (.length, 1...1),
        "char_length": (.length, 1...1), "character_length": (.length, 1...1),
        "octet_length": (.octetLength, 1...1), "starts_with": (.startsWith, 2...2),
        "strpos": (.strpos, 2...2), "concat": (.concat, 1...100),
    ]

    private static let otherNames = [
        "abs", "round", "floor", "ceil", "ceiling", "trunc", "sign", "log", "power", "pow", "mod",
        "div", "pi", "atan2", "greatest", "least", "coalesce", "nullif", "substr", "substring",
        "left", "right", "split_part", "to_timestamp", "date_trunc", "date_bin", "time_bucket",
        "time_bucket_gapfill", "locf", "interpolate", "date_part", "epoch_ns", "now", "version",
    ]

    func bindCall(
        _ call: FunctionCall, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        let name = asciiLowercased(call.name.text)
        if let function = AggregateCall.functions[name] {
            return try bindAggregate(function, call, name, at: position)
        }
        if name == "locf" || name == "interpolate" {
            return try bindGapFilled(call, name, at: position)
        }
        guard !call.isStar, !call.isDistinct, call.filter == nil, call.orderBy.isEmpty,
            call.withinGroup.isEmpty
        else {
            throw QueryError(
                .semantic,
                "\(name) is not an aggregate: `*`, DISTINCT, ORDER BY and FILTER don't apply",
                at: position)
        }
        if name == "time_bucket_gapfill" { return try bindGapFill(call, at: position) }
        let arguments = try bindAll(call.arguments)
        if ["time_bucket", "date_bin", "date_trunc"].contains(name) {
            return try bindBucket(name, arguments, call.namedArguments, at: position)
        }
        if let named = call.namedArguments.first {
            throw QueryError(
                .semantic, "\(name) has no argument called `\(named.name.text)`",
                at: named.name.position)
        }
        return try bindScalar(name, arguments, at: position)
    }

    func expect(
        _ range: ClosedRange<Int>, _ name: String, _ arguments: [BoundExpression],
        at position: SourcePosition
    ) throws(QueryError) {
        guard !range.contains(arguments.count) else { return }
        let wanted =
            range.count == 1
            ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
        throw QueryError(
            .semantic, "\(name) takes \(wanted) arguments, found \(arguments.count)", at: position)
    }

    private func bindScalar(
        _ name: String, _ arguments: [BoundExpression], at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        if let function = Self.numberFunctions[name] {
            try expect(1...1, name, arguments, at: position)
            return BoundExpression(
                .call(function, [try number(arguments[0], name)]), .float64, at: position)
        }
        if let (function, range) = Self.stringFunctions[name] {
            try expect(range, name, arguments, at: position)
            return try stringCall(function, name, arguments, at: position)
        }
        switch name {
        case "abs", "round", "floor", "ceil", "ceiling", "trunc", "sign":
            return try bindRounding(name, arguments, at: position)
        case "log":
            try expect(1...2, name, arguments, at: position)
            return try numberCall(.log, name, arguments, at: position)
        case "power", "pow":
            try expect(2...2, name, arguments, at: position)
            return try numberCall(.power, name, arguments, at: position)
        case "atan2":
            try expect(2...2, name, arguments, at: position)
            return try numberCall(.atan2, name, arguments, at: position)
        case "pi":
            try expect(0...0, name, arguments, at: position)
            return BoundExpression(.call(.pi, []), .float64, at: position)
        case "mod", "div":
            try expect(2...2, name, arguments, at: position)
            return try bindBinary(
                name == "mod" ? .modulo : .divideTruncating, arguments[0], arguments[1],
                at: position)
        case "greatest", "least", "coalesce":
            try expect(1...1_000, name, arguments, at: position)
            let (values, type) = try sameType(arguments, name, at: position)
            let kind: BoundExpression.Kind =
                name == "coalesce"
                ? .coalesce(values) : .call(name == "least" ? .least : .greatest, values)
            return BoundExpression(kind, type, at: position)
        case "nullif":
            try expect(2...2, name, arguments, at: position)
            let (a, b) = try unify(arguments[0], arguments[1], "=", at: position)
            return BoundExpression(.call(.nullif, [a, b]), a.type, at: position)
        default: return try bindStringOrTime(name, arguments, at: position)
        }
    }

    private func bindStringOrTime(
        _ name: String, _ arguments: [BoundExpression], at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        switch name {
        case "substr", "substring":
            try expect(2...3, name, arguments, at: position)
            return try stringCall(.substr, name, arguments, integers: 1, at: position)
        case "left", "right":
            try expect(2...2, name, arguments, at: position)
            return try stringCall(
                name == "left" ? .left : .right, name, arguments, integers: 1, at: position)
        case "split_part":
            try expect(3...3, name, arguments, at: position)
            return try stringCall(.splitPart, name, arguments, integers: 2, at: position)
        case "to_timestamp":
            try expect(1...1, name, arguments, at: position)
            return BoundExpression(
                .call(.toTimestamp, [try number(arguments[0], name)]), .timestamp, at: position)
        case "epoch_ns":
            try expect(1...1, name, arguments, at: position)
            return BoundExpression(
                .call(.epochNanoseconds, [try coerceToTime(arguments[0], name)]), .int64,
                at: position)
        case "date_part":
            try expect(2...2, name, arguments, at: position)
            guard let part = arguments[0].constant, part.type == .string, !part.isNull else {
                throw QueryError(
                    .semantic, "date_part's field is a literal like 'hour'", at: position)
            }
            return try bindExtract(part.text, arguments[1], at: position)
        case "now", "transaction_timestamp", "statement_timestamp", "clock_timestamp":
            try expect(0...0, name, arguments, at: position)
            return BoundExpression(.timestamp(session.now), at: position)
        case "version":
            try expect(0...0, name, arguments, at: position)
            return BoundExpression(.string("Apus"), at: position)
        default:
            let known =
                Self.otherNames + Array(Self.numberFunctions.keys)
                + Array(Self.stringFunctions.keys) + Array(AggregateCall.functions.keys)
            throw QueryError(
                .unknownFunction, "there is no function `\(name)`", at: position,
                hint: NameResolution.hint(for: name, among: known.sorted()))
        }
    }

    private func numberCall(
        _ function: ScalarFunction, _ name: String, _ arguments: [BoundExpression],
        at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        var numbers: [BoundExpression] = []
        for argument in arguments { numbers.append(try number(argument, name)) }
        return BoundExpression(.call(function, numbers), .float64, at: position)
    }

    /// The arguments from `integers` on are int64, those before strings.
    private func stringCall(
        _ function: ScalarFunction, _ name: String, _ arguments: [BoundExpression],
        integers: Int = .max, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        var bound: [BoundExpression] = []
        for (index, argument) in arguments.enumerated() {
            if index >= integers {
                guard argument.isUntyped || argument.type.isNumeric else {
                    throw QueryError(
                        .semantic, "\(name) needs a number here", at: argument.position)
                }
                bound.append(try coerce(argument, to: .int64))
            } else if function == .concat {
                bound.append(try coerce(argument, to: .string))
            } else {
                bound.append(try asString(argument, name))
            }
        }
        let type: ResultType =
            switch function {
            case .length, .octetLength, .strpos: .int64
            case .startsWith: .bool
            default: .string
            }
        return BoundExpression(.call(function, bound), type, at: position)
    }

    private func bindRounding(
        _ name: String, _ arguments: [BoundExpression], at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        let takesDigits = name == "round" || name == "trunc"
        try expect(1...(takesDigits ? 2 : 1), name, arguments, at: position)
        let function = ScalarFunction(rawValue: name == "ceiling" ? "ceil" : name) ?? .abs
        var value = arguments[0]
        if value.isUntyped { value = try coerce(value, to: .float64) }
        guard value.type.isNumeric else { _ = try number(value, name); return value }
        if arguments.count == 2 {
            return BoundExpression(
                .call(
                    function,
                    [try coerce(value, to: .float64), try coerce(arguments[1], to: .int64)]),
                .float64, at: position)
        }
        return BoundExpression(.call(function, [value]), value.type, at: position)
    }

    func bindCast(
        _ operand: BoundExpression, _ type: ResultType, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        if operand.isUntyped { return try coerce(operand, to: type) }
        guard operand.type != type else { return operand }
        let isAllowed =
            operand.type == .string || type == .string
            || (operand.type.isNumeric && (type.isNumeric || type == .bool))
            || (operand.type == .bool && type.isNumeric)
            || (operand.type.isInstant && type.isInstant)
            || (operand.type == .int64 && (type == .timestamp || type == .timestampLocal))
        guard isAllowed else {
            throw QueryError(
                .semantic, "cannot cast \(operand.type.rawValue) to \(type.rawValue)", at: position,
                hint: operand.type == .timestamp && type.isNumeric
                    ? "epoch_ns(time) is exact, extract(epoch FROM time) gives seconds" : nil)
        }
        return BoundExpression(.cast(operand, zone: session.zone), type, at: position)
    }
}
