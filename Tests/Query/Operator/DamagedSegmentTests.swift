// A segment damaged on the disk while the store was closed, met by a query.

import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Foundation
import Testing

@Suite struct DamagedSegmentTests {
    private func query(
        _ store: Store, _ sql: String, strict: Bool = false
    ) throws(QueryError) -> (rows: [[String]], warnings: [String]) {
        var request = QueryRequest(sql: sql)
        request.strict = strict
        var sink = TextSink()
        let summary = try store.queries.run(
            request, cancellation: QueryCancellation(), into: &sink)
        return (sink.rows, summary.warnings)
    }

    private func segments(_ directory: String) -> Set<String> {
        let names = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String }
        return Set((names ?? []).filter { $0.hasSuffix(".segment") })
    }

    /// Rows of hard to compress numbers, so that most of the file is their blocks.
    private func lines(_ table: String, from second: Int, count: Int) -> String {
        var text = ""
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        for row in second..<(second + count) {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let value = Double(state >> 11) / 9e15
            text += "\(table),host=a v=\(value) \(1_700_000_000 + row)000000000\n"
        }
        return text
    }

    @Test func `a flipped byte in a block costs its segment, with a warning that names the file`()
        async throws
    {
        let place = TemporaryDirectory()
        let directory = place.path

        let first = try await Store.open(at: directory)
        try await first.write(lines: lines("hurt", from: 0, count: 4_000))
        _ = try query(first, "FLUSH")
        let damaged = segments(directory)
        try await first.write(lines: lines("hurt", from: 10_000, count: 10))
        try await first.write(lines: lines("sound", from: 0, count: 20))
        _ = try query(first, "FLUSH")
        try await first.close()
        try #require(damaged.count == 1)
        let name = try #require(damaged.first)
        try #require(segments(directory).contains(name))

        let path = directory + "/" + name
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[bytes.count / 2] ^= 0x10
        try bytes.write(to: URL(fileURLWithPath: path))

        let store = try await Store.open(at: directory)
        #expect(throws: QueryError.self) {
            try query(store, "SELECT count(*), sum(v * 2) FROM hurt", strict: true)
        }
        let answer = try query(store, "SELECT count(*), count(v * 2) FROM hurt")
        #expect(answer.rows == [["10", "10"]])
        #expect(answer.warnings.contains { $0.contains(name) }, "\(answer.warnings)")
        do {
            _ = try query(store, "SELECT v FROM hurt", strict: true)
            Issue.record("strict answered over damage")
        } catch { #expect(error.code == .damaged) }

        let health = store.engine.health()
        #expect(health.status == .warn)
        #expect(health.message.contains(name))
        #expect(health.damagedFiles.contains { $0.contains(name) })

        // What the damage can't have changed is answered without a warning, and strictly too.
        let other = try query(store, "SELECT count(*), count(v * 2) FROM sound", strict: true)
        #expect(other.rows == [["20", "20"]])
        #expect(other.warnings.isEmpty)
        let later = try query(
            store, "SELECT count(v * 2) FROM hurt WHERE time >= '2023-11-15T00:59:00Z'",
            strict: true)
        #expect(later.rows == [["10"]])
        try await store.write(lines: "hurt,host=a v=1 1700020000000000000\n")
        #expect(try query(store, "SELECT count(*) FROM hurt").rows == [["11"]])
        try await store.close()
    }

    @Test func `a query that is the first to meet the damage answers the whole rest`() async throws
    {
        let place = TemporaryDirectory()
        let directory = place.path
        let first = try await Store.open(at: directory)
        for table in ["grouped", "sorted", "plain"] {
            try await first.write(lines: lines(table, from: 0, count: 2_000))
            _ = try query(first, "FLUSH")
        }
        let damaged = segments(directory)
        for table in ["grouped", "sorted", "plain"] {
            try await first.write(lines: lines(table, from: 10_000, count: 10))
        }
        try await first.close()
        for name in damaged {
            let path = directory + "/" + name
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            bytes[bytes.count / 2] ^= 0x10
            try bytes.write(to: URL(fileURLWithPath: path))
        }

        let store = try await Store.open(at: directory)
        let grouped = try query(store, "SELECT count(v * 2) FROM grouped")
        #expect(grouped.rows == [["10"]])
        #expect(grouped.warnings.count == 1)
        let sorted = try query(store, "SELECT v FROM sorted ORDER BY v DESC")
        #expect(sorted.rows.count == 10)
        #expect(sorted.warnings.count == 1)
        try await store.close()
    }
}
