// Cutting bytes where lines end must not change what the parser makes of them.

import ApusIngest
import ApusStorage
import Testing

@Suite struct LineBoundaryTests {
    private func completeByteCount(_ bytes: [UInt8], _ boundary: LineBoundary = .init()) -> Int {
        bytes.withUnsafeBytes { boundary.completeByteCount($0) }
    }

    @Test(arguments: 1...40)
    func `lines cut apart at a boundary are the same lines`(seed: Int) {
        var numbers = SeededNumbers(seed: UInt64(seed))
        let input = LineGenerator.input(&numbers, lines: 60)
        for _ in 0..<40 { expectSameLines(input, &numbers, "seed \(seed)") }
    }

    @Test(arguments: 1...200)
    func `so are lines that make no sense`(seed: Int) {
        var numbers = SeededNumbers(seed: UInt64(seed))
        let alphabet = [
            "a", " ", " ", "=", "=\"", "\"", "\\", ",", "\n", "\n", "#", "1", "a b=1 1\n",
        ]
        var text = ""
        for _ in 0..<120 { text += alphabet.randomElement(using: &numbers) ?? "a" }
        for _ in 0..<10 { expectSameLines(Array(text.utf8), &numbers, "seed \(seed)") }
    }

    private func expectSameLines(
        _ input: [UInt8], _ numbers: inout SeededNumbers, _ comment: Comment
    ) {
        let cut = Int.random(in: 0...input.count, using: &numbers)
        let head = completeByteCount(Array(input[..<cut]))
        #expect(head <= cut)
        // Two parsers that know nothing of each other, as two requests.
        let first = parse(Array(input[..<head]))
        let second = parse(Array(input[head...]))
        let whole = parse(input)
        #expect(
            withoutLines(BatchRows.rows(first)) + withoutLines(BatchRows.rows(second))
                == withoutLines(BatchRows.rows(whole)), comment)
        #expect(
            (first?.rejectedCount ?? 0) + (second?.rejectedCount ?? 0)
                == (whole?.rejectedCount ?? 0), comment)
    }

    private func withoutLines(_ rows: [String]) -> [String] {
        rows.map { String($0.drop { $0 != " " }) }
    }

    @Test func `a newline inside a string ends nothing`() {
        let text = Array("a b=1 1\nlog m=\"x\ny\\\"\n\" 2\nc d=\"".utf8)
        let complete = completeByteCount(text)
        #expect(String(decoding: text[complete...], as: UTF8.self) == "c d=\"")
        #expect(completeByteCount(Array("log m=\"x\ny".utf8)) == 0)
        #expect(completeByteCount(Array("a \"b\n".utf8)) == 5)
    }

    @Test func `behind a line that is too long the next newline ends it`() {
        let boundary = LineBoundary(lineBytesMax: 20)
        let text = Array("a b=\"0123456789\n0123456789\nc d=1\n".utf8)
        #expect(completeByteCount(text, boundary) == text.count)
        #expect(completeByteCount(text) == 0)
    }

    @Test func `the offset of a line is where the parser would number it`() {
        let text = Array("a b=1\nc d=\"\n\n\"\n\n# x\ne f=1".utf8)
        let boundary = LineBoundary()
        let starts = (1...6).map { line in
            text.withUnsafeBytes { boundary.offset(ofLine: line, in: $0) }
        }
        #expect(starts == [0, 6, 15, 16, 20, nil])
        let counts = text.withUnsafeBytes { LineBoundary.newlineCount($0) }
        #expect(counts == 6)
    }

    @Test func `a survey counts as one byte after the other does, in any pieces`() {
        var numbers = SeededNumbers(seed: 9)
        let alphabet = Array("ab=\n\n, ".utf8)
        for count in Array(0...200) + [16_319, 16_320, 16_321, 40_000] {
            var text = (0..<count).map { _ in alphabet.randomElement(using: &numbers) ?? 0 }
            let hasQuote = count > 0 && count % 3 == 0
            if hasQuote { text[Int.random(in: 0..<count, using: &numbers)] = UInt8(ascii: "\"") }
            let cut = Int.random(in: 0...count, using: &numbers)
            var survey = LineSurvey()
            text[..<cut].withUnsafeBytes { survey.add($0) }
            text[cut...].withUnsafeBytes { survey.add($0) }
            #expect(survey.newlineCount == text.count { $0 == 0x0A }, "\(count)")
            #expect(survey.hasQuote == hasQuote, "\(count)")
        }
        // More than a lane of eight bits counts.
        let full = [UInt8](repeating: 0x0A, count: 100_000)
        #expect(full.withUnsafeBytes { LineSurvey($0) }.newlineCount == full.count)
    }

    @Test func `a parser that requires a time refuses lines without one`() {
        let context = LineContext(catalog: Catalog())
        let parser = LineParser(
            context: context, database: "db", precision: .nanoseconds, arrivalNanoseconds: 7)
        parser.requiresTime = true
        // Twice, since the second line of a series takes the fast path.
        let text = Array(
            (String(repeating: "a,k=v b=1 5\na,k=v b=1\na,k=v b=1 \n", count: 3)
                + "# the rest is slack for the fast path ....................................\n")
                .utf8)
        text.withUnsafeBytes { parser.feed($0) }
        parser.finish(endsLine: true)
        let batch = parser.takeBatch()
        #expect(batch?.rowCount == 3)
        #expect(batch?.rejectedCount == 6)
        #expect(batch?.rejections.allSatisfy { $0.reason == "missing timestamp" } == true)
    }
}
