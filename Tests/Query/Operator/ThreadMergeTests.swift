// Every aggregate gives the same answer however many threads share the rows.

import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Testing

struct ThreadMergeTests {
    private static let aggregates = [
        "count(*)", "count(s)", "count(DISTINCT host)", "count(DISTINCT n)", "count(DISTINCT x)",
        "count(DISTINCT s)", "count(DISTINCT b)", "sum(n)", "sum(x)", "avg(x)", "min(n)", "max(n)",
        "min(x)", "max(x)", "min(s)", "max(s)", "first(x)", "last(x)", "first(s)", "last(s)",
        "median(x)", "first(s, n)", "last(n, s)", "arg_min(x, s)", "arg_max(s, x)",
        "percentile_cont(0.9) WITHIN GROUP (ORDER BY x)",
        "percentile_disc(0.9) WITHIN GROUP (ORDER BY s)", "mode(s)", "mode(n)",
        "approx_percentile(x, 0.9)", "approx_count_distinct(n)", "approx_count_distinct(s)",
        "approx_count_distinct(host)", "sum(DISTINCT n)", "median(DISTINCT x)", "bool_and(b)",
        "bit_xor(n)", "string_agg(DISTINCT s, ',' ORDER BY s)", "histogram(x, 1, 13, 6)",
        "regr_count(x, n)", "delta(n)", "increase(n)", "rate(n)", "irate(x)", "resets(n)",
        "changes(s)", "changes(b)", "state_count(s, 't1')", "state_duration(s, 't1')",
        "time_weighted_avg(x)", "round(derivative(x), 6)", "round(corr(x, n), 6)",
        "round(covar_samp(x, n), 6)", "round(kurtosis(x), 6)",
    ]

    @Test(arguments: ScriptState.tested)
    func `an aggregate is the same for one thread and for four`(state: ScriptState) async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: state)
            var random = SeededRandom(seed: 5)
            for part in 0..<4 {
                var lines = ""
                for host in 0..<300 {
                    for second in 0..<120 {
                        // Multiples of 1/64 add up exactly in any order.
                        lines += "d,host=h\(host) x=\(Double(random.below(900)) / 64)"
                        lines += ",n=\(random.below(500))i,b=\(random.below(2) == 0)"
                        if random.below(3) > 0 { lines += ",s=\"t\(random.below(200))\"" }
                        lines += " \(part * 120 + second)000000000\n"
                    }
                }
                _ = try await store.write(lines: Array(lines.utf8))
                if state != .head { _ = try runner.query("FLUSH") }
            }
            if state == .compacted { _ = try runner.query("COMPACT") }
            for key in ["", "n % 3"] {
                let grouping = key.isEmpty ? "" : " GROUP BY \(key) ORDER BY \(key)"
                let sql = "SELECT \(Self.aggregates.joined(separator: ", ")) FROM d\(grouping)"
                let one = try answer(store, sql, threadCount: 1)
                let four = try answer(store, sql, threadCount: 4)
                for (left, right) in zip(one, four) {
                    for (column, aggregate) in Self.aggregates.enumerated() {
                        #expect(left[column] == right[column], "\(aggregate)\(grouping)")
                    }
                }
            }
            let distinct = try answer(store, "SELECT count(DISTINCT host) FROM d", threadCount: 4)
            #expect(distinct == [["300"]])
        }
    }

    private func answer(
        _ store: Store, _ sql: String, threadCount: Int
    ) throws -> [[String]] {
        var options = QueryOptions()
        options.threadCount = threadCount
        let engine = QueryEngine(storage: store.engine, options: options)
        var sink = TextSink()
        _ = try engine.run(QueryRequest(sql: sql), cancellation: QueryCancellation(), into: &sink)
        return sink.rows
    }
}
