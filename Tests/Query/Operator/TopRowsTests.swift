// ORDER BY time with a LIMIT reads the partitions at the right end only, and answers as a sort of
// all rows would.

import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Testing

struct TopRowsTests {
    private static let hours = 8
    private static let rowsPerHour = 500

    /// Eight partitions of an hour.
    private func withPartitions(
        _ state: ScriptState, _ body: (ScriptRunner, _ rows: [(time: Int64, v: Int)]) throws -> Void
    ) async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: state)
            _ = try runner.query("CREATE DATABASE h WITH (partition = '1h')")
            var random = SeededRandom(seed: 5)
            let count = Self.hours * Self.rowsPerHour
            let rows = (0..<count).map { index in
                (
                    time: Int64(index / 2) * 7_200_000_000_000 / Int64(Self.rowsPerHour),
                    v: random.below(1_000)
                )
            }
            var lines = ""
            for (index, row) in rows.enumerated() {
                lines += "t,host=h\(index % 2) v=\(row.v)i \(row.time)\n"
            }
            _ = try await store.write(lines: Array(lines.utf8), database: "h")
            if state != .head { _ = try runner.query("FLUSH") }
            if state == .compacted { _ = try runner.query("COMPACT") }
            try body(runner, rows)
        }
    }

    private func run(
        _ runner: ScriptRunner, _ sql: String, threadCount: Int = 1
    ) throws -> (rows: [String], rowsScanned: Int) {
        var options = QueryOptions()
        options.threadCount = threadCount
        let engine = QueryEngine(storage: runner.store.engine, options: options)
        var request = QueryRequest(sql: sql)
        request.database = "h"
        var sink = TextSink()
        let summary = try engine.run(request, cancellation: QueryCancellation(), into: &sink)
        return (sink.rows.map { $0.joined(separator: " ") }, summary.statistics.rowsScanned)
    }

    /// Series that reach over all of a partition, in any order: what is left out is decided row by row.
    @Test(arguments: ScriptState.tested)
    func `late rows are found, and few of the others are read`(state: ScriptState) async throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0024)
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: state)
            _ = try runner.query("CREATE DATABASE h")
            var times = (0..<150_000).map { Int64($0) * 1_000_000 }
            for index in times.indices where random.oneIn(4) {
                times.swapAt(index, random.below(times.count))
            }
            for part in stride(from: 0, to: times.count, by: 30_000) {
                var lines = ""
                for (index, time) in times[part..<(part + 30_000)].enumerated() {
                    lines +=
                        "t,host=h\(index % 50) v=\(time % 1_009)i,s=\"x\(index % 9)\" \(time)\n"
                }
                _ = try await store.write(lines: Array(lines.utf8), database: "h")
                if state != .head { _ = try runner.query("FLUSH") }
            }
            if state == .compacted { _ = try runner.query("COMPACT") }
            for threadCount in [1, 4] {
                for (order, limit, offset) in [
                    ("DESC", 20, 0), ("ASC", 20, 0), ("DESC", 700, 300), ("ASC", 1, 149_999),
                ] {
                    let (found, scanned) = try run(
                        runner,
                        "SELECT epoch_ns(time) AS t, v FROM t ORDER BY time \(order) "
                            + "LIMIT \(limit) OFFSET \(offset)", threadCount: threadCount)
                    let sorted = order == "ASC" ? times.sorted() : times.sorted(by: >)
                    let expected = sorted.dropFirst(offset).prefix(limit).map {
                        "\($0) \($0 % 1_009)"
                    }
                    #expect(found == expected, "\(order) \(limit) \(offset), seed \(random.seed)")
                    if offset == 0, threadCount == 1 { #expect(scanned < 120_000, "\(scanned)") }
                }
            }
        }
    }

    @Test(arguments: [ScriptState.flushed, .compacted])
    func `partitions that cannot matter are not read`(state: ScriptState) async throws {
        try await withPartitions(state) { runner, rows in
            for order in ["ASC", "DESC"] {
                for (more, partitions) in [
                    ("LIMIT 5", 1), ("LIMIT 5 OFFSET 490", 1), ("LIMIT 500", 1), ("LIMIT 501", 2),
                    ("LIMIT 100000", Self.hours),
                ] {
                    let sql = "SELECT time, v FROM t ORDER BY time \(order) \(more)"
                    let answer = try run(runner, sql)
                    #expect(answer.rowsScanned == partitions * Self.rowsPerHour, "\(sql)")
                }
            }
            // Another key first, or no limit: all must be read.
            for sql in [
                "SELECT v FROM t ORDER BY v, time LIMIT 5", "SELECT v FROM t ORDER BY time DESC",
            ] {
                #expect(try run(runner, sql).rowsScanned == rows.count, "\(sql)")
            }
            // Rows that WHERE takes away don't count.
            let sparse = try run(
                runner, "SELECT v FROM t WHERE epoch_ns(time) < 1000 ORDER BY time DESC LIMIT 1")
            #expect(sparse.rows.count == 1 && sparse.rowsScanned == rows.count)
        }
    }

    @Test(arguments: ScriptState.tested)
    func `the answer is that of a sort of all rows`(state: ScriptState) async throws {
        try await withPartitions(state) { runner, rows in
            var random = SeededRandom(seed: 9)
            for _ in 0..<40 {
                let limit = 1 + random.below(700)
                let offset = random.below(3) == 0 ? random.below(300) : 0
                let isDescending = random.below(2) == 0
                let least = random.below(2) == 0 ? 0 : random.below(1_000)
                let sql =
                    "SELECT epoch_ns(time), v FROM t WHERE v >= \(least) ORDER BY time"
                    + "\(isDescending ? " DESC" : ""), v DESC LIMIT \(limit) OFFSET \(offset)"
                let sorted = rows.filter { $0.v >= least }.sorted { a, b in
                    if a.time != b.time { return isDescending ? a.time > b.time : a.time < b.time }
                    return a.v > b.v
                }
                let expected = sorted.dropFirst(offset).prefix(limit).map { "\($0.time) \($0.v)" }
                let found = try run(runner, sql, threadCount: 1 + random.below(3)).rows
                #expect(found == expected, "\(state): \(sql)")
            }
        }
    }

    @Test(arguments: ScriptState.tested)
    func `buckets with a LIMIT are those of all buckets, and few are read`(
        state: ScriptState
    ) async throws {
        try await withPartitions(state) { runner, rows in
            var random = SeededRandom(seed: 10)
            for _ in 0..<40 {
                let order = random.oneIn(2) ? "DESC" : "ASC"
                let width = ["1 minute", "7 minutes", "1 hour", "5 hours", "400 days"][
                    random.below(5)]
                let keys = ["b", "b, host", "host, b"][random.below(3)]
                let condition =
                    ["", "WHERE v >= 990", "WHERE epoch_ns(time) < 9000000000000"][random.below(3)]
                let having = random.oneIn(4) ? "HAVING max(v) > 900" : ""
                let base =
                    "SELECT time_bucket('\(width)', time) AS b, count(*), max(v) FROM t \(condition) "
                    + "GROUP BY \(keys) \(having) ORDER BY b \(order), max(v), count(*)"
                let limit = random.below(40)
                let offset = random.oneIn(3) ? random.below(30) : 0
                let all = try run(runner, base).rows
                let found = try run(
                    runner, "\(base) LIMIT \(limit) OFFSET \(offset)",
                    threadCount: 1 + random.below(3)
                ).rows
                #expect(
                    found == Array(all.dropFirst(offset).prefix(limit)),
                    "\(state): \(base) LIMIT \(limit) OFFSET \(offset)")
            }
            let last = try run(
                runner,
                "SELECT time_bucket('1 minute', time) AS b, max(v) FROM t GROUP BY b "
                    + "ORDER BY b DESC LIMIT 5")
            #expect(last.rows.count == 5 && last.rowsScanned <= 50, "\(last.rowsScanned)")
        }
    }
}
