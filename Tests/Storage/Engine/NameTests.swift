// Names are their bytes: an “é” of one scalar and an “é” of two are two names.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct NameTests {
    private let composed = "caf\u{E9}"
    private let decomposed = "cafe\u{301}"

    private func bytes(_ names: [String]) -> Set<[UInt8]> { Set(names.map { Array($0.utf8) }) }

    @Test func `databases, tables, tags and fields of two spellings stay apart, also reopened`()
        throws
    {
        #expect(composed == decomposed, "the premise")
        let both = bytes([composed, decomposed])
        let store = try SimulatedStore.make()
        let values: [(String, RowBuilder.Value)] = [
            (composed, .int64(1)), (decomposed, .bool(true)),
        ]
        for (name, value) in values {
            try store.write([TestRow(table: name, fields: [("x", value)])], database: name)
            try store.write([TestRow(tags: [name: "v"], fields: [(name, value)])])
        }
        func check(_ what: String) throws {
            let catalog = store.engine.catalog
            #expect(bytes(catalog.allDatabases.map(\.name)).isSuperset(of: both), "\(what)")
            #expect(catalog.database(named: composed) !== catalog.database(named: decomposed))
            let schema = try #require(store.table("t")).schema
            #expect(bytes(schema.tags.map(\.name)) == both, "\(what)")
            #expect(bytes(schema.fields.map(\.name)) == both, "\(what)")
            #expect(schema.field(named: composed)?.type == .int64, "\(what)")
            #expect(schema.field(named: decomposed)?.type == .bool, "\(what)")
            #expect(store.table("t")?.seriesCount == 2, "\(what)")
            // Neither clashes with the other: each field lost its bare name to its own tag only.
            #expect(schema.tags.allSatisfy { $0.name.utf8.elementsEqual($0.sqlName.utf8) })
        }
        try check("in the log")
        try store.reopen()
        try check("replayed")
        try store.engine.flush()
        try store.reopen()
        try check("in a catalog file")
    }

    @Test func `two spellings of a table in one batch are two tables`() throws {
        let store = try SimulatedStore.make()
        let receipt = try store.write(
            [composed, decomposed].map {
                TestRow(table: $0, tags: ["k": "v"], fields: [("x", .int64(1))])
            })
        #expect(receipt.rowsStored == 2)
        #expect(
            bytes(store.engine.catalog.allDatabases.flatMap { $0.allTables.map(\.name) })
                == bytes([composed, decomposed]))
    }

    @Test func `a drop takes only the table whose bytes it names`() throws {
        let store = try SimulatedStore.make()
        for name in [composed, decomposed] {
            try store.write([TestRow(table: name, fields: [("x", .int64(1))])])
        }
        let late = store.batch([
            TestRow(
                table: decomposed, time: store.clock.now + 1, fields: [("x", .int64(2))])
        ])
        late.dropGeneration = store.engine.catalog.dropGeneration
        try store.engine.dropTable(database: "default", name: composed, ifExists: false)
        // Parsed before the drop: it would be discarded if its table had gone.
        #expect(try store.engine.commit(late).rowsStored == 1)
        #expect(store.table(composed) == nil)
        #expect(store.table(decomposed) != nil)
        #expect(throws: StorageError.self) {
            try store.engine.dropTable(database: "default", name: composed, ifExists: false)
        }
    }
}
