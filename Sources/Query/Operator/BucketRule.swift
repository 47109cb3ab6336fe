// Which bucket a time belongs to: what time_bucket, date_bin and date_trunc come to once their
// constant arguments are known.

internal import ApusStorage

/// A time zone in a plan. Two are equal if their names are.
package struct ZoneHandle: Hashable, Sendable {
    package let rules: TimeZoneRules

    package init(_ rules: TimeZoneRules) { self.rules = rules }

    package static let utc = ZoneHandle(.utc)
    package static func == (left: ZoneHandle, right: ZoneHandle) -> Bool {
        left.rules.name == right.rules.name
    }
    package func hash(into hasher: inout Hasher) { hasher.combine(rules.name) }
}

/// A bucket function with its constant arguments.
package struct BucketRule: Hashable, Sendable {
    package let bucket: TimeBucket
    /// The function's name, for plans.
    package let name: String

    package init(_ bucket: TimeBucket, name: String) {
        self.bucket = bucket
        self.name = name
    }

    /// Origin and width if buckets are of equal length in UTC.
    package var fixed: (origin: Int64, width: Int64)? {
        bucket.fixedWidth.map { ($0.origin, $0.widthNanoseconds) }
    }

    /// The start of every row's bucket, in the type of the times; of dates, as timestamp_local.
    package func apply(_ times: Vector) -> Vector {
        if times.type == .date {
            let day = UInt64(bitPattern: CalendarMath.nanosecondsPerDay)
            return apply(mapUnary(times, .timestampLocal) { $0 &* day })
        }
        if let (origin, width) = fixed {
            return mapUnary(times, times.type) {
                UInt64(
                    bitPattern: TimeBucket.floor(Int64(bitPattern: $0), phase: origin, width: width)
                )
            }
        }
        guard bucket.isCalendar else {
            return mapUnary(times, times.type) {
                UInt64(bitPattern: bucket.floor(Int64(bitPattern: $0)))
            }
        }
        // Neighbouring rows mostly share a bucket, and finding one takes a hundred nanoseconds.
        var span: Range<Int64> = 0..<0
        return mapUnary(times, times.type) {
            let time = Int64(bitPattern: $0)
            if !span.contains(time) { span = bucket.calendarSpan(time) }
            return UInt64(bitPattern: span.lowerBound)
        }
    }
}

/// What EXTRACT takes out of a time.
package enum DatePart: String, Hashable, Sendable {
    case year, quarter, month, week, day, dow, isodow, doy, isoyear, hour, minute, second
    case millisecond, microsecond, nanosecond, epoch, decade, century, millennium

    package init?(named name: String) {
        let lower = asciiLowercased(name)
        let singular = lower.hasSuffix("s") && lower.count > 3 ? String(lower.dropLast()) : lower
        self.init(rawValue: DatePart(rawValue: lower) != nil ? lower : singular)
    }

    /// Float64 for every row, as PostgreSQL's date_part.
    package func apply(_ times: Vector, _ zone: TimeZoneRules) -> Vector {
        if times.type == .interval { return applyToIntervals(times) }
        let isDate = times.type == .date
        let isInstant = times.type == .timestamp
        return mapUnary(times, .float64) { slot in
            let raw = Int64(bitPattern: slot)
            let time = isDate ? raw &* CalendarMath.nanosecondsPerDay : raw
            if self == .epoch { return (Double(time) / 1e9).bitPattern }
            return value(ofLocal: isInstant ? zone.local(ofNanoseconds: time) : time).bitPattern
        }
    }

    private func value(ofLocal local: Int64) -> Double {
        let day = CalendarMath.nanosecondsPerDay
        let days = Int(CalendarMath.floorDivide(local, day))
        let inDay = CalendarMath.floorModulo(local, day)
        let date = CalendarMath.date(days: days)
        let inMinute = inDay % 60_000_000_000
        switch self {
        case .year: return Double(date.year)
        case .quarter: return Double((date.month - 1) / 3 + 1)
        case .month: return Double(date.month)
        case .week: return Double(CalendarMath.isoWeek(days: days).week)
        case .isoyear: return Double(CalendarMath.isoWeek(days: days).year)
        case .day: return Double(date.day)
        case .dow: return Double(CalendarMath.weekday(days: days) % 7)
        case .isodow: return Double(CalendarMath.weekday(days: days))
        case .doy: return Double(CalendarMath.dayOfYear(date))
        case .hour: return Double(inDay / 3_600_000_000_000)
        case .minute: return Double(inDay / 60_000_000_000 % 60)
        case .second: return Double(inMinute) / 1e9
        case .millisecond: return Double(inMinute) / 1e6
        case .microsecond: return Double(inMinute) / 1e3
        case .nanosecond: return Double(inMinute)
        case .decade: return Double(CalendarMath.floorDivide(date.year, 10))
        case .century: return Double(CalendarMath.floorDivide(date.year - 1, 100) + 1)
        case .millennium: return Double(CalendarMath.floorDivide(date.year - 1, 1000) + 1)
        case .epoch: return Double(local) / 1e9
        }
    }

    private func applyToIntervals(_ intervals: Vector) -> Vector {
        var builder = VectorBuilder(.float64, capacity: intervals.count)
        for row in 0..<intervals.count {
            guard intervals.isValid(row) else { builder.appendNull(); continue }
            builder.append(intervals.withBytes(row) { part(of: IntervalValue($0)) }.bitPattern)
        }
        return builder.finish()
    }

    private func part(of interval: IntervalValue) -> Double {
        let nanoseconds = interval.nanoseconds
        switch self {
        case .year: return Double(interval.months / 12)
        case .month: return Double(interval.months % 12)
        case .day: return Double(interval.days)
        case .hour: return Double(nanoseconds / 3_600_000_000_000)
        case .minute: return Double(nanoseconds / 60_000_000_000 % 60)
        case .second: return Double(nanoseconds % 60_000_000_000) / 1e9
        case .millisecond: return Double(nanoseconds % 60_000_000_000) / 1e6
        case .microsecond: return Double(nanoseconds % 60_000_000_000) / 1e3
        // As PostgreSQL: a year has 365.25 days, a month 30.
        case .epoch:
            let days = Double(interval.months / 12) * 365.25 + Double(interval.months % 12) * 30
            return (days + Double(interval.days)) * 86_400 + Double(nanoseconds) / 1e9
        default: return 0
        }
    }
}
