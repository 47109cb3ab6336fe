// Something done every now and then while others work: a progress bar.

internal import Apus
internal import Dispatch

/// Calls `body` on a thread of its own until `end`, and a last time then.
package final class Ticker: Sendable {
    private let ending = DispatchSemaphore(value: 0)
    private let pool: WorkerPool
    private let body: @Sendable () -> Void

    package init(everyMilliseconds period: Int, _ body: @escaping @Sendable () -> Void) {
        self.body = body
        pool = WorkerPool(name: "apus-progress", threadCount: 1, queuedJobsMax: 1)
        _ = pool.submit { [self] in
            repeat {
                body()
            } while ending.wait(timeout: .now() + .milliseconds(period)) == .timedOut
        }
    }

    /// Waits for the thread, but not for its next turn.
    package func end() {
        ending.signal()
        pool.stop()
        body()
    }
}
