package import ApusStorage
package import Synchronization

/// Bounds on queries. Read once, when a store opens.
package struct QueryOptions: Sendable {
    package var memoryBytesMax = 256 << 20
    package var timeoutMilliseconds = 60_000
    package var threadCount = 2
    package var concurrentQueriesMax = 16

    package init() {}
}

/// Lets a client that went away, a timeout or KILL stop a query. Thread-safe.
package final class QueryCancellation: Sendable {
    private let flag = Atomic(false)

    package init() {}

    package func cancel() { flag.store(true, ordering: .relaxed) }
    package var isCancelled: Bool { flag.load(ordering: .relaxed) }
}

/// Runs SQL against a storage engine. Thread-safe; each call runs on the caller's thread and uses
/// the engine's scan threads for the heavy parts, so it must not be called on an event loop.
package final class QueryEngine: Sendable {
    package let storage: StorageEngine
    package let options: QueryOptions

    package init(storage: StorageEngine, options: QueryOptions) {
        self.storage = storage
        self.options = options
    }

    /// Executes one statement. DDL answers with no columns and no rows.
    package func run<Sink: ResultSink>(
        _ request: QueryRequest, cancellation: QueryCancellation, into sink: inout Sink
    ) throws(QueryError) -> QuerySummary {
        fatalError("interface only")
    }
}
