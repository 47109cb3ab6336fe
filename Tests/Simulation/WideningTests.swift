// A field's type in memory, in the log and in segments: the log knows of a widening first.
//
// Only the maintenance thread flushes what an earlier flush could not, so this runs with threads.

import ApusStorage
import ApusTestKit
import Glibc
import Testing

@Suite struct WideningTests {
    private let disk = SimulatedFileSystem()

    private func open(_ disk: SimulatedFileSystem) throws -> StorageEngine {
        let clock = ManualClock()
        return try StorageEngine(
            fileSystem: disk, options: SimulatedStore.smallOptions(),
            environment: EngineEnvironment(now: { clock.now }, usesThreads: true))
    }

    private func write(_ engine: StorageEngine, _ value: RowBuilder.Value) throws {
        var builder = RowBuilder(database: "default")
        builder.append(
            table: "t", tags: [:], time: PointGenerator.startNanoseconds, fields: [("x", value)])
        builder.batch.dropGeneration = engine.catalog.dropGeneration
        try engine.commit(builder.batch)
    }

    @Test func `a widening that the log does not hold reaches nobody and no segment`() throws {
        let engine = try open(disk)
        defer { try? engine.close() }
        try write(engine, .int64(7))
        disk.fail(.create, with: .inputOutput, forEver: true, pathContains: "data/")
        #expect(throws: StorageError.self) { try engine.flush() }
        disk.fail(.write, with: .noSpace, forEver: true, pathContains: "log/")
        #expect(throws: StorageError.self) { try write(engine, .float64(0.5)) }
        let table = try #require(engine.catalog.database(named: "default")?.table(named: "t"))
        #expect(table.schema.fields.map(\.type) == [.int64])
        disk.clearFaults()
        for _ in 0..<60 where engine.metrics().segmentCount == 0 { usleep(100_000) }
        #expect(engine.metrics().segmentCount == 1)

        let reopened = try open(disk.afterPowerLoss(keeping: .nothingUnsynced))
        defer { try? reopened.close() }
        let dump = try ScanDump.read(reopened)
        #expect(dump.problems.isEmpty)
        #expect(dump.contents.rowCount == 1)
        #expect(reopened.health().damagedFiles.isEmpty)
    }
}
