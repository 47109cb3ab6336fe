// Random aggregates over random rows, against the obvious slow answer over arrays.

import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Testing

private struct Row: Sendable {
    var host: String?
    var region: String?
    var time: Int64
    var x: Double?
    var n: Int64?

    var seriesKey: [UInt8] {
        var tags: [String: String] = [:]
        tags["host"] = host
        tags["region"] = region
        return SeriesKey.encode(tags)
    }

    /// Whether a row comes first or last before another: of equal times the greatest series key.
    func beats(_ other: Row, latest: Bool) -> Bool {
        if time != other.time { return latest == (time > other.time) }
        return other.seriesKey.lexicographicallyPrecedes(seriesKey)
    }
}

private struct Key {
    var sql: String
    var key: (Row) -> String
}

private struct Condition {
    var sql: String
    var holds: (Row) -> Bool
}

/// The slow answer: one pass over all rows for each group.
private struct SlowAnswer {
    var rows: [Row]

    func groups(_ key: (Row) -> String) -> [String: [Row]] {
        Dictionary(grouping: rows, by: key)
    }

    /// The first or the last of rows.
    static func chosen(_ rows: [Row], latest: Bool) -> Row? {
        rows.reduce(nil) { best, row in
            guard let best else { return row }
            return row.beats(best, latest: latest) ? row : best
        }
    }

    static func text(_ value: Double?) -> String {
        guard let value else { return "NULL" }
        let text = String(describing: value)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    static func aggregate(_ name: String, _ rows: [Row]) -> String {
        let xs = rows.compactMap(\.x)
        let ns = rows.compactMap(\.n)
        switch name {
        case "count(*)": return "\(rows.count)"
        case "count(x)": return "\(xs.count)"
        // Halves: sums are exact in any order.
        case "sum(x)": return text(xs.isEmpty ? nil : xs.reduce(0, +))
        case "min(x)": return text(xs.min())
        case "max(x)": return text(xs.max())
        case "avg(x)": return text(xs.isEmpty ? nil : xs.reduce(0, +) / Double(xs.count))
        case "sum(n)": return ns.isEmpty ? "NULL" : "\(ns.reduce(0, +))"
        case "min(n)": return ns.min().map(String.init) ?? "NULL"
        case "max(n)": return ns.max().map(String.init) ?? "NULL"
        case "first(x)": return text(chosen(rows.filter { $0.x != nil }, latest: false)?.x)
        case "last(x)": return text(chosen(rows.filter { $0.x != nil }, latest: true)?.x)
        case "last(n + 0)":
            return chosen(rows.filter { $0.n != nil }, latest: true)?.n.map(String.init) ?? "NULL"
        case "first(host)":
            return chosen(rows.filter { $0.host != nil }, latest: false)?.host ?? "NULL"
        case "avg(n)": return text(ns.isEmpty ? nil : Double(ns.reduce(0, +)) / Double(ns.count))
        default: return "\(Set(ns).count)"
        }
    }
}

struct DifferentialTests {
    private static let aggregates = [
        "count(*)", "count(x)", "sum(x)", "min(x)", "max(x)", "avg(x)", "sum(n)", "min(n)",
        "max(n)", "avg(n)", "count(DISTINCT n)", "first(x)", "last(x)", "last(n + 0)",
        "first(host)",
    ]

    private static var conditions: [Condition] {
        func regexOrNull(_ row: Row) -> Bool {
            let host = row.host ?? ""
            return row.region == nil || host.hasSuffix("1") || host.hasSuffix("2")
        }
        func neither(_ row: Row) -> Bool {
            guard let region = row.region, let host = row.host else { return false }
            return region != "r1" && !host.hasPrefix("h1")
        }
        return [
            Condition(sql: "host = 'h3'", holds: { $0.host == "h3" }),
            Condition(sql: "host != 'h3'", holds: { ($0.host ?? "h3") != "h3" }),
            Condition(sql: "region IS NULL OR host ~ '[12]$'", holds: regexOrNull),
            Condition(sql: "NOT (region = 'r1' OR host LIKE 'h1%')", holds: neither),
            Condition(sql: "time >= 1800000000000", holds: { $0.time >= 1_800_000_000_000 }),
            Condition(sql: "time < 5400000000000", holds: { $0.time < 5_400_000_000_000 }),
            Condition(sql: "x > 10.5", holds: { ($0.x ?? -1_000) > 10.5 }),
            Condition(sql: "n <= 5", holds: { ($0.n ?? 1_000) <= 5 }),
        ]
    }

    private static func rows(_ random: inout SeededRandom) -> [Row] {
        var rows: [String: Row] = [:]
        for _ in 0..<(200 + random.below(2_000)) {
            let host = random.below(10) == 0 ? nil : "h\(random.below(12))"
            let region = random.below(4) == 0 ? nil : "r\(random.below(3))"
            var row = Row(
                host: host, region: region,
                time: Int64(random.below(7_200)) * 1_000_000_000,
                x: random.below(5) == 0 ? nil : Double(random.below(400)) / 2 - 100,
                n: random.below(5) == 0 ? nil : Int64(random.below(50)) - 25)
            if row.x == nil, row.n == nil { row.n = 0 }
            let key = "\(host ?? "-")|\(region ?? "-")|\(row.time)"
            if let old = rows[key] {
                row.x = row.x ?? old.x
                row.n = row.n ?? old.n
            }
            rows[key] = row
        }
        return Array(rows.values)
    }

    private static func line(_ row: Row) -> String {
        var text = "d"
        if let host = row.host { text += ",host=\(host)" }
        if let region = row.region { text += ",region=\(region)" }
        var fields: [String] = []
        if let x = row.x { fields.append("x=\(x)") }
        if let n = row.n { fields.append("n=\(n)i") }
        return text + " " + fields.joined(separator: ",") + " \(row.time)\n"
    }

    /// Rows of a seed, stored in two parts.
    private func withRows(
        _ random: inout SeededRandom, _ state: ScriptState,
        _ body: ([Row], ScriptRunner, inout SeededRandom) throws -> Void
    ) async throws {
        let rows = Self.rows(&random)
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: state)
            for half in [rows.prefix(rows.count / 2), rows.suffix(from: rows.count / 2)] {
                _ = try await store.write(lines: Array(half.map(Self.line).joined().utf8))
                if state != .head { _ = try runner.query("FLUSH") }
            }
            if state == .compacted { _ = try runner.query("COMPACT") }
            try body(rows, runner, &random)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64], ScriptState.tested)
    func `random groupings equal the slow answer`(seed: UInt64, state: ScriptState) async throws {
        var random = SeededRandom(seed: seed)
        try await withRows(&random, state) { rows, runner, random in
            for _ in 0..<40 { try compareOne(rows, &random, runner, seed) }
        }
    }

    /// By tags, by values and by both; aggregates behind it see the rows that are left.
    @Test(arguments: [4, 5] as [UInt64], ScriptState.tested)
    func `random latest rows equal the slow answer`(seed: UInt64, state: ScriptState) async throws {
        var random = SeededRandom(seed: seed)
        try await withRows(&random, state) { rows, runner, random in
            for _ in 0..<40 { try compareLatest(rows, &random, runner, seed) }
        }
    }

    private func compareLatest(
        _ rows: [Row], _ random: inout SeededRandom, _ runner: ScriptRunner, _ seed: UInt64
    ) throws {
        let all = [
            Key(sql: "host", key: { $0.host ?? "NULL" }),
            Key(sql: "region", key: { $0.region ?? "NULL" }),
            Key(sql: "n", key: { $0.n.map(String.init) ?? "NULL" }),
            Key(sql: "x", key: { SlowAnswer.text($0.x) }),
            Key(sql: "time", key: { String($0.time) }),
        ]
        var keys = all.filter { _ in random.below(3) == 0 }
        if keys.isEmpty { keys = [all[random.below(all.count)]] }
        let conditions = Self.conditions.filter { _ in random.below(5) == 0 }
        var tail = " FROM d"
        if !conditions.isEmpty {
            tail += " WHERE " + conditions.map { "(\($0.sql))" }.joined(separator: " AND ")
        }
        tail += " LATEST ON time PARTITION BY " + keys.map(\.sql).joined(separator: ", ")
        let kept = rows.filter { row in conditions.allSatisfy { $0.holds(row) } }
        let latest = SlowAnswer(rows: kept).groups { row in
            keys.map { $0.key(row) }.joined(separator: " | ")
        }.values.compactMap { SlowAnswer.chosen($0, latest: true) }
        let expected = latest.map { row in
            ["\(row.time)"] + all.dropLast().map { $0.key(row) }
        }.map { $0.joined(separator: " | ") }.sorted()
        let sql = "SELECT epoch_ns(time), host, region, n, x" + tail
        let found = try runner.query(sql).rows.map { $0.joined(separator: " | ") }.sorted()
        #expect(found == expected, "seed \(seed), \(runner.state): \(sql)")

        let calls = ["count(*)", "sum(n)", "first(x)", "last(x)", "first(host)", "max(x)"]
        let summed = "SELECT " + calls.joined(separator: ", ") + tail
        #expect(
            try runner.query(summed).rows == [calls.map { SlowAnswer.aggregate($0, latest) }],
            "seed \(seed), \(runner.state): \(summed)")
    }

    private func compareOne(
        _ rows: [Row], _ random: inout SeededRandom, _ runner: ScriptRunner, _ seed: UInt64
    ) throws {
        let width = [60, 300, 3_600][random.below(3)]
        let widthNanoseconds = Int64(width) * 1_000_000_000
        func bucket(_ row: Row) -> String { String(row.time - row.time % widthNanoseconds) }
        func remainder(_ row: Row) -> String {
            guard let n = row.n else { return "NULL" }
            return String(n % 3)
        }
        // 2000-01-03 is a whole number of hours after 1970.
        var keys: [Key] = [
            Key(sql: "host", key: { $0.host ?? "NULL" }),
            Key(sql: "region", key: { $0.region ?? "NULL" }),
            Key(sql: "epoch_ns(time_bucket('\(width) seconds', time))", key: bucket),
            Key(sql: "n % 3", key: remainder),
        ]
        keys = keys.filter { _ in random.below(2) == 0 }
        let conditions = Self.conditions.filter { _ in random.below(4) == 0 }
        let chosen = Self.aggregates.filter { _ in random.below(3) == 0 } + ["count(*)"]

        var sql = "SELECT " + (keys.map(\.sql) + chosen).joined(separator: ", ") + " FROM d"
        if !conditions.isEmpty {
            sql += " WHERE " + conditions.map { "(\($0.sql))" }.joined(separator: " AND ")
        }
        if !keys.isEmpty { sql += " GROUP BY " + keys.map(\.sql).joined(separator: ", ") }

        let kept = rows.filter { row in conditions.allSatisfy { $0.holds(row) } }
        var groups = SlowAnswer(rows: kept).groups { row in
            keys.map { $0.key(row) }.joined(separator: " | ")
        }
        if keys.isEmpty, groups.isEmpty { groups[""] = [] }
        let expected = groups.map { key, rows in
            ((keys.isEmpty ? [] : [key]) + chosen.map { SlowAnswer.aggregate($0, rows) })
                .joined(separator: " | ")
        }.sorted()
        let found = try runner.query(sql).rows.map { $0.joined(separator: " | ") }.sorted()
        #expect(found == expected, "seed \(seed), \(runner.state): \(sql)")
    }
}
