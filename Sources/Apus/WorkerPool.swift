// A few threads for work that blocks: opening, syncing, scanning, waiting for a slow reader.
//
// Swift's cooperative pool has as many threads as the machine has cores and must never block, and
// an event loop even less; so whatever waits for a disk or for another thread runs here.

internal import ApusKernels
internal import Glibc

/// A fixed number of threads behind a bounded queue. Thread-safe.
///
/// Safe: `jobs`, `isStopping` and `idleCount` are touched only while `lock` is held; the lock and
/// the condition live at fixed addresses until the last thread is joined.
package final class WorkerPool: @unchecked Sendable {
    package typealias Job = @Sendable () -> Void

    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [Job] = []
    private var firstJob = 0
    private var isStopping = false
    private var threads: [pthread_t] = []
    private let queuedJobsMax: Int
    private let name: String

    /// - Parameter queuedJobsMax: how many jobs may wait for a thread before `submit` refuses.
    package init(name: String, threadCount: Int, queuedJobsMax: Int) {
        self.name = name
        self.queuedJobsMax = queuedJobsMax
        pthread_mutex_init(lock, nil)
        pthread_cond_init(wake, nil)
        for _ in 0..<max(1, threadCount) {
            var thread = pthread_t()
            let context = Unmanaged.passRetained(self)
            if pthread_create(&thread, nil, workerThreadBody, context.toOpaque()) == 0 {
                threads.append(thread)
            } else {
                context.release()
            }
        }
    }

    deinit {
        // The threads hold the pool, so none is left here.
        pthread_mutex_destroy(lock)
        pthread_cond_destroy(wake)
        lock.deallocate()
        wake.deallocate()
    }

    /// Whether `stop` was called: no job will run any more.
    package var isStopped: Bool {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return isStopping
    }

    /// Queues a job. False if the queue is full or the pool stopped: the job will not run.
    package func submit(_ job: @escaping Job) -> Bool {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        guard !isStopping, !threads.isEmpty, jobs.count - firstJob < queuedJobsMax else {
            return false
        }
        jobs.append(job)
        pthread_cond_signal(wake)
        return true
    }

    /// Runs a job on a pool thread; nil if the pool refused it.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value? {
        await withCheckedContinuation { continuation in
            let accepted = submit { continuation.resume(returning: body()) }
            if !accepted { continuation.resume(returning: nil) }
        }
    }

    /// Lets queued jobs finish, then ends the threads and waits for them. Idempotent.
    package func stop() {
        pthread_mutex_lock(lock)
        isStopping = true
        let ended = threads
        threads = []
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(lock)
        for thread in ended { pthread_join(thread, nil) }
    }

    fileprivate func work() {
        name.withCString { apus_set_thread_name($0) }
        while let job = nextJob() { job() }
    }

    private func nextJob() -> Job? {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while firstJob == jobs.count {
            if isStopping { return nil }
            pthread_cond_wait(wake, lock)
        }
        let job = jobs[firstJob]
        firstJob += 1
        if firstJob == jobs.count {
            jobs.removeAll(keepingCapacity: true)
            firstJob = 0
        } else if firstJob > 64 {
            jobs.removeFirst(firstJob)
            firstJob = 0
        }
        return job
    }
}

private func workerThreadBody(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    // Safe: the pointer was made by `passRetained` for this thread alone.
    Unmanaged<WorkerPool>.fromOpaque(context).takeRetainedValue().work()
    return nil
}
