import ApusStorage
import ApusTestKit
import Glibc
import Testing

/// `3/store` is a store of format 3 as a release wrote it; `3/annotated` says what its bytes mean.
/// Both stay for ever, as those of formats 1 and 2 do: every later release reads them.
/// `APUS_GOLDEN_WRITE=1` writes them anew, which is right only before a format's first release, or when a
/// writer chooses other encodings.
@Suite struct GoldenTests {
    static let directory = String(#filePath.dropLast("GoldenTests.swift".count)) + "3"
    static func directory(ofFormat format: Int) -> String { directory.dropLast() + "\(format)" }
    static let isWriting = getenv("APUS_GOLDEN_WRITE") != nil

    static func files() throws -> PosixFileSystem {
        try PosixFileSystem(root: directory, create: isWriting)
    }

    /// The golden store in memory, where a test may damage it.
    static func load() throws -> SimulatedFileSystem {
        let files = try files()
        let disk = SimulatedFileSystem()
        for path in try GoldenStore.make().paths {
            let parts = path.split(separator: "/").dropLast().joined(separator: "/")
            if !parts.isEmpty { try disk.createDirectory(parts) }
            disk.setContents(path, try files.readFile("store/" + path))
        }
        return disk
    }

    private static func write(_ path: String, _ bytes: [UInt8]) throws {
        let files = try files()
        let parent = path.split(separator: "/").dropLast().joined(separator: "/")
        try files.createDirectory(parent)
        try files.writeFileAtomically(path, bytes)
    }

    /// The golden store of an earlier format. That of format 1 lacks the coded segment.
    private static func loadFormer(_ format: Int) throws -> SimulatedFileSystem {
        let files = try PosixFileSystem(root: directory(ofFormat: format), create: false)
        let disk = SimulatedFileSystem()
        for path in try GoldenStore.make().paths
        where format > 1 || path != GoldenStore.codedPath {
            let parts = path.split(separator: "/").dropLast().joined(separator: "/")
            if !parts.isEmpty { try disk.createDirectory(parts) }
            disk.setContents(path, try files.readFile("store/" + path))
        }
        return disk
    }

    @Test func `the writers still make the bytes of format 3`() throws {
        let made = try GoldenStore.make()
        for path in made.paths {
            let bytes = try #require(made.contents(path))
            if Self.isWriting {
                try Self.write("store/" + path, bytes)
                continue
            }
            // What the machine's own compressors make may differ, and MANIFEST has its size.
            if path == GoldenStore.compressedPath || path == Manifest.path { continue }
            #expect(bytes == (try Self.files().readFile("store/" + path)), "\(path)")
        }
    }

    @Test func `the writer of MANIFEST gives back the bytes it read`() throws {
        guard !Self.isWriting else { return }
        for path in [Manifest.path, Manifest.previousPath] {
            let bytes = try Self.files().readFile("store/" + path)
            #expect(try Manifest.decode(bytes, path: path).encoded() == bytes)
        }
    }

    @Test(.enabled(if: !isWriting))
    func `the golden store is sound and holds what was written`() throws {
        try Self.expectSound(
            try Self.load(),
            [
                GoldenStore.packedPath, GoldenStore.seriesPath, GoldenStore.compressedPath,
                GoldenStore.codedPath,
            ])
    }

    @Test(arguments: [1, 2])
    func `the golden store of an earlier format is sound and holds what was written`(
        format: Int
    ) throws {
        let disk = try Self.loadFormer(format)
        var segments = [
            GoldenStore.packedPath, GoldenStore.seriesPath, GoldenStore.compressedPath,
        ]
        if format > 1 { segments.append(GoldenStore.codedPath) }
        try Self.expectSound(disk, segments, hasSection: false)
        let files = try PosixFileSystem(root: Self.directory(ofFormat: format), create: false)
        for path in disk.paths where path != "LOCK" {
            let text = AnnotatedFiles.annotate(path, try #require(disk.contents(path))).description
            let golden = try files.readFile("annotated/\(path).txt")
            #expect(text == String(decoding: golden, as: UTF8.self), "\(path)")
        }
        for path in segments {
            #expect(try SegmentReader.open(disk, path: path).format == format)
        }
    }

    /// Each flipped bit and each cut is refused, found by a check, or changes no answer.
    @Test(
        .enabled(if: !isWriting),
        arguments: [
            GoldenStore.packedPath, GoldenStore.seriesPath, GoldenStore.compressedPath,
            GoldenStore.codedPath,
        ])
    func `no bit of a golden segment can change unnoticed`(path: String) throws {
        let bytes = try Self.files().readFile("store/" + path)
        let disk = SimulatedFileSystem()
        let expected = GoldenStore.tables(path).map { normalized($0).series }
        func answers() -> [[PlainSeries]]? {
            guard let reader = try? SegmentReader.open(disk, path: "s") else { return nil }
            return try? reader.tables.map { normalized(try readTable($0)).series }
        }
        for bit in 0..<(bytes.count * 8) {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            disk.setContents("s", flipped)
            guard let found = answers() else { continue }
            #expect(found == expected, "bit \(bit): a wrong answer")
        }
        for count in bytes.indices {
            disk.setContents("s", Array(bytes[..<count]))
            #expect(throws: StorageError.self) { try SegmentReader.open(disk, path: "s") }
        }
    }

    private static func expectSound(
        _ disk: SimulatedFileSystem, _ segments: [String], hasSection: Bool = true
    ) throws {
        let report = try IntegrityCheck.run(fileSystem: disk)
        #expect(report.findings == [] && report.notes == [])
        for path in segments {
            let reader = try SegmentReader.open(disk, path: path)
            for (table, expected) in zip(reader.tables, GoldenStore.tables(path)) {
                #expect(
                    normalized(try readTable(table)).series == normalized(expected).series,
                    "\(path)")
            }
        }
        var entries: [CatalogEntry] = []
        let catalog = try #require(disk.contents(GoldenStore.catalogPath))
        try CatalogFile.read(catalog, path: "c") { payload throws(ByteReader.Malformed) in
            var reader = ByteReader(payload)
            while !reader.isAtEnd { entries.append(try CatalogEntry.read(&reader)) }
        }
        #expect(entries == GoldenStore.entries(hasSection: hasSection))
    }

    @Test(.enabled(if: !isWriting))
    func `the golden log replays to the rows that were written`() throws {
        let disk = try Self.load()
        let manifest = try #require(try Manifest.load(disk)).manifest
        var kinds: [LogRecord.Kind] = []
        var groups: [RecordGroup] = []
        var tombstone: Tombstone?
        let recovery = try LogReader.replay(
            fileSystem: disk, after: manifest.flushedThrough, cleanEnd: manifest.cleanEnd
        ) { (sequence, kind, payload) throws(StorageError) in
            kinds.append(kind)
            do throws(ByteReader.Malformed) {
                if kind == .write { groups = try BatchRecord.decode(payload) }
                guard kind == .delete else { return }
                var reader = ByteReader(payload)
                tombstone = try Tombstone.read(&reader, sequence: sequence)
            } catch {
                throw .corrupt(file: "log", offset: sequence, reason: error.reason)
            }
        }
        #expect(kinds == [.write, .statement, .delete, .checkpoint])
        #expect(tombstone == GoldenStore.tombstone(6))
        #expect(manifest.tombstones == [GoldenStore.tombstone(2)])
        #expect(recovery.lastSequence == GoldenStore.lastSequence && recovery.tornTail == nil)
        let batch = GoldenStore.batch()
        #expect(groups.count == 2)
        for (group, expected) in zip(groups, batch.groups) {
            let rows = 0..<expected.rowCount
            #expect(group.rowCount == rows.count && group.tableID == 1)
            #expect(group.series == rows.map { expected.series[$0] })
            #expect(group.times == rows.map { expected.times[$0] })
            #expect(group.order == rows.map { expected.lines[$0] })
            for field in 0..<expected.fieldCount where group.fields[field].type != .string {
                let slots = Array(group.columns[(field * rows.count)..<((field + 1) * rows.count)])
                #expect(slots == rows.map { expected.column(field)[$0] }, "field \(field)")
            }
        }
        #expect(String(decoding: groups[0].strings, as: UTF8.self) == "runningstopped")
    }

    @Test func `every byte of the golden store has a meaning, the one written beside it`() throws {
        let disk = Self.isWriting ? try GoldenStore.make() : try Self.load()
        for path in disk.paths where path != "LOCK" {
            let file = AnnotatedFiles.annotate(path, try #require(disk.contents(path)))
            #expect(file.gaps == [], "\(path)")
            let text = file.description
            #expect(!text.contains("WRONG") && !text.contains("NOT ZERO"), "\(path)")
            if Self.isWriting {
                try Self.write("annotated/\(path).txt", Array(text.utf8))
            } else {
                let golden = try Self.files().readFile("annotated/\(path).txt")
                #expect(text == String(decoding: golden, as: UTF8.self), "\(path)")
            }
        }
    }

    @Test func `the golden segments hold these encodings`() throws {
        let disk = Self.isWriting ? try GoldenStore.make() : try Self.load()
        var text = ""
        for path in disk.paths where path.hasSuffix(".segment") {
            text += AnnotatedFiles.annotate(path, try #require(disk.contents(path))).description
        }
        let expected: [Encoding] = [
            .constant, .packed, .deltaPacked, .splitGorilla, .decimal, .booleanBitmap, .dictionary,
            .rawStrings, .deltaCoded, .nested, .hexStrings, .hexDictionary,
        ]
        for encoding in expected {
            #expect(text.contains(": \(encoding.name)\n"), "\(encoding.name)")
        }
        #expect(
            text.contains(": \(Encoding.lz4.name)\n") || text.contains(": \(Encoding.zstd.name)\n"))
    }
}
