// Time functions: buckets, EXTRACT, AT TIME ZONE.

internal import ApusStorage

extension Binder {
    /// A timestamp, timestamp_local or date; an untyped literal is a timestamp.
    func coerceToTime(
        _ bound: BoundExpression, _ name: String
    ) throws(QueryError) -> BoundExpression {
        if bound.isUntyped { return try coerce(bound, to: .timestamp) }
        if bound.type == .int64 { return cast(bound, to: .timestamp) }
        guard bound.type.isInstant else {
            throw QueryError(
                .semantic, "\(name) needs a time, found \(bound.type.rawValue)", at: bound.position)
        }
        return bound.type == .date && name == "epoch_ns" ? cast(bound, to: .timestamp) : bound
    }

    func bindExtract(
        _ field: String, _ source: BoundExpression, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        guard let part = DatePart(named: field) else {
            throw QueryError(
                .semantic, "there is no time field `\(field)`", at: position,
                hint: "fields are epoch year quarter month week day dow isodow doy hour minute "
                    + "second millisecond microsecond nanosecond")
        }
        let operand = source.type == .interval ? source : try coerceToTime(source, "extract")
        return BoundExpression(.extract(part, operand, zone: session.zone), .float64, at: position)
    }

    func bindAtTimeZone(
        _ operand: BoundExpression, _ zone: BoundExpression, at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        let name = try asString(zone, "AT TIME ZONE")
        if let constant = name.constant, !constant.isNull {
            do throws(QueryError) {
                _ = try TimeZoneRules.named(constant.text)
            } catch {
                throw error.at(zone.position)
            }
        }
        var time = try coerceToTime(operand, "AT TIME ZONE")
        if time.type == .date { time = cast(time, to: .timestampLocal) }
        return BoundExpression(
            .atTimeZone(time, zone: name), time.type == .timestamp ? .timestampLocal : .timestamp,
            at: position)
    }

    /// `time_bucket(width, time [, zone | origin])`, `date_bin(width, time [, origin])`,
    /// `date_trunc(unit, time [, zone])`.
    func bindBucket(
        _ name: String, _ arguments: [BoundExpression], _ named: [FunctionCall.NamedArgument],
        at position: SourcePosition
    ) throws(QueryError) -> BoundExpression {
        try expect(2...5, name, arguments, at: position)
        let time = try coerceToTime(arguments[1], name)
        var zone = time.type == .timestamp ? session.zone.rules : .utc
        var origin: Int64?
        var offset: Interval?
        for argument in arguments.dropFirst(2) {
            if name != "date_bin", argument.type == .string, let constant = argument.constant,
                !constant.isNull, name == "date_trunc" || !isTimestamp(constant.text)
            {
                zone = try zoneNamed(constant.text, at: argument.position)
            } else if argument.type == .interval {
                offset = try interval(argument, name)
            } else {
                origin = try instant(argument, name)
            }
        }
        for argument in named {
            let value = try bind(argument.value)
            switch asciiLowercased(argument.name.text) {
            case "origin": origin = try instant(value, name)
            case "offset": offset = try interval(value, name)
            case "timezone", "time_zone":
                zone = try zoneNamed(value.constant?.text ?? "", at: value.position)
            default:
                throw QueryError(
                    .semantic, "\(name) has no argument called `\(argument.name.text)`",
                    at: argument.name.position)
            }
        }
        let bucket: TimeBucket
        do throws(QueryError) {
            switch name {
            case "date_trunc":
                guard let unit = arguments[0].constant, unit.type == .string, !unit.isNull else {
                    throw QueryError(.semantic, "date_trunc's unit is a literal like 'hour'")
                }
                bucket = try .dateTrunc(unit: unit.text, zone: zone)
            case "date_bin":
                bucket = try .dateBin(
                    width: try interval(arguments[0], name), origin: origin, zone: zone)
            default:
                bucket = try .timeBucket(
                    width: try interval(arguments[0], name), zone: zone, origin: origin,
                    offset: offset)
            }
        } catch {
            throw error.at(arguments[0].position)
        }
        let type: ResultType = time.type == .date ? .timestampLocal : time.type
        return BoundExpression(.bucket(BucketRule(bucket, name: name), time), type, at: position)
    }

    func isTimestamp(_ text: String) -> Bool {
        (try? TimestampText.instant(text, zone: .utc)) != nil
    }

    func zoneNamed(
        _ name: String, at position: SourcePosition
    ) throws(QueryError) -> TimeZoneRules {
        do throws(QueryError) {
            return try TimeZoneRules.named(name)
        } catch {
            throw error.at(position)
        }
    }

    private func interval(
        _ bound: BoundExpression, _ name: String
    ) throws(QueryError) -> Interval {
        let value = try coerce(bound, to: .interval)
        guard bound.isUntyped || bound.type == .interval, let constant = value.constant,
            !constant.isNull
        else {
            throw QueryError(
                .semantic, "\(name) needs a constant interval here", at: bound.position)
        }
        return constant.interval
    }

    func instant(_ bound: BoundExpression, _ name: String) throws(QueryError) -> Int64 {
        let value = try coerce(try coerceToTime(bound, name), to: .timestamp)
        guard let constant = value.constant, !constant.isNull else {
            throw QueryError(.semantic, "\(name)'s origin is a constant", at: bound.position)
        }
        return constant.int64
    }
}
