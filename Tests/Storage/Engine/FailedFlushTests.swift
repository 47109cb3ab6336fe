// What a flush or merge leaves that could not replace MANIFEST: nothing. And one that nobody waits
// for any more.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct FailedFlushTests {
    private func files(_ store: SimulatedStore) -> [String] {
        store.disk.paths.filter { $0.hasPrefix("data/") || $0.hasPrefix("catalog/") }
    }

    @Test func `a flush that can't replace MANIFEST leaves no files, however often it is tried`()
        throws
    {
        let store = try SimulatedStore.make()
        try store.write([TestRow(fields: [("x", .int64(1))])])
        try store.engine.flush()
        let before = files(store)
        try store.write([TestRow(table: "u", fields: [("x", .int64(2))])])
        store.disk.fail(.write, with: .noSpace, forEver: true, pathContains: "MANIFEST.new")
        for _ in 0..<3 {
            #expect(throws: StorageError.self) { try store.engine.flush() }
            #expect(files(store) == before)
        }
        store.disk.clearFaults()
        try store.engine.flush()
        try store.reopen()
        #expect(try store.rowCount("t") == 1)
        #expect(try store.rowCount("u") == 1)
    }

    @Test func `a flush that nobody waits for any more is finished all the same`() throws {
        let disk = SimulatedFileSystem()
        let pausing = PausingFileSystem(disk, folder: "data/")
        let engine = try StorageEngine(
            fileSystem: pausing, options: SimulatedStore.smallOptions(),
            environment: EngineEnvironment(
                now: { PointGenerator.startNanoseconds }, usesThreads: true))
        var builder = RowBuilder(database: "default")
        builder.append(
            table: "t", tags: [:], time: PointGenerator.startNanoseconds,
            fields: [("x", .int64(1))])
        try engine.commit(builder.batch)
        pausing.arm()
        #expect(throws: StorageError.cancelled) { try engine.flush(unless: { true }) }
        #expect(throws: StorageError.cancelled) { try engine.compact(nil, unless: { true }) }
        pausing.release()
        try engine.flush(unless: { false })
        #expect(engine.metrics().segmentCount == 1 && engine.metrics().frozenHeadBytes == 0)
        try engine.close()
    }

    @Test func `a merge that can't replace MANIFEST leaves no file`() throws {
        let store = try SimulatedStore.make()
        for number in 1...2 {
            try store.write([TestRow(fields: [("x", .int64(Int64(number)))])])
            try store.engine.flush()
        }
        let before = files(store)
        // The flush of nothing that comes first replaces it once.
        store.disk.fail(
            .write, number: 2, with: .noSpace, forEver: true, pathContains: "MANIFEST.new")
        for _ in 0..<2 {
            #expect(throws: StorageError.self) { try store.engine.compact(nil) }
            #expect(files(store) == before)
        }
    }

    /// Its rename may be on the device, and the files are then what the store consists of.
    @Test func `files stay where it is unknown whether MANIFEST names them`() throws {
        let store = try SimulatedStore.make()
        try store.write([TestRow(fields: [("x", .int64(1))])])
        store.disk.fail(.syncDirectory, number: 2, with: .inputOutput, pathContains: "")
        var failure: StorageError?
        for number in 1...20 where failure == nil {
            store.disk.clearFaults()
            store.disk.fail(.syncDirectory, number: number, with: .inputOutput)
            _ = try? store.write([TestRow(time: Int64(number), fields: [("x", .int64(1))])])
            do throws(StorageError) { try store.engine.flush() } catch {
                if case .readOnly = error { failure = error }
            }
        }
        #expect(failure != nil)
        for image in [
            store.disk.afterProcessKill(), store.disk.afterPowerLoss(keeping: .nothingUnsynced),
        ] {
            let again = try SimulatedStore(disk: image, options: store.options)
            #expect(again.engine.health().status == .pass)
            #expect(try again.rowCount("t") > 0)
        }
    }
}
