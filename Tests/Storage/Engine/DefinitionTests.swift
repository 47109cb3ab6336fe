// A definition is in force once it is durable, and never if it failed.

import ApusStorage
import ApusTestKit
import Dispatch
import Synchronization
import Testing

@Suite struct DefinitionTests {
    private static let second: Int64 = 1_000_000_000

    /// What readers can tell about definitions.
    private func summary(_ engine: StorageEngine) -> [String] {
        engine.catalog.allDatabases.flatMap { database in
            ["\(database.name) keeps \(database.retentionNanoseconds)"]
                + database.allTables.map { table in
                    "\(database.name).\(table.name) \(table.schema.tags.map(\.sqlName)) "
                        + "\(table.schema.fields.map { "\($0.sqlName) \($0.type)" })"
                }
        }
    }

    private static let statements: [(String, @Sendable (StorageEngine) throws -> Void)] =
        [
            ("create database", { try $0.createDatabase("new", ifNotExists: false) }),
            (
                "alter database",
                { try $0.setRetention(ofDatabase: "default", nanoseconds: 3_600 * second) }
            ),
            ("drop database", { try $0.dropDatabase("default", ifExists: false) }),
            (
                "create table",
                {
                    try $0.createTable(
                        database: "default", name: "u", tags: ["k"], fields: [("k", .int64)],
                        ifNotExists: false)
                }
            ),
            (
                "drop table",
                { try $0.dropTable(database: "default", name: "t", ifExists: false) }
            ),
            (
                "drop field",
                { engine in
                    let table = engine.catalog.database(named: "default")?.table(named: "t")
                    let field = table?.schema.field(named: "x")
                    try engine.dropField(try #require(field), of: try #require(table))
                }
            ),
            (
                "rename field",
                { engine in
                    let table = engine.catalog.database(named: "default")?.table(named: "t")
                    let field = table?.schema.field(named: "x")
                    try engine.renameField(
                        try #require(field), of: try #require(table), to: "y")
                }
            ),
        ]

    private func storeWithOneRow(
        _ change: (inout StorageOptions) -> Void = { _ in }
    ) throws -> SimulatedStore {
        let store = try SimulatedStore.make(change)
        try store.write([TestRow(fields: [("x", .int64(1))])])
        return store
    }

    @Test(arguments: [SimulatedFileSystem.Failure.noSpace, .inputOutput])
    func `a definition that failed is not in force, neither now nor reopened, and can be repeated`(
        failure: SimulatedFileSystem.Failure
    ) throws {
        for (name, statement) in Self.statements {
            let store = try storeWithOneRow()
            let before = summary(store.engine)
            store.disk.fail(.write, with: failure, pathContains: "log/")
            #expect(throws: StorageError.self, "\(name)") { try statement(store.engine) }
            #expect(summary(store.engine) == before, "\(name)")
            #expect(try store.rowCount("t") == 1, "\(name)")
            try store.reopen()
            #expect(summary(store.engine) == before, "\(name), reopened")
            try statement(store.engine)
            let after = summary(store.engine)
            #expect(after != before, "\(name), repeated")
            try store.reopen()
            #expect(summary(store.engine) == after, "\(name), repeated and reopened")
        }
    }

    private typealias Wrong = (
        why: String, error: StorageError, statement: (StorageEngine) throws(StorageError) -> Void
    )

    private static func table(
        _ name: String, tags: [String] = [], fields: [String] = [], ifNotExists: Bool = false
    ) -> (StorageEngine) throws(StorageError) -> Void {
        {
            (engine) throws(StorageError) in
            try engine.createTable(
                database: "default", name: name, tags: tags,
                fields: fields.map { ($0, .int64) }, ifNotExists: ifNotExists)
        }
    }

    private static func database(
        _ name: String, partition: Int64? = nil
    ) -> (StorageEngine) throws(StorageError) -> Void {
        {
            (engine) throws(StorageError) in
            try engine.createDatabase(
                name, ifNotExists: false, partitionNanoseconds: partition)
        }
    }

    private static func control(_ what: String) -> StorageError {
        .invalid("a \(what) name must not hold control characters, and this one has U+0001")
    }

    private static var wrong: [Wrong] {
        [
            ("exists", .exists("database \"default\""), database("default")),
            ("exists", .exists("table \"t\""), table("t", fields: ["y"])),
            ("database name", control("database"), database("a\u{1}")),
            ("table name", control("table"), table("a\u{1}")),
            ("tag name", control("tag"), table("u", tags: ["k\u{1}"])),
            ("field name", control("field"), table("u", fields: ["f\u{1}"])),
            ("tags", .limit("a table has at most 2 tags"), table("u", tags: ["a", "b", "c"])),
            (
                "fields", .limit("a table has at most 2 fields"),
                table("u", fields: ["a", "b", "c"])
            ),
            ("twice", .limit("field \"a\" is given twice"), table("u", fields: ["a", "a"])),
            (
                "short partition",
                .invalid("a partition is at least a minute and at most fifty years long"),
                database("x", partition: 59_999_999_999)
            ),
            (
                "long partition",
                .invalid("a partition is at least a minute and at most fifty years long"),
                database("x", partition: .max)
            ),
            (
                "no database", .unknownDatabase("x"),
                { (engine) throws(StorageError) in try engine.dropDatabase("x", ifExists: false) }
            ),
            (
                "no database", .unknownDatabase("x"),
                { (engine) throws(StorageError) in
                    try engine.setRetention(ofDatabase: "x", nanoseconds: 1)
                }
            ),
            (
                "no table", .unknownTable(database: "default", table: "x"),
                { (engine) throws(StorageError) in
                    try engine.dropTable(database: "default", name: "x", ifExists: false)
                }
            ),
        ]
    }

    @Test func `a definition that can't be says why, and changes nothing`() throws {
        let store = try storeWithOneRow {
            $0.tagsPerTableMax = 2
            $0.fieldsPerTableMax = 2
            $0.tablesPerDatabaseMax = 2
        }
        let before = summary(store.engine)
        for (why, error, statement) in Self.wrong {
            #expect(throws: error, "\(why)") { try statement(store.engine) }
        }
        // What is there, or gone, already.
        try store.engine.createDatabase("default", ifNotExists: true)
        try Self.table("t", fields: ["y"], ifNotExists: true)(store.engine)
        try store.engine.dropDatabase("x", ifExists: true)
        try store.engine.dropTable(database: "default", name: "x", ifExists: true)
        #expect(summary(store.engine) == before)
        // Up to the limits. A tag is one however often it is given.
        try Self.table("u", tags: ["k", "k"], fields: ["a", "b"])(store.engine)
        let made = summary(store.engine)
        #expect(made.last == "default.u [\"k\"] [\"a int64\", \"b int64\"]")
        #expect(throws: StorageError.limit("database default is at its limit of 2 tables")) {
            try Self.table("v")(store.engine)
        }
        try store.reopen()
        #expect(summary(store.engine) == made)
    }

    @Test func `a table whose drop failed takes rows, and they are there afterwards`() throws {
        let store = try storeWithOneRow()
        store.disk.fail(.write, with: .noSpace, pathContains: "log/")
        #expect(throws: StorageError.self) {
            try store.engine.dropTable(database: "default", name: "t", ifExists: false)
        }
        try store.write([TestRow(time: store.clock.now + 1, fields: [("x", .int64(2))])])
        #expect(try store.rowCount("t") == 2)
        try store.reopen()
        #expect(try store.rowCount("t") == 2)
    }

    @Test(arguments: [Durability.none, .interval(milliseconds: 3_600_000)])
    func `a definition survives a power cut in every mode of durability`(durability: Durability)
        throws
    {
        for (name, statement) in Self.statements {
            let store = try storeWithOneRow { $0.durability = durability }
            try statement(store.engine)
            let after = try SimulatedStore(
                disk: store.disk.afterPowerLoss(keeping: .nothingUnsynced), options: store.options)
            #expect(summary(after.engine) == summary(store.engine), "\(name)")
        }
    }

    // MARK: While a definition is on its way to the disk

    /// Runs a statement up to the write of its record, does `meanwhile`, lets it go on, and returns what it threw.
    private func during(
        _ statement: @escaping @Sendable (StorageEngine) throws(StorageError) -> Void,
        on disk: SimulatedFileSystem, _ meanwhile: (StorageEngine) -> Void
    ) throws -> StorageError? {
        let pausing = PausingFileSystem(disk)
        let engine = try StorageEngine(
            fileSystem: pausing, options: SimulatedStore.smallOptions(),
            environment: EngineEnvironment(
                now: { PointGenerator.startNanoseconds }, usesThreads: true))
        let outcome = Mutex<StorageError?>(nil)
        let done = DispatchSemaphore(value: 0)
        pausing.arm()
        DispatchQueue.global().async {
            do throws(StorageError) { try statement(engine) } catch {
                outcome.withLock { $0 = error }
            }
            done.signal()
        }
        pausing.waitUntilPaused()
        meanwhile(engine)
        pausing.release()
        done.wait()
        try engine.close()
        return outcome.withLock { $0 }
    }

    private func row(_ table: String, in database: String) -> WriteBatch {
        var builder = RowBuilder(database: database)
        builder.append(
            table: table, tags: ["k": "v"], time: PointGenerator.startNanoseconds,
            fields: [("x", .int64(1))])
        return builder.batch
    }

    @Test func `a write behind a statement finds the database that it made`() throws {
        let disk = SimulatedFileSystem()
        let error = try during(
            {
                (engine) throws(StorageError) in
                try engine.createDatabase(
                    "x", ifNotExists: false, retentionNanoseconds: 3_600_000_000_000)
            }, on: disk
        ) { engine in
            #expect(engine.catalog.database(named: "x") == nil)
            engine.commit(row("t", in: "x")) { _ in }
        }
        #expect(error == nil)
        for _ in 0..<2 {
            let store = try SimulatedStore.make(on: disk)
            #expect(try store.rowCount("t", in: "x") == 1)
            #expect(summary(store.engine).first == "x keeps 3600000000000")
            #expect(store.engine.catalog.allDatabases.count == 1)
            try store.engine.flush()
            try store.engine.close()
        }
    }

    @Test func `a write behind a statement meets the types of the table that it made`() throws {
        let disk = SimulatedFileSystem()
        let first = try SimulatedStore.make(on: disk)
        try first.engine.createDatabase("x", ifNotExists: false)
        try first.engine.close()
        let answer = Mutex<Result<WriteReceipt, StorageError>?>(nil)
        let error = try during(
            {
                (engine) throws(StorageError) in
                try engine.createTable(
                    database: "x", name: "t", tags: [], fields: [("x", .string)], ifNotExists: true)
            }, on: disk
        ) { engine in
            engine.commit(row("t", in: "x")) { result in answer.withLock { $0 = result } }
        }
        #expect(error == nil)
        let receipt = try #require(try answer.withLock { $0 }?.get())
        #expect(receipt.rowsStored == 0 && receipt.rejections.map(\.kind) == [.conflict])
        let store = try SimulatedStore.make(on: disk)
        let table = try #require(store.table("t", in: "x"))
        #expect(table.schema.field(named: "x")?.type == .string && table.seriesCount == 0)
    }

    @Test func `a write behind the drop of its database makes a new one`() throws {
        let disk = SimulatedFileSystem()
        let first = try SimulatedStore.make(on: disk)
        try first.write([TestRow(fields: [("x", .int64(1))])], database: "x")
        try first.engine.close()
        let error = try during(
            { (engine) throws(StorageError) in try engine.dropDatabase("x", ifExists: false) },
            on: disk
        ) { engine in
            // Readers still see it: it is not certain yet that it goes.
            #expect(engine.catalog.database(named: "x")?.table(named: "t") != nil)
            engine.commit(row("late", in: "x")) { _ in }
        }
        #expect(error == nil)
        for _ in 0..<2 {
            let store = try SimulatedStore.make(on: disk)
            #expect(store.table("t", in: "x") == nil)
            #expect(try store.rowCount("late", in: "x") == 1)
            try store.engine.flush()
            try store.engine.close()
        }
    }

    /// Many catalog files become one, with all of the catalog in it, while a statement's record is
    /// on its way to the log.
    @Test func `a database survives catalog files that were merged while it was being made`() throws
    {
        let disk = SimulatedFileSystem()
        let log = PausingFileSystem(disk)
        let catalog = PausingFileSystem(log, folder: "catalog/")
        let engine = try StorageEngine(
            fileSystem: catalog, options: SimulatedStore.smallOptions(),
            environment: EngineEnvironment(
                now: { PointGenerator.startNanoseconds }, usesThreads: true))
        for number in 1...8 {
            try engine.commit(row("t\(number)", in: "first"))
            try engine.flush()
        }
        // The ninth: its files are merged.
        try engine.commit(row("t9", in: "first"))
        let (made, flushed) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        catalog.arm()
        DispatchQueue.global().async {
            try? engine.flush()
            flushed.signal()
        }
        catalog.waitUntilPaused()
        log.arm()
        DispatchQueue.global().async {
            try? engine.createDatabase("made", ifNotExists: false)
            made.signal()
        }
        log.waitUntilPaused()
        engine.commit(row("t", in: "written")) { _ in }
        catalog.release()
        flushed.wait()
        log.release()
        made.wait()
        try engine.commit(row("t", in: "made"))
        try engine.close()
        let store = try SimulatedStore.make(on: disk)
        #expect(try store.rowCount("t", in: "made") == 1)
        #expect(try store.rowCount("t", in: "written") == 1)
        for number in 1...9 { #expect(try store.rowCount("t\(number)", in: "first") == 1) }
    }

    /// The merged catalog file has forgotten the dropped, and the log still speaks of them.
    @Test func `what was dropped while catalog files were being merged stays so`() throws {
        let disk = SimulatedFileSystem()
        let data = PausingFileSystem(disk, folder: "data/")
        let engine = try StorageEngine(
            fileSystem: data, options: SimulatedStore.smallOptions(),
            environment: EngineEnvironment(
                now: { PointGenerator.startNanoseconds }, usesThreads: true))
        for number in 1...8 {
            try engine.commit(row("t\(number)", in: "first"))
            try engine.commit(row("t\(number)", in: "second"))
            try engine.flush()
        }
        // The ninth: its files are merged.
        try engine.commit(row("t9", in: "first"))
        let flushed = DispatchSemaphore(value: 0)
        data.arm()
        DispatchQueue.global().async {
            try? engine.flush()
            flushed.signal()
        }
        data.waitUntilPaused()
        for (table, database) in [("t1", "first"), ("t1", "second"), ("new", "second")] {
            var builder = RowBuilder(database: database)
            builder.append(
                table: table, tags: ["k": "w", "l": "v"], time: PointGenerator.startNanoseconds,
                fields: [("x", .float64(0.5)), ("y", .int64(1))])
            try engine.commit(builder.batch)
        }
        try engine.dropTable(database: "first", name: "t1", ifExists: false)
        try engine.setRetention(ofDatabase: "second", nanoseconds: 9_000_000_000_000)
        try engine.dropDatabase("second", ifExists: false)
        // A table that came and went, and names that were taken again.
        try engine.commit(row("brief", in: "first"))
        try engine.dropTable(database: "first", name: "brief", ifExists: false)
        for (table, database) in [("brief", "first"), ("t1", "first"), ("t1", "second")] {
            try engine.commit(row(table, in: database))
        }
        data.release()
        flushed.wait()
        let before = summary(engine)
        #expect(before.count == 1 + 9 + 1 + 1 + 1)
        let store = try SimulatedStore.make(on: disk.afterProcessKill())
        for _ in 0..<3 {
            #expect(summary(store.engine) == before)
            for (table, database) in [("brief", "first"), ("t1", "first"), ("t1", "second")] {
                #expect(try store.rowCount(table, in: database) == 1, "\(database).\(table)")
            }
            try store.reopen()
            try store.engine.flush()
        }
        try engine.close()
    }
}
