// A request that writes line protocol: parsed where its bytes lie, stored after the last one.

internal import Apus
internal import ApusIngest
internal import ApusStorage
internal import NIOCore
internal import NIOHTTP1

/// Lives on the event loop of its connection. Nothing is stored unless the body arrives whole.
///
/// Safe: `Sendable` only so that the commit's completion can carry it back to the loop.
final class WriteExchange: Exchange, @unchecked Sendable {
    private let server: ServerContext
    private let store: Store
    private let loop: LoopState
    private let family: APIFamily
    private let parser: LineParser
    private var inflater: Inflater?
    private var byteCount = 0
    /// This request's part of the server's `receivingBytes`.
    private var reservedBytes = 0

    init(
        _ request: Request, server: ServerContext, store: Store, loop: LoopState
    ) throws(Refusal) {
        self.server = server
        self.store = store
        self.loop = loop
        family = request.family
        let target = try WriteTarget(request)
        guard request.permissions.canWrite, request.permissions.covers(target.database) else {
            throw Refusal(.forbidden, "the token may not write to database \"\(target.database)\"")
        }
        let bytesMax = server.options.writeBodyBytesMax
        if let length = request.head.headers.first(name: "Content-Length").flatMap({ Int($0) }),
            length > bytesMax
        {
            throw Self.tooLarge(bytesMax)
        }
        switch request.head.headers.first(name: "Content-Encoding")?.lowercased() {
        case nil, "", "identity": break
        case "gzip", "x-gzip": inflater = Inflater(bytesMax: bytesMax)
        case let encoding?:
            throw Refusal(
                .unsupportedMediaType,
                "Content-Encoding \(encoding.prefix(40)) is not known: send gzip or none")
        }
        parser = LineParser(
            context: loop.lineContext(store), database: target.database,
            precision: target.precision,
            arrivalNanoseconds: target.missingTimeNanoseconds ?? wallClockNanoseconds())
        parser.requiresTime = target.requiresTime
    }

    deinit { server.counters.release(receivingBytes: reservedBytes) }

    private static func tooLarge(_ bytesMax: Int) -> Refusal {
        Refusal(.payloadTooLarge, "the body is larger than \(bytesMax) bytes: send less at once")
    }

    func receive(_ piece: ByteBuffer) throws(Refusal) {
        var fault: Inflater.Fault?
        piece.withUnsafeReadableBytes { bytes in
            guard let inflater else { return feed(bytes) }
            do throws(Inflater.Fault) { try inflater.feed(bytes, into: feed) } catch {
                fault = error
            }
        }
        switch fault {
        case .broken: throw Refusal(.badRequest, "the body is not whole gzip: nothing was stored")
        case .tooLarge: throw Self.tooLarge(server.options.writeBodyBytesMax)
        case nil: break
        }
        guard byteCount <= server.options.writeBodyBytesMax else {
            throw Self.tooLarge(server.options.writeBodyBytesMax)
        }
        let pending = parser.pendingBytes
        let all = server.counters.reserve(receivingBytes: pending - reservedBytes)
        reservedBytes = pending
        guard all <= server.receivingBytesMax else {
            throw Refusal(
                .serviceUnavailable, "too many writes are under way", retryAfterSeconds: 1)
        }
    }

    private func feed(_ bytes: UnsafeRawBufferPointer) {
        byteCount += bytes.count
        parser.feed(bytes)
    }

    func end(_ handler: HTTPHandler) {
        if let inflater {
            do throws(Inflater.Fault) { try inflater.finish() } catch {
                let refusal = Refusal(.badRequest, "the body is not whole gzip: nothing was stored")
                return handler.send(Reply(refusal, family: family))
            }
        }
        parser.finish(endsLine: true)
        guard let batch = parser.takeBatch() else {
            return answer(handler, nil, rows: 0, values: 0, rejected: 0, rejections: [])
        }
        guard batch.rowCount > 0 else {
            return answer(
                handler, batch, rows: 0, values: 0, rejected: batch.rejectedCount,
                rejections: batch.rejections)
        }
        let start = NIODeadline.now()
        store.engine.commit(batch) { result in
            self.loop.eventLoop.execute {
                let pause = Yielding.pause(after: result, NIODeadline.now() - start)
                guard pause > .zero else { return self.committed(batch, result, handler) }
                self.loop.eventLoop.scheduleTask(in: pause) {
                    self.committed(batch, result, handler)
                }
            }
        }
    }

    private func committed(
        _ batch: WriteBatch, _ result: Result<WriteReceipt, StorageError>, _ handler: HTTPHandler
    ) {
        switch result {
        case .success(let receipt):
            LineParser.learn(from: batch, context: loop.lineContext(store))
            answer(
                handler, batch, rows: receipt.rowsStored, values: receipt.valuesStored,
                rejected: receipt.rejectedCount, rejections: receipt.rejections)
        case .failure(let error):
            handler.send(Reply(Refusal(error), family: family))
        }
    }

    private func answer(
        _ handler: HTTPHandler, _ batch: WriteBatch?, rows: Int, values: Int, rejected: Int,
        rejections: [LineRejection]
    ) {
        var reply = Reply(.noContent)
        if rejected > 0 {
            if let batch { server.counters.count(rejected: rejected, rejections, of: batch) }
            let refusal = PartialWrite.refusal(
                stored: rows, rejected: rejected, rejections: rejections, family: family)
            reply = Reply(refusal, family: family)
        }
        // For senders that add up what became of a file, as `apus import` does.
        reply.headers.append(("X-Apus-Rows", String(rows)))
        reply.headers.append(("X-Apus-Values", String(values)))
        handler.send(reply)
    }

    func abandon() {}
}

/// Where a write goes, in which unit its times are, and what becomes of lines without one.
struct WriteTarget {
    var database: String
    var precision: TimePrecision
    /// `missing_time=NANOSECONDS`: nil for the time of arrival.
    var missingTimeNanoseconds: Int64?
    /// `missing_time=refuse`.
    var requiresTime = false

    init(_ request: Request) throws(Refusal) {
        let parameters = request.parameters
        let unit = parameters["precision"] ?? ""
        let known: TimePrecision?
        switch request.endpoint {
        case .writeV2:
            database = Self.plain(parameters["bucket"] ?? parameters["db"] ?? "")
            known = TimePrecision.v2(unit) ?? TimePrecision.v1(unit)
        case .writeV3:
            database = parameters["db"] ?? ""
            known = TimePrecision.v3(unit)
        default:
            database = Self.join(parameters["db"] ?? "", parameters["rp"] ?? "")
            known = TimePrecision.v1(unit)
        }
        if database.isEmpty { database = "default" }
        guard let known else {
            throw Refusal(.badRequest, "invalid precision \"\(unit.prefix(40))\"")
        }
        precision = known
        switch parameters["missing_time"] {
        case nil, "": break
        case "refuse": requiresTime = true
        case let text?:
            guard let time = Int64(text) else {
                throw Refusal(.badRequest, "missing_time is refuse or nanoseconds since 1970")
            }
            missingTimeNanoseconds = time
        }
        if let problem = NameRules.problem(database, "database") {
            throw Refusal(.badRequest, problem)
        }
    }

    /// `db/rp` is a database of its own unless the policy is InfluxDB's default.
    static func join(_ database: String, _ policy: String) -> String {
        switch policy {
        case "", "autogen", "default": database
        default: "\(database.isEmpty ? "default" : database)/\(policy)"
        }
    }

    static func plain(_ bucket: String) -> String {
        guard let slash = bucket.firstIndex(of: "/") else { return bucket }
        return join(String(bucket[..<slash]), String(bucket[bucket.index(after: slash)...]))
    }
}
