import ApusQuery
import Testing

@Suite struct TimeBucketTests {
    private func at(_ text: String) throws -> Int64 { try TimestampText.instant(text) }

    private func floor(_ bucket: TimeBucket, _ text: String) throws -> String {
        TimestampText.text(bucket.floor(try at(text)))
    }

    @Test(arguments: [
        ("1 minute", "2026-01-01 12:34:56", "2026-01-01T12:34:00Z"),
        ("7 days", "2026-01-01", "2025-12-29T00:00:00Z"),
        ("1 mon", "2026-05-17", "2026-05-01T00:00:00Z"),
        ("5 years", "2026-05-17", "2025-01-01T00:00:00Z"),
        ("2 days", "1970-01-01", "1969-12-31T00:00:00Z"),
        ("7 minutes", "2000-01-02 23:59", "2000-01-02T23:53:00Z"),
    ])
    func `time_bucket starts on a Monday, months and years on 2000-01-01`(
        width: String, text: String, expected: String
    ) throws {
        #expect(try floor(.timeBucket(width: try .parse(width)), text) == expected)
    }

    @Test func `date_bin starts at 1970 or at its origin`() throws {
        #expect(try floor(.dateBin(width: .init(days: 7)), "2026-01-01") == "2026-01-01T00:00:00Z")
        let bucket = try TimeBucket.dateBin(
            width: .parse("15 minutes"), origin: at("2026-01-01 00:02"))
        #expect(try floor(bucket, "2025-12-31 23:50") == "2025-12-31T23:47:00Z")
    }

    @Test(arguments: [
        ("hour", "2026-03-29T10:00:00Z"), ("day", "2026-03-28T23:00:00Z"),
        ("week", "2026-03-22T23:00:00Z"),
        ("month", "2026-02-28T23:00:00Z"), ("quarter", "2025-12-31T23:00:00Z"),
        ("year", "2025-12-31T23:00:00Z"), ("decade", "2019-12-31T23:00:00Z"),
        ("century", "2000-12-31T23:00:00Z"), ("millennium", "2000-12-31T23:00:00Z"),
        ("milliseconds", "2026-03-29T10:12:13.123Z"),
    ])
    func `date_trunc cuts to the calendar of the zone`(unit: String, expected: String) throws {
        let bucket = try TimeBucket.dateTrunc(unit: unit, zone: .named("Europe/Berlin"))
        #expect(try floor(bucket, "2026-03-29T10:12:13.123456Z") == expected)
    }

    @Test func `a day with a clock change has 23 or 25 hours`() throws {
        let bucket = try TimeBucket.timeBucket(width: .init(days: 1), zone: .named("Europe/Berlin"))
        let spring = bucket.floor(try at("2026-03-29 12:00"))
        #expect(bucket.next(spring) - spring == 23 * 3_600_000_000_000)
        let autumn = bucket.floor(try at("2026-10-25 12:00"))
        #expect(bucket.next(autumn) - autumn == 25 * 3_600_000_000_000)
        #expect(bucket.fixedWidth == nil)
    }

    @Test func `hours are elapsed time in any zone`() throws {
        let bucket = try TimeBucket.timeBucket(
            width: .parse("6 hours"), zone: .named("Europe/Berlin"))
        #expect(try floor(bucket, "2026-07-01 04:59:59") == "2026-06-30T23:00:00Z")
        let width = try #require(bucket.fixedWidth).widthNanoseconds
        #expect(width == 6 * 3_600_000_000_000)
    }

    @Test(arguments: [
        "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia",
        "America/Sao_Paulo", "UTC",
    ])
    func `a start never lies behind its times and never falls`(zone: String) throws {
        let rules = try TimeZoneRules.named(zone)
        for width in [Interval(days: 1), Interval(days: 7), Interval(months: 1)] {
            let bucket = try TimeBucket.timeBucket(width: width, zone: rules)
            var instant = try at("1985-01-01")
            var last = Int64.min
            while instant < (try at("2015-01-01")) {
                let start = bucket.floor(instant)
                #expect(start <= instant && instant < bucket.next(instant) && start >= last)
                #expect(bucket.floor(start) == start)
                last = start
                instant += 3_601_000_000_000 * 11
            }
        }
    }

    @Test func `the ends of the range of times saturate`() throws {
        for width in ["1 day", "1 mon", "7 hours"] {
            for zone in ["UTC", "Europe/Berlin"] {
                let bucket = try TimeBucket.timeBucket(width: .parse(width), zone: .named(zone))
                #expect(bucket.floor(.min) == .min && bucket.floor(.max) < .max)
                #expect(bucket.next(.max) == .max)
            }
        }
    }

    @Test func `a width of zero, below it, or mixed is refused`() {
        for width in [
            Interval.zero, Interval(days: -1), Interval(months: 1, days: 1), Interval(months: -1),
        ] {
            #expect(throws: QueryError.self) { try TimeBucket.timeBucket(width: width) }
        }
        #expect(throws: QueryError.self) { try TimeBucket.dateTrunc(unit: "fortnight") }
    }
}
