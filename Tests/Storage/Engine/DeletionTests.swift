// Deletes in heads, segments, MANIFEST and log: what is hidden, what is written, what is forgotten.

import ApusStorage
import ApusTestKit
import Testing

@Suite("Deletes in the storage") struct DeletionTests {
    private static let second: Int64 = 1_000_000_000

    private func row(_ time: Int64, _ value: Int64, host: String = "a", field: String = "x")
        -> TestRow
    {
        TestRow(tags: ["host": host], time: time, fields: [(field, .int64(value))])
    }

    private func delete(
        _ store: SimulatedStore, _ from: Int64 = .min, _ to: Int64 = .max,
        series: [UInt32]? = nil
    ) throws {
        let table = try #require(store.table("t"))
        var set: SeriesSet?
        if let series {
            var members = SeriesSet(capacity: table.seriesCount)
            for id in series { members.insert(id) }
            set = members
        }
        #expect(
            try store.engine.delete(
                from: table, series: set, in: TimeRange(lower: from, upper: to),
                seesAllSeries: true))
    }

    private func manifest(_ store: SimulatedStore) throws -> Manifest {
        try #require(try Manifest.load(store.disk)).manifest
    }

    private var start: Int64 { PointGenerator.startNanoseconds }

    @Test func `an older row does not shine through a newer one that is deleted, or is written`()
        throws
    {
        for flushes in 0..<8 {
            let store = try SimulatedStore.make()
            try store.write([row(start, 1, field: "x"), row(start, 1, field: "y")])
            if flushes & 1 != 0 { try store.engine.flush() }
            try store.write([row(start, 2, field: "y")])
            if flushes & 2 != 0 { try store.engine.flush() }
            try delete(store)
            #expect(try store.rowCount("t") == 0)
            try store.write([row(start, 3, field: "y")])
            if flushes & 4 != 0 { try store.engine.flush() }
            for _ in 0..<3 {
                #expect(try store.values("x") == [])
                #expect(try store.values("y") == [.int64(3)])
                try store.reopen()
            }
            try store.engine.compact(nil)
            #expect(try store.values("x") == [])
            #expect(try store.values("y") == [.int64(3)])
            #expect(try manifest(store).tombstones == [])
        }
    }

    @Test func `a compaction writes segments without what is deleted, and forgets`() throws {
        let store = try SimulatedStore.make { $0.coldAfterSeconds = nil }
        let hour = 3_600 * Self.second
        for part in 0..<4 {
            try store.write((0..<300).map { row(start - Int64(part) * hour + $0, 1) })
        }
        try store.engine.compact(nil)
        let before = try manifest(store)
        #expect(before.segments.count == 4)
        // All of one partition, some of another, nothing of the others.
        try delete(store, start - 2 * hour, start - hour + 100)
        try store.engine.flush()
        try store.engine.maintain()
        #expect(try manifest(store).tombstones.count == 1)
        #expect(try manifest(store).format == 2)
        #expect(try store.rowCount("t") == 3 * 300 - 100)
        try store.reopen()
        #expect(try store.rowCount("t") == 3 * 300 - 100)
        try store.engine.compact(nil)
        let after = try manifest(store)
        #expect(after.tombstones == [] && after.format == 1)
        #expect(after.segments.count == 3)
        #expect(
            Set(after.segments.map(\.number)).intersection(before.segments.map(\.number)).count == 2
        )
        #expect(try store.rowCount("t") == 3 * 300 - 100)
    }

    @Test func `the background does the same after a while`() throws {
        let store = try SimulatedStore.make { $0.coldAfterSeconds = 0 }
        try store.write((0..<300).map { row(start + $0, 1) })
        try store.engine.compact(nil)
        try delete(store, start, start + 100)
        try store.engine.flush()
        for _ in 0..<3 { try store.engine.maintain() }
        #expect(try manifest(store).tombstones == [])
        let rows = store.engine.snapshot().version.segments.reduce(0) {
            $0 + ($1.reader?.tables.reduce(0) { $0 + $1.rowCount } ?? 0)
        }
        #expect(rows == 200)
    }

    @Test func `a delete that covers earlier ones takes their place`() throws {
        let store = try SimulatedStore.make { $0.coldAfterSeconds = nil }
        try store.write((0..<100).map { row(start + $0, 1, host: "h\($0 % 10)") })
        try store.engine.flush()
        for end in 1...20 { try delete(store, .min, start + Int64(end)) }
        try delete(store, start + 50, start + 60, series: [3, 4])
        try store.engine.flush()
        #expect(try manifest(store).tombstones.count == 2)
        #expect(try store.rowCount("t") == 78)
        try store.reopen()
        #expect(try store.rowCount("t") == 78)
    }

    @Test func `too many deletes are refused with a way out`() throws {
        let store = try SimulatedStore.make {
            $0.deletesPerTableMax = 5
            $0.coldAfterSeconds = nil
        }
        try store.write((0..<100).map { row(start + $0, 1) })
        for index in 0..<5 {
            try delete(store, start + Int64(index) * 2, start + Int64(index) * 2 + 1)
        }
        let error = #expect(throws: StorageError.self) { try delete(store, start + 50, start + 60) }
        #expect("\(try #require(error))".contains("COMPACT"))
        #expect(try store.rowCount("t") == 95)
        try store.engine.compact(nil)
        try delete(store, start + 50, start + 60)
        #expect(try store.rowCount("t") == 85)
    }

    @Test func `series that came since are looked at, or the caller is told`() throws {
        let store = try SimulatedStore.make()
        try store.write([row(start, 1)])
        let table = try #require(store.table("t"))
        var set = SeriesSet(capacity: 1)
        set.insert(0)
        try store.write([row(start, 1, host: "b")])
        #expect(try !store.engine.delete(from: table, series: set, in: .all, seesAllSeries: true))
        #expect(try store.rowCount("t") == 2)
        #expect(try store.engine.delete(from: table, series: set, in: .all, seesAllSeries: false))
        #expect(try store.rowCount("t") == 1)
        #expect(try store.engine.delete(from: table, series: nil, in: .all, seesAllSeries: true))
        #expect(try store.rowCount("t") == 0)
    }

    /// It was parsed before and comes behind in the log.
    @Test func `a batch that is logged after a delete is newer`() throws {
        let store = try SimulatedStore.make()
        try store.write([row(start, 1)])
        let batch = store.batch([row(start, 2)])
        try delete(store)
        try store.engine.commit(batch)
        #expect(try store.values("x") == [.int64(2)])
        try store.reopen()
        #expect(try store.values("x") == [.int64(2)])
    }

    @Test func `a table made anew has nothing deleted`() throws {
        let store = try SimulatedStore.make()
        try store.write([row(start, 1)])
        try delete(store)
        try store.engine.dropTable(database: "default", name: "t", ifExists: false)
        try store.write([row(start, 2)])
        #expect(try store.values("x") == [.int64(2)])
        try store.engine.compact(nil)
        #expect(try manifest(store).tombstones == [])
        try store.reopen()
        #expect(try store.values("x") == [.int64(2)])
    }

    @Test func `a tombstone reads back, and no damaged one is taken`() throws {
        let tombstone = Tombstone(
            tableID: 7, sequence: 99, range: TimeRange(lower: -5, upper: .max),
            runs: [0..<1, 5..<200, 1_000_000..<1_000_001])
        var writer = ByteWriter()
        tombstone.append(to: &writer)
        func read(_ bytes: [UInt8]) -> Tombstone? {
            bytes.withUnsafeBytes { buffer in
                var reader = ByteReader(buffer)
                guard let found = try? Tombstone.read(&reader, sequence: 99), reader.isAtEnd
                else { return nil }
                return found
            }
        }
        #expect(read(writer.bytes) == tombstone)
        for count in 0..<writer.count { #expect(read(Array(writer.bytes[..<count])) == nil) }
        // No time, no series, an empty run, runs that touch, more than there are numbers.
        for bytes: [UInt8] in [
            [7, 2, 2, 1, 0, 1], [7, 0, 2, 0], [7, 0, 2, 1, 0, 0], [7, 0, 2, 2, 0, 1, 0, 1],
            [7, 0, 2, 1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
        ] {
            #expect(read(bytes) == nil, "\(bytes)")
        }
    }

    @Test func `a MANIFEST with tombstones says so by its format`() throws {
        var manifest = Manifest()
        manifest.flushedThrough = 9
        manifest.nextTableID = 3
        #expect(manifest.encoded()[8] == 1)
        manifest.tombstones = [
            Tombstone(tableID: 1, sequence: 4, range: .all, runs: [0..<3]),
            Tombstone(tableID: 2, sequence: 9, range: TimeRange(lower: 1, upper: 2), runs: [5..<6]),
        ]
        let bytes = manifest.encoded()
        #expect(bytes[8] == 2)
        #expect(try Manifest.decode(bytes, path: "MANIFEST") == manifest)
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 1
            #expect(throws: StorageError.self) { try Manifest.decode(damaged, path: "MANIFEST") }
        }
    }
}
