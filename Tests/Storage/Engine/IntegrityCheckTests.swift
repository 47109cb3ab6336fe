import ApusStorage
import ApusTestKit
import Testing

@Suite struct IntegrityCheckTests {
    private static func check(_ disk: SimulatedFileSystem) throws -> IntegrityCheck.Report {
        try IntegrityCheck.run(fileSystem: disk)
    }

    /// What a reader would call the place: its findings lie at or before the change, in its file.
    private static func names(
        _ report: IntegrityCheck.Report, _ path: String, _ offset: Int
    ) -> Bool {
        report.findings.contains { $0.file == path && $0.offset <= UInt64(offset) + 48 }
    }

    @Test func `a store that was closed has no findings, no notes and changes by nothing`() throws {
        let disk = try GoldenStore.make()
        let before = disk.paths.map { disk.contents($0) }
        disk.recordsCalls = true
        let report = try Self.check(disk)
        #expect(report.findings == [] && report.notes == [])
        #expect(report.wasClosedCleanly)
        #expect(report.filesChecked == 9)
        #expect(report.bytesChecked == before.reduce(0) { $0 + ($1?.count ?? 0) })
        #expect(!disk.callLog.contains { $0.kind.changes })
        #expect(disk.paths.map { disk.contents($0) } == before)
    }

    private static func expectEveryChangeFound(_ disk: SimulatedFileSystem) throws {
        for path in disk.paths {
            let bytes = try #require(disk.contents(path))
            for offset in bytes.indices {
                var damaged = bytes
                damaged[offset] ^= [0x01, 0x80, 0xFF, 0x20][offset % 4]
                disk.setContents(path, damaged)
                let report = try Self.check(disk)
                #expect(
                    Self.names(report, path, offset), "\(path) byte \(offset): \(report.findings)")
            }
            disk.setContents(path, bytes)
        }
        #expect(try Self.check(disk).findings == [])
    }

    @Test func `any changed byte of any file is found, with file and place`() throws {
        try Self.expectEveryChangeFound(try GoldenStore.make())
    }

    /// A store as the engine leaves it: two segments, one only in the predecessor's list, rows and
    /// definitions in the log that no segment holds.
    private static func engineStore() throws -> SimulatedFileSystem {
        let disk = SimulatedFileSystem()
        var options = StorageOptions()
        options.logFileBytes = 8192
        for round in 0..<3 {
            let engine = try StorageEngine(
                fileSystem: disk, options: options,
                environment: EngineEnvironment(
                    now: { 1_700_000_000_000_000_000 }, usesThreads: false))
            var builder = RowBuilder(database: "default")
            builder.batch.dropGeneration = engine.catalog.dropGeneration
            for step in 0..<3 {
                builder.append(
                    table: "cpu", tags: ["host": "h\(step % 2 + round)"],
                    time: 1_699_999_000_000_000_000 + Int64(step) * 10_000_000_000,
                    fields: [("usage", .int64(Int64(step))), ("state", .string(Array("up".utf8)))])
            }
            _ = try engine.commit(builder.batch)
            if round < 2 { try engine.flush() }
            try engine.close()
        }
        return disk
    }

    @Test func `any changed byte of a store that the engine closed is found`() throws {
        let disk = try Self.engineStore()
        let report = try Self.check(disk)
        #expect(report.findings == [] && report.notes == [])
        #expect(report.wasClosedCleanly)
        #expect(disk.paths.contains { $0.hasSuffix(".segment") }, "\(disk.paths)")
        #expect(disk.paths.contains { $0.hasSuffix(".catalog") })
        #expect(disk.paths.contains { $0.hasPrefix("log/") })
        try Self.expectEveryChangeFound(disk)
    }

    @Test func `a store whose process was killed at any call has no findings`() throws {
        for call in stride(from: 1, to: 400, by: 7) {
            let disk = SimulatedFileSystem()
            disk.crash(atCall: call, changesOnly: true, seed: UInt64(call))
            var options = StorageOptions()
            options.logFileBytes = 8192
            do {
                for _ in 0..<3 {
                    let engine = try StorageEngine(
                        fileSystem: disk, options: options,
                        environment: EngineEnvironment(
                            now: { 1_700_000_000_000_000_000 }, usesThreads: false))
                    for step in 0..<20 {
                        var builder = RowBuilder(database: "default")
                        builder.batch.dropGeneration = engine.catalog.dropGeneration
                        builder.append(
                            table: "cpu", tags: ["host": "h\(step)"],
                            time: 1_699_999_000_000_000_000 + Int64(step),
                            fields: [("text", .string([UInt8](repeating: 65, count: 900)))])
                        _ = try engine.commit(builder.batch)
                        if step == 12 { try engine.flush() }
                    }
                    try engine.close()
                }
            } catch {}
            guard disk.hasCrashed else { break }
            for survivor in [
                disk.afterProcessKill(), disk.afterPowerLoss(keeping: .nothingUnsynced),
                disk.afterPowerLoss(keeping: .randomSubset, seed: UInt64(call)),
            ] {
                // Before its first MANIFEST, a directory is no store yet.
                guard survivor.exists(Manifest.path) || survivor.exists(Manifest.previousPath)
                else {
                    continue
                }
                let findings = try Self.check(survivor).findings
                #expect(findings == [], "killed at call \(call): \(findings)")
            }
        }
    }

    @Test func `any cut, any addition and any loss of a file is found`() throws {
        let disk = try GoldenStore.make()
        for path in disk.paths {
            let bytes = try #require(disk.contents(path))
            for length in 0..<bytes.count {
                disk.setContents(path, Array(bytes[..<length]))
                let report = try Self.check(disk)
                #expect(
                    report.findings.contains { $0.file == path }, "\(path) cut at \(length)")
            }
            guard path != "LOCK" else { continue }
            for addition in [[0], [7], bytes] as [[UInt8]] {
                disk.setContents(path, bytes + addition)
                #expect(
                    try Self.check(disk).findings.contains { $0.file == path }, "\(path) longer")
            }
            disk.setContents(path, bytes)
            try disk.remove(path)
            let report = try Self.check(disk)
            if path == Manifest.previousPath {
                #expect(report.notes.contains { $0.file == path })
            } else {
                #expect(report.findings.contains { $0.file == path }, "\(path) lost")
            }
            disk.setContents(path, bytes)
        }
    }

    @Test func `damage in one file leaves the findings in others`() throws {
        let disk = try GoldenStore.make()
        let damaged = disk.paths.filter { $0 != "LOCK" }
        for path in damaged { disk.flipBit(path, offset: 9) }
        let report = try Self.check(disk)
        for path in damaged { #expect(report.findings.contains { $0.file == path }, "\(path)") }
    }

    @Test func `what a process that was killed leaves is noted and no damage`() throws {
        let disk = try GoldenStore.make()
        let log = try #require(disk.contents("log/000002.log"))
        var manifest = try Manifest.decode(try #require(disk.contents(Manifest.path)), path: "m")
        manifest.cleanEnd = nil
        disk.setContents(Manifest.path, manifest.encoded())
        disk.setContents(
            "log/000002.log", Array(log.dropLast(5)) + [UInt8](repeating: 0, count: 999))
        disk.setContents("log/spare-3.log", [1, 2, 3])
        disk.setContents("log/spare-4.new", [1])
        disk.setContents("data/1/0/000009.segment.new", [1])
        disk.setContents("LOCK", [UInt8]("process 1\n".utf8))
        disk.setContents("README", [1])
        let report = try Self.check(disk)
        #expect(report.findings == [])
        #expect(!report.wasClosedCleanly)
        #expect(
            Set(report.notes.map(\.file)) == [
                "log/000002.log", "log/spare-3.log", "log/spare-4.new",
                "data/1/0/000009.segment.new", "LOCK", "README",
            ])
    }

    @Test func `a segment that nobody lists is noted, and checked`() throws {
        let disk = try GoldenStore.make()
        var manifest = try Manifest.decode(try #require(disk.contents(Manifest.path)), path: "m")
        manifest.segments.removeLast()
        disk.setContents(Manifest.path, manifest.encoded())
        let path = GoldenStore.codedPath
        #expect(try Self.check(disk).findings == [])
        #expect(try Self.check(disk).notes.map(\.file) == [path])
        disk.flipBit(path, offset: 40)
        #expect(try Self.check(disk).findings.map(\.file) == [path])
    }

    @Test func `a segment that is another than the one listed is found`() throws {
        let disk = try GoldenStore.make()
        let original = try Manifest.decode(try #require(disk.contents(Manifest.path)), path: "m")
        let changes: [(inout Manifest.Segment) -> Void] = [
            { $0.maxTime += 1 }, { $0.minTime -= 1 }, { $0.lastSequence -= 1 },
            { $0.partitionNanoseconds -= 1 },
        ]
        for change in changes {
            var manifest = original
            change(&manifest.segments[0])
            disk.setContents(Manifest.path, manifest.encoded())
            #expect(try Self.check(disk).findings.map(\.file) == [GoldenStore.packedPath])
        }
    }

    @Test func `a newer format is refused, not called damage`() throws {
        let disk = try GoldenStore.make()
        var bytes = try #require(disk.contents(GoldenStore.catalogPath))
        bytes[8] = 4
        var head = ByteWriter()
        head.append(Array(bytes[..<12]))
        head.append(CRC32C.checksum(Array(bytes[..<12])))
        disk.setContents(GoldenStore.catalogPath, head.bytes + bytes[16...])
        #expect(
            throws: StorageError.unsupportedFormat(
                file: GoldenStore.catalogPath, found: 4, newestKnown: 3)
        ) { try Self.check(disk) }
    }

    private static func put(_ path: String, on disk: SimulatedFileSystem) throws {
        let folder = path.split(separator: "/").dropLast().joined(separator: "/")
        try disk.createDirectory(folder)
        disk.setContents(path, Array("text".utf8))
    }

    @Test func `a directory without a store is an error, not a clean report`() throws {
        #expect(throws: StorageError.io(file: "/simulated/MANIFEST", call: "open", errno: 2)) {
            try Self.check(SimulatedFileSystem())
        }
        #expect(throws: StorageError.self) {
            try IntegrityCheck.run(directory: "/nonexistent/apus")
        }
        // Folders of these names are not ours alone: /var has a log.
        let foreign = SimulatedFileSystem()
        for path in ["log/syslog", "catalog/books.txt", "data/users/1/names.txt", "etc/MANIFEST"] {
            try Self.put(path, on: foreign)
        }
        #expect(throws: StorageError.io(file: "/simulated/MANIFEST", call: "open", errno: 2)) {
            try Self.check(foreign)
        }
    }

    @Test(arguments: ["log/000001.log", "catalog/000001.catalog", "data/1/0/000002.segment"])
    func `files of a store without a MANIFEST are damage`(path: String) throws {
        let disk = SimulatedFileSystem()
        try Self.put(path, on: disk)
        let findings = try Self.check(disk).findings
        #expect(findings.first?.description == "MANIFEST: byte 0: the file is missing")
    }

    @Test func `a clean end without a log file takes no number that a file could get`() throws {
        let disk = SimulatedFileSystem()
        let empty = try LogFixture.writer(disk)
        let end = try empty.finishCleanly(flushedThrough: 0)
        let recovery = try LogFixture.replay(disk, cleanEnd: end).recovery
        let next = try LogFixture.writer(disk, after: recovery)
        try LogFixture.commit(next, count: 3)
        // Killed here: MANIFEST still holds the end of the empty log.
        #expect(try LogFixture.replay(disk, cleanEnd: end).records.count == 3)
        #expect(try LogFixture.problems(disk, cleanEnd: end).isEmpty)
        #expect(throws: StorageError.self) { try LogFixture.commit(empty, count: 1) }
    }
}
