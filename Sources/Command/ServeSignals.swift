// SIGTERM and SIGINT for the server: the first asks it to stop, the second ends the process. SIGHUP
// asks it to read its configuration again, unless it is the terminal's that went away.

import ApusTools
import Dispatch
import Glibc
import Synchronization

/// Waits for signals on a thread of its own, which is the only one that takes them.
final class ServeSignals: Sendable {
    enum Request { case stop, reload }

    private struct State {
        var isStopping = false
        var isReloading = false
    }

    private let requested = DispatchSemaphore(value: 0)
    private let state = Mutex(State())

    /// Call before any other thread is made: they inherit the mask.
    init() {
        signal(SIGPIPE, SIG_IGN)
        var set = Self.set()
        pthread_sigmask(SIG_BLOCK, &set, nil)
        var thread = pthread_t()
        pthread_create(&thread, nil, serveSignalBody, Unmanaged.passRetained(self).toOpaque())
        pthread_detach(thread)
    }

    /// Waits for the next request. Stopping goes first, and several reloads are one.
    func next() -> Request {
        while true {
            requested.wait()
            let request: Request? = state.withLock { state in
                if state.isStopping { return .stop }
                defer { state.isReloading = false }
                return state.isReloading ? .reload : nil
            }
            if let request { return request }
        }
    }

    fileprivate func listen() {
        var set = Self.set()
        var isStopping = false
        while true {
            var information = siginfo_t()
            let number = sigwaitinfo(&set, &information)
            guard number > 0 else { continue }
            // The kernel's own SIGHUP says that the terminal is gone; a person's comes from kill.
            if number == SIGHUP, information.si_code <= 0 {
                state.withLock { $0.isReloading = true }
            } else {
                if isStopping, number != SIGHUP { _exit(128 + number) }
                isStopping = true
                state.withLock { $0.isStopping = true }
            }
            requested.signal()
        }
    }

    private static func set() -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGHUP)
        return set
    }
}

private func serveSignalBody(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    // Safe: made by `passRetained` for this thread.
    Unmanaged<ServeSignals>.fromOpaque(context).takeRetainedValue().listen()
    return nil
}

/// Ends the process if a clean end takes too long, with the code of a disk that fails: the last sync
/// has not returned. What `always` acknowledged is in the log already.
enum StopWatchdog {
    /// What the last sync may take beside the time that clients have: a busy disk needs seconds.
    private static let closeSeconds = 8

    /// - Parameter finishSeconds: What requests under way may take.
    static func start(finishSeconds: Int) {
        let context = UnsafeMutableRawPointer(bitPattern: finishSeconds + closeSeconds)
        var thread = pthread_t()
        pthread_create(&thread, nil, watchdogBody, context)
        pthread_detach(thread)
    }
}

private func watchdogBody(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    sleep(UInt32(Int(bitPattern: context)))
    Failure.report(
        "stopping took too long, the log is not synced; the next start recovers what the disk has")
    _exit(ExitCodes.inputOutput)
}
