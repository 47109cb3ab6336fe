// What a scan answers from blocks' statistics: that no row matters, or all of their rows at once.

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

    /// The statistics of all wanted fields in a block, if they tell all that a consumer may ask. Whether
    /// they do.
    func summarize(_ block: Int, types: [FieldType], into all: inout [ColumnStatistics]) -> Bool {
        all.removeAll(keepingCapacity: true)
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
            guard statistics.nanCount == 0 else { return false }
            guard statistics.hasRange,
                let converted = Self.convert(statistics, field, to: types[index]),
                !types[index].isNumeric || converted.sum != .none
            else { return false }
            all.append(converted)
        }
        return true
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

extension ColumnStatistics {
    /// Adds those of the rows behind these, without NaN in either.
    fileprivate mutating func append(_ next: ColumnStatistics, _ type: FieldType) {
        guard next.presentCount > 0 else { return }
        guard presentCount > 0 else { return self = next }
        presentCount += next.presentCount
        last = next.last
        switch type {
        case .float64:
            if Double(bitPattern: next.minimum) < Double(bitPattern: minimum) {
                minimum = next.minimum
            }
            if Double(bitPattern: next.maximum) > Double(bitPattern: maximum) {
                maximum = next.maximum
            }
        case .int64:
            let range = (Int64(bitPattern: next.minimum), Int64(bitPattern: next.maximum))
            if range.0 < Int64(bitPattern: minimum) { minimum = next.minimum }
            if range.1 > Int64(bitPattern: maximum) { maximum = next.maximum }
        default:
            minimum = min(minimum, next.minimum)
            maximum = max(maximum, next.maximum)
        }
        switch (sum, next.sum) {
        case (.integer(let a), .integer(let b)): sum = .integer(a &+ b)
        case (.float(let a), .float(let b)): sum = .float(a + b)
        default: sum = .none
        }
    }
}

/// Blocks of one series and one bucket, one behind the other, that are told of together: telling costs
/// more than adding up.
struct ToldBlocks {
    /// The bucket that was looked up last.
    fileprivate var bucket: Range<Int64> = 0..<0
    fileprivate var rowCount = 0
    fileprivate var firstTime: Int64 = 0
    fileprivate var lastTime: Int64 = 0
    fileprivate var statistics: [ColumnStatistics] = []
    /// Of one block, before it is known that they tell all.
    fileprivate var next: [ColumnStatistics] = []

    /// Whether two times lie in one bucket. Neighbours mostly share it.
    fileprivate mutating func isOneBucket(_ first: Int64, _ last: Int64, _ plan: ScanPlan) -> Bool {
        if !bucket.contains(first) {
            guard let buckets = plan.request.summaries else { return false }
            bucket = buckets.span(of: first)
        }
        return bucket.contains(first) && bucket.contains(last)
    }

    fileprivate mutating func append(_ slice: ScanSlice, _ types: [FieldType]) {
        if rowCount == 0 {
            firstTime = slice.first
            swap(&statistics, &next)
        } else {
            for index in statistics.indices { statistics[index].append(next[index], types[index]) }
        }
        rowCount += slice.rowCount
        lastTime = slice.last
    }
}

extension ScanRun {
    /// Passes over slices that overlap no other and are blocks whose statistics tell all: they will be told
    /// of, or nothing of them matters.
    ///
    /// - Returns: The first slice that isn't one.
    mutating func tell<Consumer: ScanConsumer>(
        from start: Int, _ series: UInt32, into consumer: inout Consumer,
        _ counters: inout ScanCounters
    ) throws(StorageError) -> Int {
        let number = slices[start].input
        guard slices[start].kind == .block, !isLatest else { return start }
        // Held for all of them: threads would count references to one object by turns.
        let (plan, types, input) = (plan, plan.fieldTypes, segments[number].input)
        var index = start
        while index < slices.count, slices[index].input == number, slices[index].kind == .block,
            endOfGroup(index) == index + 1
        {
            let slice = slices[index]
            guard slice.isFirstExact, slice.isLastExact else { break }
            // Those of another bucket go first.
            if told.rowCount > 0, !told.bucket.contains(slice.first) {
                try finishTelling(series, into: &consumer)
            }
            guard told.isOneBucket(slice.first, slice.last, plan),
                input.summarize(slice.block, types: types, into: &told.next)
            else { break }
            index += 1
            guard bounds.isEmpty || input.mayMatch(bounds, block: slice.block) else {
                counters.blocksSkipped &+= 1
                continue
            }
            try flush(series, into: &consumer, &counters)
            counters.blocksSummarized &+= 1
            counters.rowsScanned &+= slice.rowCount
            told.append(slice, types)
        }
        return index
    }

    /// Hands over what has been added up.
    mutating func finishTelling<Consumer: ScanConsumer>(
        _ series: UInt32, into consumer: inout Consumer
    ) throws(StorageError) {
        guard told.rowCount > 0 else { return }
        try consumer.consume(
            ScanSummary(
                series: series, rowCount: told.rowCount, firstTime: told.firstTime,
                lastTime: told.lastTime, statistics: told.statistics))
        told.rowCount = 0
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
