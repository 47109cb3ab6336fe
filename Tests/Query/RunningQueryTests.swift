// Statements on their way, by themselves: how they end, what of them is shown, and to whom.

import Apus
import ApusQuery
import Synchronization
import Testing

/// What a cancellation told.
private final class Told: Sendable {
    private let values = Mutex<[Bool]>([])
    var all: [Bool] { values.withLock { $0 } }
    func add(_ value: Bool) { values.withLock { $0.append(value) } }
}

struct RunningQueryTests {
    private func withEngine(_ body: (QueryEngine) throws -> Void) async throws {
        try await withTemporaryStore { try body($0.queries) }
    }

    private func request(
        _ sql: String = "SELECT 1", holder: Int? = nil, isAdmin: Bool = true,
        databases: [String]? = nil
    ) -> QueryRequest {
        var request = QueryRequest(sql: sql)
        request.access = access(holder, isAdmin, databases)
        return request
    }

    private func access(
        _ holder: Int?, _ isAdmin: Bool, _ databases: [String]? = nil
    ) -> QueryAccess {
        var access = QueryAccess.everything
        access.holder = holder
        access.isAdmin = isAdmin
        access.databases = databases
        return access
    }

    @Test func `a query that waits is ended by whoever ends it, one that runs is told`()
        async throws
    {
        try await withEngine { engine in
            let told = Told()
            let waiting = engine.accept(request())
            waiting.whenCancelled { told.add($0) }
            #expect(engine.running.kill(waiting.id, by: .everything))
            #expect(told.all == [true] && waiting.state == .ended)
            #expect(!waiting.begin(), "nobody runs it any more")
            #expect(waiting.cancellation.error.code == .killed)
            #expect(engine.running.visible(to: .everything).isEmpty)

            let running = engine.accept(request())
            running.whenCancelled { told.add($0) }
            #expect(running.begin() && !running.begin() && running.state == .running)
            #expect(engine.running.kill(running.id, by: .everything))
            #expect(told.all == [true, false] && running.state == .running)
            #expect(running.cancellation.isKilled)
            running.setSending(true)
            #expect(engine.running.visible(to: .everything).map(\.state) == [.sending])
            running.finish()
            running.setSending(false)
            running.cancel()
            #expect(running.state == .ended && told.all.count == 2)
            #expect(!engine.running.kill(running.id, by: .everything))

            let early = engine.accept(request())
            early.cancel()
            early.whenCancelled { told.add($0) }
            #expect(told.all == [true, false, true], "it is never too late to be told")
        }
    }

    @Test func `the first cause counts`() {
        let killed = QueryCancellation()
        #expect(!killed.isCancelled && !killed.isKilled)
        killed.kill(17)
        killed.cancel()
        #expect(killed.isCancelled && killed.isKilled)
        #expect(killed.error == QueryError(.killed, "query 17 was ended by KILL"))
        let cancelled = QueryCancellation()
        cancelled.cancel()
        cancelled.kill(17)
        #expect(cancelled.isCancelled && !cancelled.isKilled && cancelled.error.code == .cancelled)
    }

    @Test func `a killed query ends with that, wherever it is`() async throws {
        try await withTemporaryStore { store in
            try await store.write(lines: (0..<1_000).map { "t v=\($0)i \($0)\n" }.joined())
            for sql in ["SELECT v FROM t", "SELECT sum(v) FROM t", "SHOW CARDINALITY FROM t"] {
                let cancellation = QueryCancellation()
                cancellation.kill(5)
                var sink = TextSink()
                #expect(throws: QueryError(.killed, "query 5 was ended by KILL")) {
                    try store.queries.run(
                        QueryRequest(sql: sql), cancellation: cancellation, into: &sink)
                }
            }
        }
    }

    @Test func `control statements take no place and are not listed`() async throws {
        try await withTemporaryStore { store in
            var options = QueryOptions()
            options.concurrentQueriesMax = 0
            let engine = QueryEngine(storage: store.engine, options: options)
            for sql in [
                "SHOW QUERIES", "show\n queries;", "-- all\n/* of */ SHOW /* them */ QUERIES",
                "KILL 1", "kill query 1", "KILL",
            ] { #expect(engine.accept(request(sql)).isControl, "\(sql)") }
            #expect(engine.running.visible(to: .everything).isEmpty)
            for sql in [
                "SHOW TABLES", "SHOW", "SELECT 1", "\"KILL\" 1", "EXPLAIN KILL 1", "", "'KILL' 1",
                "/* KILL 1",
            ] {
                let query = engine.accept(request(sql))
                #expect(!query.isControl, "\(sql)")
                query.finish()
            }
            var sink = TextSink()
            let waiting = engine.accept(request("SELECT 2"))
            _ = try engine.run(
                QueryRequest(sql: "SHOW QUERIES"), cancellation: QueryCancellation(), into: &sink)
            #expect(sink.rows.count == 1 && sink.rows.first?.last == "SELECT 2")
            #expect(sink.rows.first.map { Array($0[1...2]) } == ["default", "NULL"])
            #expect(sink.rows.first?[5] == "waiting")
            _ = try engine.run(
                QueryRequest(sql: "KILL \(waiting.id)"), cancellation: QueryCancellation(),
                into: &sink)
            #expect(waiting.state == .ended)
        }
    }

    @Test func `a text is shown without the blanks around it, and not beyond its bound`()
        async throws
    {
        try await withEngine { engine in
            #expect(engine.accept(request("\n  SELECT 1\n \n")).text == "SELECT 1")
            let bound = RunningQuery.textCharactersMax
            let whole = "SELECT '" + String(repeating: "é", count: bound - 9) + "'"
            #expect(engine.accept(request(whole)).text == whole)
            #expect(engine.accept(request(whole + "  \n")).text == whole)
            let cut = engine.accept(request(whole + " AS x")).text
            #expect(cut == whole + "…")
            // A letter may carry any number of accents.
            let marks = "SELECT a" + String(repeating: "\u{301}", count: 100_000)
            #expect(engine.accept(request(marks)).text.unicodeScalars.count == bound + 1)
        }
    }

    @Test func `who sees a query may end it, and nobody else`() async throws {
        try await withEngine { engine in
            let wide = engine.accept(request(holder: 1, isAdmin: false))
            let narrow = engine.accept(request(holder: 2, isAdmin: false, databases: ["a"]))
            let twofold = engine.accept(request(holder: 3, isAdmin: false, databases: ["a", "b"]))
            for (caller, seen) in [
                (access(1, false), [wide]), (access(2, false, ["a"]), [narrow]),
                (access(9, false), []), (access(9, false, ["a", "b"]), []),
                (access(9, true), [wide, narrow, twofold]), (access(9, true, ["a"]), [narrow]),
                (access(9, true, ["b", "a"]), [narrow, twofold]), (access(9, true, ["A"]), []),
            ] {
                #expect(engine.running.visible(to: caller).map(\.id) == seen.map(\.id))
                for query in [wide, narrow, twofold]
                where !seen.contains(where: { $0 === query }) {
                    #expect(!engine.running.kill(query.id, by: caller))
                    #expect(!query.cancellation.isCancelled)
                }
            }
            #expect(engine.running.kill(twofold.id, by: access(9, true, ["b", "a"])))
            #expect(engine.running.kill(wide.id, by: access(1, false)))
            #expect(engine.running.visible(to: access(9, true)).map(\.id) == [narrow.id])
        }
    }
}
