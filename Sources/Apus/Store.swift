// The façade that people import: open a directory, write lines or rows, ask in SQL, close.

internal import ApusIngest
public import ApusQuery
public import ApusStorage
internal import Glibc
internal import Synchronization

/// A directory with databases, open in this process. Thread-safe.
///
/// Blocking work runs on threads of the store's own, never on Swift's cooperative pool.
public final class Store: Sendable {
    package let engine: StorageEngine
    package let queries: QueryEngine
    package let workers: WorkerPool
    /// For SHOW QUERIES and KILL, which must not wait for the queries that they are about.
    private let controlWorkers: WorkerPool
    /// The directory, as an absolute path.
    public let path: String
    /// Nil once closed: whoever still holds the store doesn't keep the directory.
    private let lock: Mutex<DirectoryLock?>

    /// Opens a directory, making it if there is none, and recovers what its log holds.
    ///
    /// - Throws: `locked` if another process has it, `unsupportedFormat`, `corrupt` or `io`.
    public static func open(
        at path: String, options: StoreOptions = StoreOptions()
    ) async throws(StorageError) -> Store {
        let pool = WorkerPool(name: "apus-open", threadCount: 1, queuedJobsMax: 1)
        let opened = await pool.run { () -> Result<Store, StorageError> in
            do throws(StorageError) {
                return .success(try Store(blockingAt: path, options: options))
            } catch { return .failure(error) }
        }
        // The thread is at its end; joining it from here costs microseconds.
        pool.stop()
        guard let opened else { throw .closed }
        return try opened.get()
    }

    /// The same on the calling thread, for callers that have one to block.
    package init(blockingAt path: String, options: StoreOptions) throws(StorageError) {
        let files = try PosixFileSystem(root: path)
        self.path = files.root
        let directoryLock = try DirectoryLock(directory: files.root)
        lock = Mutex(directoryLock)
        engine = try StorageEngine(fileSystem: files, options: options.storage)
        queries = QueryEngine(storage: engine, options: options.queryOptions())
        workers = WorkerPool(
            name: "apus-query", threadCount: options.concurrentQueriesMax,
            queuedJobsMax: options.waitingQueriesMax)
        controlWorkers = WorkerPool(
            name: "apus-control", threadCount: 1, queuedJobsMax: options.waitingQueriesMax)
    }

    /// Stores line protocol.
    ///
    /// Good lines are stored even if others are refused; the result names those. When it returns,
    /// the rows are durable as `StorageOptions.durability` promises and visible to queries.
    ///
    /// - Parameters:
    ///   - lines: UTF-8; the last line may lack its newline.
    ///   - database: made if it isn't there, unless `StorageOptions.createDatabases` is off.
    ///   - precision: the unit of the timestamps. A line without one gets the time of the call.
    /// - Throws: `overloaded`, `diskFull`, `readOnly`, `limit`, `closed`: nothing was stored.
    @discardableResult
    public func write(
        lines: [UInt8], database: String = "default", precision: Precision = .nanoseconds
    ) async throws(StorageError) -> WriteResult {
        let parse = { @Sendable [engine] () -> WriteBatch? in
            let context = LineContext(catalog: engine.catalog, limits: IngestLimits())
            let parser = LineParser(
                context: context, database: database, precision: precision.timePrecision,
                arrivalNanoseconds: wallClockNanoseconds())
            // Safe: the parser copies what it keeps.
            lines.withUnsafeBytes { parser.feed($0) }
            parser.finish(endsLine: true)
            return parser.takeBatch()
        }
        var batch = await workers.run(parse)
        if batch == nil {
            if workers.isStopped { throw .closed }
            // Queries fill the queue. That is no reason to refuse a write.
            batch = parse()
        }
        guard let batch = batch ?? nil else { return WriteResult() }
        return try await commit(batch)
    }

    /// Stores line protocol, as `write(lines:database:precision:)` does with bytes.
    @discardableResult
    public func write(
        lines: String, database: String = "default", precision: Precision = .nanoseconds
    ) async throws(StorageError) -> WriteResult {
        try await write(lines: Array(lines.utf8), database: database, precision: precision)
    }

    /// Gathers typed rows without the detour over text. Not thread-safe; make one per task.
    public func appender(database: String = "default") -> Appender {
        Appender(store: self, database: database)
    }

    func commit(_ batch: WriteBatch) async throws(StorageError) -> WriteResult {
        let result = await withCheckedContinuation { continuation in
            engine.commit(batch) { continuation.resume(returning: $0) }
        }
        return WriteResult(try result.get())
    }

    /// Runs one SQL statement and gathers its whole answer in memory.
    ///
    /// - Parameters:
    ///   - parameters: the values of `$1`, `$2`, …
    ///   - timeZone: of literals without offset, an IANA name.
    /// - Throws: `QueryError` with a code, a message and a position; `closed` after `close`. A
    ///   cancelled task stops the query.
    public func query(
        _ sql: String, database: String = "default", parameters: [Parameter] = [],
        timeZone: String = "UTC"
    ) async throws(QueryError) -> QueryResult {
        var request = QueryRequest(sql: sql)
        request.database = database
        request.timeZone = timeZone
        request.parameters = parameters.map(\.queryParameter)
        let query = queries.accept(request)
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                gather(query) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            query.cancel()
        }
        return try answer.get()
    }

    /// Calls `done` once, with the whole answer or why there is none.
    private func gather(
        _ query: RunningQuery,
        _ done: @escaping @Sendable (Result<QueryResult, QueryError>) -> Void
    ) {
        query.whenCancelled { [cancellation = query.cancellation] wasWaiting in
            if wasWaiting { done(.failure(cancellation.error)) }
        }
        let isTaken = submit(query) { [queries] in
            let result: Result<QueryResult, QueryError>
            var sink = CollectingSink()
            do throws(QueryError) {
                let summary = try queries.run(query, into: &sink)
                result = .success(sink.result(summary))
            } catch { result = .failure(error) }
            // Whoever has the answer finds the query off the list.
            query.finish()
            done(result)
        }
        if isTaken { return }
        done(
            .failure(
                workers.isStopped
                    ? QueryError(.closed, "the store is closed")
                    : QueryError(.overloaded, "too many queries wait already")))
    }

    /// Has a worker run a statement, unless it is ended while it waits for one.
    ///
    /// - Returns: False if too many wait already, or the workers are stopped: the body will not run,
    ///   and nobody else answers.
    package func submit(_ query: RunningQuery, _ body: @escaping @Sendable () -> Void) -> Bool {
        let pool = query.isControl ? controlWorkers : workers
        let isAccepted = pool.submit {
            guard query.begin() else { return }
            body()
            query.finish()
        }
        if isAccepted { return true }
        let isOurs = query.begin()
        query.finish()
        return !isOurs
    }

    /// Stops background work and syncs. Calls after it fail with `closed`. Idempotent.
    public func close() async throws(StorageError) {
        // On a thread of its own: the workers' queue may be full.
        let pool = WorkerPool(name: "apus-close", threadCount: 1, queuedJobsMax: 1)
        let closed = await pool.run { [self] () -> StorageError? in
            do throws(StorageError) {
                try closeBlocking()
                return nil
            } catch { return error }
        }
        pool.stop()
        if case .some(.some(let error)) = closed { throw error }
        stopWorkers()
    }

    /// Lets queries that wait finish, then ends the threads. Idempotent.
    package func stopWorkers() {
        workers.stop()
        controlWorkers.stop()
    }

    /// The same on the calling thread, without ending the workers.
    package func closeBlocking() throws(StorageError) {
        // Inside, so that a second caller can't release the directory while the first still syncs.
        try lock.withLock { held throws(StorageError) in
            try engine.close()
            held = nil
        }
    }
}

/// The unit of the timestamps in line protocol.
public enum Precision: String, Sendable, CaseIterable {
    case nanoseconds, microseconds, milliseconds, seconds
    /// Each timestamp's unit is guessed by its magnitude.
    case automatic

    var timePrecision: TimePrecision {
        switch self {
        case .nanoseconds: .nanoseconds
        case .microseconds: .microseconds
        case .milliseconds: .milliseconds
        case .seconds: .seconds
        case .automatic: .automatic
        }
    }
}

/// What became of a write.
public struct WriteResult: Sendable {
    /// A line that was not stored, or not whole.
    public struct Rejection: Sendable, Equatable {
        /// From 1.
        public var line: Int
        /// Byte in the line, from 1; 0 where the whole line is meant.
        public var column: Int
        /// For a person.
        public var reason: String
    }

    /// Rows that are stored, those without some of their fields among them.
    public var rowsStored = 0
    /// How many lines were refused, wholly or in part.
    public var rejectedCount = 0
    /// How many of them are stored without the fields that were refused.
    public var partialCount = 0
    /// The first of the refused lines.
    public var rejections: [Rejection] = []

    init() {}

    init(_ receipt: WriteReceipt) {
        rowsStored = receipt.rowsStored
        rejectedCount = receipt.rejectedCount
        partialCount = receipt.partialCount
        rejections = receipt.rejections.map {
            Rejection(line: $0.line, column: $0.column, reason: $0.reason)
        }
    }
}

/// The system's clock, in nanoseconds since 1970 UTC.
package func wallClockNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}
