// A record has limits; who passes one must not take others along.

import ApusStorage
import ApusTestKit
import Dispatch
import Synchronization
import Testing

@Suite struct LargeRecordTests {
    /// More than a piece of definitions, less than the large write below.
    private let recordBytesMax = 5 << 20

    private func open(_ disk: any FileSystem, usesThreads: Bool) throws -> StorageEngine {
        var options = StorageOptions()
        options.logFileBytes = 1 << 20
        return try StorageEngine(
            fileSystem: disk, options: options,
            environment: EngineEnvironment(
                now: { PointGenerator.startNanoseconds }, usesThreads: usesThreads,
                logRecordBytesMax: recordBytesMax))
    }

    private func batch(_ table: String, textBytes: Int = 1, count: Int = 1) -> WriteBatch {
        var builder = RowBuilder(database: "default")
        for number in 0..<count {
            builder.append(
                table: table, tags: [:], time: PointGenerator.startNanoseconds - Int64(number),
                fields: [("x", .string([UInt8](repeating: 65, count: textBytes)))])
        }
        return builder.batch
    }

    @Test func `a write too large for a record is refused alone, its neighbours are stored`() throws
    {
        let disk = SimulatedFileSystem()
        let pausing = PausingFileSystem(disk)
        let engine = try open(pausing, usesThreads: true)
        let answers = Mutex<[Int: Result<Int, StorageError>]>([:])
        let done = DispatchGroup()
        func commit(_ number: Int, _ batch: WriteBatch) {
            done.enter()
            engine.commit(batch) { result in
                answers.withLock { $0[number] = result.map(\.rowsStored) }
                done.leave()
            }
        }
        pausing.arm()
        commit(0, batch("first"))
        pausing.waitUntilPaused()
        // These three gather while the first is written.
        commit(1, batch("before"))
        commit(2, batch("large", textBytes: 60_000, count: 100))
        commit(3, batch("behind"))
        pausing.release()
        done.wait()
        let found = answers.withLock { $0 }
        for number in [0, 1, 3] { #expect(found[number] == .success(1), "write \(number)") }
        guard case .failure(.limit(let text)) = found[2] else {
            Issue.record("\(String(describing: found[2]))")
            return
        }
        #expect(text.contains("send it in parts"))
        #expect(engine.catalog.database(named: "default")?.table(named: "large") == nil)
        try engine.close()
        let again = try open(disk, usesThreads: false)
        let contents = try ScanDump.read(again, checksScans: false).contents
        #expect(Set(contents.tables.keys.map(\.table)) == ["first", "before", "behind"])
    }

    @Test func `definitions of more bytes than a record holds go into several`() throws {
        let disk = SimulatedFileSystem()
        var engine = try open(disk, usesThreads: false)
        func write() throws {
            var builder = RowBuilder(database: "default")
            for number in 0..<200 {
                let value = String(repeating: "v", count: 60_000) + "\(number)"
                builder.append(
                    table: "t", tags: ["k": value], time: PointGenerator.startNanoseconds,
                    fields: [("x", .int64(Int64(number)))])
            }
            #expect(try engine.commit(builder.batch).rowsStored == 200)
        }
        try write()
        try engine.close()
        var kinds: [LogRecord.Kind] = []
        _ = try LogReader.replay(fileSystem: disk, after: 0, cleanEnd: nil) {
            (_, kind, payload) throws(StorageError) in
            kinds.append(kind)
            #expect(payload.count <= recordBytesMax)
        }
        #expect(kinds == [.definitions, .definitions, .definitions, .write])
        engine = try open(disk, usesThreads: false)
        #expect(engine.catalog.database(named: "default")?.table(named: "t")?.seriesCount == 200)
    }

    @Test func `a record that would take more memory than any write may have is damage`() throws {
        // A million rows in a megabyte, and 65,535 columns of one value each: half a terabyte.
        let rows = 1 << 20
        let fields = 65_535
        var payload = ByteWriter()
        payload.appendVarint(1)
        payload.appendVarint(1)
        payload.appendVarint(UInt64(rows))
        payload.appendVarint(UInt64(fields))
        for field in 0..<fields {
            payload.appendVarint(UInt64(field))
            payload.append(FieldType.int64.rawValue)
        }
        payload.append(UInt8(0))
        payload.appendVarint(1)
        payload.appendZeros(rows)
        payload.appendSignedVarint(1)
        payload.appendVarint(UInt64(rows))
        payload.appendZeros(fields * 9)
        var failure: ByteReader.Malformed?
        // Safe: decoding copies what it keeps.
        payload.bytes.withUnsafeBytes { bytes in
            do throws(ByteReader.Malformed) { _ = try BatchRecord.decode(bytes) } catch {
                failure = error
            }
        }
        #expect(failure?.reason == "rows of more than \(2 << 30) bytes in memory")
    }

    @Test func `a write that no record could be read back from is refused and creates nothing`()
        throws
    {
        let engine = try open(SimulatedFileSystem(), usesThreads: false)
        let batch = WriteBatch(database: "default")
        batch.dropGeneration = .max
        let shape = RowShape(table: Array("t".utf8), fieldNames: [], types: [])
        let group = RowGroup(shape: shape)
        for _ in 0...(1 << 20) { batch.groups.append(group) }
        #expect(throws: StorageError.self) { try engine.commit(batch) }
        #expect(engine.catalog.database(named: "default") == nil)
    }
}
