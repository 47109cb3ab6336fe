import ApusStorage
import ApusTestKit
import Testing

/// A field's value in one row; nil is absence.
enum PlainValue: Equatable {
    case slot(UInt64)
    case text([UInt8])
}

/// Rows of one series as plain arrays: what a segment has to give back.
struct PlainSeries: Equatable {
    var id: UInt32
    var key: [UInt8]
    var times: [Int64]
    /// One array a field; nil where the field is absent from all rows.
    var columns: [[PlainValue?]?]
}

struct PlainTable: Equatable {
    var schema: SegmentTableSchema
    var series: [PlainSeries]
    var rowCount: Int { series.reduce(0) { $0 + $1.times.count } }
}

struct SplitMix {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}

let testIdentity = SegmentIdentity(
    number: 7, databaseID: 3, databaseName: "fleet", partitionStart: 0,
    partitionNanoseconds: 86_400_000_000_000, firstSequence: 10, lastSequence: 99,
    replaces: [1, 2, 5])

func plainSchema(_ id: UInt32, _ types: [FieldType], name: String = "cpu") -> SegmentTableSchema {
    SegmentTableSchema(
        tableID: id, name: "\(name)\(id)", firstSequence: 11, lastSequence: 98,
        tagKeys: ["host", "region"],
        fields: types.enumerated().map {
            SegmentField(
                id: UInt32($0.offset) * 3 + 1, name: "f\($0.offset)",
                sqlName: "field_f\($0.offset)",
                type: $0.element)
        })
}

func plainKey(_ id: Int) -> [UInt8] {
    SeriesKey.encode(["host": "host_\(id)", "region": "eu-\(id % 4)", "rack": "r\(id % 30)"])
}

/// Appends rows `range` of a series through borrowed slices.
func append(
    _ series: PlainSeries, _ range: Range<Int>, types: [FieldType], to writer: SegmentWriter
) throws {
    var owners: [(values: [UInt64], validity: [UInt8], strings: [UInt8])?] = []
    for column in series.columns {
        guard let column else {
            owners.append(nil)
            continue
        }
        var (values, validity, strings): ([UInt64], [UInt8], [UInt8]) = ([], [], [0xEE])
        for value in column[range] {
            validity.append(value == nil ? 0 : 1)
            switch value {
            case nil: values.append(0xDEAD_BEEF_DEAD_BEEF)
            case .slot(let slot): values.append(slot)
            case .text(let text):
                values.append(StringSlot(offset: strings.count, length: text.count).rawValue)
                strings += text
            }
        }
        owners.append((values, validity, strings))
    }
    // Memory that lives to the end of the call, freed afterwards.
    var slices: [ColumnSlice?] = []
    var blocks: [UnsafeMutableRawPointer] = []
    defer { blocks.forEach { $0.deallocate() } }
    func keep<T>(_ array: [T]) -> UnsafePointer<T> {
        let memory = UnsafeMutablePointer<T>.allocate(capacity: max(array.count, 1))
        memory.initialize(from: array, count: array.count)
        blocks.append(UnsafeMutableRawPointer(memory))
        return UnsafePointer(memory)
    }
    for (index, owner) in owners.enumerated() {
        guard let owner else {
            slices.append(nil)
            continue
        }
        let isComplete = !owner.validity.contains(0)
        slices.append(
            ColumnSlice(
                type: types[index], count: range.count, values: keep(owner.values),
                validity: isComplete ? nil : keep(owner.validity),
                stringBytes: types[index] == .string ? keep(owner.strings) : nil))
    }
    let times = keep(Array(series.times[range]))
    let key = keep(series.key)
    try writer.append(
        series: series.id, key: UnsafeRawBufferPointer(start: key, count: series.key.count),
        times: UnsafeBufferPointer(start: times, count: range.count), columns: slices)
}

/// Writes tables; with `pieceRows`, each series in pieces of so many rows.
func writeSegment(
    _ tables: [PlainTable], to fileSystem: SimulatedFileSystem, path: String = "s",
    options: SegmentWriterOptions = SegmentWriterOptions(), pieceRows: Int = .max
) throws -> SegmentSummary {
    let writer = try SegmentWriter(
        fileSystem: fileSystem, path: path, identity: testIdentity, options: options)
    for table in tables {
        try writer.beginTable(table.schema)
        for series in table.series {
            var start = 0
            while start < series.times.count {
                let end = min(start + min(pieceRows, 1 << 30), series.times.count)
                try append(series, start..<end, types: table.schema.fields.map(\.type), to: writer)
                start = end
            }
        }
        try writer.endTable()
    }
    return try writer.finish()
}

/// Everything a segment's table holds, by decoding.
func readTable(_ table: SegmentTable) throws -> PlainTable {
    let directory = try table.directory()
    let keys = Dictionary(
        uniqueKeysWithValues: try table.seriesKeys().map { ($0.id, $0.key ?? []) })
    let columnCount = table.schema.fields.count
    var result = PlainTable(schema: table.schema, series: [])
    let rowsMax = 65_536 + 64
    let times = UnsafeMutablePointer<Int64>.allocate(capacity: rowsMax)
    let values = UnsafeMutablePointer<UInt64>.allocate(capacity: rowsMax)
    let validity = UnsafeMutablePointer<UInt8>.allocate(capacity: rowsMax)
    defer {
        times.deallocate()
        values.deallocate()
        validity.deallocate()
    }
    var runs: [SegmentRun] = []
    var symbols = SymbolCache()
    for block in 0..<directory.blockCount {
        try directory.decodeRuns(block, into: &runs)
        try directory.decodeTimes(block, into: times)
        var columns: [[PlainValue?]] = []
        for column in 0..<columnCount {
            var strings: [UInt8] = [1, 2, 3]
            let present = try directory.decodeColumn(
                column, block: block, values: values, validity: validity, strings: &strings,
                symbols: &symbols
            ).presentCount
            var decoded: [PlainValue?] = []
            for row in 0..<directory.rowCount(block) {
                if validity[row] == 0 {
                    decoded.append(nil)
                } else if directory.columnType(column) == .string {
                    let slot = StringSlot(rawValue: values[row])
                    decoded.append(.text(Array(strings[slot.offset..<(slot.offset + slot.length)])))
                } else {
                    decoded.append(.slot(values[row]))
                }
            }
            #expect(decoded.count { $0 != nil } == present)
            columns.append(decoded)
        }
        for run in runs {
            if result.series.last?.id != run.series {
                result.series.append(
                    PlainSeries(
                        id: run.series, key: keys[run.series] ?? [], times: [],
                        columns: Array(repeating: [], count: columnCount)))
            }
            let last = result.series.count - 1
            let rows = run.rowStart..<(run.rowStart + run.rowCount)
            result.series[last].times += rows.map { times[$0] }
            for column in 0..<columnCount {
                result.series[last].columns[column]? += columns[column][rows]
            }
        }
    }
    return result
}

/// Columns of nothing but absence equal columns that are left out.
func normalized(_ table: PlainTable) -> PlainTable {
    var table = table
    for series in table.series.indices {
        for column in table.series[series].columns.indices {
            let values = table.series[series].columns[column]
            if values?.contains(where: { $0 != nil }) != true {
                table.series[series].columns[column] = nil
            }
        }
    }
    return table
}
