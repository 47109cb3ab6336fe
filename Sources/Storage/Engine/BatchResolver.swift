// Turns a parsed batch into one that can be logged: names become numbers, types become stored
// types, rows that may not be stored are taken out and reported.
//
// Here, on the caller's thread and without the definition lock, groups are bound that need nothing
// new. The others are left to the log thread, which alone defines things: see BatchBinder.

internal import Synchronization

struct BatchResolver {
    let catalog: Catalog
    let options: StorageOptions
    let nowNanoseconds: Int64
    /// Whether a partition holds data already; only new ones count against the limit.
    let isKnownPartition: (_ database: DatabaseEntry, _ start: Int64) -> Bool

    /// After it returns, every group has rows, and those of a group with a binding can be stored.
    func resolve(_ batch: WriteBatch) throws(StorageError) {
        batch.unbind()
        let database = catalog.database(named: batch.database)
        if database == nil, !options.createDatabases { throw .unknownDatabase(batch.database) }
        filterTimes(batch, database)
        if let refusal = batch.refusalOfStatement { throw refusal }
        batch.groups.removeAll { $0.rowCount == 0 }
        guard !batch.groups.isEmpty else { return }
        batch.newPartitions = try newPartitions(batch, database)
        batch.discardDropped(by: catalog)
        guard let database else { return }
        if batch.dropGeneration != catalog.dropGeneration {
            batch.renewDroppedSeries { database.table(named: $0.shape.tableName) }
        }
        for group in batch.groups where !bindAgain(group, batch, database) {
            bindKnown(group, batch, database)
        }
    }

    // MARK: Times

    private func filterTimes(_ batch: WriteBatch, _ database: DatabaseEntry?) {
        let retention =
            database?.retentionNanoseconds ?? options.defaultRetentionNanoseconds
        let oldest = nowNanoseconds.subtractingReportingOverflow(retention)
        var earliest = retention == 0 || oldest.overflow ? Int64.min : oldest.partialValue
        var latest = Int64.max
        if options.acceptFutureSeconds > 0 {
            let sum = nowNanoseconds.addingReportingOverflow(
                Int64(options.acceptFutureSeconds) &* 1_000_000_000)
            if !sum.overflow { latest = sum.partialValue }
        }
        // The partition of a time has to have an end, and a neighbour on either side.
        let partition = min(
            Int64.max / 8,
            database?.partitionNanoseconds ?? Int64(options.partitionSeconds) * 1_000_000_000)
        let floor = Int64.min + 2 * partition
        let ceiling = Int64.max - 3 * partition
        earliest = max(earliest, floor)
        latest = min(latest, ceiling)
        for group in batch.groups {
            var first = Int64.max
            var last = Int64.min
            for row in 0..<group.rowCount {
                first = min(first, group.times[row])
                last = max(last, group.times[row])
            }
            guard first < earliest || last > latest else { continue }
            group.filterRows { row in
                let time = group.times[row]
                if time >= earliest, time <= latest { return true }
                batch.reject(
                    timeRejection(line: Int(group.lines[row]), time, earliest, floor, ceiling),
                    table: group.shape.tableName)
                return false
            }
        }
    }

    private func timeRejection(
        line: Int, _ time: Int64, _ earliest: Int64, _ floor: Int64, _ ceiling: Int64
    ) -> LineRejection {
        if time < floor || time > ceiling {
            return LineRejection(
                line: line, kind: .limit,
                reason: "the time is at the end of what 64 bits hold (is the precision right?)")
        }
        let isOld = time < earliest
        return LineRejection(
            line: line, kind: isOld ? .retention : .future,
            reason: isOld
                ? "the time is older than the database's retention (is the precision right?)"
                : "the time is too far in the future (is the precision right?)")
    }

    private func newPartitions(
        _ batch: WriteBatch, _ existing: DatabaseEntry?
    ) throws(StorageError) -> Set<Int64> {
        let database =
            existing
            ?? DatabaseEntry(
                id: 0, name: batch.database,
                partitionNanoseconds: Int64(options.partitionSeconds) * 1_000_000_000,
                retentionNanoseconds: 0)
        var new: Set<Int64> = []
        var known: Set<Int64> = []
        for group in batch.groups {
            var current = TimeRange(lower: 0, upper: 0)
            for row in 0..<group.rowCount where !current.contains(group.times[row]) {
                let start = database.partitionStart(of: group.times[row])
                guard start > .min + database.partitionNanoseconds,
                    start < .max - 2 * database.partitionNanoseconds
                else {
                    throw .limit(
                        "a time is at the end of what 64 bits hold (is the precision right?)")
                }
                current = database.partition(of: start)
                batch.latestPartition = max(batch.latestPartition, start)
                guard !known.contains(start), !new.contains(start) else { continue }
                if isKnownPartition(database, start) {
                    known.insert(start)
                } else {
                    new.insert(start)
                }
                if new.count > options.partitionsPerBatchMax {
                    throw .limit(
                        "a batch may touch at most \(options.partitionsPerBatchMax) new partitions "
                            + "(is the precision right?)")
                }
            }
        }
        return new
    }

    // MARK: Names

    /// To what the shape was bound to before, if that holds.
    private func bindAgain(
        _ group: RowGroup, _ batch: WriteBatch, _ database: DatabaseEntry
    ) -> Bool {
        guard batch.newSeries.isEmpty, let binding = group.shape.binding, binding.isCurrent,
            binding.table.database === database, group.hasTypesOfShape,
            !needsWidening(group, binding)
        else { return false }
        group.bind(to: binding)
        return true
    }

    /// Whether integers of the other sign don't fit what is stored.
    private func needsWidening(_ group: RowGroup, _ binding: ShapeBinding) -> Bool {
        for (index, field) in binding.fields.enumerated() {
            guard let field else { continue }
            let written = group.types[index]
            if written != field.type, written != .float64,
                field.type == .int64 || field.type == .uint64,
                group.hasTopBit(field: index)
            {
                return true
            }
        }
        return false
    }

    /// Binds a group whose table, fields and series are all there.
    private func bindKnown(_ group: RowGroup, _ batch: WriteBatch, _ database: DatabaseEntry) {
        guard let table = database.table(named: group.shape.tableName) else { return }
        let fieldVersion = table.fieldVersion
        let plans = FieldPlan.plans(
            for: group, in: table.schema, fieldsPerTableMax: options.fieldsPerTableMax)
        let fields = (plans ?? []).compactMap(\.column)
        guard fields.count == group.fieldCount, findSeries(group, batch, table) else { return }
        group.takeSeries(from: batch)
        let binding = ShapeBinding(table: table, fields: fields, fieldVersion: fieldVersion)
        group.shape.binding = binding
        group.bind(to: binding)
    }

    /// False if there is one that the table hasn't got.
    private func findSeries(_ group: RowGroup, _ batch: WriteBatch, _ table: TableEntry) -> Bool {
        for row in 0..<group.rowCount {
            guard let index = group.provisionalSeries(row), batch.newSeries[index].resolved == nil
            else { continue }
            // Safe: the bytes are the batch's, lent for the look-up.
            let id = batch.newSeries[index].key.withUnsafeBytes { table.seriesID(forKey: $0) }
            guard let id else { return false }
            batch.newSeries[index].resolved = id
        }
        return true
    }
}

extension WriteBatch {
    /// Takes out rows of tables dropped since parsing began: they count as written before the drop.
    func discardDropped(by catalog: Catalog) {
        guard dropGeneration != catalog.dropGeneration else { return }
        let names = catalog.state.withLock {
            $0.tablesDropped(inDatabase: database, since: dropGeneration)
        }
        groups.removeAll { names.contains($0.shape.table) }
    }
}
