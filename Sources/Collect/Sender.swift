// The thread that sends, apart from the one that samples: a server that hangs must not cost the
// very samples that would show it.

internal import ApusClient
import Glibc
import Synchronization

/// Owns the backlog and the connection.
///
/// `offer` and `finish` may be called from any thread. State shared between the threads is in one
/// `Mutex`, never held across a system call that waits; a pipe wakes the sending thread.
package final class Sender: Sendable {
    private struct State {
        var backlog: Backlog
        var isFinishing = false
        var hasEnded = false
    }

    private static let requestTimeoutMilliseconds: Int32 = 5_000

    private let state: Mutex<State>
    private let target: WriteTarget
    private let targetText: String
    private let log: @Sendable (String) -> Void
    private let wakeReader: Int32
    private let wakeWriter: Int32

    /// - Parameter log: Gets one line for each change of state, from the sending thread.
    package init(
        target: WriteTarget, targetText: String, sampleCountMax: Int,
        log: @escaping @Sendable (String) -> Void
    ) {
        self.target = target
        self.targetText = targetText
        self.log = log
        state = Mutex(State(backlog: Backlog(sampleCountMax: sampleCountMax)))
        var ends: [Int32] = [-1, -1]
        // Without descriptors the thread is never woken and looks by itself, see `pause`.
        if pipe(&ends) != 0 { ends = [-1, -1] }
        for end in ends where end >= 0 {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (wakeReader, wakeWriter) = (ends[0], ends[1])
    }

    deinit {
        if wakeReader >= 0 { close(wakeReader) }
        if wakeWriter >= 0 { close(wakeWriter) }
    }

    /// Starts the thread, which keeps this object alive until `finish`.
    package func start() -> Bool {
        var thread = pthread_t()
        // Safe: the reference handed over is taken back exactly once, by the thread's first line.
        let reference = Unmanaged.passRetained(self)
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Sender>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, reference.toOpaque())
        guard status == 0 else {
            reference.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    package func offer(_ sample: Sample) {
        state.withLock { $0.backlog.append(sample) }
        wake()
    }

    /// Lets the thread try what is left once, for at most the given time; true if nothing is left.
    package func finish(timeoutMilliseconds: Int) -> Bool {
        state.withLock { $0.isFinishing = true }
        wake()
        var waitedMilliseconds = 0
        while waitedMilliseconds < timeoutMilliseconds, !state.withLock({ $0.hasEnded }) {
            usleep(5_000)
            waitedMilliseconds += 5
        }
        return state.withLock { $0.backlog.samples.isEmpty }
    }

    private func run() {
        var client = HTTPConnection(
            to: target.address, timeoutMilliseconds: Self.requestTimeoutMilliseconds)
        var delivery = Delivery(targetText: targetText)
        while true {
            let (sample, isFinishing) = state.withLock { ($0.backlog.oldest, $0.isFinishing) }
            guard let sample else {
                if isFinishing { break }
                pause(milliseconds: 1_000, wakesEarly: true)
                continue
            }
            let step: Delivery.Step
            do throws(ExchangeFailure) {
                step = delivery.answered(
                    try client.send(target.requestHead, body: sample.body))
            } catch {
                step = delivery.unanswered(error)
            }
            if let line = step.logLine { log(line) }
            if step.isDone {
                let forgottenCount = state.withLock { state in
                    state.backlog.remove(sample)
                    return state.backlog.takeForgottenCount()
                }
                if forgottenCount > 0 {
                    log("the backlog did not last: \(forgottenCount) samples are lost")
                }
            } else if isFinishing {
                break
            } else {
                pauseUnlessFinishing(milliseconds: step.pauseMilliseconds)
            }
        }
        state.withLock { $0.hasEnded = true }
    }

    /// Back-off: new samples don't cut it short, the end does.
    private func pauseUnlessFinishing(milliseconds: Int) {
        var leftMilliseconds = milliseconds
        while leftMilliseconds > 0, !state.withLock({ $0.isFinishing }) {
            let span = min(leftMilliseconds, 100)
            pause(milliseconds: span, wakesEarly: false)
            leftMilliseconds -= span
        }
    }

    private func pause(milliseconds: Int, wakesEarly: Bool) {
        guard wakesEarly, wakeReader >= 0 else {
            usleep(UInt32(clamping: milliseconds * 1000))
            return
        }
        var request = pollfd(fd: wakeReader, events: Int16(POLLIN), revents: 0)
        if poll(&request, 1, Int32(clamping: milliseconds)) > 0 {
            var bytes = [UInt8](repeating: 0, count: 64)
            _ = read(wakeReader, &bytes, bytes.count)
        }
    }

    private func wake() {
        var byte: UInt8 = 1
        // A full pipe is a wake-up under way already.
        if wakeWriter >= 0 { _ = write(wakeWriter, &byte, 1) }
    }

}
