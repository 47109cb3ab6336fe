// Line protocol over UDP: the end of a datagram ends its last line.

internal import NIOCore

/// Safe: used only on the channel's event loop; `Sendable` for scheduled tasks there.
final class DatagramHandler: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundIn = Never

    /// Datagrams of so long are stored together.
    private static let gatherMilliseconds: Int64 = 3

    private let server: ServerContext
    private let batcher: LineBatcher
    private let eventLoop: any EventLoop
    private var isScheduled = false

    init(server: ServerContext, batcher: LineBatcher, eventLoop: any EventLoop) {
        self.server = server
        self.batcher = batcher
        self.eventLoop = eventLoop
    }

    func handlerAdded(context: ChannelHandlerContext) {
        batcher.onRoom = { context.read() }
    }

    func handlerRemoved(context: ChannelHandlerContext) { batcher.onRoom = {} }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        server.counters.datagramReceived()
        server.counters.add(bytesReceived: envelope.data.readableBytes, .lineUDP)
        let allowed = server.options.allowedSenders
        guard allowed.isEmpty || allowed.admits(envelope.remoteAddress) else {
            return server.counters.senderRefused()
        }
        batcher.feed(envelope.data, endsLine: true)
        batcher.flushIfFull()
    }

    /// Nobody waits for an answer, and nobody can be slowed down: while there is no room, datagrams wait in
    /// the kernel's buffer, and the kernel counts those that it has to drop.
    func read(context: ChannelHandlerContext) {
        if batcher.mayRead() { context.read() }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard !isScheduled else { return }
        isScheduled = true
        eventLoop.scheduleTask(in: .milliseconds(Self.gatherMilliseconds)) { [self] in
            isScheduled = false
            batcher.flush()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        batcher.finish()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A datagram that couldn't be read is the kernel's count; the socket goes on.
    }
}
