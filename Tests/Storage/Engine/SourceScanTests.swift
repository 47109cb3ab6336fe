import ApusStorage
import ApusTestKit
import Testing

private typealias Rows = [UInt32: [(time: Int64, values: [ScanValue?])]]

private func randomRequest(_ random: inout SeededRandom) -> ScanRequest {
    var request = ScanRequest()
    if random.oneIn(2) {
        let lower =
            (Int64(random.below(9_000)) - 1_000) * ScanTable.second + Int64(random.below(3) - 1)
        request.timeRange = TimeRange(
            lower: lower,
            upper: random.oneIn(4) ? .max : lower + Int64(random.below(5_000)) * ScanTable.second)
    }
    if random.oneIn(2) {
        var set = SeriesSet(capacity: 200)
        let density = [1, 3, 60][random.below(3)]
        for id in 0..<UInt32(200) where random.oneIn(density) { set.insert(id) }
        request.series = set
    }
    request.fields = (ScanTable.ids + [99]).filter { $0 != 99 && !random.oneIn(2) }
    request.fields.shuffle(using: &random)
    return request
}

private func types(_ request: ScanRequest) -> [FieldType] {
    request.fields.map { id in ScanTable.types[ScanTable.ids.firstIndex(of: id) ?? 0] }
}

/// Runs all pieces, in an order of their own.
private func collect(
    _ table: ScanTable, _ request: ScanRequest, _ random: inout SeededRandom,
    counters: inout ScanCounters
) throws -> ScanCollector {
    let scan = try SourceScan(inputs: table.inputs, request: request, fieldTypes: types(request))
    let pieces = scan.pieces(rowsPerMorsel: [1, 300, 3_000, .max][random.below(4)])
    for (left, right) in zip(pieces, pieces.dropFirst()) {
        #expect(left.series.upperBound < right.series.lowerBound)
    }
    var collector = ScanCollector(types: types(request))
    for piece in pieces.shuffled(using: &random) {
        collector.startPiece()
        try scan.run(piece, into: &collector, counters: &counters)
    }
    return collector
}

private func isEqual(_ left: Rows, _ right: Rows) -> Bool {
    guard left.count == right.count else { return false }
    return left.allSatisfy { series, rows in
        guard let others = right[series], others.count == rows.count else { return false }
        return zip(rows, others).allSatisfy { $0.time == $1.time && $0.values == $1.values }
    }
}

@Suite struct `Source scans` {
    @Test(arguments: 1...16)
    func `a scan yields what a dictionary would`(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let table = try ScanTable.random(&random)
        for _ in 0..<12 {
            let request = randomRequest(&random)
            var counters = ScanCounters()
            let found = try collect(table, request, &random, counters: &counters)
            let expected = table.expected(request)
            #expect(found.isOrdered, "seed \(seed)")
            #expect(isEqual(found.rows, expected), "seed \(seed), \(request)")
            #expect(counters.rowsScanned == expected.values.reduce(0) { $0 + $1.count })
        }
    }

    @Test(arguments: 1...16)
    func `rows that senders out of step brought come in order`(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed) + 4_000)
        var table = ScanTable()
        // Few rows a series and chunk, or more than are put in order at once.
        let isLong = seed % 4 == 0
        table.addSenders(
            &random, series: isLong ? 2 : 30, scrapes: isLong ? 3_000 : 100,
            chunkRows: isLong ? 1_700 : 200 + random.below(400), repeats: seed % 2 == 0)
        if seed % 3 == 0 { try table.addSegment(&random) }
        table.inputs.shuffle(using: &random)
        for _ in 0..<8 {
            let request = randomRequest(&random)
            var counters = ScanCounters()
            let found = try collect(table, request, &random, counters: &counters)
            #expect(found.isOrdered, "seed \(seed)")
            #expect(isEqual(found.rows, table.expected(request)), "seed \(seed), \(request)")
        }
    }

    @Test(arguments: 1...16)
    func `the latest row of each series is its last`(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed) + 1_000)
        let table = try ScanTable.random(&random)
        for _ in 0..<12 {
            var request = randomRequest(&random)
            request.latestOnly = true
            var counters = ScanCounters()
            let found = try collect(table, request, &random, counters: &counters)
            let expected = table.expected(request).mapValues { Array($0.suffix(1)) }
            #expect(isEqual(found.rows, expected), "seed \(seed), \(request)")
        }
    }

    @Test(arguments: 1...16)
    func `bounds lose no row that satisfies them`(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed) + 2_000)
        let table = try ScanTable.random(&random)
        for _ in 0..<12 {
            var request = randomRequest(&random)
            guard !request.fields.isEmpty else { continue }
            let field = random.below(request.fields.count)
            let type = types(request)[field]
            guard type != .string else { continue }
            let lower = Double(random.below(400) - 200)
            request.bounds = [
                FieldBound(
                    field: field, lower: lower, upper: lower + Double(random.below(60)),
                    acceptsNaN: random.oneIn(3))
            ]
            var counters = ScanCounters()
            let found = try collect(table, request, &random, counters: &counters)
            let expected = table.expected(request)
            #expect(found.isOrdered)
            for (series, rows) in expected {
                var yielded: [Int64: [ScanValue?]] = [:]
                for row in found.rows[series] ?? [] { yielded[row.time] = row.values }
                for row in rows {
                    if let values = yielded.removeValue(forKey: row.time) {
                        #expect(values == row.values, "seed \(seed)")
                    } else {
                        #expect(
                            !matches(row.values[field], type, request.bounds[0]), "seed \(seed)")
                    }
                }
                #expect(yielded.isEmpty)
            }
        }
    }

    private func matches(_ value: ScanValue?, _ type: FieldType, _ bound: FieldBound) -> Bool {
        guard case .slot(let slot)? = value else { return false }
        let number: Double =
            switch type {
            case .float64: Double(bitPattern: slot)
            case .int64: Double(Int64(bitPattern: slot))
            default: Double(slot)
            }
        return number.isNaN ? bound.acceptsNaN : number >= bound.lower && number <= bound.upper
    }

    @Test(arguments: 1...16)
    func `summaries and rows together tell of every row once`(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed) + 3_000)
        let table = try ScanTable.random(&random)
        for _ in 0..<12 {
            var request = randomRequest(&random)
            request.fields.removeAll { $0 == 20 && seed % 4 != 0 }
            let width = Int64(1 + random.below(2_000)) * ScanTable.second
            let origin = Int64(random.below(100))
            let buckets: SummaryBuckets =
                random.oneIn(2)
                ? .whole : .fixed(originNanoseconds: origin, widthNanoseconds: width)
            request.summaries = buckets
            if case .fixed = buckets, random.oneIn(2) {
                request.summaries = .spans { time in
                    let start = origin + (time - origin - (width - 1)) / width * width
                    let floor = time >= origin ? origin + (time - origin) / width * width : start
                    return floor..<floor + width
                }
            }
            var counters = ScanCounters()
            let found = try collect(table, request, &random, counters: &counters)
            var expected = table.expected(request)
            #expect(found.isOrdered)
            #expect(counters.blocksSummarized >= found.summaries.count)
            for summary in found.summaries {
                let rows = (expected[summary.series] ?? []).filter {
                    $0.time >= summary.firstTime && $0.time <= summary.lastTime
                }
                #expect(rows.count == summary.rowCount && rows.first?.time == summary.firstTime)
                #expect(rows.last?.time == summary.lastTime)
                if case .fixed(let origin, let width) = buckets {
                    let places = Set(
                        rows.map { (Double($0.time - origin) / Double(width)).rounded(.down) })
                    #expect(places.count == 1)
                }
                for (field, type) in types(request).enumerated() {
                    check(summary.statistics[field], rows.compactMap { $0.values[field] }, type)
                }
                expected[summary.series]?.removeAll {
                    $0.time >= summary.firstTime && $0.time <= summary.lastTime
                }
                if expected[summary.series]?.isEmpty == true { expected[summary.series] = nil }
            }
            #expect(isEqual(found.rows, expected), "seed \(seed)")
        }
    }

    private func check(_ statistics: ColumnStatistics, _ values: [ScanValue], _ type: FieldType) {
        #expect(statistics.presentCount == values.count)
        guard !values.isEmpty else { return }
        let numbers = values.compactMap { value -> Double? in
            guard case .slot(let slot) = value else { return nil }
            let number: Double =
                switch type {
                case .float64: Double(bitPattern: slot)
                case .int64: Double(Int64(bitPattern: slot))
                default: Double(slot)
                }
            return number.isNaN ? nil : number
        }
        func number(_ slot: UInt64) -> Double {
            switch type {
            case .float64: Double(bitPattern: slot)
            case .int64: Double(Int64(bitPattern: slot))
            default: Double(slot)
            }
        }
        #expect(number(statistics.minimum) == numbers.min())
        #expect(number(statistics.maximum) == numbers.max())
        let sum = numbers.reduce(0, +)
        switch statistics.sum {
        case .none: #expect(type == .bool)
        case .integer(let total):
            #expect(type != .float64 && abs(Double(total) - sum) <= abs(sum) * 1e-9)
        case .float(let total): #expect(type == .float64 && abs(total - sum) <= 1e-6)
        }
    }

    @Test func `some blocks are summarised, some merged and some skipped`() throws {
        var total = ScanCounters()
        for seed in 1...30 {
            var random = SeededRandom(seed: UInt64(seed))
            let table = try ScanTable.random(&random)
            var request = ScanRequest(
                timeRange: TimeRange(lower: 0, upper: 4_000 * ScanTable.second), fields: [7])
            request.summaries = .whole
            var counters = ScanCounters()
            _ = try collect(table, request, &random, counters: &counters)
            total.add(counters)
        }
        #expect(total.blocksSummarized > 100)
        #expect(total.blocksRead > 100)
        #expect(total.blocksSkipped > 100)
        #expect(total.bytesRead > 0)
    }

    @Test func `a consumer that is done ends the scan`() throws {
        var random = SeededRandom(seed: 5)
        var table = ScanTable()
        try table.addSegment(&random)
        table.addHead(&random)
        let request = ScanRequest(fields: [3])
        let scan = try SourceScan(inputs: table.inputs, request: request, fieldTypes: [.float64])
        var collector = ScanCollector(types: [.float64])
        collector.rowsMax = 10
        var counters = ScanCounters()
        let pieces = scan.pieces(rowsPerMorsel: .max)
        #expect(pieces.count == 1)
        try scan.run(try #require(pieces.first), into: &collector, counters: &counters)
        #expect(collector.rowCount >= 10 && collector.rowCount < 2_000)
    }

    @Test func `nothing to find is no piece`() throws {
        var random = SeededRandom(seed: 6)
        var table = ScanTable()
        try table.addSegment(&random)
        let none = ScanRequest(series: SeriesSet(capacity: 100))
        #expect(
            try SourceScan(inputs: table.inputs, request: none, fieldTypes: []).pieces(
                rowsPerMorsel: 10
            ).isEmpty)
        let early = ScanRequest(
            timeRange: TimeRange(lower: .min, upper: -1_000_000 * ScanTable.second))
        #expect(
            try SourceScan(inputs: table.inputs, request: early, fieldTypes: []).pieces(
                rowsPerMorsel: 10
            ).isEmpty)
        #expect(
            try SourceScan(inputs: [], request: ScanRequest(), fieldTypes: []).estimatedRows == 0)
    }

    @Test func `a field of a type that cannot become the table's is reported`() throws {
        var random = SeededRandom(seed: 7)
        var table = ScanTable()
        for _ in 0..<6 { try table.addSegment(&random) }
        #expect(throws: StorageError.self) {
            try SourceScan(
                inputs: table.inputs, request: ScanRequest(fields: [20]), fieldTypes: [.int64])
        }
    }
}
