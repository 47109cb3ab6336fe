package import Synchronization

/// A table: its number, its columns and its series. Shared by writers and readers.
///
/// The schema is swapped whole; the series index lives under a mutex that is held for look-ups and
/// insertions; queries read a snapshot.
package final class TableEntry: Sendable {
    package let id: UInt32
    package let name: String
    package let database: DatabaseEntry
    private let currentSchema: Mutex<TableSchema>
    package let series = Mutex(SeriesIndex())
    private let dropped = Atomic(false)
    /// Rises when a field widens, is renamed or dropped: bindings made before are stale.
    private let fieldChanges = Atomic<Int>(0)

    package init(id: UInt32, name: String, database: DatabaseEntry, schema: TableSchema = .empty) {
        self.id = id
        self.name = name
        self.database = database
        currentSchema = Mutex(schema)
    }

    package var schema: TableSchema { currentSchema.withLock { $0 } }
    package var isDropped: Bool { dropped.load(ordering: .acquiring) }
    package var fieldVersion: Int { fieldChanges.load(ordering: .acquiring) }
    /// Series that were ever given an id.
    package var seriesCount: Int { series.withLock { $0.count } }
    /// Those of them that have not been dropped.
    package var livingSeriesCount: Int { series.withLock { $0.livingCount } }
    package var droppedSeries: SeriesSet? { series.withLock { $0.dropped } }
    /// Whether there may be rows of dropped series.
    var hidesRows: Bool { series.withLock { $0.mayHideRows } }

    /// The id of a series, or nil if the table has none with this key.
    /// Safe: the key's bytes are compared under the lock and not kept.
    package func seriesID(forKey key: UnsafeRawBufferPointer) -> UInt32? {
        let schema = schema
        return series.withLock { $0.find(key, schema) }
    }

    /// The series as they are now, to be read without the lock.
    package var seriesSnapshot: SeriesSnapshot { series.withLock { $0.snapshot } }

    /// Only `Catalog` changes tables.
    ///
    /// - Parameter isFieldChange: Whether a field that was there isn't what it was. Whoever reads the
    ///   version and then the schema has a schema that is as new, or newer.
    func setSchema(_ schema: TableSchema, isFieldChange: Bool = false) {
        currentSchema.withLock { $0 = schema }
        if isFieldChange { fieldChanges.add(1, ordering: .acquiringAndReleasing) }
    }

    func markDropped() { dropped.store(true, ordering: .releasing) }
}

/// What the names of a `RowShape` mean in a table. Immutable.
package final class ShapeBinding: Sendable {
    package let table: TableEntry
    package let fieldVersion: Int
    /// Per written field: its id and stored type, or nil if it is refused (a type conflict).
    package let fields: [FieldColumn?]
    /// How many of them are not refused.
    package let storedFieldCount: Int

    /// - Parameter fieldVersion: The table's before `fields` were looked up.
    package init(table: TableEntry, fields: [FieldColumn?], fieldVersion: Int) {
        self.table = table
        self.fieldVersion = fieldVersion
        self.fields = fields
        storedFieldCount = fields.count { $0 != nil }
    }

    /// Whether it still says the truth.
    package var isCurrent: Bool { !table.isDropped && hasCurrentFields }

    /// Whether its fields are what they were, in a table that may be dropped.
    var hasCurrentFields: Bool { table.fieldVersion == fieldVersion }
}

/// A database: a namespace of tables with a retention and a length of partitions.
package final class DatabaseEntry: Sendable {
    package let id: UInt32
    package let name: String
    package let partitionNanoseconds: Int64
    /// 0 keeps for ever.
    private let retention: Atomic<Int64>
    private let tables = Mutex<[NameKey: TableEntry]>([:])
    /// The start of the latest partition written to since the store was opened.
    private let latestPartition = Atomic(Int64.min)
    private let dropped = Atomic(false)
    private let series = Atomic(0)

    package init(id: UInt32, name: String, partitionNanoseconds: Int64, retentionNanoseconds: Int64)
    {
        self.id = id
        self.name = name
        self.partitionNanoseconds = partitionNanoseconds
        retention = Atomic(retentionNanoseconds)
    }

    package var retentionNanoseconds: Int64 { retention.load(ordering: .relaxed) }
    package var isDropped: Bool { dropped.load(ordering: .acquiring) }

    /// Series of all tables.
    package var seriesCount: Int { series.load(ordering: .relaxed) }
    func count(series count: Int) { series.add(count, ordering: .relaxed) }

    package func table(named name: String) -> TableEntry? {
        tables.withLock { $0[NameKey(name)] }
    }

    /// All tables, by name in byte order.
    package var allTables: [TableEntry] {
        tables.withLock { Array($0.values) }.sorted {
            Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8))
        }
    }

    package var tableCount: Int { tables.withLock { $0.count } }

    /// The start of the partition that a time belongs to; partitions align to 1970.
    package func partitionStart(of nanoseconds: Int64) -> Int64 {
        let remainder = nanoseconds % partitionNanoseconds
        let down = remainder < 0 ? remainder &+ partitionNanoseconds : remainder
        let start = nanoseconds.subtractingReportingOverflow(down)
        return start.overflow ? .min : start.partialValue
    }

    /// The starts of all partitions that times belong to.
    func partitions(of times: [Int64]) -> Set<Int64> {
        var starts: Set<Int64> = []
        var current = TimeRange(lower: 0, upper: 0)
        for time in times where !current.contains(time) {
            current = partition(of: time)
            starts.insert(current.lower)
        }
        return starts
    }

    /// The partition that a time belongs to.
    func partition(of nanoseconds: Int64) -> TimeRange {
        let start = partitionStart(of: nanoseconds)
        let end = start.addingReportingOverflow(partitionNanoseconds)
        return TimeRange(lower: start, upper: end.overflow ? .max : end.partialValue)
    }

    /// Whether a write to a partition, and none later, is one of the present. The log thread only.
    func isPresent(_ partition: Int64) -> Bool {
        let latest = latestPartition.load(ordering: .relaxed)
        if partition > latest { latestPartition.store(partition, ordering: .relaxed) }
        return partition >= latest
    }

    func insert(_ table: TableEntry) { tables.withLock { $0[NameKey(table.name)] = table } }
    func remove(_ table: TableEntry) {
        let key = NameKey(table.name)
        tables.withLock { if $0[key] === table { $0[key] = nil } }
    }
    func setRetention(_ nanoseconds: Int64) { retention.store(nanoseconds, ordering: .relaxed) }
    func markDropped() { dropped.store(true, ordering: .releasing) }
}
