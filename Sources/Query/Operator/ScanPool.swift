// A fixed set of threads that help with scans. A query's own thread always takes part, so that a
// busy pool only makes it slower.

internal import ApusStorage
internal import Glibc
internal import Synchronization

/// Hands out the numbers `0 ..< count`, each once.
final class MorselCounter: Sendable {
    private let next = Atomic<Int>(0)
    let count: Int

    init(count: Int) { self.count = count }

    func take() -> Int? {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return index < count ? index : nil
    }
}

/// Safe: `jobs` and `isClosed` are only touched with `mutex` held.
final class ScanPool: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [@Sendable () -> Void] = []
    private var isClosed = false
    let threadCount: Int

    /// - Parameter threadCount: Helpers beside the calling threads.
    init(threadCount: Int) {
        self.threadCount = threadCount
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
        for _ in 0..<threadCount { startThread() }
    }

    private func startThread() {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self).toOpaque()
        let failed = pthread_create(
            &thread, nil,
            { context in
                // Safe: the pool is kept by its threads until they end.
                guard let context else { return nil }
                let pool = Unmanaged<ScanPool>.fromOpaque(context).takeRetainedValue()
                pool.work()
                return nil
            }, context)
        if failed != 0 {
            Unmanaged<ScanPool>.fromOpaque(context).release()
        } else {
            pthread_detach(thread)
        }
    }

    private func work() {
        while true {
            pthread_mutex_lock(mutex)
            while jobs.isEmpty, !isClosed { pthread_cond_wait(wake, mutex) }
            if jobs.isEmpty {
                pthread_mutex_unlock(mutex)
                return
            }
            let job = jobs.removeFirst()
            pthread_mutex_unlock(mutex)
            job()
        }
    }

    /// Lets the threads end once their jobs are done.
    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(mutex)
    }

    func submit(_ job: @escaping @Sendable () -> Void) {
        pthread_mutex_lock(mutex)
        jobs.append(job)
        pthread_cond_signal(wake)
        pthread_mutex_unlock(mutex)
    }
}

/// Lets one thread wait until others have left.
///
/// Safe: `inside` is only touched with `mutex` held.
final class WaitGroup: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var inside = 0
    private var isClosed = false

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(changed)
        mutex.deallocate()
        changed.deallocate()
    }

    /// False once the waiter is no longer interested.
    func enter() -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !isClosed else { return false }
        inside += 1
        return true
    }

    func leave() {
        pthread_mutex_lock(mutex)
        inside -= 1
        pthread_cond_broadcast(changed)
        pthread_mutex_unlock(mutex)
    }

    /// Lets no one in any more and waits for those inside.
    func closeAndWait() {
        pthread_mutex_lock(mutex)
        isClosed = true
        while inside > 0 { pthread_cond_wait(changed, mutex) }
        pthread_mutex_unlock(mutex)
    }
}
