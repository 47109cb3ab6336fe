// Statements that were right once: the scripts', with words lost, doubled, exchanged and cut. Each
// is answered or refused; none may trap, and an error stands inside of what was sent.
//
// APUS_FUZZ_ROUNDS statements, from the seed in APUS_SEED: `make fuzz`.

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

    private static func distorted(
        _ statement: String, _ all: [String], _ random: inout SeededRandom
    ) -> String {
        var words = pieces(statement)
        for _ in 0...random.below(4) where !words.isEmpty {
            let index = random.below(words.count)
            switch random.below(7) {
            case 0: words.remove(at: index)
            case 1: words.insert(words[index], at: index)
            case 2: words.swapAt(index, random.below(words.count))
            case 3: words[index] = others[random.below(others.count)]
            case 4: words.insert(others[random.below(others.count)], at: index)
            case 5:
                let donor = pieces(all[random.below(all.count)])
                words.insert(contentsOf: donor[random.below(donor.count)...].prefix(6), at: index)
            default: words.removeLast(random.below(words.count))
            }
        }
        return words.joined()
    }

    @Test func `a distorted statement is answered or refused`() async throws {
        let rounds =
            ProcessInfo.processInfo.environment["APUS_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 3_000
        var random = SeededRandom.fromEnvironment(otherwise: 31)
        let seed = random.seed
        let all = try Self.blocks(["query", "types", "error"]).map(\.statement)
        try #require(all.count > 100)
        try await withTemporaryStore { store in
            // Where two scripts disagree about a table, one of them has to do without a field.
            for block in try Self.blocks(["write"]) where block.kind.count == 1 {
                _ = try await store.write(lines: block.lines.joined(separator: "\n") + "\n")
            }
            var options = QueryOptions()
            options.memoryBytesMax = 16 << 20
            let engine = QueryEngine(storage: store.engine, options: options)
            var answered = 0
            for round in 0..<rounds {
                let statement = Self.distorted(all[random.below(all.count)], all, &random)
                var request = QueryRequest(sql: statement)
                // What is there stays there.
                request.readOnly = true
                request.timeoutMilliseconds = 1_000
                var sink = TextSink()
                do throws(QueryError) {
                    _ = try engine.run(request, cancellation: QueryCancellation(), into: &sink)
                    answered += 1
                } catch {
                    let lines = statement.split(
                        omittingEmptySubsequences: false, whereSeparator: \.isNewline)
                    #expect(
                        error.code != .internal && (error.line ?? 1) <= lines.count
                            && (error.line ?? 1) >= 1 && (error.column ?? 1) >= 1,
                        "seed \(seed), round \(round): \(statement): \(error)")
                }
            }
            #expect(answered > rounds / 50 && answered < rounds)
        }
    }
}
