// Percentiles, values by key, distinct values and pairs over random rows with NULLs, against the obvious
// version over arrays; sketches against exact answers.

import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Testing

private struct Row: Sendable {
    var host: Int
    var second: Int
    var x: Double?
    var n: Int64?
    var s: String?
    var b: Bool?
}

private enum SlowAggregate {
    static func text(_ value: Double?) -> String {
        guard let value else { return "NULL" }
        let text = String(describing: value)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    static func continuous(_ values: [Double], _ fraction: Double) -> Double? {
        let sorted = values.sorted()
        guard let last = sorted.last else { return nil }
        let place = fraction * Double(sorted.count - 1)
        let low = Int(place.rounded(.down))
        guard low + 1 < sorted.count else { return last }
        return sorted[low] + (place - Double(low)) * (sorted[low + 1] - sorted[low])
    }

    static func discrete<Value: Comparable>(_ values: [Value], _ fraction: Double) -> Value? {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return nil }
        return sorted.first { value in
            let upTo = sorted.filter { $0 <= value }.count
            return Double(upTo) / Double(sorted.count) >= fraction
        }
    }

    static func mode<Value: Comparable & Hashable>(_ values: [Value]) -> Value? {
        let counts = Dictionary(grouping: values) { $0 }.mapValues(\.count)
        return counts.min { ($1.value, $0.key) < ($0.value, $1.key) }?.key
    }

    /// The row with the least or greatest key; of equal ones the earliest, or the latest.
    static func chosen<Key: Comparable>(
        _ rows: [(row: Row, key: Key)], greatest: Bool, latest: Bool
    ) -> Row? {
        rows.min { a, b in
            if a.key != b.key { return greatest == (a.key > b.key) }
            if a.row.second != b.row.second { return latest == (a.row.second > b.row.second) }
            // The greatest series key.
            return a.row.host > b.row.host
        }?.row
    }
}

/// The obvious version of a call over the rows of a group.
private func slow(_ call: String, _ rows: [Row]) -> String {
    let xs = rows.compactMap(\.x)
    let ns = rows.compactMap(\.n)
    let ss = rows.compactMap(\.s)
    let bs = rows.compactMap(\.b)
    let byN = rows.compactMap { row in row.n.map { (row: row, key: $0) } }
    let byS = rows.compactMap { row in row.s.map { (row: row, key: $0) } }
    func number(_ value: Int64?) -> String { value.map(String.init) ?? "NULL" }
    switch call {
    case "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)":
        return SlowAggregate.text(SlowAggregate.continuous(xs, 0.5))
    case "percentile_cont(0.25) WITHIN GROUP (ORDER BY n DESC)":
        return SlowAggregate.text(SlowAggregate.continuous(ns.map { Double($0) }, 0.75))
    case "percentile_disc(0.5) WITHIN GROUP (ORDER BY n)":
        return number(SlowAggregate.discrete(ns, 0.5))
    case "quantile_disc(s, 0.75)": return SlowAggregate.discrete(ss, 0.75) ?? "NULL"
    case "mode(n)": return number(SlowAggregate.mode(ns))
    case "mode() WITHIN GROUP (ORDER BY s)": return SlowAggregate.mode(ss) ?? "NULL"
    case "first(x, n)":
        let known = byN.filter { $0.row.x != nil }
        return SlowAggregate.text(
            SlowAggregate.chosen(known, greatest: false, latest: false)?.x)
    case "last(x, n)":
        let known = byN.filter { $0.row.x != nil }
        return SlowAggregate.text(SlowAggregate.chosen(known, greatest: true, latest: true)?.x)
    case "arg_max(s, n + 0)":
        let known = byN.filter { $0.row.s != nil }
        return SlowAggregate.chosen(known, greatest: true, latest: false)?.s ?? "NULL"
    case "arg_min(n, s)":
        let known = byS.filter { $0.row.n != nil }
        return number(SlowAggregate.chosen(known, greatest: false, latest: false)?.n)
    case "count(DISTINCT s)": return "\(Set(ss).count)"
    case "count(DISTINCT host)": return "\(Set(rows.map(\.host)).count)"
    case "sum(DISTINCT n)": return ns.isEmpty ? "NULL" : "\(Set(ns).reduce(0, +))"
    case "sum(DISTINCT x)": return SlowAggregate.text(xs.isEmpty ? nil : Set(xs).reduce(0, +))
    case "median(DISTINCT x)":
        return SlowAggregate.text(SlowAggregate.continuous(Array(Set(xs)), 0.5))
    case "approx_count_distinct(n)": return "\(Set(ns).count)"
    case "bool_and(b)": return bs.isEmpty ? "NULL" : "\(bs.allSatisfy { $0 })"
    case "bool_or(b)": return bs.isEmpty ? "NULL" : "\(bs.contains(true))"
    case "bit_or(n)": return ns.isEmpty ? "NULL" : "\(ns.reduce(0, |))"
    case "bit_and(n)": return ns.isEmpty ? "NULL" : "\(ns.reduce(-1, &))"
    case "bit_xor(n)": return ns.isEmpty ? "NULL" : "\(ns.reduce(0, ^))"
    case "string_agg(s, ',' ORDER BY s DESC)":
        return ss.isEmpty ? "NULL" : ss.sorted(by: >).joined(separator: ",")
    case "histogram(x, -50, 50, 4)":
        if xs.isEmpty { return "NULL" }
        var cells = [Int](repeating: 0, count: 6)
        for x in xs { cells[x < -50 ? 0 : (x >= 50 ? 5 : Int((x + 50) / 25) + 1)] += 1 }
        return "{" + cells.map(String.init).joined(separator: ",") + "}"
    default: return slowPairs(call, rows)
    }
}

private func slowPairs(_ call: String, _ rows: [Row]) -> String {
    let pairs = rows.compactMap { row -> (x: Double, n: Double)? in
        guard let x = row.x, let n = row.n else { return nil }
        return (x, Double(n))
    }
    if call == "regr_count(x, n)" { return "\(pairs.count)" }
    guard !pairs.isEmpty else { return "NULL" }
    let count = Double(pairs.count)
    let meanX = pairs.reduce(0) { $0 + $1.x } / count
    let meanN = pairs.reduce(0) { $0 + $1.n } / count
    let products = pairs.reduce(0) { $0 + ($1.x - meanX) * ($1.n - meanN) }
    let squaresX = pairs.reduce(0) { $0 + ($1.x - meanX) * ($1.x - meanX) }
    let squaresN = pairs.reduce(0) { $0 + ($1.n - meanN) * ($1.n - meanN) }
    switch call {
    case "round(covar_pop(x, n), 6)": return SlowAggregate.text(products / count)
    case "round(regr_slope(x, n), 6)":
        return SlowAggregate.text(squaresN == 0 ? nil : products / squaresN)
    default:
        let root = (squaresX * squaresN).squareRoot()
        return SlowAggregate.text(root == 0 ? nil : products / root)
    }
}

struct AggregateDifferentialTests {
    private static let calls = [
        "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)",
        "percentile_cont(0.25) WITHIN GROUP (ORDER BY n DESC)",
        "percentile_disc(0.5) WITHIN GROUP (ORDER BY n)", "quantile_disc(s, 0.75)", "mode(n)",
        "mode() WITHIN GROUP (ORDER BY s)", "first(x, n)", "last(x, n)", "arg_max(s, n + 0)",
        "arg_min(n, s)", "count(DISTINCT s)", "count(DISTINCT host)", "sum(DISTINCT n)",
        "sum(DISTINCT x)", "median(DISTINCT x)", "approx_count_distinct(n)", "bool_and(b)",
        "bool_or(b)", "bit_or(n)", "bit_and(n)", "bit_xor(n)",
        "string_agg(s, ',' ORDER BY s DESC)", "histogram(x, -50, 50, 4)", "regr_count(x, n)",
        "round(covar_pop(x, n), 6)", "round(regr_slope(x, n), 6)", "round(corr(x, n), 6)",
    ]

    private static func isNear(_ found: String, _ expected: String, _ call: String) -> Bool {
        if found == expected { return true }
        guard call.hasPrefix("round"), let a = Double(found), let b = Double(expected) else {
            return false
        }
        return abs(a - b) <= 1.1e-6
    }

    @Test(arguments: [31, 32, 33] as [UInt64], ScriptState.tested)
    func `random aggregates equal the slow answer`(seed: UInt64, state: ScriptState) async throws {
        var random = SeededRandom(seed: seed)
        let rows = (0..<1_500).map { index in
            Row(
                host: random.below(6), second: index / 4 * 4 + random.below(4),
                x: random.oneIn(4) ? nil : Double(random.below(300)) / 2 - 75,
                n: random.oneIn(4) ? nil : Int64(random.below(40)) - 20,
                s: random.oneIn(4) ? nil : "t\(random.below(30))",
                b: random.oneIn(4) ? nil : random.oneIn(2))
        }
        var known: [String: Row] = [:]
        for row in rows where row.x != nil || row.n != nil || row.s != nil || row.b != nil {
            known["\(row.host) \(row.second)"] = known["\(row.host) \(row.second)"] ?? row
        }
        let stored = Array(known.values).sorted { ($0.second, $0.host) < ($1.second, $1.host) }
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: state)
            for part in [stored.suffix(700), stored.dropLast(700)] {
                _ = try await store.write(lines: Array(part.map(Self.line).joined().utf8))
                if state != .head { _ = try runner.query("FLUSH") }
            }
            if state == .compacted { _ = try runner.query("COMPACT") }
            let keys: [(sql: String, key: (Row) -> String)] = [
                ("host", { "h\($0.host)" }), ("'all'", { _ in "all" }),
                ("n % 7", { $0.n.map { "\($0 % 7)" } ?? "NULL" }),
                (
                    "epoch_ns(time_bucket('5 minutes', time)) // 1000000000",
                    { "\($0.second / 300 * 300)" }
                ),
            ]
            for (sql, key) in keys {
                let groups = Dictionary(grouping: stored, by: key)
                let answer = try runner.query(
                    "SELECT \(sql), \(Self.calls.joined(separator: ", ")) FROM d GROUP BY 1")
                #expect(answer.rows.count == groups.count, "seed \(seed), \(state): \(sql)")
                for row in answer.rows {
                    for (index, call) in Self.calls.enumerated() {
                        let expected = slow(call, groups[row[0]] ?? [])
                        #expect(
                            Self.isNear(row[index + 1], expected, call),
                            "seed \(seed), \(state): \(call) of \(sql) = \(row[0]): \(row[index + 1]), \(expected)"
                        )
                    }
                }
            }
        }
    }

    private static func line(_ row: Row) -> String {
        var fields: [String] = []
        if let x = row.x { fields.append("x=\(x)") }
        if let n = row.n { fields.append("n=\(n)i") }
        if let s = row.s { fields.append("s=\"\(s)\"") }
        if let b = row.b { fields.append("b=\(b)") }
        return "d,host=h\(row.host) \(fields.joined(separator: ",")) \(row.second)000000000\n"
    }

    // MARK: - Sketches

    private static func distributions(
        _ random: inout SeededRandom
    ) -> [(name: String, values: [Double])] {
        let count = 20_000
        return [
            ("uniform", (0..<count).map { _ in random.unit() * 1_000 }),
            ("normal", (0..<count).map { _ in random.normal() * 10 }),
            ("long_tail", (0..<count).map { _ in 1 / (1 - random.unit()) }),
            ("constant", (0..<count).map { _ in 42.5 }),
            ("small_integers", (0..<count).map { _ in Double(random.below(21) - 10) }),
            (
                "powers",
                (0..<count).map { _ in
                    var value = 1.0
                    for _ in 0..<random.below(17) { value *= 10 }
                    return random.oneIn(3) ? -value : value * 1e-12
                }
            ),
        ]
    }

    @Test func `approximate percentiles are within one percent`() async throws {
        var random = SeededRandom(seed: 77)
        let fractions = [0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1]
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .flushed)
            for (name, values) in Self.distributions(&random) {
                let lines = values.enumerated().map { "\(name),host=h\($0 % 7) v=\($1) \($0)000\n" }
                _ = try await store.write(lines: Array(lines.joined().utf8))
                let calls = fractions.map { "approx_percentile(v, \($0))" }.joined(separator: ", ")
                let row = try runner.query("SELECT \(calls) FROM \(name)").rows[0]
                let sorted = values.sorted()
                for (fraction, text) in zip(fractions, row) {
                    let exact = sorted[Int(fraction * Double(sorted.count - 1))]
                    let found = Double(text) ?? .nan
                    #expect(
                        abs(found - exact) <= 0.010_001 * abs(exact),
                        "\(name) \(fraction): \(found), \(exact)")
                }
            }
        }
    }

    @Test func `approximate distinct counts are within three standard errors`() async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .flushed)
            for count in [100, 1_024, 1_025, 5_000, 40_000, 60_000, 120_000] {
                var lines = ""
                for row in 0..<count {
                    lines +=
                        "t\(count),host=h\(row % 5) v=\(row)i,s=\"text \(row)\",w=\(row % 90)i \(row)000\n"
                }
                _ = try await store.write(lines: Array(lines.utf8))
                let row = try runner.query(
                    "SELECT approx_count_distinct(v), approx_count_distinct(s), "
                        + "approx_count_distinct(v * 0.5), approx_count_distinct(w), "
                        + "approx_count_distinct(host) FROM t\(count)"
                ).rows[0]
                for text in row.prefix(3) {
                    let error = abs((Double(text) ?? 0) / Double(count) - 1)
                    #expect(error <= (count <= 1_024 ? 0 : 3 * 0.008_2), "\(count): \(text)")
                }
                #expect(Array(row.suffix(2)) == ["90", "5"], "\(count)")
            }
        }
    }
}
