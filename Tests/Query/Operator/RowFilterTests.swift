// Comparisons of a field with a constant by columns, beside the same row by row.

import Apus
import ApusTestKit
import Testing

struct RowFilterTests {
    /// What only an appender can write, NaN among it, is in StoredNaNTests.
    private static func lines(_ random: inout SeededRandom) -> String {
        var text = ""
        for row in 0..<3_000 {
            var fields = ["always=\(random.below(7) - 3)i"]
            if !random.oneIn(5) { fields.append("i=\(Int64(bitPattern: random.next()) >> 32)i") }
            if !random.oneIn(5) { fields.append("u=\(random.next() >> UInt64(random.below(64)))u") }
            if !random.oneIn(5) {
                fields.append("f=\(random.oneIn(50) ? -0.0 : Double(random.below(9)) / 2 - 2)")
            }
            if random.oneIn(3) { fields.append("s=\"text-\(random.below(40))\"") }
            text += "t,host=h\(row % 3) \(fields.joined(separator: ",")) \(row)\n"
        }
        return text
    }

    private static let constants: [(field: String, values: [String])] = [
        ("always", ["-3", "0", "2"]),
        ("i", ["0", "-1", "1000000000", "-9223372036854775808", "9223372036854775807"]),
        ("u", ["0::UBIGINT", "5::UBIGINT", "9223372036854775808::UBIGINT"]),
        ("f", ["0.0", "-0.0", "1.5", "1e300", "-1e300"]),
    ]

    @Test(arguments: ScriptState.tested)
    func `rows picked by columns are those picked one by one`(state: ScriptState) async throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0021)
        try await withTemporaryStore { store in
            let written = try await store.write(lines: Self.lines(&random))
            #expect(written.rowsStored == 3_000)
            let runner = ScriptRunner(store: store, state: state)
            if state != .head { _ = try runner.query("FLUSH") }
            if state == .compacted { _ = try runner.query("COMPACT") }
            var conditions: [String] = []
            for (field, values) in Self.constants {
                for value in values {
                    for op in ["=", "!=", "<", "<=", ">", ">="] {
                        conditions.append("\(field) \(op) \(value)")
                        conditions.append("\(value) \(op) \(field)")
                    }
                }
            }
            let single = conditions
            for _ in 0..<60 {
                let parts = (0..<(2 + random.below(2))).map { _ in
                    single[random.below(single.count)]
                }
                conditions.append(
                    parts.joined(separator: " AND ") + (random.oneIn(3) ? " AND i + 1 > 0" : ""))
            }
            for condition in conditions {
                for select in [
                    "SELECT time, host, s, f FROM t", "SELECT host, count(*), max(i) FROM t",
                ] {
                    let tail =
                        select.contains("count") ? "GROUP BY host ORDER BY host" : "ORDER BY time"
                    let columns = try runner.query("\(select) WHERE \(condition) \(tail)")
                    let rows = try runner.query(
                        "\(select) WHERE CASE WHEN \(condition) THEN TRUE ELSE FALSE END \(tail)")
                    #expect(
                        columns.rows == rows.rows, "\(condition), seed \(random.seed), \(state)")
                }
            }
        }
    }

    @Test func `errors of other conditions show in rows that comparisons let through`() async throws
    {
        try await withTemporaryStore { store in
            _ = try await store.write(
                lines: "t i=9223372036854775807i,f=1 1\nt i=1i,f=5 2\n")
            let runner = ScriptRunner(store: store, state: .head)
            let found = try runner.query("SELECT f FROM t WHERE i + 1 > 0 AND f > 3")
            #expect(found.rows == [["5"]])
            #expect(throws: (any Error).self) {
                try runner.query("SELECT f FROM t WHERE i + 1 > 0 AND f > 0")
            }
        }
    }
}
