/// What the engine counts, read at once for `/metrics` and tests.
package struct StorageMetrics: Sendable {
    package var rowsStored = 0
    package var valuesStored = 0
    package var batchesStored = 0
    package var linesRejected = 0
    package var logBytesWritten = 0
    /// Writes of log groups with their sync.
    package var logSyncs = DurationCounts()
    package var headBytes = 0
    package var frozenHeadBytes = 0
    /// Memory that flushed heads left for the next.
    package var spareHeadBytes = 0
    package var flushes = DurationCounts()
    package var compactions = DurationCounts()
    package var segmentCount = 0
    package var segmentBytes = 0
    package var seriesCount = 0
    package var tableCount = 0
    /// By database.
    package var databases: [DatabaseMetrics] = []
    package var visibleSequence: UInt64 = 0
    /// Nothing waits for flush or merge.
    package var isBackgroundIdle = true

    package init() {}
}

package struct DatabaseMetrics: Sendable, Equatable {
    package var name: String
    package var tableCount: Int
    package var seriesCount: Int
}

/// Whether the engine serves, and what is wrong if something is.
package struct StorageHealth: Sendable, Equatable {
    package enum Status: String, Sendable { case pass, warn, fail }
    package var status: Status
    package var message: String
    /// Files set aside because they are damaged.
    package var damagedFiles: [String]

    package init(status: Status, message: String, damagedFiles: [String] = []) {
        self.status = status
        self.message = message
        self.damagedFiles = damagedFiles
    }
}
