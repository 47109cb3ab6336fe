// Random numbers that come back: the same seed gives the same numbers, everywhere and always.

internal import Glibc

/// SplitMix64 (Steele, Lea, Flood 2014). Not for secrets.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    package let seed: UInt64
    private var state: UInt64

    package init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// The seed in the environment's `APUS_SEED`, or this one.
    package static func fromEnvironment(otherwise seed: UInt64) -> SeededRandom {
        let text = getenv("APUS_SEED").map { String(cString: $0) } ?? ""
        return SeededRandom(seed: UInt64(text) ?? seed)
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// A number below `bound`, which is positive.
    package mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    /// True once in `times` on average.
    package mutating func oneIn(_ times: Int) -> Bool { below(times) == 0 }

    /// 0 ..< 1.
    package mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Normally distributed: mean 0, standard deviation 1.
    package mutating func normal() -> Double {
        let radius = (-2 * log(1 - unit())).squareRoot()
        return radius * cos(2 * Double.pi * unit())
    }
}
