import ApusStorage
import ApusTestKit
import Testing

private let second: Int64 = 1_000_000_000
private let hour: Int64 = 3_600 * second

private func randomTable(_ random: inout SplitMix, id: UInt32, seriesCount: Int) -> PlainTable {
    let types: [FieldType] = [.int64, .float64, .string, .bool, .uint64, .int64]
    var table = PlainTable(schema: plainSchema(id, types), series: [])
    var seriesID = random.below(5)
    for _ in 0..<seriesCount {
        let rowCount = [1, 2, 3, 20, 127, 128, 129, 500, 3_000][random.below(9)]
        let interval = [1, 10, 60, 600][random.below(4)]
        var time = Int64(random.below(50)) * hour - 20 * hour
        var times: [Int64] = []
        var columns: [[PlainValue?]?] = types.map { _ in [] }
        let gapChance = [0, 0, 10, 90][random.below(4)]
        var walk = random.below(100)
        for _ in 0..<rowCount {
            time +=
                Int64(interval) * second
                + (random.below(20) == 0 ? Int64(random.below(7_000)) * second : 0)
            times.append(time)
            walk += random.below(3) - 1
            for column in types.indices {
                guard random.below(100) >= gapChance else {
                    columns[column]?.append(nil)
                    continue
                }
                let value: PlainValue
                switch types[column] {
                case .int64: value = .slot(UInt64(bitPattern: Int64(walk - 30)))
                case .float64:
                    value = .slot(
                        random.below(50) == 0
                            ? Double.nan.bitPattern : (Double(walk) / 100).bitPattern)
                case .uint64: value = .slot(random.next())
                case .bool: value = .slot(UInt64(random.below(2)))
                case .string: value = .text(Array("state \(random.below(5))".utf8))
                }
                columns[column]?.append(value)
            }
        }
        if random.below(3) == 0 { columns[random.below(types.count)] = nil }
        columns[5] = nil
        table.series.append(
            PlainSeries(
                id: UInt32(seriesID), key: plainKey(seriesID), times: times, columns: columns))
        seriesID += 1 + (random.below(4) == 0 ? random.below(100) : 0)
    }
    return table
}

@Suite struct `Segments` {
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func `rows come back as they were written, whatever the pieces`(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let tables = [
            randomTable(&random, id: 4, seriesCount: 40),
            randomTable(&random, id: 2, seriesCount: 1),
            PlainTable(schema: plainSchema(9, [.int64]), series: []),
            randomTable(&random, id: 700, seriesCount: 12),
        ]
        let fileSystem = SimulatedFileSystem()
        var options = SegmentWriterOptions(
            blockRowsMax: [1_024, 300, 7, 1, 4_096, 1_024][Int(seed) - 1],
            encoding: EncodeOptions(level: seed % 2 == 0 ? .cold : .hot))
        if seed > 3 { options.groupBytesMax = 5_000 }
        let summary = try writeSegment(tables, to: fileSystem, options: options)
        let bytes = fileSystem.contents("s")
        #expect(fileSystem.contents("s.new") == nil)
        #expect(bytes?.count == summary.byteCount && summary.byteCount % 64 == 0)
        let reader = try SegmentReader.open(fileSystem, path: "s")
        #expect(reader.identity == testIdentity)
        #expect(reader.verify().map(\.what) == [])
        #expect(summary.rowCount == tables.reduce(0) { $0 + $1.rowCount })
        for table in tables {
            let read = try #require(reader.table(id: table.schema.tableID))
            #expect(read.rowCount == table.rowCount && read.seriesCount == table.series.count)
            #expect(try normalized(readTable(read)) == normalized(table), "seed \(seed)")
        }
        // Group borders may fall elsewhere, so only one group's bytes must be the same.
        guard seed <= 3 else { return }
        _ = try writeSegment(tables, to: fileSystem, path: "p", options: options, pieceRows: 50)
        #expect(fileSystem.contents("p") == bytes, "cuts depend on the pieces, seed \(seed)")
    }

    @Test func `statistics of a block are those of its values`() throws {
        var random = SplitMix(state: 11)
        let table = randomTable(&random, id: 1, seriesCount: 30)
        let fileSystem = SimulatedFileSystem()
        _ = try writeSegment([table], to: fileSystem)
        let read = try #require(try SegmentReader.open(fileSystem, path: "s").table(id: 1))
        let directory = try read.directory()
        var sum: Int128 = 0
        var count = 0
        var lowest = Int64.max
        for block in 0..<directory.blockCount {
            let statistics = directory.statistics(column: 0, block: block)
            count += statistics.presentCount
            guard statistics.presentCount > 0 else { continue }
            guard case .integer(let part) = statistics.sum else {
                Issue.record("no sum")
                continue
            }
            sum += part
            lowest = min(lowest, Int64(bitPattern: statistics.minimum))
        }
        var expected: [Int64] = []
        for series in table.series {
            for case .slot(let slot)? in series.columns[0] ?? [] {
                expected.append(Int64(bitPattern: slot))
            }
        }
        #expect(count == expected.count)
        #expect(sum == expected.reduce(0) { $0 + Int128($1) })
        #expect(lowest == expected.min())
        #expect(directory.columnIndex(table.schema.fields[2].id) == 2)
        #expect(directory.columnIndex(77_777) == nil)
    }

    @Test func `long series are cut at hours and short ones share a block`() throws {
        func series(_ id: Int, rows: Int, interval: Int64) -> PlainSeries {
            let times = (0..<rows).map { 100 * second + Int64($0) * interval * second }
            return PlainSeries(
                id: UInt32(id), key: plainKey(id), times: times,
                columns: [times.map { .slot(UInt64($0 / second)) }])
        }
        let table = PlainTable(
            schema: plainSchema(1, [.int64]),
            series: [
                series(1, rows: 3, interval: 10), series(2, rows: 3, interval: 10),
                series(5, rows: 720, interval: 10), series(6, rows: 100, interval: 10),
                series(7, rows: 7_000, interval: 1), series(8, rows: 5_000, interval: 60),
            ])
        let fileSystem = SimulatedFileSystem()
        _ = try writeSegment([table], to: fileSystem)
        let directory = try #require(try SegmentReader.open(fileSystem, path: "s").table(id: 1))
            .directory()
        let blocks = (0..<directory.blockCount).map {
            [Int(directory.firstSeries($0)), Int(directory.lastSeries($0)), directory.rowCount($0)]
        }
        #expect(
            blocks.prefix(5) == [[1, 2, 6], [5, 5, 350], [5, 5, 360], [5, 5, 10], [6, 6, 100]])
        for block in 0..<directory.blockCount where directory.firstSeries(block) >= 7 {
            #expect(directory.rowCount(block) <= 1_024)
            let isFirst =
                block == 0 || directory.firstSeries(block - 1) != directory.firstSeries(block)
            // 3,600 rows an hour are cut at quarters.
            let cell = directory.firstSeries(block) == 7 ? hour / 4 : hour
            if !isFirst {
                #expect(
                    directory.minTime(block) % cell < 60 * second, "block \(block) is not aligned")
            }
        }
        #expect(directory.regularStep(1) == 10 * second)
        #expect(try directory.rowsByteCount(1) == 0)
        #expect(directory.firstBlock(reaching: 0) == 0 && directory.firstBlock(reaching: 3) == 1)
        #expect(directory.firstBlock(reaching: 9) == directory.blockCount)
    }

    @Test func `in a cold segment hours share a block where they fit`() throws {
        func series(_ id: Int, rows: Int, interval: Int64) -> PlainSeries {
            let times = (0..<rows).map { Int64($0) * interval * second }
            return PlainSeries(
                id: UInt32(id), key: plainKey(id), times: times,
                columns: [times.map { .slot(UInt64($0 / second)) }])
        }
        let table = PlainTable(
            schema: plainSchema(1, [.int64]),
            series: [
                series(1, rows: 2_160, interval: 10), series(2, rows: 1_440, interval: 60),
                series(3, rows: 700, interval: 5), series(4, rows: 288, interval: 300),
            ])
        let fileSystem = SimulatedFileSystem()
        _ = try writeSegment(
            [table], to: fileSystem,
            options: SegmentWriterOptions(encoding: EncodeOptions(level: .cold)))
        let directory = try #require(try SegmentReader.open(fileSystem, path: "s").table(id: 1))
            .directory()
        let blocks = (0..<directory.blockCount).map {
            [Int(directory.firstSeries($0)), directory.rowCount($0)]
        }
        #expect(
            blocks == [
                // Two hours of 360 rows, half a day of 60, an hour of 720, a day of 12.
                [1, 720], [1, 720], [1, 720], [2, 720], [2, 720], [3, 700], [4, 288],
            ])
    }

    @Test func `a column's statistics as decimals are the doubles that were written`() throws {
        var random = SplitMix(state: 5)
        let times = (0..<600).map { Int64($0) * second }
        func column(_ make: () -> Double) -> [PlainValue?] {
            times.map { _ in .slot(make().bitPattern) }
        }
        let columns: [[PlainValue?]?] = [
            column { Double(random.below(20_000) - 10_000) / 100 },
            column { Double(random.below(1 << 30)) * 0.1 },
            column { Double(random.below(3)) / 10 },
            column { random.below(200) == 0 ? .nan : Double(random.below(50)) / 8 },
        ]
        let table = PlainTable(
            schema: plainSchema(1, [.float64, .float64, .float64, .float64]),
            series: (0..<3).map {
                PlainSeries(id: UInt32($0), key: plainKey($0), times: times, columns: columns)
            })
        let fileSystem = SimulatedFileSystem()
        _ = try writeSegment(
            [table], to: fileSystem, options: SegmentWriterOptions(blockRowsMax: 100))
        let directory = try #require(try SegmentReader.open(fileSystem, path: "s").table(id: 1))
            .directory()
        for (index, values) in columns.enumerated() {
            for block in 0..<directory.blockCount {
                let rows = block % 6 * 100..<block % 6 * 100 + 100
                let doubles = rows.compactMap { row -> Double? in
                    guard case .slot(let slot)? = values?[row] else { return nil }
                    return Double(bitPattern: slot)
                }
                let numbers = doubles.filter { !$0.isNaN }
                let statistics = directory.statistics(column: index, block: block)
                #expect(statistics.minimum == numbers.min()?.bitPattern)
                #expect(statistics.maximum == numbers.max()?.bitPattern)
                #expect(statistics.first == doubles.first?.bitPattern)
                #expect(statistics.last == doubles.last?.bitPattern)
                guard case .float(let sum) = statistics.sum else {
                    Issue.record("no sum")
                    continue
                }
                #expect(abs(sum - numbers.reduce(0, +)) <= abs(sum) * 1e-12)
            }
        }
    }

    @Test func `times at both ends of what is representable are stored`() throws {
        let times = [Int64.min, Int64.min + 1, -1, 0, 1, Int64.max - 1, Int64.max]
        let many = (0..<300).map { Int64.max - 300 + Int64($0) } + [Int64.max]
        let table = PlainTable(
            schema: plainSchema(1, [.bool]),
            series: [
                PlainSeries(id: 0, key: [], times: times, columns: [nil]),
                PlainSeries(id: .max, key: plainKey(1), times: many, columns: [nil]),
            ])
        for rowsMax in [1, 3, 1_024] {
            let fileSystem = SimulatedFileSystem()
            _ = try writeSegment(
                [table], to: fileSystem, options: SegmentWriterOptions(blockRowsMax: rowsMax))
            let reader = try SegmentReader.open(fileSystem, path: "s")
            #expect(reader.verify().map(\.what) == [])
            #expect(try normalized(readTable(try #require(reader.table(id: 1)))) == table)
        }
    }

    @Test func `thirty thousand keys survive compression in chunks`() throws {
        let table = shortSeries(30_000, rows: 1)
        let fileSystem = SimulatedFileSystem()
        let summary = try writeSegment(
            [table], to: fileSystem, options: SegmentWriterOptions(keyRowsMin: 1))
        let reader = try SegmentReader.open(fileSystem, path: "s")
        let keys = try #require(reader.table(id: 1)).seriesKeys()
        #expect(keys.map(\.id) == table.series.map(\.id))
        #expect(keys.map(\.key) == table.series.map(\.key))
        #expect(reader.verify().map(\.what) == [])
        print("keys: \(Double(summary.byteCount) / 30_000) bytes a series, all counted")
    }

    @Test func `many series with few rows leave their keys to the catalog`() throws {
        let table = shortSeries(30_000, rows: 3)
        let fileSystem = SimulatedFileSystem()
        let without = try writeSegment([table], to: fileSystem)
        let reader = try SegmentReader.open(fileSystem, path: "s")
        let keys = try #require(reader.table(id: 1)).seriesKeys()
        #expect(keys.map(\.id) == table.series.map(\.id))
        let kept = keys.drop { $0.key == nil }
        #expect(kept.count < 12_000, "all but the last chunk have ids alone")
        #expect(kept.map(\.key) == table.series.suffix(kept.count).map(\.key))
        #expect(reader.verify().map(\.what) == [])
        let with = try writeSegment(
            [table], to: fileSystem, options: SegmentWriterOptions(keyRowsMin: 3))
        #expect(without.byteCount < with.byteCount)
    }

    /// Neighbouring ids, then every second one.
    private func shortSeries(_ count: Int, rows: Int) -> PlainTable {
        let slots = (0..<rows).map { PlainValue?.some(.slot(UInt64($0))) }
        return PlainTable(
            schema: plainSchema(1, [.int64]),
            series: (0..<count).map {
                PlainSeries(
                    id: UInt32($0 < count * 2 / 3 ? $0 : $0 * 2), key: plainKey($0),
                    times: (0..<rows).map { Int64($0) }, columns: [slots])
            })
    }

    @Test func `ten integer fields of a hundred series take under half a byte a value`() throws {
        var random = SplitMix(state: 5)
        var series: [PlainSeries] = []
        for id in 0..<100 {
            var walks = (0..<10).map { _ in random.below(101) }
            var columns: [[PlainValue?]?] = Array(repeating: [], count: 10)
            let times = (0..<720).map { 1_767_225_600 * second + Int64($0) * 10 * second }
            for _ in 0..<720 {
                for column in 0..<10 {
                    // cpu-only: a step of a normal distribution, rounded, clamped to 0 ... 100.
                    let steps = [-2, -1, -1, -1, 0, 0, 0, 0, 0, 1, 1, 1, 2]
                    walks[column] = min(
                        max(walks[column] + steps[random.below(steps.count)], 0), 100)
                    columns[column]?.append(.slot(UInt64(walks[column])))
                }
            }
            series.append(
                PlainSeries(id: UInt32(id), key: plainKey(id), times: times, columns: columns))
        }
        let table = PlainTable(
            schema: plainSchema(1, Array(repeating: .int64, count: 10)), series: series)
        for (level, rowsMax) in [(EncodeOptions.Level.hot, 1_024), (.cold, 1_024), (.hot, 180)] {
            let fileSystem = SimulatedFileSystem()
            let summary = try writeSegment(
                [table], to: fileSystem,
                options: SegmentWriterOptions(
                    blockRowsMax: rowsMax, encoding: EncodeOptions(level: level)))
            let perValue = Double(summary.byteCount) / 720_000
            let read = try SegmentReader.open(fileSystem, path: "s").tables[0]
            print(
                "size: directory \(Double(read.directoryRange.count) / 720_000) of", terminator: " "
            )
            print("\(level) \(rowsMax): \(perValue) bytes a value, \(summary.blockCount) blocks")
            if rowsMax == 1_024 { #expect(perValue < 0.5) }
        }
    }
}
