import ApusQuery
import Testing

@Suite struct TimeZoneTests {
    private func utc(_ local: String, _ zone: String) throws -> String {
        TimestampText.text(try TimestampText.instant(local, zone: try .named(zone)))
    }

    @Test(arguments: [
        // Plain, in the gap, in the overlap, beyond the file's last transition.
        ("Europe/Berlin", "2026-01-15 12:00", "2026-01-15T11:00:00Z"),
        ("Europe/Berlin", "2026-07-15 12:00", "2026-07-15T10:00:00Z"),
        ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29T01:30:00Z"),
        ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25T01:30:00Z"),
        ("Europe/Berlin", "2026-10-25 01:59:59", "2026-10-24T23:59:59Z"),
        ("Europe/Berlin", "2200-07-01 00:00", "2200-06-30T22:00:00Z"),
        ("America/New_York", "2026-03-08 02:30", "2026-03-08T07:30:00Z"),
        ("America/New_York", "2026-11-01 01:30", "2026-11-01T06:30:00Z"),
        ("Australia/Lord_Howe", "2026-01-15 00:00", "2026-01-14T13:00:00Z"),
        ("Australia/Lord_Howe", "2026-07-15 00:00", "2026-07-14T13:30:00Z"),
        ("Australia/Lord_Howe", "2100-01-15 00:00", "2100-01-14T13:00:00Z"),
        ("Asia/Kolkata", "2026-01-01", "2025-12-31T18:30:00Z"),
        ("+02:00", "2026-01-01", "2025-12-31T22:00:00Z"),
        ("UTC", "2026-01-01", "2026-01-01T00:00:00Z"),
        ("Europe/Berlin", "2026-01-01 00:00+03", "2025-12-31T21:00:00Z"),
        ("Europe/Berlin", "2026-01-01 00:00 America/New_York", "2026-01-01T05:00:00Z"),
    ])
    func `a local time is the instant PostgreSQL takes`(
        zone: String, local: String, expected: String
    ) throws {
        #expect(try utc(local, zone) == expected)
    }

    @Test(arguments: [
        "", "../etc/passwd", "/etc/localtime", "Europe/", "Europe", "a//b", "Nowhere/X", "+99",
        "tzdata.zi", "Europe/Berlin\0",
    ])
    func `a name that is no zone is refused`(name: String) {
        #expect(throws: QueryError.self) { try TimeZoneRules.named(name) }
    }

    @Test(arguments: [
        "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
        "Africa/Casablanca",
    ])
    func `local time and back is the same instant, but for the repeated hour`(name: String) throws {
        let zone = try TimeZoneRules.named(name)
        let minute: Int64 = 60_000_000_000
        for step in 0..<200_000 as Range<Int64> {
            let instant = 946_684_800_000_000_000 + step * 61 * minute
            let local = zone.local(ofNanoseconds: instant)
            let back = zone.instant(ofLocalNanoseconds: local)
            #expect(back == instant || zone.local(ofNanoseconds: back) == local && back > instant)
        }
    }
}
