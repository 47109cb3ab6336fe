import Apus
import ApusQuery
import ApusTestKit
import Foundation
import Testing

/// LATEST ON from the rows that the storage keeps, against the same by a scan: any bound on the time asks
/// for one.
@Suite("Last rows that are kept") struct LastRowsTests {
    private static let queries = [
        "SELECT host, zone, time, x, n, up FROM t{} LATEST ON time PARTITION BY host",
        "SELECT host, zone, time, x FROM t{} LATEST ON time PARTITION BY host, zone",
        "SELECT zone, avg(x), count(*), max(n), last(x), min(host) FROM t{} "
            + "LATEST ON time PARTITION BY host GROUP BY zone",
        "SELECT count(zone), sum(n) FROM t{} LATEST ON time PARTITION BY host",
        "SELECT zone, host, max(n) FROM t{} LATEST ON time PARTITION BY host GROUP BY zone, host",
        "SELECT host, x + 1 FROM t{ zone != 'z1' } LATEST ON time PARTITION BY host",
        "SELECT zone, count(*) FROM t{ host ~ '[13]$' } LATEST ON time PARTITION BY zone "
            + "GROUP BY zone HAVING count(*) > 0",
    ]

    private func sql(_ query: String, scanned: Bool) -> String {
        let start = query.firstIndex(of: "{") ?? query.endIndex
        let end = query.firstIndex(of: "}") ?? query.startIndex
        let condition = String(query[query.index(after: start)..<end])
        let parts =
            (condition.isEmpty ? [] : [condition])
            + (scanned ? ["time > '1960-01-01'"] : [])
        let clause = parts.isEmpty ? "" : " WHERE " + parts.joined(separator: " AND ")
        return query[..<start] + clause + query[query.index(after: end)...]
    }

    private func lines(_ random: inout SeededRandom, newest: Int, hosts: Int) -> [UInt8] {
        var text = ""
        for _ in 0..<(1 + random.below(20)) {
            text += "t,host=h\(random.below(hosts))"
            if random.below(4) > 0 { text += ",zone=z\(random.below(3))" }
            var fields: [String] = []
            // A few values, so that rows of one time often agree.
            if random.below(3) > 0 { fields.append("x=\(random.below(3)).5") }
            if random.below(3) > 0 { fields.append("n=\(random.below(3))i") }
            if random.below(5) == 0 || fields.isEmpty { fields.append("up=\(random.oneIn(2))") }
            let time = newest - (random.below(3) == 0 ? random.below(200_000) : random.below(5))
            text += " \(fields.joined(separator: ",")) \(time)000000000\n"
        }
        return Array(text.utf8)
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `they are what a scan finds, whatever happens`(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .head)
            var keptCount = 0
            for step in 0..<150 {
                let bytes = lines(&random, newest: 1_000_000 + step, hosts: 4 + step / 4)
                _ = try await store.write(lines: bytes)
                switch random.below(12) {
                case 0: _ = try runner.query("FLUSH")
                case 1: _ = try runner.query("COMPACT")
                // Widens a field, or makes one.
                case 2 where step > 100:
                    _ = try await store.write(
                        lines: Array(
                            "t,host=h1,zone=z1 n=0.25,late=1 \(1_000_000 + step)000000000\n".utf8))
                default: break
                }
                let query = Self.queries[random.below(Self.queries.count)]
                let kept = try runner.query(sql(query, scanned: false)).rows
                let scanned = try runner.query(sql(query, scanned: true)).rows
                guard Set(kept) == Set(scanned), kept.count == scanned.count else {
                    Issue.record("step \(step): \(sql(query, scanned: false)): \(kept) \(scanned)")
                    return
                }
                let plan = try runner.query("EXPLAIN ANALYZE " + sql(query, scanned: false)).rows
                if plan.contains(["last rows: kept, no scan"]) { keptCount += 1 }
            }
            #expect(keptCount > 100)
        }
    }

    private static let tagQueries = [
        "SELECT DISTINCT zone FROM t", "SELECT count(DISTINCT host) FROM t WHERE zone = 'z1'",
        "SELECT zone, max(host) FROM t GROUP BY zone", "SELECT DISTINCT host, zone FROM t",
        "SELECT count(DISTINCT host), count(DISTINCT zone) FROM t WHERE host ~ '[13]$' OR zone IS NULL",
    ]

    /// A condition that no row fails, and that only a look at each row can tell.
    private static let scanned = "(x IS NULL OR x IS NOT NULL)"

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `tags in a range of times are those that a scan finds`(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .head)
            _ = try await store.write(lines: Array("t,host=h0 x=1 1000000000000000\n".utf8))
            var directCount = 0
            for step in 0..<150 {
                let bytes = lines(&random, newest: 1_000_000 + step, hosts: 4 + step / 4)
                _ = try await store.write(lines: bytes)
                switch random.below(12) {
                case 0: _ = try runner.query("FLUSH")
                case 1: _ = try runner.query("COMPACT")
                default: break
                }
                var query = Self.tagQueries[random.below(Self.tagQueries.count)]
                if random.oneIn(2) {
                    let from = 1_000_000 + step - random.below(220_000)
                    query = conditioned(
                        query,
                        "time >= to_timestamp(\(from)) AND "
                            + "time < to_timestamp(\(from + 1 + random.below(100_000)))")
                }
                let direct = try runner.query(query).rows
                let scanned = try runner.query(conditioned(query, Self.scanned)).rows
                guard Set(direct) == Set(scanned), direct.count == scanned.count else {
                    Issue.record("step \(step): \(query): \(direct) \(scanned)")
                    return
                }
                let plan = try runner.query("EXPLAIN ANALYZE " + query).rows
                if plan.contains(["series: known from directories, no scan"]) { directCount += 1 }
            }
            #expect(directCount > 60)
        }
    }

    private func conditioned(_ query: String, _ condition: String) -> String {
        let parts = query.components(separatedBy: " GROUP BY ")
        let head =
            parts[0].contains(" WHERE ")
            ? parts[0].replacingOccurrences(of: " WHERE ", with: " WHERE \(condition) AND (") + ")"
            : parts[0] + " WHERE \(condition)"
        return ([head] + parts.dropFirst()).joined(separator: " GROUP BY ")
    }

    @Test func `a table that is dropped and made again has no rows of before`() async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .head)
            for round in 1...2 {
                _ = try await store.write(lines: Array("t,host=a x=\(round) 1000000000\n".utf8))
                for _ in 0..<3 {
                    let rows = try runner.query("SELECT x FROM t LATEST ON time PARTITION BY host")
                        .rows
                    #expect(rows == [["\(round)"]])
                }
                _ = try runner.query("DROP TABLE t")
            }
        }
    }

    @Test func `rows past the retention are not there`() async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .head)
            let now = wallClockNanoseconds()
            let lines = "t,host=old x=1 \(now - 7_200_000_000_000)\nt,host=new x=2 \(now)\n"
            _ = try await store.write(lines: Array(lines.utf8))
            let latest = "SELECT host FROM t LATEST ON time PARTITION BY host"
            for _ in 0..<3 { #expect(try runner.query(latest).rows.count == 2) }
            _ = try runner.query("ALTER DATABASE \"default\" SET (retention = '1h')")
            for _ in 0..<3 { #expect(try runner.query(latest).rows == [["new"]]) }
        }
    }

    @Test func `count of all rows is counted by directories, but for what may hold a row twice`()
        async throws
    {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .head)
            func count() throws -> String { try runner.query("SELECT count(*) FROM t").rows[0][0] }
            func write(_ times: Range<Int>) async throws {
                let lines = times.map { "t,host=h\($0 % 3) x=1 \($0)000000000\n" }.joined()
                _ = try await store.write(lines: Array(lines.utf8))
            }
            try await write(0..<300)
            #expect(try count() == "300")
            _ = try runner.query("FLUSH")
            #expect(try count() == "300")
            // Later rows apart, and rows that come again.
            try await write(300..<400)
            #expect(try count() == "400")
            _ = try runner.query("FLUSH")
            #expect(try count() == "400")
            try await write(350..<450)
            #expect(try count() == "450")
            _ = try runner.query("FLUSH")
            #expect(try count() == "450")
            _ = try runner.query("COMPACT")
            #expect(try count() == "450")
            let plan = try runner.query("EXPLAIN ANALYZE SELECT count(*) FROM t").rows
            #expect(plan.contains(["rows counted by directories: 450"]))
            #expect(
                try runner.query(
                    "SELECT count(*) FROM t WHERE time >= '1970-01-01T00:00:10Z'"
                ).rows == [["440"]])
        }
    }
}
