// How the query engine asks the storage for rows.
//
// A scan of one table is planned from a snapshot into morsels: independent pieces of work that
// any thread may run, in any order. A morsel hands its consumer rows slice by slice — each slice
// belongs to one series, its times ascend, and duplicates are already merged — or, where the
// consumer said that it can use them, the statistics of a whole block instead of its rows.
// Slices of one series may come from several morsels and in any order of time.

/// A closed range that a field's value has to lie in for a row to matter; blocks outside are
/// skipped. Bounds are doubles rounded outwards, so that a skipped block can hold no match.
package struct FieldBound: Sendable {
    /// Index into `ScanRequest.fields`.
    package var field: Int
    package var lower: Double
    package var upper: Double
    /// Whether NaN satisfies the filter (it sorts above all numbers).
    package var acceptsNaN: Bool

    package init(field: Int, lower: Double, upper: Double, acceptsNaN: Bool) {
        self.field = field
        self.lower = lower
        self.upper = upper
        self.acceptsNaN = acceptsNaN
    }
}

/// Which blocks may be answered by their statistics: those that lie wholly in the request's time
/// range and in one bucket.
package enum SummaryBuckets: Sendable {
    /// One bucket holds all of time.
    case whole
    /// Half-open buckets of equal width, one of which starts at `origin`.
    case fixed(originNanoseconds: Int64, widthNanoseconds: Int64)
    /// Half-open buckets of any length: the one that a time lies in.
    case spans(@Sendable (Int64) -> Range<Int64>)
}

package struct ScanRequest: Sendable {
    package var timeRange: TimeRange
    /// Only these series; nil means all.
    package var series: SeriesSet?
    /// Ids of the fields whose values are wanted, in the order of `ScanRows.columns`.
    package var fields: [UInt32]
    /// The types in which the values are wanted, field by field; nil means the table's current ones.
    /// A plan fails if the table has wider values than these, which a newer schema knows.
    package var fieldTypes: [FieldType]?
    package var bounds: [FieldBound] = []
    /// Non-nil if the consumer can use statistics of count, sum, minimum and maximum.
    package var summaries: SummaryBuckets?
    /// Only the last row of each series is needed (in the time range): older blocks may be skipped.
    /// The consumer still has to keep the greatest time, since several sources may report one.
    package var latestOnly = false

    package init(timeRange: TimeRange = .all, series: SeriesSet? = nil, fields: [UInt32] = []) {
        self.timeRange = timeRange
        self.series = series
        self.fields = fields
    }
}

/// Some rows of one series, valid during the call only.
package struct ScanRows {
    package var series: UInt32
    package var count: Int
    // Safe: memory lent for one `consume` call, `count` rows in `times` and in each column.
    package var times: UnsafePointer<Int64>
    /// In the order of `ScanRequest.fields`, converted to the types asked for.
    /// A field that no row has is a column whose validity is all zero.
    package var columns: UnsafeBufferPointer<ColumnSlice>

    package init(
        series: UInt32, count: Int, times: UnsafePointer<Int64>,
        columns: UnsafeBufferPointer<ColumnSlice>
    ) {
        self.series = series
        self.count = count
        self.times = times
        self.columns = columns
    }
}

/// The rows of one or more blocks, one behind the other in one bucket, as their statistics.
package struct ScanSummary {
    package var series: UInt32
    package var rowCount: Int
    package var firstTime: Int64
    package var lastTime: Int64
    /// In the order of `ScanRequest.fields`.
    package var statistics: [ColumnStatistics]

    package init(
        series: UInt32, rowCount: Int, firstTime: Int64, lastTime: Int64,
        statistics: [ColumnStatistics]
    ) {
        self.series = series
        self.rowCount = rowCount
        self.firstTime = firstTime
        self.lastTime = lastTime
        self.statistics = statistics
    }
}

/// Takes what a morsel yields. Generic at every call site, so that calls inline.
package protocol ScanConsumer {
    mutating func consume(_ rows: ScanRows) throws(StorageError)
    /// Called only if the request has `summaries`.
    mutating func consume(_ summary: ScanSummary) throws(StorageError)
    /// Asked now and then; true ends the morsel early.
    var isDone: Bool { get }
}

/// What a scan did, for `stats` and EXPLAIN ANALYZE. Added up over morsels.
package struct ScanCounters: Sendable, Equatable {
    package var rowsScanned = 0
    package var blocksRead = 0
    package var blocksSkipped = 0
    package var blocksSummarized = 0
    package var bytesRead = 0

    package init() {}

    package mutating func add(_ other: ScanCounters) {
        rowsScanned += other.rowsScanned
        blocksRead += other.blocksRead
        blocksSkipped += other.blocksSkipped
        blocksSummarized += other.blocksSummarized
        bytesRead += other.bytesRead
    }
}
