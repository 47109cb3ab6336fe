// The half of resolving a batch that may make what is new. It runs on the log thread, just before the
// batch is logged, and makes nothing but a stage: what came of it is in force once the log holds it
// (see StagedDefinitions).
//
// A write that is refused creates nothing. So each group goes two ways: first it is decided, by
// looking only, which fields and rows will be stored; then what these need is staged, in the order
// database, table, series with their tags, fields.

struct BatchBinder {
    let options: StorageOptions
    private(set) var staged: StagedDefinitions

    init(catalog: Catalog, options: StorageOptions) {
        self.options = options
        staged = StagedDefinitions(catalog: catalog)
    }

    /// Binds the groups that the resolver left. Rows that may not be stored are taken out and
    /// reported; a batch without rows afterwards has staged nothing.
    mutating func bind(_ batch: WriteBatch) {
        if batch.dropGeneration != staged.catalog.dropGeneration,
            let database = staged.catalog.database(named: batch.database)
        {
            batch.renewDroppedSeries { database.table(named: $0.shape.tableName) }
        }
        batch.unbindChangedFields()
        guard batch.groups.contains(where: { $0.binding == nil }) else { return }
        // Looked at again: a drop between parsing and here has made ids stale.
        batch.discardDropped(by: staged.catalog)
        if staged.database(named: batch.database) == nil, !options.createDatabases {
            // Dropped since it was looked for: its rows count as written before the drop.
            batch.groups.removeAll()
        }
        for group in batch.groups where group.binding == nil { bind(group, batch) }
        batch.groups.removeAll { $0.rowCount == 0 }
    }

    private mutating func bind(_ group: RowGroup, _ batch: WriteBatch) {
        let name = group.shape.tableName
        let database = staged.database(named: batch.database)
        let known = database.flatMap { staged.table(named: name, in: $0) }
        if known == nil, let reason = tableProblem(name, batch, database) {
            return refuse(group, batch, .limit, reason)
        }
        let plans = FieldPlan.plans(
            for: group, in: known?.schema ?? .empty, fieldsPerTableMax: options.fieldsPerTableMax)
        guard let plans else {
            return refuse(
                group, batch, .limit,
                "table \(name) is at its limit of \(options.fieldsPerTableMax) fields")
        }
        let refusals = plans.compactMap(\.refusal)
        guard refusals.count < plans.count else {
            return refuse(group, batch, .conflict, Self.sentence(refusals))
        }
        guard let table = resolveSeries(group, batch, known) else {
            group.rowCount = 0
            return
        }
        if !refusals.isEmpty { noteStoredInPart(group, batch, Self.sentence(refusals)) }
        let fields = plans.enumerated().map { bindField($1, $0, group, table) }
        group.bind(
            to: ShapeBinding(
                table: table.table, fields: fields, fieldVersion: table.table.fieldVersion))
    }

    /// Why there can't be one more table.
    private func tableProblem(
        _ name: String, _ batch: WriteBatch, _ database: DatabaseEntry?
    ) -> String? {
        if !options.createTables {
            return "table not found: \"\(name)\", and writes may not create tables"
        }
        if let database, staged.tableCount(in: database) >= options.tablesPerDatabaseMax {
            return "database \(batch.database) is at its limit of "
                + "\(options.tablesPerDatabaseMax) tables"
        }
        let ofDatabase = database == nil ? NameRules.problem(batch.database, "database") : nil
        return ofDatabase ?? NameRules.problem(name, "table")
    }

    private mutating func bindField(
        _ plan: FieldPlan, _ index: Int, _ group: RowGroup, _ table: StagedTable
    ) -> FieldColumn? {
        switch plan {
        case .stored(let field): field
        case .widened(let field): staged.widen(field, to: .float64, in: table)
        case .made:
            staged.makeField(
                named: String(decoding: group.shape.fieldNames[index], as: UTF8.self),
                group.types[index], in: table)
        case .refused: nil
        }
    }

    // MARK: Refusing

    /// All rows of a group, whole.
    private func refuse(
        _ group: RowGroup, _ batch: WriteBatch, _ kind: LineRejection.Kind, _ reason: String
    ) {
        for row in 0..<group.rowCount {
            batch.reject(
                LineRejection(line: Int(group.lines[row]), kind: kind, reason: reason),
                table: group.shape.tableName)
        }
        group.rowCount = 0
    }

    /// Once, however often the batch comes again after a full disk.
    private func noteStoredInPart(_ group: RowGroup, _ batch: WriteBatch, _ reason: String) {
        guard !group.isNotedInPart else { return }
        group.isNotedInPart = true
        for row in 0..<group.rowCount {
            batch.reject(
                LineRejection(line: Int(group.lines[row]), kind: .conflict, reason: reason),
                table: group.shape.tableName, isStoredInPart: true)
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

    // MARK: Series

    /// Gives every row its series, takes out rows that may not have one, and returns the table,
    /// which the first row that stays makes if there is none. Nil if no row stays.
    private mutating func resolveSeries(
        _ group: RowGroup, _ batch: WriteBatch, _ known: StagedTable?
    ) -> StagedTable? {
        var table = known
        var refused: String?
        for row in 0..<group.rowCount {
            guard let index = group.provisionalSeries(row),
                batch.newSeries[index].resolved == nil
            else { continue }
            let key = batch.newSeries[index].key
            // Safe: the bytes are the batch's, lent for the look-up.
            let id = key.withUnsafeBytes { bytes in table?.seriesID(forKey: bytes) }
            if let id {
                batch.newSeries[index].resolved = id
                continue
            }
            let newTags = newTags(key, table)
            if let problem = problem(group, batch, table, key, newTags) {
                // A flood of refused series costs no sentence each.
                refused = refused ?? text(of: problem, group, batch, table)
                continue
            }
            let stored = table ?? makeTable(group, batch)
            table = stored
            for tag in newTags { staged.makeTag(named: tag, in: stored) }
            batch.newSeries[index].resolved = staged.makeSeries(key: key, in: stored)
        }
        if let refused {
            group.filterRows { row in
                guard let index = group.provisionalSeries(row),
                    batch.newSeries[index].resolved == nil
                else { return true }
                batch.reject(
                    LineRejection(line: Int(group.lines[row]), kind: .limit, reason: refused),
                    table: group.shape.tableName)
                return false
            }
        }
        guard group.rowCount > 0 else { return nil }
        group.takeSeries(from: batch)
        return table
    }

    private mutating func makeTable(_ group: RowGroup, _ batch: WriteBatch) -> StagedTable {
        let database =
            staged.database(named: batch.database)
            ?? staged.makeDatabase(
                named: batch.database,
                partitionNanoseconds: Int64(options.partitionSeconds) * 1_000_000_000,
                retentionNanoseconds: options.defaultRetentionNanoseconds)
        return staged.makeTable(named: group.shape.tableName, in: database)
    }

    private func newTags(_ key: [UInt8], _ table: StagedTable?) -> [String] {
        // Safe: the key's bytes are lent for the call.
        key.withUnsafeBytes { bytes in
            let schema = table?.schema ?? .empty
            var names: [String] = []
            var place = 0
            _ = SeriesKey.forEachTag(bytes) { name, _ in
                if schema.tagIndex(named: name, likely: place) == nil {
                    names.append(String(decoding: name, as: UTF8.self))
                }
                place += 1
                return true
            }
            return names
        }
    }

    /// What speaks against a new series.
    private enum SeriesProblem {
        case keyIsLong
        case tableIsFull
        case numbersAreUsedUp
        case databaseIsFull
        case tagIsFull(String)
        case tableHasNoRoomForTags
        case badName(String)
    }

    private func problem(
        _ group: RowGroup, _ batch: WriteBatch, _ table: StagedTable?, _ key: [UInt8],
        _ newTags: [String]
    ) -> SeriesProblem? {
        guard key.count <= SeriesKey.byteCountMax else { return .keyIsLong }
        guard table?.seriesCount ?? 0 < Int(WriteBatch.provisional) else {
            return .numbersAreUsedUp
        }
        guard table?.livingSeriesCount ?? 0 < options.seriesPerTableMax else { return .tableIsFull }
        if let database = table?.table.database ?? staged.database(named: batch.database),
            staged.seriesCount(in: database) >= options.seriesPerDatabaseMax
        {
            return .databaseIsFull
        }
        if let tag = table?.tagWithoutRoom(for: key, valuesMax: options.valuesPerTagMax) {
            return .tagIsFull(tag)
        }
        for tag in newTags {
            if let problem = NameRules.problem(tag, "tag") { return .badName(problem) }
        }
        let tagCount = (table?.schema.tags.count ?? 0) + newTags.count
        guard !newTags.isEmpty, tagCount > options.tagsPerTableMax else { return nil }
        return .tableHasNoRoomForTags
    }

    /// Names the table, the limit, and the tag that most likely has to do with it.
    private func text(
        of problem: SeriesProblem, _ group: RowGroup, _ batch: WriteBatch, _ table: StagedTable?
    ) -> String {
        let name = group.shape.tableName
        let widest =
            table?.widestTag.map { "; most values has its tag \($0.name): \($0.valueCount)" } ?? ""
        return switch problem {
        case .keyIsLong: "the tags of a row have at most \(SeriesKey.byteCountMax) bytes"
        case .tableIsFull:
            "table \(name) is at its limit of \(options.seriesPerTableMax) series\(widest)"
        case .numbersAreUsedUp:
            "table \(name) has had \(WriteBatch.provisional) series, and numbers are not given again: "
                + "write to another table, or export this one, drop it and import it"
        case .databaseIsFull:
            "database \(batch.database) is at its limit of \(options.seriesPerDatabaseMax) series; "
                + "table \(name) has \(table?.livingSeriesCount ?? 0)\(widest)"
        case .tagIsFull(let tag):
            "tag \(tag) of table \(name) is at its limit of \(options.valuesPerTagMax) values"
        case .tableHasNoRoomForTags:
            "table \(name) is at its limit of \(options.tagsPerTableMax) tags"
        case .badName(let problem): problem
        }
    }
}
