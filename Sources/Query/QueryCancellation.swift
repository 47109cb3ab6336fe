// What stops a query from outside, and why.

internal import Synchronization

/// Lets a client that went away, or KILL, stop a query. The first of them counts. Thread-safe.
package final class QueryCancellation: Sendable {
    private static let cancelled: Int64 = -1

    /// 0 while the query may go on, `cancelled`, or the number under which KILL ended it.
    private let cause = Atomic<Int64>(0)

    package init() {}

    package func cancel() { stop(Self.cancelled) }

    /// - Parameter id: the query's number, from 1.
    package func kill(_ id: Int64) { stop(id) }

    private func stop(_ new: Int64) {
        _ = cause.compareExchange(expected: 0, desired: new, ordering: .relaxed)
    }

    package var isCancelled: Bool { cause.load(ordering: .relaxed) != 0 }
    package var isKilled: Bool { cause.load(ordering: .relaxed) > 0 }

    /// What the query ends with.
    package var error: QueryError {
        let cause = cause.load(ordering: .relaxed)
        guard cause > 0 else { return QueryError(.cancelled, "the query was cancelled") }
        return QueryError(.killed, "query \(cause) was ended by KILL")
    }
}
