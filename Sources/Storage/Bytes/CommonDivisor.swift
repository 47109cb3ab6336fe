enum CommonDivisor {
    /// Of two numbers, the other one where one is 0: Euclid's algorithm.
    static func greatest(_ left: UInt64, _ right: UInt64) -> UInt64 {
        var (a, b) = (left, right)
        while b != 0 { (a, b) = (b, a % b) }
        return a
    }
}
