// An answer on its way from a worker to a connection.
//
//     worker: encode rows ─▶ 64 KiB piece ─▶ wait for a place ─▶ event loop: write ─▶ place is free
//
// At most four pieces are on the way, so a slow reader slows the query down instead of filling
// memory. An answer that fits one piece goes out in one write with its length; an error before the
// first piece left has a status of its own. KILL ends the waiting for a place, too.

internal import ApusQuery
internal import Dispatch
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// Used by one worker thread, but for `clientIsGone`, which any thread may call. Where a statement is
/// ended before it began, whoever ended it is in the worker's place.
///
/// Safe: the encoder and the flags belong to the worker; the handler is touched only in `execute`.
final class SQLStream: ResultSink, @unchecked Sendable {
    private static let pieceBytes = 64 << 10
    private static let piecesMax = 4
    private static let rowsPerLook = 64
    /// A reader that takes nothing for so long is given up.
    private static let stallSecondsMax = 30

    private let query: RunningQuery
    private let handler: HTTPHandler
    private let server: ServerContext
    private let eventLoop: any EventLoop
    private let encoder: ResultEncoder
    private let deflater: Deflater?
    private let compressed = TextWriter(capacity: 64)
    private let places = DispatchSemaphore(value: 0)
    private var hasSent = false
    private var isConcluded = false
    private var rowCount = 0
    private var byteCount = 0
    private let isGone = Atomic(false)

    init(_ query: RunningQuery, handler: HTTPHandler, style: AnswerStyle, compresses: Bool) {
        self.query = query
        self.handler = handler
        server = handler.server
        eventLoop = handler.loop.eventLoop
        encoder = ResultEncoder(
            format: style.format, epoch: style.epoch, nonFinite: style.nonFinite,
            writer: TextWriter(capacity: 1_024))
        deflater = compresses ? Deflater() : nil
        for _ in 0..<Self.piecesMax { places.signal() }
        query.whenCancelled { [weak self] wasWaiting in self?.end(wasWaiting: wasWaiting) }
    }

    func clientIsGone() {
        isGone.store(true, ordering: .relaxed)
        query.cancel()
    }

    /// Wakes the worker, or answers in its place.
    private func end(wasWaiting: Bool) {
        places.signal()
        if wasWaiting { fail(query.cancellation.error) }
    }

    // MARK: on the worker

    func run(_ queries: QueryEngine) {
        do throws(QueryError) {
            var sink = self
            let summary = try queries.run(query, into: &sink)
            encoder.finish(summary)
            try sendLast()
        } catch {
            fail(error)
        }
    }

    func begin(_ columns: [ResultColumn]) throws(QueryError) { encoder.begin(columns) }

    func append(_ batch: ResultBatch) throws(QueryError) {
        var row = 0
        while row < batch.rowCount {
            let end = min(row + Self.rowsPerLook, batch.rowCount)
            encoder.append(batch, rows: row..<end)
            row = end
            // What SHOW QUERIES answers is kept until it is whole: no slow reader may hold up KILL.
            if encoder.writer.count >= Self.pieceBytes, !query.isControl { try sendPiece() }
        }
        rowCount += batch.rowCount
    }

    private var extraHeaders: [(String, String)] {
        var headers = [("Vary", "Accept-Encoding")]
        if deflater != nil { headers.append(("Content-Encoding", "gzip")) }
        return headers
    }

    private func takePiece(isLast: Bool) -> ByteBuffer {
        let allocator = ByteBufferAllocator()
        let piece: ByteBuffer
        if let deflater {
            deflater.feed(encoder.writer.bytes, isLast: isLast, into: compressed)
            encoder.writer.removeAll()
            piece = compressed.take(allocator)
        } else {
            piece = encoder.writer.take(allocator)
        }
        byteCount += piece.readableBytes
        return piece
    }

    private func sendPiece() throws(QueryError) {
        try waitForPlace()
        if query.cancellation.isKilled { throw query.cancellation.error }
        let piece = takePiece(isLast: false)
        let isFirst = !hasSent
        hasSent = true
        let contentType = encoder.format.contentType
        let headers = extraHeaders
        eventLoop.execute { [self] in
            if isFirst { handler.sendHead(.ok, contentType, headers) }
            write(piece)
        }
    }

    private func write(_ piece: ByteBuffer) {
        let promise = eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenComplete { [self] result in
            if case .failure = result { clientIsGone() } else { places.signal() }
        }
        handler.sendPiece(piece, promise: promise)
    }

    private func waitForPlace() throws(QueryError) {
        var hasPlace = places.wait(timeout: .now()) == .success
        if !hasPlace {
            query.setSending(true)
            hasPlace = places.wait(timeout: .now() + .seconds(Self.stallSecondsMax)) == .success
            query.setSending(false)
        }
        if isGone.load(ordering: .relaxed) { throw QueryError(.cancelled, "the client went away") }
        guard hasPlace else {
            eventLoop.execute { [handler] in handler.abort() }
            throw QueryError(.cancelled, "the client stopped reading")
        }
    }

    /// - Parameter error: What the answer ends with, written already.
    private func sendLast(_ error: QueryError? = nil) throws(QueryError) {
        // A killed query has no time: one piece more is on the way then.
        if hasSent, !query.cancellation.isKilled { try waitForPlace() }
        let isFirst = !hasSent
        let piece = takePiece(isLast: true)
        conclude(error)
        let contentType = encoder.format.contentType
        let headers = extraHeaders
        eventLoop.execute { [self] in
            if isFirst {
                var reply = Reply(.ok)
                reply.contentType = contentType
                reply.headers = headers
                reply.body = piece
                handler.send(reply)
            } else {
                if piece.readableBytes > 0 { write(piece) }
                handler.sendEnd()
            }
        }
    }

    /// Once, before the end of the answer is out: whoever has it finds the query off the list.
    private func conclude(_ error: QueryError?) {
        guard !isConcluded else { return }
        isConcluded = true
        query.finish()
        server.logIfSlow(query, rows: rowCount, bytes: byteCount, error)
    }

    private func fail(_ error: QueryError) {
        if isGone.load(ordering: .relaxed) { return conclude(error) }
        guard hasSent else {
            conclude(error)
            let reply = QueryErrorReply(
                status: ErrorBody.status(of: error), body: ErrorBody.text(error))
            return eventLoop.execute { [handler] in handler.send(Reply(reply)) }
        }
        guard encoder.fail(error) else {
            conclude(error)
            return eventLoop.execute { [handler] in handler.abort() }
        }
        do throws(QueryError) { try sendLast(error) } catch { conclude(error) }
    }
}
