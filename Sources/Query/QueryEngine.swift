// The way into the query module: one statement in, an answer streamed to a sink.

package import ApusStorage
internal import Glibc
internal import Synchronization

/// Bounds on queries. Read once, when a store opens.
package struct QueryOptions: Sendable {
    package var memoryBytesMax = 256 << 20
    package var timeoutMilliseconds = 60_000
    /// Threads that scan, the caller's among them; the machine's cores unless told.
    package var threadCount = Processors.count
    package var concurrentQueriesMax = 16
    /// What answers of conditions on tags may take that are kept for the next query.
    package var predicateCacheBytesMax = 32 << 20

    package init() {}
}

/// Runs SQL against a storage engine. Thread-safe; each call runs on the caller's thread and uses
/// the engine's scan threads for the heavy parts, so it must not be called on an event loop.
package final class QueryEngine: Sendable {
    package let storage: StorageEngine
    package let options: QueryOptions
    let pool: ScanPool
    let predicates: PredicateCache
    /// What SHOW QUERIES lists.
    package let running = RunningQueries()
    private let executing = Atomic<Int>(0)

    package init(storage: StorageEngine, options: QueryOptions) {
        self.storage = storage
        self.options = options
        pool = ScanPool(threadCount: max(0, options.threadCount - 1))
        predicates = PredicateCache(bytesMax: options.predicateCacheBytesMax)
    }

    deinit { pool.close() }

    /// Statements that are being executed just now.
    package var runningCount: Int { executing.load(ordering: .relaxed) }

    /// Takes a statement in: it is listed from now on, until its `finish`.
    ///
    /// - Parameter client: `HOST:PORT`, if somebody else asks.
    package func accept(
        _ request: QueryRequest, client: String? = nil,
        cancellation: QueryCancellation = QueryCancellation()
    ) -> RunningQuery {
        running.add(
            request, client: client, cancellation: cancellation, at: wallNanoseconds())
    }

    /// Executes one statement at once, listed meanwhile.
    ///
    /// - Throws: as `run(_:into:)`.
    package func run<Sink: ResultSink>(
        _ request: QueryRequest, cancellation: QueryCancellation, into sink: inout Sink
    ) throws(QueryError) -> QuerySummary {
        let query = accept(request, cancellation: cancellation)
        defer { query.finish() }
        guard query.begin() else { throw cancellation.error }
        return try run(query, into: &sink)
    }

    /// Executes a statement that has begun. DDL answers with no columns and no rows.
    ///
    /// - Throws: `QueryError`; nothing was changed then, unless the code is `internal`.
    package func run<Sink: ResultSink>(
        _ query: RunningQuery, into sink: inout Sink
    ) throws(QueryError) -> QuerySummary {
        if query.isControl { return try execute(query, into: &sink) }
        let others = executing.wrappingAdd(1, ordering: .relaxed).oldValue
        defer { _ = executing.wrappingSubtract(1, ordering: .relaxed) }
        guard others < options.concurrentQueriesMax else {
            throw QueryError(
                .overloaded,
                "\(options.concurrentQueriesMax) queries are running, which is the limit",
                hint: "send it again later")
        }
        return try execute(query, into: &sink)
    }

    private func execute<Sink: ResultSink>(
        _ query: RunningQuery, into sink: inout Sink
    ) throws(QueryError) -> QuerySummary {
        let started = monotonicNanoseconds()
        let request = query.request
        let statement = try Parser.parse(request.sql)
        if request.readOnly, !statement.isReadOnly {
            throw QueryError(
                .readOnly, "this statement changes something: send it with POST",
                at: statement.position)
        }
        try request.access.check(statement)
        let session = Session(
            zone: ZoneHandle(try TimeZoneRules.named(request.timeZone)), now: wallNanoseconds(),
            database: request.database, access: request.access, parameters: request.parameters)
        let context = QueryContext(
            options: options, timeoutMilliseconds: request.timeoutMilliseconds,
            cancellation: query.cancellation)
        try context.check()
        var execution = StatementExecution(
            engine: self, session: session, context: context, strict: request.strict)
        do throws(QueryError) {
            try execution.run(statement, into: &sink)
        } catch {
            // The storage knows no more than that it was to stop.
            throw error.code == .cancelled && query.cancellation.isKilled
                ? query.cancellation.error : error
        }
        var summary = execution.summary
        summary.statistics.elapsedNanoseconds = monotonicNanoseconds() &- started
        return summary
    }

    private func wallNanoseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
