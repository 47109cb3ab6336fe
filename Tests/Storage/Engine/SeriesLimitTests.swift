import ApusStorage
import ApusTestKit
import Synchronization
import Testing

@Suite("Limits of series and of tags' values") struct SeriesLimitTests {
    private func rows(_ numbers: Range<Int>, table: String = "t", zone: Int = 1) -> [TestRow] {
        numbers.map {
            TestRow(
                table: table, tags: ["id": "v\($0)", "zone": "z\($0 % zone)"],
                fields: [("x", .int64(Int64($0)))])
        }
    }

    private func reasons(_ receipt: WriteReceipt) -> Set<String> {
        Set(receipt.rejections.map(\.reason))
    }

    @Test func `a full table names its limit and its widest tag, and goes on with what it has`()
        throws
    {
        let store = try SimulatedStore.make { $0.seriesPerTableMax = 10 }
        try store.write(rows(0..<8, zone: 2))
        let receipt = try store.write(rows(4..<14, zone: 2))
        #expect(receipt.rowsStored == 6 && receipt.rejectedCount == 4)
        #expect(
            reasons(receipt) == [
                "table t is at its limit of 10 series; most values has its tag id: 8"
            ])
        let again = try store.write(rows(0..<10, zone: 2))
        #expect(again.rowsStored == 10 && again.rejectedCount == 0)
    }

    @Test func `a tag takes exactly as many values as it may, and old ones for ever`() throws {
        let store = try SimulatedStore.make { $0.valuesPerTagMax = 10 }
        // In one batch, in which some values come twice.
        var batch = rows(0..<7) + rows(0..<7, zone: 3) + rows(5..<20)
        var receipt = try store.write(batch)
        #expect(receipt.rejectedCount == 10)
        #expect(reasons(receipt) == ["tag id of table t is at its limit of 10 values"])
        // New series of old values.
        batch = rows(0..<10, zone: 5)
        receipt = try store.write(batch)
        #expect(receipt.rejectedCount == 0)
        let table = try #require(store.table("t"))
        #expect(table.series.withLock(\.valueCounts).max() == 10)
    }

    @Test func `a new tag may have as many values too`() throws {
        let store = try SimulatedStore.make { $0.valuesPerTagMax = 3 }
        try store.write(rows(0..<2))
        let more = (0..<5).map {
            TestRow(
                tags: ["id": "v0", "zone": "z0", "request": "r\($0)"], fields: [("x", .int64(1))])
        }
        let receipt = try store.write(more)
        #expect(receipt.rowsStored == 3)
        #expect(reasons(receipt) == ["tag request of table t is at its limit of 3 values"])
    }

    @Test func `a full database names itself and the table`() throws {
        let store = try SimulatedStore.make { $0.seriesPerDatabaseMax = 10 }
        try store.write(rows(0..<6, table: "a"))
        let receipt = try store.write(rows(0..<6, table: "b"))
        #expect(receipt.rowsStored == 4)
        #expect(
            reasons(receipt) == [
                "database default is at its limit of 10 series; table b has 4"
            ])
        #expect(try store.write(rows(0..<6, table: "a")).rejectedCount == 0)
        #expect(try store.write(rows(0..<6, table: "a"), database: "other").rejectedCount == 0)
        // What is dropped makes room.
        try store.engine.dropTable(database: "default", name: "a", ifExists: false)
        #expect(try store.write(rows(0..<6, table: "b")).rejectedCount == 0)
    }

    @Test func `counts are there again after reopening`() throws {
        let store = try SimulatedStore.make { $0.seriesPerDatabaseMax = 40 }
        try store.write(rows(0..<30))
        try store.engine.flush()
        try store.write(rows(30..<35))
        try store.reopen()
        #expect(store.engine.catalog.database(named: "default")?.seriesCount == 35)
        #expect(try store.write(rows(35..<45)).rowsStored == 5)
    }
}
