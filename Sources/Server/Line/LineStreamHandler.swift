// Line protocol over TCP: lines end with a newline, nothing is answered.

internal import NIOCore

/// Safe: used only on the channel's event loop; `Sendable` for the batcher's callbacks there.
final class LineStreamHandler: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never

    private let server: ServerContext
    private let batcher: LineBatcher

    init(server: ServerContext, batcher: LineBatcher) {
        self.server = server
        self.batcher = batcher
    }

    func handlerAdded(context: ChannelHandlerContext) {
        batcher.onRoom = { context.read() }
    }

    func handlerRemoved(context: ChannelHandlerContext) { batcher.onRoom = {} }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let piece = unwrapInboundIn(data)
        server.counters.add(bytesReceived: piece.readableBytes, .lineTCP)
        batcher.feed(piece, endsLine: false)
        batcher.flushIfFull()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        batcher.flush()
        context.fireChannelReadComplete()
    }

    /// Holds reads back while there is no room: TCP slows the sender down.
    func read(context: ChannelHandlerContext) {
        if batcher.mayRead() { context.read() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        batcher.finish()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is IdleStateHandler.IdleStateEvent where batcher.isIdle: context.close(promise: nil)
        case is ChannelShouldQuiesceEvent: context.close(promise: nil)
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
