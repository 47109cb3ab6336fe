// The façade from outside: what an embedder may rely on.

import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Testing

/// A directory of this test's own, removed at the end.
private func withDirectory(_ body: (String) async throws -> Void) async throws {
    let directory = TemporaryDirectory()
    try await body(directory.path)
}

@Suite struct StoreTests {
    @Test func `the embedding example answers`() async throws {
        try await withDirectory { directory in
            let store = try await Store.open(at: directory, options: StoreOptions())
            try await store.write(
                lines: "cpu,host=a usage=0.5 1700000000000000000\n", database: "default")
            let result = try await store.query("SELECT host, avg(usage) FROM cpu GROUP BY host")
            var printed: [String] = []
            for row in result.rows { printed.append("\(row["host"]) \(row["avg"])") }
            try await store.close()
            #expect(printed == ["a 0.5"])
        }
    }

    @Test func `a long answer has its strings once`() async throws {
        try await withDirectory { directory in
            let store = try await Store.open(at: directory)
            let text = String(repeating: "x", count: 100)
            let lines = (0..<10_000).map { "m s=\"\(text)\($0)\",i=\($0)i \($0)\n" }.joined()
            try await store.write(lines: lines)
            for sql in ["SELECT s FROM m ORDER BY i", "SELECT a.s FROM m a JOIN m b ON a.i = b.i"] {
                let result = try await store.query(sql)
                #expect(result.rowCount == 10_000)
                #expect(result.columns[0].vector.stringBytes.count < 2_200_000, "\(sql)")
            }
            let last = try await store.query("SELECT s FROM m ORDER BY i DESC").rows[9_999]
            #expect(last["s"] == .string(text + "0"))
        }
    }

    @Test func `rows are read by name and by index, columns without boxing`() async throws {
        try await withDirectory { directory in
            let store = try await Store.open(at: directory)
            try await store.write(
                lines: "m,host=a f=1.5,i=-7i,u=8u,b=true,s=\"x\" 1000\nm f=2 2000\n")
            let result = try await store.query(
                "SELECT time, host, f, i, u, b, s FROM m ORDER BY time")
            #expect(result.rowCount == 2)
            #expect(result.columns.map(\.name) == ["time", "host", "f", "i", "u", "b", "s"])
            let row = result.rows[0]
            #expect(row["time"] == .timestamp(Timestamp(nanoseconds: 1000)))
            #expect(row["host"] == .string("a") && row[1] == .string("a"))
            #expect(row["f"] == .float64(1.5) && row[2] == .float64(1.5))
            #expect(row["i"] == .int64(-7) && row["u"] == .uint64(8))
            #expect(row["b"] == .bool(true) && row["s"] == .string("x"))
            #expect(row["nothing"] == .null)
            let absent = (1..<7).map { result.rows[1][$0] == .null }
            #expect(absent == [true, false, true, true, true, true])
            #expect(result["f"]?.doubles == [1.5, 2])
            #expect(result["time"]?.integers == [1000, 2000])
            #expect(result["host"]?.doubles == nil)
            let numbers = result["f"]?.withSlots { slots in
                slots.indices.map { Double(bitPattern: slots[$0]) }
            }
            #expect(numbers == [1.5, 2])
            try await store.close()
        }
    }

    @Test func `SET TimeZone answers empty and says what to do instead`() async throws {
        try await withDirectory { directory in
            let store = try await Store.open(at: directory)
            let result = try await store.query("SET TimeZone = 'Europe/Berlin'")
            #expect(result.columns.isEmpty && result.rowCount == 0)
            #expect(result.warnings.count == 1)
            #expect(result.warnings.first?.contains("tz=Europe/Berlin") == true)
            let day = try await store.query("SELECT extract(hour FROM TIMESTAMP '2026-01-01') AS h")
            #expect(day.rows[0]["h"] == .float64(0))
            await #expect(throws: QueryError.self) {
                try await store.query("SET TimeZone = 'Europe/Nowhere'")
            }
            try await store.close()
        }
    }

    @Test func `one thread may scan, and more than there are cores`() async throws {
        for threadCount in [0, 64] {
            try await withDirectory { directory in
                var options = StoreOptions()
                options.queryThreadCount = threadCount
                let store = try await Store.open(at: directory, options: options)
                #expect(store.queries.options.threadCount == max(1, threadCount))
                let lines = (0..<40_000).map { "m,host=h\($0 % 9) v=\($0 % 2)i \($0)\n" }
                try await store.write(lines: lines.joined())
                let answer = try await store.query("SELECT count(v), sum(v) FROM m")
                #expect(answer.rows[0][0] == .int64(40_000) && answer.rows[0][1] == .int64(20_000))
                try await store.close()
            }
        }
        #expect(QueryOptions().threadCount >= 1)
    }

    @Test func `parameters and the time zone reach the statement`() async throws {
        try await withDirectory { directory in
            let store = try await Store.open(at: directory)
            try await store.write(lines: "m,host=a v=1 1767225600\n", precision: .seconds)
            let one = try await store.query(
                "SELECT v FROM m WHERE host = $1 AND v = $2 AND time = '2026-01-01 01:00'",
                parameters: [.string("a"), .float64(1)], timeZone: "Europe/Berlin")
            #expect(one.rowCount == 1)
            try await store.close()
        }
    }

    @Test func `an appender stores nothing before flush and everything after`() async throws {
        try await withDirectory { directory in
            let store = try await Store.open(at: directory)
            var appender = store.appender(database: "metrics")
            for second in 0..<3 {
                appender.append(
                    table: "cpu", tags: ["host": "h\(second)", "empty": ""],
                    time: Timestamp(nanoseconds: Int64(second) * 1_000_000_000),
                    fields: ["usage": .float64(Double(second)), "n": 3, "ok": true, "s": "x y"])
            }
            appender.append(table: "cpu", time: Timestamp(nanoseconds: 0), fields: [:])
            #expect(appender.rowCount == 3)
            await #expect(throws: QueryError.self) {
                try await store.query("SELECT * FROM cpu", database: "metrics")
            }
            let written = try await appender.flush()
            #expect(written.rowsStored == 3 && written.rejectedCount == 0)
            let again = try await appender.flush()
            #expect(appender.rowCount == 0 && again.rowsStored == 0)
            let result = try await store.query(
                "SELECT * FROM cpu ORDER BY host LIMIT 1 OFFSET 2", database: "metrics")
            #expect(result.columns.map(\.name) == ["time", "host", "n", "ok", "s", "usage"])
            let row = try #require(result.rows.first)
            #expect(row["usage"] == .float64(2) && row["n"] == .int64(3))
            #expect(row["ok"] == .bool(true) && row["s"] == .string("x y"))
            try await store.close()
        }
    }

    @Test func `reopening finds what the log and the segments hold`() async throws {
        try await withDirectory { directory in
            let first = try await Store.open(at: directory)
            try await first.write(lines: "m,host=a v=1 1000\n")
            _ = try await first.query("FLUSH")
            try await first.write(lines: "m,host=b v=2 2000\n")
            try await first.close()
            let second = try await Store.open(at: directory)
            let result = try await second.query("SELECT host, v FROM m ORDER BY host")
            #expect(result.rows.map { "\($0[0]) \($0[1])" } == ["a 1.0", "b 2.0"])
            try await second.close()
        }
    }

    @Test func `a bad line is named and the good ones are stored`() async throws {
        try await withDirectory { directory in
            let store = try await Store.open(at: directory)
            let written = try await store.write(lines: "m v=1 1000\nm v=\nm v=3 3000\n")
            #expect(written.rowsStored == 2 && written.rejectedCount == 1)
            #expect(written.rejections.first?.line == 2)
            let result = try await store.query("SELECT count(*), sum(v) FROM m")
            #expect(result.rows[0][0] == .int64(2) && result.rows[0][1] == .float64(4))
            try await store.close()
        }
    }

    @Test func `errors of queries carry a code and a position`() async throws {
        try await withDirectory { directory in
            let store = try await Store.open(at: directory)
            try await store.write(lines: "m v=1 1000\n")
            let column = await #expect(throws: QueryError.self) {
                try await store.query("SELECT w FROM m")
            }
            #expect(column?.code == .unknownColumn)
            #expect(column?.line == 1 && column?.column == 8)
            let half = await #expect(throws: QueryError.self) {
                try await store.query("SELECT v FROM m WHERE")
            }
            #expect(half?.code == .syntax)
            let database = await #expect(throws: QueryError.self) {
                try await store.query("SELECT v FROM m", database: "nowhere")
            }
            #expect(database?.code == .unknownDatabase)
            try await store.close()
        }
    }

    @Test func `a directory opens once, and again after close`() async throws {
        try await withDirectory { directory in
            let store = try await Store.open(at: directory)
            let second = await #expect(throws: StorageError.self) {
                try await Store.open(at: directory)
            }
            guard case .locked? = second else {
                Issue.record("not locked but \(String(describing: second))")
                return
            }
            try await store.close()
            let third = try await Store.open(at: directory)
            try await third.close()
            // The first is still in someone's hands.
            try await store.close()
        }
    }

    @Test func `after close everything fails, and closing again does nothing`() async throws {
        try await withDirectory { directory in
            let store = try await Store.open(at: directory)
            try await store.write(lines: "m v=1 1000\n")
            try await store.close()
            try await store.close()
            await #expect(throws: StorageError.closed) {
                try await store.write(lines: "m v=2 2000\n")
            }
            let query = await #expect(throws: QueryError.self) {
                try await store.query("SELECT v FROM m")
            }
            #expect(query?.code == .closed)
            var appender = store.appender()
            appender.append(table: "m", time: Timestamp(nanoseconds: 3), fields: ["v": 3])
            await #expect(throws: StorageError.closed) { try await appender.flush() }
        }
    }

    @Test func `a full queue refuses queries, and neither writes nor closing`() async throws {
        try await withDirectory { directory in
            var options = StoreOptions()
            options.waitingQueriesMax = 0
            let store = try await Store.open(at: directory, options: options)
            let written = try await store.write(lines: "m v=1 1000\nbad\n")
            #expect(written.rowsStored == 1 && written.rejections.first?.line == 2)
            let query = await #expect(throws: QueryError.self) {
                try await store.query("SELECT v FROM m")
            }
            #expect(query?.code == .overloaded)
            try await store.close()
            await #expect(throws: StorageError.closed) { try await store.write(lines: "m v=2 2") }
            // The directory is free, so it was closed.
            let second = try await Store.open(at: directory)
            #expect(try await second.query("SELECT v FROM m").rowCount == 1)
            try await second.close()
        }
    }
}
