// Backups through the seam: races with a store that goes on, faults, damage, descent.

import ApusStorage
import ApusTestKit
import Glibc
import Testing

@Suite struct BackupTests {
    private static let startNanoseconds: Int64 = 1_699_999_000_000_000_000

    private static func engine(
        _ disk: SimulatedFileSystem, logFileBytes: Int = 8192
    ) throws -> StorageEngine {
        var options = StorageOptions()
        options.logFileBytes = logFileBytes
        return try StorageEngine(
            fileSystem: disk, options: options,
            environment: EngineEnvironment(
                now: { 1_700_000_000_000_000_000 }, usesThreads: false))
    }

    private static func write(_ engine: StorageEngine, _ steps: Range<Int>) throws {
        for step in steps {
            var builder = RowBuilder(database: "default")
            builder.batch.dropGeneration = engine.catalog.dropGeneration
            builder.append(
                table: "cpu", tags: ["host": "h\(step % 7)"],
                time: startNanoseconds + Int64(step) * 1_000_000_000,
                fields: [
                    ("usage", .int64(Int64(step))),
                    ("text", .string([UInt8](repeating: 65, count: 300))),
                ])
            _ = try engine.commit(builder.batch)
        }
    }

    private static func contents(_ disk: SimulatedFileSystem) throws -> StoreContents {
        let engine = try engine(disk)
        defer { try? engine.close() }
        let dump = try ScanDump.read(engine, checksScans: false)
        #expect(dump.problems.isEmpty && dump.warnings.isEmpty)
        return dump.contents
    }

    @discardableResult
    private static func backUp(
        _ source: any FileSystem, into target: SimulatedFileSystem = SimulatedFileSystem()
    ) throws -> SimulatedFileSystem {
        _ = try Backup.write(from: source, into: target, reusing: nil)
        let check = try IntegrityCheck.run(fileSystem: target)
        #expect(check.findings == [] && check.notes == [] && check.wasClosedCleanly)
        #expect(try Backup.isUntouched(target))
        return target
    }

    @Test func `a backup of an open store holds exactly what was acknowledged`() throws {
        let disk = SimulatedFileSystem()
        let engine = try Self.engine(disk)
        try Self.write(engine, 0..<20)
        try engine.flush()
        try Self.write(engine, 20..<90)
        let copy = try Self.backUp(disk)
        let expected = try ScanDump.read(engine, checksScans: false).contents
        #expect(expected.rowCount == 90)
        #expect(expected.difference(to: try Self.contents(copy)) == nil)
        // Opening wrote its own clean end.
        #expect(try !Backup.isUntouched(copy))
        try engine.close()
    }

    @Test func `a backup of a new, empty and closed store opens`() throws {
        let disk = SimulatedFileSystem()
        let engine = try Self.engine(disk)
        #expect(try Self.contents(try Self.backUp(disk)).rowCount == 0)
        try engine.close()
        #expect(try Self.contents(try Self.backUp(disk)).rowCount == 0)
    }

    @Test func `a store that flushes, merges and recycles its log meanwhile is copied whole`()
        throws
    {
        // At each call of the backup in turn, the store goes on: rows, a flush or a merge.
        var callsSeen = 0
        for moment in stride(from: 1, to: 400, by: 3) {
            let disk = SimulatedFileSystem()
            let engine = try Self.engine(disk)
            try Self.write(engine, 0..<40)
            try engine.flush()
            try Self.write(engine, 40..<70)
            let acknowledged = try ScanDump.read(engine, checksScans: false).contents
            let moving = MovingFileSystem(disk, at: moment) {
                for round in 0..<3 {
                    try Self.write(engine, (100 + round * 40)..<(140 + round * 40))
                    try engine.flush()
                }
                try engine.compact(nil)
                try engine.flush()
                try Self.write(engine, 300..<310)
            }
            let copy = try Self.backUp(moving)
            let after = try ScanDump.read(engine, checksScans: false).contents
            let found = try Self.contents(copy)
            #expect(found.firstWrong(comparedTo: after) == nil, "moved at call \(moment)")
            #expect(
                acknowledged.firstWrong(comparedTo: found) == nil,
                "moved at call \(moment): a row is missing")
            try engine.close()
            callsSeen = max(callsSeen, moving.callCount)
            guard moving.callCount >= moment else { break }
        }
        #expect(callsSeen > 20)
    }

    @Test func `a record that is half written when it is read is left out`() throws {
        let disk = SimulatedFileSystem()
        let engine = try Self.engine(disk)
        try Self.write(engine, 0..<10)
        let path = try #require(disk.paths.last { $0.hasPrefix("log/0") })
        let before = try #require(disk.contents(path))
        try Self.write(engine, 10..<11)
        var torn = try #require(disk.contents(path))
        let changed = torn.indices.filter { $0 >= before.count || torn[$0] != before[$0] }
        let last = try #require(changed.last)
        torn[last] ^= 0xFF
        disk.setContents(path, torn)
        #expect(try Self.contents(try Self.backUp(disk)).rowCount == 10)
    }

    @Test func `a record that a later one vouches for is damage, not an end`() throws {
        let disk = SimulatedFileSystem()
        let engine = try Self.engine(disk, logFileBytes: 64 << 10)
        try Self.write(engine, 0..<10)
        let path = try #require(disk.paths.last { $0.hasPrefix("log/0") })
        let first = try #require(disk.contents(path)?.dropFirst(4096).firstIndex { $0 == 65 })
        disk.flipBit(path, offset: first)
        #expect(throws: StorageError.self) {
            try Backup.write(from: disk, into: SimulatedFileSystem(), reusing: nil)
        }
    }

    @Test func `a listed file that is missing is named, not waited for`() throws {
        let disk = try GoldenStore.make()
        try disk.remove(GoldenStore.packedPath)
        #expect(
            throws: StorageError.corrupt(
                file: GoldenStore.packedPath, offset: 0, reason: "the file is missing")
        ) { try Backup.write(from: disk, into: SimulatedFileSystem(), reusing: nil) }
    }

    @Test func `a full destination is said to be full, and the source is as it was`() throws {
        let disk = try GoldenStore.make()
        let before = disk.paths.map { disk.contents($0) }
        for room in stride(from: 0, to: 4_000, by: 200) {
            let target = SimulatedFileSystem()
            target.bytesMax = room
            do {
                _ = try Backup.write(from: disk, into: target, reusing: nil)
                Issue.record("\(room) bytes were enough")
            } catch {
                guard case .diskFull = error else {
                    Issue.record("\(error)")
                    continue
                }
            }
        }
        #expect(disk.paths.map { disk.contents($0) } == before)
    }

    @Test func `a damaged MANIFEST is replaced by its predecessor`() throws {
        let disk = SimulatedFileSystem()
        let engine = try Self.engine(disk)
        try Self.write(engine, 0..<40)
        try engine.flush()
        try Self.write(engine, 40..<60)
        disk.flipBit(Manifest.path, offset: 25)
        #expect(try Self.contents(try Self.backUp(disk)).rowCount == 60)
    }
}

/// Lets something happen right before one call of a reader.
///
/// Safe: used by one thread.
private final class MovingFileSystem: FileSystem, @unchecked Sendable {
    private let base: SimulatedFileSystem
    private let moment: Int
    private let action: () throws -> Void
    private(set) var callCount = 0

    init(_ base: SimulatedFileSystem, at moment: Int, action: @escaping () throws -> Void) {
        self.base = base
        self.moment = moment
        self.action = action
    }

    fileprivate func step() {
        callCount += 1
        if callCount == moment {
            do { try action() } catch { Issue.record("\(error)") }
        }
    }

    var root: String { base.root }

    func open(_ path: String, create: Bool) throws(StorageError) -> any FileHandle {
        step()
        return MovingHandle(try base.open(path, create: create), self)
    }
    func exists(_ path: String) -> Bool {
        step()
        return base.exists(path)
    }
    func list(_ directory: String) throws(StorageError) -> [String] {
        step()
        return try base.list(directory)
    }
    func createDirectory(_ path: String) throws(StorageError) { try base.createDirectory(path) }
    func rename(_ from: String, to: String) throws(StorageError) {
        try base.rename(from, to: to)
    }
    func remove(_ path: String) throws(StorageError) { try base.remove(path) }
    func syncDirectory(_ path: String) throws(StorageError) { try base.syncDirectory(path) }
    func map(_ path: String) throws(StorageError) -> MappedFile { try base.map(path) }
    func freeBytes() -> Int? { base.freeBytes() }
}

private final class MovingHandle: FileHandle, @unchecked Sendable {
    private let base: any FileHandle
    private let owner: MovingFileSystem

    init(_ base: any FileHandle, _ owner: MovingFileSystem) {
        self.base = base
        self.owner = owner
    }

    var size: Int {
        get throws(StorageError) {
            owner.step()
            return try base.size
        }
    }
    func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(StorageError) -> Int {
        owner.step()
        return try base.read(into: buffer, at: offset)
    }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
        try base.write(bytes, at: offset)
    }
    func sync() throws(StorageError) { try base.sync() }
    func truncate(to size: Int) throws(StorageError) { try base.truncate(to: size) }
    func allocate(_ size: Int) throws(StorageError) { try base.allocate(size) }
    func startWriteback(offset: Int, count: Int) {}
}
