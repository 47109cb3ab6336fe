// Types, names and limits of what is written, each by itself.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct WriteRuleTests {
    // MARK: Types and names

    private func stored(_ value: RowBuilder.Value, as type: FieldType) -> ReferenceValue? {
        switch (value, type) {
        case (.int64(let number), .int64): return .int64(number)
        case (.int64(let number), .uint64): return .uint64(UInt64(number))
        case (.uint64(let number), .int64): return .int64(Int64(number))
        case (.uint64(let number), .uint64): return .uint64(number)
        case (.int64(let number), .float64): return .float64(Double(number).bitPattern)
        case (.uint64(let number), .float64): return .float64(Double(number).bitPattern)
        case (.float64(let number), .float64): return .float64(number.bitPattern)
        default: return nil
        }
    }

    @Test func `integers of either sign store into each other where the value fits, else widen`()
        throws
    {
        let top: UInt64 = 1 << 63
        let cases: [(RowBuilder.Value, RowBuilder.Value, FieldType)] = [
            (.int64(-1), .uint64(top - 1), .int64), (.uint64(top), .int64(.max), .uint64),
            (.int64(-1), .uint64(top), .float64), (.uint64(top), .int64(-1), .float64),
            (.float64(0.5), .int64(-1), .float64), (.float64(0.5), .uint64(top), .float64),
        ]
        for (first, second, type) in cases {
            let store = try SimulatedStore.make()
            for (offset, value) in [first, second].enumerated() {
                let time = store.clock.now + Int64(offset)
                let receipt = try store.write([TestRow(time: time, fields: [("x", value)])])
                #expect(receipt.rowsStored == 1 && receipt.rejectedCount == 0)
            }
            #expect(store.table("t")?.schema.fields.map(\.type) == [type], "\(first) \(second)")
            let expected = [stored(first, as: type), stored(second, as: type)]
            #expect(try store.values("x") == expected, "\(first) \(second)")
        }
    }

    @Test func `a name with a control character is refused, a field's alone`() throws {
        let store = try SimulatedStore.make()
        let good: [(name: String, value: RowBuilder.Value)] = [("x", .int64(1))]
        let receipt = try store.write([
            TestRow(table: "a\u{1}", fields: good), TestRow(tags: ["k\u{7F}": "v"], fields: good),
            TestRow(fields: [("x", .int64(5)), ("f\u{9}", .int64(2))]),
        ])
        #expect(receipt.rowsStored == 1 && receipt.valuesStored == 1)
        #expect(receipt.rejectedCount == 3 && receipt.partialCount == 1)
        let reasons = receipt.rejections.sorted { $0.line < $1.line }.map(\.reason)
        for (reason, part) in zip(reasons, ["table name", "tag name", "field name"]) {
            #expect(reason.contains(part) && reason.contains("control characters"), "\(reason)")
        }
        #expect(try store.write([TestRow(fields: good)], database: "d\u{85}").rejectedCount == 1)
        #expect(store.engine.catalog.allDatabases.flatMap(\.allTables).map(\.name) == ["t"])
        #expect(store.table("t")?.schema.fields.map(\.name) == ["x"])
        #expect(store.table("t")?.schema.tags.isEmpty == true)
    }

    @Test func `a field given twice in a row is stored once, and said`() throws {
        let store = try SimulatedStore.make()
        let receipt = try store.write([TestRow(fields: [("x", .int64(1)), ("x", .int64(2))])])
        #expect(receipt.rowsStored == 1 && receipt.valuesStored == 1)
        #expect(receipt.rejections.map(\.reason) == ["field \"x\" is given twice"])
        #expect(try store.values("x") == [.int64(1)])
        try store.reopen()
        #expect(try store.values("x") == [.int64(1)])
    }

    @Test func `a field that gives its name up to a tag keeps the new one`() throws {
        let store = try SimulatedStore.make()
        try store.write([TestRow(fields: [("type", .int64(1)), ("type_1", .int64(2))])])
        try store.write([TestRow(tags: ["type": "v"], fields: [("type", .int64(3))])])
        for state in ["written", "replayed", "from a catalog file"] {
            let schema = try #require(store.table("t")).schema
            #expect(schema.tags.map(\.sqlName) == ["type"], "\(state)")
            #expect(schema.fields.map(\.sqlName) == ["type_2", "type_1"], "\(state)")
            if state == "replayed" { try store.engine.flush() }
            try store.reopen()
        }
    }

    @Test func `the later line wins across shapes, in one write and in the next`() throws {
        let store = try SimulatedStore.make()
        try store.write([
            TestRow(fields: [("x", .int64(1))]),
            TestRow(fields: [("x", .int64(2)), ("y", .int64(2))]),
            TestRow(table: "u", fields: [("x", .int64(9))]),
        ])
        #expect(try store.values("x") == [.int64(2)])
        try store.write([TestRow(fields: [("x", .int64(3))])])
        for _ in 0..<2 {
            #expect(try store.values("x") == [.int64(3)])
            #expect(try store.values("y") == [.int64(2)])
            try store.reopen()
        }
        try store.engine.flush()
        #expect(try store.values("x") == [.int64(3)])
    }

    // MARK: Limits

    @Test func `rows of different fields make one new table, and share its series`() throws {
        let store = try SimulatedStore.make()
        let tags = ["k": "v"]
        try store.write([
            TestRow(tags: tags, fields: [("x", .int64(1))]),
            TestRow(tags: tags, fields: [("y", .int64(2))]),
            TestRow(tags: ["k": "w"], fields: [("y", .float64(0.5))]),
        ])
        for _ in 0..<2 {
            #expect(store.engine.catalog.allDatabases.flatMap(\.allTables).count == 1)
            let table = try #require(store.table("t"))
            #expect(table.seriesCount == 2 && table.schema.fields.map(\.name) == ["x", "y"])
            #expect(try store.rowCount("t") == 2)
            try store.reopen()
        }
    }

    @Test func `where writes may not create tables, rows of unknown ones are refused alone`() throws
    {
        let disk = SimulatedFileSystem()
        let first = try SimulatedStore.make(on: disk)
        try first.write([TestRow(fields: [("x", .int64(1))])])
        try first.engine.close()
        let store = try SimulatedStore.make(on: disk) { $0.createTables = false }
        let receipt = try store.write([
            TestRow(table: "u", fields: [("x", .int64(1))]), TestRow(fields: [("y", .int64(1))]),
        ])
        #expect(receipt.rowsStored == 1 && receipt.rejections.map(\.kind) == [.limit])
        #expect(
            receipt.rejections.first?.reason
                == "table not found: \"u\", and writes may not create tables")
        #expect(store.table("u") == nil)
    }

    @Test func `a table beyond a limit that was lowered takes what it has, and no more`() throws {
        let disk = SimulatedFileSystem()
        let first = try SimulatedStore.make(on: disk)
        let old: [(name: String, value: RowBuilder.Value)] = [("x", .int64(1)), ("y", .int64(1))]
        try first.write([TestRow(tags: ["k": "v", "l": "w"], fields: old)])
        try first.engine.close()
        let store = try SimulatedStore.make(on: disk) {
            $0.fieldsPerTableMax = 1
            $0.tagsPerTableMax = 1
            $0.seriesPerTableMax = 2
        }
        let receipt = try store.write([
            TestRow(tags: ["k": "v", "l": "w"], time: store.clock.now + 1, fields: old),
            TestRow(tags: ["k": "v"], fields: old), TestRow(tags: ["l": "third"], fields: old),
            TestRow(tags: ["m": "v"], fields: old),
            TestRow(tags: ["k": "v"], fields: [("x", .int64(1)), ("z", .int64(1))]),
        ])
        #expect(receipt.rowsStored == 2 && receipt.rejectedCount == 3)
        #expect(Set(receipt.rejections.map(\.line)) == [3, 4, 5])
        #expect(Set(receipt.rejections.map(\.kind)) == [.limit])
    }

    @Test func `tags of more bytes than a key holds are refused, the rows beside them not`() throws
    {
        let store = try SimulatedStore.make()
        let half = String(repeating: "v", count: 40_000)
        let receipt = try store.write([
            TestRow(tags: ["k": half, "l": half], fields: [("x", .int64(1))]),
            TestRow(tags: ["k": half], fields: [("x", .int64(2))]),
        ])
        #expect(receipt.rowsStored == 1 && receipt.rejections.map(\.line) == [1])
        #expect(receipt.rejections.first?.reason == "the tags of a row have at most 65535 bytes")
        try store.reopen()
        #expect(try store.values("x") == [.int64(2)])
    }

    @Test func `groups that lost all rows leave nothing in the log`() throws {
        let store = try SimulatedStore.make { $0.defaultRetentionSeconds = 86_400 }
        let (now, old) = (store.clock.now, store.clock.now - 2 * 86_400_000_000_000)
        try store.write([TestRow(time: now, fields: [("x", .int64(1))])])
        let receipt = try store.write([
            TestRow(time: old, fields: [("x", .int64(1))]),
            TestRow(time: now, fields: [("x", .string([65]))]),
            TestRow(table: "u", time: now, fields: [("x", .int64(1))]),
        ])
        #expect(receipt.rowsStored == 1 && receipt.rejectedCount == 2)
        try store.reopen()
        #expect(try store.rowCount("t") == 1)
        #expect(try store.rowCount("u") == 1)
    }
}
