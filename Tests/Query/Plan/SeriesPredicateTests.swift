import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Foundation
import Testing

/// Conditions on tags, answered from the index, against a look at every series.
///
/// `APUS_PREDICATE_CASES` says how many, `APUS_SEED` brings back a run.
@Suite("Conditions on tags") struct SeriesPredicateTests {
    private static func number(_ name: String, or other: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? other
    }

    private static let alphabet: [Character] = ["a", "b", "1", "A", "é", "É", ".", "%", "_", "-"]

    private static func newSeries(_ random: inout SeededRandom, _ count: Int) -> [TagSet] {
        (0..<count).map { _ in
            var tags: TagSet = [:]
            for (tag, absent, letters) in [("a", 5, 2), ("b", 3, 3), ("c", 8, 5)] {
                guard random.below(absent) > 0 else { continue }
                tags[tag] = String(
                    (0..<(1 + random.below(letters))).map { _ in
                        alphabet[random.below(alphabet.count)]
                    })
            }
            return tags
        }
    }

    private static func lines(_ series: ArraySlice<TagSet>) -> [UInt8] {
        let lines = series.map { tags in
            "t" + tags.sorted { $0.key < $1.key }.map { ",\($0)=\($1)" }.joined() + " x=1 1000\n"
        }
        return Array(lines.joined().utf8)
    }

    @Test func `random conditions find what a look at every series finds`() async throws {
        let cases = Self.number("APUS_PREDICATE_CASES", or: 20_000)
        var random = SeededRandom(seed: UInt64(Self.number("APUS_SEED", or: 1)))
        var done = 0
        while done < cases {
            let count = min(cases - done, 4_000)
            try await compare(count, &random)
            done += count
        }
    }

    /// So many cases on one table, to which series come in between.
    private func compare(_ cases: Int, _ random: inout SeededRandom) async throws {
        // Few answers fit, so that some are dropped and made again.
        var options = StoreOptions()
        options.predicateCacheBytesMax = 40 << 10
        try await withTemporaryStore(options) { store in
            let runner = ScriptRunner(store: store, state: .head)
            var series: [TagSet] = []
            var asked: [SlowPredicate] = []
            for number in 0..<cases {
                if number % 250 == 0 {
                    let known = series.count
                    for tags in Self.newSeries(&random, 20) where !series.contains(tags) {
                        series.append(tags)
                    }
                    _ = try await store.write(lines: Self.lines(series[known...]))
                }
                var predicate = SlowPredicate.random(&random, series, Self.alphabet)
                if random.below(3) == 0, !asked.isEmpty {
                    predicate = asked[random.below(asked.count)]
                } else {
                    asked.append(predicate)
                }
                let found = try runner.query("SHOW SERIES FROM t WHERE \(predicate.sql)").rows
                let expected = series.filter { predicate.holds($0) == true }.map { tags in
                    ["a", "b", "c"].map { tags[$0] ?? "NULL" }
                }
                guard found.count == expected.count, Set(found) == Set(expected) else {
                    Issue.record(
                        "\(predicate.sql): \(found.count) series, \(expected.count) expected")
                    return
                }
            }
        }
    }

    /// Few candidates are tested one by one: the same answer, and no look at all values.
    @Test func `a condition on what is left of another`() async throws {
        try await withTemporaryStore { store in
            let runner = ScriptRunner(store: store, state: .head)
            let lines = (0..<9_000).map { "t,id=v\($0),zone=z\($0 % 90) x=1 1000\n" }.joined()
            _ = try await store.write(lines: Array(lines.utf8))
            for _ in 0..<2 {
                let found = try runner.query(
                    "SHOW SERIES FROM t WHERE id ~ '[13579]7$' AND zone = 'z7'"
                ).rows
                let expected = (0..<9_000).filter {
                    $0 % 90 == 7 && $0 % 10 == 7 && $0 / 10 % 2 == 1
                }
                #expect(found.map { $0[0] } == expected.map { "v\($0)" })
                let all = try runner.query("SHOW SERIES FROM t WHERE id ~ '[13579]7$'").rows
                #expect(all.count == 450)
            }
        }
    }
}
