// The POSIX TZ rule at the end of a zone file: what holds for ever after its last transition,
// like `CET-1CEST,M3.5.0,M10.5.0/3`.

struct TimeZoneRule: Sendable {
    /// One of the two yearly changes.
    private enum Day: Sendable {
        /// `Jn`: day 1 ... 365 without leap days.
        case julian(Int)
        /// `n`: day 0 ... 365.
        case zeroBased(Int)
        /// `Mm.w.d`: weekday d (Sunday 0) of week w (5 the last) of month m.
        case month(Int, week: Int, weekday: Int)
    }

    private struct Change: Sendable {
        var day: Day
        /// Seconds after local midnight; may be negative or beyond a day.
        var seconds: Int
    }

    /// Seconds east of UTC.
    let standardOffset: Int32
    private var daylight: (offset: Int32, start: Change, end: Change)?

    /// Parses a rule; nil if it is malformed.
    init?(_ text: String) {
        var scanner = Scanner(Array(text.utf8))
        guard scanner.name(), let standard = scanner.time(hoursMax: 24) else { return nil }
        // POSIX counts west as positive.
        standardOffset = Int32(-standard)
        guard !scanner.isAtEnd else { return }
        guard scanner.name() else { return nil }
        var offset = standardOffset + 3600
        if !scanner.isAtEnd, scanner.next != UInt8(ascii: ",") {
            guard let value = scanner.time(hoursMax: 24) else { return nil }
            offset = Int32(-value)
        }
        guard let start = TimeZoneRule.change(&scanner), let end = TimeZoneRule.change(&scanner),
            scanner.isAtEnd
        else { return nil }
        daylight = (offset, start, end)
    }

    /// The offset at an instant.
    func offset(at seconds: Int64) -> Int32 {
        guard let daylight else { return standardOffset }
        let localDays = CalendarMath.floorDivide(
            seconds + Int64(standardOffset), CalendarMath.secondsPerDay)
        let year = CalendarMath.date(days: Int(localDays)).year
        let start = instant(of: daylight.start, in: year, offset: standardOffset)
        let end = instant(of: daylight.end, in: year, offset: daylight.offset)
        let isDaylight =
            start < end
            ? start <= seconds && seconds < end : !(end <= seconds && seconds < start)
        return isDaylight ? daylight.offset : standardOffset
    }

    private func instant(of change: Change, in year: Int, offset: Int32) -> Int64 {
        let firstDay = CalendarMath.days(year: year, month: 1, day: 1)
        let day: Int
        switch change.day {
        case .zeroBased(let number): day = firstDay + number
        case .julian(let number):
            let isBehindLeapDay = CalendarMath.isLeap(year) && number >= 60
            day = firstDay + number - (isBehindLeapDay ? 0 : 1)
        case .month(let month, let week, let weekday):
            let first = CalendarMath.days(year: year, month: month, day: 1)
            let distance = CalendarMath.floorModulo(
                weekday - CalendarMath.weekday(days: first) % 7, 7)
            var dayOfMonth = distance + (week - 1) * 7
            if dayOfMonth >= CalendarMath.dayCount(year: year, month: month) { dayOfMonth -= 7 }
            day = first + dayOfMonth
        }
        return Int64(day) * CalendarMath.secondsPerDay + Int64(change.seconds) - Int64(offset)
    }

    /// `,day[/time]`
    private static func change(_ scanner: inout Scanner) -> Change? {
        guard scanner.accept(UInt8(ascii: ",")) else { return nil }
        let day: Day
        if scanner.accept(UInt8(ascii: "M")) {
            guard let month = scanner.number(1...12), scanner.accept(UInt8(ascii: ".")),
                let week = scanner.number(1...5), scanner.accept(UInt8(ascii: ".")),
                let weekday = scanner.number(0...6)
            else { return nil }
            day = .month(month, week: week, weekday: weekday)
        } else if scanner.accept(UInt8(ascii: "J")) {
            guard let number = scanner.number(1...365) else { return nil }
            day = .julian(number)
        } else {
            guard let number = scanner.number(0...365) else { return nil }
            day = .zeroBased(number)
        }
        guard scanner.accept(UInt8(ascii: "/")) else { return Change(day: day, seconds: 7200) }
        return scanner.time(hoursMax: 167).map { Change(day: day, seconds: $0) }
    }

    private struct Scanner {
        let bytes: [UInt8]
        var index = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { index >= bytes.count }
        var next: UInt8 { isAtEnd ? 0 : bytes[index] }

        mutating func accept(_ byte: UInt8) -> Bool {
            guard next == byte, !isAtEnd else { return false }
            index += 1
            return true
        }

        /// Letters, or anything between `<` and `>`.
        mutating func name() -> Bool {
            let start = index
            if accept(UInt8(ascii: "<")) {
                while !isAtEnd, next != UInt8(ascii: ">") { index += 1 }
                return accept(UInt8(ascii: ">"))
            }
            while (next | 0x20) &- 0x61 < 26 { index += 1 }
            return index - start >= 3
        }

        mutating func number(_ range: ClosedRange<Int>) -> Int? {
            let start = index
            var value = 0
            while next &- 0x30 < 10, index - start < 4 {
                value = value * 10 + Int(next - 0x30)
                index += 1
            }
            return index > start && range.contains(value) ? value : nil
        }

        /// `[+-]h[:m[:s]]` in seconds.
        mutating func time(hoursMax: Int) -> Int? {
            let isNegative = accept(UInt8(ascii: "-"))
            if !isNegative { _ = accept(UInt8(ascii: "+")) }
            guard let hours = number(0...hoursMax) else { return nil }
            var seconds = hours * 3600
            for unit in [60, 1] where accept(UInt8(ascii: ":")) {
                guard let part = number(0...59) else { return nil }
                seconds += part * unit
            }
            return isNegative ? -seconds : seconds
        }
    }
}
