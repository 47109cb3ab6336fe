// Something done every now and then while others work: a progress bar.

internal import Apus
internal import Synchronization

/// Calls `body` on a thread of its own until `end`, and a last time then.
package final class Ticker: Sendable {
    private let isEnding = Atomic(false)
    private let pool: WorkerPool
    private let body: @Sendable () -> Void

    package init(everyMilliseconds period: Int, _ body: @escaping @Sendable () -> Void) {
        self.body = body
        pool = WorkerPool(name: "apus-progress", threadCount: 1, queuedJobsMax: 1)
        _ = pool.submit { [self] in
            while !isEnding.load(ordering: .relaxed) {
                body()
                pause(milliseconds: period)
            }
        }
    }

    /// Waits for the thread.
    package func end() {
        isEnding.store(true, ordering: .relaxed)
        pool.stop()
        body()
    }
}
