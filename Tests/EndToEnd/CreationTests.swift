// What a write makes beside its rows: a database with the retention of the flags, or nothing.

import ApusTestKit
import Glibc
import Testing

private let hour: Int64 = 3_600_000_000_000

private func ago(_ nanoseconds: Int64) -> Int64 { Int64(time(nil)) * 1_000_000_000 - nanoseconds }

@Suite(.serialized) struct `Databases that a write makes` {
    @Test func `keep rows as long as --retention says, others as long as they say`() throws {
        let session = try Session(["--retention", "1h"])
        func define(_ target: String, _ statement: String) throws {
            let answer = try session.client.request("POST", target, text: statement)
            #expect(answer.status == 200, "\(statement): \(answer.text)")
        }
        try define("/sql", "CREATE DATABASE forever")
        try define("/sql", "CREATE DATABASE days WITH (retention = '2d')")
        try define("/query?q=CREATE+DATABASE+influx", "")
        try define("/query?q=CREATE+DATABASE+influxdays+WITH+DURATION+2d", "")
        try define("/sql?db=session", "CREATE TABLE m (v DOUBLE)")
        #expect(try session.write("m v=1", "/write?db=written").status == 204)
        for (database, age, isKept) in [
            ("forever", 1_000 * hour, true), ("influx", 1_000 * hour, true),
            ("days", 3 * hour, true), ("days", 49 * hour, false),
            ("influxdays", 3 * hour, true), ("influxdays", 49 * hour, false),
            ("written", hour / 2, true), ("written", 3 * hour, false),
            ("fresh", 3 * hour, false), ("session", hour / 2, true), ("session", 3 * hour, false),
        ] {
            for target in ["/write?db=", "/api/v2/write?bucket=", "/api/v3/write_lp?db="] {
                let answer = try session.write("m v=2 \(ago(age))", target + database)
                #expect(
                    answer.status == (isKept ? 204 : 400),
                    "\(target)\(database) \(age / hour)h: \(answer.text)")
                let words =
                    "partial write: points beyond retention policy dropped=1 (is the precision right?)"
                #expect(answer.text.contains(words) == !isKept, "\(answer.text)")
            }
        }
        #expect(!(try session.client.rows("SHOW DATABASES").contains("fresh")))
    }

    @Test func `are 64 partitions at most in one batch, and those whole`() throws {
        let session = try Session()
        let day = 24 * hour
        func lines(_ days: Int) -> String {
            (0..<days).map { "m v=1 \(ago(Int64($0) * day))\n" }.joined()
        }
        let refused = try session.write(lines(65), "/write?db=a")
        #expect(refused.status == 413, "\(refused.text)")
        #expect(
            refused.text.contains("at most 64 new partitions")
                && refused.text.contains("is the precision right?"), "\(refused.text)")
        #expect(try session.client.rows("SHOW DATABASES") == "[]")
        #expect(try session.write(lines(64), "/write?db=a").status == 204)
        // Partitions that have a segment already don't count.
        #expect(try session.client.request("POST", "/sql", text: "FLUSH").status == 200)
        #expect(try session.write(lines(65), "/write?db=a").status == 204)
        #expect(try session.client.rows("SELECT count(*) > 64 FROM m", "&db=a") == "[[true]]")
    }

    @Test func `a row too far ahead is refused by its line, with the question of the precision`()
        throws
    {
        let session = try Session(["--accept-future", "2h"])
        for target in ["/write?db=a", "/api/v2/write?bucket=a", "/api/v3/write_lp?db=a"] {
            let answer = try session.write(
                "m v=1 \(ago(-hour))\nm v=2 \(ago(-3 * hour))\nm v=3 \(ago(0))", target)
            #expect(answer.status == 400, "\(answer.text)")
            for part in [
                "partial write: line 2", "too far in the future", "is the precision right?",
                "dropped=1",
            ] {
                #expect(answer.text.contains(part), "\(part): \(answer.text)")
            }
        }
        #expect(
            try session.client.rows("SELECT v FROM m WHERE v = 2", "&db=a") == "[]")
    }
}
