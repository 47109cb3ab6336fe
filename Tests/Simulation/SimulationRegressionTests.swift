import ApusStorage
import ApusTestKit
import Testing

/// Bugs that the simulation found once, each by its shortest path.
@Suite struct SimulationRegressionTests {
    private struct Run {
        let store: SimulatedStore
        var reference: ReferenceDatabase
        private var generator = PointGenerator(seed: 21, options: .small)

        init() throws(StorageError) {
            let options = SimulatedStore.smallOptions()
            store = try SimulatedStore(disk: SimulatedFileSystem(), options: options)
            reference = ReferenceDatabase(options: options)
            try write()
        }

        mutating func write() throws(StorageError) {
            let operation = StoreOperation.write(
                database: "default", rows: generator.rows(now: store.clock.now))
            try store.perform(operation)
            reference.apply(operation, now: store.clock.now)
        }

        func difference(on image: SimulatedFileSystem) throws(StorageError) -> String? {
            try SimulatedStore(disk: image, options: store.options, clock: store.clock)
                .difference(from: reference)
        }
    }

    @Test func `a MANIFEST whose name could not be synced keeps the files it names`() throws {
        // Of the directory syncs of a flush, the last one of the root is that of MANIFEST's name.
        let counting = try Run()
        counting.store.disk.recordsCalls = true
        try counting.store.perform(.flush)
        let syncs = counting.store.disk.callLog.filter { $0.kind == .syncDirectory }
        let last = try #require(syncs.lastIndex { $0.path.isEmpty })

        var run = try Run()
        let disk = run.store.disk
        disk.fail(.syncDirectory, number: last + 1, with: .inputOutput)
        #expect(throws: StorageError.self) { try run.store.perform(.flush) }
        // Which MANIFEST a reopening finds is unknown: nothing is written any more.
        #expect(run.store.engine.health().status == .fail)
        #expect(throws: StorageError.self) { try run.write() }
        #expect(try run.store.difference(from: run.reference) == nil)
        #expect(try run.difference(on: disk.afterProcessKill()) == nil)
        #expect(try run.difference(on: disk.afterPowerLoss(keeping: .nothingUnsynced)) == nil)
    }

    @Test func `a partition's directory is synced even if it exists already`() throws {
        let run = try Run()
        let disk = run.store.disk
        let partition = PointGenerator.startNanoseconds
        for offset in -6...30 {
            try disk.createDirectory("data/1/\(partition + Int64(offset) * 3_600_000_000_000)")
        }
        try run.store.perform(.flush)
        #expect(disk.paths.contains { $0.hasSuffix(".segment") })
        #expect(try run.difference(on: disk.afterPowerLoss(keeping: .nothingUnsynced)) == nil)
    }

    @Test func `a segment that can't be mapped replaces no head`() throws {
        let run = try Run()
        run.store.disk.fail(.map, with: .inputOutput, forEver: true)
        #expect(throws: StorageError.self) { try run.store.perform(.flush) }
        #expect(try run.store.difference(from: run.reference) == nil)
        run.store.disk.clearFaults()
        try run.store.perform(.flush)
        #expect(try run.store.difference(from: run.reference) == nil)
        #expect(run.store.engine.health().damagedFiles.isEmpty)
    }

    @Test func `one time at the end of 64 bits doesn't refuse its neighbours`() throws {
        let run = try Run()
        let now = run.store.clock.now
        let rows = [Int64.min, now, .min + 1, .max].map {
            ReferenceRow(
                table: "t", tags: [:], time: $0, fields: [(name: "v", value: .int64(1))])
        }
        let outcome = try run.store.perform(.write(database: "default", rows: rows))
        #expect(outcome == ReferenceDatabase.WriteOutcome(rowsStored: 1, hasRefusals: true))
    }

    /// The only log file had nothing that a segment had not, so closing removed it, while MANIFEST
    /// still said that the log ended in it.
    @Test func `a crash while a store closes to which nothing was written leaves one that opens`()
        throws
    {
        let options = SimulatedStore.smallOptions()
        for call in 1...200 {
            let disk = SimulatedFileSystem()
            let store = try SimulatedStore(disk: disk, options: options)
            try store.engine.createDatabase("kept", ifNotExists: false)
            try store.engine.flush()
            try store.reopen()
            disk.crash(atCall: call, changesOnly: true, seed: UInt64(call))
            try? store.engine.close()
            for image in [
                disk.afterProcessKill(), disk.afterPowerLoss(keeping: .everything),
                disk.afterPowerLoss(keeping: .nothingUnsynced),
            ] {
                let again = try SimulatedStore(disk: image, options: options)
                #expect(again.engine.catalog.database(named: "kept") != nil, "change \(call)")
            }
            guard disk.hasCrashed else { break }
        }
    }
}
