// SHOW and DESCRIBE: answers from the catalog, without a scan unless a condition asks for one.

internal import ApusStorage
internal import Synchronization

/// Keeps an answer of strings.
private struct StringRows: ResultSink {
    var rows: [[String?]] = []

    mutating func begin(_ columns: [ResultColumn]) throws(QueryError) {}

    mutating func append(_ batch: ResultBatch) throws(QueryError) {
        for row in 0..<batch.rowCount { rows.append(batch.columns.map { Self.text($0, row) }) }
    }

    private static func text(_ vector: ResultVector, _ row: Int) -> String? {
        if let validity = vector.validity, validity[row] == 0 { return nil }
        let slot = StringSlot(rawValue: vector.values[row])
        return String(
            decoding: vector.stringBytes[slot.offset..<(slot.offset + slot.length)],
            as: UTF8.self)
    }
}

extension StatementExecution {
    mutating func run<Sink: ResultSink>(
        _ show: ShowStatement, into sink: inout Sink
    ) throws(QueryError) {
        switch show {
        case .databases:
            let names = engine.storage.catalog.allDatabases.map(\.name)
            try send(["name"], names.filter(session.access.covers).map { [$0] }, into: &sink)
        case .tables(let name):
            var tables: [TableEntry] = []
            if let name {
                tables = try engine.findDatabase(name, session.access).allTables
            } else {
                // A database that is still to come has no tables.
                try session.access.check(database: session.database, at: nil)
                tables =
                    engine.storage.catalog.database(named: session.database)?.allTables ?? []
            }
            try send(["name"], tables.map { [$0.name] }, into: &sink)
        case .tagKeys(let name):
            let table = try engine.findTable(name, session: session)
            try send(["name"], sorted(table.schema.tags.map { [$0.sqlName] }), into: &sink)
        case .fieldKeys(let name):
            let table = try engine.findTable(name, session: session)
            try send(
                ["name", "type"], sorted(table.schema.fields.map { [$0.sqlName, $0.type.name] }),
                into: &sink)
        case .tagValues(let show): try tagValues(show, into: &sink)
        case .series(let show): try series(show, into: &sink)
        case .cardinality(let name, let limit, let offset):
            try cardinality(name, limit, offset, into: &sink)
        case .queries: try showQueries(into: &sink)
        }
    }

    mutating func describe<Sink: ResultSink>(
        _ name: TableName, into sink: inout Sink
    ) throws(QueryError) {
        let schema = try engine.findTable(name, session: session).schema
        var rows: [[String?]] = [["time", "time", "timestamp", "time"]]
        rows += sorted(schema.tags.map { [$0.sqlName, "tag", "string", $0.name] })
        rows += sorted(schema.fields.map { [$0.sqlName, "field", $0.type.name, $0.name] })
        try send(["name", "kind", "type", "written_name"], rows, into: &sink)
    }

    private func sorted(_ rows: [[String?]]) -> [[String?]] {
        rows.sorted {
            Array(($0[0] ?? "").utf8).lexicographicallyPrecedes(Array(($1[0] ?? "").utf8))
        }
    }

    func page<T>(
        _ rows: [T], _ limit: Expression?, _ offset: Expression?
    ) throws(QueryError) -> [T] {
        let rest = rows.dropFirst(try session.rowLimit(offset, "OFFSET") ?? 0)
        return Array(rest.prefix(try session.rowLimit(limit, "LIMIT") ?? .max))
    }

    /// The series a condition over tags leaves; nil if it asks for times or fields, which only a
    /// scan can tell.
    func matching(
        _ table: TableEntry, _ condition: Expression?
    ) throws(QueryError) -> SeriesSet? {
        let all = table.seriesSnapshot.living
        guard let condition else { return all }
        let scope = QueryScope([TableRelation(table: table, alias: nil)])
        let binder = Binder(session: session, scope: scope)
        binder.clause = "WHERE"
        let bound = try binder.bindCondition(condition)
        if let constant = bound.constant {
            return !constant.isNull && constant.slot != 0 ? all : SeriesSet(capacity: 0)
        }
        var scan = ScanPlan(table: table, columns: scope.used.map(\.column), schema: table.schema)
        PredicateSplit.push(bound, into: &scan)
        guard scan.timeRange == .all, !scan.picksRows else { return nil }
        return try scan.seriesPredicate?.select(table, engine.predicates, context) ?? all
    }

    private mutating func tagValues<Sink: ResultSink>(
        _ show: ShowTagValues, into sink: inout Sink
    ) throws(QueryError) {
        let table = try engine.findTable(show.table, session: session)
        let scope = QueryScope([TableRelation(table: table, alias: nil)])
        let series = try matching(table, show.condition)
        var rows: [[String?]] = []
        for key in show.keys {
            let reference = ColumnReference(name: key)
            guard case .tag(let tag) = try scope.resolve(reference)?.column else {
                throw QueryError(
                    .unknownColumn, "no tag `\(key.text)` in `\(table.name)`", at: key.position,
                    hint: NameResolution.hint(
                        for: key.text, among: table.schema.tags.map(\.sqlName)))
            }
            let name = table.schema.tags[tag].sqlName
            if let series {
                rows += knownValues(of: tag, table, series).map { [name, $0] }
            } else {
                let live = try liveTags([tag], table, show.table, show.condition)
                rows += live.compactMap { row in row[0].map { [name, $0] } }
            }
        }
        try send(["key", "value"], try page(rows, show.limit, show.offset), into: &sink)
    }

    /// The values of a tag among series, in bytewise order, without a look at rows.
    private func knownValues(
        of tag: Int, _ table: TableEntry, _ series: SeriesSet
    ) -> [String] {
        let column = table.seriesSnapshot.tag(tag)
        var seen = [Bool](repeating: false, count: column.values.count + 1)
        series.forEach { seen[Int(column.codes[Int($0)])] = true }
        return column.values.indices.filter { seen[$0 + 1] }.map { Array(column.values[$0]) }
            .sorted { $0.lexicographicallyPrecedes($1) }
            .map { String(decoding: $0, as: UTF8.self) }
    }

    /// The distinct tuples of tags that rows under a condition have, in order, NULLs last.
    private mutating func liveTags(
        _ tags: [Int], _ table: TableEntry, _ name: TableName, _ condition: Expression?
    ) throws(QueryError) -> [[String?]] {
        let position = condition?.position ?? name.position
        var columns: [Expression] = tags.map { tag in
            let written = Identifier(
                text: table.schema.tags[tag].name, isQuoted: true, position: position)
            return Expression(.column(ColumnReference(name: written, kind: .tag)), at: position)
        }
        // Of a table without tags there is one series or none.
        if tags.isEmpty { columns = [Expression(.literal(.string("")), at: position)] }
        var select = SelectStatement(position: position)
        select.isDistinct = true
        select.items = columns.map {
            SelectItem(kind: .expression($0, alias: nil), position: position)
        }
        select.from = .table(TableReference(name: name, alias: nil))
        select.condition = condition
        select.orderBy = columns.map {
            OrderItem(expression: $0, isDescending: false, nullsFirst: nil)
        }
        var rows = StringRows()
        note(try query(Query(.select(select)), into: &rows).report)
        return tags.isEmpty ? rows.rows.map { _ in [] } : rows.rows
    }

    private mutating func series<Sink: ResultSink>(
        _ show: ShowSeries, into sink: inout Sink
    ) throws(QueryError) {
        let table = try engine.findTable(show.table, session: session)
        let matched = try matching(table, show.condition)
        let order = table.schema.tags.indices.sorted {
            Array(table.schema.tags[$0].sqlName.utf8)
                .lexicographicallyPrecedes(Array(table.schema.tags[$1].sqlName.utf8))
        }
        let names = order.map { table.schema.tags[$0].sqlName }
        guard let matched else {
            let live = try liveTags(order, table, show.table, show.condition)
            return try send(names, try page(live, show.limit, show.offset), into: &sink)
        }
        var ids: [UInt32] = []
        matched.forEach { ids.append($0) }
        let page = try page(ids, show.limit, show.offset)
        let snapshot = table.seriesSnapshot
        let rows: [[String?]] = page.map { id in
            order.map { tag in
                snapshot.value(of: tag, id).map { String(decoding: $0, as: UTF8.self) }
            }
        }
        try send(names, rows, into: &sink)
    }
}
