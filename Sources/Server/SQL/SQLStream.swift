// An answer on its way from a worker to a connection.
//
//     worker: encode rows ─▶ 64 KiB piece ─▶ wait for a place ─▶ event loop: write ─▶ place is free
//
// At most four pieces are on the way, so a slow reader slows the query down instead of filling
// memory. An answer that fits one piece goes out in one write with its length; an error before the
// first piece left has a status of its own.

internal import ApusQuery
internal import Dispatch
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization

/// Used by one worker thread, but for `clientIsGone`, which any thread may call.
///
/// Safe: the encoder and the flags belong to the worker; the handler is touched only in `execute`.
final class SQLStream: ResultSink, @unchecked Sendable {
    private static let pieceBytes = 64 << 10
    private static let piecesMax = 4
    private static let rowsPerLook = 64
    /// A reader that takes nothing for so long is given up.
    private static let stallSecondsMax = 30

    private let handler: HTTPHandler
    private let eventLoop: any EventLoop
    private let encoder: ResultEncoder
    private let deflater: Deflater?
    private let compressed = TextWriter(capacity: 64)
    private let cancellation = QueryCancellation()
    private let places = DispatchSemaphore(value: 0)
    private var hasSent = false
    private let isGone = Atomic(false)

    init(handler: HTTPHandler, style: AnswerStyle, compresses: Bool) {
        self.handler = handler
        eventLoop = handler.loop.eventLoop
        encoder = ResultEncoder(
            format: style.format, epoch: style.epoch, nonFinite: style.nonFinite,
            writer: TextWriter(capacity: 1_024))
        deflater = compresses ? Deflater() : nil
        for _ in 0..<Self.piecesMax { places.signal() }
    }

    func clientIsGone() {
        isGone.store(true, ordering: .relaxed)
        cancellation.cancel()
        places.signal()
    }

    // MARK: on the worker

    func run(_ request: QueryRequest, _ queries: QueryEngine) {
        do throws(QueryError) {
            var sink = self
            let summary = try queries.run(request, cancellation: cancellation, into: &sink)
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
            if encoder.writer.count >= Self.pieceBytes { try sendPiece() }
        }
    }

    private var extraHeaders: [(String, String)] {
        var headers = [("Vary", "Accept-Encoding")]
        if deflater != nil { headers.append(("Content-Encoding", "gzip")) }
        return headers
    }

    private func takePiece(isLast: Bool) -> ByteBuffer {
        let allocator = ByteBufferAllocator()
        guard let deflater else { return encoder.writer.take(allocator) }
        deflater.feed(encoder.writer.bytes, isLast: isLast, into: compressed)
        encoder.writer.removeAll()
        return compressed.take(allocator)
    }

    private func sendPiece() throws(QueryError) {
        try waitForPlace()
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
        let deadline = DispatchTime.now() + .seconds(Self.stallSecondsMax)
        let hasPlace = places.wait(timeout: deadline) == .success
        if isGone.load(ordering: .relaxed) { throw QueryError(.cancelled, "the client went away") }
        guard hasPlace else {
            eventLoop.execute { [handler] in handler.abort() }
            throw QueryError(.cancelled, "the client stopped reading")
        }
    }

    private func sendLast() throws(QueryError) {
        if hasSent { try waitForPlace() }
        let isFirst = !hasSent
        let piece = takePiece(isLast: true)
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

    private func fail(_ error: QueryError) {
        if isGone.load(ordering: .relaxed) { return }
        guard hasSent else {
            let reply = QueryErrorReply(
                status: ErrorBody.status(of: error), body: ErrorBody.text(error))
            return eventLoop.execute { [handler] in handler.send(Reply(reply)) }
        }
        guard encoder.fail(error) else { return eventLoop.execute { [handler] in handler.abort() } }
        do throws(QueryError) { try sendLast() } catch {}
    }
}
