import ApusStorage
import ApusTestKit
import Testing

/// Which segments are encoded as small as they get, and when.
@Suite struct ColdSegmentTests {
    private static let minute: Int64 = 60_000_000_000

    private static func levels(_ store: SimulatedStore) throws -> [EncodeOptions.Level] {
        let manifest = try #require(try Manifest.load(store.disk)).manifest
        return try manifest.segments.map {
            try SegmentReader.open(store.disk, path: $0.path).identity.level
        }
    }

    /// Rows of one minute each, in the same partition.
    private static func write(_ store: SimulatedStore, _ numbers: Range<Int>) throws {
        for number in numbers {
            try store.write([
                TestRow(
                    tags: ["host": "h"], time: 7_200_000_000_000 + Int64(number) * minute,
                    fields: [("n", .int64(Int64(number)))])
            ])
        }
    }

    private static func expect(_ store: SimulatedStore, rows count: Int) throws {
        #expect(try store.values("n") == (0..<count).map { .int64(Int64($0)) })
    }

    @Test func `a flush is quick, COMPACT makes one cold segment, and no second one`() throws {
        let store = try SimulatedStore.make { $0.coldAfterSeconds = 3_600 }
        try Self.write(store, 0..<3)
        try store.engine.flush()
        #expect(try Self.levels(store) == [.hot])
        try store.engine.compact(nil)
        #expect(try Self.levels(store) == [.cold])
        let segments = try #require(try Manifest.load(store.disk)).manifest.segments
        try store.engine.compact(nil)
        #expect(try #require(try Manifest.load(store.disk)).manifest.segments == segments)
        try Self.expect(store, rows: 3)
    }

    @Test func `a partition without new rows cools, and late rows don't rewrite it`() throws {
        let store = try SimulatedStore.make { $0.coldAfterSeconds = 0 }
        try Self.write(store, 0..<5)
        try store.engine.flush()
        try store.engine.maintain()
        #expect(try Self.levels(store) == [.cold])
        let cold = try #require(try Manifest.load(store.disk)).manifest.segments
        try Self.write(store, 5..<6)
        try store.engine.flush()
        #expect(try Self.levels(store) == [.cold, .hot])
        try store.engine.maintain()
        #expect(try Self.levels(store) == [.cold, .cold])
        #expect(try #require(try Manifest.load(store.disk)).manifest.segments.first == cold.first)
        // The third of like size is merged with both.
        try Self.write(store, 6..<7)
        try store.engine.flush()
        try store.engine.maintain()
        try store.engine.maintain()
        #expect(try Self.levels(store) == [.cold])
        try Self.expect(store, rows: 7)
    }

    @Test func `segments of a partition that still gets rows are merged hot`() throws {
        let store = try SimulatedStore.make { $0.coldAfterSeconds = 3_600 }
        for number in 0..<3 {
            try Self.write(store, number..<(number + 1))
            try store.engine.flush()
        }
        #expect(try Self.levels(store) == [.hot, .hot, .hot])
        try store.engine.maintain()
        #expect(try Self.levels(store) == [.hot])
        try Self.expect(store, rows: 3)
    }

    @Test func `after opening, a partition has to be quiet anew`() throws {
        let store = try SimulatedStore.make { $0.coldAfterSeconds = 3_600 }
        try Self.write(store, 0..<3)
        try store.engine.flush()
        try store.reopen()
        try store.engine.maintain()
        try store.engine.maintain()
        #expect(try Self.levels(store) == [.hot])
    }
}
