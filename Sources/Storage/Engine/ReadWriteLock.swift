internal import Glibc

/// Many readers or one writer.
///
/// Safe: the lock stays where it is as long as the object lives.
final class ReadWriteLock: @unchecked Sendable {
    private let lock = UnsafeMutablePointer<pthread_rwlock_t>.allocate(capacity: 1)

    init() { pthread_rwlock_init(lock, nil) }

    deinit {
        pthread_rwlock_destroy(lock)
        lock.deallocate()
    }

    func withRead<R, Failure: Error>(_ body: () throws(Failure) -> R) throws(Failure) -> R {
        pthread_rwlock_rdlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return try body()
    }

    func withWrite<R, Failure: Error>(_ body: () throws(Failure) -> R) throws(Failure) -> R {
        pthread_rwlock_wrlock(lock)
        defer { pthread_rwlock_unlock(lock) }
        return try body()
    }
}
