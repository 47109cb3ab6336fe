import ApusQuery
import Testing

@Suite struct IntervalTests {
    @Test(arguments: [
        ("1 hour 30 minutes", "01:30:00"), ("01:02:03.5", "01:02:03.5"), ("300.000s", "00:05:00"),
        ("1 mon", "1 mon"), ("2 days ago", "-2 days"), ("P1DT2H", "1 day 02:00:00"),
        ("P1Y2M3W4DT5H6M7.5S", "1 year 2 mons 25 days 05:06:07.5"), ("1.5 days", "1 day 12:00:00"),
        ("1h30m", "01:30:00"), ("300", "00:05:00"), ("1 02:03:04", "1 day 02:03:04"),
        ("1 year -3 days 04:05", "1 year -3 days +04:05:00"), ("-01:30", "-01:30:00"),
        ("1.5 months", "1 mon 15 days"), ("@ 1 week", "7 days"), ("0 s", "00:00:00"),
        ("100 hours", "100:00:00"), ("250 ms", "00:00:00.25"), ("1 decade", "10 years"),
    ])
    func `an interval is read and written as PostgreSQL does`(text: String, expected: String) throws
    {
        #expect(try Interval.parse(text).description == expected)
    }

    @Test(arguments: [
        "", "x", "1 parsec", "1 hour x", "P", "P1", "PT1D", "1:2:3:4", "9999999999 years", "ago",
    ])
    func `anything else is no interval`(text: String) {
        #expect(throws: QueryError.self) { try Interval.parse(text) }
    }

    @Test(arguments: [
        ("5m", Interval(nanoseconds: 300_000_000_000)),
        ("1h30m", Interval(nanoseconds: 5_400_000_000_000)),
        ("90d", Interval(days: 90)), ("2w", Interval(days: 14)), ("3mo", Interval(months: 3)),
        ("3M", Interval(months: 3)), ("1y", Interval(months: 12)),
        ("7us", Interval(nanoseconds: 7_000)), ("8ns", Interval(nanoseconds: 8)),
        ("9ms", Interval(nanoseconds: 9_000_000)), ("2s", Interval(nanoseconds: 2_000_000_000)),
        ("2m", Interval(nanoseconds: 120_000_000_000)),
        ("2h", Interval(nanoseconds: 7_200_000_000_000)),
        ("1M2m", Interval(months: 1, nanoseconds: 120_000_000_000)),
        (
            "1y2mo3w4d5h6m7s8ms9us1ns",
            Interval(months: 14, days: 25, nanoseconds: 18_367_008_009_001)
        ),
    ])
    func `a bare duration is read by its unit's case`(text: String, expected: Interval) throws {
        #expect(try Interval.duration(text) == expected)
    }

    @Test(arguments: [
        "", "5", "5D", "0s", "5 m", "-5m", "m", "1.5h", "5S", "5H", "5W", "5Y", "5MS", "5Ms", "5US",
        "5NS", "5MO", "5Mo", "5mon", "5min", "5sec", "1h 30m", "5d5",
    ])
    func `anything else is no duration`(text: String) {
        #expect(throws: QueryError.self) { try Interval.duration(text) }
    }

    @Test func `months are cut to the month's end and days follow the wall clock`() throws {
        let berlin = try TimeZoneRules.named("Europe/Berlin")
        let january = try TimestampText.instant("2026-01-31 12:00", zone: berlin)
        let february = try TimestampText.instant("2026-02-28 12:00", zone: berlin)
        #expect(Interval(months: 1).added(to: january, zone: berlin) == february)
        let before = try TimestampText.instant("2026-03-28 12:00", zone: berlin)
        let after = try #require(Interval(days: 1).added(to: before, zone: berlin))
        #expect(after - before == 23 * 3_600_000_000_000)
        #expect(Interval(months: 12_000).added(to: .max) == nil)
    }
}
