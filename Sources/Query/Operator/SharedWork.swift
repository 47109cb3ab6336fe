// Pieces of one query's work, taken by turns by its own thread and the pool's.

internal import Synchronization

/// Work under way. Safe: `state` is behind its mutex, the rest is immutable; a share belongs to one thread
/// until it is handed over.
private final class SharedWork<Share>: @unchecked Sendable {
    struct State {
        var shares: [Share] = []
        var failure: QueryError?
    }

    /// Safe: touched with the mutex held only.
    final class Box: @unchecked Sendable {
        var value = State()
    }

    let counter: MorselCounter
    let context: QueryContext
    let make: () -> Share
    let step: (inout Share, Int) throws(QueryError) -> Bool
    let waiting = WaitGroup()
    let state = Mutex(Box())

    init(
        _ count: Int, _ context: QueryContext, _ make: @escaping () -> Share,
        _ step: @escaping (inout Share, Int) throws(QueryError) -> Bool
    ) {
        counter = MorselCounter(count: count)
        self.context = context
        self.make = make
        self.step = step
    }

    func participate() {
        guard waiting.enter() else { return }
        defer { waiting.leave() }
        guard let first = counter.take() else { return }
        var share = make()
        var failure: QueryError?
        var next: Int? = first
        while let index = next {
            do throws(QueryError) {
                try context.check()
                next = try step(&share, index) ? counter.take() : nil
            } catch {
                failure = error
                next = nil
            }
        }
        if failure != nil { context.stop() }
        finish(share, failure)
    }

    private func finish(_ share: Share, _ failure: QueryError?) {
        nonisolated(unsafe) let share = share
        state.withLock { box in
            box.value.shares.append(share)
            // A thread that was told to stop is not the cause.
            if box.value.failure == nil { box.value.failure = failure }
        }
    }

    func take() -> State {
        waiting.closeAndWait()
        nonisolated(unsafe) var result = State()
        state.withLock { result = $0.value }
        return result
    }
}

extension QueryEngine {
    /// Runs pieces of work on the calling thread and helpers of the pool.
    ///
    /// - Parameters:
    ///   - helpers: Threads to ask beside the calling one.
    ///   - make: A thread's share, made when it takes its first piece.
    ///   - step: Adds a piece to a share; false if the share wants no more.
    /// - Returns: The shares of those who took part.
    /// - Throws: What a step threw, after all threads have left.
    func inPieces<Share>(
        _ count: Int, helpers: Int, _ context: QueryContext, make: @escaping () -> Share,
        step: @escaping (inout Share, Int) throws(QueryError) -> Bool
    ) throws(QueryError) -> [Share] {
        let work = SharedWork(count, context, make, step)
        for _ in 0..<max(0, min(helpers, pool.threadCount, count - 1)) {
            pool.submit { work.participate() }
        }
        work.participate()
        let state = work.take()
        if let failure = state.failure { throw failure }
        return state.shares
    }
}
