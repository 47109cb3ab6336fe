// The proleptic Gregorian calendar: days since 1970-01-01 and dates, months and weekdays.
//
// All arithmetic is exact over the days that nanosecond times can reach and far beyond
// (±10⁹ days), so that nothing here can overflow.

package enum CalendarMath {
    package static let nanosecondsPerSecond: Int64 = 1_000_000_000
    package static let secondsPerDay: Int64 = 86_400
    package static let nanosecondsPerDay: Int64 = 86_400_000_000_000

    package struct Date: Hashable, Sendable {
        package var year: Int
        /// 1 ... 12
        package var month: Int
        /// 1 ... 31
        package var day: Int

        package init(year: Int, month: Int, day: Int) {
            self.year = year
            self.month = month
            self.day = day
        }
    }

    /// Days since 1970-01-01. The date must exist; the year must be within ±10⁶.
    package static func days(year: Int, month: Int, day: Int) -> Int {
        // Years that begin in March put the leap day last; 400 of them are 146,097 days.
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = floorDivide(shiftedYear, 400)
        let yearOfEra = shiftedYear - era * 400
        let monthFromMarch = (month + 9) % 12
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// The date of a day counted from 1970-01-01.
    package static func date(days: Int) -> Date {
        let shifted = days + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return Date(year: year, month: month, day: day)
    }

    package static func isLeap(_ year: Int) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    package static func dayCount(year: Int, month: Int) -> Int {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Monday 1 ... Sunday 7, as ISO 8601 counts.
    package static func weekday(days: Int) -> Int {
        // 1970-01-01 was a Thursday.
        floorModulo(days + 3, 7) + 1
    }

    /// From 1.
    package static func dayOfYear(_ date: Date) -> Int {
        days(year: date.year, month: date.month, day: date.day)
            - days(year: date.year, month: 1, day: 1) + 1
    }

    /// The ISO 8601 week and the year it belongs to, which differ around New Year.
    package static func isoWeek(days: Int) -> (year: Int, week: Int) {
        let thursday = days + 4 - weekday(days: days)
        let year = date(days: thursday).year
        let firstDay = self.days(year: year, month: 1, day: 1)
        return (year, (thursday - firstDay) / 7 + 1)
    }

    /// The same day some months away, cut to that month's last day as PostgreSQL does.
    package static func adding(months: Int, to date: Date) -> Date {
        let total = date.year * 12 + (date.month - 1) + months
        let year = floorDivide(total, 12)
        let month = floorModulo(total, 12) + 1
        return Date(
            year: year, month: month, day: min(date.day, dayCount(year: year, month: month)))
    }

    /// Months since January 1970.
    package static func monthIndex(_ date: Date) -> Int { (date.year - 1970) * 12 + date.month - 1 }

    /// Division that rounds down; the divisor must be positive.
    @inline(__always)
    package static func floorDivide<Value: BinaryInteger>(
        _ value: Value, _ divisor: Value
    ) -> Value {
        let quotient = value / divisor
        return value % divisor < 0 ? quotient - 1 : quotient
    }

    /// The remainder that goes with `floorDivide`: never negative.
    @inline(__always)
    package static func floorModulo<Value: BinaryInteger>(
        _ value: Value, _ divisor: Value
    ) -> Value {
        let remainder = value % divisor
        return remainder < 0 ? remainder + divisor : remainder
    }
}
