// Limits of queries: memory, time, cancellation, number at once; order and top rows of many.

import Apus
import ApusQuery
import ApusStorage
import Foundation
import Testing

/// Notes the longest strings of an answer's batches.
private struct WidthSink: ResultSink {
    var stringBytesMax = 0
    var rowCount = 0

    mutating func begin(_ columns: [ResultColumn]) throws(QueryError) {}

    mutating func append(_ batch: ResultBatch) throws(QueryError) {
        rowCount += batch.rowCount
        for column in batch.columns {
            stringBytesMax = max(stringBytesMax, column.stringBytes.count)
        }
    }
}

/// Takes its time over each batch.
private struct SlowSink: ResultSink {
    var batchCount = 0

    mutating func begin(_ columns: [ResultColumn]) throws(QueryError) {}

    mutating func append(_ batch: ResultBatch) throws(QueryError) {
        batchCount += 1
        usleep(200_000)
    }
}

struct BudgetTests {
    private func withStore(
        _ options: StoreOptions = StoreOptions(), _ body: (ScriptRunner) async throws -> Void
    ) async throws {
        var lines = ""
        for row in 0..<20_000 {
            lines += "t,host=h\(row % 10) v=\((row * 7_919) % 20_000)i \(row)000\n"
        }
        let text = lines
        try await withTemporaryStore(options) { store in
            _ = try await store.write(lines: text)
            try await body(ScriptRunner(store: store, state: .head))
        }
    }

    private func code(
        _ runner: ScriptRunner, _ sql: String, options: QueryOptions = QueryOptions(),
        timeout: Int? = nil, cancelled: Bool = false
    ) -> QueryError.Code? {
        let engine = QueryEngine(storage: runner.store.engine, options: options)
        var request = QueryRequest(sql: sql)
        request.timeoutMilliseconds = timeout
        let cancellation = QueryCancellation()
        if cancelled { cancellation.cancel() }
        var sink = TextSink()
        do throws(QueryError) {
            _ = try engine.run(request, cancellation: cancellation, into: &sink)
            return nil
        } catch {
            return error.code
        }
    }

    @Test func `groups, sorts and distinct sets past the budget are refused by name`() async throws
    {
        try await withStore { runner in
            var options = QueryOptions()
            options.memoryBytesMax = 200_000
            for sql in [
                "SELECT v, count(*) FROM t GROUP BY v", "SELECT * FROM t ORDER BY v",
                "SELECT count(DISTINCT v) FROM t", "SELECT DISTINCT v FROM t",
            ] {
                #expect(code(runner, sql, options: options) == .budget, "\(sql)")
            }
            #expect(code(runner, "SELECT * FROM t ORDER BY v LIMIT 5", options: options) == nil)
        }
    }

    @Test func `a cancelled query, one without time and one too many end`() async throws {
        try await withStore { runner in
            #expect(code(runner, "SELECT * FROM t", cancelled: true) == .cancelled)
            #expect(code(runner, "SELECT * FROM t", timeout: 0) == .timeout)
            var options = QueryOptions()
            options.concurrentQueriesMax = 0
            #expect(code(runner, "SELECT 1", options: options) == .overloaded)
        }
    }

    @Test func `a pattern over very many values of a tag looks at the clock`() async throws {
        let tail = String(repeating: "a", count: 200)
        let lines = (0..<50_000).map { "w,host=h\($0)\(tail) v=1i \($0)\n" }.joined()
        try await withTemporaryStore(StoreOptions()) { store in
            _ = try await store.write(lines: lines)
            let runner = ScriptRunner(store: store, state: .head)
            for condition in ["host ~ 'a+b$'", "host LIKE '%a%b'", "substr(host, 1, 3) = 'x'"] {
                // Nothing matches, so nothing is scanned that would look at the clock.
                let sql = "SELECT * FROM w WHERE \(condition)"
                #expect(code(runner, sql) == nil)
                #expect(code(runner, sql, timeout: 1) == .timeout, "\(condition)")
                let values = "SHOW TAG VALUES FROM w WITH KEY = host WHERE \(condition)"
                #expect(code(runner, values, timeout: 1) == .timeout, "\(condition)")
            }
        }
    }

    @Test func `states and results of windows are within the budget and the time`() async throws {
        try await withStore { runner in
            var options = QueryOptions()
            options.memoryBytesMax = 24 << 20
            // Two thousand values a frame, of which few frames are held at once.
            let sliding = "median(v) OVER (ORDER BY time ROWS 2000 PRECEDING)"
            #expect(code(runner, "SELECT \(sliding) FROM t", options: options) == nil)
            // Results that grow with every row.
            let joined = "SELECT string_agg(host, ',') OVER (ORDER BY time) FROM t"
            #expect(code(runner, joined, options: options) == .budget)
            #expect(
                code(runner, "SELECT median(v) OVER (ORDER BY time) FROM t", timeout: 50)
                    == .timeout)
        }
    }

    @Test func `strings that rows share are there once`() async throws {
        try await withStore { runner in
            let text = String(repeating: "x", count: 60_000)
            _ = try await runner.store.write(lines: "w s=\"\(text)\",n=1i 0\n")
            let row = "(SELECT s FROM w)"
            for sql in [
                "SELECT last(s) FROM w SAMPLE BY 1s FROM '1970-01-01' TO '1970-01-01 02:00' FILL(PREV)",
                "SELECT s, count(*) FROM w SAMPLE BY 1s FROM '1970-01-01' TO '1970-01-01 02:00' FILL(NULL)",
                "SELECT w.s FROM t JOIN w ON true", "SELECT w.s FROM t LEFT JOIN w ON w.n = t.v",
                "SELECT w.s FROM t ASOF JOIN w",
                "SELECT w.s FROM t JOIN w ON true ORDER BY t.v LIMIT 3000",
                "SELECT first_value(s) OVER (ORDER BY v) FROM t JOIN w ON true",
                "SELECT lag(s, 1, \(row)) OVER (ORDER BY v) FROM t JOIN w ON true",
                "SELECT s FROM (SELECT w.s, t.v FROM t JOIN w ON true) x ORDER BY v",
            ] {
                var options = QueryOptions()
                options.memoryBytesMax = 24 << 20
                let engine = QueryEngine(storage: runner.store.engine, options: options)
                var sink = WidthSink()
                _ = try engine.run(
                    QueryRequest(sql: sql), cancellation: QueryCancellation(), into: &sink)
                #expect(sink.stringBytesMax < 1 << 20, "\(sql)")
                #expect(sink.rowCount >= 3_000, "\(sql)")
            }
        }
    }

    @Test func `the values of IN are within the budget`() async throws {
        try await withStore { runner in
            var options = QueryOptions()
            options.memoryBytesMax = 400_000
            let sql = "SELECT count(*) FROM t WHERE v IN (SELECT v FROM t)"
            #expect(code(runner, sql, options: options) == .budget)
            options.memoryBytesMax = 2_000_000
            #expect(code(runner, sql, options: options) == nil)
            let count = try runner.query("SELECT count(*) FROM t WHERE v / 2 IN (SELECT v FROM t)")
            #expect(count.rows == [["10000"]])
        }
    }

    @Test func `RANGE over many NULLs takes no longer than over others`() async throws {
        let lines = (0..<200_000).map { "k \($0 < 10 ? "v=1i," : "")n=1i \($0)\n" }.joined()
        try await withTemporaryStore { store in
            _ = try await store.write(lines: lines)
            let runner = ScriptRunner(store: store, state: .head)
            let started = ContinuousClock.now
            let range = "RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING"
            let rows = try runner.query(
                "SELECT sum(n) OVER (ORDER BY v \(range)) AS s FROM k ORDER BY s LIMIT 11"
            ).rows
            #expect(rows[9] == ["10"] && rows[10] == ["199990"])
            #expect(ContinuousClock.now - started < .seconds(10))
        }
    }

    @Test func `rows that are handed on look at the clock`() async throws {
        try await withStore { runner in
            for sql in [
                "SELECT v FROM t ORDER BY v", "SELECT v, count(*) FROM t GROUP BY v",
                "SELECT v FROM t UNION ALL SELECT v FROM t",
                "SELECT count(*) FROM t SAMPLE BY 1us FILL(0)",
            ] {
                var request = QueryRequest(sql: sql)
                request.timeoutMilliseconds = 300
                var sink = SlowSink()
                var code: QueryError.Code?
                do throws(QueryError) {
                    _ = try runner.store.queries.run(
                        request, cancellation: QueryCancellation(), into: &sink)
                } catch {
                    code = error.code
                }
                #expect(code == .timeout, "\(sql)")
                #expect(sink.batchCount < 5, "\(sql)")
            }
        }
    }

    @Test func `a GET cannot write`() async throws {
        try await withStore { runner in
            var request = QueryRequest(sql: "DROP TABLE t")
            request.readOnly = true
            var sink = TextSink()
            #expect(throws: QueryError.self) {
                _ = try runner.store.queries.run(
                    request, cancellation: QueryCancellation(), into: &sink)
            }
            let count = try runner.query("SELECT count(*) FROM t").rows
            #expect(count == [["20000"]])
        }
    }

    @Test func `the top rows are those of a whole sort`() async throws {
        try await withStore { runner in
            for order in ["v", "v DESC", "time DESC", "time", "v % 100 DESC, time", "host, v DESC"]
            {
                let all = try runner.query("SELECT time, host, v FROM t ORDER BY \(order)").rows
                let top = try runner.query(
                    "SELECT time, host, v FROM t ORDER BY \(order) LIMIT 25 OFFSET 5"
                ).rows
                #expect(top == Array(all[5..<30]), "\(order)")
            }
        }
    }

    @Test func `LIMIT ends the scan`() async throws {
        try await withStore { runner in
            var sink = TextSink()
            let summary = try runner.store.queries.run(
                QueryRequest(sql: "SELECT * FROM t LIMIT 3"), cancellation: QueryCancellation(),
                into: &sink)
            #expect(sink.rows.count == 3)
            #expect(summary.rowCount == 3)
        }
    }
}
