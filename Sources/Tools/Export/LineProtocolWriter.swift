// Rows as line protocol, with their types.
//
//     measurement,tag=value,… field=1.5,field=3i,field=4u,field=true,field="a \"b\"" 1700000000…
//
//     in names and tag values a backslash stands before , = and space (in measurements , and space)
//     in strings before " and \; a newline stands as it is
//
// What the protocol has no words for is left out and counted: NaN and infinities, strings longer
// than a parser takes; names that end in a backslash, which would escape what follows them.

/// What could not be written.
package struct ExportOmissions: Equatable, Sendable {
    /// NaN and infinities.
    package var nonFiniteValues = 0
    package var longStrings = 0
    /// Rows none of whose fields could be written, or with a tag that can't be.
    package var rows = 0
    /// Columns and tables.
    package var names: [String] = []

    package init() {}

    mutating func add(_ other: ExportOmissions) {
        nonFiniteValues += other.nonFiniteValues
        longStrings += other.longStrings
        rows += other.rows
        names += other.names
    }
}

/// How a column of an answer is written.
package struct LineColumn: Equatable, Sendable {
    package enum Kind: Equatable, Sendable {
        case time, tag, float, integer, unsigned, bool, string
    }
    package var kind: Kind
    /// As it was written once, not SQL's name.
    package var name: String

    package init(kind: Kind, name: String) {
        self.kind = kind
        self.name = name
    }

    /// The kind of a field by the name of its type; nil for types that are no field's.
    package static func fieldKind(ofType type: String) -> Kind? {
        switch type {
        case "float64": .float
        case "int64": .integer
        case "uint64": .unsigned
        case "bool": .bool
        case "string": .string
        default: nil
        }
    }
}

package struct LineProtocolWriter {
    /// What Apus' own parser and InfluxDB's take at most.
    private static let stringBytesMax = 65_536

    private struct Part {
        var column: Int
        var kind: LineColumn.Kind
        /// The name, escaped, with the `=` behind it.
        var start: [UInt8]
    }

    private let measurement: [UInt8]
    private let timeColumn: Int
    private var tags: [Part] = []
    private var fields: [Part] = []
    package private(set) var omissions = ExportOmissions()
    package private(set) var rowCount = 0
    package private(set) var valueCount = 0

    /// Nil if no column is the time, or the measurement can't be written.
    package init?(measurement: String, columns: [LineColumn]) {
        guard Self.canWrite(measurement), !measurement.hasPrefix("#"),
            let time = columns.firstIndex(where: { $0.kind == .time })
        else { return nil }
        self.measurement = Self.escaped(measurement.utf8, [0x2C, 0x20])
        timeColumn = time
        for (index, column) in columns.enumerated() where column.kind != .time {
            guard Self.canWrite(column.name) else {
                omissions.names.append(column.name)
                continue
            }
            let name = Self.escaped(column.name.utf8, Self.specials) + [UInt8(ascii: "=")]
            let part = Part(column: index, kind: column.kind, start: name)
            if column.kind == .tag { tags.append(part) } else { fields.append(part) }
        }
    }

    private static let specials: [UInt8] = [0x2C, 0x3D, 0x20]

    /// Whether a name or a tag's value can stand in a line at all.
    private static func canWrite(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.last != UInt8(ascii: "\\") && !text.utf8.contains(0x0A)
    }

    private static func escaped<Bytes: Sequence<UInt8>>(
        _ text: Bytes, _ specials: [UInt8]
    ) -> [UInt8] {
        var result: [UInt8] = []
        for byte in text {
            if specials.contains(byte) { result.append(UInt8(ascii: "\\")) }
            result.append(byte)
        }
        return result
    }

    /// Appends the row's line, or nothing if none of its fields can be written.
    package mutating func append(_ row: AnswerRow, to line: inout [UInt8]) {
        let start = line.count
        line.append(contentsOf: measurement)
        guard appendTags(row, to: &line), let values = appendFields(row, to: &line),
            let time = row[timeColumn]
        else {
            omissions.rows += 1
            line.removeLast(line.count - start)
            return
        }
        line.append(0x20)
        line.append(contentsOf: time)
        line.append(0x0A)
        rowCount += 1
        valueCount += values
    }

    private func appendTags(_ row: AnswerRow, to line: inout [UInt8]) -> Bool {
        for tag in tags {
            guard let value = row[tag.column], !value.isEmpty else { continue }
            line.append(0x2C)
            line.append(contentsOf: tag.start)
            for byte in value {
                if byte == 0x0A { return false }
                if byte == 0x2C || byte == 0x3D || byte == 0x20 { line.append(UInt8(ascii: "\\")) }
                line.append(byte)
            }
            if line.last == UInt8(ascii: "\\") { return false }
        }
        return true
    }

    /// How many were written; nil for none.
    private mutating func appendFields(_ row: AnswerRow, to line: inout [UInt8]) -> Int? {
        var count = 0
        for field in fields {
            guard let value = row[field.column] else { continue }
            if field.kind == .float, !Self.isFinite(value) {
                omissions.nonFiniteValues += 1
                continue
            }
            if field.kind == .string, value.count > Self.stringBytesMax {
                omissions.longStrings += 1
                continue
            }
            line.append(count == 0 ? 0x20 : 0x2C)
            line.append(contentsOf: field.start)
            append(value, field.kind, to: &line)
            count += 1
        }
        return count > 0 ? count : nil
    }

    private func append(
        _ value: ArraySlice<UInt8>, _ kind: LineColumn.Kind, to line: inout [UInt8]
    ) {
        switch kind {
        case .integer:
            line.append(contentsOf: value)
            line.append(UInt8(ascii: "i"))
        case .unsigned:
            line.append(contentsOf: value)
            line.append(UInt8(ascii: "u"))
        case .string:
            line.append(0x22)
            for byte in value {
                if byte == 0x22 || byte == 0x5C { line.append(0x5C) }
                line.append(byte)
            }
            line.append(0x22)
        case .float, .bool, .time, .tag: line.append(contentsOf: value)
        }
    }

    /// `NaN`, `Infinity` and `-Infinity` are the numbers that end in a letter.
    private static func isFinite(_ number: ArraySlice<UInt8>) -> Bool {
        number.last.map { $0 < UInt8(ascii: "A") } ?? false
    }
}
