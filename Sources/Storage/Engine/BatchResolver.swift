// Turns a parsed batch into one that can be logged: names become numbers, types become stored
// types, rows that may not be stored are taken out and reported.
//
// The common case — every shape bound before, every series known — takes no lock at all. Anything
// new goes through the definition lock, once a batch, and only for rows that will be stored.

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
            database?.retentionNanoseconds
            ?? options.defaultRetentionSeconds.map { Int64($0) * 1_000_000_000 } ?? 0
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
        batch.groups.removeAll { names.contains(String(decoding: $0.shape.table, as: UTF8.self)) }
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

    private func hasTopBit(_ group: RowGroup, _ index: Int) -> Bool {
        let column = group.column(index)
        var all: UInt64 = 0
        for row in 0..<group.rowCount { all |= column[row] }
        return all >> 63 == 1
    }

    private func bindSlowly(_ batch: WriteBatch) {
        catalog.state.withLock { state in
            // Looked at again under the lock: a drop between parsing and here has made ids stale.
            if batch.dropGeneration != catalog.dropGeneration {
                let names = state.tablesDropped(
                    inDatabase: batch.database, since: batch.dropGeneration)
                batch.groups.removeAll {
                    names.contains(String(decoding: $0.shape.table, as: UTF8.self))
                }
                guard !batch.groups.isEmpty else { return }
            }
            if state.databases[batch.database] == nil, !options.createDatabases {
                // Dropped since it was looked for: its rows count as written before the drop.
                batch.groups.removeAll()
                return
            }
            let database =
                state.databases[batch.database]
                ?? catalog.makeDatabase(
                    &state, name: batch.database,
                    partitionNanoseconds: Int64(options.partitionSeconds) * 1_000_000_000,
                    retentionNanoseconds: Int64(options.defaultRetentionSeconds ?? 0)
                        * 1_000_000_000)
            for group in batch.groups { bind(group, batch, database, &state) }
        }
    }

    private func bind(
        _ group: RowGroup, _ batch: WriteBatch, _ database: DatabaseEntry,
        _ state: inout Catalog.State
    ) {
        let name = String(decoding: group.shape.table, as: UTF8.self)
        let table: TableEntry
        if let known = database.table(named: name) {
            table = known
        } else if !options.createTables {
            let text = "table not found: \"\(name)\", and writes may not create tables"
            rejectAll(group, batch, .limit, text)
            return
        } else if database.tableCount < options.tablesPerDatabaseMax {
            table = catalog.makeTable(&state, database: database, name: name)
        } else {
            rejectAll(
                group, batch, .limit,
                "database \(database.name) is at its limit of \(options.tablesPerDatabaseMax) tables"
            )
            return
        }
        resolveSeries(group, batch, table, &state)
        guard group.rowCount > 0 else { return }
        var fields: [FieldColumn?] = []
        for (index, nameBytes) in group.shape.fieldNames.enumerated() {
            fields.append(
                bindField(
                    String(decoding: nameBytes, as: UTF8.self), index, group, batch, table, &state))
        }
        let binding = ShapeBinding(table: table, typeVersion: table.typeVersion, fields: fields)
        group.binding = binding
        // A refused field is looked at again next time: its message names the request's lines.
        group.shape.binding = fields.contains { $0 == nil } ? nil : binding
        if fields.allSatisfy({ $0 == nil }) { group.binding = nil }
    }

    private func bindField(
        _ name: String, _ index: Int, _ group: RowGroup, _ batch: WriteBatch, _ table: TableEntry,
        _ state: inout Catalog.State
    ) -> FieldColumn? {
        let written = group.shape.types[index]
        guard let stored = table.schema.field(named: name) else {
            if table.schema.fields.count >= options.fieldsPerTableMax {
                rejectAll(
                    group, batch, .limit,
                    "table \(table.name) is at its limit of \(options.fieldsPerTableMax) fields")
                return nil
            }
            return catalog.makeField(&state, table, name, written)
        }
        if stored.type == written { return stored }
        guard stored.type.isNumeric, written.isNumeric else {
            rejectAll(
                group, batch, .conflict,
                "field type conflict: input field \"\(name)\" on measurement \"\(table.name)\" is type "
                    + "\(written.name), already exists as type \(stored.type.name)",
                dropsRows: false)
            return nil
        }
        if stored.type != .float64, written == .float64 || hasTopBit(group, index) {
            catalog.widen(&state, table, fieldID: stored.id, to: .float64)
            return table.schema.fields[Int(stored.id)]
        }
        return stored
    }

    private func rejectAll(
        _ group: RowGroup, _ batch: WriteBatch, _ kind: LineRejection.Kind, _ reason: String,
        dropsRows: Bool = true
    ) {
        for row in 0..<group.rowCount {
            batch.reject(LineRejection(line: Int(group.lines[row]), kind: kind, reason: reason))
        }
        if dropsRows { group.rowCount = 0 }
    }

    private func resolveSeries(
        _ group: RowGroup, _ batch: WriteBatch, _ table: TableEntry, _ state: inout Catalog.State
    ) {
        guard !batch.newSeries.isEmpty else { return }
        var refused: String?
        for row in 0..<group.rowCount where group.series[row] >= WriteBatch.provisional {
            let index = Int(group.series[row] & ~WriteBatch.provisional)
            if batch.newSeries[index].resolved == nil {
                let key = batch.newSeries[index].key
                // Safe: the bytes are the batch's, lent for the look-up.
                let known = key.withUnsafeBytes { table.seriesID(forKey: $0) }
                if known == nil, let limit = passedLimit(table, key) {
                    refused = limit
                    continue
                }
                batch.newSeries[index].resolved = known ?? catalog.seriesID(&state, table, key: key)
            }
            if let id = batch.newSeries[index].resolved { group.series[row] = id }
        }
        guard let refused else { return }
        group.filterRows { row in
            guard group.series[row] >= WriteBatch.provisional else { return true }
            batch.reject(
                LineRejection(
                    line: Int(group.lines[row]), kind: .limit,
                    reason: refused))
            return false
        }
    }

    /// The limit that a new series would pass, as a sentence.
    private func passedLimit(_ table: TableEntry, _ key: [UInt8]) -> String? {
        if table.seriesCount >= options.seriesPerTableMax {
            return "table \(table.name) is at its limit of \(options.seriesPerTableMax) series"
        }
        let schema = table.schema
        let newTags = key.withUnsafeBytes { bytes in
            (SeriesKey.decode(bytes) ?? []).count { range in
                schema.tagIndexByName[String(decoding: bytes[range.key], as: UTF8.self)] == nil
            }
        }
        guard newTags > 0, schema.tags.count + newTags > options.tagsPerTableMax else { return nil }
        return "table \(table.name) is at its limit of \(options.tagsPerTableMax) tags"
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
