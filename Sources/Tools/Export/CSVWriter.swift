// Rows as CSV, spelled as `/sql` spells them.
//
//     time,host,note\n                       LF ends a line
//     2026-01-01T00:00:00Z,h1,"a ""b"""\n    NULL is empty, '' is ""

internal import ApusQuery

package struct CSVWriter {
    private let columns: [AnswerColumn]
    package private(set) var rowCount = 0
    private var time: [UInt8] = []

    package init(_ columns: [AnswerColumn]) { self.columns = columns }

    package func appendHeader(to line: inout [UInt8]) {
        for (index, column) in columns.enumerated() {
            if index > 0 { line.append(0x2C) }
            Self.append(text: Array(column.name.utf8)[...], to: &line)
        }
        line.append(0x0A)
    }

    package mutating func append(_ row: AnswerRow, to line: inout [UInt8]) {
        for (index, column) in columns.enumerated() {
            if index > 0 { line.append(0x2C) }
            guard let value = row[index] else { continue }
            if column.type == "timestamp",
                let nanoseconds = Int64(String(decoding: value, as: UTF8.self))
            {
                TimestampText.append(nanoseconds, to: &line)
            } else if column.isText {
                Self.append(text: value, to: &line)
            } else {
                line.append(contentsOf: value)
            }
        }
        line.append(0x0A)
        rowCount += 1
    }

    private static func append(text: ArraySlice<UInt8>, to line: inout [UInt8]) {
        let isPlain =
            !text.isEmpty && !text.contains { $0 == 0x2C || $0 == 0x22 || $0 == 0x0A || $0 == 0x0D }
        guard !isPlain else { return line.append(contentsOf: text) }
        line.append(0x22)
        for byte in text {
            if byte == 0x22 { line.append(0x22) }
            line.append(byte)
        }
        line.append(0x22)
    }
}
