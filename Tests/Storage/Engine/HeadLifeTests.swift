// When heads freeze, logs are synced and trimmed, and what of the catalog a flush keeps.

import ApusStorage
import ApusTestKit
import Glibc
import Testing

@Suite struct HeadLifeTests {
    private func row(
        _ store: SimulatedStore, bytes: Int = 1, at offset: Int64 = 0
    ) -> TestRow {
        TestRow(
            time: store.clock.now + offset,
            fields: [("x", .string([UInt8](repeating: 65, count: bytes)))])
    }

    @Test func `a head freezes by its age, by its bytes and by those of the log`() throws {
        func segments(_ change: (inout StorageOptions) -> Void) throws -> Int {
            let store = try SimulatedStore.make {
                $0.headShareOfMemory = 1
                $0.logBytesMax = 1 << 30
                change(&$0)
            }
            for offset in 0..<3 as Range<Int64> {
                try store.write([row(store, bytes: 50_000, at: offset)])
                // An age is whole seconds, and this is more than none.
                usleep(1_000)
            }
            return store.engine.metrics().segmentCount
        }
        #expect(try segments { _ in } == 0)
        #expect(try segments { $0.headAgeMaxSeconds = 0 } > 0)
        #expect(try segments { $0.headShareOfMemory = 0.01 } > 0)
        #expect(try segments { $0.logBytesMax = 100_000 } > 0)
    }

    @Test func `acknowledged batches give their memory back`() throws {
        let store = try SimulatedStore.make()
        let bytes = store.options.memoryBytesMax / 8
        for offset in 0..<32 as Range<Int64> {
            #expect(try store.write([row(store, bytes: bytes, at: offset)]).rowsStored == 1)
        }
    }

    @Test func `with an interval, a write behind it syncs what came before`() throws {
        let store = try SimulatedStore.make { $0.durability = .interval(milliseconds: 1) }
        for offset in [0, 1] as [Int64] {
            usleep(2_000)
            try store.write([row(store, at: offset)])
        }
        let after = try SimulatedStore(
            disk: store.disk.afterPowerLoss(keeping: .nothingUnsynced), options: store.options)
        #expect(try after.rowCount("t") == 2)
    }

    @Test(arguments: [Durability.none, .interval(milliseconds: 3_600_000)])
    func `what was flushed or closed survives a power cut in every mode of durability`(
        durability: Durability
    ) throws {
        for ends in ["flushed", "closed"] {
            let store = try SimulatedStore.make { $0.durability = durability }
            try store.write([row(store)])
            if ends == "flushed" { try store.engine.flush() } else { try store.engine.close() }
            let after = try SimulatedStore(
                disk: store.disk.afterPowerLoss(keeping: .nothingUnsynced), options: store.options)
            #expect(try after.rowCount("t") == 1, "\(ends)")
            #expect(after.engine.health().damagedFiles.isEmpty, "\(ends)")
        }
    }

    @Test func `a flush syncs the log before it freezes the head`() throws {
        let store = try SimulatedStore.make { $0.durability = .none }
        try store.write([row(store)])
        store.disk.fail(.sync, with: .inputOutput, pathContains: "log/")
        #expect(throws: StorageError.self) { try store.engine.flush() }
        #expect(store.engine.metrics().segmentCount == 0)
        #expect(throws: StorageError.self) { try store.write([row(store, at: 1)]) }
        #expect(try store.rowCount("t") == 1)
    }

    @Test func `log files go once their rows are in segments`() throws {
        let store = try SimulatedStore.make { $0.logBytesMax = 1 << 30 }
        var logBytes: Int {
            store.disk.paths.filter { $0.hasPrefix("log/") && $0.hasSuffix(".log") }
                .reduce(0) { $0 + (store.disk.contents($1)?.count ?? 0) }
        }
        for offset in 0..<120 as Range<Int64> {
            try store.write([row(store, bytes: 20_000, at: offset)])
            if offset % 20 == 19 { try store.engine.flush() }
        }
        // The newest, and spares.
        #expect(logBytes <= 5 * store.options.logFileBytes)
        #expect(try store.rowCount("t") == 120)
    }

    @Test func `what was dropped stays so when the log no longer tells`() throws {
        let store = try SimulatedStore.make()
        func flushAndReopen() throws {
            try store.engine.flush()
            try store.reopen()
        }
        let other = TestRow(table: "other", fields: [("x", .int64(1))])
        try store.write([other])
        try store.write([row(store)])
        try store.write([row(store)], database: "x")
        try store.write([row(store)], database: "y")
        try flushAndReopen()
        let old = try #require(store.table("t"))
        try store.engine.dropTable(database: "default", name: "t", ifExists: false)
        try store.engine.dropDatabase("x", ifExists: false)
        try store.engine.dropDatabase("y", ifExists: false)
        try store.engine.createDatabase("y", ifNotExists: false)
        // In between the catalog files become one, which has forgotten the drops.
        for round in 0..<12 {
            #expect(store.engine.catalog.allDatabases.map(\.name) == ["default", "y"])
            #expect(store.table("t") == nil && store.table("t", in: "y") == nil)
            try store.write([TestRow(table: "other", tags: ["k": "\(round)"], fields: other.fields)]
            )
            try flushAndReopen()
        }
        try store.write([row(store)])
        #expect(try store.rowCount("t") == 1)
        // Numbers are never used again: a segment may still hold rows of the old one.
        #expect(try #require(store.table("t")).id > old.id)
    }

    @Test
    func `where nothing can be flushed, writes are refused before memory is full, and resume`()
        throws
    {
        let store = try SimulatedStore.make()
        let bytes = store.options.memoryBytesMax / 8
        store.disk.fail(.create, with: .noSpace, forEver: true, pathContains: "data/")
        var stored = 0
        var refusal: StorageError?
        while refusal == nil, stored < 100 {
            do throws(StorageError) {
                try store.write([row(store, bytes: bytes, at: Int64(stored))])
                stored += 1
            } catch { refusal = error }
        }
        guard case .overloaded = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
        }
        #expect(stored * bytes <= store.options.memoryBytesMax)
        #expect(try store.rowCount("t") == stored)
        #expect(throws: StorageError.self) {
            try store.engine.createDatabase("x", ifNotExists: false)
        }
        store.disk.clearFaults()
        try store.engine.flush()
        try store.write([row(store, at: Int64(stored))])
        #expect(try store.rowCount("t") == stored + 1)
    }

    @Test func `a retention that was changed is the one that a catalog file keeps`() throws {
        let store = try SimulatedStore.make()
        let second: Int64 = 1_000_000_000
        try store.engine.createDatabase("x", ifNotExists: false, retentionNanoseconds: second)
        for seconds in [2, 0, 3] as [Int64] {
            try store.engine.setRetention(ofDatabase: "x", nanoseconds: seconds * second)
            for _ in 0..<2 {
                let found = store.engine.catalog.database(named: "x")?.retentionNanoseconds
                #expect(found == seconds * second)
                try store.engine.flush()
                try store.reopen()
            }
        }
    }
}
