// One HTTP connection: takes requests one after the other and sees that each is answered once.
//
//     idle ──head──▶ receiving ──end──▶ answering ──answer──▶ idle
//                       │ refused            ▲
//                       ▼                    │
//                   discarding ──end─────────┘       (413: answered at once, then drained)
//
// A refused request is still read to its end, so that a client that only sends sees the answer
// instead of a reset. NIO's pipeline handler holds the next request back until the answer is out.

internal import ApusIngest
internal import NIOCore
internal import NIOHTTP1

/// What happens with one request's body. Lives on the event loop.
protocol Exchange: AnyObject {
    /// Takes a piece of the body.
    func receive(_ piece: ByteBuffer) throws(Refusal)
    /// The body is whole. Must lead to exactly one answer, now or later.
    func end(_ handler: HTTPHandler)
    /// The client is gone.
    func abandon()
}

/// The head of a request, looked through.
struct Request {
    var head: HTTPRequestHead
    var path: String
    var parameters: URLParameters
    var endpoint: Endpoint
    var family: APIFamily
    var permissions: Permissions

    var keepsAlive: Bool { head.isKeepAlive }
}

/// Safe: used only on the channel's event loop; `Sendable` so that completions can hop back to it.
final class HTTPHandler: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case idle
        case receiving(any Exchange)
        /// Refused; the answer goes out at the end. Nil: it is out already.
        case discarding(Reply?, bytes: Int)
        case answering(any Exchange)
        case closed
    }

    private static let discardedBytesMax = 1 << 30

    let server: ServerContext
    let loop: LoopState
    private var state = State.idle
    private var context: ChannelHandlerContext?
    private(set) var request: Request?
    private var answersStarted = false
    private var closesAfterAnswer = false

    init(server: ServerContext, loop: LoopState) {
        self.server = server
        self.loop = loop
    }

    /// Whoever is connected: `HOST:PORT`.
    var client: String? {
        guard let address = context?.remoteAddress, let host = address.ipAddress else { return nil }
        return ListenerAddress(host: host, port: address.port ?? 0).text
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): begin(head)
        case .body(let piece): receive(piece)
        case .end: end()
        }
    }

    // MARK: requests

    private func begin(_ head: HTTPRequestHead) {
        let (path, parameters) = URLText.split(head.uri)
        let route = Endpoint.route(path)
        let request = Request(
            head: head, path: path, parameters: parameters, endpoint: route?.endpoint ?? .unknown,
            family: route?.family ?? Endpoint.family(ofUnknown: path),
            permissions: .everything)
        self.request = request
        closesAfterAnswer = !head.isKeepAlive || server.isStopping
        answersStarted = false
        let expectsContinue = head.headers.first(name: "Expect")?.lowercased() == "100-continue"
        do throws(Refusal) {
            state = .receiving(try exchange(for: request, route))
            if expectsContinue, let context {
                let head = HTTPResponseHead(version: head.version, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            }
        } catch {
            if expectsContinue {
                // The client hasn't sent the body and shall not.
                state = .discarding(nil, bytes: 0)
                closesAfterAnswer = true
                send(Reply(error, family: request.family))
            } else {
                refuse(error)
            }
        }
    }

    private func exchange(for request: Request, _ route: Endpoint.Route?) throws(Refusal)
        -> any Exchange
    {
        if let refusal = server.browserGuard.refusal(request.head.headers) { throw refusal }
        guard let route else { throw Refusal(.notFound, "there is no \(request.path.prefix(200))") }
        guard route.methods.contains(request.head.method) else {
            var refusal = Refusal(
                .methodNotAllowed,
                "\(route.endpoint.rawValue) takes \(route.methods.map(\.rawValue).joined(separator: " or "))"
            )
            refusal.allow = route.methods.map(\.rawValue).joined(separator: ", ")
            throw refusal
        }
        guard request.parameters.isText else {
            throw Refusal(.badRequest, "the parameters of the URL are not UTF-8")
        }
        if route.isOpen { return StatusExchange(server: server, endpoint: route.endpoint) }
        guard
            let permissions = Credentials.permissions(
                server.tokens, request.head.headers, request.parameters)
        else { throw Refusal(.unauthorized, "a token is needed: Authorization: Bearer TOKEN") }
        self.request?.permissions = permissions
        var request = request
        request.permissions = permissions
        guard let store = server.store else {
            throw Refusal(.serviceUnavailable, "the store is being opened", retryAfterSeconds: 1)
        }
        switch route.endpoint {
        case .writeV1, .writeV2, .writeV3:
            return try WriteExchange(request, server: server, store: store, loop: loop)
        case .query: return InfluxQueryExchange(request, server: server, store: store)
        case .sql, .cardinality: return SQLExchange(request, server: server, store: store)
        case .metrics:
            guard permissions.canRead else { throw Refusal(.forbidden, "the token may not read") }
            return StatusExchange(server: server, endpoint: .metrics)
        case .ping, .health, .ready, .unknown:
            return StatusExchange(server: server, endpoint: route.endpoint)
        }
    }

    private func receive(_ piece: ByteBuffer) {
        server.counters.add(bytesReceived: piece.readableBytes)
        switch state {
        case .receiving(let exchange):
            do throws(Refusal) { try exchange.receive(piece) } catch { refuse(error) }
        case .discarding(let reply, let bytes):
            state = .discarding(reply, bytes: bytes + piece.readableBytes)
            if bytes > Self.discardedBytesMax { context?.close(promise: nil) }
        case .idle, .answering, .closed: break
        }
    }

    private func refuse(_ refusal: Refusal) {
        let reply = Reply(refusal, family: request?.family ?? .own)
        if refusal.status == .payloadTooLarge {
            state = .discarding(nil, bytes: 0)
            closesAfterAnswer = true
            send(reply, closing: false)
        } else {
            state = .discarding(reply, bytes: 0)
        }
    }

    private func end() {
        switch state {
        case .receiving(let exchange):
            state = .answering(exchange)
            exchange.end(self)
        case .discarding(let reply?, _):
            state = .discarding(nil, bytes: 0)
            send(reply)
        case .discarding(nil, _):
            if closesAfterAnswer { context?.close(promise: nil) } else { state = .idle }
        case .idle, .answering, .closed: break
        }
    }

    // MARK: answers

    /// Sends a whole answer. On the event loop.
    func send(_ reply: Reply) { send(reply, closing: true) }

    private func send(_ reply: Reply, closing: Bool) {
        guard let context, !answersStarted, let request else { return }
        var headers = commonHeaders(reply.contentType, reply.headers)
        if reply.status != .noContent {
            headers.add(name: "Content-Length", value: String(reply.body?.readableBytes ?? 0))
        }
        answersStarted = true
        server.counters.count(request.endpoint, status: Int(reply.status.code))
        let head = HTTPResponseHead(
            version: request.head.version, status: reply.status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if let body = reply.body, request.head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        finish(context, closing: closing)
    }

    /// Begins a streamed answer. On the event loop.
    func sendHead(_ status: HTTPResponseStatus, _ contentType: String, _ extra: [(String, String)])
    {
        guard let context, !answersStarted, let request else { return }
        answersStarted = true
        server.counters.count(request.endpoint, status: Int(status.code))
        let headers = commonHeaders(contentType, extra)
        let head = HTTPResponseHead(version: request.head.version, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
    }

    func sendPiece(_ piece: ByteBuffer, promise: EventLoopPromise<Void>) {
        guard let context else { return promise.fail(ChannelError.ioOnClosedChannel) }
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(piece))), promise: promise)
    }

    func sendEnd() {
        guard let context else { return }
        finish(context, closing: true)
    }

    /// Breaks off a streamed answer, so that the client can't take it for whole.
    func abort() { context?.close(promise: nil) }

    private func commonHeaders(_ contentType: String?, _ extra: [(String, String)]) -> HTTPHeaders {
        var headers = HTTPHeaders()
        headers.add(name: "X-Influxdb-Version", value: ServerVersion.influx)
        headers.add(name: "X-Influxdb-Build", value: "OSS")
        if let contentType {
            headers.add(name: "Content-Type", value: contentType)
            headers.add(name: "X-Content-Type-Options", value: "nosniff")
        }
        for (name, value) in extra { headers.add(name: name, value: value) }
        if closesAfterAnswer {
            headers.add(name: "Connection", value: "close")
        } else if request?.head.version == .http1_0 {
            headers.add(name: "Connection", value: "keep-alive")
        }
        return headers
    }

    private func finish(_ context: ChannelHandlerContext, closing: Bool) {
        if case .answering = state { state = .idle }
        if case .discarding = state, !closesAfterAnswer { state = .idle }
        if closesAfterAnswer, closing {
            state = .closed
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
                channel.close(promise: nil)
            }
        } else {
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }

    // MARK: ends

    func channelInactive(context: ChannelHandlerContext) {
        switch state {
        case .receiving(let exchange), .answering(let exchange): exchange.abandon()
        case .idle, .discarding, .closed: break
        }
        state = .closed
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent {
            switch state {
            case .answering: break
            case .idle, .receiving, .discarding, .closed: context.close(promise: nil)
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Broken framing: the request can't be whole, so nothing of it is stored. NIO closes the
    /// connection as soon as this returns.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is HTTPParserError else { return context.close(promise: nil) }
        switch state {
        case .receiving(let exchange): exchange.abandon()
        case .idle, .discarding: break
        case .answering, .closed: return
        }
        closesAfterAnswer = true
        let family = request?.family ?? .own
        if request == nil || isIdle {
            answersStarted = false
            request = Request(
                head: HTTPRequestHead(version: .http1_1, method: .GET, uri: "/"), path: "/",
                parameters: URLParameters(), endpoint: .unknown, family: family,
                permissions: .everything)
        }
        let refusal = Refusal(.badRequest, "the request is not HTTP: \(error)")
        send(Reply(refusal, family: family))
    }

    private var isIdle: Bool { if case .idle = state { true } else { false } }
}
