// SIGTERM and SIGINT for the server: the first asks it to stop, the second ends the process.

import Dispatch
import Glibc

/// Waits for signals on a thread of its own, which is the only one that takes them.
final class ServeSignals: Sendable {
    private let stopRequested = DispatchSemaphore(value: 0)

    /// Call before any other thread is made: they inherit the mask.
    init() {
        signal(SIGPIPE, SIG_IGN)
        var set = Self.set()
        pthread_sigmask(SIG_BLOCK, &set, nil)
        var thread = pthread_t()
        pthread_create(&thread, nil, serveSignalBody, Unmanaged.passRetained(self).toOpaque())
        pthread_detach(thread)
    }

    func waitForStop() { stopRequested.wait() }

    fileprivate func listen() {
        var set = Self.set()
        var number: Int32 = 0
        while sigwait(&set, &number) != 0 {}
        stopRequested.signal()
        while sigwait(&set, &number) != 0 {}
        _exit(128 + number)
    }

    private static func set() -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGTERM)
        sigaddset(&set, SIGINT)
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
    static func start(seconds: Int) {
        let context = UnsafeMutableRawPointer(bitPattern: seconds)
        var thread = pthread_t()
        pthread_create(&thread, nil, watchdogBody, context)
        pthread_detach(thread)
    }
}

private func watchdogBody(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    sleep(UInt32(Int(bitPattern: context)))
    Failure.report(
        "stopping took too long, the log is not synced; the next start recovers what the disk has")
    _exit(Failure.inputOutput)
}
