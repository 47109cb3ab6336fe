/// When a write counts as stored.
public enum Durability: Sendable, Equatable {
    /// Acknowledged once a sync that covers it has returned. Survives a power cut.
    case always
    /// Acknowledged once the system has the bytes, synced every so often. Survives SIGKILL; a power
    /// cut can take what was acknowledged since the last sync.
    case interval(milliseconds: Int)
    /// Acknowledged once the system has the bytes, synced when it likes. Survives SIGKILL.
    case none
}

/// Every limit and choice of the storage engine, with its default. Read once, when a store opens.
public struct StorageOptions: Sendable {
    public var durability = Durability.always
    /// Heads, flush scratch, caches and queries together, in bytes of anonymous memory.
    public var memoryBytesMax = 1 << 30
    /// The active head freezes at this share of `memoryBytesMax`.
    public var headShareOfMemory = 0.25
    /// Heads and batches under way; a quarter stays for flush scratch, caches and queries.
    var pendingBytesMax: Int { memoryBytesMax / 4 * 3 }
    public var headAgeMaxSeconds = 600
    public var logBytesMax = 512 << 20
    public var logFileBytes = 64 << 20
    /// The length of a partition. Formats store it per database; changing it affects new ones.
    public var partitionSeconds = 86_400
    public var blockRowsMax = 1_024
    public var seriesPerTableMax = 20_000_000
    public var seriesPerDatabaseMax = 100_000_000
    /// Distinct values of one tag of a table.
    public var valuesPerTagMax = 20_000_000
    public var fieldsPerTableMax = 10_000
    public var tagsPerTableMax = 256
    public var tablesPerDatabaseMax = 100_000
    public var partitionsPerBatchMax = 64
    /// Deletes of a table whose rows are hidden and not gone yet.
    public var deletesPerTableMax = 1_000
    /// Rows further ahead than this are refused; 0 accepts any.
    public var acceptFutureSeconds = 86_400
    /// Retention of databases created by a write, in seconds; nil keeps for ever.
    public var defaultRetentionSeconds: Int? = nil
    package var defaultRetentionNanoseconds: Int64 {
        Int64(defaultRetentionSeconds ?? 0) * 1_000_000_000
    }
    /// Whether a write creates the database it names.
    public var createDatabases = true
    /// Whether a write creates the tables it names. If not, lines of unknown tables are refused.
    public var createTables = true
    /// How many segments of a partition wait before they are merged.
    public var compactionFanIn = 4
    /// Seconds without new rows after which a partition is encoded as small as it gets, and after a
    /// DELETE until the rows are taken out of segments; nil leaves both to `COMPACT`.
    public var coldAfterSeconds: Int? = 3_600

    public init() {}

    /// The options with durations that 64 bits of nanoseconds can hold.
    var clamped: StorageOptions {
        let secondsMax = 200 * 366 * 86_400
        var options = self
        options.partitionSeconds = min(max(partitionSeconds, 60), secondsMax)
        options.acceptFutureSeconds = min(max(acceptFutureSeconds, 0), secondsMax)
        options.coldAfterSeconds = coldAfterSeconds.map { min(max($0, 0), secondsMax) }
        options.defaultRetentionSeconds = defaultRetentionSeconds.map {
            min(max($0, 0), secondsMax)
        }
        return options
    }
}
