// What `apus inspect` and `apus stats` say is what is there.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct InspectionTests {
    /// A disk with one file in its root, as the tool sees it.
    private static func alone(_ bytes: [UInt8], _ name: String) -> SimulatedFileSystem {
        let disk = SimulatedFileSystem()
        disk.setContents(name, bytes)
        return disk
    }

    private static func name(_ path: String) -> String {
        String(path.split(separator: "/").last ?? "")
    }

    private static func annotated(
        _ disk: SimulatedFileSystem, _ name: String
    ) throws -> [AnnotatedRange] {
        var found: [AnnotatedRange] = []
        try FileInspection.annotate(disk, name) { _, ranges in found = ranges }
        return found
    }

    /// Offsets that no piece speaks of, or two do.
    private static func gaps(_ ranges: [AnnotatedRange], byteCount: Int) -> [Int] {
        var counts = [Int](repeating: 0, count: byteCount)
        for range in ranges {
            for offset in range.offset..<(range.offset + range.byteCount)
            where offset < byteCount {
                counts[offset] += 1
            }
        }
        return counts.indices.filter { counts[$0] != 1 }
    }

    @Test func `every byte of every kind of file has one meaning`() throws {
        let store = try GoldenStore.make()
        for path in store.paths where path != "LOCK" {
            let bytes = try #require(store.contents(path))
            let name = Self.name(path)
            let ranges = try Self.annotated(Self.alone(bytes, name), name)
            #expect(Self.gaps(ranges, byteCount: bytes.count) == [], "\(path)")
            for range in ranges {
                let isBad = ["WRONG", "UNREADABLE", "NOT ZERO", "left over"].contains {
                    range.meaning.contains($0)
                }
                #expect(!isBad, "\(path): \(range)")
            }
        }
    }

    /// The golden files have none.
    @Test func `every byte of what drops fields has one meaning`() throws {
        let store = try SimulatedStore.make()
        try store.write([TestRow(fields: [("x", .int64(1)), ("y", .int64(2))])])
        let table = try #require(store.table("t"))
        try store.engine.dropField(try #require(table.schema.field(named: "x")), of: table)
        try store.engine.flush()
        try store.engine.close()
        for path in ["log/000001.log", "catalog/000002.catalog", Manifest.path] {
            let bytes = try #require(store.disk.contents(path), "\(path) of \(store.disk.paths)")
            let name = Self.name(path)
            let disk = Self.alone(bytes, name)
            let ranges = try Self.annotated(disk, name)
            #expect(Self.gaps(ranges, byteCount: bytes.count) == [], "\(path)")
            #expect(!ranges.contains { $0.meaning.contains("UNREADABLE") }, "\(path)")
            #expect(
                ranges.contains { $0.meaning.contains("fields of table") }
                    == (path != Manifest.path), "\(path)")
            let report = try #require(try FileInspection.read(disk, name))
            #expect(report.findings == [], "\(path)")
        }
    }

    @Test func `a damaged byte never keeps the rest from being shown`() throws {
        let store = try GoldenStore.make()
        for path in store.paths where path != "LOCK" {
            let bytes = try #require(store.contents(path))
            let name = Self.name(path)
            for offset in stride(from: 0, to: bytes.count, by: 3) {
                var damaged = bytes
                damaged[offset] ^= [0x01, 0x80, 0xFF][offset % 3]
                let disk = Self.alone(damaged, name)
                do {
                    _ = try FileInspection.read(disk, name)
                    let ranges = try Self.annotated(disk, name)
                    #expect(
                        Self.gaps(ranges, byteCount: bytes.count) == [], "\(path) \(offset)")
                } catch {
                    guard case .unsupportedFormat = error as? StorageError else {
                        Issue.record("\(path) \(offset): \(error)")
                        continue
                    }
                }
            }
            for length in stride(from: 0, to: bytes.count, by: 7) {
                let disk = Self.alone(Array(bytes[..<length]), name)
                let inspection = try FileInspection.read(disk, name)
                if path.hasPrefix("log/") { continue }
                #expect(inspection?.findings.isEmpty == false, "\(path) cut at \(length)")
            }
        }
    }

    @Test func `a damaged directory is named, and the other table is shown`() throws {
        let store = try GoldenStore.make()
        let bytes = try #require(store.contents(GoldenStore.packedPath))
        let name = Self.name(GoldenStore.packedPath)
        let whole = try #require(try FileInspection.read(Self.alone(bytes, name), name))
        #expect(whole.tables.count == 2 && whole.findings == [])
        var damaged = bytes
        damaged[whole.tables[0].directory.lowerBound + 4] ^= 0xFF
        let half = try #require(try FileInspection.read(Self.alone(damaged, name), name))
        #expect(half.tables.map(\.statistics.name) == [whole.tables[1].statistics.name])
        #expect(half.findings.map(\.file) == [name])
    }

    @Test func `a file of another kind is none of Apus'`() throws {
        let disk = Self.alone(Array("hello, world".utf8), "notes.txt")
        #expect(try FileInspection.read(disk, "notes.txt").map(\.kind) == nil)
    }
}

@Suite struct StoreStatisticsTests {
    private static func byteCount(_ disk: SimulatedFileSystem) -> Int {
        disk.paths.reduce(0) { $0 + (disk.contents($1)?.count ?? 0) }
    }

    @Test func `every byte of a directory is accounted for, whatever lies in it`() throws {
        let disk = try GoldenStore.make()
        let clean = try #require(try StoreStatistics.read(disk))
        #expect(clean.byteCount == Self.byteCount(disk) && clean.fileCount == disk.paths.count)
        #expect(clean.isClosed && clean.findings == [] && clean.unknownFiles == [])
        disk.setContents("log/spare-3.log", [1, 2, 3])
        disk.setContents("data/1/0/000009.segment.new", [1])
        disk.setContents("data/1/0/000009.segment", [1, 2])
        disk.setContents("log/note", [1, 2, 3, 4])
        disk.setContents("README", [UInt8](repeating: 0, count: 77))
        let all = try #require(try StoreStatistics.read(disk))
        #expect(all.byteCount == Self.byteCount(disk) && all.fileCount == disk.paths.count)
        #expect(all.files[.logSpare]?.bytes == 3)
        #expect(all.files[.halfMade]?.bytes == 1)
        #expect(all.files[.unlisted]?.bytes == 2)
        #expect(all.files[.unknown]?.bytes == 81)
        #expect(all.unknownFiles == ["README", "log/note"])
        #expect(all.segmentBytes.total == all.files[.segment]?.bytes)
        for database in all.databases {
            let bytes = database.partitions.reduce(0) { $0 + $1.byteCount }
            #expect(database.tables.reduce(0) { $0 + $1.byteCount } <= bytes)
        }
    }

    @Test func `tables say what a scan of them finds`() throws {
        let disk = SimulatedFileSystem()
        let store = try SimulatedStore(disk: disk)
        for operation in Workload.make(seed: 7, count: 60) { try store.perform(operation) }
        try store.engine.flush()
        try store.engine.compact(nil)
        let contents = try ScanDump.read(store.engine, checksScans: false).contents
        let statistics = try #require(try StoreStatistics.read(disk))
        #expect(statistics.byteCount == Self.byteCount(disk))
        #expect(statistics.findings == [])
        for (name, rows) in contents.tables {
            let database = statistics.databases.first { $0.name == name.database }
            let table = database?.tables.first { $0.name == name.table && !$0.isDropped }
            // Rows past their retention are still in files.
            #expect((table?.rowCount ?? 0) >= rows.count, "\(name)")
            #expect((table?.valueCount ?? 0) >= rows.values.reduce(0) { $0 + $1.count })
            #expect((table?.seriesCount ?? 0) >= Set(rows.keys.map(\.series)).count)
        }
    }

    @Test func `columns have the names that their fields have now, and say that they are dropped`()
        throws
    {
        let store = try SimulatedStore.make()
        try store.write([
            TestRow(fields: [("x", .int64(1)), ("y", .int64(2)), ("z", .int64(3))])
        ])
        try store.engine.flush()
        let table = try #require(store.table("t"))
        func field(_ name: String) throws -> FieldColumn {
            try #require(table.schema.field(named: name))
        }
        try store.engine.dropField(try field("x"), of: table)
        try store.engine.renameField(try field("y"), of: table, to: "w")
        func columns() throws -> [String] {
            let statistics = try #require(try StoreStatistics.read(store.disk))
            return statistics.databases.flatMap(\.tables).flatMap(\.columns).map {
                "\($0.name) \($0.valueCount)\($0.isDropped ? " dropped" : "")"
            }
        }
        // So far the log alone knows.
        #expect(try columns() == ["x 1", "y 1", "z 1"])
        try store.engine.flush()
        #expect(try columns() == ["x 1 dropped", "w 1", "z 1"])
        try store.engine.compact(nil)
        #expect(try columns() == ["w 1", "z 1"])
    }

    @Test func `a segment that is missing or damaged is named, and the rest is counted`() throws {
        let disk = try GoldenStore.make()
        let before = try #require(try StoreStatistics.read(disk))
        try disk.remove(GoldenStore.packedPath)
        let missing = try #require(try StoreStatistics.read(disk))
        #expect(missing.findings.map(\.file) == [GoldenStore.packedPath])
        #expect(missing.valueCount > 0 && missing.valueCount < before.valueCount)
        #expect(missing.byteCount == Self.byteCount(disk))
        #expect(try StoreStatistics.read(SimulatedFileSystem()).map(\.fileCount) == nil)
    }
}
