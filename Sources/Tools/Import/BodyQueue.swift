// Bodies on their way from the reader to those who store them: a bounded queue, and turns for those
// who parse side by side and commit one after the other.

internal import Glibc

/// Thread-safe.
///
/// Safe: everything below the lock is touched only while it is held; lock and condition live at
/// fixed addresses as long as the queue.
final class BodyQueue: @unchecked Sendable {
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let bodiesMax: Int
    private var bodies: [LineBody] = []
    private var nextSequence = 0
    private var turn = 0
    private var isFinished = false
    private var isAborted = false

    init(bodiesMax: Int) {
        self.bodiesMax = bodiesMax
        pthread_mutex_init(lock, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(lock)
        changed.deallocate()
        lock.deallocate()
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    /// Waits for room; false if the run was aborted.
    func push(_ body: LineBody) -> Bool {
        locked {
            while bodies.count >= bodiesMax, !isAborted { pthread_cond_wait(changed, lock) }
            guard !isAborted else { return false }
            var numbered = body
            numbered.sequence = nextSequence
            nextSequence += 1
            bodies.append(numbered)
            pthread_cond_broadcast(changed)
            return true
        }
    }

    /// The next body, in order; nil when there is none left, or the run was aborted.
    func take() -> LineBody? {
        locked {
            while bodies.isEmpty, !isFinished, !isAborted { pthread_cond_wait(changed, lock) }
            guard !bodies.isEmpty, !isAborted else { return nil }
            pthread_cond_broadcast(changed)
            return bodies.removeFirst()
        }
    }

    /// Waits until all bodies before this one had their turn; false if the run was aborted.
    func awaitTurn(_ sequence: Int) -> Bool {
        locked {
            while turn != sequence, !isAborted { pthread_cond_wait(changed, lock) }
            return !isAborted
        }
    }

    func endTurn() {
        locked {
            turn += 1
            pthread_cond_broadcast(changed)
        }
    }

    /// No more bodies come.
    func finish() {
        locked {
            isFinished = true
            pthread_cond_broadcast(changed)
        }
    }

    /// Everyone stops; what waits is dropped.
    func abort() {
        locked {
            isAborted = true
            bodies = []
            pthread_cond_broadcast(changed)
        }
    }
}
