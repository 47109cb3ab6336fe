// Every question of docs/tour.md, asked of the real binary: the answers stand there as they are.

import ApusTestKit
import Foundation
import Testing

@Suite struct TourTests {
    /// The page's own words: where the demo's history ends, and what `now()` is then.
    private static let end = (seconds: "1767272400", text: "'2026-01-01T13:00:00Z'::timestamp")

    @Test func `the tour's questions are answered as the page says`() throws {
        let page = try String(contentsOfFile: Self.page, encoding: .utf8)
        #expect(page.contains("apus demo --once --until \(Self.end.seconds)"))
        let questions = Self.questions(of: page)
        #expect(questions.count >= 10)

        let directory = TemporaryDirectory()
        let server = try ServerProcess(data: directory.path)
        let url = "http://127.0.0.1:\(server.httpPort)"
        let demo = try Binary.run(["demo", "--url", url, "--once", "--until", Self.end.seconds])
        #expect(demo.code == 0, "\(demo.errors)")
        for (question, answer) in questions {
            let sql = question.replacingOccurrences(of: "now()", with: Self.end.text)
            let run = try Binary.run(["sql", "--url", url, "--db", "demo", "-e", sql])
            #expect(run.code == 0, "\(run.errors)")
            #expect(Self.lines(run.output) == Self.lines(answer), "\(question)")
        }
    }

    private static let page =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        .joined(separator: "/") + "/docs/tour.md"

    /// Each `sql` fence with the `text` fence behind it.
    private static func questions(of page: String) -> [(question: String, answer: String)] {
        var found: [(question: String, answer: String)] = []
        var fence: (kind: Substring, text: String)?
        for line in page.split(separator: "\n", omittingEmptySubsequences: false) {
            if let (kind, text) = fence, line == "```" {
                if kind == "sql" { found.append((text, "")) }
                if kind == "text", !found.isEmpty { found[found.count - 1].answer = text }
                fence = nil
            } else if fence != nil {
                fence?.text += line + "\n"
            } else if line.hasPrefix("```") {
                fence = (line.dropFirst(3), "")
            }
        }
        return found
    }

    private static func lines(_ text: String) -> [String] {
        text.split(separator: "\n").map { line in
            String(line.reversed().drop { $0 == " " }.reversed())
        }
    }
}
