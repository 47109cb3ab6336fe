// How the inspecting tools write.

import ApusStorage
import ApusTestKit
import ApusTools
import Testing

@Suite struct InspectTests {
    private static func store() throws -> SimulatedFileSystem {
        let disk = SimulatedFileSystem()
        let store = try SimulatedStore(disk: disk)
        for operation in Workload.make(seed: 3, count: 40) { try store.perform(operation) }
        try store.engine.flush()
        return disk
    }

    @Test func `lines fit the terminal, and a wide one cuts nothing`() throws {
        let disk = try Self.store()
        let statistics = try #require(try StoreStatistics.read(disk))
        func lines(_ width: Int) -> [String] {
            StatisticsText.lines(statistics, directory: "./data", holder: nil, width: width)
        }
        for width in [80, 200] {
            #expect(lines(width).allSatisfy { $0.count <= width }, "\(width)")
        }
        #expect(!lines(.max).contains { $0.contains("…") && !$0.contains("before") })
        let path = try #require(disk.paths.first { $0.hasSuffix(".segment") })
        let alone = SimulatedFileSystem()
        alone.setContents("a.segment", try #require(disk.contents(path)))
        let inspection = try #require(try FileInspection.read(alone, "a.segment"))
        for width in [80, 200] {
            let text = InspectionText.lines(inspection, width: width, showsAll: false)
            #expect(text.allSatisfy { $0.count <= width })
            try FileInspection.annotate(alone, "a.segment") { bytes, ranges in
                HexText.lines(bytes, ranges, width: width) { #expect($0.count <= width) }
            }
        }
    }

    @Test func `the shares that are shown add up to the directory`() throws {
        let disk = try Self.store()
        let statistics = try #require(try StoreStatistics.read(disk))
        let total = disk.paths.reduce(0) { $0 + (disk.contents($1)?.count ?? 0) }
        let text = StatisticsText.lines(
            statistics, directory: "d", holder: "process 1", width: .max)
        let together = text.first { $0.hasPrefix("together") }
        #expect(together?.contains(" \(Quantity.count(total)) ") == true, "\(text)")
        #expect(text.first?.contains("held by process 1") == true)
    }

    @Test func `JSON quotes what has to be quoted`() {
        let json = JSONValue.object([
            ("a", .string("\"\\\n\u{1}é")), ("b", .array([])), ("c", .integer(UInt64.max)),
            ("d", .decimal(0.44, 3)), ("e", .null),
        ])
        #expect(
            json.text == #"""
                {
                  "a": "\"\\\n\u0001é",
                  "b": [],
                  "c": 18446744073709551615,
                  "d": 0.440,
                  "e": null
                }
                """#)
    }

    @Test func `quantities are rounded and grouped`() {
        #expect(Quantity.bytes(0) == "0 B" && Quantity.bytes(1_023) == "1023 B")
        #expect(Quantity.bytes(1_536) == "1.50 KiB")
        #expect(Quantity.bytes(1 << 40) == "1.00 TiB")
        #expect(Quantity.count(1_234_567) == "1,234,567" && Quantity.count(-1_000) == "-1,000")
        #expect(Quantity.fixed(0.995, 2) == "1.00" && Quantity.ratio(1, 0) == "–")
        #expect(InstantText.span(86_400_000_000_000) == "1d" && InstantText.span(1_500) == "1500ns")
    }

    @Test func `a table cuts its last column first, then the widest`() {
        var table = TextTable(["name", ">count", "note"])
        table.append(["a", "1", String(repeating: "x", count: 90)])
        table.append([String(repeating: "n", count: 60), "22", "y"])
        let lines = table.lines(width: 60)
        #expect(lines.allSatisfy { $0.count <= 60 })
        #expect(lines[1].hasPrefix("a ") && lines[1].contains("  1  "))
        #expect(lines[2].contains("…"))
    }
}
