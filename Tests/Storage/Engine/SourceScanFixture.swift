import ApusStorage
import ApusTestKit
import Testing

// Random tables in segments and chunks, and the plain dictionary that says what a scan must yield.

enum ScanValue: Hashable {
    case slot(UInt64)
    case text([UInt8])

    /// As the table's type, or nil if there is no such conversion.
    func converted(from: FieldType, to: FieldType) -> ScanValue {
        guard case .slot(let slot) = self, from != to, to == .float64 else { return self }
        return .slot(
            from == .int64 ? Double(Int64(bitPattern: slot)).bitPattern : Double(slot).bitPattern)
    }
}

/// Series → time → values by field of the table.
typealias ScanModel = [UInt32: [Int64: [ScanValue?]]]

struct ScanTable {
    static let tableID: UInt32 = 5
    static let second: Int64 = 1_000_000_000
    /// Fields of the table and their current types; the last is in no input.
    static let ids: [UInt32] = [3, 7, 9, 20, 31, 40]
    static let types: [FieldType] = [.float64, .int64, .uint64, .string, .bool, .float64]

    let fileSystem = SimulatedFileSystem()
    var inputs: [ScanInput] = []
    var model: ScanModel = [:]
    var readers: [SegmentReader] = []
    private var priority = 0

    mutating func apply(_ series: UInt32, _ time: Int64, _ fields: [Int], _ values: [ScanValue?]) {
        var row = model[series]?[time] ?? Array(repeating: nil, count: Self.ids.count)
        for (field, value) in zip(fields, values) where value != nil { row[field] = value }
        model[series, default: [:]][time] = row
    }

    static func randomValue(_ type: FieldType, _ random: inout SeededRandom) -> ScanValue {
        switch type {
        case .float64:
            .slot(
                random.oneIn(20)
                    ? Double.nan.bitPattern : (Double(random.below(4_000) - 2_000) / 8).bitPattern)
        case .int64: .slot(UInt64(bitPattern: Int64(random.below(900) - 300)))
        case .uint64:
            .slot(UInt64(random.below(1_000)) + (random.oneIn(40) ? 1 << 60 : 0))
        case .bool: .slot(UInt64(random.below(2)))
        case .string: .text(Array("s\(random.below(30))".utf8.prefix(random.below(4))))
        }
    }

    /// Some of the fields, and the types they had at the time.
    static func randomFields(_ random: inout SeededRandom) -> (fields: [Int], types: [FieldType]) {
        let fields = (0..<5).filter { _ in !random.oneIn(3) }
        return (
            fields,
            fields.map { $0 == 0 ? [.float64, .int64, .uint64][random.below(3)] : Self.types[$0] }
        )
    }

    /// Times of one series: regular or not, dense or sparse, in some window.
    static func randomTimes(_ random: inout SeededRandom, countMax: Int) -> [Int64] {
        let count = 1 + random.below(random.oneIn(3) ? countMax : 5)
        let start = Int64(random.below(20)) * 400 - 1_000
        if random.oneIn(2) {
            return (0..<count).map { (start + Int64($0) * 10) * second }
        }
        var times: Set<Int64> = []
        for _ in 0..<count {
            times.insert((start + Int64(random.below(count * 12)) / 5 * 5) * second)
        }
        return times.sorted()
    }

    mutating func addSegment(_ random: inout SeededRandom) throws {
        let (fields, types) = Self.randomFields(&random)
        let path = "segment\(priority)"
        let writer = try SegmentWriter(
            fileSystem: fileSystem, path: path,
            identity: SegmentIdentity(
                number: UInt64(priority + 1), databaseID: 1, databaseName: "d", partitionStart: 0,
                partitionNanoseconds: 86_400 * Self.second, firstSequence: 1, lastSequence: 2),
            options: SegmentWriterOptions(
                blockRowsMax: [4, 40, 1_024][random.below(3)],
                groupBytesMax: random.oneIn(2) ? 3_000 : 16 << 20))
        try writer.beginTable(
            SegmentTableSchema(
                tableID: Self.tableID, name: "t", firstSequence: 1, lastSequence: 2,
                tagKeys: ["host"],
                fields: zip(fields, types).map {
                    SegmentField(id: Self.ids[$0], name: "f\($0)", sqlName: "f\($0)", type: $1)
                }))
        for series in 0..<UInt32(60) where !random.oneIn(2) {
            let times = Self.randomTimes(&random, countMax: 400)
            let absentField = random.below(8)
            let density = 1 + random.below(4)
            var columns: [[ScanValue?]] = []
            for (index, type) in types.enumerated() {
                columns.append(
                    times.map { _ in
                        index == absentField || (density > 1 && random.oneIn(density * 2))
                            ? nil : Self.randomValue(type, &random)
                    })
            }
            for (row, time) in times.enumerated() {
                apply(
                    series * 3, time, fields,
                    fields.indices.map {
                        columns[$0][row]?.converted(from: types[$0], to: Self.types[fields[$0]])
                    })
            }
            try Self.append(
                writer, series: series * 3, times: times, columns: columns, types: types)
        }
        try writer.endTable()
        _ = try writer.finish()
        let reader = try SegmentReader.open(fileSystem, path: path)
        readers.append(reader)
        if let table = reader.table(id: Self.tableID) {
            inputs.append(ScanInput(source: .segment(table), priority: priority))
        }
        priority += 1
    }

    static func append(
        _ writer: SegmentWriter, series: UInt32, times: [Int64], columns: [[ScanValue?]],
        types: [FieldType]
    ) throws {
        let key = SeriesKey.encode(["host": "h\(series)"])
        let memory = ScanMemory()
        var slices: [ColumnSlice?] = []
        for (column, type) in zip(columns, types) {
            let (values, strings) = flatten(column)
            let validity = column.map { $0 == nil ? UInt8(0) : 1 }
            slices.append(
                ColumnSlice(
                    type: type, count: times.count, values: memory.keep(values),
                    validity: validity.contains(0) ? memory.keep(validity) : nil,
                    stringBytes: memory.keep(strings)))
        }
        let borrowed = UnsafeBufferPointer(start: memory.keep(times), count: times.count)
        try key.withUnsafeBytes { key in
            try writer.append(series: series, key: key, times: borrowed, columns: slices)
        }
    }

    static func flatten(_ column: [ScanValue?]) -> (values: [UInt64], strings: [UInt8]) {
        var (values, strings): ([UInt64], [UInt8]) = ([], [7])
        for value in column {
            switch value {
            case nil: values.append(0)
            case .slot(let slot): values.append(slot)
            case .text(let text):
                values.append(StringSlot(offset: strings.count, length: text.count).rawValue)
                strings += text
            }
        }
        return (values, strings)
    }

    /// A head: several chunks of different shapes, whose rows' order decides.
    mutating func addHead(_ random: inout SeededRandom) {
        typealias Row = (series: UInt32, time: Int64, order: UInt32, values: [ScanValue])
        let shapes = (0..<(1 + random.below(4))).map { _ in Self.randomFields(&random) }
        var rows: [[Row]] = shapes.map { _ in [] }
        let start = Int64(random.below(20)) * 400
        let isRagged = random.oneIn(2)
        var order: UInt32 = 0
        for scrape in 0..<(1 + random.below(40)) {
            for series in 0..<UInt32(40) where !random.oneIn(6) {
                let shape = random.below(shapes.count)
                var time = (start + Int64(scrape) * 10) * Self.second
                if isRagged, random.oneIn(3) { time -= Int64(random.below(40)) * 10 * Self.second }
                let values = shapes[shape].types.map { Self.randomValue($0, &random) }
                let id = series * 3 + UInt32(random.below(20) / 19)
                rows[shape].append((id, time, order, values))
                let fields = shapes[shape].fields
                apply(
                    id, time, fields,
                    fields.indices.map {
                        values[$0].converted(
                            from: shapes[shape].types[$0], to: Self.types[fields[$0]])
                    })
                order += 1
            }
        }
        for (shape, rows) in zip(shapes, rows) where !rows.isEmpty {
            let key = ShapeKey(ids: shape.fields.map { Self.ids[$0] }, types: shape.types)
            // The same shape may fill several chunks.
            let cut = random.oneIn(2) ? rows.count : random.below(rows.count) + 1
            for part in [rows[..<cut], rows[cut...]] where !part.isEmpty {
                let memory = ScanMemory()
                let chunk = HeadChunk(
                    shape: key, memory: ChunkMemory(keptBytesMax: 0, bytesMax: .max))
                var strings: [UInt8] = []
                var columns: [UnsafePointer<UInt64>] = []
                for index in shape.fields.indices {
                    let column = Self.flatten(part.map { $0.values[index] })
                    guard shape.types[index] == .string else {
                        columns.append(memory.keep(column.values))
                        continue
                    }
                    strings = column.strings
                    columns.append(memory.keep(column.values))
                }
                chunk.append(
                    HeadChunk.Source(
                        series: memory.keep(part.map(\.series)),
                        times: memory.keep(part.map(\.time)),
                        order: memory.keep(part.map(\.order)), columns: columns,
                        strings: UnsafeRawPointer(memory.keep(strings))),
                    rows: 0..<part.count, orderBase: 0, sequence: 1)
                chunk.publish()
                if random.oneIn(2) {
                    chunk.seal()
                    let (sorted, storage) = ChunkSort.rearrange(chunk.published)
                    chunk.setSorted(sorted, in: storage)
                }
                inputs.append(ScanInput(source: .chunk(chunk.published), priority: priority))
            }
        }
        priority += 1
    }

    /// A head as several senders fill it who take scrapes in turn and don't wait for each other: its
    /// chunks overlap in time. Every scrape may come twice with `repeats`.
    mutating func addSenders(
        _ random: inout SeededRandom, series: Int, scrapes: Int, chunkRows: Int, repeats: Bool
    ) {
        let senders = 1 + random.below(4)
        var left: [[Int]] = (0..<senders).map { first in
            stride(from: first, to: scrapes, by: senders).flatMap {
                repeats && random.oneIn(20) ? [$0, $0] : [$0]
            }
        }
        var (fields, types) = Self.randomFields(&random)
        var rows: [SenderRow] = []
        var order: UInt32 = 0
        while !left.allSatisfy(\.isEmpty) {
            let sender = random.below(senders)
            guard !left[sender].isEmpty else { continue }
            let time = Int64(left[sender].removeFirst()) * 10 * Self.second
            for id in 0..<UInt32(series) {
                let values = types.map { Self.randomValue($0, &random) }
                rows.append((id * 3, time, values))
                apply(
                    id * 3, time, fields,
                    fields.indices.map {
                        values[$0].converted(from: types[$0], to: Self.types[fields[$0]])
                    })
                guard rows.count == chunkRows else { continue }
                addChunk(rows, fields, types, order, isSealed: !random.oneIn(8))
                order += UInt32(rows.count)
                rows = []
                if random.oneIn(3) { (fields, types) = Self.randomFields(&random) }
            }
        }
        addChunk(rows, fields, types, order, isSealed: false)
        priority += 1
    }

    private typealias SenderRow = (series: UInt32, time: Int64, values: [ScanValue])

    private mutating func addChunk(
        _ rows: [SenderRow], _ fields: [Int], _ types: [FieldType], _ order: UInt32, isSealed: Bool
    ) {
        guard !rows.isEmpty else { return }
        let chunk = HeadChunk(
            shape: ShapeKey(ids: fields.map { Self.ids[$0] }, types: types),
            memory: ChunkMemory(keptBytesMax: 0, bytesMax: .max))
        let memory = ScanMemory()
        var (columns, strings): ([UnsafePointer<UInt64>], [UInt8]) = ([], [])
        for index in fields.indices {
            let column = Self.flatten(rows.map { $0.values[index] })
            if types[index] == .string { strings = column.strings }
            columns.append(memory.keep(column.values))
        }
        chunk.append(
            HeadChunk.Source(
                series: memory.keep(rows.map(\.series)), times: memory.keep(rows.map(\.time)),
                order: memory.keep((0..<UInt32(rows.count)).map { $0 }), columns: columns,
                strings: UnsafeRawPointer(memory.keep(strings))),
            rows: 0..<rows.count, orderBase: order, sequence: 1)
        chunk.publish()
        if isSealed {
            chunk.seal()
            let (sorted, storage) = ChunkSort.rearrange(chunk.published)
            chunk.setSorted(sorted, in: storage)
        }
        inputs.append(ScanInput(source: .chunk(chunk.published), priority: priority))
    }

    static func random(_ random: inout SeededRandom) throws -> ScanTable {
        var table = ScanTable()
        for _ in 0..<random.below(4) { try table.addSegment(&random) }
        for _ in 0..<random.below(3) { table.addHead(&random) }
        // The order in which inputs are listed must not matter.
        table.inputs.shuffle(using: &random)
        return table
    }

    /// The model's rows that a request without bounds is about, series and times ascending.
    func expected(_ request: ScanRequest) -> [UInt32: [(time: Int64, values: [ScanValue?])]] {
        let fields = request.fields.map { Self.ids.firstIndex(of: $0) }
        var result: [UInt32: [(time: Int64, values: [ScanValue?])]] = [:]
        for (series, rows) in model where request.series?.contains(series) ?? true {
            let chosen = rows.keys.filter { request.timeRange.contains($0) }.sorted()
            guard !chosen.isEmpty else { continue }
            result[series] = chosen.map { time in
                (time, fields.map { field in field.flatMap { rows[time]?[$0] } })
            }
        }
        return result
    }
}

/// Memory for slices that a test lends.
final class ScanMemory {
    private var blocks: [UnsafeMutableRawPointer] = []

    func keep<T>(_ array: [T]) -> UnsafePointer<T> {
        let memory = UnsafeMutablePointer<T>.allocate(capacity: max(array.count, 1))
        memory.initialize(from: array, count: array.count)
        blocks.append(UnsafeMutableRawPointer(memory))
        return UnsafePointer(memory)
    }

    deinit { blocks.forEach { $0.deallocate() } }
}

/// Keeps what a scan yields, and checks the order in which it comes.
struct ScanCollector: ScanConsumer {
    var types: [FieldType]
    var rows: [UInt32: [(time: Int64, values: [ScanValue?])]] = [:]
    var summaries: [ScanSummary] = []
    var rowCount = 0
    var rowsMax = Int.max
    private var lastSeries: UInt32?
    private var lastTime = Int64.min
    var isOrdered = true

    init(types: [FieldType]) { self.types = types }

    var isDone: Bool { rowCount >= rowsMax }

    mutating func startPiece() { lastSeries = nil }

    private mutating func arrive(_ series: UInt32, _ first: Int64, _ last: Int64) {
        if let lastSeries, series < lastSeries || (series == lastSeries && first <= lastTime) {
            isOrdered = false
        }
        (lastSeries, lastTime) = (series, last)
    }

    mutating func consume(_ slice: ScanRows) throws(StorageError) {
        rowCount += slice.count
        guard slice.count > 0, slice.columns.count == types.count else {
            isOrdered = false
            return
        }
        for row in 0..<slice.count {
            let time = slice.times[row]
            arrive(slice.series, time, time)
            var values: [ScanValue?] = []
            for (column, type) in zip(slice.columns, types) {
                if column.type != type || column.count != slice.count { isOrdered = false }
                if column.validity?[row] == 0 {
                    values.append(nil)
                } else if type == .string {
                    let slot = StringSlot(rawValue: column.values[row])
                    let bytes = UnsafeBufferPointer(
                        start: column.stringBytes.map { $0 + slot.offset }, count: slot.length)
                    values.append(.text(Array(bytes)))
                } else {
                    values.append(.slot(column.values[row]))
                }
            }
            rows[slice.series, default: []].append((time, values))
        }
    }

    mutating func consume(_ summary: ScanSummary) throws(StorageError) {
        arrive(summary.series, summary.firstTime, summary.lastTime)
        rowCount += summary.rowCount
        summaries.append(summary)
    }
}
