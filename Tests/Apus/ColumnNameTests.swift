// What SQL calls the columns of a table where names clash, and that this stays so.

import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Testing

@Suite struct ColumnNameTests {
    /// Writes, and what DESCRIBE says after them: SQL name, kind, type, written name.
    private static let cases: [(table: String, writes: [String], described: [String])] = [
        (
            "proxmox", [#"proxmox,type=lxc type="kvm" 1"#],
            ["type tag string type", "type_1 field string type"]
        ),
        (
            "taken", ["taken type_1=1.5 1", "taken,type=x type=1i 2"],
            [
                "type tag string type", "type_1 field float64 type_1", "type_2 field int64 type",
            ]
        ),
        (
            "latertag", ["latertag type=1i 1", "latertag,type=x v=true 2"],
            ["type tag string type", "type_1 field int64 type", "v field bool v"]
        ),
        (
            "laterfield", ["laterfield,type=x v=1u 1", "laterfield type=2i 2"],
            ["type tag string type", "type_1 field int64 type", "v field uint64 v"]
        ),
        // The name that a field got once stays its own, whoever comes later.
        (
            "kept", ["kept,type=x type=1i 1", "kept,type=x,type_1=y v=2i 2", "kept type_1_1=3i 3"],
            [
                "type tag string type", "type_1_1 tag string type_1", "type_1 field int64 type",
                "type_1_1_1 field int64 type_1_1", "v field int64 v",
            ]
        ),
        (
            "times", ["times,time=x time=5i 1"],
            ["time_1 tag string time", "time_2 field int64 time"]
        ),
        (
            "fieldfirst", ["fieldfirst time=5i 1", "fieldfirst,time=x v=1i 2"],
            ["time_2 tag string time", "time_1 field int64 time", "v field int64 v"]
        ),
    ]

    private func described(_ store: Store, _ table: String) async throws -> [String] {
        let result = try await store.query("DESCRIBE \(table)")
        #expect(result.columns.map(\.name) == ["name", "kind", "type", "written_name"])
        let rows = result.rows.map { row in (0..<4).map { "\(row[$0])" }.joined(separator: " ") }
        #expect(rows.first == "time time timestamp time")
        return Array(rows.dropFirst())
    }

    private func check(_ store: Store, _ state: String) async throws {
        for (table, _, expected) in Self.cases {
            #expect(try await described(store, table) == expected, "\(table), \(state)")
        }
        let kept = try await store.query(
            """
            SELECT type, type_1, type_1_1, type_1_1_1, "type"::tag, "type"::field, "type_1"::tag,
                "type_1_1"::field
            FROM kept ORDER BY time
            """)
        let rows = kept.rows.map { row in (0..<8).map { "\(row[$0])" }.joined(separator: " ") }
        #expect(
            rows == [
                "x 1 NULL NULL x 1 NULL NULL", "x NULL y NULL x NULL y NULL",
                "NULL NULL NULL 3 NULL NULL NULL 3",
            ], "\(state)")
    }

    @Test func `a clash gives the field the first free number, for ever`() async throws {
        let directory = TemporaryDirectory()
        for state in ["written", "from the log", "from a catalog file"] {
            let store = try await Store.open(at: directory.path)
            if state == "written" {
                for line in Self.cases.flatMap(\.writes) {
                    #expect(try await store.write(lines: line).rejectedCount == 0, "\(line)")
                }
            }
            try await check(store, state)
            if state == "from the log" {
                _ = try await store.query("FLUSH")
                try await check(store, "flushed")
            }
            try await store.close()
        }
    }
}
