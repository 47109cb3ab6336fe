// Ctrl-C while a query runs, as a descriptor that can be waited for together with a socket.

internal import Apus
internal import Glibc

/// Takes SIGINT off the process and turns it into a readable descriptor.
package final class Interrupts {
    /// Readable once Ctrl-C was pressed, until `clear`.
    package let descriptor: Int32
    /// One thread that only waits for the signal; it ends with the process.
    private let thread = WorkerPool(name: "apus-interrupt", threadCount: 1, queuedJobsMax: 1)

    /// Call it before other threads are made: they inherit the mask. Nil if the system has no
    /// descriptors left.
    package init?() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        descriptor = ends[0]
        let writer = ends[1]
        _ = thread.submit {
            var signals = Self.signals()
            var number: Int32 = 0
            while sigwait(&signals, &number) == 0 { _ = write(writer, "!", 1) }
        }
    }

    /// Blocks SIGINT in this thread and in those it makes later.
    package static func block() {
        var signals = Self.signals()
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Forgets what was pressed before now.
    package func clear() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(descriptor, &bytes, bytes.count) > 0 {}
    }

    private static func signals() -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        return set
    }
}
