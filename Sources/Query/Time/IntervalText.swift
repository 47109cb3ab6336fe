// Intervals as text: PostgreSQL's forms, ISO 8601's, and the bare durations of SAMPLE BY.

extension Interval {
    /// Reads `1 hour 30 minutes`, `01:02:03.5`, `300.000s`, `1 mon`, `2 days ago`, `P1DT2H`.
    ///
    /// Fractions of months become days of which a month has 30, fractions of days become hours,
    /// as in PostgreSQL. A number without a unit is seconds, or days before a time.
    ///
    /// - Throws: `semantic` if it is none of these, or too long.
    package static func parse(_ text: String) throws(QueryError) -> Interval {
        var scanner = IntervalScanner(text)
        let isRead = scanner.isISO ? scanner.readISO() : scanner.readVerbose()
        guard isRead, let interval = scanner.sum.interval else {
            throw QueryError(
                .semantic, "'\(text.prefix(60))' is not an interval",
                hint: "write it like '1 hour 30 minutes', '01:30:00' or 'P1DT12H'")
        }
        return interval
    }

    /// Reads a bare duration: numbers with the units ns us ms s m h d w mo (or M) y, like `1h30m`.
    /// Case matters.
    ///
    /// - Throws: `semantic` if it is none, or zero or too long.
    package static func duration(_ text: String) throws(QueryError) -> Interval {
        var scanner = IntervalScanner(text)
        guard scanner.readDuration(), let interval = scanner.sum.interval, interval != .zero else {
            throw QueryError(
                .semantic, "'\(text.prefix(60))' is not a duration",
                hint: "write it like 5m, 1h30m, 90d; units are ns us ms s m h d w mo y")
        }
        return interval
    }
}

private struct IntervalScanner {
    /// A sum of parts, wide enough not to overflow by what a text of bounded numbers can hold.
    struct Sum {
        var months: Int128 = 0
        var days: Int128 = 0
        var nanoseconds: Int128 = 0

        var interval: Interval? {
            guard let months = Int32(exactly: months), let days = Int32(exactly: days),
                let nanoseconds = Int64(exactly: nanoseconds)
            else { return nil }
            return Interval(months: months, days: days, nanoseconds: nanoseconds)
        }

        mutating func negate() {
            (months, days, nanoseconds) = (-months, -days, -nanoseconds)
        }
    }

    enum Unit {
        case months(Int128)
        case days(Int128)
        case nanoseconds(Int128)
    }

    /// A decimal number: `whole + billionths / 10⁹`, both with its sign.
    struct Number {
        var whole: Int128
        var billionths: Int128
    }

    let bytes: [UInt8]
    var index = 0
    var sum = Sum()

    init(_ text: String) {
        var bytes = Array(text.utf8)
        while let last = bytes.last, last == 0x20 { bytes.removeLast() }
        self.bytes = bytes.count <= 200 ? bytes : []
        skipSpaces()
    }

    var isAtEnd: Bool { index >= bytes.count }
    var next: UInt8 { isAtEnd ? 0 : bytes[index] }
    var isISO: Bool { next == UInt8(ascii: "P") || next == UInt8(ascii: "p") }

    mutating func skipSpaces() {
        while next == 0x20 || next == 0x09 || next == 0x0A { index += 1 }
    }

    mutating func add(_ number: Number, _ unit: Unit) {
        let billion: Int128 = 1_000_000_000
        let dayNanoseconds: Int128 = 86_400_000_000_000
        switch unit {
        case .months(let count):
            let fraction = number.billionths * count
            sum.months += number.whole * count + fraction / billion
            add(Number(whole: 0, billionths: fraction % billion * 30), .days(1))
        case .days(let count):
            let fraction = number.billionths * count
            sum.days += number.whole * count + fraction / billion
            sum.nanoseconds += fraction % billion * dayNanoseconds / billion
        case .nanoseconds(let count):
            sum.nanoseconds += number.whole * count + number.billionths * count / billion
        }
    }

    /// `[+-]digits[.digits]`
    mutating func number() -> Number? {
        let isNegative = next == UInt8(ascii: "-")
        if isNegative || next == UInt8(ascii: "+") { index += 1 }
        let start = index
        var whole: Int128 = 0
        while next &- 0x30 < 10 {
            whole = whole * 10 + Int128(next - 0x30)
            index += 1
            if index - start > 20 { return nil }
        }
        var digitCount = index - start
        var billionths: Int128 = 0
        if next == UInt8(ascii: ".") {
            index += 1
            let first = index
            billionths = Int128(TimestampText.fractionNanoseconds(bytes, &index))
            digitCount += index - first
        }
        guard digitCount > 0 else { return nil }
        return isNegative
            ? Number(whole: -whole, billionths: -billionths)
            : Number(whole: whole, billionths: billionths)
    }

    mutating func letters() -> String {
        let start = index
        while (next | 0x20) &- 0x61 < 26 || next >= 0x80 { index += 1 }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    // MARK: - PostgreSQL's forms

    mutating func readVerbose() -> Bool {
        if next == UInt8(ascii: "@") {
            index += 1
            skipSpaces()
        }
        // "ago" alone, or nothing, is no interval.
        guard !isAtEnd, (next | 0x20) &- 0x61 >= 26 else { return false }
        while !isAtEnd {
            if (next | 0x20) &- 0x61 < 26 {
                guard asciiLowercased(letters()) == "ago" else { return false }
                skipSpaces()
                sum.negate()
                return isAtEnd
            }
            guard readVerbosePart() else { return false }
            skipSpaces()
        }
        return true
    }

    private mutating func readVerbosePart() -> Bool {
        if let time = clock() {
            sum.nanoseconds += time
            return true
        }
        guard let number = number() else { return false }
        skipSpaces()
        let mark = index
        let name = letters()
        if name.isEmpty {
            // `1 02:03:04` is a day and a time, a bare number at the end is seconds.
            if isAtEnd {
                add(number, .nanoseconds(1_000_000_000))
                return true
            }
            var ahead = self
            guard ahead.clock() != nil else { return false }
            add(number, .days(1))
            return true
        }
        if asciiLowercased(name) == "ago" {
            index = mark
            add(number, .nanoseconds(1_000_000_000))
            return true
        }
        guard let unit = verboseUnit(asciiLowercased(name)) else { return false }
        add(number, unit)
        return true
    }

    /// `[+-]h:mm[:ss[.fraction]]`, the hours unbounded; moves on only if there is one.
    private mutating func clock() -> Int128? {
        var ahead = self
        let isNegative = ahead.next == UInt8(ascii: "-")
        guard let hours = ahead.number(), hours.billionths == 0,
            ahead.next == UInt8(ascii: ":")
        else { return nil }
        var seconds = abs(hours.whole) * 3600
        var fraction: Int128 = 0
        for unit in [60, 1] as [Int128] where ahead.next == UInt8(ascii: ":") {
            ahead.index += 1
            guard ahead.next &- 0x30 < 10, let part = ahead.number(), part.whole < 60 else {
                return nil
            }
            guard unit == 1 || part.billionths == 0 else { return nil }
            seconds += part.whole * unit
            fraction += part.billionths
        }
        self = ahead
        let total = seconds * 1_000_000_000 + fraction
        return isNegative ? -total : total
    }

    private func verboseUnit(_ name: String) -> Unit? {
        switch name {
        case "ns", "nsec", "nanosecond", "nanoseconds": .nanoseconds(1)
        case "us", "usec", "usecs", "µs", "microsecond", "microseconds": .nanoseconds(1_000)
        case "ms", "msec", "msecs", "millisecond", "milliseconds": .nanoseconds(1_000_000)
        case "s", "sec", "secs", "second", "seconds": .nanoseconds(1_000_000_000)
        case "m", "min", "mins", "minute", "minutes": .nanoseconds(60_000_000_000)
        case "h", "hr", "hrs", "hour", "hours": .nanoseconds(3_600_000_000_000)
        case "d", "day", "days": .days(1)
        case "w", "week", "weeks": .days(7)
        case "mon", "mons", "month", "months": .months(1)
        case "y", "yr", "yrs", "year", "years": .months(12)
        case "dec", "decs", "decade", "decades": .months(120)
        case "c", "cent", "century", "centuries": .months(1_200)
        case "mil", "mils", "millennium", "millennia": .months(12_000)
        default: nil
        }
    }

    // MARK: - ISO 8601

    /// `P[nY][nM][nW][nD][T[nH][nM][nS]]`
    mutating func readISO() -> Bool {
        index += 1
        var isTime = false
        var partCount = 0
        while !isAtEnd {
            if !isTime, next | 0x20 == UInt8(ascii: "t") {
                isTime = true
                index += 1
                continue
            }
            guard let number = number(), !isAtEnd else { return false }
            let letter = next & 0xDF
            index += 1
            switch (letter, isTime) {
            case (UInt8(ascii: "Y"), false): add(number, .months(12))
            case (UInt8(ascii: "M"), false): add(number, .months(1))
            case (UInt8(ascii: "W"), false): add(number, .days(7))
            case (UInt8(ascii: "D"), false): add(number, .days(1))
            case (UInt8(ascii: "H"), true): add(number, .nanoseconds(3_600_000_000_000))
            case (UInt8(ascii: "M"), true): add(number, .nanoseconds(60_000_000_000))
            case (UInt8(ascii: "S"), true): add(number, .nanoseconds(1_000_000_000))
            default: return false
            }
            partCount += 1
        }
        return partCount > 0
    }

    // MARK: - Bare durations

    mutating func readDuration() -> Bool {
        guard !isAtEnd else { return false }
        while !isAtEnd {
            guard next &- 0x30 < 10, let number = number(), number.billionths == 0 else {
                return false
            }
            switch letters() {
            case "ns": add(number, .nanoseconds(1))
            case "us", "µs": add(number, .nanoseconds(1_000))
            case "ms": add(number, .nanoseconds(1_000_000))
            case "s": add(number, .nanoseconds(1_000_000_000))
            case "m": add(number, .nanoseconds(60_000_000_000))
            case "h": add(number, .nanoseconds(3_600_000_000_000))
            case "d": add(number, .days(1))
            case "w": add(number, .days(7))
            case "mo", "M": add(number, .months(1))
            case "y": add(number, .months(12))
            default: return false
            }
        }
        return true
    }
}
