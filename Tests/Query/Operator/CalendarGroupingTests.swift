// Groups by buckets whose lengths differ, months and days of a zone with clock changes: the answers
// of statistics, of rows and of expressions beside a look at every row.

import Apus
import ApusQuery
import ApusStorage
import Testing

struct CalendarGroupingTests {
    private static let hosts = ["a", "b"]
    private static let step: Int64 = 10_000_000_000

    /// Five days around a month's end in UTC and the change of Berlin's clock on 2026-03-29.
    private static func times() throws -> [Int64] {
        let first = try TimestampText.instant("2026-03-28 03:00")
        return (0..<(5 * 8_640)).map { first + $0 * step }
    }

    private static func value(_ host: Int, _ row: Int) -> Int64 {
        Int64((row * 7_919 + host * 104_729) % 10_007)
    }

    private static func bucket(_ name: String) throws -> (sql: String, TimeBucket) {
        let berlin = try TimeZoneRules.named("Europe/Berlin")
        switch name {
        case "month": return ("date_trunc('month', time)", try .dateTrunc(unit: "month"))
        case "month in Berlin":
            return (
                "date_trunc('month', time, 'Europe/Berlin')",
                try .dateTrunc(unit: "month", zone: berlin)
            )
        case "day in Berlin":
            return (
                "time_bucket('1 day', time, 'Europe/Berlin')",
                try .timeBucket(width: .init(days: 1), zone: berlin)
            )
        default:
            return (
                "date_trunc('hour', time, 'Europe/Berlin')",
                try .dateTrunc(unit: "hour", zone: berlin)
            )
        }
    }

    @Test(
        arguments: ["month", "month in Berlin", "day in Berlin", "hour in Berlin"],
        ScriptState.tested)
    func `calendar buckets hold the rows that lie in them`(
        name: String, state: ScriptState
    ) async throws {
        let (key, bucket) = try Self.bucket(name)
        let times = try Self.times()
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: state)
            var appender = store.appender()
            for (row, time) in times.enumerated() {
                for (number, host) in Self.hosts.enumerated() {
                    appender.append(
                        table: "t", tags: ["host": host], time: Timestamp(nanoseconds: time),
                        fields: ["v": .int64(Self.value(number, row))])
                }
            }
            try await appender.flush()
            if state != .head { _ = try runner.query("FLUSH") }
            if state == .compacted { _ = try runner.query("COMPACT") }

            var groups: [String: [Int64]] = [:]
            for (row, time) in times.enumerated() {
                for (number, host) in Self.hosts.enumerated() {
                    groups["\(host) \(bucket.floor(time))", default: []].append(
                        Self.value(number, row))
                }
            }
            let expected = groups.map { name, values in
                let sorted = values.sorted()
                let middle =
                    (Double(sorted[values.count / 2]) + Double(sorted[(values.count - 1) / 2])) / 2
                return "\(name) \(values.count) \(sorted[0]) \(sorted[values.count - 1]) "
                    + "\(values.reduce(0, +)) \(middle)"
            }.sorted()
            let group = "SELECT host, epoch_ns(\(key)) AS start"
            let parts = [
                "count(*) AS n", "min(v) AS low", "max(v) AS high", "sum(v) AS total",
            ].joined(separator: ", ")
            // By statistics; by rows, for the median; by expressions, for a sum's.
            let summarized = try runner.query("\(group), \(parts) FROM t GROUP BY host, \(key)")
            let rows = try runner.query(
                "\(group), \(parts), median(v) FROM t GROUP BY host, \(key)")
            let frames = try runner.query(
                "\(group), count(*), min(v + 0), max(v + 0), sum(v + 0), median(v + 0) FROM t "
                    + "GROUP BY host, \(key)")
            func lines(_ sink: TextSink) -> [String] {
                sink.rows.map { row in
                    let median = row.count > 6 ? " \(Double(row[6]) ?? .nan)" : ""
                    return row.prefix(6).joined(separator: " ") + median
                }.sorted()
            }
            #expect(lines(rows) == expected)
            #expect(lines(frames) == expected)
            let short = expected.map { $0.split(separator: " ").dropLast().joined(separator: " ") }
            #expect(lines(summarized) == short)
            let isAnswered = summarized.blocksSummarized > 0
            #expect(isAnswered == (state != .head && name != "hour in Berlin"))
        }
    }
}
