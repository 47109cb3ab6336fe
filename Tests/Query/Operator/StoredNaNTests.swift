// NaN and Prometheus' stale marker as stored values: what the text protocols cannot write. Each
// row group lies in the head, in segments and compacted, answered by rows and by statistics.

import Apus
import ApusQuery
import ApusStorage
import Testing

struct StoredNaNTests {
    private static let stale = Double(bitPattern: 0x7FF0_0000_0000_0002)

    /// Hosts: plain (numbers only), nan (numbers and NaN), stale (numbers and markers), gone
    /// (markers only), no (NaN only), mixed (a NaN, a marker, a number).
    private static let values: [(host: String, values: [Double])] = [
        ("gone", [stale, stale]), ("mixed", [.nan, stale, 5]), ("nan", [1, .nan, 3]),
        ("no", [.nan, .nan]), ("plain", [1, 2, 3]), ("stale", [10, stale, 30, stale]),
    ]

    private func withRows(
        _ state: ScriptState, repeated: Int = 1, _ body: (ScriptRunner) throws -> Void
    ) async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: state)
            for part in 0..<2 {
                var appender = store.appender()
                for (host, values) in Self.values {
                    for index in 0..<(values.count * repeated) where index % 2 == part {
                        appender.append(
                            table: "t", tags: ["host": host],
                            time: Timestamp(nanoseconds: Int64(index)),
                            fields: ["v": .float64(values[index % values.count])])
                    }
                }
                try await appender.flush()
                if state != .head { _ = try runner.query("FLUSH") }
            }
            if state == .compacted { _ = try runner.query("COMPACT") }
            try body(runner)
        }
    }

    private func expect(_ runner: ScriptRunner, _ sql: String, _ expected: [String]) throws {
        let found = try runner.query(sql).rows.map { $0.joined(separator: " ") }
        #expect(found == expected, "\(runner.state): \(sql)")
    }

    @Test(arguments: ScriptState.tested)
    func `NaN lies above all numbers and a stale marker is NULL in aggregates`(
        state: ScriptState
    ) async throws {
        try await withRows(state) { runner in
            try expect(
                runner,
                "SELECT host, count(*), count(v), min(v), max(v), sum(v), avg(v) FROM t "
                    + "GROUP BY host ORDER BY host",
                [
                    "gone 2 0 NULL NULL NULL NULL", "mixed 3 2 5 NaN NaN NaN",
                    "nan 3 3 1 NaN NaN NaN", "no 2 2 NaN NaN NaN NaN", "plain 3 3 1 3 6 2",
                    "stale 4 2 10 30 40 20",
                ])
            try expect(
                runner,
                "SELECT host, count(DISTINCT v), first(v), last(v), median(v), var_pop(v) "
                    + "FROM t GROUP BY host ORDER BY host",
                [
                    "gone 0 NULL NULL NULL NULL", "mixed 2 NaN 5 NaN NaN", "nan 3 1 3 3 NaN",
                    "no 1 NaN NaN NaN NaN", "plain 3 1 3 2 0.6666666666666666",
                    "stale 2 10 30 20 100",
                ])
            // By expressions, which take another way.
            try expect(
                runner, "SELECT host, count(v + 0), max(v + 0) FROM t GROUP BY host ORDER BY host",
                [
                    "gone 0 NULL", "mixed 2 NaN", "nan 3 NaN", "no 2 NaN", "plain 3 3",
                    "stale 2 30",
                ])
        }
    }

    @Test(arguments: ScriptState.tested)
    func `rows, order, comparisons and tests see the same`(state: ScriptState) async throws {
        try await withRows(state) { runner in
            try expect(
                runner, "SELECT v FROM t WHERE host IN ('nan', 'stale') ORDER BY v, time",
                [
                    "1", "3", "10", "30", "NaN", "NULL", "NULL",
                ])
            try expect(
                runner, "SELECT v FROM t WHERE host IN ('nan', 'stale') ORDER BY v DESC",
                ["NULL", "NULL", "NaN", "30", "10", "3", "1"])
            try expect(
                runner, "SELECT host, v FROM t WHERE v > 25 ORDER BY host, time",
                [
                    "mixed NaN", "nan NaN", "no NaN", "no NaN", "stale 30",
                ])
            try expect(runner, "SELECT count(*) FROM t WHERE v = 'NaN'", ["4"])
            try expect(runner, "SELECT count(*) FROM t WHERE v != 'NaN'", ["8"])
            try expect(runner, "SELECT count(*) FROM t WHERE v < 2", ["2"])
            try expect(runner, "SELECT count(*) FROM t WHERE v IS NULL", ["5"])
            try expect(runner, "SELECT count(*) FROM t WHERE v IS NOT NULL", ["12"])
            try expect(
                runner, "SELECT host, v FROM t LATEST ON time PARTITION BY host ORDER BY host",
                [
                    "gone NULL", "mixed 5", "nan 3", "no NaN", "plain 3", "stale NULL",
                ])
            try expect(
                runner, "SELECT DISTINCT v FROM t WHERE host != 'plain' ORDER BY v",
                [
                    "1", "3", "5", "10", "30", "NaN", "NULL",
                ])
        }
    }

    /// Enough rows for whole blocks, so that counts and ranges could come from statistics.
    @Test(arguments: ScriptState.tested)
    func `statistics of whole blocks count no stale marker and prune no NaN`(
        state: ScriptState
    ) async throws {
        try await withRows(state, repeated: 3_000) { runner in
            try expect(
                runner, "SELECT host, count(*), count(v), max(v) FROM t GROUP BY 1 ORDER BY 1",
                [
                    "gone 6000 0 NULL", "mixed 9000 6000 NaN", "nan 9000 9000 NaN",
                    "no 6000 6000 NaN", "plain 9000 9000 3", "stale 12000 6000 30",
                ])
            try expect(
                runner, "SELECT host, count(*) FROM t WHERE v > 1e300 GROUP BY 1 ORDER BY 1",
                ["mixed 3000", "nan 3000", "no 6000"])
            try expect(
                runner, "SELECT host, count(*) FROM t WHERE v <= 1 GROUP BY 1 ORDER BY 1",
                ["nan 3000", "plain 3000"])
            try expect(
                runner, "SELECT host, count(*) FROM t WHERE v IS NULL GROUP BY 1 ORDER BY 1",
                ["gone 6000", "mixed 3000", "stale 6000"])
        }
    }
}
