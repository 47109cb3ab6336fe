import Apus
import ApusTestKit
import Testing

/// DROP SERIES against a dictionary of rows, whatever else happens between.
@Suite("Series that are dropped") struct DropSeriesTests {
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
        ("SELECT count(DISTINCT host) FROM t", { [["\(Set($0.keys.map(\.host)).count)"]] }),
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
            "SELECT sum(x) FROM t WHERE zone = 'z1' AND host ~ '^h'",
            { rows in
                let found = rows.filter { $0.key.zone == 1 }
                return [[found.isEmpty ? "" : "\(found.values.reduce(0, +))"]]
            }
        ),
        (
            "SELECT count(*) FROM t WHERE time >= to_timestamp(1000050)",
            { rows in [["\(rows.keys.count { $0.time >= 1_000_050 })"]] }
        ),
        (
            "SHOW SERIES FROM t",
            { rows in
                Set(rows.keys.map { [$0.host, $0.zone] }).map { ["h\($0[0])", "z\($0[1])"] }
            }
        ),
        (
            "SHOW TAG VALUES FROM t WITH KEY = host WHERE zone != 'z0'",
            { rows in
                Set(rows.keys.filter { $0.zone != 0 }.map(\.host)).map { ["host", "h\($0)"] }
            }
        ),
    ]

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func `what is left is what a dictionary has`(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let directory = TemporaryDirectory()
        var store = try await Store.open(at: directory.path)
        var rows: [Row: Int] = [:]
        for step in 0..<120 {
            var text = ""
            for _ in 0..<(1 + random.below(20)) {
                let row = Row(
                    host: random.below(6 + step / 8), zone: random.below(3),
                    time: 1_000_000 + random.below(200))
                rows[row] = step
                text += "t,host=h\(row.host),zone=z\(row.zone) x=\(step)i \(row.time)000000000\n"
            }
            _ = try await store.write(lines: Array(text.utf8))
            let runner = ScriptRunner(store: store, state: .head)
            switch random.below(10) {
            case 0: _ = try runner.query("FLUSH")
            case 1: _ = try runner.query("COMPACT")
            case 2, 3:
                let host = random.below(10)
                let zone = random.below(3)
                let (condition, isGone): (String, (Row) -> Bool) =
                    switch random.below(4) {
                    case 0: ("host = 'h\(host)'", { $0.host == host })
                    case 1:
                        (
                            "zone = 'z\(zone)' AND host ~ '[246]$'",
                            {
                                $0.zone == zone && [2, 4, 6].contains($0.host % 10)
                            }
                        )
                    case 2: ("host = 'h\(host)' OR zone IS NULL", { $0.host == host })
                    default:
                        (
                            "host IN ('h\(host)', 'h\(host + 1)') AND zone != 'z\(zone)'",
                            {
                                ($0.host == host || $0.host == host + 1) && $0.zone != zone
                            }
                        )
                    }
                _ = try runner.query("DROP SERIES FROM t WHERE \(condition)")
                rows = rows.filter { !isGone($0.key) }
            case 4 where random.below(3) == 0:
                try await store.close()
                store = try await Store.open(at: directory.path)
            default: break
            }
            let (sql, answer) = Self.queries[random.below(Self.queries.count)]
            let found = try ScriptRunner(store: store, state: .head).query(sql).rows
            let expected = answer(rows)
            guard found.count == expected.count, Set(found) == Set(expected) else {
                Issue.record("step \(step): \(sql): \(found) \(expected)")
                break
            }
        }
        try await store.close()
    }

    @Test func `what is written again is a series of its own`() async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .head)
            func write(_ time: Int) async throws {
                _ = try await store.write(lines: Array("t,host=a x=1 \(time)\n".utf8))
            }
            try await write(1_000)
            _ = try runner.query("DROP SERIES FROM t")
            #expect(try runner.query("SHOW SERIES FROM t").rows.isEmpty)
            try await write(2_000)
            #expect(try runner.query("SELECT epoch_ns(time) FROM t").rows == [["2000"]])
            #expect(try runner.query("SHOW SERIES FROM t").rows == [["a"]])
            _ = try runner.query("COMPACT")
            #expect(try runner.query("SELECT count(*) FROM t").rows == [["1"]])
        }
    }

    @Test func `a condition on rows is refused`() async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .head)
            _ = try await store.write(lines: Array("t,host=a x=1 1000\n".utf8))
            for condition in ["x > 0", "time > '2020-01-01'", "host = 'a' AND x = 1"] {
                let error = #expect(throws: (any Error).self) {
                    try runner.query("DROP SERIES FROM t WHERE \(condition)")
                }
                #expect("\(String(describing: error))".contains("tags alone"))
            }
            #expect(try runner.query("SELECT count(*) FROM t").rows == [["1"]])
        }
    }
}
