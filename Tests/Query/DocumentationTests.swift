// Runs the examples of docs/query-language.md: what stands in `sql` fences, answers in `answer`
// fences below them, statements within sentences, and the third column of the aggregates.

import Apus
import ApusQuery
import Foundation
import Testing

struct DocumentationTests {
    private struct Fence {
        var language: String
        var lines: [String]
        var lineNumber: Int
    }

    private static func page() throws -> [String] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let path = root.appendingPathComponent("docs/query-language.md").path
        return try String(contentsOfFile: path, encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    private static func fences(_ page: [String]) -> [Fence] {
        var fences: [Fence] = []
        var isOpen = false
        for (number, line) in page.enumerated() {
            if line.hasPrefix("```") {
                if !isOpen {
                    fences.append(
                        Fence(
                            language: String(line.dropFirst(3)), lines: [], lineNumber: number + 1))
                }
                isOpen.toggle()
            } else if isOpen {
                fences[fences.count - 1].lines.append(line)
            }
        }
        return fences
    }

    /// Code spans outside fences.
    private static func spans(_ page: [String]) -> [String] {
        var isOpen = false
        var spans: [String] = []
        for line in page {
            if line.hasPrefix("```") { isOpen.toggle() }
            guard !isOpen, !line.hasPrefix("```") else { continue }
            let parts = line.split(separator: "`", omittingEmptySubsequences: false)
            spans += parts.enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
        }
        return spans
    }

    private func withExamples(
        _ page: [String], _ body: (ScriptRunner) throws -> Void
    ) async throws {
        let rows = try #require(Self.fences(page).first { $0.language == "line-protocol" })
        try await withTemporaryStore { store in
            let result = try await store.write(lines: rows.lines.joined(separator: "\n") + "\n")
            #expect(result.rejectedCount == 0)
            try body(ScriptRunner(store: store, state: .head))
        }
    }

    private func run(_ runner: ScriptRunner, _ sql: String, _ place: String) -> [String]? {
        do {
            let answer = try runner.query(sql)
            return [answer.columns.map(\.name).joined(separator: " | ")]
                + answer.rows.map { $0.joined(separator: " | ") }
        } catch {
            Issue.record("\(place): \(sql): \(error)")
            return nil
        }
    }

    @Test func `every fenced example runs and answers as written`() async throws {
        let page = try Self.page()
        let fences = Self.fences(page)
        try await withExamples(page) { runner in
            var statementCount = 0
            var answer: [String]?
            for fence in fences {
                let place = "docs/query-language.md:\(fence.lineNumber)"
                switch fence.language {
                case "sql":
                    let text = fence.lines.joined(separator: "\n") + "\n"
                    for statement in text.split(separator: ";\n")
                    where !statement.allSatisfy(\.isWhitespace) {
                        answer = run(runner, String(statement), place)
                        statementCount += 1
                    }
                case "answer": #expect(answer == fence.lines, "\(place)")
                case "text", "line-protocol": answer = nil
                default: Issue.record("\(place): no fence is called '\(fence.language)'")
                }
            }
            #expect(statementCount >= 20)
        }
    }

    @Test func `every statement in a sentence and every aggregate's example runs`() async throws {
        let page = try Self.page()
        try await withExamples(page) { runner in
            let statements = Self.spans(page).filter {
                $0.hasPrefix("SELECT ") && $0.contains(" FROM ") && !$0.contains("…")
            }
            #expect(statements.count >= 2)
            for statement in statements { _ = run(runner, statement, "a sentence") }

            let section = page.drop { $0 != "## Aggregates" }.dropFirst().prefix {
                !$0.hasPrefix("## ")
            }
            let examples = section.filter { $0.hasPrefix("| `") }.compactMap { line in
                line.split(separator: "|").last { $0.contains("`") }?.filter { $0 != "`" }
            }
            #expect(examples.count >= 8)
            for example in examples {
                _ = run(runner, "SELECT \(example) FROM cpu", "the aggregates")
            }
        }
    }

    @Test func `what is said to be missing says so itself`() async throws {
        try await withExamples(try Self.page()) { runner in
            for sql in [
                "SELECT 1 FROM cpu a RIGHT JOIN cpu b USING (host)",
                "SELECT 1 FROM cpu a FULL JOIN cpu b USING (host)",
                "SELECT (SELECT max(c.bytes) FROM cpu c WHERE c.host = cpu.host) FROM cpu",
                "WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a", "VALUES (1)",
                "SELECT avg(bytes) FROM cpu SAMPLE BY 5m ALIGN TO FIRST OBSERVATION",
                "SELECT sum(bytes ORDER BY bytes) FROM cpu", "DELETE FROM cpu WHERE bytes > 1",
                "ALTER TABLE cpu RENAME TO c", "ALTER TABLE cpu ADD COLUMN x DOUBLE",
                "EXPLAIN SHOW TABLES", "EXPLAIN KILL 1",
            ] {
                do {
                    _ = try runner.query(sql)
                    Issue.record("\(sql) answered")
                } catch let error as QueryError {
                    #expect(error.code == .unsupported, "\(sql): \(error)")
                }
            }
        }
    }
}
