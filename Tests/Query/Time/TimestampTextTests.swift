import ApusQuery
import Testing

@Suite struct TimestampTextTests {
    /// Counts days one by one: the obvious slow answer.
    @Test func `days and dates agree with counting`() {
        var (year, month, day) = (1600, 1, 1)
        var number = CalendarMath.days(year: 1600, month: 1, day: 1)
        #expect(number == -135_140)
        for _ in 0..<400_000 {
            #expect(CalendarMath.date(days: number) == .init(year: year, month: month, day: day))
            #expect(CalendarMath.days(year: year, month: month, day: day) == number)
            number += 1
            day += 1
            if day > CalendarMath.dayCount(year: year, month: month) {
                (day, month) = (1, month + 1)
            }
            if month > 12 { (month, year) = (1, year + 1) }
        }
    }

    @Test func `any instant survives being written and read`() throws {
        var random = SplitMix(state: 20_260_101)
        for _ in 0..<20_000 {
            let unit =
                [1, 1_000, 1_000_000, 1_000_000_000, 86_400_000_000_000][Int(random.next() % 5)]
                as Int64
            let value = Int64(bitPattern: random.next()) / unit * unit
            #expect(try TimestampText.instant(TimestampText.text(value)) == value)
            #expect(try TimestampText.local(TimestampText.localText(value)) == value)
        }
        for value in [Int64.min, .max, 0, -1] {
            #expect(try TimestampText.instant(TimestampText.text(value)) == value)
        }
    }

    @Test(arguments: [
        ("2026-01-01", "2026-01-01T00:00:00Z"), ("2026-1-5 3:04", "2026-01-05T03:04:00Z"),
        ("2026-01-01t12:00:00.5z", "2026-01-01T12:00:00.5Z"),
        ("2026/01/01 12:00:00.123456789123", "2026-01-01T12:00:00.123456789Z"),
        ("2026-01-01 24:00", "2026-01-02T00:00:00Z"),
        ("2026-01-01 12:00 -0330", "2026-01-01T15:30:00Z"),
        ("2026-06-30 23:59:60", "2026-07-01T00:00:00Z"),
        ("1969-12-31 23:59:59.999999999", "1969-12-31T23:59:59.999999999Z"),
        ("epoch", "1970-01-01T00:00:00Z"), ("2026-01-01 00:00 UTC", "2026-01-01T00:00:00Z"),
    ])
    func `PostgreSQL's forms are read`(text: String, expected: String) throws {
        #expect(TimestampText.text(try TimestampText.instant(text)) == expected)
    }

    @Test(arguments: [
        "", "2026", "2026-13-01", "2026-02-29", "2026-01-01T", "2026-01-01 25:00", "2026-01-01 12",
        "2026-01-0112:00", "2026-01-01 12:60", "2026-01-01 12:00 +", "x",
        "2026-01-01 12:00 Nowhere",
        "9999-01-01", "1677-01-01", "2026-01-01 24:00:01", "2026-01-01 12:00 + 2",
    ])
    func `anything else is refused`(text: String) {
        #expect(throws: QueryError.self) { try TimestampText.instant(text) }
    }
}

/// A generator whose numbers depend on the seed alone.
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
