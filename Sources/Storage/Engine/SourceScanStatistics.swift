// What a scan answers from a block's statistics: that no row matters, or all of its rows at once.

extension SegmentInput {
    /// Whether some row of a block may satisfy all bounds.
    func mayMatch(_ bounds: [FieldBound], block: Int) -> Bool {
        for bound in bounds where !mayMatch(bound, block: block) { return false }
        return true
    }

    private func mayMatch(_ bound: FieldBound, block: Int) -> Bool {
        let field = fields[bound.field]
        guard field.column >= 0 else { return false }
        let statistics = directory.statistics(column: field.column, block: block)
        guard statistics.presentCount > 0 else { return false }
        if bound.acceptsNaN, statistics.nanCount > 0 { return true }
        guard field.stored != .string else { return true }
        guard statistics.hasRange else {
            // Nothing but NaN, or nothing known.
            return statistics.nanCount < statistics.presentCount
        }
        let low: Double
        let high: Double
        switch field.stored {
        case .float64:
            low = Double(bitPattern: statistics.minimum)
            high = Double(bitPattern: statistics.maximum)
        case .int64 where field.conversion != .reinterpret:
            low = Double(Int64(bitPattern: statistics.minimum)).nextDown
            high = Double(Int64(bitPattern: statistics.maximum)).nextUp
        case .uint64 where field.conversion != .reinterpret, .bool:
            low = Double(statistics.minimum).nextDown
            high = Double(statistics.maximum).nextUp
        default: return true
        }
        return high >= bound.lower && low <= bound.upper
    }

    /// The statistics of all wanted fields in a block, if they tell all that a consumer may ask.
    func summary(of block: Int, types: [FieldType]) -> [ColumnStatistics]? {
        var all: [ColumnStatistics] = []
        all.reserveCapacity(fields.count)
        for index in fields.indices {
            let field = fields[index]
            guard field.column >= 0 else {
                all.append(ColumnStatistics(presentCount: 0))
                continue
            }
            let statistics = directory.statistics(column: field.column, block: block)
            guard statistics.presentCount > 0 else {
                all.append(statistics)
                continue
            }
            // A NaN may be Prometheus' stale marker, which reads as NULL: only the rows can tell.
            guard statistics.nanCount == 0 else { return nil }
            guard statistics.hasRange,
                let converted = Self.convert(statistics, field, to: types[index]),
                !types[index].isNumeric || converted.sum != .none
            else { return nil }
            all.append(converted)
        }
        return all
    }

    /// Statistics of converted values, or nil where the conversion could round.
    private static func convert(
        _ statistics: ColumnStatistics, _ field: ScanField, to type: FieldType
    ) -> ColumnStatistics? {
        var result = statistics
        let exact: UInt64 = 1 << 53
        switch field.conversion {
        case .none: return statistics
        case .reinterpret:
            // The order is the same only where no sign bit is set.
            guard (statistics.minimum | statistics.maximum) >> 63 == 0 else { return nil }
            return statistics
        case .signedToFloat:
            guard Int64(bitPattern: statistics.minimum).magnitude <= exact,
                Int64(bitPattern: statistics.maximum).magnitude <= exact
            else { return nil }
            func float(_ slot: UInt64) -> UInt64 { Double(Int64(bitPattern: slot)).bitPattern }
            result.minimum = float(result.minimum)
            result.maximum = float(result.maximum)
            result.first = float(result.first)
            result.last = float(result.last)
        case .unsignedToFloat:
            guard statistics.maximum <= exact else { return nil }
            result.minimum = Double(result.minimum).bitPattern
            result.maximum = Double(result.maximum).bitPattern
            result.first = Double(result.first).bitPattern
            result.last = Double(result.last).bitPattern
        }
        guard case .integer(let sum) = statistics.sum else { return nil }
        result.sum = .float(Double(sum))
        return result
    }
}

extension SummaryBuckets {
    /// The bucket that a time lies in; empty where it would reach beyond the range of times.
    func span(of time: Int64) -> Range<Int64> {
        switch self {
        case .whole: return .min ..< .max
        case .spans(let find): return find(time)
        case .fixed(let origin, let width):
            guard width > 0 else { return time..<time }
            let (distance, tooFar) = time.subtractingReportingOverflow(origin)
            let rest = distance % width
            let (start, tooEarly) = time.subtractingReportingOverflow(
                rest < 0 ? rest + width : rest)
            let (end, tooLate) = start.addingReportingOverflow(width)
            return tooFar || tooEarly || tooLate ? time..<time : start..<end
        }
    }
}
