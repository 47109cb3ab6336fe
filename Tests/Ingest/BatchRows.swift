import ApusIngest
import ApusStorage

/// A batch in plain words, for comparisons: one text a row, in order of lines.
///
///     LINE TABLE {tag=value,…} {field=value,…} TIME
///
/// Values are `f` and the float's description, `i…`, `u…`, `true`, `false`, or a quoted string.
enum BatchRows {
    static func rows(_ batch: WriteBatch?) -> [String] {
        guard let batch else { return [] }
        var rows: [(line: UInt32, text: String)] = []
        for group in batch.groups {
            for row in 0..<group.rowCount {
                let id = group.series[row]
                let key =
                    id & WriteBatch.provisional != 0
                    ? describe(batch.newSeries[Int(id & ~WriteBatch.provisional)].key) : "#\(id)"
                var fields: [(String, String)] = []
                for field in 0..<group.fieldCount {
                    let name = text(group.shape.fieldNames[field])
                    let slot = group.column(field)[row]
                    fields.append((name, value(slot, group.shape.types[field], batch)))
                }
                fields.sort { Array($0.0.utf8).lexicographicallyPrecedes(Array($1.0.utf8)) }
                let written = fields.map { "\($0.0)=\($0.1)" }.joined(separator: ",")
                rows.append(
                    (
                        group.lines[row],
                        "\(group.lines[row]) \(text(group.shape.table)) {\(key)} {\(written)} "
                            + "\(group.times[row])"
                    ))
            }
        }
        return rows.sorted { $0.line < $1.line }.map(\.text)
    }

    static func rejections(_ batch: WriteBatch?) -> [String] {
        (batch?.rejections ?? []).map { "\($0.line):\($0.column) \($0.reason)" }
    }

    static func text(_ bytes: some Sequence<UInt8>) -> String {
        String(decoding: Array(bytes), as: UTF8.self)
    }

    static func describe(_ key: [UInt8]) -> String {
        key.withUnsafeBytes { bytes in
            (SeriesKey.decode(bytes) ?? []).map { "\(text(key[$0.key]))=\(text(key[$0.value]))" }
                .joined(separator: ",")
        }
    }

    private static func value(_ slot: UInt64, _ type: FieldType, _ batch: WriteBatch) -> String {
        switch type {
        case .float64: return "f\(Double(bitPattern: slot))"
        case .int64: return "i\(Int64(bitPattern: slot))"
        case .uint64: return "u\(slot)"
        case .bool: return slot == 1 ? "true" : "false"
        case .string:
            let string = StringSlot(rawValue: slot)
            let bytes = UnsafeRawBufferPointer(
                start: batch.strings + string.offset, count: string.length)
            return "\"\(text(bytes))\""
        }
    }
}

/// Feeds input to a new parser in pieces that end at the given offsets.
func parse(
    _ input: [UInt8], cuts: [Int] = [], context: LineContext = LineContext(catalog: Catalog()),
    precision: TimePrecision = .nanoseconds, endsLine: Bool = true
) -> WriteBatch? {
    let parser = LineParser(
        context: context, database: "db", precision: precision,
        arrivalNanoseconds: arrivalNanoseconds)
    var start = 0
    for cut in cuts + [input.count] {
        // A copy of its own, so that reading past the end meets foreign memory.
        let piece = Array(input[start..<cut])
        piece.withUnsafeBytes { parser.feed($0) }
        start = cut
    }
    parser.finish(endsLine: endsLine)
    return parser.takeBatch()
}

let arrivalNanoseconds: Int64 = 1_700_000_000_123_456_789
