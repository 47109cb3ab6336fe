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

package struct BucketRule: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// Elapsed time, one bucket starting at `origin`.
        case fixed(origin: Int64, width: Int64)
        /// Elapsed time aligned to the local clock: date_trunc of hours and shorter.
        case clock(width: Int64)
        /// Whole local days, one bucket starting at day `origin` after 1970-01-01, `timeOfDay`
        /// behind midnight.
        case days(origin: Int, width: Int, timeOfDay: Int64)
        /// Whole months, counted from January 1970, `dayOffset` nanoseconds behind the first.
        case months(origin: Int, width: Int)
    }

    package let kind: Kind
    package let zone: ZoneHandle
    /// The function's name, for plans.
    package let name: String

    /// Days in UTC, or without a zone, are elapsed time.
    package init(_ kind: Kind, zone: ZoneHandle, name: String) {
        self.zone = zone
        self.name = name
        if zone.rules.isUTC {
            switch kind {
            case .days(let origin, let width, let timeOfDay):
                let day = CalendarMath.nanosecondsPerDay
                self.kind = .fixed(
                    origin: Int64(origin) &* day &+ timeOfDay, width: Int64(width) &* day)
                return
            case .clock(let width):
                self.kind = .fixed(origin: 0, width: width)
                return
            default: break
            }
        }
        self.kind = kind
    }

    /// Origin and width if buckets are of equal length in UTC.
    package var fixed: (origin: Int64, width: Int64)? {
        if case .fixed(let origin, let width) = kind { (origin, width) } else { nil }
    }

    /// The start of the bucket that holds a time; saturates at the ends of the range.
    @inline(__always)
    package func start(of time: Int64) -> Int64 {
        if case .fixed(let origin, let width) = kind {
            return BucketRule.fixedStart(of: time, origin: origin, width: width)
        }
        return calendarStart(of: time)
    }

    @inline(__always)
    package static func fixedStart(of time: Int64, origin: Int64, width: Int64) -> Int64 {
        let (distance, overflow) = time.subtractingReportingOverflow(origin)
        if overflow { return wideStart(of: time, origin: origin, width: width) }
        var remainder = distance % width
        if remainder < 0 { remainder &+= width }
        let (start, below) = time.subtractingReportingOverflow(remainder)
        return below ? .min : start
    }

    private static func wideStart(of time: Int64, origin: Int64, width: Int64) -> Int64 {
        let distance = Int128(time) - Int128(origin)
        let start = Int128(time) - CalendarMath.floorModulo(distance, Int128(width))
        return Int64(clamping: start)
    }

    private func calendarStart(of time: Int64) -> Int64 {
        let rules = zone.rules
        let local = rules.local(ofNanoseconds: time)
        let day = CalendarMath.nanosecondsPerDay
        switch kind {
        case .fixed: return time
        case .clock(let width):
            let start = local.subtractingReportingOverflow(CalendarMath.floorModulo(local, width))
            // The offset that holds now: an hour that occurs twice stays two hours.
            return start.overflow ? .min : start.partialValue &- (local &- time)
        case .days(let origin, let width, let timeOfDay):
            let number = Int(CalendarMath.floorDivide(local &- timeOfDay, day))
            let start = number - CalendarMath.floorModulo(number - origin, width)
            return rules.instant(ofLocalNanoseconds: saturatingDays(start) &+ timeOfDay)
        case .months(let origin, let width):
            let date = CalendarMath.date(days: Int(CalendarMath.floorDivide(local, day)))
            let month = CalendarMath.monthIndex(date)
            let start = month - CalendarMath.floorModulo(month - origin, width)
            let year = 1970 + CalendarMath.floorDivide(start, 12)
            let days = CalendarMath.days(
                year: year, month: CalendarMath.floorModulo(start, 12) + 1, day: 1)
            return rules.instant(ofLocalNanoseconds: saturatingDays(days))
        }
    }

    /// A vector of bucket starts, computed once for each run of rows in the same bucket.
    package func apply(_ times: Vector) -> Vector {
        if times.type == .date {
            let day = UInt64(bitPattern: CalendarMath.nanosecondsPerDay)
            var scaled = mapUnary(times, .timestampLocal) { $0 &* day }
            scaled = apply(scaled)
            return scaled
        }
        if case .fixed(let origin, let width) = kind {
            return mapUnary(times, times.type) {
                UInt64(bitPattern: Self.fixedStart(
                    of: Int64(bitPattern: $0), origin: origin, width: width))
            }
        }
        return mapUnary(times, times.type) {
            UInt64(bitPattern: calendarStart(of: Int64(bitPattern: $0)))
        }
    }
}

private func saturatingDays(_ days: Int) -> Int64 {
    let (value, overflow) = Int64(days).multipliedReportingOverflow(
        by: CalendarMath.nanosecondsPerDay)
    return overflow ? (days < 0 ? .min : .max) : value
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
