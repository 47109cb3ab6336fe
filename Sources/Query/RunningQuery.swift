// Statements from when they come to when they are answered: SHOW QUERIES lists them, KILL ends them.
//
//     waiting ──begin──▶ running ◀──────▶ sending
//        │                  └────finish──────┘
//        │ cancel, kill             ▼
//        └──────────────────────▶ ended
//
// A statement that waits is ended by whoever cancels or kills it; one that runs is told to end, and
// looks now and then.

internal import ApusStorage
internal import Synchronization

/// One statement on its way. Thread-safe.
package final class RunningQuery: Sendable {
    package enum State: String, Sendable {
        /// For a thread: as many run as may.
        case waiting
        case running
        /// For the client to take what is there.
        case sending
        case ended
    }

    private struct Progress {
        var state = State.waiting
        var begunAt: Int64?
        var whenCancelled: (@Sendable (_ wasWaiting: Bool) -> Void)?
    }

    /// Of a statement's text, in listings and logs.
    package static let textCharactersMax = 1_000

    /// From 1, never used again in the life of the engine.
    package let id: Int64
    package let request: QueryRequest
    /// `HOST:PORT` of whoever asked; nil in the same process.
    package let client: String?
    package let cancellation: QueryCancellation
    /// Whether it is SHOW QUERIES or KILL, which have to work when there is no place left: they take
    /// none, and are not listed.
    package let isControl: Bool
    /// When it came: nanoseconds since 1970.
    let arrivedAt: Int64
    private let arrivedMonotonic = monotonicNanoseconds()
    private let list: RunningQueries
    private let progress = Mutex(Progress())

    fileprivate init(
        id: Int64, _ request: QueryRequest, client: String?, cancellation: QueryCancellation,
        arrivedAt: Int64, list: RunningQueries
    ) {
        self.id = id
        self.request = request
        self.client = client
        self.cancellation = cancellation
        self.arrivedAt = arrivedAt
        self.list = list
        let words = Lexer.firstWords(of: request.sql, count: 2)
        isControl = words.first == "KILL" || words == ["SHOW", "QUERIES"]
    }

    package var state: State { progress.withLock { $0.state } }

    /// Since it came.
    package var elapsedNanoseconds: Int64 { monotonicNanoseconds() &- arrivedMonotonic }

    /// Of these, until it began.
    package var waitedNanoseconds: Int64 {
        progress.withLock { $0.begunAt ?? monotonicNanoseconds() } &- arrivedMonotonic
    }

    /// The statement without blanks around it, cut to `textCharactersMax` code points.
    package var text: String {
        let scalars = request.sql.unicodeScalars
        let start = scalars.drop { $0.properties.isWhitespace }
        let rest = start.dropFirst(Self.textCharactersMax)
        var text = String(String.UnicodeScalarView(start.prefix(Self.textCharactersMax)))
        if rest.allSatisfy({ $0.properties.isWhitespace }) {
            while text.last?.isWhitespace == true { text.removeLast() }
            return text
        }
        text.unicodeScalars.append("…")
        return text
    }

    // MARK: its way

    /// Has a body called at each cancellation, on the thread of whoever cancels.
    ///
    /// - Parameter body: Is told whether the statement was still waiting. Then nobody else will
    ///   answer it. If that has happened already, the body is called at once.
    package func whenCancelled(_ body: @escaping @Sendable (_ wasWaiting: Bool) -> Void) {
        let isLate = progress.withLock { progress in
            progress.whenCancelled = body
            return progress.state == .ended
        }
        if isLate { body(true) }
    }

    /// Leaves the queue. False if it was ended there: then there is nothing left to do.
    package func begin() -> Bool {
        progress.withLock { progress in
            guard progress.state == .waiting else { return false }
            progress.state = .running
            progress.begunAt = monotonicNanoseconds()
            return true
        }
    }

    /// Says whether the client is waited for.
    package func setSending(_ isSending: Bool) {
        progress.withLock { progress in
            if progress.state != .ended { progress.state = isSending ? .sending : .running }
        }
    }

    /// It is answered, or nobody will: off the list. Idempotent.
    package func finish() {
        progress.withLock { progress in
            progress.state = .ended
            progress.whenCancelled = nil
        }
        list.remove(self)
    }

    /// Its client is gone, or wants it no more.
    package func cancel() {
        cancellation.cancel()
        end()
    }

    fileprivate func kill() {
        cancellation.kill(id)
        end()
    }

    private func end() {
        let (wasWaiting, body) = progress.withLock { progress in
            let wasWaiting = progress.state == .waiting
            if wasWaiting { progress.state = .ended }
            return (wasWaiting, progress.whenCancelled)
        }
        if wasWaiting { list.remove(self) }
        body?(wasWaiting)
    }
}

/// The statements of an engine that are not answered yet. Thread-safe.
package final class RunningQueries: Sendable {
    private struct State {
        var lastID: Int64 = 0
        var queries: [Int64: RunningQuery] = [:]
    }

    private let state = Mutex(State())

    init() {}

    /// Lists a statement until it is finished, unless it is a control statement.
    func add(
        _ request: QueryRequest, client: String?, cancellation: QueryCancellation, at now: Int64
    ) -> RunningQuery {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        let query = RunningQuery(
            id: id, request, client: client, cancellation: cancellation, arrivedAt: now, list: self)
        if !query.isControl { state.withLock { $0.queries[id] = query } }
        return query
    }

    fileprivate func remove(_ query: RunningQuery) {
        state.withLock { _ = $0.queries.removeValue(forKey: query.id) }
    }

    /// Those that a caller may see, in the order in which they came.
    package func visible(to access: QueryAccess) -> [RunningQuery] {
        state.withLock { Array($0.queries.values) }
            .filter { access.oversees($0.request.access) }
            .sorted { $0.id < $1.id }
    }

    /// Ends a query, or tells it to end. False if there is none of that number that the caller may see.
    package func kill(_ id: Int64, by access: QueryAccess) -> Bool {
        guard let query = state.withLock({ $0.queries[id] }),
            access.oversees(query.request.access)
        else { return false }
        query.kill()
        return true
    }
}
