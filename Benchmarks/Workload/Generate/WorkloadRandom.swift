// Random numbers that are the same for the same seed. Frozen: a change here changes every data
// set, so it would need new names for all of them.

import Glibc

/// xoshiro256** (Blackman, Vigna: Scrambled Linear Pseudorandom Number Generators, 2018), seeded by
/// SplitMix64.
struct WorkloadRandom {
    private var state: (UInt64, UInt64, UInt64, UInt64)
    private var spareNormal: Double?

    init(seed: UInt64) {
        var mixer = seed
        func mixed() -> UInt64 {
            mixer &+= 0x9E37_79B9_7F4A_7C15
            var word = mixer
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            return word ^ (word >> 31)
        }
        state = (mixed(), mixed(), mixed(), mixed())
    }

    mutating func next() -> UInt64 {
        let product = state.1 &* 5
        let result = (product << 7 | product >> 57) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = state.3 << 45 | state.3 >> 19
        return result
    }

    /// Uniform in 0 ..< 1.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Uniform in 0 ..< count; the bias of the remainder is of no matter here.
    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(1, count))) }

    mutating func happens(_ probability: Double) -> Bool { unit() < probability }

    mutating func choose(_ choices: [String]) -> String { choices[below(choices.count)] }

    /// Normal, mean 0 and deviation 1, by Marsaglia's polar method, which makes two at a time.
    mutating func normal() -> Double {
        if let spare = spareNormal {
            spareNormal = nil
            return spare
        }
        while true {
            let x = 2 * unit() - 1
            let y = 2 * unit() - 1
            let square = x * x + y * y
            guard square < 1, square > 0 else { continue }
            let factor = (-2 * log(square) / square).squareRoot()
            spareNormal = y * factor
            return x * factor
        }
    }
}
