import ApusIngest
import ApusStorage
import Glibc
import Testing

/// How many seeds the generated lines are tried with; `APUS_TEST_SEEDS` asks for a longer run.
private let seedCount = getenv("APUS_TEST_SEEDS").flatMap { Int(String(cString: $0)) } ?? 150

@Suite struct DifferentialTests {
    private func check(_ input: [UInt8], _ batch: WriteBatch?, _ note: Comment) {
        let expected = ReferenceLineParser.parse(input)
        #expect(BatchRows.rows(batch) == expected.rows, note)
        #expect(batch?.rejectedCount ?? 0 == expected.refusedLines.count, note)
        let kept = (batch?.rejections ?? []).map(\.line)
        #expect(kept == Array(expected.refusedLines.prefix(WriteBatch.rejectionsKeptMax)), note)
    }

    @Test(arguments: 0..<seedCount)
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
    func `nothing is read behind the input`(seed: Int) throws {
        var numbers = SeededNumbers(seed: UInt64(seed) + 3_000)
        let input = LineGenerator.input(&numbers, lines: 30)
        let context = LineContext(catalog: Catalog())
        // The piece ends where a page begins that must not be touched.
        let page = 4_096
        let pages = (input.count + page - 1) / page
        let memory = mmap(
            nil, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        let base = try #require(memory)
        defer { munmap(base, (pages + 1) * page) }
        try #require(mprotect(base + pages * page, page, PROT_NONE) == 0)
        for round in 0..<30 {
            let length = round == 0 ? input.count : Int.random(in: 1...input.count, using: &numbers)
            let start = base + (pages * page - length)
            start.copyMemory(from: Array(input.prefix(length)), byteCount: length)
            let parser = LineParser(
                context: context, database: "db", precision: .nanoseconds,
                arrivalNanoseconds: arrivalNanoseconds)
            parser.feed(UnsafeRawBufferPointer(start: start, count: length))
            parser.finish(endsLine: true)
            check(Array(input.prefix(length)), parser.takeBatch(), "seed \(seed), \(length) bytes")
        }
    }

    @Test(arguments: 0..<20)
    func `random bytes are refused or stored, never fatal`(seed: Int) {
        var numbers = SeededNumbers(seed: UInt64(seed) + 2_000)
        let alphabet =
            Array("ab=, \\\"\n\r#1.ie-ut".utf8) + [0, 0x7F, 0xC2, 0x85, 0xC3, 0xA4, 0xFF]
        let input = (0..<2_000).map { _ in alphabet.randomElement(using: &numbers) ?? 0 }
        check(input, parse(input), "seed \(seed)")
        check(input, parse(input, cuts: [500, 1_000, 1_001]), "seed \(seed), in pieces")
    }
}
