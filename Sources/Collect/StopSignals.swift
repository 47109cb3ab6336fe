// SIGINT and SIGTERM, taken while sleeping instead of in a handler: blocked in every thread, and
// received by the one that waits for the next tick.

import Glibc

package struct StopSignals: Sendable {
    private let set: sigset_t

    /// Blocks both signals in this thread and in those that it starts later: call it first.
    package init() {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        self.set = set
    }

    /// Sleeps; true as soon as one of the signals arrives.
    package func wait(nanoseconds: Int64) -> Bool {
        let span = max(0, nanoseconds)
        var set = set
        var timeout = timespec(
            tv_sec: Int(span / 1_000_000_000), tv_nsec: Int(span % 1_000_000_000))
        return sigtimedwait(&set, nil, &timeout) > 0
    }
}
