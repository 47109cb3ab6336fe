// Intervals in flight, and the operators of times and intervals.
//
//     an interval in a vector's bytes, 16 bytes in the machine's order
//
//     offset  size  field
//     ──────  ────  ───────────────────────
//          0     4  months       Int32
//          4     4  days         Int32
//          8     8  nanoseconds  Int64

internal import ApusStorage

extension Constant {
    /// Of type interval, and not NULL.
    var interval: Interval {
        // Safe: an interval constant holds exactly the bytes that IntervalValue reads.
        bytes.withUnsafeBytes { IntervalValue($0) }.interval
    }
}

package struct IntervalValue: Hashable, Sendable {
    package var months: Int32
    package var days: Int32
    package var nanoseconds: Int64

    package init(months: Int32, days: Int32, nanoseconds: Int64) {
        self.months = months
        self.days = days
        self.nanoseconds = nanoseconds
    }

    /// Nil where a part leaves its range.
    init?(_ months: Int128, _ days: Int128, _ nanoseconds: Int128) {
        guard let months = Int32(exactly: months), let days = Int32(exactly: days),
            let nanoseconds = Int64(exactly: nanoseconds)
        else { return nil }
        self.init(months: months, days: days, nanoseconds: nanoseconds)
    }

    package init(_ raw: UnsafeRawBufferPointer) {
        // Safe: `loadUnaligned` checks its range against the buffer, which holds 16 bytes.
        months = raw.loadUnaligned(fromByteOffset: 0, as: Int32.self)
        days = raw.loadUnaligned(fromByteOffset: 4, as: Int32.self)
        nanoseconds = raw.loadUnaligned(fromByteOffset: 8, as: Int64.self)
    }

    package var bytes: [UInt8] {
        withUnsafeBytes(of: months) { Array($0) } + withUnsafeBytes(of: days) { Array($0) }
            + withUnsafeBytes(of: nanoseconds) { Array($0) }
    }

    package var constant: Constant { Constant(type: .interval, bytes: bytes) }

    /// As PostgreSQL compares: a month is 30 days, a day 24 hours.
    private var comparable: Int128 {
        (Int128(months) * 30 + Int128(days)) * 86_400_000_000_000 + Int128(nanoseconds)
    }

    /// Two halves that sort as the intervals do, the high one first.
    var orderedWords: (high: UInt64, low: UInt64) {
        let bits = UInt128(truncatingIfNeeded: comparable) ^ 1 << 127
        return (UInt64(truncatingIfNeeded: bits >> 64), UInt64(truncatingIfNeeded: bits))
    }

    package func compare(_ other: IntervalValue) -> Int {
        comparable == other.comparable ? 0 : (comparable < other.comparable ? -1 : 1)
    }

    /// The same for all intervals that are equal: days, and what is left of one; months only where there
    /// are too many days.
    var canonical: IntervalValue {
        let day: Int128 = 86_400_000_000_000
        let (days, rest) = comparable.quotientAndRemainder(dividingBy: day)
        return IntervalValue(0, days, rest) ?? IntervalValue(days / 30, days % 30, rest) ?? self
    }

    /// Nanoseconds, if no part is a month or (where `daysAreElapsed` is false) a day.
    package func fixedNanoseconds(daysAreElapsed: Bool) -> Int64? {
        guard months == 0, days == 0 || daysAreElapsed else { return nil }
        return Int64(exactly: Int128(days) * 86_400_000_000_000 + Int128(nanoseconds))
    }

    /// Local nanoseconds moved by months and days on the calendar; nil out of range.
    func moveLocal(_ local: Int64, sign: Int64) -> Int64? {
        let day = CalendarMath.nanosecondsPerDay
        var days = Int(CalendarMath.floorDivide(local, day))
        let inDay = CalendarMath.floorModulo(local, day)
        if months != 0 {
            guard months.magnitude < 1_000_000 else { return nil }
            let date = CalendarMath.adding(
                months: Int(sign) * Int(months), to: CalendarMath.date(days: days))
            days = CalendarMath.days(year: date.year, month: date.month, day: date.day)
        }
        days += Int(sign) * Int(self.days)
        return Int64(exactly: Int128(days) * Int128(day) + Int128(inDay))
    }

    /// An instant moved: months and days on the zone's calendar, the rest as elapsed time.
    package func add(to time: Int64, sign: Int64, zone: TimeZoneRules) -> Int64? {
        var time = time
        if months != 0 || days != 0 {
            guard let moved = moveLocal(zone.local(ofNanoseconds: time), sign: sign) else {
                return nil
            }
            time = zone.instant(ofLocalNanoseconds: moved)
        }
        return Int64(exactly: Int128(time) + Int128(sign) * Int128(nanoseconds))
    }
}

func timeArithmetic(
    _ op: TimeOperator, _ left: Vector, _ right: Vector, _ zone: TimeZoneRules, _ frame: Frame,
    at position: SourcePosition
) throws(QueryError) -> Vector {
    let (type, zone): (ResultType, TimeZoneRules) =
        switch op {
        case .timestampPlusInterval, .timestampMinusInterval: (.timestamp, zone)
        case .localPlusInterval, .localMinusInterval: (.timestampLocal, .utc)
        case .datePlusDays, .dateMinusDays: (.date, .utc)
        case .dateMinusDate: (.int64, .utc)
        default: (.interval, .utc)
        }
    let isConstant = left.isConstant && right.isConstant
    let slots = isConstant ? 1 : left.count
    var builder = VectorBuilder(type, capacity: slots)
    for row in 0..<slots {
        guard left.isValid(row), right.isValid(row) else { builder.appendNull(); continue }
        guard let value = timeValue(op, left, right, row, zone) else {
            let dividesByZero = op == .intervalDividedByNumber && right.slot(row) << 1 == 0
            if frame.isActive(row), !dividesByZero { throw outOfRange(type, at: position) }
            builder.appendNull()
            continue
        }
        builder.append(value)
    }
    var result = builder.finish()
    result.isConstant = isConstant
    result.count = left.count
    return result
}

private func timeValue(
    _ op: TimeOperator, _ left: Vector, _ right: Vector, _ row: Int, _ zone: TimeZoneRules
) -> Constant? {
    func interval(_ vector: Vector) -> IntervalValue { vector.withBytes(row) { IntervalValue($0) } }
    func integer(_ vector: Vector) -> Int64 { Int64(bitPattern: vector.slot(row)) }
    func instant(_ value: Int64?, _ type: ResultType) -> Constant? {
        value.map { Constant(type: type, slot: UInt64(bitPattern: $0)) }
    }
    switch op {
    case .timestampPlusInterval, .localPlusInterval, .timestampMinusInterval, .localMinusInterval:
        let sign: Int64 = op == .timestampPlusInterval || op == .localPlusInterval ? 1 : -1
        return instant(
            interval(right).add(to: integer(left), sign: sign, zone: zone),
            left.type == .timestamp ? .timestamp : .timestampLocal)
    case .timestampMinusTimestamp:
        let distance = Int128(integer(left)) - Int128(integer(right))
        let day: Int128 = 86_400_000_000_000
        // PostgreSQL gives days and hours, never months.
        return IntervalValue(0, distance / day, distance % day)?.constant
    case .datePlusDays:
        return instant(checked(integer(left).addingReportingOverflow(integer(right))), .date)
    case .dateMinusDays:
        return instant(checked(integer(left).subtractingReportingOverflow(integer(right))), .date)
    case .dateMinusDate:
        return instant(checked(integer(left).subtractingReportingOverflow(integer(right))), .int64)
    case .intervalPlusInterval, .intervalMinusInterval:
        let a = interval(left)
        let b = interval(right)
        let sign: Int128 = op == .intervalPlusInterval ? 1 : -1
        return IntervalValue(
            Int128(a.months) + sign * Int128(b.months), Int128(a.days) + sign * Int128(b.days),
            Int128(a.nanoseconds) + sign * Int128(b.nanoseconds))?.constant
    case .intervalNegated:
        let a = interval(left)
        return IntervalValue(-Int128(a.months), -Int128(a.days), -Int128(a.nanoseconds))?.constant
    case .intervalTimesNumber:
        return scaled(interval(left), by: Double(bitPattern: right.slot(row)))
    case .intervalDividedByNumber:
        let divisor = Double(bitPattern: right.slot(row))
        return divisor == 0 ? nil : scaled(interval(left), by: 1 / divisor)
    }
}

/// The fraction of a month flows into days, that of a day into hours, as in PostgreSQL.
private func scaled(_ interval: IntervalValue, by factor: Double) -> Constant? {
    let months = Double(interval.months) * factor
    let wholeMonths = months.rounded(.towardZero)
    let days = Double(interval.days) * factor + (months - wholeMonths) * 30
    let wholeDays = days.rounded(.towardZero)
    let fraction = ((days - wholeDays) * 86_400e9).rounded()
    let nanoseconds = (Double(interval.nanoseconds) * factor).rounded() + fraction
    guard wholeMonths.magnitude < 2e9, wholeDays.magnitude < 2e9, nanoseconds.magnitude < 9.2e18
    else { return nil }
    return IntervalValue(
        months: Int32(wholeMonths), days: Int32(wholeDays), nanoseconds: Int64(nanoseconds)
    ).constant
}

/// timestamp → timestamp_local in a zone, and back.
func atTimeZoneVector(
    _ times: Vector, _ zones: Vector, to type: ResultType
) throws(QueryError) -> Vector {
    var builder = VectorBuilder(type, capacity: times.count)
    var lastName: [UInt8]?
    var rules = TimeZoneRules.utc
    for row in 0..<times.count {
        guard times.isValid(row), zones.isValid(row) else { builder.appendNull(); continue }
        let name = zones.byteArray(row)
        if name != lastName {
            rules = try TimeZoneRules.named(String(decoding: name, as: UTF8.self))
            lastName = name
        }
        let time = Int64(bitPattern: times.slot(row))
        let moved =
            type == .timestampLocal
            ? rules.local(ofNanoseconds: time) : rules.instant(ofLocalNanoseconds: time)
        builder.append(UInt64(bitPattern: moved))
    }
    return builder.finish()
}

private func checked(_ result: (partialValue: Int64, overflow: Bool)) -> Int64? {
    result.overflow ? nil : result.partialValue
}
