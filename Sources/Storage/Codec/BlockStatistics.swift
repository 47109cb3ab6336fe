// Count, minimum, maximum, sum, first and last of a block's column: what a query reads instead of
// the block where it can.

internal import ApusKernels

extension ColumnCodec {
    /// Summarises the present values. About 1 ns a value.
    package static func statistics(of slice: ColumnSlice) -> ColumnStatistics {
        guard let validity = slice.validity else {
            return statistics(slice.type, slice.values, slice.count)
        }
        var present = 0
        for row in 0..<slice.count { present = present &+ Int(validity[row] & 1) }
        guard present != slice.count else {
            return statistics(slice.type, slice.values, slice.count)
        }
        let dense = Scratch(count: present)
        Presence.gather(slice, into: dense.pointer)
        return statistics(slice.type, dense.pointer, present)
    }

    private static func statistics(
        _ type: FieldType, _ values: UnsafePointer<UInt64>, _ count: Int
    ) -> ColumnStatistics {
        guard count > 0 else { return ColumnStatistics(presentCount: 0) }
        var result = ColumnStatistics(
            presentCount: count, first: values[0], last: values[count &- 1])
        switch type {
        case .float64: summariseFloats(values, count, into: &result)
        case .int64: summariseSigned(values, count, into: &result)
        case .uint64: summariseUnsigned(values, count, into: &result)
        case .bool:
            var any: UInt64 = 0
            var all: UInt64 = 1
            for index in 0..<count {
                any |= values[index]
                all &= values[index]
            }
            result.minimum = all
            result.maximum = any
            result.hasRange = true
        case .string: break
        }
        return result
    }

    private static func summariseSigned(
        _ values: UnsafePointer<UInt64>, _ count: Int, into result: inout ColumnStatistics
    ) {
        var low: Int64 = 0
        var high: Int64 = 0
        var sum: UInt64 = 0
        // Safe: Int64 and UInt64 are laid out alike, and there are `count` of them.
        values.withMemoryRebound(to: Int64.self, capacity: count) {
            apus_int64_summary($0, count, &low, &high, &sum)
        }
        result.minimum = UInt64(bitPattern: low)
        result.maximum = UInt64(bitPattern: high)
        result.hasRange = true
        // So many numbers of that size can't pass 63 bits together.
        let bound: Int64 = 1 << 46
        if low >= -bound, high < bound, count <= 1 << 16 {
            result.sum = .integer(Int128(Int64(bitPattern: sum)))
        } else {
            result.sum = .integer(exactSum(values, count))
        }
    }

    /// Two halves add up without overflow for up to 2^31 values.
    private static func exactSum(_ values: UnsafePointer<UInt64>, _ count: Int) -> Int128 {
        var upperSum: Int64 = 0
        var lowerSum: UInt64 = 0
        for index in 0..<count {
            upperSum = upperSum &+ (Int64(bitPattern: values[index]) &>> 32)
            lowerSum = lowerSum &+ (values[index] & 0xFFFF_FFFF)
        }
        return Int128(upperSum) << 32 + Int128(lowerSum)
    }

    private static func summariseUnsigned(
        _ values: UnsafePointer<UInt64>, _ count: Int, into result: inout ColumnStatistics
    ) {
        var low = values[0]
        var high = low
        var upperSum: UInt64 = 0
        var lowerSum: UInt64 = 0
        for index in 0..<count {
            let value = values[index]
            low = min(low, value)
            high = max(high, value)
            upperSum = upperSum &+ (value &>> 32)
            lowerSum = lowerSum &+ (value & 0xFFFF_FFFF)
        }
        result.minimum = low
        result.maximum = high
        result.hasRange = true
        result.sum = .integer(Int128(upperSum) << 32 + Int128(lowerSum))
    }

    private static func summariseFloats(
        _ values: UnsafePointer<UInt64>, _ count: Int, into result: inout ColumnStatistics
    ) {
        let raw = UnsafeRawPointer(values)
        var lows = SIMD4<Double>(repeating: .infinity)
        var highs = SIMD4<Double>(repeating: -.infinity)
        var sums = SIMD4<Double>(repeating: 0)
        var notNumbers = SIMD4<UInt64>(repeating: 0)
        let wide = count & ~3
        for index in stride(from: 0, to: wide, by: 4) {
            let four = raw.loadUnaligned(fromByteOffset: index &* 8, as: SIMD4<Double>.self)
            let isNaN = four .!= four
            lows = lows.replacing(with: four, where: four .< lows)
            highs = highs.replacing(with: four, where: four .> highs)
            sums += four.replacing(with: 0, where: isNaN)
            notNumbers = notNumbers &+ SIMD4(repeating: 0).replacing(with: 1, where: isNaN)
        }
        var low = lows.min()
        var high = highs.max()
        var sum = sums.sum()
        var nanCount = Int(notNumbers.wrappedSum())
        for index in wide..<count {
            let value = Double(bitPattern: values[index])
            if value.isNaN {
                nanCount = nanCount &+ 1
            } else {
                low = min(low, value)
                high = max(high, value)
                sum += value
            }
        }
        result.nanCount = nanCount
        result.hasRange = nanCount < count
        if result.hasRange {
            result.minimum = low.bitPattern
            result.maximum = high.bitPattern
        }
        result.sum = .float(sum)
    }
}
