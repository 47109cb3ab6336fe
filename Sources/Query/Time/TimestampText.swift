// Times as text: the forms PostgreSQL reads, and RFC 3339 as we write it.

package enum TimestampText {
    /// A timestamp as read: the wall clock's reading, and what was said about its zone.
    private struct Reading {
        var days = 0
        var nanosecondsOfDay: Int64 = 0
        var zone: Zone = .none
    }

    private enum Zone {
        case none
        case offset(seconds: Int)
        case named(String)
    }

    // MARK: - Reading

    /// The instant a text names, in nanoseconds since 1970 UTC.
    ///
    /// Reads `2026-01-01`, `2026-01-01 12:00`, `2026-01-01T12:00:00.123456789Z`, offsets `+hh`,
    /// `+hhmm`, `+hh:mm`, zone names behind a space, and `epoch`. Without a zone the reading is
    /// in `zone`.
    ///
    /// - Throws: `semantic` if it is none of these or outside the years 1677 to 2262.
    package static func instant(
        _ text: String, zone: TimeZoneRules = .utc
    ) throws(QueryError) -> Int64 {
        if asciiLowercased(text) == "epoch" { return 0 }
        guard let reading = read(text) else { throw malformed(text, "a timestamp") }
        let local =
            Int64(reading.days) * 86_400
            + CalendarMath.floorDivide(reading.nanosecondsOfDay, 1_000_000_000)
        let seconds: Int64
        switch reading.zone {
        case .none: seconds = zone.instant(ofLocalSeconds: local)
        case .offset(let offset): seconds = local - Int64(offset)
        case .named(let name):
            seconds = try TimeZoneRules.named(name).instant(ofLocalSeconds: local)
        }
        let fraction = reading.nanosecondsOfDay % 1_000_000_000
        return try nanoseconds(seconds: seconds, fraction: fraction, of: text)
    }

    /// A wall clock's reading in nanoseconds since 1970-01-01 00:00; a zone in it is ignored.
    package static func local(_ text: String) throws(QueryError) -> Int64 {
        guard let reading = read(text) else { throw malformed(text, "a timestamp") }
        let seconds = Int64(reading.days) * 86_400 + reading.nanosecondsOfDay / 1_000_000_000
        return try nanoseconds(
            seconds: seconds, fraction: reading.nanosecondsOfDay % 1_000_000_000, of: text)
    }

    /// Days since 1970-01-01; a time of day in the text is ignored.
    package static func days(_ text: String) throws(QueryError) -> Int {
        guard let reading = read(text) else { throw malformed(text, "a date") }
        return reading.days
    }

    private static func nanoseconds(
        seconds: Int64, fraction: Int64, of text: String
    ) throws(QueryError) -> Int64 {
        let value = Int128(seconds) * 1_000_000_000 + Int128(fraction)
        guard let nanoseconds = Int64(exactly: value) else {
            throw QueryError(
                .semantic, "the timestamp '\(text.prefix(60))' is outside the years 1677 to 2262")
        }
        return nanoseconds
    }

    private static func malformed(_ text: String, _ what: String) -> QueryError {
        QueryError(
            .semantic, "'\(text.prefix(60))' is not \(what)",
            hint: "write it like '2026-01-31' or '2026-01-31 12:00:00+01:00'")
    }

    private static func read(_ text: String) -> Reading? {
        let bytes = trimmed(text)
        var index = 0
        var reading = Reading()
        guard let days = date(bytes, &index) else { return nil }
        reading.days = days
        let gap = index
        if index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "t") {
            index += 1
        } else {
            skipSpaces(bytes, &index)
        }
        if index < bytes.count, isDigit(bytes[index]) {
            guard index > gap, let time = timeOfDay(bytes, &index) else { return nil }
            reading.nanosecondsOfDay = time
        } else if index > gap, bytes[gap] | 0x20 == UInt8(ascii: "t") {
            return nil
        }
        skipSpaces(bytes, &index)
        guard index < bytes.count else { return reading }
        if bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") {
            guard let seconds = offset(bytes, &index) else { return nil }
            reading.zone = .offset(seconds: seconds)
        } else {
            let name = String(decoding: bytes[index...], as: UTF8.self)
            guard (bytes[index] | 0x20) &- 0x61 < 26 else { return nil }
            index = bytes.count
            reading.zone = .named(name)
        }
        return index == bytes.count ? reading : nil
    }

    private static func trimmed(_ text: String) -> [UInt8] {
        var bytes = Array(text.utf8)[...]
        while bytes.first == 0x20 { bytes.removeFirst() }
        while bytes.last == 0x20 { bytes.removeLast() }
        return Array(bytes)
    }

    private static func skipSpaces(_ bytes: [UInt8], _ index: inout Int) {
        while index < bytes.count, bytes[index] == 0x20 { index += 1 }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    /// `yyyy-mm-dd` or `yyyy/mm/dd`, month and day with one digit or two.
    private static func date(_ bytes: [UInt8], _ index: inout Int) -> Int? {
        guard let year = digits(bytes, &index, 4...6), index < bytes.count else { return nil }
        let separator = bytes[index]
        guard separator == UInt8(ascii: "-") || separator == UInt8(ascii: "/") else { return nil }
        index += 1
        guard let month = digits(bytes, &index, 1...2), 1...12 ~= month,
            index < bytes.count, bytes[index] == separator
        else { return nil }
        index += 1
        guard let day = digits(bytes, &index, 1...2), day >= 1,
            day <= CalendarMath.dayCount(year: year, month: month)
        else { return nil }
        return CalendarMath.days(year: year, month: month, day: day)
    }

    /// `hh:mm[:ss[.fraction]]`; 24:00 and a 60th second carry over. Digits beyond nanoseconds
    /// round.
    static func timeOfDay(_ bytes: [UInt8], _ index: inout Int) -> Int64? {
        guard let hour = digits(bytes, &index, 1...2), hour <= 24,
            accept(":", bytes, &index), let minute = digits(bytes, &index, 2...2), minute < 60
        else { return nil }
        var second = 0
        var fraction: Int64 = 0
        if accept(":", bytes, &index) {
            guard let value = digits(bytes, &index, 2...2), value <= 60 else { return nil }
            second = value
            if accept(".", bytes, &index) {
                fraction = fractionNanoseconds(bytes, &index)
            }
        }
        let seconds = hour * 3600 + minute * 60 + second
        if hour == 24, seconds > 86_400 || fraction > 0 { return nil }
        return Int64(seconds) * 1_000_000_000 + fraction
    }

    /// The digits behind a point, as nanoseconds.
    static func fractionNanoseconds(_ bytes: [UInt8], _ index: inout Int) -> Int64 {
        var value: Int64 = 0
        var unit: Int64 = 100_000_000
        var isFirstBeyond = true
        while index < bytes.count, isDigit(bytes[index]) {
            let digit = Int64(bytes[index] - 0x30)
            if unit > 0 {
                value += digit * unit
                unit /= 10
            } else if isFirstBeyond {
                if digit >= 5 { value += 1 }
                isFirstBeyond = false
            }
            index += 1
        }
        return value
    }

    /// `±hh[[:]mm[[:]ss]]`, at most 15:59:59, in seconds east of UTC.
    static func offset(_ bytes: [UInt8], _ index: inout Int) -> Int? {
        guard index < bytes.count else { return nil }
        let isNegative = bytes[index] == UInt8(ascii: "-")
        index += 1
        guard let hours = digits(bytes, &index, 1...2), hours <= 15 else { return nil }
        var seconds = hours * 3600
        for unit in [60, 1] {
            let hasColon = accept(":", bytes, &index)
            guard hasColon || (index < bytes.count && isDigit(bytes[index])) else { break }
            guard let part = digits(bytes, &index, 2...2), part < 60 else { return nil }
            seconds += part * unit
        }
        return isNegative ? -seconds : seconds
    }

    private static func accept(
        _ character: Unicode.Scalar, _ bytes: [UInt8], _ index: inout Int
    ) -> Bool {
        guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    private static func digits(
        _ bytes: [UInt8], _ index: inout Int, _ counts: ClosedRange<Int>
    ) -> Int? {
        var value = 0
        let start = index
        while index < bytes.count, index - start < counts.upperBound, isDigit(bytes[index]) {
            value = value * 10 + Int(bytes[index] - 0x30)
            index += 1
        }
        return index - start >= counts.lowerBound ? value : nil
    }

    // MARK: - Writing

    /// RFC 3339 in UTC with as many digits of the second as needed: `2026-01-01T00:00:00.5Z`.
    package static func text(_ nanoseconds: Int64) -> String {
        var bytes: [UInt8] = []
        append(nanoseconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// As `text`, without the Z: a wall clock's reading.
    package static func localText(_ nanoseconds: Int64) -> String {
        var bytes: [UInt8] = []
        appendLocal(nanoseconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    package static func dateText(days: Int) -> String {
        var bytes: [UInt8] = []
        appendDate(days: days, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    package static func append(_ nanoseconds: Int64, to bytes: inout [UInt8]) {
        appendLocal(nanoseconds, to: &bytes)
        bytes.append(UInt8(ascii: "Z"))
    }

    package static func appendLocal(_ nanoseconds: Int64, to bytes: inout [UInt8]) {
        let days = CalendarMath.floorDivide(nanoseconds, CalendarMath.nanosecondsPerDay)
        let rest = CalendarMath.floorModulo(nanoseconds, CalendarMath.nanosecondsPerDay)
        appendDate(days: Int(days), to: &bytes)
        bytes.append(UInt8(ascii: "T"))
        appendTimeOfDay(rest, to: &bytes)
    }

    package static func appendDate(days: Int, to bytes: inout [UInt8]) {
        let date = CalendarMath.date(days: days)
        if date.year < 0 { bytes.append(UInt8(ascii: "-")) }
        appendPadded(abs(date.year), width: 4, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        appendPadded(date.month, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        appendPadded(date.day, width: 2, to: &bytes)
    }

    /// `hh:mm:ss[.fraction]` of nanoseconds not below zero; hours may pass 24.
    static func appendTimeOfDay(_ nanoseconds: Int64, to bytes: inout [UInt8]) {
        let seconds = Int(nanoseconds / 1_000_000_000)
        appendPadded(seconds / 3600, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        appendPadded(seconds / 60 % 60, width: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        appendPadded(seconds % 60, width: 2, to: &bytes)
        var fraction = Int(nanoseconds % 1_000_000_000)
        guard fraction > 0 else { return }
        var width = 9
        while fraction % 10 == 0 {
            fraction /= 10
            width -= 1
        }
        bytes.append(UInt8(ascii: "."))
        appendPadded(fraction, width: width, to: &bytes)
    }

    private static func appendPadded(_ value: Int, width: Int, to bytes: inout [UInt8]) {
        var divisor = 1
        for _ in 1..<max(width, 1) { divisor *= 10 }
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(truncatingIfNeeded: 0x30 + value / divisor % 10))
            divisor /= 10
        }
    }
}
