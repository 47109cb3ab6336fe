// The names and numbers of everything: databases, tables, columns, series.
//
// The catalog lives in memory. Each change appends an entry to a journal, in order; the log
// thread drains the journal into a `definitions` record before the first batch that could rely on
// it, so a row never becomes durable without what it refers to. A flush writes what changed since
// the flush before into a catalog file.
//
//     journal entry, also the content of catalog files and of `definitions` records
//
//     kind  u8      then
//     ────  ──────────────────────────────────────────────────────────────────────────
//      1    database     id varint, name text, partition ns varint, retention ns varint
//      2    table        id varint, database id varint, name text
//      3    tag          table id varint, index varint, name text, SQL name text
//      4    field        table id varint, field id varint, type u8, name text, SQL name text
//      5    series       table id varint, series id varint, key text
//      6    drop table   table id varint
//      7    drop database  id varint
//
// Entries are idempotent: an entry for something that exists updates it (retention, field type,
// SQL name). Numbers of tables and databases are never reused.

public import Synchronization

package final class Catalog: Sendable {
    struct State {
        var databases: [String: DatabaseEntry] = [:]
        var databasesByID: [UInt32: DatabaseEntry] = [:]
        var tablesByID: [UInt32: TableEntry] = [:]
        var droppedTables: Set<UInt32> = []
        var nextDatabaseID: UInt32 = 1
        var nextTableID: UInt32 = 1
        var journal = ByteWriter()
        /// Tables with changes that no catalog file holds yet.
        var dirtyTables: Set<UInt32> = []
    }

    /// The definition lock: held for every change, never across I/O.
    let state = Mutex(State())
    private let drops = Atomic<UInt64>(0)

    package init() {}

    /// Rises whenever a table is dropped; series ids cached before may be stale.
    package var dropGeneration: UInt64 { drops.load(ordering: .acquiring) }
    func noteDrop() { drops.add(1, ordering: .acquiringAndReleasing) }

    package func database(named name: String) -> DatabaseEntry? {
        state.withLock { $0.databases[name] }
    }

    package func table(id: UInt32) -> TableEntry? { state.withLock { $0.tablesByID[id] } }

    /// All databases, by name in byte order.
    package var allDatabases: [DatabaseEntry] {
        state.withLock { Array($0.databases.values) }
            .sorted { Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8)) }
    }
}
