// Cutting time into half-open buckets that are labelled by their start.
//
// A bucket of days or longer follows the wall clock of its zone: a day with a clock change has 23
// or 25 hours. One of hours or shorter is elapsed time from its origin.
//
// Invariants
//   - `floor(t) <= t < next(floor(t))`, and `floor` never falls as `t` rises.

package struct TimeBucket: Hashable, Sendable {
    private enum Kind: Hashable, Sendable {
        /// Starts lie at `phase` modulo `width`; `0 <= phase < width`.
        case fixed(phase: Int64, width: Int64)
        /// Starts are local times, `width` apart by the wall clock.
        case wall(originLocal: Int64, width: Int64)
        /// Starts are local times, so many months apart.
        case months(originLocal: Int64, months: Int)
        /// Hours and shorter of `date_trunc`: cut by the offset that holds at the instant.
        case truncated(width: Int64)
    }

    private let kind: Kind
    private let zoneName: String
    private let zone: TimeZoneRules

    package static func == (left: TimeBucket, right: TimeBucket) -> Bool {
        left.kind == right.kind && left.zoneName == right.zoneName
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(zoneName)
    }

    private init(_ kind: Kind, zone: TimeZoneRules) {
        self.kind = kind
        self.zone = zone
        zoneName = zone.name
    }

    /// If every bucket has the same width: starts are the times equal to `origin` modulo the
    /// width, with `0 <= origin < widthNanoseconds`. A kernel can then do without this type.
    package var fixedWidth: (origin: Int64, widthNanoseconds: Int64)? {
        if case .fixed(let phase, let width) = kind { (phase, width) } else { nil }
    }

    // MARK: - Making

    private static let monday2000: Int64 = 946_857_600_000_000_000
    private static let newYear2000: Int64 = 946_684_800_000_000_000
    private static let newYear2001: Int64 = 978_307_200_000_000_000

    /// `time_bucket`: aligned to 2000-01-03 00:00, months and years to 2000-01-01, in the zone.
    ///
    /// - Parameters:
    ///   - origin: An instant at which a bucket begins, instead.
    ///   - offset: By how much every start is moved.
    /// - Throws: `semantic` if the width is not above zero, or mixes months with shorter units.
    package static func timeBucket(
        width: Interval, zone: TimeZoneRules = .utc, origin: Int64? = nil, offset: Interval? = nil
    ) throws(QueryError) -> TimeBucket {
        let standard = width.months != 0 ? newYear2000 : monday2000
        return try make(width, standard, zone, origin, offset)
    }

    /// `date_bin`: aligned to 1970-01-01 00:00 in the zone unless an origin is given.
    package static func dateBin(
        width: Interval, origin: Int64? = nil, zone: TimeZoneRules = .utc
    ) throws(QueryError) -> TimeBucket {
        try make(width, 0, zone, origin, nil)
    }

    private static func make(
        _ width: Interval, _ standardLocal: Int64, _ zone: TimeZoneRules, _ origin: Int64?,
        _ offset: Interval?
    ) throws(QueryError) -> TimeBucket {
        var originLocal = origin.map { zone.local(ofNanoseconds: $0) } ?? standardLocal
        if let offset {
            guard let moved = offset.added(toLocal: originLocal) else {
                throw QueryError(.semantic, "the bucket's offset is too long")
            }
            originLocal = moved
        }
        if width.months != 0 {
            guard width.days == 0, width.nanoseconds == 0 else {
                throw QueryError(
                    .semantic, "a bucket's width cannot mix months with days or shorter units")
            }
            guard width.months > 0 else { throw notPositive }
            return TimeBucket(
                .months(originLocal: originLocal, months: Int(width.months)), zone: zone)
        }
        guard let nanoseconds = width.fixedNanoseconds else {
            throw QueryError(.semantic, "a bucket's width is at most 292 years")
        }
        guard nanoseconds > 0 else { throw notPositive }
        if width.days != 0, zone.fixedOffsetSeconds == nil {
            return TimeBucket(.wall(originLocal: originLocal, width: nanoseconds), zone: zone)
        }
        let start = zone.instant(ofLocalNanoseconds: originLocal)
        let phase = CalendarMath.floorModulo(start, nanoseconds)
        return TimeBucket(.fixed(phase: phase, width: nanoseconds), zone: zone)
    }

    private static var notPositive: QueryError {
        QueryError(.semantic, "a bucket's width must be above zero")
    }

    /// `date_trunc`: to the calendar's unit in the zone.
    ///
    /// - Throws: `semantic` if there is no such unit.
    package static func dateTrunc(
        unit: String, zone: TimeZoneRules = .utc
    ) throws(QueryError) -> TimeBucket {
        let second: Int64 = 1_000_000_000
        switch asciiLowercased(unit) {
        case "nanosecond", "nanoseconds": return truncating(1, zone)
        case "microsecond", "microseconds": return truncating(1_000, zone)
        case "millisecond", "milliseconds": return truncating(1_000_000, zone)
        case "second", "seconds": return truncating(second, zone)
        case "minute", "minutes": return truncating(60 * second, zone)
        case "hour", "hours": return truncating(3_600 * second, zone)
        case "day", "days": return try make(Interval(days: 1), monday2000, zone, nil, nil)
        case "week", "weeks": return try make(Interval(days: 7), monday2000, zone, nil, nil)
        case "month", "months": return calendar(1, newYear2000, zone)
        case "quarter", "quarters": return calendar(3, newYear2000, zone)
        case "year", "years": return calendar(12, newYear2000, zone)
        case "decade", "decades": return calendar(120, newYear2000, zone)
        case "century", "centuries": return calendar(1_200, newYear2001, zone)
        case "millennium", "millennia": return calendar(12_000, newYear2001, zone)
        default:
            throw QueryError(
                .semantic, "date_trunc knows no unit '\(unit.prefix(40))'",
                hint: "units are microseconds, milliseconds, second, minute, hour, day, week, "
                    + "month, quarter, year, decade, century and millennium")
        }
    }

    private static func calendar(
        _ months: Int, _ originLocal: Int64, _ zone: TimeZoneRules
    ) -> TimeBucket {
        TimeBucket(.months(originLocal: originLocal, months: months), zone: zone)
    }

    private static func truncating(_ width: Int64, _ zone: TimeZoneRules) -> TimeBucket {
        guard let offset = zone.fixedOffsetSeconds else {
            return TimeBucket(.truncated(width: width), zone: zone)
        }
        let phase = CalendarMath.floorModulo(-Int64(offset) * 1_000_000_000, width)
        return TimeBucket(.fixed(phase: phase, width: width), zone: zone)
    }

    // MARK: - Using

    /// The start of the bucket an instant lies in. At the lower end of the range of times, where
    /// a start would lie before it, that end.
    package func floor(_ instant: Int64) -> Int64 {
        switch kind {
        case .fixed(let phase, let width):
            return TimeBucket.floor(instant, phase: phase, width: width)
        case .truncated(let width):
            let seconds = CalendarMath.floorDivide(instant, CalendarMath.nanosecondsPerSecond)
            let offset = zone.offsetSeconds(at: seconds) * CalendarMath.nanosecondsPerSecond
            let phase = CalendarMath.floorModulo(-offset, width)
            return TimeBucket.floor(instant, phase: phase, width: width)
        case .wall, .months:
            return start(ofBucket: number(of: instant))
        }
    }

    /// The start of the bucket behind the one an instant lies in; the range's end at the end.
    package func next(_ instant: Int64) -> Int64 {
        switch kind {
        case .fixed(_, let width), .truncated(let width):
            let (sum, overflow) = floor(instant).addingReportingOverflow(width)
            return overflow ? .max : sum
        case .wall, .months:
            return start(ofBucket: number(of: instant) + 1)
        }
    }

    /// Whether buckets are stretches of time whose lengths differ: days in a zone with clock changes,
    /// months.
    package var isCalendar: Bool {
        switch kind {
        case .wall, .months: true
        case .fixed, .truncated: false
        }
    }

    /// The bucket of a calendar's that an instant lies in: all times of the stretch have its start. The
    /// greatest time of all lies in none.
    package func calendarSpan(_ instant: Int64) -> Range<Int64> {
        let number = number(of: instant)
        return start(ofBucket: number)..<start(ofBucket: number + 1)
    }

    /// `floor` for a fixed width, `phase` being in `0 ..< width`.
    @inline(__always)
    package static func floor(_ instant: Int64, phase: Int64, width: Int64) -> Int64 {
        var rest = CalendarMath.floorModulo(instant, width) - phase
        if rest < 0 { rest += width }
        let (start, overflow) = instant.subtractingReportingOverflow(rest)
        return overflow ? .min : start
    }

    /// Buckets are counted from the origin. The guess from the local reading can be one off where
    /// the clock changes or a month's end is cut.
    private func number(of instant: Int64) -> Int {
        var number = guess(zone.local(ofNanoseconds: instant))
        while start(ofBucket: number) > instant { number -= 1 }
        while true {
            let following = start(ofBucket: number + 1)
            if following > instant || following == .max { return number }
            number += 1
        }
    }

    private func guess(_ local: Int64) -> Int {
        switch kind {
        case .wall(let origin, let width):
            return Int(CalendarMath.floorDivide(Int128(local) - Int128(origin), Int128(width)))
        case .months(let origin, let months):
            return CalendarMath.floorDivide(month(of: local) - month(of: origin), months)
        case .fixed, .truncated:
            return 0
        }
    }

    private func month(of local: Int64) -> Int {
        let day = CalendarMath.floorDivide(local, CalendarMath.nanosecondsPerDay)
        return CalendarMath.monthIndex(CalendarMath.date(days: Int(day)))
    }

    /// Saturates at the ends of the range of times.
    private func start(ofBucket number: Int) -> Int64 {
        let local: Int128
        switch kind {
        case .wall(let origin, let width):
            local = Int128(origin) + Int128(number) * Int128(width)
        case .months(let origin, let months):
            let day = CalendarMath.floorDivide(origin, CalendarMath.nanosecondsPerDay)
            let rest = CalendarMath.floorModulo(origin, CalendarMath.nanosecondsPerDay)
            let date = CalendarMath.adding(
                months: number * months, to: CalendarMath.date(days: Int(day)))
            let days = CalendarMath.days(year: date.year, month: date.month, day: date.day)
            local = Int128(days) * Int128(CalendarMath.nanosecondsPerDay) + Int128(rest)
        case .fixed, .truncated:
            return 0
        }
        guard let reading = Int64(exactly: local) else { return local < 0 ? .min : .max }
        return zone.instant(ofLocalNanoseconds: reading)
    }
}
