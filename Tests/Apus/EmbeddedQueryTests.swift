// SHOW QUERIES and KILL in one's own process.

import Apus
import ApusQuery
import ApusTestKit
import Testing

/// A trillion rows.
private let endless = "SELECT count(*) FROM t a, t b, t c, t d"

@Suite struct `Queries of an embedded store` {
    private func withStore(
        _ options: StoreOptions = StoreOptions(), _ body: (Store) async throws -> Void
    ) async throws {
        let directory = TemporaryDirectory()
        var options = options
        options.queryTimeoutMilliseconds = 600_000
        let store = try await Store.open(at: directory.path, options: options)
        try await store.write(lines: (0..<1_000).map { "t v=\($0)i \($0)\n" }.joined())
        try await body(store)
        try await store.close()
    }

    /// What SHOW QUERIES lists, once the states are these.
    private func queries(_ store: Store, become states: [String]) async throws -> QueryResult {
        for _ in 0..<3_000 {
            let answer = try await store.query("SHOW QUERIES")
            if answer.rows.map({ $0["state"] }) == states.map({ .string($0) }) { return answer }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw QueryError(.internal, "never \(states)")
    }

    private func id(_ answer: QueryResult, _ row: Int) -> Int64 {
        answer["id"]?.integers?[row] ?? 0
    }

    @Test func `are listed and ended by KILL, running and waiting`() async throws {
        var options = StoreOptions()
        options.concurrentQueriesMax = 1
        try await withStore(options) { store in
            let busy = Task { try await store.query(endless) }
            _ = try await queries(store, become: ["running"])
            let late = Task { try await store.query("SELECT 1", database: "plant") }
            let listed = try await queries(store, become: ["running", "waiting"])
            let (running, waiting) = (id(listed, 0), id(listed, 1))
            #expect(listed.rows[0]["query"] == .string(endless))
            #expect(listed.rows[0]["client"] == .null)
            #expect(listed.rows[1]["database"] == .string("plant"))

            let done = try await store.query("KILL QUERY $1", parameters: [.int64(waiting)])
            #expect(done.columns.isEmpty && done.rowCount == 0)
            await #expect(throws: QueryError(.killed, "query \(waiting) was ended by KILL")) {
                try await late.value
            }
            _ = try await store.query("KILL \(running)")
            await #expect(throws: QueryError(.killed, "query \(running) was ended by KILL")) {
                try await busy.value
            }
            let error = await #expect(throws: QueryError.self) {
                try await store.query("KILL \(running)")
            }
            #expect(error?.code == .unknownQuery)
            #expect(try await store.query("SELECT 2 AS two").rows[0]["two"] == .int64(2))
        }
    }

    @Test func `end at once when their task is cancelled, also while they wait`() async throws {
        var options = StoreOptions()
        options.concurrentQueriesMax = 1
        try await withStore(options) { store in
            let busy = Task { try await store.query(endless) }
            _ = try await queries(store, become: ["running"])
            let late = Task { try await store.query("SELECT 1") }
            _ = try await queries(store, become: ["running", "waiting"])
            late.cancel()
            await #expect(throws: QueryError(.cancelled, "the query was cancelled")) {
                try await late.value
            }
            _ = try await queries(store, become: ["running"])
            busy.cancel()
            await #expect(throws: QueryError(.cancelled, "the query was cancelled")) {
                try await busy.value
            }
            _ = try await queries(store, become: [])
        }
    }

    @Test func `beyond those that may wait are refused, and not listed`() async throws {
        var options = StoreOptions()
        options.waitingQueriesMax = 0
        try await withStore(options) { store in
            let error = await #expect(throws: QueryError.self) { try await store.query("SELECT 1") }
            #expect(error?.code == .overloaded)
            #expect(store.queries.running.visible(to: .everything).isEmpty)
        }
    }
}
