// Statements carried out in this process, on a directory that no server holds.

package import Apus
package import ApusQuery
internal import ApusStorage
internal import Glibc

/// A store of this process. For one thread.
package final class StoreSource: StatementSource {
    private let store: Store
    /// Looks for the interrupt while a query runs on the caller's thread.
    private let watch = WorkerPool(name: "apus-watch", threadCount: 1, queuedJobsMax: 1)

    /// - Throws: as `StoreDirectory.open`.
    package init(directory: String, options: StoreOptions) throws(TransferFailure) {
        store = try StoreDirectory.open(directory, create: false, options: options)
    }

    package func close() throws(TransferFailure) {
        watch.stop()
        try StoreDirectory.close(store)
    }

    package func run(
        _ statement: String, database: String, format: ResultFormat, nonFinite: NonFiniteNumbers,
        interrupt: Int32, take: @escaping (ArraySlice<UInt8>) throws -> Void
    ) throws {
        var request = QueryRequest(sql: statement)
        request.database = database
        let cancellation = QueryCancellation()
        var sink = EncodingSink(format: format, nonFinite: nonFinite, take: take)
        do throws(QueryError) {
            let summary = try watching(interrupt, cancellation) { () throws(QueryError) in
                try store.queries.run(request, cancellation: cancellation, into: &sink)
            }
            sink.encoder.finish(summary)
        } catch {
            if let fault = sink.state.fault { throw fault }
            if isReadable(interrupt) { throw StatementFault.interrupted }
            throw StatementFault.refused(StatementError(error))
        }
        try sink.flush()
    }

    /// Runs the body while another thread waits for the interrupt.
    private func watching<Result>(
        _ interrupt: Int32, _ cancellation: QueryCancellation,
        _ body: () throws(QueryError) -> Result
    ) throws(QueryError) -> Result {
        var ends: [Int32] = [-1, -1]
        guard interrupt >= 0, pipe(&ends) == 0 else { return try body() }
        let (reader, writer) = (ends[0], ends[1])
        let isWatched = watch.submit {
            var requests = [
                pollfd(fd: interrupt, events: Int16(POLLIN), revents: 0),
                // Readable once the other end is closed: the query is over.
                pollfd(fd: reader, events: Int16(POLLIN), revents: 0),
            ]
            while poll(&requests, 2, -1) < 0, errno == EINTR {}
            if requests[0].revents != 0 { cancellation.cancel() }
            Glibc.close(reader)
        }
        defer {
            Glibc.close(writer)
            if !isWatched { Glibc.close(reader) }
        }
        return try body()
    }
}

extension StatementError {
    init(_ error: QueryError) {
        self.init(code: error.code.rawValue, message: error.message)
        line = error.line
        column = error.column
        hint = error.hint
    }
}

/// Encodes rows and hands the bytes over in pieces.
private struct EncodingSink: ResultSink {
    /// Behind a reference, since the engine owns the sink while it throws.
    final class State { var fault: (any Error)? }

    private static let pieceBytes = 64 << 10
    private static let rowsPerLook = 64

    let encoder: ResultEncoder
    let state = State()
    private let take: (ArraySlice<UInt8>) throws -> Void

    init(
        format: ResultFormat, nonFinite: NonFiniteNumbers,
        take: @escaping (ArraySlice<UInt8>) throws -> Void
    ) {
        let encoding: ResultFormat =
            switch format {
            case .json: .json
            case .ndjson: .ndjson
            case .csv: .csv
            }
        encoder = ResultEncoder(
            format: encoding, epoch: .rfc3339, nonFinite: nonFinite,
            writer: TextWriter(capacity: Self.pieceBytes))
        self.take = take
    }

    mutating func begin(_ columns: [ResultColumn]) throws(QueryError) { encoder.begin(columns) }

    mutating func append(_ batch: ResultBatch) throws(QueryError) {
        var row = 0
        while row < batch.rowCount {
            let end = min(row + Self.rowsPerLook, batch.rowCount)
            encoder.append(batch, rows: row..<end)
            row = end
            guard encoder.writer.count >= Self.pieceBytes else { continue }
            do { try flush() } catch {
                state.fault = error
                throw QueryError(.cancelled, "the reader went away")
            }
        }
    }

    func flush() throws {
        let bytes = [UInt8](encoder.writer.bytes)
        encoder.writer.removeAll()
        try take(bytes[...])
    }
}
