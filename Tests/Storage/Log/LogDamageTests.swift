import ApusStorage
import ApusTestKit
import Testing

@Suite struct LogDamageTests {
    private static let path = "log/000001.log"

    /// Eight records in four synced groups; returns the file cut a little behind its end.
    private static func smallLog() throws -> (disk: SimulatedFileSystem, bytes: [UInt8], end: Int) {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        for _ in 0..<4 { try LogFixture.commit(writer, count: 2) }
        let end = Int(writer.currentPosition.offset)
        let bytes = Array((disk.contents(path) ?? []).prefix(end + 64))
        return (disk, bytes, end)
    }

    @Test func `a log cut at any byte replays a prefix or is damaged`() throws {
        let (disk, bytes, end) = try Self.smallLog()
        var best = 0
        for cut in 0...bytes.count {
            disk.setContents(Self.path, Array(bytes.prefix(cut)))
            do {
                let (records, _) = try LogFixture.replay(disk)
                #expect(cut >= 4096 && LogFixture.areRight(records), "cut at \(cut)")
                #expect(records.count >= best)
                best = records.count
                #expect(cut < end || records.count == 8)
            } catch {
                guard case .corrupt = error, cut < 4096 else {
                    Issue.record("cut at \(cut): \(error)")
                    continue
                }
            }
            _ = try LogFixture.problems(disk)
        }
        #expect(best == 8)
    }

    @Test func `a log with any bit flipped replays a prefix or is damaged`() throws {
        let (disk, bytes, end) = try Self.smallLog()
        var damaged = 0
        for offset in 0..<bytes.count {
            var flipped = bytes
            flipped[offset] ^= 1 << UInt8(offset % 8)
            disk.setContents(Self.path, flipped)
            let problems = try LogFixture.problems(disk)
            #expect(!problems.isEmpty || offset >= end + 32, "flip at \(offset)")
            do {
                let records = try LogFixture.replay(disk).records
                // Only the last group isn't vouched for by a later record.
                #expect(records.count >= 6 && LogFixture.areRight(records), "flip at \(offset)")
            } catch {
                guard case .corrupt = error else {
                    Issue.record("flip at \(offset): \(error)")
                    continue
                }
                #expect(problems.contains { $0.isDamage })
                damaged += 1
            }
        }
        #expect(damaged > 4096)
    }

    @Test func `after a clean shutdown any change is damage`() throws {
        let (disk, bytes, end) = try Self.smallLog()
        let cleanEnd = LogPosition(fileNumber: 1, offset: UInt64(end))
        #expect(try LogFixture.replay(disk, cleanEnd: cleanEnd).records.count == 8)
        for offset in 0..<(end + 32) {
            var flipped = bytes
            flipped[offset] ^= 0x10
            disk.setContents(Self.path, flipped)
            do {
                _ = try LogFixture.replay(disk, cleanEnd: cleanEnd)
                Issue.record("flip at \(offset) went unseen")
            } catch {
                guard case .corrupt = error else { throw error }
            }
        }
        try disk.remove(Self.path)
        #expect(throws: StorageError.self) {
            _ = try LogFixture.replay(disk, cleanEnd: cleanEnd)
        }
    }

    @Test func `a record cut short in any other file is corruption`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        for _ in 0..<30 { try LogFixture.commit(writer, count: 3, sync: false) }
        let files = writer.liveFiles
        #expect(files.count >= 3)
        disk.truncate("log/000002.log", size: files[1].bytes - 1)
        do {
            _ = try LogFixture.replay(disk)
            Issue.record("a gap was replayed")
        } catch {
            guard case .corrupt("log/000002.log", _, _) = error else { throw error }
        }
        // Not needed once flushed.
        let after = files[1].lastSequence
        #expect(
            LogFixture.areRight(try LogFixture.replay(disk, after: after).records, from: after + 1))
        #expect(try LogFixture.problems(disk).count == 1)
    }

    @Test func `a missing file is corruption unless it was flushed`() throws {
        let disk = SimulatedFileSystem()
        let writer = try LogFixture.writer(disk)
        for _ in 0..<30 { try LogFixture.commit(writer, count: 3) }
        let files = writer.liveFiles
        try disk.remove("log/000002.log")
        #expect(throws: StorageError.self) { _ = try LogFixture.replay(disk) }
        #expect(throws: StorageError.self) {
            _ = try LogFixture.replay(disk, after: files[1].lastSequence - 1)
        }
        let after = files[1].lastSequence
        #expect(
            LogFixture.areRight(try LogFixture.replay(disk, after: after).records, from: after + 1))
        try disk.remove("log/000001.log")
        #expect(throws: StorageError.self) { _ = try LogFixture.replay(disk, after: 3) }
    }

    @Test func `a torn tail is reported and stays cut when the log goes on`() throws {
        let (disk, bytes, end) = try Self.smallLog()
        disk.setContents(Self.path, Array(bytes.prefix(end - 5)))
        let (records, recovery) = try LogFixture.replay(disk)
        #expect(records.count == 7)
        #expect(recovery.tornTail?.file == Self.path)
        let writer = try LogFixture.writer(disk, after: recovery)
        try LogFixture.commit(writer, count: 5)
        let again = try LogFixture.replay(disk)
        #expect(again.recovery.tornTail == nil)
        #expect(again.records.count == 12)
        #expect(LogFixture.areRight(again.records))
        #expect(try LogFixture.problems(disk).isEmpty)
    }

    @Test func `whole records behind a hole count only if one says the hole was durable`() throws {
        for synced in [false, true] {
            let disk = SimulatedFileSystem()
            let writer = try LogFixture.writer(disk)
            try LogFixture.commit(writer, count: 1)
            let hole = Int(writer.currentPosition.offset)
            try LogFixture.commit(writer, count: 1, sync: synced)
            try LogFixture.commit(writer, count: 1, sync: false)
            disk.flipBit(Self.path, offset: hole + 40)
            if synced {
                #expect(throws: StorageError.self) { _ = try LogFixture.replay(disk) }
            } else {
                let (records, recovery) = try LogFixture.replay(disk)
                #expect(records.count == 1)
                #expect(recovery.tornTail?.offset == UInt64(hole))
            }
        }
    }

    @Test func `files and kinds of a newer release are refused as such`() throws {
        let (disk, bytes, _) = try Self.smallLog()
        var newer = Array(bytes.prefix(4092))
        newer[8] = 2
        var page = ByteWriter()
        page.append(newer)
        page.append(CRC32C.checksum(newer))
        disk.setContents(Self.path, page.bytes + bytes[4096...])
        #expect(
            throws: StorageError.unsupportedFormat(file: Self.path, found: 2, newestKnown: 1)
        ) { _ = try LogFixture.replay(disk) }

        var record = bytes
        record[4096 + 28] = 9
        let payloadBytes = Int(bytes[4100]) + Int(bytes[4101]) << 8
        let stored = (32 + payloadBytes + 7) & ~7
        let sum = CRC32C.checksum(Array(record[4100..<(4096 + stored)]))
        for index in 0..<4 { record[4096 + index] = UInt8(truncatingIfNeeded: sum >> (8 * index)) }
        disk.setContents(Self.path, record)
        #expect(
            throws: StorageError.unsupportedFormat(file: Self.path, found: 9, newestKnown: 6)
        ) { _ = try LogFixture.replay(disk) }
    }
}
