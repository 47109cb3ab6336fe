// Limits of queries: memory, time, cancellation, number at once; order and top rows of many.

import Apus
import ApusQuery
import ApusStorage
import Testing

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
