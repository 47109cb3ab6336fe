// The server: listeners in front of one store, from start to a clean end.
//
//     bind HTTP (answers /ping and 503) → open the store → bind TCP and UDP → ready
//     stop: close listeners → let connections finish → close the store

package import Apus
internal import ApusStorage
package import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Why the server could not start.
package enum ServerFault: Error, CustomStringConvertible {
    /// The options must not be served.
    case refused(String)
    /// A listener could not be had.
    case listen(flag: String, address: String, reason: String)
    case store(StorageError)

    package var description: String {
        switch self {
        case .refused(let text): text
        case .listen(let flag, let address, let reason):
            "cannot listen on \(flag) \(address): \(reason)"
        case .store(let error): error.description
        }
    }
}

/// A running server. Start and stop block and belong to one thread, not an event loop's.
package final class Server {
    private let context: ServerContext
    private let freedMemory: FreedMemory
    private let group: MultiThreadedEventLoopGroup
    private var listeners: [any Channel] = []
    private var store: Store?
    package private(set) var httpAddress: String?
    package private(set) var lineTCPAddress: String?
    package private(set) var lineUDPAddress: String?
    /// The data directory, absolute.
    package var dataDirectory: String { store?.path ?? context.options.dataDirectory }

    /// Listens, opens the store, listens for lines; returns when all accept.
    package init(_ options: ServerOptions, logger: Logger) throws(ServerFault) {
        if let refusal = options.refusal() { throw .refused(refusal) }
        context = ServerContext(options: options, logger: logger)
        freedMemory = FreedMemory(memoryBytesMax: options.store.storage.memoryBytesMax)
        group = MultiThreadedEventLoopGroup(
            numberOfThreads: options.eventLoopThreads ?? max(2, System.coreCount))
        do throws(ServerFault) {
            try start(options)
        } catch {
            stop()
            throw error
        }
    }

    private func start(_ options: ServerOptions) throws(ServerFault) {
        if let address = options.http {
            httpAddress = try listen("--http", address) { try bindHTTP(address) }
        }
        FreedMemory.expectCatalog(in: options.dataDirectory)
        do throws(StorageError) {
            let opened = try Store(blockingAt: options.dataDirectory, options: options.store)
            store = opened
            context.store = opened
        } catch {
            throw .store(error)
        }
        guard let store else { return }
        if let address = options.lineTCP {
            lineTCPAddress = try listen("--line-tcp", address) { try bindLineTCP(address, store) }
        }
        if let address = options.lineUDP {
            lineUDPAddress = try listen("--line-udp", address) { try bindLineUDP(address, store) }
        }
    }

    private func listen(
        _ flag: String, _ address: ListenerAddress, _ bind: () throws -> any Channel
    ) throws(ServerFault) -> String {
        do {
            let channel = try bind()
            listeners.append(channel)
            var bound = address
            bound.port = channel.localAddress?.port ?? address.port
            return bound.text
        } catch let error as IOError {
            throw .listen(flag: flag, address: address.text, reason: errnoText(error.errnoCode))
        } catch {
            throw .listen(flag: flag, address: address.text, reason: "\(error)")
        }
    }

    private func bindHTTP(_ address: ListenerAddress) throws -> any Channel {
        let context = context
        return try serverBootstrap()
            .childChannelInitializer { channel in
                guard context.register(channel, .http) else { return channel.close() }
                return channel.eventLoop.makeCompletedFuture {
                    let idle = IdleStateHandler(
                        allTimeout: .seconds(Int64(context.options.idleTimeoutSeconds)))
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(idle)
                    try pipeline.configureHTTPServerPipeline(
                        withPipeliningAssistance: true, withErrorHandling: false)
                    try pipeline.addHandler(
                        HTTPHandler(server: context, loop: context.loop(channel.eventLoop)))
                }
            }
            .bind(host: address.host, port: address.port).wait()
    }

    private func bindLineTCP(_ address: ListenerAddress, _ store: Store) throws -> any Channel {
        let context = context
        return try serverBootstrap()
            .childChannelInitializer { channel in
                guard context.options.allowedSenders.admits(channel.remoteAddress) else {
                    context.counters.senderRefused()
                    return channel.close()
                }
                guard context.register(channel, .lineTCP) else { return channel.close() }
                return channel.eventLoop.makeCompletedFuture {
                    let batcher = LineBatcher(
                        server: context, store: store, loop: context.loop(channel.eventLoop),
                        listener: address, isPaced: true)
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(LineStreamHandler(server: context, batcher: batcher))
                }
            }
            .bind(host: address.host, port: address.port).wait()
    }

    private func serverBootstrap() -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 256 << 10)
            )
            .childChannelOption(.maxMessagesPerRead, value: 4)
    }

    private func bindLineUDP(_ address: ListenerAddress, _ store: Store) throws -> any Channel {
        let context = context
        let channel = try DatagramBootstrap(group: group)
            // Vectors of 32 datagrams of up to 65,507 bytes.
            .channelOption(.datagramVectorReadMessageCount, value: 32)
            .channelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 32 << 16)
            )
            .channelOption(.maxMessagesPerRead, value: 4)
            .channelInitializer { channel in
                _ = context.register(channel, .lineUDP)
                return channel.eventLoop.makeCompletedFuture {
                    let batcher = LineBatcher(
                        server: context, store: store, loop: context.loop(channel.eventLoop),
                        listener: address, isPaced: false)
                    try channel.pipeline.syncOperations.addHandler(
                        DatagramHandler(
                            server: context, batcher: batcher, eventLoop: channel.eventLoop))
                }
            }
            .bind(host: address.host, port: address.port).wait()
        widenReceiveBuffer(channel)
        context.udpPorts += [channel.localAddress?.port].compactMap { $0 }
        return channel
    }

    /// Asks for 8 MiB, past the system's limit where this process may, else up to it.
    private func widenReceiveBuffer(_ channel: any Channel) {
        let bytes = 8 << 20
        // SO_RCVBUFFORCE; its number is part of Linux' interface.
        let force = ChannelOptions.Types.SocketOption(level: .socket, name: .init(rawValue: 33))
        do {
            try channel.setOption(force, value: .init(bytes)).wait()
        } catch {
            try? channel.setOption(.socketOption(.so_rcvbuf), value: .init(bytes)).wait()
        }
        guard let got = try? channel.getOption(.socketOption(.so_rcvbuf)).wait(), got < bytes else {
            return
        }
        context.logger.info(
            "the UDP receive buffer has \(got) bytes instead of \(bytes): raise net.core.rmem_max if datagrams are dropped"
        )
    }

    /// Requests that begin from now on are measured by these tokens, which are there before and after.
    package func replaceTokens(_ tokens: TokenTable) { context.tokens = tokens }

    // MARK: the end

    /// Stops accepting, lets requests under way finish for a while, syncs and closes the store.
    ///
    /// - Returns: why the log could not be synced, if so. Everything has ended then too.
    @discardableResult
    package func stop() -> StorageError? {
        var failure: StorageError?
        context.isStopping = true
        for listener in listeners { try? listener.close().wait() }
        listeners = []
        for channel in context.openChannels {
            channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
        let deadline = NIODeadline.now() + .seconds(Int64(context.options.shutdownSeconds) - 2)
        while !context.openChannels.isEmpty, NIODeadline.now() < deadline {
            sleepMilliseconds(10)
        }
        for channel in context.openChannels { channel.close(promise: nil) }
        if let store {
            do throws(StorageError) { try store.closeBlocking() } catch { failure = error }
            store.stopWorkers()
        }
        try? group.syncShutdownGracefully()
        return failure
    }
}
