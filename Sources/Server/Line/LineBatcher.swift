// Lines without answers: what TCP and UDP listeners share.
//
// One batch is being stored while the parser gathers the next; so batches of a connection are
// stored in order, and grow by themselves when the disk is the slower side. A batch that meets
// overload or a full disk waits and is tried again: nobody else still has its lines.

internal import Apus
internal import ApusIngest
internal import ApusStorage
internal import Logging
internal import NIOCore

/// Safe: used on one event loop; `Sendable` so that completions can hop back to it.
final class LineBatcher: @unchecked Sendable {
    /// Beyond this much gathered nothing more is read: it would leave the cache before it is stored.
    private static let gatheredBytesMax = 256 << 10
    private static let retryMilliseconds: Int64 = 50
    private static let paceMilliseconds: Int64 = 2

    private let server: ServerContext
    private let store: Store
    private let loop: LoopState
    private let parser: LineParser
    /// Whether to stop reading while flushes are behind too, long before memory is full: that slows a
    /// sender down who notices.
    private let isPaced: Bool
    private var isStoring = false
    private var isFinished = false
    private var hasHeldRead = false
    private var pause = TimeAmount.zero
    /// Called when a read that was held back may go on, and when the last batch after `finish` is stored.
    var onRoom: () -> Void = {}
    var onFinished: () -> Void = {}

    init(
        server: ServerContext, store: Store, loop: LoopState, listener: ListenerAddress,
        isPaced: Bool
    ) {
        self.isPaced = isPaced
        self.server = server
        self.store = store
        self.loop = loop
        parser = LineParser(
            context: loop.lineContext(store), database: listener.database,
            precision: listener.precision, arrivalNanoseconds: wallClockNanoseconds())
    }

    private var isFull: Bool { parser.gatheredBytes >= Self.gatheredBytesMax }
    /// What fills the parser while nothing is being stored is a long line, whose rest has to be read.
    private var hasRoom: Bool { !isStoring || !isFull }
    var isIdle: Bool { !isStoring && parser.pendingRows == 0 }

    func feed(_ piece: ByteBuffer, endsLine: Bool) {
        parser.arrivalNanoseconds = wallClockNanoseconds()
        piece.withUnsafeReadableBytes { parser.feed($0) }
        if endsLine { parser.finish(endsLine: true) }
    }

    /// Whether to read on. If not, `onRoom` will say when.
    func mayRead() -> Bool {
        hasHeldRead = !hasRoom
        return hasRoom
    }

    /// Stores what was gathered if that is much.
    func flushIfFull() {
        if isFull { flush() }
    }

    /// Stores what was gathered, unless a batch is under way: then when that one is done.
    func flush() {
        guard !isStoring else { return }
        guard let batch = parser.takeBatch() else {
            if isFinished { onFinished() }
            return
        }
        if batch.rowCount == 0 {
            server.counters.count(rejected: batch.rejectedCount, batch.rejections, of: batch)
            if isFinished { onFinished() }
            return
        }
        isStoring = true
        commit(batch)
    }

    /// The stream ended; a line without its newline is discarded, since a cut number is a wrong one.
    func finish() {
        guard !isFinished else { return }
        isFinished = true
        parser.finish(endsLine: false)
        server.counters.add(discardedBytes: parser.discardedBytes)
        flush()
    }

    private func commit(_ batch: WriteBatch) {
        let start = NIODeadline.now()
        store.engine.commit(batch) { result in
            self.loop.eventLoop.execute {
                self.pause = Yielding.pause(after: result, NIODeadline.now() - start)
                self.committed(batch, result)
            }
        }
    }

    private func committed(_ batch: WriteBatch, _ result: Result<WriteReceipt, StorageError>) {
        switch result {
        case .success(let receipt):
            LineParser.learn(from: batch, context: loop.lineContext(store))
            server.counters.count(
                rejected: receipt.rejectedCount, receipt.rejections, of: batch)
        case .failure(let error) where Self.isTemporary(error) && !server.isStopping:
            server.counters.batchRetried()
            loop.eventLoop.scheduleTask(in: .milliseconds(Self.retryMilliseconds)) {
                self.commit(batch)
            }
            return
        case .failure(let error):
            server.logger.warning("lines were not stored: \(error)")
            server.counters.count(
                rejected: batch.rowCount + batch.rejectedCount - batch.partialCount,
                batch.rejections + [LineRejection(line: 0, kind: .limit, reason: "\(error)")])
        }
        guard isPaced, pause > .zero, !server.isStopping else { return goOn() }
        loop.eventLoop.scheduleTask(in: pause) { self.goOn() }
    }

    private func goOn() {
        guard !isPaced || !store.engine.isFlushBehind || server.isStopping else {
            loop.eventLoop.scheduleTask(in: .milliseconds(Self.paceMilliseconds)) { self.goOn() }
            return
        }
        isStoring = false
        flush()
        if hasHeldRead, hasRoom {
            hasHeldRead = false
            onRoom()
        }
    }

    private static func isTemporary(_ error: StorageError) -> Bool {
        switch error {
        case .overloaded, .diskFull: true
        default: false
        }
    }
}
