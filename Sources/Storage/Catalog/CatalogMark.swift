internal import Synchronization

/// What catalog files hold of a table.
package struct PersistedSeries: Sendable {
    package var seriesCount = 0
    /// By tag, how many of its values have been given a number. Those of dropped series may have none.
    package var valueCounts: [Int] = []

    package init() {}

    /// That of a table which was just read from files.
    init(_ table: TableEntry) {
        let series = table.seriesSnapshot
        seriesCount = series.count
        valueCounts = series.tagIndices.map { series.tag($0).values.count }
    }
}

/// What of the catalog a flush has to write: the definitions made since the mark before, cut at a
/// moment when all of them are in the log.
package struct CatalogMark: Sendable {
    struct TableMark: Sendable {
        var table: TableEntry
        var schema: TableSchema
        var seriesCount: Int
    }

    var databases: [DatabaseEntry]
    var tables: [TableMark]
    var drops: [CatalogEntry]
    var nextDatabaseID: UInt32
    var nextTableID: UInt32

    /// Fewer series than these take less as keys.
    private static let seriesOneByOneMax = 8

    /// Whether its entries tell of dropped fields.
    var hasDroppedFields: Bool { tables.contains { $0.schema.hasDroppedFields } }

    var isEmpty: Bool { databases.isEmpty && tables.isEmpty && drops.isEmpty }

    /// The entries of a catalog file.
    ///
    /// - Parameter persisted: What older files hold, by table; afterwards what all hold together.
    package func forEachEntry(
        behind persisted: inout [UInt32: PersistedSeries], _ body: (CatalogEntry) -> Void
    ) {
        for database in databases {
            body(
                .database(
                    id: database.id, name: database.name,
                    partitionNanoseconds: database.partitionNanoseconds,
                    retentionNanoseconds: database.retentionNanoseconds))
        }
        for mark in tables {
            let table = mark.table
            body(.table(id: table.id, databaseID: table.database.id, name: table.name))
            for (index, tag) in mark.schema.tags.enumerated() {
                body(.tag(tableID: table.id, index: index, name: tag.name, sqlName: tag.sqlName))
            }
            // By number, so that none leaves a gap.
            var dropped = mark.schema.droppedFields[...]
            for field in mark.schema.fields {
                while let run = dropped.first, run.lowerBound < field.id {
                    body(.dropFields(tableID: table.id, run))
                    dropped.removeFirst()
                }
                body(.field(tableID: table.id, field))
            }
            for run in dropped { body(.dropFields(tableID: table.id, run)) }
            var known = persisted[table.id] ?? PersistedSeries()
            defer { persisted[table.id] = known }
            let start = known.seriesCount
            guard start < mark.seriesCount else { continue }
            known.seriesCount = mark.seriesCount
            let series = table.seriesSnapshot
            guard mark.seriesCount - start < Self.seriesOneByOneMax, series.dropped == nil else {
                SeriesSection.forEach(
                    series, of: table.id, start..<mark.seriesCount, &known.valueCounts, body)
                continue
            }
            for id in UInt32(start)..<UInt32(mark.seriesCount) {
                body(.series(tableID: table.id, id: id, key: series.key(of: id, mark.schema)))
            }
            known.valueCounts = series.tagIndices.map {
                series.tag($0).codes.highest(below: mark.seriesCount)
            }
        }
        for drop in drops { body(drop) }
    }
}

extension Catalog {
    /// Takes what has changed since the last cut. All of it is in the log, which has to be synced
    /// before the mark may be written.
    func cut() -> CatalogMark {
        state.withLock { state in
            let changes = state.changes
            state.changes = Changes()
            return CatalogMark(
                databases: changes.databases.sorted().compactMap { state.databasesByID[$0] },
                tables: changes.tables.sorted().compactMap { state.tablesByID[$0] }.map {
                    CatalogMark.TableMark(table: $0, schema: $0.schema, seriesCount: $0.seriesCount)
                },
                drops: changes.drops, nextDatabaseID: state.nextDatabaseID,
                nextTableID: state.nextTableID)
        }
    }

    /// A mark of everything, for a catalog file that replaces all others.
    package func markEverything(seriesCount: (TableEntry) -> Int) -> CatalogMark {
        state.withLock { state in
            CatalogMark(
                databases: state.databasesByID.values.sorted { $0.id < $1.id },
                tables: state.tablesByID.values.sorted { $0.id < $1.id }.map {
                    CatalogMark.TableMark(
                        table: $0, schema: $0.schema, seriesCount: seriesCount($0))
                },
                drops: [], nextDatabaseID: state.nextDatabaseID, nextTableID: state.nextTableID)
        }
    }

    /// What was applied so far came from catalog files: nothing of it has to be written again.
    func forgetChanges() { state.withLock { $0.changes = Changes() } }

    func raiseNextIDs(database: UInt32, table: UInt32) {
        state.withLock { state in
            state.nextDatabaseID = max(state.nextDatabaseID, database)
            state.nextTableID = max(state.nextTableID, table)
        }
    }
}
