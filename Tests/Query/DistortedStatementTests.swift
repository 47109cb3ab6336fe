// Statements that were right once: the scripts', with words lost, doubled, exchanged and cut. Each
// is answered or refused; none may trap, and an error stands inside of what was sent.
//
// APUS_FUZZ_ROUNDS statements, from the seed in APUS_SEED: `make fuzz`. APUS_PLAN_ROUNDS of them that are
// parsed and planned only: `make fuzz-plans`.

import Apus
import ApusQuery
import ApusStorage
import ApusTestKit
import Foundation
import Testing

struct DistortedStatementTests {
    private static let others = [
        "(", ")", ",", ";", "'", "\"", "''", "*", "::", "$1", "$0", "NULL", "-", "--", "/*", "=",
        "~", "'('", "''''", "9223372036854775808", "1e309", "0x", "INTERVAL", "'1 mo'", "BETWEEN",
        "CASE", "END", "FILL", "SAMPLE BY", "5m", "GROUP BY", "ORDER BY", "LIMIT", "-1", "\u{0}",
        "é", "\u{1F600}", "'NaN'::double", "date_trunc", "time", "[", "]", ".", "..", "\\", "{",
    ]

    private static func blocks(_ kinds: Set<String>) throws -> [ScriptBlock] {
        try QueryScriptTests.scripts.flatMap { path in
            ScriptRunner.blocks(of: try String(contentsOfFile: path, encoding: .utf8))
                .filter { kinds.contains($0.kind[0]) }
        }
    }

    /// Words and the characters between them.
    private static func pieces(_ statement: String) -> [String] {
        var pieces: [String] = []
        for character in statement {
            let isWord = character.isLetter || character.isNumber || character == "_"
            if isWord, let last = pieces.last?.last,
                last.isLetter || last.isNumber || last == "_"
            {
                pieces[pieces.count - 1].append(character)
            } else {
                pieces.append(String(character))
            }
        }
        return pieces
    }

    /// - Parameter all: Statements in pieces.
    private static func distorted(_ all: [[String]], _ random: inout SeededRandom) -> String {
        var words = all[random.below(all.count)]
        for _ in 0...random.below(4) where !words.isEmpty {
            let index = random.below(words.count)
            switch random.below(7) {
            case 0: words.remove(at: index)
            case 1: words.insert(words[index], at: index)
            case 2: words.swapAt(index, random.below(words.count))
            case 3: words[index] = others[random.below(others.count)]
            case 4: words.insert(others[random.below(others.count)], at: index)
            case 5:
                let donor = all[random.below(all.count)]
                words.insert(contentsOf: donor[random.below(donor.count)...].prefix(6), at: index)
            default: words.removeLast(random.below(words.count))
            }
        }
        return words.joined()
    }

    /// A store with the scripts' rows, and their statements in pieces.
    private static func withScripts(
        _ body: (Store, [[String]]) async throws -> Void
    ) async throws {
        let all = try blocks(["query", "types", "error"]).map { pieces($0.statement) }
        try #require(all.count > 100)
        try await withTemporaryStore { store in
            // Where two scripts disagree about a table, one of them has to do without a field.
            for block in try blocks(["write"]) where block.kind.count == 1 {
                _ = try await store.write(lines: block.lines.joined(separator: "\n") + "\n")
            }
            try await body(store, all)
        }
    }

    private static func rounds(_ variable: String, otherwise count: Int) -> Int {
        ProcessInfo.processInfo.environment[variable].flatMap { Int($0) } ?? count
    }

    /// Runs a statement that may change nothing.
    /// - Returns: Whether it was answered; else its error stands inside of it.
    private static func run(_ statement: String, _ engine: QueryEngine, _ what: String) -> Bool {
        var request = QueryRequest(sql: statement)
        // What is there stays there.
        request.readOnly = true
        request.timeoutMilliseconds = 1_000
        var sink = TextSink()
        do throws(QueryError) {
            _ = try engine.run(request, cancellation: QueryCancellation(), into: &sink)
            return true
        } catch {
            let lines = statement.split(
                omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            #expect(
                error.code != .internal && (error.line ?? 1) <= lines.count
                    && (error.line ?? 1) >= 1 && (error.column ?? 1) >= 1,
                "\(what): \(statement): \(error)")
            return false
        }
    }

    private static func engine(_ store: Store) -> QueryEngine {
        var options = QueryOptions()
        options.memoryBytesMax = 16 << 20
        return QueryEngine(storage: store.engine, options: options)
    }

    @Test func `a distorted statement is answered or refused`() async throws {
        let rounds = Self.rounds("APUS_FUZZ_ROUNDS", otherwise: 3_000)
        var random = SeededRandom.fromEnvironment(otherwise: 31)
        try await Self.withScripts { store, all in
            let engine = Self.engine(store)
            var answered = 0
            for round in 0..<rounds {
                let statement = Self.distorted(all, &random)
                if Self.run(statement, engine, "seed \(random.seed), round \(round)") {
                    answered += 1
                }
            }
            #expect(answered > rounds / 50 && answered < rounds)
        }
    }

    /// Parser and planner alone, many times as fast. None may take long, let alone hang.
    @Test func `a distorted statement is planned or refused`() async throws {
        let threads = 2
        let rounds = Self.rounds("APUS_PLAN_ROUNDS", otherwise: 20_000) / threads
        let seed = SeededRandom.fromEnvironment(otherwise: 32).seed
        try await Self.withScripts { store, all in
            let planned = await withTaskGroup(of: Int.self) { group in
                for thread in 0..<threads {
                    group.addTask {
                        let engine = Self.engine(store)
                        var random = SeededRandom(seed: seed &+ UInt64(thread) &* 0x1000)
                        var planned = 0
                        for round in 0..<rounds {
                            let statement = "EXPLAIN " + Self.distorted(all, &random)
                            let start = ContinuousClock.now
                            if Self.run(statement, engine, "seed \(random.seed), round \(round)") {
                                planned += 1
                            }
                            #expect(start.duration(to: .now) < .seconds(20), "\(statement)")
                        }
                        return planned
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(planned > rounds / 50 && planned < rounds * threads)
        }
    }
}
