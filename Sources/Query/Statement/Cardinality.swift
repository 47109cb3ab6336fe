// SHOW CARDINALITY: where series come from, counted in the index alone.

internal import ApusStorage
internal import Synchronization

extension StatementExecution {
    /// Values of a tag that are shown, those with the most series.
    private static let valuesShown = 10

    mutating func cardinality<Sink: ResultSink>(
        _ name: TableName?, _ limit: Expression?, _ offset: Expression?, into sink: inout Sink
    ) throws(QueryError) {
        if let name {
            let table = try engine.findTable(name, session: session)
            try sendCounts(
                ["tag", "value", "values", "series"],
                try page(try values(table), limit, offset), into: &sink)
        } else {
            try session.access.check(database: session.database, at: nil)
            let tables = engine.storage.catalog.database(named: session.database)?.allTables ?? []
            try sendCounts(
                ["table", "tag", "series", "values"],
                try page(tags(tables), limit, offset), into: &sink)
        }
    }

    /// Two names and two counts.
    private typealias CountRow = (first: String, second: String?, counts: (Int, Int))

    /// Of every table its series, and of every tag its distinct values; most first.
    private func tags(_ tables: [TableEntry]) -> [CountRow] {
        let counted = tables.map { table in
            let (series, values) = table.series.withLock { ($0.livingCount, $0.valueCounts) }
            let tags = zip(table.schema.tags, values).sorted { $0.1 > $1.1 }
            return (table.name, series, tags)
        }
        return counted.sorted { $0.1 > $1.1 }.flatMap { name, series, tags -> [CountRow] in
            tags.isEmpty
                ? [(name, nil, (series, 0))]
                : tags.map { tag, values in (name, tag.sqlName, (series, values)) }
        }
    }

    /// Of every tag the values with the most series; the tag with the most values first.
    private func values(_ table: TableEntry) throws(QueryError) -> [CountRow] {
        let (snapshot, counts) = table.series.withLock { ($0.snapshot, $0.valueCounts) }
        let valueCounts =
            counts + repeatElement(0, count: max(0, table.schema.tags.count - counts.count))
        let names = table.schema.tags.map(\.sqlName)
        let order = names.indices.sorted { valueCounts[$0] > valueCounts[$1] }
        let living = snapshot.living
        var rows: [CountRow] = []
        for tag in order {
            try context.check()
            let column = snapshot.tag(tag)
            var counts = [Int](repeating: 0, count: column.values.count + 1)
            let all = column.codes.codes(of: 0..<snapshot.count)
            if snapshot.dropped == nil {
                for code in all { counts[Int(code)] += 1 }
            } else {
                living.forEach { counts[Int(all[Int($0)])] += 1 }
            }
            let codes = counts.indices.dropFirst()
            let top = codes.sorted { (counts[$1], $0) < (counts[$0], $1) }.prefix(Self.valuesShown)
            for code in top where counts[code] > 0 {
                let value = String(decoding: column.values[code - 1], as: UTF8.self)
                rows.append((names[tag], value, (valueCounts[tag], counts[code])))
            }
        }
        return rows
    }

    private mutating func sendCounts<Sink: ResultSink>(
        _ names: [String], _ rows: [CountRow], into sink: inout Sink
    ) throws(QueryError) {
        let types: [ResultType] = [.string, .string, .int64, .int64]
        try sink.begin(zip(names, types).map { ResultColumn(name: $0, type: $1) })
        var builders = types.map { VectorBuilder($0) }
        for row in rows {
            builders[0].append(text: row.first.utf8)
            if let second = row.second {
                builders[1].append(text: second.utf8)
            } else {
                builders[1].appendNull()
            }
            builders[2].append(UInt64(row.counts.0))
            builders[3].append(UInt64(row.counts.1))
        }
        try send(&builders, into: &sink)
    }
}
