// Chooses a frame's base and width, so that its bits and its exceptions together are fewest.

internal import ApusKernels

/// Base and width of a frame, and roughly the bits it takes.
struct FramePlan {
    var base: UInt64
    var width: Int
    /// Distances, exceptions and their header; 0 when all numbers are equal.
    var bits: Int

    /// Spends about 2 ns a number. Any numbers are right; how well they fit decides the size only.
    /// - Parameter other: A plan of the same numbers in another order. Where a glance says that this
    ///   one will not be better, little is spent on it.
    static func choose(
        _ numbers: UnsafePointer<UInt64>, count: Int, against other: FramePlan? = nil
    ) -> FramePlan {
        guard count > 0 else { return FramePlan(base: 0, width: 0, bits: 0) }
        var low: Int64 = 0
        var high: Int64 = 0
        // Safe: Int64 and UInt64 are laid out alike, and there are `count` of them.
        numbers.withMemoryRebound(to: Int64.self, capacity: count) {
            apus_int64_range($0, count, &low, &high)
        }
        let base = UInt64(bitPattern: low)
        let range = UInt64(bitPattern: high) &- base
        guard range > 0 else { return FramePlan(base: base, width: 0, bits: 0) }
        let width = BitPacking.width(of: range)
        var best = FramePlan(base: base, width: width, bits: count &* width)
        guard count >= 16, width > 0 else { return best }
        if let other, width > other.width, !mayFit(numbers, count: count, width: other.width) {
            return best
        }
        if range < 256 {
            tryWindows(numbers, count: count, low: base, range: Int(range), best: &best)
        } else {
            trySample(numbers, count: count, low: low, high: high, best: &best)
        }
        return best
    }

    /// Bits of one exception in a frame whose numbers reach `below` under its base and `above` over
    /// its window.
    private static func exceptionBits(count: Int, below: UInt64, above: UInt64) -> Int {
        IntegerFrame.positionWidth(count) &+ 1
            &+ max(BitPacking.width(of: below == 0 ? 0 : below &- 1), BitPacking.width(of: above))
    }

    private static let exceptionHeaderBits = 32

    /// Whether half of a few numbers lie in some window of 2^width.
    private static func mayFit(
        _ numbers: UnsafePointer<UInt64>, count: Int, width: Int
    ) -> Bool {
        withUnsafeTemporaryAllocation(of: Int64.self, capacity: 16) { buffer in
            guard let sample = buffer.baseAddress else { return true }
            sort(numbers, count: count, into: sample, 16)
            return window(sample, 16, width: width).covered >= 8
        }
    }

    /// Sorts numbers from everywhere into `sample`.
    private static func sort(
        _ numbers: UnsafePointer<UInt64>, count: Int, into sample: UnsafeMutablePointer<Int64>,
        _ sampleCount: Int
    ) {
        for index in 0..<sampleCount {
            let number = Int64(bitPattern: numbers[index &* count / sampleCount])
            var place = index
            while place > 0, sample[place &- 1] > number {
                sample[place] = sample[place &- 1]
                place = place &- 1
            }
            sample[place] = number
        }
    }

    /// Few different numbers: counts them and slides a window of every width over the counts.
    private static func tryWindows(
        _ numbers: UnsafePointer<UInt64>, count: Int, low: UInt64, range: Int, best: inout FramePlan
    ) {
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: 257) { sums in
            guard let upTo = sums.baseAddress else { return }
            upTo[0] = 0
            // Safe: there are `count` numbers, none further than 255 from `low`.
            apus_count_bytes(numbers, count, low, upTo + 1)
            // upTo[k] becomes the count of numbers below low + k.
            for index in 1...(range &+ 1) { upTo[index] &+= upTo[index &- 1] }
            for width in 0..<best.width {
                let size = 1 &<< width
                var covered: Int32 = 0
                var start = 0
                for candidate in 0...(range &+ 1 &- size) {
                    let inside = upTo[candidate &+ size] &- upTo[candidate]
                    if inside > covered {
                        covered = inside
                        start = candidate
                    }
                }
                let missed = count &- Int(covered)
                let each = exceptionBits(
                    count: count, below: UInt64(start), above: UInt64(range &- start &- size &+ 1))
                let bits = count &* width &+ missed &* each &+ exceptionHeaderBits
                if bits < best.bits {
                    best = FramePlan(base: low &+ UInt64(start), width: width, bits: bits)
                }
            }
        }
    }

    /// Wide numbers: guesses windows from a sorted sample, then counts exactly what they miss.
    private static func trySample(
        _ numbers: UnsafePointer<UInt64>, count: Int, low: Int64, high: Int64, best: inout FramePlan
    ) {
        let sampleCount = min(count, 32)
        withUnsafeTemporaryAllocation(of: Int64.self, capacity: 32) { buffer in
            guard let sample = buffer.baseAddress else { return }
            sort(numbers, count: count, into: sample, sampleCount)
            var guess = Guess(bits: .max, width: best.width, base: 0)
            let full = best.width
            for width in stride(from: full &- 1, through: 0, by: -1) {
                let window = window(sample, sampleCount, width: width)
                guard window.covered &* 2 >= sampleCount else { break }
                let each = exceptionBits(
                    count: count, below: 0, above: UInt64(bitPattern: high) &- window.base)
                let missed = (sampleCount &- window.covered) &* count / sampleCount
                let bits = count &* width &+ missed &* each
                if bits < guess.bits { guess = Guess(bits: bits, width: width, base: window.base) }
            }
            for width in max(0, guess.width &- 1)...min(full &- 1, guess.width &+ 1) {
                let window = window(sample, sampleCount, width: width)
                tryExactly(
                    numbers, count: count, base: window.base, width: width, low: low, high: high,
                    best: &best)
            }
        }
    }

    private struct Guess {
        var bits: Int
        var width: Int
        var base: UInt64
    }

    /// The window of 2^width numbers that covers most of a sorted sample, centred on what it covers.
    private static func window(
        _ sample: UnsafePointer<Int64>, _ count: Int, width: Int
    ) -> (covered: Int, base: UInt64) {
        let reach = BitPacking.mask(width)
        var covered = 0
        var first = 0
        var end = 0
        for start in 0..<count {
            while end < count, distance(sample[start], sample[end]) <= reach { end = end &+ 1 }
            if end &- start > covered {
                covered = end &- start
                first = start
            }
        }
        let used = distance(sample[first], sample[first &+ covered &- 1])
        return (covered, UInt64(bitPattern: sample[first]) &- (reach &- used) / 2)
    }

    @inline(__always)
    private static func distance(_ from: Int64, _ to: Int64) -> UInt64 {
        UInt64(bitPattern: to) &- UInt64(bitPattern: from)
    }

    private static func tryExactly(
        _ numbers: UnsafePointer<UInt64>, count: Int, base: UInt64, width: Int, low: Int64,
        high: Int64, best: inout FramePlan
    ) {
        let missed = apus_count_outside(numbers, count, base, BitPacking.mask(width))
        // Signed distances, as the exceptions' codes have them.
        let below = Int64(bitPattern: base &- UInt64(bitPattern: low))
        let above = Int64(bitPattern: UInt64(bitPattern: high) &- base)
        let each = exceptionBits(
            count: count, below: UInt64(max(0, below)), above: UInt64(max(0, above)))
        let bits = count &* width &+ (missed > 0 ? missed &* each &+ exceptionHeaderBits : 0)
        if bits < best.bits { best = FramePlan(base: base, width: width, bits: bits) }
    }
}
