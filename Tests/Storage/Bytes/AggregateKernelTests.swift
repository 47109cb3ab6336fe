// The wide loops of aggregates, against one value after the other.

import ApusKernels
import ApusTestKit
import Testing

struct AggregateKernelTests {
    @Test func `halves of integers add up to their sum`() {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0032)
        for count in 0..<70 {
            let values = (0..<count).map { _ in
                random.oneIn(8) ? Int64.min : Int64(bitPattern: random.next() >> random.next() % 64)
            }
            let valid = (0..<count).map { _ in UInt8(random.below(2)) }
            var (high, low): (Int64, Int64) = (0, 0)
            apus_int64_halves(values, nil, count, &high, &low)
            #expect(Int128(high) << 32 + Int128(low) == values.reduce(0) { $0 + Int128($1) })
            apus_int64_halves(values, valid, count, &high, &low)
            let present = zip(values, valid).reduce(Int128(0)) { $0 + Int128($1.0) * Int128($1.1) }
            #expect(Int128(high) << 32 + Int128(low) == present)
        }
    }

    @Test func `the range of doubles leaves NaN out and counts it`() {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0033)
        let special = [Double.nan, .infinity, -.infinity, 0, -0.0, .greatestFiniteMagnitude]
        for count in 0..<70 {
            let values = (0..<count).map { _ in
                random.oneIn(5) ? special[random.below(special.count)] : random.normal()
            }
            var (low, high) = (0.0, 0.0)
            let nanCount = apus_double_range(values, count, &low, &high)
            let numbers = values.filter { !$0.isNaN }
            #expect(nanCount == count - numbers.count)
            #expect(low == numbers.min() ?? .infinity)
            #expect(high == numbers.max() ?? -.infinity)
        }
    }
}
