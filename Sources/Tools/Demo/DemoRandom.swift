// Random numbers that are the same for the same seed, on every machine.

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
struct DemoRandom {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Uniform in 0 ..< 1.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Uniform in 0 ..< count. The bias of the remainder is of no matter here.
    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(1, count))) }

    /// Near enough to a normal distribution of mean 0 and deviation 1, by additions alone, so that
    /// no mathematics library has a say in the result.
    mutating func bell() -> Double {
        var sum = 0.0
        for _ in 0..<12 { sum += unit() }
        return sum - 6
    }

    mutating func happens(_ probability: Double) -> Bool { unit() < probability }
}
