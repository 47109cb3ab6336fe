// Bodies into a store of this process: parsed side by side, committed in the order of the input.
//
//     thread 1   parse 0 ─ commit 0          parse 2 ─ commit 2
//     thread 2   parse 1 ──────── commit 1       parse 3 ────── commit 3
//
// A commit is handed over in its turn and answered later, so that several share one sync.

package import ApusIngest
package import ApusStorage
internal import Synchronization

/// Where batches go.
package protocol BatchStore: Sendable {
    var catalog: Catalog { get }
    func commit(
        _ batch: WriteBatch,
        completion: @escaping @Sendable (Result<WriteReceipt, StorageError>) -> Void)
}

extension StorageEngine: BatchStore {}

extension BatchValidation: BatchStore {
    package func commit(
        _ batch: WriteBatch,
        completion: @escaping @Sendable (Result<WriteReceipt, StorageError>) -> Void
    ) {
        do throws(StorageError) {
            completion(.success(try validate(batch)))
        } catch {
            completion(.failure(error))
        }
    }
}

/// How lines are read.
package struct LineReading: Sendable {
    package var database = "default"
    package var precision = TimePrecision.nanoseconds
    /// The time of lines without one; nil refuses them.
    package var missingTimeNanoseconds: Int64?

    package init() {}
}

/// One thread's part. Lives on that thread.
struct EngineConsumer {
    private static let commitsUnderWayMax = 3
    private static let retryMilliseconds = 10

    /// A commit that was handed over.
    private final class Commit: Sendable {
        let body: LineBody
        let batch: WriteBatch
        let answer = Promise<Result<WriteReceipt, StorageError>>()
        /// Known at once where nothing was handed over.
        let failure = Mutex<StorageError?>(nil)

        init(_ body: LineBody, _ batch: WriteBatch) {
            self.body = body
            self.batch = batch
        }
    }

    private let store: any BatchStore
    private let reading: LineReading
    private let queue: BodyQueue
    private let tally: ImportTally
    private let context: LineContext
    private var underWay: [Commit] = []

    init(_ store: any BatchStore, _ reading: LineReading, _ queue: BodyQueue, _ tally: ImportTally)
    {
        self.store = store
        self.reading = reading
        self.queue = queue
        self.tally = tally
        context = LineContext(catalog: store.catalog)
    }

    /// Takes bodies until there are none left or the run is aborted.
    mutating func run() {
        do throws(TransferFailure) {
            while let body = queue.take() {
                let batch = parse(body)
                guard queue.awaitTurn(body.sequence) else { break }
                do {
                    defer { queue.endTurn() }
                    try store(body, batch)
                }
                while underWay.count > Self.commitsUnderWayMax { try settle() }
            }
            while !underWay.isEmpty { try settle() }
        } catch {
            tally.fail(error)
            queue.abort()
        }
    }

    private func parse(_ body: LineBody) -> WriteBatch? {
        let parser = LineParser(
            context: context, database: reading.database, precision: reading.precision,
            arrivalNanoseconds: reading.missingTimeNanoseconds ?? 0)
        parser.requiresTime = reading.missingTimeNanoseconds == nil
        // Safe: the parser copies what it keeps.
        body.bytes.withUnsafeBytes { parser.feed($0) }
        parser.finish(endsLine: true)
        return parser.takeBatch()
    }

    /// Hands a batch over. A body that touches too many partitions at once goes in halves.
    private mutating func store(_ body: LineBody, _ batch: WriteBatch?) throws(TransferFailure) {
        guard let batch else {
            return tally.add(body, rows: 0, values: 0, rejected: 0, rejections: [])
        }
        let commit = Commit(body, batch)
        let begun = monotonicNanoseconds()
        while true {
            commit.failure.withLock { $0 = nil }
            store.commit(batch) { [commit] result in
                if case .failure(let error) = result { commit.failure.withLock { $0 = error } }
                commit.answer.fulfil(result)
            }
            guard case .some(let error) = commit.failure.withLock({ $0 }) else { break }
            _ = commit.answer.wait()
            if case .overloaded = error, Patience.lasts(since: begun, tally), !tally.isStopping {
                // In its turn, so that nothing overtakes it.
                pause(milliseconds: Self.retryMilliseconds)
            } else if case .limit = error, let (first, second) = body.halves() {
                try store(first, parse(first))
                try store(second, parse(second))
                return
            } else {
                throw TransferFailure(error)
            }
        }
        underWay.append(commit)
    }

    /// Waits for the oldest commit under way.
    private mutating func settle() throws(TransferFailure) {
        let commit = underWay.removeFirst()
        switch commit.answer.wait() {
        case .failure(let error): throw TransferFailure(error)
        case .success(let receipt):
            LineParser.learn(from: commit.batch, context: context)
            let rejections = receipt.rejections.map { rejection in
                RejectedLine(
                    inputIndex: commit.body.inputIndex,
                    line: commit.body.inputLine(ofParsedLine: rejection.line),
                    column: rejection.column, reason: rejection.reason)
            }
            tally.add(
                commit.body, rows: receipt.rowsStored, values: receipt.valuesStored,
                rejected: receipt.rejectedCount, rejections: rejections)
        }
    }
}

/// How long an import waits for a store that takes nothing.
enum Patience {
    static let seconds: Int64 = 60

    /// Whether to try again: something was stored, or the first try made, less than a minute ago.
    static func lasts(since begun: Int64, _ tally: ImportTally) -> Bool {
        let last = max(begun, tally.lastProgressNanoseconds)
        return monotonicNanoseconds() - last < seconds * 1_000_000_000
    }
}
