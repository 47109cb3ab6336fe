// ORDER BY, against a sort with a comparison.

import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Testing

struct SortTests {
    private struct Row {
        var s: String?
        var f: Double?
        var i: Int64?
        var u: UInt64?
        var b: Bool?
    }

    private static let columns = ["s", "f", "i", "u", "b"]

    private static func row(_ random: inout SeededRandom) -> Row {
        let stems = ["", "a", "host_1", "the same for sixteen bytes and more, then ", "ä", "ß-"]
        let digits = (0..<random.below(4)).map { _ in String(random.below(3)) }.joined()
        let doubles = [0, -0.0, 1, -1, 1e300, -1e300, 1.7976931348623157e308, 0.1, 5e-324]
        let integers: [Int64] = [0, 1, -1, .min, .max, 255, 256, -256]
        let unsigned: [UInt64] = [0, 1, .max, 1 << 63, 255, 256]
        return Row(
            s: random.oneIn(8) ? nil : stems[random.below(stems.count)] + digits,
            f: random.oneIn(8) ? nil : doubles[random.below(doubles.count)],
            i: random.oneIn(8) ? nil : integers[random.below(integers.count)],
            u: random.oneIn(8) ? nil : unsigned[random.below(unsigned.count)],
            b: random.oneIn(8) ? nil : random.oneIn(2))
    }

    private static func compare<T: Comparable>(
        _ a: T?, _ b: T?, descending: Bool, nullsFirst: Bool
    ) -> Int {
        guard let a, let b else {
            if (a == nil) == (b == nil) { return 0 }
            return (a == nil) == nullsFirst ? -1 : 1
        }
        if a == b { return 0 }
        return (a < b) == descending ? 1 : -1
    }

    private static func compare(
        _ a: Row, _ b: Row, _ column: String, descending: Bool, nullsFirst: Bool
    ) -> Int {
        switch column {
        case "s":
            // By bytes, as the C collation does.
            return compare(
                a.s.map { Bytes(Array($0.utf8)) }, b.s.map { Bytes(Array($0.utf8)) },
                descending: descending, nullsFirst: nullsFirst)
        case "f":
            return compare(a.f, b.f, descending: descending, nullsFirst: nullsFirst)
        case "i": return compare(a.i, b.i, descending: descending, nullsFirst: nullsFirst)
        case "u": return compare(a.u, b.u, descending: descending, nullsFirst: nullsFirst)
        default:
            return compare(
                a.b.map { $0 ? 1 : 0 }, b.b.map { $0 ? 1 : 0 }, descending: descending,
                nullsFirst: nullsFirst)
        }
    }

    private struct Bytes: Comparable {
        var bytes: [UInt8]
        init(_ bytes: [UInt8]) { self.bytes = bytes }
        static func < (a: Bytes, b: Bytes) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
    }

    private static func line(_ row: Row, _ number: Int) -> String {
        var fields = "n=\(number)i"
        if let s = row.s { fields += ",s=\"\(s)\"" }
        if let f = row.f { fields += ",f=\(f)" }
        if let i = row.i { fields += ",i=\(i)i" }
        if let u = row.u { fields += ",u=\(u)u" }
        if let b = row.b { fields += ",b=\(b)" }
        return "t \(fields) \(number)\n"
    }

    @Test func `rows come in the order of their keys, equal ones in that of their times`()
        async throws
    {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0031)
        for count in [1, 2, 47, 700, 5_000] {
            let rows = (0..<count).map { _ in Self.row(&random) }
            try await withTemporaryStore { store in
                let lines = rows.enumerated().map { Self.line($1, $0) }.joined()
                _ = try await store.write(lines: Array(lines.utf8), database: "default")
                let runner = ScriptRunner(store: store, state: .head)
                for _ in 0..<12 {
                    var keys: [(column: String, descending: Bool, nullsFirst: Bool)] = []
                    for column in Self.columns.shuffled(using: &random).prefix(1 + random.below(5))
                    {
                        keys.append((column, random.oneIn(2), random.oneIn(2)))
                    }
                    let clause = keys.map {
                        "\($0.column) \($0.descending ? "DESC" : "ASC") "
                            + "NULLS \($0.nullsFirst ? "FIRST" : "LAST")"
                    }.joined(separator: ", ")
                    let limit = random.oneIn(2) ? 1 + random.below(count) : nil
                    let sql =
                        "SELECT n FROM t ORDER BY \(clause), n"
                        + (limit.map { " LIMIT \($0)" } ?? "")
                    let expected = rows.indices.sorted { a, b in
                        for key in keys {
                            let order = Self.compare(
                                rows[a], rows[b], key.column, descending: key.descending,
                                nullsFirst: key.nullsFirst)
                            if order != 0 { return order < 0 }
                        }
                        return a < b
                    }.prefix(limit ?? count)
                    let found = try runner.query(sql).rows.map { $0[0] }
                    #expect(
                        found == expected.map { "\($0)" }, "\(count): \(sql), seed \(random.seed)")
                }
            }
        }
    }

    @Test func `intervals sort by how long they are`() async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .head)
            let answer = try runner.query(
                """
                SELECT x FROM (SELECT interval '1 month' AS x UNION ALL SELECT interval '29 days'
                UNION ALL SELECT interval '-1 hour' UNION ALL SELECT interval '31 days'
                UNION ALL SELECT NULL UNION ALL SELECT interval '1 day 1 second') ORDER BY x DESC
                """)
            #expect(
                answer.rows.map { $0[0] } == [
                    "NULL", "31 days", "1 mon", "29 days", "1 day 00:00:01", "-01:00:00",
                ])
        }
    }
}
