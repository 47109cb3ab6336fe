// Doubles as text, against the standard library's shortest form.

import ApusQuery
import ApusTestKit
import Testing

struct NumberTextTests {
    private static func text(_ value: Double) -> String {
        let writer = TextWriter()
        writer.double(value)
        return writer.string
    }

    @Test func `doubles are written as their description`() {
        var random = SeededRandom.fromEnvironment(otherwise: 0xA905_0034)
        var values: [Double] = [
            0, -0.0, 1, 0.1, 1e-4, 9.999e-5, 1e15, 1e16, 1e17, 5e-324, 1e300, .pi,
        ]
        for exponent in -1_074...1_023 {
            values.append(Double(sign: .plus, exponent: exponent, significand: 1))
        }
        for exponent in -20...20 {
            var power = 1.0
            for _ in 0..<abs(exponent) { power *= 10 }
            values += [exponent < 0 ? 1 / power : power]
        }
        values += values.flatMap { [$0.nextUp, $0.nextDown] }
        for _ in 0..<200_000 {
            // Of the common sizes; averages; decimals; any bits.
            values.append(
                Double(bitPattern: (1_000 + random.next() % 60) << 52 | random.next() >> 12))
            values.append(Double(random.below(1_000_000)) / Double(1 + random.below(10_000)))
            values.append(Double(random.below(1 << 53)) / 1_000)
            values.append(Double(bitPattern: random.next()))
        }
        var differing = 0
        for value in values where value.isFinite {
            for value in [value, -value] where Self.text(value) != value.description {
                differing += 1
                if differing < 10 {
                    Issue.record("\(value.description) is \(Self.text(value)), seed \(random.seed)")
                }
            }
        }
        #expect(differing == 0)
    }
}
