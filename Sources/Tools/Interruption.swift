// Ctrl-C during a command that takes its time: the terminal's line is cleaned, what is half made
// goes, and the process ends as the signal would have ended it, so that a script stops too.
//
//     working ──finish()──▶ finishing     too late to interrupt: what is done is done
//        └──a signal──▶ interrupted       cleaned up on a thread of its own; the process ends

internal import Apus
internal import Glibc
internal import Synchronization

/// Takes SIGINT and SIGTERM off the process, for good. Thread-safe.
package final class Interruption: Sendable {
    private enum State { case working, finishing, interrupted }

    private let state = Mutex(State.working)
    private let thread: WorkerPool

    /// Make it before other threads are made: they inherit which signals are blocked.
    ///
    /// - Parameter clean: called on a thread of its own while the others go on working.
    package init(_ clean: @escaping @Sendable () -> Void) {
        var signals = Self.signals()
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        // Not before: a thread without the mask would take the signal, and the process with it.
        thread = WorkerPool(name: "apus-interrupt", threadCount: 1, queuedJobsMax: 1)
        _ = thread.submit { [self] in
            var signals = Self.signals()
            var number: Int32 = 0
            while sigwait(&signals, &number) == 0 {
                let isOurs = state.withLock { state in
                    guard state == .working else { return false }
                    state = .interrupted
                    return true
                }
                guard isOurs else { continue }
                clean()
                signal(number, SIG_DFL)
                pthread_sigmask(SIG_UNBLOCK, &signals, nil)
                kill(getpid(), number)
            }
        }
    }

    /// From here on signals change nothing. Does not return if one came before.
    package func finish() {
        let isInterrupted = state.withLock { state in
            if state == .working { state = .finishing }
            return state == .interrupted
        }
        while isInterrupted { sleep(1) }
    }

    /// Those that end the process: what the parent has it ignore stays ignored.
    private static func signals() -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGINT, SIGTERM] {
            var action = sigaction()
            sigaction(number, nil, &action)
            // Safe: a pointer is looked at as a number; SIG_IGN is 1, and no address.
            let isIgnored = unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
            if !isIgnored { sigaddset(&set, number) }
        }
        return set
    }
}
