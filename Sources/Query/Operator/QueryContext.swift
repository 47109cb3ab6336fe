// The budget of one query: time, memory, cancellation; and the counters it leaves behind.

internal import ApusStorage
internal import Glibc
internal import Synchronization

/// Shared by the threads of one query.
final class QueryContext: Sendable {
    let deadline: Int64
    let timeoutMilliseconds: Int
    let memoryBytesMax: Int
    let cancellation: QueryCancellation
    private let memoryBytes = Atomic<Int>(0)
    /// Set once an answer is complete or has failed: the other threads stop.
    private let stopped = Atomic(false)

    init(options: QueryOptions, timeoutMilliseconds: Int?, cancellation: QueryCancellation) {
        let timeout = timeoutMilliseconds ?? options.timeoutMilliseconds
        self.timeoutMilliseconds = timeout
        let (nanoseconds, overflow) = Int64(timeout).multipliedReportingOverflow(by: 1_000_000)
        deadline = overflow ? .max : monotonicNanoseconds() &+ min(nanoseconds, .max / 2)
        memoryBytesMax = options.memoryBytesMax
        self.cancellation = cancellation
    }

    func stop() { stopped.store(true, ordering: .relaxed) }
    /// Before another attempt, when no thread is left of the one before.
    func restart() {
        stopped.store(false, ordering: .relaxed)
        memoryBytes.store(0, ordering: .relaxed)
    }
    var isStopped: Bool { stopped.load(ordering: .relaxed) }

    /// - Throws: `cancelled`, `killed` or `timeout`.
    func check() throws(QueryError) {
        if cancellation.isCancelled { throw cancellation.error }
        if monotonicNanoseconds() > deadline {
            throw QueryError(
                .timeout, "the query took longer than its timeout of \(timeoutMilliseconds) ms",
                hint: "ask for a shorter range, or raise `timeout`")
        }
    }

    /// Accounts for memory that grows with the data, in bytes; negative gives back.
    func charge(_ bytes: Int, _ what: String) throws(QueryError) {
        let total = memoryBytes.wrappingAdd(bytes, ordering: .relaxed).newValue
        guard total <= memoryBytesMax else {
            throw QueryError(
                .budget,
                "\(what) need more than the query's memory budget of \(memoryBytesMax) bytes",
                hint: "ask for a shorter range, fewer groups or columns, or add LIMIT")
        }
    }
}

extension QueryError {
    /// What the storage's refusal means to the caller of a query.
    init(_ error: StorageError) {
        let code: Code =
            switch error {
            case .corrupt, .unsupportedFormat: .damaged
            // Not the caller's fault: 503, send it again later.
            case .overloaded, .readOnly, .diskFull: .overloaded
            case .limit: .limit
            case .invalid: .semantic
            case .unknownDatabase: .unknownDatabase
            case .unknownTable: .unknownTable
            case .exists: .exists
            case .cancelled: .cancelled
            case .closed: .closed
            case .io, .locked: .internal
            }
        self.init(code, error.description)
    }
}

/// Runs a call into the storage, translating its errors.
@inline(__always)
func translating<R>(_ body: () throws(StorageError) -> R) throws(QueryError) -> R {
    do throws(StorageError) {
        return try body()
    } catch {
        throw QueryError(error)
    }
}
