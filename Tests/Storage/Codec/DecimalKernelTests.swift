import ApusKernels
import ApusTestKit
import Testing

/// Division by powers of ten without dividing, against the CPU's division.
@Suite struct DecimalKernelTests {
    private static let integerMax: Int64 = 1 << 51

    @Test(arguments: 0...22) func `restores what division gives`(exponent: Int) {
        var random = SeededRandom.fromEnvironment(otherwise: 51 + UInt64(exponent))
        var integers = [0, 1, -1, Self.integerMax - 1, 1 - Self.integerMax]
        for _ in 0..<20_000 {
            let bits = 1 + random.below(51)
            let magnitude = Int64(random.next() & (1 << bits - 1))
            integers.append(random.below(2) == 0 ? magnitude : -magnitude)
        }
        integers += Self.hardestQuotients(exponent, random: &random)
        let power = Self.power(exponent)
        var restored = integers.map { UInt64(bitPattern: $0) }
        apus_restore_decimals(&restored, restored.count, power)
        #expect(restored == integers.map { (Double($0) / power).bitPattern })
        var back = restored
        let missing = apus_scale_decimals(restored, restored.count, power, &back)
        let found = zip(integers, back).filter { $0 == Int64(bitPattern: $1) }.count
        #expect(found + missing == integers.count)
    }

    /// Integers whose quotients lie next to the middle of two doubles: n × 2^a = q × 5^k ± c with q of 54
    /// bits, odd, and a small c.
    private static func hardestQuotients(_ exponent: Int, random: inout SeededRandom) -> [Int64] {
        let odd = (0..<exponent).reduce(UInt128(1)) { power, _ in power * 5 }
        var inverse: UInt128 = 1
        for _ in 0..<7 { inverse = inverse &* (2 &- odd &* inverse) }
        var found: [Int64] = []
        for shift in 4..<54 {
            let modulus = UInt128(1) << shift
            for distance in stride(from: UInt128(1), to: 8, by: 2) {
                for near in [distance, 0 &- distance] {
                    let low = (near &* inverse) & (modulus - 1)
                    let free = UInt128(random.next()) << shift
                    let middle = (low | free) & (1 << 53 - 1) | 1 << 53
                    let product = middle &* odd &- near
                    let integer = product >> shift
                    guard product & (modulus - 1) == 0, integer < UInt128(integerMax) else {
                        continue
                    }
                    found.append(Int64(integer))
                }
            }
        }
        return found
    }

    private static func power(_ exponent: Int) -> Double {
        (0..<exponent).reduce(1) { power, _ in power * 10 }
    }
}
