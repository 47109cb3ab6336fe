// The shortest decimal that reads back as a double, of numbers near one.
//
// Schubfach (R. Giulietti, The Schubfach way to render doubles, 2020): a double c × 2^q stands for all
// numbers between the middles to its neighbours. Of the multiples of 10^k, with k such that one or two of
// them lie in there, the nearest is taken; of those of 10^(k+1) there is one at most, which is shorter.
// Where q is at most 0 and not below −127, 10^−k is known exactly in 128 bits.

/// `digits` × 10^`exponent`, of which the last digit may be a zero.
struct ShortestDecimal {
    let digits: UInt64
    let exponent: Int

    /// The numbers that `init` takes: their powers of ten fit 128 bits, with room to spare.
    static let range = 0x1p-40..<0x1p53

    /// - Parameter value: within `range`.
    init(_ value: Double) {
        let fraction = value.significandBitPattern
        let binary = Int(value.exponentBitPattern) &- 1_075
        let significand = fraction | 1 &<< 52
        // Below a power of two the neighbour is half as far.
        let isUneven = fraction == 0
        // floor(log10(2^q)), or of three quarters of it.
        let power = (binary &* 1_262_611 &- (isUneven ? 524_031 : 0)) &>> 22
        // floor(log2(10^−k)): together they bring the product to 66 bits and a fraction.
        let shift = UInt64(binary &+ ((0 &- power) &* 1_741_647) &>> 19 &+ 1)
        let scale = Self.powers[0 &- power]
        let quarters = significand &<< 2
        let isOdd: UInt64 = significand & 1
        let low = Self.product(scale, (quarters &- (isUneven ? 1 : 2)) &<< shift) &+ isOdd
        let here = Self.product(scale, quarters &<< shift)
        let high = Self.product(scale, (quarters &+ 2) &<< shift) &- isOdd

        let below = here &>> 2
        let tens = below / 10
        let (isLowTen, isHighTen) = (low <= tens &* 40, tens &* 40 &+ 40 <= high)
        if isLowTen != isHighTen {
            (digits, exponent) = (isHighTen ? tens &+ 1 : tens, power &+ 1)
            return
        }
        exponent = power
        let (isLow, isHigh) = (low <= below &* 4, below &* 4 &+ 4 <= high)
        if isLow != isHigh {
            digits = isHigh ? below &+ 1 : below
            return
        }
        let middle = below &* 4 &+ 2
        let isAbove = here > middle || here == middle && below & 1 == 1
        digits = isAbove ? below &+ 1 : below
    }

    /// Of the product of both, the upper 64 bits of 192; the lowest of them says whether more follow.
    @inline(__always)
    private static func product(
        _ scale: (high: UInt64, low: UInt64), _ factor: UInt64
    ) -> UInt64 {
        let lower = scale.low.multipliedFullWidth(by: factor).high
        let upper = scale.high.multipliedFullWidth(by: factor)
        let (sum, carry) = upper.low.addingReportingOverflow(lower)
        return upper.high &+ (carry ? 1 : 0) | (sum > 1 ? 1 : 0)
    }

    /// 10^n, shifted so that the highest of 128 bits is set.
    private static let powers: [(high: UInt64, low: UInt64)] = {
        var power: UInt128 = 1
        return (0...30).map { _ in
            let shifted = power &<< UInt128(power.leadingZeroBitCount)
            power &*= 10
            return (UInt64(truncatingIfNeeded: shifted &>> 64), UInt64(truncatingIfNeeded: shifted))
        }
    }()
}

extension TextWriter {
    /// Writes a number of `ShortestDecimal.range` as `description` would, without an exponent.
    func shortest(_ value: Double) {
        let decimal = ShortestDecimal(value)
        var (digits, exponent) = (decimal.digits, decimal.exponent)
        while digits % 10 == 0 {
            digits /= 10
            exponent &+= 1
        }
        guard exponent < 0 else {
            unsigned(digits)
            for _ in 0..<exponent { byte(0x30) }
            byte(0x2E)
            return byte(0x30)
        }
        let places = 0 &- exponent
        guard places < Self.tens.count, digits >= Self.tens[places] else {
            // 0.000…
            byte(0x30)
            byte(0x2E)
            return padded(Int(digits), digits: places)
        }
        let (whole, rest) = digits.quotientAndRemainder(dividingBy: Self.tens[places])
        unsigned(whole)
        byte(0x2E)
        padded(Int(rest), digits: places)
    }

    private static let tens: [UInt64] = (0..<19).reduce(into: [1]) { tens, _ in
        tens.append(tens[tens.count - 1] * 10)
    }
}
