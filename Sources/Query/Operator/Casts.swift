// Casts between the nine types.

internal import ApusStorage
internal import Glibc

func castVector(
    _ operand: Vector, to type: ResultType, _ zone: TimeZoneRules, _ frame: Frame,
    at position: SourcePosition
) throws(QueryError) -> Vector {
    if operand.type == type { return operand }
    if let fast = numberCast(operand, to: type) { return fast }
    let slots = operand.isConstant ? 1 : operand.count
    var builder = VectorBuilder(type, capacity: slots)
    for row in 0..<slots {
        guard operand.isValid(row) else { builder.appendNull(); continue }
        do throws(QueryError) {
            builder.append(try castConstant(operand.constant(row), to: type, zone, at: position))
        } catch {
            if frame.isActive(row) { throw error }
            builder.appendNull()
        }
    }
    var result = builder.finish()
    result.isConstant = operand.isConstant
    result.count = operand.count
    return result
}

/// Casts that cannot fail.
private func numberCast(_ operand: Vector, to type: ResultType) -> Vector? {
    switch (operand.type, type) {
    case (.int64, .float64):
        mapUnary(operand, type) { Double(Int64(bitPattern: $0)).bitPattern }
    case (.uint64, .float64): mapUnary(operand, type) { Double($0).bitPattern }
    case (.int64, .bool), (.uint64, .bool): mapUnary(operand, type) { $0 == 0 ? 0 : 1 }
    case (.bool, .int64), (.bool, .uint64): mapUnary(operand, type) { $0 }
    case (.bool, .float64): mapUnary(operand, type) { Double($0).bitPattern }
    default: nil
    }
}

/// Casts one value that is not NULL.
func castConstant(
    _ value: Constant, to type: ResultType, _ zone: TimeZoneRules, at position: SourcePosition?
) throws(QueryError) -> Constant {
    if value.type == type { return value }
    if type == .string { return Constant(type: .string, bytes: textBytes(of: value, zone)) }
    do throws(QueryError) {
        if value.type == .string { return try parsed(value.text, as: type, zone) }
        return try converted(value, to: type, zone)
    } catch {
        var placed = error
        placed.line = placed.line ?? position?.line
        placed.column = placed.column ?? position?.column
        throw placed
    }
}

private func trimmedText(_ text: String) -> String {
    var view = text[...]
    while view.first?.isWhitespace == true { view.removeFirst() }
    while view.last?.isWhitespace == true { view.removeLast() }
    return String(view)
}

private func parsed(
    _ text: String, as type: ResultType, _ zone: TimeZoneRules
) throws(QueryError) -> Constant {
    func malformed(_ article: String) -> QueryError {
        QueryError(.semantic, "'\(text.prefix(60))' is not \(article) \(type.rawValue)")
    }
    let trimmed = trimmedText(text)
    switch type {
    case .int64:
        guard let number = Int64(trimmed) else { throw malformed("an") }
        return .int64(number)
    case .uint64:
        guard let number = UInt64(trimmed) else { throw malformed("a") }
        return Constant(type: .uint64, slot: number)
    case .float64:
        guard let number = Double(trimmed) else { throw malformed("a") }
        return .float64(number)
    case .bool:
        switch asciiLowercased(trimmed) {
        case "t", "true", "yes", "y", "on", "1": return .bool(true)
        case "f", "false", "no", "n", "off", "0": return .bool(false)
        default: throw malformed("a")
        }
    case .timestamp: return .timestamp(try TimestampText.instant(trimmed, zone: zone))
    case .timestampLocal:
        return Constant(type: type, slot: UInt64(bitPattern: try TimestampText.local(trimmed)))
    case .date:
        return Constant(
            type: type, slot: UInt64(bitPattern: Int64(try TimestampText.days(trimmed))))
    case .interval: return IntervalValue(try Interval.parse(trimmed)).constant
    case .string: return .string(text)
    }
}

extension IntervalValue {
    init(_ interval: Interval) {
        self.init(
            months: interval.months, days: interval.days, nanoseconds: interval.nanoseconds)
    }

    var interval: Interval { Interval(months: months, days: days, nanoseconds: nanoseconds) }
}

private func converted(
    _ value: Constant, to type: ResultType, _ zone: TimeZoneRules
) throws(QueryError) -> Constant {
    func instant(_ nanoseconds: Int64) -> Constant {
        Constant(type: type, slot: UInt64(bitPattern: nanoseconds))
    }
    let day = CalendarMath.nanosecondsPerDay
    switch (value.type, type) {
    case (.float64, .int64):
        let rounded = value.float64.rounded(.toNearestOrEven)
        guard let number = Int64(exactly: rounded) else { throw outOfRange(type, at: nil) }
        return .int64(number)
    case (.float64, .uint64):
        guard let number = UInt64(exactly: value.float64.rounded(.toNearestOrEven)) else {
            throw outOfRange(type, at: nil)
        }
        return Constant(type: type, slot: number)
    case (.float64, .bool): return .bool(value.float64 != 0)
    case (.int64, .uint64), (.uint64, .int64):
        guard value.int64 >= 0 else { throw outOfRange(type, at: nil) }
        return Constant(type: type, slot: value.slot)
    // An integer against time is nanoseconds.
    case (.int64, .timestamp), (.int64, .timestampLocal): return instant(value.int64)
    case (.timestamp, .timestampLocal): return instant(zone.local(ofNanoseconds: value.int64))
    case (.timestampLocal, .timestamp):
        return instant(zone.instant(ofLocalNanoseconds: value.int64))
    case (.timestamp, .date):
        return instant(CalendarMath.floorDivide(zone.local(ofNanoseconds: value.int64), day))
    case (.timestampLocal, .date): return instant(CalendarMath.floorDivide(value.int64, day))
    case (.date, .timestamp), (.date, .timestampLocal):
        let (local, overflow) = value.int64.multipliedReportingOverflow(by: day)
        guard !overflow else { throw outOfRange(type, at: nil) }
        return instant(type == .timestamp ? zone.instant(ofLocalNanoseconds: local) : local)
    default:
        throw QueryError(.semantic, "cannot cast \(value.type.rawValue) to \(type.rawValue)")
    }
}

/// A value as text, the way a cast to text and answers in CSV write it.
package func textBytes(of value: Constant, _ zone: TimeZoneRules) -> [UInt8] {
    switch value.type {
    case .string: return value.bytes
    case .interval:
        // Safe: an interval constant holds exactly the bytes that IntervalValue reads.
        let interval = value.bytes.withUnsafeBytes { IntervalValue($0) }
        return Array(interval.interval.description.utf8)
    case .float64:
        let number = value.float64
        if number.isNaN { return Array("NaN".utf8) }
        if number.isInfinite { return Array((number < 0 ? "-Infinity" : "Infinity").utf8) }
        let text = number.description
        return Array((text.hasSuffix(".0") ? String(text.dropLast(2)) : text).utf8)
    case .int64: return Array(String(value.int64).utf8)
    case .uint64: return Array(String(value.slot).utf8)
    case .bool: return Array((value.slot != 0 ? "true" : "false").utf8)
    case .timestamp: return Array(TimestampText.text(value.int64).utf8)
    case .timestampLocal: return Array(TimestampText.localText(value.int64).utf8)
    case .date: return Array(TimestampText.dateText(days: Int(value.int64)).utf8)
    }
}
