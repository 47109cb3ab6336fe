// A span of time the calendar way: months, days and nanoseconds apart, because months and days
// have no fixed length.

package struct Interval: Hashable, Sendable {
    package var months: Int32
    package var days: Int32
    package var nanoseconds: Int64

    package init(months: Int32 = 0, days: Int32 = 0, nanoseconds: Int64 = 0) {
        self.months = months
        self.days = days
        self.nanoseconds = nanoseconds
    }

    package static let zero = Interval()

    /// With days of 24 hours; nil with months, or beyond an Int64.
    package var fixedNanoseconds: Int64? {
        guard months == 0 else { return nil }
        let value = Int128(days) * 86_400_000_000_000 + Int128(nanoseconds)
        return Int64(exactly: value)
    }

    /// With months of 30 and days of 24 hours, as PostgreSQL compares intervals.
    package var comparableNanoseconds: Int128 {
        (Int128(months) * 30 + Int128(days)) * 86_400_000_000_000 + Int128(nanoseconds)
    }

    /// Nil if a part overflows.
    package var negated: Interval? {
        guard months != .min, days != .min, nanoseconds != .min else { return nil }
        return Interval(months: -months, days: -days, nanoseconds: -nanoseconds)
    }

    /// The instant this far from another: months, then days, by the wall clock of the zone; the
    /// rest is elapsed time. Nil outside the range of times.
    package func added(to instant: Int64, zone: TimeZoneRules = .utc) -> Int64? {
        var result = instant
        if months != 0 || days != 0 {
            let local = zone.local(ofNanoseconds: instant)
            guard let moved = addedToLocal(local, nanoseconds: 0) else { return nil }
            result = zone.instant(ofLocalNanoseconds: moved)
        }
        let (sum, overflow) = result.addingReportingOverflow(nanoseconds)
        return overflow ? nil : sum
    }

    /// The wall-clock reading this far from another.
    package func added(toLocal local: Int64) -> Int64? {
        addedToLocal(local, nanoseconds: nanoseconds)
    }

    private func addedToLocal(_ local: Int64, nanoseconds: Int64) -> Int64? {
        let day = CalendarMath.floorDivide(local, CalendarMath.nanosecondsPerDay)
        let rest = CalendarMath.floorModulo(local, CalendarMath.nanosecondsPerDay)
        let date = CalendarMath.adding(
            months: Int(months), to: CalendarMath.date(days: Int(day)))
        let moved =
            CalendarMath.days(year: date.year, month: date.month, day: date.day) + Int(days)
        let value =
            Int128(moved) * Int128(CalendarMath.nanosecondsPerDay) + Int128(rest)
            + Int128(nanoseconds)
        return Int64(exactly: value)
    }
}

extension Interval: CustomStringConvertible {
    /// PostgreSQL's own style: `1 year 2 mons 3 days 04:05:06.5`.
    package var description: String {
        var text = ""
        var isBefore = false
        func append(_ value: Int, _ unit: String) {
            guard value != 0 else { return }
            if !text.isEmpty { text += " " }
            if isBefore, value > 0 { text += "+" }
            text += "\(value) \(unit)" + (value == 1 ? "" : "s")
            isBefore = value < 0
        }
        append(Int(months) / 12, "year")
        append(Int(months) % 12, "mon")
        append(Int(days), "day")
        guard nanoseconds != 0 || text.isEmpty else { return text }
        if !text.isEmpty { text += " " }
        if nanoseconds < 0 { text += "-" } else if isBefore { text += "+" }
        var bytes: [UInt8] = []
        // The one value whose magnitude is no Int64 loses its last nanosecond.
        TimestampText.appendTimeOfDay(
            nanoseconds == .min ? .max : abs(nanoseconds), to: &bytes)
        return text + String(decoding: bytes, as: UTF8.self)
    }
}
