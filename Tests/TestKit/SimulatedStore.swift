// An engine on a simulated disk, with a clock that only moves when told and no threads: the same
// operations make the same calls.

package import ApusStorage
internal import Synchronization

/// A clock for tests.
package final class ManualClock: Sendable {
    private let current: Atomic<Int64>

    package init(nanoseconds: Int64 = PointGenerator.startNanoseconds) {
        current = Atomic(nanoseconds)
    }

    package var now: Int64 { current.load(ordering: .relaxed) }
    package func advance(seconds: Int) {
        current.add(Int64(seconds) * 1_000_000_000, ordering: .relaxed)
    }
}

package final class SimulatedStore {
    package let disk: SimulatedFileSystem
    package let options: StorageOptions
    package let clock: ManualClock
    package private(set) var engine: StorageEngine

    /// Opens what the disk holds.
    package init(
        disk: SimulatedFileSystem, options: StorageOptions = SimulatedStore.smallOptions(),
        clock: ManualClock = ManualClock()
    ) throws(StorageError) {
        self.disk = disk
        self.options = options
        self.clock = clock
        engine = try Self.open(disk, options, clock)
    }

    /// Everything small, so that a short run rolls log files, fills heads and merges segments.
    package static func smallOptions(durability: Durability = .always) -> StorageOptions {
        var options = StorageOptions()
        options.durability = durability
        options.memoryBytesMax = 4 << 20
        options.headShareOfMemory = 0.1
        options.logFileBytes = 128 << 10
        options.logBytesMax = 512 << 10
        options.partitionSeconds = 3_600
        options.blockRowsMax = 64
        options.compactionFanIn = 3
        options.coldAfterSeconds = 0
        return options
    }

    private static func open(
        _ disk: SimulatedFileSystem, _ options: StorageOptions, _ clock: ManualClock
    ) throws(StorageError) -> StorageEngine {
        try StorageEngine(
            fileSystem: disk, options: options,
            environment: EngineEnvironment(now: { clock.now }, usesThreads: false))
    }

    /// Closes and opens again.
    package func reopen() throws(StorageError) {
        try engine.close()
        engine = try Self.open(disk, options, clock)
    }

    /// Lets the engine do it. What a statement finds missing is no error here.
    @discardableResult
    package func perform(
        _ operation: StoreOperation
    ) throws(StorageError) -> ReferenceDatabase.WriteOutcome {
        do throws(StorageError) {
            switch operation {
            case .write(let database, let rows): return try write(rows, database)
            case .createDatabase(let name, let retention):
                try engine.createDatabase(
                    name, ifNotExists: true, retentionNanoseconds: Int64(retention) * 1_000_000_000,
                    partitionNanoseconds: nil)
            case .setRetention(let database, let seconds):
                try engine.setRetention(
                    ofDatabase: database, nanoseconds: Int64(seconds) * 1_000_000_000)
            case .dropDatabase(let name): try engine.dropDatabase(name, ifExists: true)
            case .createTable(let database, let table, let fields):
                try engine.createTable(
                    database: database, name: table, tags: [], fields: fields, ifNotExists: true)
            case .dropTable(let database, let table):
                try engine.dropTable(database: database, name: table, ifExists: true)
            case .dropSeries(let database, let table, let tag, let value):
                try dropSeries(database, table, tag, value)
            case .delete(let database, let table, let series, let from, let to):
                guard let table = engine.catalog.database(named: database)?.table(named: table)
                else { break }
                let isDone = try engine.delete(
                    from: table, series: series.map { members(of: table, $0.tag, $0.value) },
                    in: TimeRange(lower: from, upper: to), seesAllSeries: true)
                precondition(isDone, "no series can have come meanwhile")
            case .dropField(let database, let name, let field):
                guard let (table, column) = find(field, of: name, in: database) else { break }
                try engine.dropField(column, of: table)
            case .renameField(let database, let name, let field, let new):
                guard let (table, column) = find(field, of: name, in: database) else { break }
                try engine.renameField(column, of: table, to: new)
            case .flush: try engine.flush()
            case .compact: try engine.compact(nil)
            case .maintain: try engine.maintain()
            case .reopen: try reopen()
            case .advanceClock(let seconds): clock.advance(seconds: seconds)
            }
        } catch {
            switch error {
            case .unknownDatabase, .unknownTable, .exists: break
            default: throw error
            }
        }
        return ReferenceDatabase.WriteOutcome()
    }

    private func find(
        _ field: String, of table: String, in database: String
    ) -> (TableEntry, FieldColumn)? {
        let table = engine.catalog.database(named: database)?.table(named: table)
        return table.flatMap { table in table.schema.field(named: field).map { (table, $0) } }
    }

    private func dropSeries(
        _ database: String, _ name: String, _ tag: String, _ value: String
    ) throws(StorageError) {
        guard let table = engine.catalog.database(named: database)?.table(named: name),
            table.schema.tagIndex(named: tag) != nil
        else { return }
        try engine.dropSeries(members(of: table, tag, value), of: table)
    }

    /// The series whose tag has a value.
    private func members(of table: TableEntry, _ tag: String, _ value: String) -> SeriesSet {
        let snapshot = table.seriesSnapshot
        var members = SeriesSet(capacity: snapshot.count)
        guard let index = table.schema.tagIndex(named: tag) else { return members }
        for id in snapshot.living.members {
            let found = snapshot.value(of: index, id).map { Array($0) }
            if found == Array(value.utf8) { members.insert(id) }
        }
        return members
    }

    private func write(
        _ rows: [ReferenceRow], _ database: String
    ) throws(StorageError) -> ReferenceDatabase.WriteOutcome {
        var builder = RowBuilder(database: database)
        for row in rows {
            builder.append(
                table: row.table, tags: row.tags, time: row.time,
                fields: row.fields.map { (name: $0.name, value: $0.value.written) })
        }
        builder.batch.dropGeneration = engine.catalog.dropGeneration
        let receipt = try engine.commit(builder.batch)
        return ReferenceDatabase.WriteOutcome(
            rowsStored: receipt.rowsStored, hasRefusals: receipt.rejectedCount > 0)
    }

    /// What is wrong with what the store answers; nil if it is exactly this.
    package func difference(
        from reference: ReferenceDatabase, checksScans: Bool = true
    ) throws(StorageError) -> String? {
        let dump = try ScanDump.read(engine, checksScans: checksScans)
        if let difference = reference.contents(now: clock.now).difference(to: dump.contents) {
            return difference
        }
        if !dump.problems.isEmpty { return dump.problems.prefix(5).joined(separator: "\n") }
        if !dump.warnings.isEmpty { return "warnings: \(dump.warnings.prefix(3))" }
        return nil
    }
}

/// A list of operations made in advance.
package enum Workload {
    package static func make(
        seed: UInt64, count: Int, options: PointGenerator.Options = .init()
    ) -> [StoreOperation] {
        var generator = PointGenerator(seed: seed, options: options)
        let clock = ManualClock()
        return (0..<count).map { _ in
            let operation = generator.next(now: clock.now)
            if case .advanceClock(let seconds) = operation { clock.advance(seconds: seconds) }
            return operation
        }
    }
}
