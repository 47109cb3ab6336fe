// Which times a write may have: retention, the future, the ends of 64 bits, new partitions.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct WriteTimeTests {
    private let second: Int64 = 1_000_000_000
    private let day: Int64 = 86_400_000_000_000

    private func row(_ time: Int64, table: String = "t") -> TestRow {
        TestRow(table: table, time: time, fields: [("x", .int64(1))])
    }

    /// Writes a row of each time into a database of its own write; what was refused, by kind.
    private func refusals(
        _ store: SimulatedStore, _ times: [Int64], database: String
    ) throws -> [LineRejection.Kind] {
        let before = store.engine.metrics().linesRejected
        let receipt = try store.write(times.map { row($0) }, database: database)
        #expect(receipt.rowsStored == times.count - receipt.rejectedCount)
        #expect(store.engine.metrics().linesRejected == before + receipt.rejectedCount)
        for rejection in receipt.rejections {
            #expect(rejection.reason.contains("is the precision right?"))
        }
        return receipt.rejections.map(\.kind)
    }

    @Test func `a row as old as the retention of its database is stored, an older one not`() throws
    {
        let store = try SimulatedStore.make { $0.defaultRetentionSeconds = 2 * 86_400 }
        let now = store.clock.now
        try store.engine.createDatabase("short", ifNotExists: false, retentionNanoseconds: day)
        try store.engine.createDatabase("ever", ifNotExists: false, retentionNanoseconds: 0)
        let old = [now - day, now - day - 1, now - 2 * day, now - 2 * day - 1, now - 9 * 365 * day]
        for (database, expected) in [("short", 4), ("ever", 0), ("made by a write", 2)] {
            for _ in 0..<2 {
                let found = try refusals(store, old, database: database)
                #expect(found == Array(repeating: .retention, count: expected), "\(database)")
            }
        }
    }

    @Test func `who writes history is asked to yield to those who write the present`() throws {
        let store = try SimulatedStore.make()
        let now = store.clock.now
        let old = [row(now - 9 * day), row(now - 8 * day)]
        // Nobody writes the present yet: the first write is the present of its database.
        #expect(try !store.write(old, database: "a").shouldYield)
        #expect(try !store.write([row(now)], database: "a").shouldYield)
        // How long that counts is measured by the clock on the wall.
        var isAsked = false
        for _ in 0..<1_000 where !isAsked {
            #expect(try !store.write([row(now), row(now - 9 * day)], database: "a").shouldYield)
            isAsked = try store.write(old, database: "a").shouldYield
        }
        #expect(isAsked)
        #expect(try !store.write([row(now)], database: "a").shouldYield)
        #expect(try !store.write([row(now + 1)], database: "b").shouldYield)
    }

    @Test func `a row may be as far ahead as the option says, and any distance if it is 0`() throws
    {
        for (seconds, expected) in [(60, [LineRejection.Kind.future, .future]), (0, [])] {
            let store = try SimulatedStore.make { $0.acceptFutureSeconds = seconds }
            let times = [60 * second, 60 * second + 1, 100 * 365 * day].map { store.clock.now + $0 }
            #expect(try refusals(store, times, database: "default") == expected)
        }
    }

    @Test func `times whose partition 64 bits don't hold are refused, alone`() throws {
        let store = try SimulatedStore.make { $0.acceptFutureSeconds = 0 }
        let times = [Int64.min, store.clock.now, .min + 1, .max]
        #expect(try refusals(store, times, database: "x") == [.limit, .limit, .limit])
        #expect(try refusals(store, [.max], database: "y") == [.limit])
        try store.reopen()
        #expect(try store.rowCount("t", in: "x") == 1)
    }

    @Test func `a statement whose only row is too old is refused, as one with a row beside it`()
        throws
    {
        let store = try SimulatedStore.make { $0.defaultRetentionSeconds = 86_400 }
        let now = store.clock.now
        for times in [[now - 2 * day], [now - 2 * day, now], [now - 2 * day, now - 3 * day]] {
            let batch = store.batch(times.map { row($0) })
            batch.isOneStatement = true
            let error = #expect(throws: StorageError.self) { try store.engine.commit(batch) }
            guard case .invalid(let text) = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(text.hasPrefix("row 1: the time is older than the database's retention"))
        }
        #expect(store.engine.catalog.allDatabases.isEmpty)
    }

    @Test func `the limit of new partitions counts those of all tables together, each once`() throws
    {
        let store = try SimulatedStore.make { $0.partitionsPerBatchMax = 3 }
        func rows(_ hours: [(Int64, String)]) -> [TestRow] {
            hours.map { row(store.clock.now - $0 * 3_600 * second, table: $1) }
        }
        let error = #expect(throws: StorageError.self) {
            try store.write(rows([(0, "t"), (1, "t"), (2, "u"), (3, "u")]))
        }
        guard case .limit(let text) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(text.contains("at most 3 new partitions") && text.contains("precision"))
        let twice = rows([(0, "t"), (1, "t"), (2, "t"), (2, "u"), (1, "u"), (0, "u")])
        #expect(try store.write(twice).rowsStored == 6)
    }

    @Test func `a database made by a write has the retention and the partitions of the options`()
        throws
    {
        let store = try SimulatedStore.make {
            $0.defaultRetentionSeconds = 30 * 86_400
            $0.partitionSeconds = 7_200
        }
        try store.write([row(store.clock.now)], database: "made")
        for _ in 0..<2 {
            let database = try #require(store.engine.catalog.database(named: "made"))
            #expect(database.retentionNanoseconds == 30 * day)
            #expect(database.partitionNanoseconds == 7_200 * second)
            try store.reopen()
        }
    }
}
