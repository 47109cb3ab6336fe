// What all connections of a server share.

internal import Apus
internal import ApusIngest
internal import ApusStorage
internal import Logging
internal import NIOCore
internal import Synchronization

/// Thread-safe.
final class ServerContext: Sendable {
    private struct State {
        var store: Store?
        var isStopping = false
        var lineContexts: [ObjectIdentifier: LoopState] = [:]
        var channels: [ObjectIdentifier: any Channel] = [:]
        /// Ports of the UDP listeners, whose drops the kernel counts.
        var udpPorts: [Int] = []
        var tokens: TokenTable?
    }

    let options: ServerOptions
    let browserGuard: BrowserGuard
    let counters = ServerCounters()
    let logger: Logger
    let receivingBytesMax: Int
    private let state: Mutex<State>

    init(options: ServerOptions, logger: Logger) {
        self.options = options
        self.logger = logger
        state = Mutex(State(tokens: options.tokens))
        browserGuard = BrowserGuard(options)
        receivingBytesMax =
            options.receivingBytesMax
            ?? max(64 << 20, options.store.storage.memoryBytesMax / 2)
    }

    /// Nil until it is open.
    var store: Store? {
        get { state.withLock { $0.store } }
        set { state.withLock { $0.store = newValue } }
    }

    var isStopping: Bool {
        get { state.withLock { $0.isStopping } }
        set { state.withLock { $0.isStopping = newValue } }
    }

    var udpPorts: [Int] {
        get { state.withLock { $0.udpPorts } }
        set { state.withLock { $0.udpPorts = newValue } }
    }

    /// Those of the options, until they are reloaded.
    var tokens: TokenTable? {
        get { state.withLock { $0.tokens } }
        set { state.withLock { $0.tokens = newValue } }
    }

    func loop(_ eventLoop: any EventLoop) -> LoopState {
        state.withLock { state in
            let key = ObjectIdentifier(eventLoop)
            if let known = state.lineContexts[key] { return known }
            let made = LoopState(eventLoop)
            state.lineContexts[key] = made
            return made
        }
    }

    /// False if there are too many connections already.
    func register(_ channel: any Channel, _ listener: ServerCounters.Listener) -> Bool {
        let count = state.withLock { state in
            state.channels[ObjectIdentifier(channel)] = channel
            return state.channels.count
        }
        counters.connectionOpened(listener)
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { _ = $0.channels.removeValue(forKey: ObjectIdentifier(channel)) }
            self.counters.connectionClosed(listener)
        }
        return count <= options.connectionsMax
    }

    var openChannels: [any Channel] { state.withLock { Array($0.channels.values) } }
}

/// What all connections of one event loop share: the parser's tables.
///
/// Safe: `lineContext` is used only on `eventLoop`.
final class LoopState: @unchecked Sendable {
    let eventLoop: any EventLoop
    private var context: LineContext?

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func lineContext(_ store: Store) -> LineContext {
        eventLoop.preconditionInEventLoop()
        if let context { return context }
        let made = LineContext(catalog: store.engine.catalog, limits: IngestLimits())
        context = made
        return made
    }
}
