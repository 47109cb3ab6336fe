// Retention and the disk: files go when their whole partition is past, and not before.
//
// Only the maintenance thread drops files by itself, so these run with threads and wait for it.

import ApusStorage
import ApusTestKit
import Glibc
import Testing

@Suite struct RetentionFileTests {
    private static let hourNanoseconds: Int64 = 3_600_000_000_000
    private let disk = SimulatedFileSystem()
    private let clock = ManualClock()

    private func open() throws -> StorageEngine {
        // Merges would leave files of their own.
        var options = SimulatedStore.smallOptions()
        options.coldAfterSeconds = 3_600
        return try StorageEngine(
            fileSystem: disk, options: options,
            environment: EngineEnvironment(now: { [clock] in clock.now }, usesThreads: true))
    }

    /// Stores a row an hour, the newest now, and flushes.
    private func write(_ engine: StorageEngine, hours: Int) throws {
        var builder = RowBuilder(database: "default")
        for hour in 0..<hours {
            builder.append(
                table: "t", tags: ["k": "a"],
                time: clock.now - Int64(hour) * Self.hourNanoseconds,
                fields: [("x", .int64(Int64(hour)))])
        }
        builder.batch.dropGeneration = engine.catalog.dropGeneration
        #expect(try engine.commit(builder.batch).rowsStored == hours)
        try engine.flush()
    }

    private var segmentCount: Int { disk.paths.count { $0.hasSuffix(".segment") } }

    /// Whether only so many files stay, without another write: the engine lets go of the others, and
    /// a MANIFEST later, when MANIFEST.previous doesn't name them any more either, they are gone.
    private func becomes(_ count: Int, _ engine: StorageEngine) -> Bool {
        for _ in 0..<60 where segmentCount != count { usleep(100_000) }
        return segmentCount == count && engine.metrics().segmentCount == count
    }

    @Test func `a partition's file goes when all of it is past, and not before`() throws {
        let engine = try open()
        try engine.createDatabase(
            "default", ifNotExists: true, retentionNanoseconds: 600_000_000_000,
            partitionNanoseconds: nil)
        try write(engine, hours: 1)
        #expect(segmentCount == 1)
        // The row is at the start of its hour: past after 600 s, its partition after 4,200 s.
        // In steps below an hour, since a clock that jumps pauses retention.
        for seconds in [3_000, 1_100] {
            clock.advance(seconds: seconds)
            usleep(2_500_000)
            #expect(engine.metrics().segmentCount == 1)
        }
        clock.advance(seconds: 200)
        #expect(becomes(0, engine))
        // What a crash at this moment leaves can be opened.
        let crashed = try StorageEngine(
            fileSystem: disk.afterPowerLoss(keeping: .nothingUnsynced),
            options: SimulatedStore.smallOptions())
        #expect(crashed.health().damagedFiles.isEmpty)
        try crashed.close()
        try engine.close()
        let reopened = try open()
        #expect(reopened.health().damagedFiles.isEmpty)
        try reopened.close()
    }

    @Test func `a retention that is shortened frees the files of what is past`() throws {
        let engine = try open()
        try engine.createDatabase(
            "default", ifNotExists: true, retentionNanoseconds: 0, partitionNanoseconds: nil)
        try write(engine, hours: 10)
        #expect(segmentCount == 10)
        // The partitions of now, of one and of two hours ago end after the retention's edge.
        try engine.setRetention(ofDatabase: "default", nanoseconds: 2 * Self.hourNanoseconds)
        #expect(becomes(3, engine))
        try engine.close()
        #expect(segmentCount == 3)
    }

    @Test func `retention frees files while a full device refuses the flush`() throws {
        let engine = try open()
        defer { try? engine.close() }
        try engine.createDatabase(
            "default", ifNotExists: true, retentionNanoseconds: 0, partitionNanoseconds: nil)
        try write(engine, hours: 10)
        disk.fail(.create, with: .noSpace, forEver: true, pathContains: "data/")
        #expect(throws: StorageError.self) { try write(engine, hours: 1) }
        try engine.setRetention(ofDatabase: "default", nanoseconds: 2 * Self.hourNanoseconds)
        #expect(becomes(3, engine))
        #expect(engine.health().status == .warn)
    }

    @Test func `the inputs of a merge go without another write`() throws {
        let engine = try open()
        defer { try? engine.close() }
        try engine.createDatabase(
            "default", ifNotExists: true, retentionNanoseconds: 0, partitionNanoseconds: nil)
        for _ in 0..<2 { try write(engine, hours: 1) }
        #expect(segmentCount == 2)
        try engine.compact(nil)
        #expect(becomes(1, engine))
    }
}
