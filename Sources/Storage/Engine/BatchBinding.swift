// The slow half of resolving a batch, under the definition lock: it makes what is new.
//
// A write that is refused creates nothing. So each group goes two ways: first it is decided, by
// looking only, which fields and rows will be stored; then what these need is made, in the order
// database, table, series with their tags, fields.

internal import Synchronization

extension BatchResolver {
    /// What becomes of one field of a group.
    private enum FieldPlan {
        case stored(FieldColumn)
        case widened(FieldColumn)
        case made
        /// With the reason.
        case refused(String)

        var refusal: String? { if case .refused(let reason) = self { reason } else { nil } }
    }

    func bindSlowly(_ batch: WriteBatch) {
        catalog.state.withLock { state in
            // Looked at again under the lock: a drop between parsing and here has made ids stale.
            if batch.dropGeneration != catalog.dropGeneration {
                let names = state.tablesDropped(
                    inDatabase: batch.database, since: batch.dropGeneration)
                batch.groups.removeAll { names.contains($0.shape.table) }
            }
            if state.databases[NameKey(batch.database)] == nil, !options.createDatabases {
                // Dropped since it was looked for: its rows count as written before the drop.
                batch.groups.removeAll()
            }
            for group in batch.groups { bind(group, batch, &state) }
        }
    }

    private func bind(_ group: RowGroup, _ batch: WriteBatch, _ state: inout Catalog.State) {
        let database = state.databases[NameKey(batch.database)]
        let known = database?.table(named: tableName(group))
        if known == nil, let reason = tableProblem(group, batch, database) {
            refuse(group, batch, .limit, reason)
            return
        }
        guard let plans = planFields(group, known?.schema ?? .empty) else {
            refuse(
                group, batch, .limit,
                "table \(tableName(group)) is at its limit of \(options.fieldsPerTableMax) fields")
            return
        }
        let refusals = plans.compactMap(\.refusal)
        guard refusals.count < plans.count else {
            refuse(group, batch, .conflict, Self.sentence(refusals))
            return
        }
        guard let table = resolveSeries(group, batch, known, &state), group.rowCount > 0 else {
            group.rowCount = 0
            return
        }
        if !refusals.isEmpty { noteStoredInPart(group, batch, Self.sentence(refusals)) }
        let fields = plans.enumerated().map { bindField($1, $0, group, table, &state) }
        let binding = ShapeBinding(table: table, typeVersion: table.typeVersion, fields: fields)
        group.binding = binding
        // A refused field is looked at again next time: its message names the request's lines.
        group.shape.binding = refusals.isEmpty ? binding : nil
    }

    /// Why there can't be one more table.
    private func tableProblem(
        _ group: RowGroup, _ batch: WriteBatch, _ database: DatabaseEntry?
    ) -> String? {
        if !options.createTables {
            return "table not found: \"\(tableName(group))\", and writes may not create tables"
        }
        if database?.tableCount ?? 0 >= options.tablesPerDatabaseMax {
            return "database \(batch.database) is at its limit of "
                + "\(options.tablesPerDatabaseMax) tables"
        }
        let ofDatabase = database == nil ? NameRules.problem(batch.database, "database") : nil
        return ofDatabase ?? NameRules.problem(tableName(group), "table")
    }

    private func tableName(_ group: RowGroup) -> String {
        String(decoding: group.shape.table, as: UTF8.self)
    }

    // MARK: Refusing

    /// All rows of a group, whole.
    private func refuse(
        _ group: RowGroup, _ batch: WriteBatch, _ kind: LineRejection.Kind, _ reason: String
    ) {
        for row in 0..<group.rowCount {
            batch.reject(LineRejection(line: Int(group.lines[row]), kind: kind, reason: reason))
        }
        group.rowCount = 0
    }

    private func noteStoredInPart(_ group: RowGroup, _ batch: WriteBatch, _ reason: String) {
        for row in 0..<group.rowCount {
            batch.reject(
                LineRejection(line: Int(group.lines[row]), kind: .conflict, reason: reason),
                isStoredInPart: true)
        }
    }

    /// One reason in full, and how many more there are.
    private static func sentence(_ refusals: [String]) -> String {
        let first = refusals.first ?? "a row without fields"
        return switch refusals.count {
        case 0, 1: first
        case 2: first + " (and 1 more field)"
        default: first + " (and \(refusals.count - 1) more fields)"
        }
    }

    // MARK: Fields

    /// Nil if the table would have too many.
    private func planFields(_ group: RowGroup, _ schema: TableSchema) -> [FieldPlan]? {
        var names: Set<[UInt8]> = []
        var plans: [FieldPlan] = []
        var made = 0
        for (index, bytes) in group.shape.fieldNames.enumerated() {
            let name = String(decoding: bytes, as: UTF8.self)
            guard names.insert(bytes).inserted else {
                plans.append(.refused("field \"\(name)\" is given twice"))
                continue
            }
            guard let stored = schema.field(named: name) else {
                if let problem = NameRules.problem(name, "field") {
                    plans.append(.refused(problem))
                } else {
                    made += 1
                    plans.append(.made)
                }
                continue
            }
            plans.append(plan(stored, index, group))
        }
        let isOverLimit = made > 0 && schema.fields.count + made > options.fieldsPerTableMax
        return isOverLimit ? nil : plans
    }

    private func plan(_ stored: FieldColumn, _ index: Int, _ group: RowGroup) -> FieldPlan {
        let written = group.shape.types[index]
        if stored.type == written { return .stored(stored) }
        guard stored.type.isNumeric, written.isNumeric else {
            return .refused(
                "field type conflict: input field \"\(stored.name)\" on measurement "
                    + "\"\(tableName(group))\" is type \(written.name), already exists as type "
                    + stored.type.name)
        }
        guard stored.type != .float64 else { return .stored(stored) }
        return written == .float64 || hasTopBit(group, index) ? .widened(stored) : .stored(stored)
    }

    private func bindField(
        _ plan: FieldPlan, _ index: Int, _ group: RowGroup, _ table: TableEntry,
        _ state: inout Catalog.State
    ) -> FieldColumn? {
        switch plan {
        case .stored(let field): return field
        case .widened(let field):
            catalog.widen(&state, table, fieldID: field.id, to: .float64)
            return table.schema.fields[Int(field.id)]
        case .made:
            let name = String(decoding: group.shape.fieldNames[index], as: UTF8.self)
            return catalog.makeField(&state, table, name, group.shape.types[index])
        case .refused: return nil
        }
    }

    // MARK: Series

    /// Gives every row its series, takes out rows that may not have one, and returns the table,
    /// which the first row that stays makes if there is none. Nil if no row stays.
    private func resolveSeries(
        _ group: RowGroup, _ batch: WriteBatch, _ known: TableEntry?, _ state: inout Catalog.State
    ) -> TableEntry? {
        guard !batch.newSeries.isEmpty else { return known }
        var table = known
        var refused: String?
        for row in 0..<group.rowCount where group.series[row] >= WriteBatch.provisional {
            let index = Int(group.series[row] & ~WriteBatch.provisional)
            if batch.newSeries[index].resolved == nil {
                let key = batch.newSeries[index].key
                // Safe: the bytes are the batch's, lent for the look-up.
                let id = key.withUnsafeBytes { bytes in table?.seriesID(forKey: bytes) }
                if id == nil, let limit = passedLimit(group, table, key) {
                    refused = limit
                    continue
                }
                let stored = table ?? makeTable(group, batch, &state)
                table = stored
                batch.newSeries[index].resolved = id ?? catalog.seriesID(&state, stored, key: key)
            }
            if let id = batch.newSeries[index].resolved { group.series[row] = id }
        }
        guard let refused else { return table }
        group.filterRows { row in
            guard group.series[row] >= WriteBatch.provisional else { return true }
            batch.reject(
                LineRejection(line: Int(group.lines[row]), kind: .limit, reason: refused))
            return false
        }
        return table
    }

    private func makeTable(
        _ group: RowGroup, _ batch: WriteBatch, _ state: inout Catalog.State
    ) -> TableEntry {
        let database =
            state.databases[NameKey(batch.database)]
            ?? catalog.makeDatabase(
                &state, name: batch.database,
                partitionNanoseconds: Int64(options.partitionSeconds) * 1_000_000_000,
                retentionNanoseconds: options.defaultRetentionNanoseconds)
        return catalog.makeTable(&state, database: database, name: tableName(group))
    }

    /// The limit that a new series would pass, or the rule that a new tag breaks, as a sentence.
    private func passedLimit(_ group: RowGroup, _ table: TableEntry?, _ key: [UInt8]) -> String? {
        guard key.count <= SeriesKey.byteCountMax else {
            return "the tags of a row have at most \(SeriesKey.byteCountMax) bytes"
        }
        guard table?.seriesCount ?? 0 < options.seriesPerTableMax else {
            return
                "table \(tableName(group)) is at its limit of \(options.seriesPerTableMax) series"
        }
        let schema = table?.schema ?? .empty
        // Safe: `decode` gives ranges inside of the key, whose bytes are lent for the call.
        let newTags = key.withUnsafeBytes { bytes in
            (SeriesKey.decode(bytes) ?? []).map { String(decoding: bytes[$0.key], as: UTF8.self) }
                .filter { schema.tagIndex(named: $0) == nil }
        }
        for name in newTags {
            if let problem = NameRules.problem(name, "tag") { return problem }
        }
        guard !newTags.isEmpty, schema.tags.count + newTags.count > options.tagsPerTableMax else {
            return nil
        }
        return "table \(tableName(group)) is at its limit of \(options.tagsPerTableMax) tags"
    }
}
