internal import Glibc

/// Powers of ten, held by pointer so that the hot loop keeps them in registers.
struct PowersOfTen {
    let integers: UnsafePointer<UInt64>
    let doubles: UnsafePointer<Double>

    /// Safe: both tables live as long as the process and are never written again.
    nonisolated(unsafe) static let shared: PowersOfTen = {
        let integers = UnsafeMutablePointer<UInt64>.allocate(capacity: 20)
        var power: UInt64 = 1
        for index in 0..<20 {
            integers[index] = power
            power = power &* 10
        }
        let doubles = UnsafeMutablePointer<Double>.allocate(capacity: 23)
        let exact: [Double] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
            1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
        ]
        for (index, value) in exact.enumerated() { doubles[index] = value }
        return PowersOfTen(integers: UnsafePointer(integers), doubles: UnsafePointer(doubles))
    }()
}

/// Decimal numbers, eight digits at once.
enum NumberParser {
    /// How many of the eight bytes, from the first on, are digits.
    @inline(__always)
    static func digitRun(_ word: UInt64) -> Int {
        let value = word ^ 0x3030_3030_3030_3030
        let flags = ((value &+ 0x7676_7676_7676_7676) | value) & 0x8080_8080_8080_8080
        return flags.trailingZeroBitCount &>> 3
    }

    /// The value of the first `count` digits, 1 ... 8, by three multiplications.
    @inline(__always)
    static func value(_ word: UInt64, _ count: Int) -> UInt64 {
        let shift = UInt64(truncatingIfNeeded: 64 &- count &* 8)
        let digits = (word &<< shift) & 0x0F0F_0F0F_0F0F_0F0F
        let pairs = (digits &* 2_561) &>> 8 & 0x00FF_00FF_00FF_00FF
        let quads = (pairs &* 6_553_601) &>> 16 & 0x0000_FFFF_0000_FFFF
        return (quads &* 42_949_672_960_001) &>> 32
    }

    /// Reads digits and steps over them. Only a count of at most 19 has a valid value; of more
    /// than 24 digits 24 are counted.
    @inline(__always)
    static func scanDigits(
        _ position: inout UnsafePointer<UInt8>, _ powers: UnsafePointer<UInt64>
    ) -> (value: UInt64, count: Int) {
        let first = loadWord(position)
        let firstCount = digitRun(first)
        if firstCount < 8 {
            if firstCount == 0 { return (0, 0) }
            position += firstCount
            return (value(first, firstCount), firstCount)
        }
        let second = loadWord(position + 8)
        let secondCount = digitRun(second)
        let upper = value(first, 8)
        if secondCount < 8 {
            position += 8 &+ secondCount
            if secondCount == 0 { return (upper, 8) }
            return (upper &* powers[secondCount] &+ value(second, secondCount), 8 &+ secondCount)
        }
        let third = loadWord(position + 16)
        let thirdCount = digitRun(third)
        let sixteen = upper &* 100_000_000 &+ value(second, 8)
        position += 16 &+ thirdCount
        if thirdCount == 0 { return (sixteen, 16) }
        return (sixteen &* powers[thirdCount] &+ value(third, thirdCount), 16 &+ thirdCount)
    }

    /// A float without an exponent and with at most 19 digits. Returns nil for everything else;
    /// that may still be a number.
    @inline(__always)
    static func scanFloat(
        _ position: inout UnsafePointer<UInt8>, _ powers: PowersOfTen
    ) -> Double? {
        let isNegative = position.pointee == UInt8(ascii: "-")
        if isNegative { position += 1 }
        var (mantissa, digits) = scanDigits(&position, powers.integers)
        var decimals = 0
        if position.pointee == UInt8(ascii: ".") {
            position += 1
            let fraction = scanDigits(&position, powers.integers)
            decimals = fraction.count
            digits &+= decimals
            if digits > 19 { return nil }
            mantissa = mantissa &* powers.integers[decimals] &+ fraction.value
        }
        if digits == 0 || digits > 19 { return nil }
        let value: Double
        if mantissa < 1 &<< 53 {
            // Both operands are exact, so the one division rounds correctly.
            let whole = Double(Int64(truncatingIfNeeded: mantissa))
            value = decimals == 0 ? whole : whole / powers.doubles[decimals]
        } else if let exact = extended(mantissa, decimals) {
            value = exact
        } else {
            return nil
        }
        return isNegative ? -value : value
    }

    /// `mantissa / 10^decimals` through a 64-bit significand. The one wrong answer that rounding
    /// twice can give is when the first rounding lands on a tie of the second: then nil.
    @inline(__always)
    private static func extended(_ mantissa: UInt64, _ decimals: Int) -> Double? {
        #if arch(x86_64)
            // 10^19 < 2^64 has an exact Float80.
            let quotient = Float80(mantissa) / Float80(PowersOfTen.shared.integers[decimals])
            if quotient.significandBitPattern & 0x7FF == 0x400 { return nil }
            return Double(quotient)
        #else
            return nil
        #endif
    }

    /// The correctly rounded value of a token that is known to be a decimal number; infinite if
    /// it is too large. Glibc's strtod obeys the locale, which this process leaves at "C".
    static func slowFloat(_ token: UnsafePointer<UInt8>, _ count: Int) -> Double {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { copy in
            for index in 0..<count { copy[index] = CChar(truncatingIfNeeded: token[index]) }
            copy[count] = 0
            guard let base = copy.baseAddress else { return .nan }
            return strtod(base, nil)
        }
    }
}
