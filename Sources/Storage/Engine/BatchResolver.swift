// Turns a parsed batch into one that can be logged: names become numbers, types become stored
// types, rows that may not be stored are taken out and reported.
//
// The common case — every shape bound before, every series known — takes no lock at all. Anything
// new goes through the definition lock, once a batch: see BatchBinding.

internal import Synchronization

struct BatchResolver {
    let catalog: Catalog
    let options: StorageOptions
    let nowNanoseconds: Int64
    /// Whether a partition holds data already; only new ones count against the limit.
    let isKnownPartition: (_ database: DatabaseEntry, _ start: Int64) -> Bool

    /// After it returns, every row of every group with a binding can be stored. An empty batch
    /// has created nothing.
    func resolve(_ batch: WriteBatch) throws(StorageError) {
        if batch.groups.contains(where: \.isConverted) {
            resolveAgain(batch)
            return
        }
        let database = catalog.database(named: batch.database)
        if database == nil, !options.createDatabases { throw .unknownDatabase(batch.database) }
        filterTimes(batch, database)
        if batch.isOneStatement, let first = batch.rejections.first {
            throw .invalid("row \(first.line): \(first.reason)")
        }
        batch.groups.removeAll { $0.rowCount == 0 }
        guard !batch.groups.isEmpty else { return }
        try checkPartitions(batch, database)
        discardDropped(batch)
        if !bindFast(batch, database) { bindSlowly(batch) }
        for group in batch.groups { convert(group) }
        batch.groups.removeAll { $0.rowCount == 0 || $0.binding == nil }
    }

    /// A batch whose log write failed, once more: it is bound and converted, its tables may have
    /// gone since. Rows of a dropped table count as written before the drop.
    private func resolveAgain(_ batch: WriteBatch) {
        batch.groups.removeAll { $0.binding?.table.isDropped ?? true }
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
                    timeRejection(line: Int(group.lines[row]), time, earliest, floor, ceiling))
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

    private func checkPartitions(
        _ batch: WriteBatch, _ existing: DatabaseEntry?
    ) throws(StorageError) {
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
                let end = start.addingReportingOverflow(database.partitionNanoseconds)
                current = TimeRange(lower: start, upper: end.overflow ? .max : end.partialValue)
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
    }

    // MARK: Names

    /// Rows of tables dropped since parsing began count as written before the drop.
    private func discardDropped(_ batch: WriteBatch) {
        guard batch.dropGeneration != catalog.dropGeneration else { return }
        let names = catalog.state.withLock {
            $0.tablesDropped(inDatabase: batch.database, since: batch.dropGeneration)
        }
        batch.groups.removeAll { names.contains($0.shape.table) }
    }

    private func bindFast(_ batch: WriteBatch, _ database: DatabaseEntry?) -> Bool {
        guard let database, batch.newSeries.isEmpty else { return false }
        for group in batch.groups {
            guard let binding = group.shape.binding, binding.isCurrent,
                binding.table.database === database, !needsWidening(group, binding)
            else { return false }
            group.binding = binding
        }
        return true
    }

    /// Whether integers of the other sign don't fit what is stored.
    private func needsWidening(_ group: RowGroup, _ binding: ShapeBinding) -> Bool {
        for (index, field) in binding.fields.enumerated() {
            guard let field else { continue }
            let written = group.shape.types[index]
            if written != field.type, written != .float64,
                field.type == .int64 || field.type == .uint64,
                hasTopBit(group, index)
            {
                return true
            }
        }
        return false
    }

    func hasTopBit(_ group: RowGroup, _ index: Int) -> Bool {
        let column = group.column(index)
        var all: UInt64 = 0
        for row in 0..<group.rowCount { all |= column[row] }
        return all >> 63 == 1
    }

    // MARK: Types

    /// Integers written into a float field become floats. Integers of the other sign that fit keep
    /// their bits.
    private func convert(_ group: RowGroup) {
        guard let binding = group.binding else { return }
        group.isConverted = true
        for (index, field) in binding.fields.enumerated() {
            guard let field, field.type == .float64 else { continue }
            let column = group.column(index)
            switch group.shape.types[index] {
            case .int64:
                for row in 0..<group.rowCount {
                    column[row] = Double(Int64(bitPattern: column[row])).bitPattern
                }
            case .uint64:
                for row in 0..<group.rowCount { column[row] = Double(column[row]).bitPattern }
            default: break
            }
        }
    }
}
