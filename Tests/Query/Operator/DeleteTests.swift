import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Testing

/// DELETE against a dictionary of rows, whatever else happens between.
@Suite("Rows that are deleted") struct DeleteTests {
    private struct Row: Hashable {
        var host: Int
        var zone: Int
        var time: Int
    }

    private static let queries: [(sql: String, answer: @Sendable ([Row: Int]) -> [[String]])] = [
        ("SELECT count(*) FROM t", { [["\($0.count)"]] }),
        (
            "SELECT host, zone, epoch_ns(time), x FROM t",
            { rows in
                rows.map { ["h\($0.host)", "z\($0.zone)", "\($0.time)000000000", "\($1)"] }
            }
        ),
        ("SELECT DISTINCT zone FROM t", { rows in Set(rows.keys.map(\.zone)).map { ["z\($0)"] } }),
        (
            "SELECT host, count(*), min(x) FROM t GROUP BY host",
            { rows in
                Dictionary(grouping: rows) { $0.key.host }.map { host, rows in
                    ["h\(host)", "\(rows.count)", "\(rows.map(\.value).min() ?? -1)"]
                }
            }
        ),
        (
            "SELECT host, zone, x FROM t LATEST ON time PARTITION BY host, zone",
            { rows in
                Dictionary(grouping: rows) { [$0.key.host, $0.key.zone] }.map { series, rows in
                    let last = rows.max { $0.key.time < $1.key.time }?.value ?? -1
                    return ["h\(series[0])", "z\(series[1])", "\(last)"]
                }
            }
        ),
        (
            "SELECT sum(x) FROM t WHERE zone = 'z1'",
            { rows in
                let found = rows.filter { $0.key.zone == 1 }
                return [[found.isEmpty ? "NULL" : "\(found.values.reduce(0, +))"]]
            }
        ),
        (
            "SELECT count(*) FROM t WHERE time >= to_timestamp(1000050)",
            { rows in [["\(rows.keys.count { $0.time >= 1_000_050 })"]] }
        ),
        (
            "SHOW SERIES FROM t WHERE time < to_timestamp(1000100)",
            { rows in
                Set(rows.keys.filter { $0.time < 1_000_100 }.map { [$0.host, $0.zone] }).map {
                    ["h\($0[0])", "z\($0[1])"]
                }
            }
        ),
        (
            "SHOW TAG VALUES FROM t WITH KEY = host WHERE time > to_timestamp(0)",
            { rows in Set(rows.keys.map(\.host)).map { ["host", "h\($0)"] } }
        ),
    ]

    /// A condition, and which rows it takes.
    private static func condition(
        _ random: inout SeededRandom
    ) -> (text: String, takes: (Row) -> Bool) {
        let (host, zone) = (random.below(8), random.below(3))
        let lower = 1_000_000 + random.below(200)
        let upper = lower + random.below(random.oneIn(2) ? 10 : 150)
        let tags: (text: String, takes: (Row) -> Bool) =
            switch random.below(5) {
            case 0: ("host = 'h\(host)'", { $0.host == host })
            case 1:
                (
                    "zone = 'z\(zone)' AND host ~ '[246]$'",
                    {
                        $0.zone == zone && [2, 4, 6].contains($0.host % 10)
                    }
                )
            case 2:
                (
                    "(host = 'h\(host)' OR zone = 'z\(zone)')",
                    {
                        $0.host == host || $0.zone == zone
                    }
                )
            case 3: ("NOT host = 'h\(host)'", { $0.host != host })
            default: ("", { _ in true })
            }
        let times: (text: String, takes: (Row) -> Bool) =
            switch random.below(5) {
            case 0:
                (
                    "time BETWEEN to_timestamp(\(lower)) AND to_timestamp(\(upper))",
                    { (lower...upper).contains($0.time) }
                )
            case 1:
                (
                    "time >= to_timestamp(\(lower)) AND time < to_timestamp(\(upper))",
                    { lower <= $0.time && $0.time < upper }
                )
            case 2: ("time <= to_timestamp(\(lower))", { $0.time <= lower })
            case 3: ("time = to_timestamp(\(lower))", { $0.time == lower })
            default: ("", { _ in true })
            }
        let parts = [tags.text, times.text].filter { !$0.isEmpty }
        return (
            parts.isEmpty ? "" : " WHERE " + parts.joined(separator: " AND "),
            { tags.takes($0) && times.takes($0) }
        )
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `what is left is what a dictionary has`(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let directory = TemporaryDirectory()
        var store = try await Store.open(at: directory.path)
        var rows: [Row: Int] = [:]
        for step in 0..<150 {
            var text = ""
            for _ in 0..<(1 + random.below(step % 10 == 0 ? 400 : 20)) {
                let row = Row(
                    host: random.below(6 + step / 20), zone: random.below(3),
                    time: 1_000_000 + random.below(200))
                rows[row] = step
                text += "t,host=h\(row.host),zone=z\(row.zone) x=\(step)i \(row.time)000000000\n"
            }
            _ = try await store.write(lines: Array(text.utf8))
            let runner = ScriptRunner(store: store, state: .head)
            switch random.below(12) {
            case 0: _ = try runner.query("FLUSH")
            case 1: _ = try runner.query("COMPACT")
            case 2, 3, 4, 5:
                let (text, takes) = Self.condition(&random)
                _ = try runner.query("DELETE FROM t\(text)")
                rows = rows.filter { !takes($0.key) }
            case 6 where random.below(3) == 0:
                try await store.close()
                store = try await Store.open(at: directory.path)
            case 7 where random.oneIn(3):
                let host = random.below(8)
                _ = try runner.query("DROP SERIES FROM t WHERE host = 'h\(host)'")
                rows = rows.filter { $0.key.host != host }
            default: break
            }
            for _ in 0..<2 {
                let (sql, answer) = Self.queries[random.below(Self.queries.count)]
                let found = try ScriptRunner(store: store, state: .head).query(sql).rows
                let expected = answer(rows)
                guard found.count == expected.count, Set(found) == Set(expected) else {
                    Issue.record(
                        "seed \(seed), step \(step): \(sql): \(found.count) \(expected.count)")
                    return
                }
            }
        }
        _ = try ScriptRunner(store: store, state: .head).query("COMPACT")
        #expect(store.engine.snapshot().version.segments.count <= 1)
        let found = try ScriptRunner(store: store, state: .head).query("SELECT count(*) FROM t")
        #expect(found.rows == [["\(rows.count)"]])
        try await store.close()
    }

    /// Each sender deletes what it wrote, and writes it again.
    @Test func `who writes, deletes and writes again sees the last, beside others`() async throws {
        try await withTemporaryStore { store in
            await withTaskGroup(of: String?.self) { group in
                for sender in 0..<4 {
                    group.addTask {
                        do {
                            let runner = ScriptRunner(store: store, state: .head)
                            for round in 0..<40 {
                                for part in 0..<2 {
                                    let lines = (0..<50).map {
                                        "t,sender=s\(sender),n=n\(round) x=\(round * 2 + part)i \($0)\n"
                                    }
                                    try await store.write(lines: lines.joined())
                                    guard part == 0 else { continue }
                                    _ = try runner.query(
                                        "DELETE FROM t WHERE sender = 's\(sender)'")
                                    let left = try runner.query(
                                        "SELECT count(*) FROM t WHERE sender = 's\(sender)'")
                                    guard left.rows == [["0"]] else { return "\(left.rows)" }
                                }
                                let found = try runner.query(
                                    "SELECT count(*), min(x) FROM t WHERE sender = 's\(sender)'")
                                guard found.rows == [["50", "\(round * 2 + 1)"]] else {
                                    return "round \(round): \(found.rows)"
                                }
                                if round % 10 == 9 { _ = try runner.query("FLUSH") }
                            }
                            return nil
                        } catch { return "\(error)" }
                    }
                }
                for await problem in group {
                    if let problem { Issue.record("\(problem)") }
                }
            }
        }
    }

    @Test func `a statement that may only read is refused`() async throws {
        try await withTemporaryStore { store in
            try await store.write(lines: "t,host=a x=1 1000\n")
            var request = QueryRequest(sql: "DELETE FROM t")
            request.readOnly = true
            var sink = TextSink()
            #expect(throws: QueryError.self) {
                try store.queries.run(request, cancellation: QueryCancellation(), into: &sink)
            }
            let runner = ScriptRunner(store: store, state: .head)
            #expect(try runner.query("SELECT count(*) FROM t").rows == [["1"]])
        }
    }
}
