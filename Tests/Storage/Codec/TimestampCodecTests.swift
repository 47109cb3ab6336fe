// Times come back as they went in.

import ApusStorage
import ApusTestKit
import Testing

@Suite struct TimestampCodecTests {
    private let start: Int64 = 1_764_000_000_000_000_000

    private func shapes(_ count: Int, _ random: inout SeededRandom) -> [(String, [Int64])] {
        var generator = random
        defer { random = generator }
        var shapes: [(String, [Int64])] = []
        func add(_ name: String, _ make: (Int64) -> Int64) {
            shapes.append((name, (0..<Int64(count)).map(make)))
        }
        add("regular") { start + $0 * 10_000_000_000 }
        add("descending") { start - $0 * 10_000_000_000 }
        add("same") { _ in start }
        add("millisecond jitter") {
            start + $0 * 10_000_000_000 + Int64(generator.below(9)) * 1_000_000
        }
        add("nanosecond jitter") { start + $0 * 10_000_000_000 + Int64(generator.below(900_000)) }
        var gap: Int64 = 0
        add("gaps") {
            if generator.oneIn(50) { gap += 10_000_000_000 }
            return start + $0 * 10_000_000_000 + gap
        }
        add("accelerating") { start + $0 * $0 * 1000 }
        var walk = start
        add("events") { _ in
            walk += 1 + Int64(generator.below(1_000_000_000))
            return walk
        }
        for length in [1, 2, 3, 10, 100] as [Int64] {
            add("runs of \(length)") { start + $0 % length * 10_000_000_000 }
        }
        var run: Int64 = 0
        add("runs of many lengths") { _ in
            run = generator.oneIn(5) ? 0 : run + 1
            return start + run * 10_000_000_000
        }
        add("anything") { _ in Int64(bitPattern: generator.next()) }
        add("extremes") { $0 % 2 == 0 ? .min : .max }
        add("the whole range") { $0 < 2 ? ($0 == 0 ? .min : -1) : Int64.max - Int64(count) + $0 }
        return shapes
    }

    @Test(arguments: edgeLengths)
    func `times of every shape come back`(count: Int) throws {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0011 &+ UInt64(count))
        for (name, times) in shapes(count, &random) {
            let encoded = encodeTimes(times)
            let back = try decodeTimes(encoded, count: count)
            #expect(
                back == times,
                "\(name), \(count) rows, \(encoded.encoding.name), seed \(random.seed)")
        }
    }

    @Test func `regular times take no bits a row`() {
        let short = encodeTimes((0..<2).map { start + $0 * 10_000_000_000 })
        let long = encodeTimes((0..<1024).map { start + $0 * 10_000_000_000 })
        #expect(short.payload.count == long.payload.count)
    }

    @Test func `series sampled together take no bits a row`() {
        let times = (0..<1023).map { start + Int64($0 % 3) * 10_000_000_000 }
        let encoded = encodeTimes(times)
        #expect(encoded.encoding == .repeatedTimes)
        #expect(encoded.payload.count < 24)
    }

    @Test func `a few gaps don't widen every delta`() {
        let times = (0..<1024).map { start + (Int64($0) + Int64($0 / 300)) * 10_000_000_000 }
        #expect(encodeTimes(times).payload.count < 48)
    }

    @Test func `runs of different lengths take few bits a row`() {
        var random = SeededRandom(seed: 5)
        var run: Int64 = 0
        let times = (0..<1024).map { _ in
            run = random.oneIn(4) ? Int64(random.below(3)) : run + 1
            return start + run * 10_000_000_000
        }
        let encoded = encodeTimes(times)
        print("runs: \(encoded.encoding.name) \(encoded.payload.count) bytes")
        #expect(encoded.payload.count < 1024)
    }
}
