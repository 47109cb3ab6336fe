import ApusIngest
import ApusStorage
import Testing

@Suite struct DifferentialTests {
    private func check(_ input: [UInt8], _ batch: WriteBatch?, _ note: Comment) {
        let expected = ReferenceLineParser.parse(input)
        #expect(BatchRows.rows(batch) == expected.rows, note)
        #expect(batch?.rejectedCount ?? 0 == expected.refusedLines.count, note)
        let kept = (batch?.rejections ?? []).map(\.line)
        #expect(kept == Array(expected.refusedLines.prefix(WriteBatch.rejectionsKeptMax)), note)
    }

    @Test(arguments: 0..<150)
    func `generated and mutated lines mean what the reference says, in any pieces`(seed: Int) {
        var numbers = SeededNumbers(seed: UInt64(seed))
        let input = LineGenerator.input(&numbers, lines: 40)
        check(input, parse(input), "seed \(seed), one piece")
        let context = LineContext(catalog: Catalog())
        for round in 0..<3 {
            let cuts = (0..<Int.random(in: 1...6, using: &numbers))
                .map { _ in Int.random(in: 0...input.count, using: &numbers) }.sorted()
            let batch = parse(input, cuts: cuts, context: context)
            check(input, batch, "seed \(seed), round \(round), cuts \(cuts)")
        }
    }

    @Test(arguments: 0..<10)
    func `bytes that arrive one by one give the same rows`(seed: Int) {
        var numbers = SeededNumbers(seed: UInt64(seed) + 1_000)
        let input = LineGenerator.input(&numbers, lines: 15)
        check(input, parse(input, cuts: Array(1..<input.count)), "seed \(seed)")
    }

    @Test(arguments: 0..<20)
    func `random bytes are refused or stored, never fatal`(seed: Int) {
        var numbers = SeededNumbers(seed: UInt64(seed) + 2_000)
        let alphabet = Array("ab=, \\\"\n\r#1.ie-ut".utf8) + [0, 0x7F, 0xC3, 0xA4, 0xFF]
        let input = (0..<2_000).map { _ in alphabet.randomElement(using: &numbers) ?? 0 }
        check(input, parse(input), "seed \(seed)")
        check(input, parse(input, cuts: [500, 1_000, 1_001]), "seed \(seed), in pieces")
    }
}
