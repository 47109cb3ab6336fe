// Deviations, variances and medians of random values against the slow answer over sorted arrays;
// the median's memory.

import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Testing

struct StatisticsTests {
    private struct Row: Sendable {
        var host: Int
        var second: Int
        var x: Double
        var n: Int64
    }

    private static let functions = [
        "stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop", "median",
    ]

    /// Two passes, nothing merged.
    private static func slow(_ function: String, _ values: [Double]) -> Double? {
        guard !values.isEmpty else { return nil }
        if function == "median" {
            let sorted = values.sorted()
            let half = sorted.count / 2
            return sorted.count.isMultiple(of: 2)
                ? (sorted[half - 1] + sorted[half]) / 2 : sorted[half]
        }
        let isSample = !function.hasSuffix("_pop")
        guard values.count > (isSample ? 1 : 0) else { return nil }
        let mean = values.reduce(0, +) / Double(values.count)
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let variance = squares / Double(values.count - (isSample ? 1 : 0))
        return function.hasPrefix("stddev") ? variance.squareRoot() : variance
    }

    private static func isNear(_ text: String, _ expected: Double?) -> Bool {
        guard let expected else { return text == "NULL" }
        guard let found = Double(text) else { return false }
        return abs(found - expected) <= 1e-9 * max(abs(found), abs(expected), 1e-6)
    }

    @Test(arguments: [11, 12] as [UInt64], ScriptState.tested)
    func `random statistics equal the slow answer`(seed: UInt64, state: ScriptState) async throws {
        var random = SeededRandom(seed: seed)
        // A large mean beside small differences, which naive sums of squares lose.
        let rows = (0..<3_000).map { second in
            let host = random.below(7)
            return Row(
                host: host, second: second,
                x: (host == 0 ? 1e9 : 0) + Double(random.below(20_000)) / 64 - 100,
                n: Int64(random.below(1_000)) - 500)
        }
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: state)
            for part in [rows.prefix(1_700), rows.dropFirst(1_700)] {
                let lines = part.map { row in
                    "d,host=h\(row.host) x=\(row.x),n=\(row.n)i \(row.second)000000000\n"
                }
                _ = try await store.write(lines: Array(lines.joined().utf8))
                if state != .head { _ = try runner.query("FLUSH") }
            }
            if state == .compacted { _ = try runner.query("COMPACT") }
            let calls = Self.functions.flatMap { ["\($0)(x)", "\($0)(n)"] }.joined(separator: ", ")
            let keys: [(sql: String, key: (Row) -> String)] = [
                ("host", { "h\($0.host)" }),
                (
                    "epoch_ns(time_bucket('5 minutes', time))",
                    { "\($0.second / 300 * 300)000000000" }
                ),
                ("n % 2", { "\($0.n % 2)" }),
            ]
            for (sql, key) in keys {
                let groups = Dictionary(grouping: rows, by: key)
                let answer = try runner.query("SELECT \(sql), \(calls) FROM d GROUP BY 1").rows
                #expect(answer.count == groups.count, "seed \(seed), \(state): \(sql)")
                for row in answer {
                    // Bucket 0 is written 0.
                    let group = groups[row[0]] ?? groups[row[0] + "000000000"] ?? []
                    for (index, function) in Self.functions.enumerated() {
                        let x = Self.slow(function, group.map(\.x))
                        let n = Self.slow(function, group.map { Double($0.n) })
                        let found = (row[1 + 2 * index], row[2 + 2 * index])
                        let place = "seed \(seed), \(state): \(function) of \(sql) = \(row[0])"
                        #expect(Self.isNear(found.0, x), "\(place): \(found.0)")
                        #expect(Self.isNear(found.1, n), "\(place): \(found.1)")
                    }
                }
            }
        }
    }

    @Test func `threads' shares merge to one answer`() async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .flushed)
            var lines = ""
            for row in 0..<140_000 { lines += "t,host=h\(row % 40) v=\(row % 1_001) \(row)000\n" }
            _ = try await store.write(lines: Array(lines.utf8))
            _ = try runner.query("FLUSH")
            let values = (0..<140_000).map { Double($0 % 1_001) }
            for threadCount in [1, 4] {
                var options = QueryOptions()
                options.threadCount = threadCount
                let engine = QueryEngine(storage: store.engine, options: options)
                var sink = TextSink()
                _ = try engine.run(
                    QueryRequest(sql: "SELECT stddev(v), var_pop(v), median(v), count(v) FROM t"),
                    cancellation: QueryCancellation(), into: &sink)
                #expect(Self.isNear(sink.rows[0][0], Self.slow("stddev", values)))
                #expect(Self.isNear(sink.rows[0][1], Self.slow("var_pop", values)))
                #expect(Self.isNear(sink.rows[0][2], Self.slow("median", values)))
                #expect(sink.rows[0][3] == "140000")
            }
        }
    }

    @Test func `a median past the memory budget is refused and a deviation is not`() async throws {
        try await withTemporaryStore { store in
            var lines = ""
            for row in 0..<100_000 { lines += "t,host=h\(row % 10) v=\(row)i \(row)000\n" }
            _ = try await store.write(lines: Array(lines.utf8))
            var options = QueryOptions()
            options.memoryBytesMax = 500_000
            let engine = QueryEngine(storage: store.engine, options: options)
            func code(_ sql: String) -> QueryError.Code? {
                var sink = TextSink()
                do throws(QueryError) {
                    _ = try engine.run(
                        QueryRequest(sql: sql), cancellation: QueryCancellation(), into: &sink)
                    return nil
                } catch {
                    return error.code
                }
            }
            #expect(code("SELECT median(v) FROM t") == .budget)
            #expect(code("SELECT host, median(v + 1) FROM t GROUP BY host") == .budget)
            #expect(code("SELECT median(v) FROM t WHERE host = 'h1'") == nil)
            #expect(code("SELECT stddev(v), var_pop(v) FROM t") == nil)
            let middle = "percentile_disc(0.5) WITHIN GROUP (ORDER BY v)"
            #expect(code("SELECT \(middle) FROM t") == .budget)
            #expect(code("SELECT count(DISTINCT v) FROM t") == .budget)
            #expect(code("SELECT string_agg(v::text, ',') FROM t") == .budget)
            let bucket = "time_bucket('2 microseconds', time)"
            #expect(code("SELECT \(bucket), rate(v) FROM t GROUP BY 1") == .budget)
            let sketches = "approx_percentile(v, 0.5), approx_count_distinct(v)"
            #expect(code("SELECT \(sketches), rate(v), corr(v, v) FROM t") == nil)
        }
    }

    /// Groups whose values are counted, collected, or first the one and then the other.
    @Test(arguments: [1, 4])
    func `percentiles of many values, of which few or most differ`(threadCount: Int) async throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0035)
        let count = 30_000
        var values: [[Double]] = []
        values.append((0..<count).map { _ in Double(random.below(300)) / 100 - 1 })
        values.append((0..<count).map { _ in random.normal() })
        values.append((0..<count).map { $0 < 12_000 ? 7.25 : random.normal() })
        values.append((0..<count).map { $0 < 12_000 ? random.normal() : 7.25 })
        values.append((0..<count).map { _ in -0.0 })
        try await withTemporaryStore { store in
            for start in stride(from: 0, to: count, by: 10_000) {
                var lines = ""
                for row in start..<(start + 10_000) {
                    for (host, column) in values.enumerated() {
                        lines += "t,host=h\(host) x=\(column[row]) \(row)\n"
                    }
                }
                _ = try await store.write(lines: Array(lines.utf8), database: "default")
            }
            var options = QueryOptions()
            options.threadCount = threadCount
            let engine = QueryEngine(storage: store.engine, options: options)
            for fraction in [0, 0.01, 0.333, 0.5, 0.99, 1] {
                var sink = TextSink()
                _ = try engine.run(
                    QueryRequest(
                        sql: """
                            SELECT percentile_cont(\(fraction)) WITHIN GROUP (ORDER BY x),
                            percentile_disc(\(fraction)) WITHIN GROUP (ORDER BY x DESC)
                            FROM t GROUP BY host ORDER BY host
                            """), cancellation: QueryCancellation(), into: &sink)
                for (host, column) in values.enumerated() {
                    let sorted = column.sorted()
                    let place = fraction * Double(count - 1)
                    let low = Int(place)
                    let next = sorted[min(low + 1, count - 1)]
                    let expected = sorted[low] + (next - sorted[low]) * (place - Double(low))
                    #expect(Self.isNear(sink.rows[host][0], expected), "\(fraction), host \(host)")
                    let rank = max(1, Int((fraction * Double(count)).rounded(.up)))
                    #expect(
                        Self.isNear(sink.rows[host][1], sorted[count - rank]),
                        "\(fraction), host \(host)")
                }
            }
        }
    }
}
