import ApusStorage
import ApusTestKit
import Testing

@Suite struct LogTests {
    @Test func `what was committed is replayed in order, across files`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        for _ in 0..<40 { try LogFixture.commit(writer, count: 5) }
        #expect(writer.liveFiles.count > 3)
        #expect(writer.lastSequence == 200)
        #expect(writer.durableThrough == 200)
        let (records, recovery) = try LogFixture.replay(disk)
        #expect(records.count == 200)
        #expect(LogFixture.areRight(records))
        #expect(recovery.tornTail == nil)
        #expect(recovery.lastSequence == 200)
        #expect(recovery.files == writer.liveFiles)
        #expect(recovery.byteCount == writer.bytesSinceStart)
        let later = try LogFixture.replay(disk, after: 150).records
        #expect(later.count == 50)
        #expect(LogFixture.areRight(later, from: 151))
        #expect(try LogFixture.problems(disk).isEmpty)
    }

    @Test func `an empty directory replays to nothing`() throws {
        let (records, recovery) = try LogFixture.replay(SimulatedFileSystem(), after: 7)
        #expect(records.isEmpty)
        #expect(recovery.lastSequence == 7)
        #expect(recovery.nextFileNumber == 1)
    }

    @Test func `a record larger than a file gets a file of its size`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        try LogFixture.commit(writer, count: 1)
        try LogFixture.commit(writer, count: 1, payloadBytes: 3 << 20)
        try LogFixture.commit(writer, count: 1)
        let records = try LogFixture.replay(disk).records
        #expect(records.map(\.sequence) == [1, 2, 3])
        #expect(records[1].payload == LogFixture.payload(2, count: 3 << 20))
    }

    @Test func `a group is one write and one sync`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        try LogFixture.commit(writer, count: 1)
        disk.recordsCalls = true
        try LogFixture.commit(writer, count: 10, payloadBytes: 100)
        #expect(disk.callLog.map(\.kind) == [.write, .sync])
        #expect(disk.callLog[0].count == 10 * 136 + 32)
    }

    @Test func `a file's header and name are durable before its first record`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        disk.recordsCalls = true
        try LogFixture.commit(writer, count: 1)
        let kinds = disk.callLog.map(\.kind).filter { $0.changes && $0 != .remove }
        #expect(
            kinds == [.create, .allocate, .write, .sync, .rename, .syncDirectory, .write, .sync])
    }

    @Test func `recycled files replay only what they hold now`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        for round in 1...60 {
            try LogFixture.commit(writer, count: 4)
            if round % 10 == 0 {
                try writer.removeFiles(whollyAtOrBelow: writer.lastSequence - 20)
                try writer.spares.prepareSpare()
            }
            if round % 7 == 0 {
                let (records, _) = try LogFixture.replay(
                    disk, after: writer.liveFiles[0].firstSequence - 1)
                #expect(records.last?.sequence == writer.lastSequence)
                #expect(LogFixture.areRight(records, from: writer.liveFiles[0].firstSequence))
            }
        }
        #expect(disk.paths.filter { $0.contains("spare") }.count <= 2)
        #expect(try LogFixture.problems(disk, after: writer.lastSequence).isEmpty)
    }

    @Test func `a prepared spare becomes the next file`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        try writer.spares.prepareSpare()
        #expect(writer.spares.readyCount == 1)
        try LogFixture.commit(writer, count: 3)
        #expect(writer.spares.readyCount == 0)
        #expect(disk.contents("log/000001.log")?.count == 16 << 10)
        #expect(LogFixture.areRight(try LogFixture.replay(disk).records))
    }

    @Test func `a full disk refuses the group and the log goes on when there is room`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        try LogFixture.commit(writer, count: 3)
        for failure in 0..<8 {
            disk.fail(.write, with: .noSpace)
            #expect(throws: StorageError.self) { try LogFixture.commit(writer, count: 4) }
            #expect(LogFixture.areRight(try LogFixture.replay(disk).records))
            #expect(try LogFixture.replay(disk).records.count == 3 + failure)
            try LogFixture.commit(writer, count: 1)
        }
        disk.bytesMax = 17 << 10
        var refused = 0
        for _ in 0..<40 {
            do { try LogFixture.commit(writer, count: 2) } catch {
                guard case .diskFull = error else { throw error }
                refused += 1
            }
        }
        #expect(refused > 0)
        #expect(writer.failure == nil)
        disk.bytesMax = nil
        try LogFixture.commit(writer, count: 5)
        let records = try LogFixture.replay(disk).records
        #expect(LogFixture.areRight(records))
        #expect(UInt64(records.count) == writer.lastSequence)
    }

    @Test func `a failed sync ends all writing`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        try LogFixture.commit(writer, count: 3)
        disk.fail(.sync, with: .inputOutput)
        #expect(throws: StorageError.self) { try LogFixture.commit(writer, count: 1) }
        disk.recordsCalls = true
        for _ in 0..<3 {
            do {
                try LogFixture.commit(writer, count: 1)
                Issue.record("wrote after a failed sync")
            } catch {
                guard case .readOnly = error else { throw error }
            }
        }
        #expect(disk.callLog.isEmpty)
        #expect(writer.durableThrough == 3)
    }

    @Test func `a failed write that can't be undone ends all writing`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        try LogFixture.commit(writer, count: 3)
        disk.fail(.write, with: .inputOutput, forEver: true)
        disk.fail(.truncate, with: .inputOutput, forEver: true)
        #expect(throws: StorageError.self) { try LogFixture.commit(writer, count: 1) }
        #expect(writer.failure != nil)
    }

    @Test func `a group over the limit of the log never reaches it`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        writer.beginGroup()
        try writer.appendRecord(kind: .write) { $0.append([1]) }
        writer.beginGroup()
        try writer.commitGroup(sync: true)
        #expect(writer.lastSequence == 0)
    }
}
