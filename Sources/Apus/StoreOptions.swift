// What an embedder may choose when it opens a store.

public import ApusStorage
internal import ApusQuery

/// Every choice of a store, with its default. Read once, when the store opens.
public struct StoreOptions: Sendable {
    /// Limits and choices of the storage engine, durability among them.
    public var storage: StorageOptions
    /// The most memory one query may hold.
    public var queryMemoryBytesMax = 256 << 20
    /// The most memory for answers of conditions on tags that are kept for the next query.
    public var predicateCacheBytesMax = 32 << 20
    /// After this long a query gives up, unless it asked for another limit.
    public var queryTimeoutMilliseconds = 60_000
    /// How many queries run at once; more wait.
    public var concurrentQueriesMax = 8
    /// How many queries may wait; beyond, they are refused as overloaded.
    public var waitingQueriesMax = 256

    /// Threads that scan for queries, together; nil for as many as the machine has cores.
    public var queryThreadCount: Int?

    public init(storage: StorageOptions = StorageOptions()) {
        self.storage = storage
    }

    /// The engine's and a query's memory, from what the process may take in all.
    package mutating func bound(memoryBytes: Int) {
        storage.memoryBytesMax = memoryBytes
        queryMemoryBytesMax = max(16 << 20, memoryBytes / 4)
        predicateCacheBytesMax = min(32 << 20, memoryBytes / 16)
    }

    /// What a process takes unless told: a quarter of the machine's memory, at most 4 GiB.
    package static func memoryBytes(ofMachine bytes: Int) -> Int { min(bytes / 4, 4 << 30) }

    func queryOptions() -> QueryOptions {
        var options = QueryOptions()
        options.memoryBytesMax = queryMemoryBytesMax
        options.predicateCacheBytesMax = predicateCacheBytesMax
        options.timeoutMilliseconds = queryTimeoutMilliseconds
        if let queryThreadCount { options.threadCount = max(1, queryThreadCount) }
        options.concurrentQueriesMax = concurrentQueriesMax
        return options
    }
}
