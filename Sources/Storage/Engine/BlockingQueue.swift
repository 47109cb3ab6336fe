internal import Glibc
internal import ApusKernels

/// Hands work over to one thread. A push signals only a parked consumer.
///
/// Safe: `items` and the flags are touched only under the mutex.
final class BlockingQueue<Item: Sendable>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var items: [Item] = []
    private var isParked = false
    private var isClosed = false

    init() {
        pthread_mutex_init(mutex, nil)
        // Waits are durations: a clock set back must not stretch them.
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// False if the queue is closed: nobody will take the item.
    @discardableResult
    func push(_ item: Item) -> Bool {
        pthread_mutex_lock(mutex)
        guard !isClosed else {
            pthread_mutex_unlock(mutex)
            return false
        }
        items.append(item)
        let wake = isParked
        isParked = false
        pthread_mutex_unlock(mutex)
        if wake { pthread_cond_signal(condition) }
        return true
    }

    /// No item is taken from now on; returns those that nobody took.
    func close() -> [Item] {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        isClosed = true
        let left = items
        items = []
        return left
    }

    var isEmpty: Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return items.isEmpty
    }

    /// Everything that waits, in order; waits at most `milliseconds` for something to come.
    func takeAll(milliseconds: Int) -> [Item] {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        if items.isEmpty {
            var deadline = timespec()
            clock_gettime(CLOCK_MONOTONIC, &deadline)
            let nanoseconds = deadline.tv_nsec + (milliseconds % 1000) * 1_000_000
            deadline.tv_sec += milliseconds / 1000 + nanoseconds / 1_000_000_000
            deadline.tv_nsec = nanoseconds % 1_000_000_000
            isParked = true
            while items.isEmpty, pthread_cond_timedwait(condition, mutex, &deadline) == 0 {}
            isParked = false
        }
        let taken = items
        items = []
        return taken
    }
}

/// A result that one thread waits for and another one brings.
///
/// Safe: `value` is touched only under the mutex.
package final class Promise<Value: Sendable>: @unchecked Sendable {
    private let queue = BlockingQueue<Value>()

    package init() {}

    package func fulfil(_ value: Value) { queue.push(value) }

    package func wait() -> Value {
        while true {
            if let value = queue.takeAll(milliseconds: 1000).first { return value }
        }
    }

    /// The same, or nil once it is pointless to wait, which is asked ten times a second.
    package func wait(unless isPointless: () -> Bool) -> Value? {
        while true {
            if let value = queue.takeAll(milliseconds: 100).first { return value }
            if isPointless() { return nil }
        }
    }
}

/// Runs `body` on a thread of its own that carries a name.
func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) {
    final class Start {
        let name: String; let body: @Sendable () -> Void
        init(_ name: String, _ body: @escaping @Sendable () -> Void) {
            self.name = name; self.body = body
        }
    }
    let start = Unmanaged.passRetained(Start(name, body))
    var thread = pthread_t()
    let result = pthread_create(
        &thread, nil,
        { raw in
            guard let raw else { return nil }
            let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
            apus_set_thread_name(start.name)
            start.body()
            return nil
        }, start.toOpaque())
    guard result == 0 else {
        preconditionFailure("a thread could not be started: \(errnoText(result))")
    }
    pthread_detach(thread)
}
