// An answer as text: JSON, NDJSON or CSV, in the shapes of `/sql`.
//
//     JSON      {"columns":[…],"rows":[[…],…],"row_count":n,"warnings":[…],"stats":{…}}
//     NDJSON    {"name":value,…}\n …            a repeated name gets _1, _2, …
//     CSV       name,name\n value,value\n …     NULL empty, '' as ""

internal import ApusStorage

package enum ResultFormat: String, Sendable, CaseIterable {
    case json, ndjson, csv

    package var contentType: String {
        switch self {
        case .json: "application/json"
        case .ndjson: "application/x-ndjson"
        case .csv: "text/csv; charset=utf-8"
        }
    }
}

/// How timestamps are written.
package enum EpochUnit: String, Sendable {
    case rfc3339, ns, us, ms, s

    package var nanosecondsPerUnit: Int64 {
        switch self {
        case .rfc3339, .ns: 1
        case .us: 1_000
        case .ms: 1_000_000
        case .s: 1_000_000_000
        }
    }
}

/// What stands in JSON and NDJSON for the numbers that JSON has no words for.
package enum NonFiniteNumbers: String, Sendable {
    case null
    /// The strings `"NaN"`, `"Infinity"` and `"-Infinity"`: for readers that tell them from NULL.
    case text
}

/// Writes one answer. For one thread.
package final class ResultEncoder {
    package let format: ResultFormat
    package let epoch: EpochUnit
    package let writer: TextWriter
    private let nonFinite: NonFiniteNumbers
    private var columns: [ResultColumn] = []
    /// NDJSON: `"name":` of each column, and `,"name":` for all but the first.
    private var memberNames: [[UInt8]] = []
    private var hasRows = false

    package init(
        format: ResultFormat, epoch: EpochUnit, nonFinite: NonFiniteNumbers = .null,
        writer: TextWriter
    ) {
        self.nonFinite = nonFinite
        self.format = format
        self.epoch = epoch
        self.writer = writer
    }

    package func begin(_ columns: [ResultColumn]) {
        self.columns = columns
        switch format {
        case .json: beginJSON()
        case .ndjson: memberNames = Self.memberNames(columns)
        case .csv:
            for (index, column) in columns.enumerated() {
                if index > 0 { writer.byte(0x2C) }
                writer.csvField(column.name)
            }
            if !columns.isEmpty { writer.byte(0x0A) }
        }
    }

    private func beginJSON() {
        writer.text(#"{"columns":["#)
        for (index, column) in columns.enumerated() {
            if index > 0 { writer.byte(0x2C) }
            writer.text(#"{"name":"#)
            writer.jsonString(column.name)
            writer.text(#","type":""#)
            writer.text(column.type.rawValue)
            writer.text(#""}"#)
        }
        writer.text(#"],"rows":["#)
    }

    private static func memberNames(_ columns: [ResultColumn]) -> [[UInt8]] {
        var used: Set<String> = []
        return columns.enumerated().map { index, column in
            var name = column.name
            var number = 0
            while !used.insert(name).inserted {
                number += 1
                name = "\(column.name)_\(number)"
            }
            let writer = TextWriter(capacity: 64)
            if index > 0 { writer.byte(0x2C) }
            writer.jsonString(name)
            writer.byte(0x3A)
            return Array(writer.bytes)
        }
    }

    /// Writes some rows of a batch; a caller that streams asks for a few at a time.
    package func append(_ batch: ResultBatch, rows: Range<Int>) {
        let vectors = batch.columns.prefix(columns.count)
        guard vectors.count > CellColumn.lentMax else {
            return CellColumn.withAll(vectors) { cells in
                for row in rows {
                    beginRow()
                    for index in cells.indices { append(cells[index], index, row) }
                    endRow()
                }
            }
        }
        for row in rows {
            beginRow()
            for index in vectors.indices {
                CellColumn.withAll(vectors[index...index]) { append($0[0], index, row) }
            }
            endRow()
        }
    }

    private func beginRow() {
        switch format {
        case .json:
            if hasRows { writer.byte(0x2C) }
            hasRows = true
            writer.byte(0x5B)
        case .ndjson: writer.byte(0x7B)
        case .csv: break
        }
    }

    @inline(__always)
    private func append(_ cell: CellColumn, _ index: Int, _ row: Int) {
        switch format {
        case .json:
            if index > 0 { writer.byte(0x2C) }
            json(cell, row)
        case .ndjson:
            // Safe: the writer copies.
            memberNames[index].withUnsafeBytes { writer.raw($0) }
            json(cell, row)
        case .csv:
            if index > 0 { writer.byte(0x2C) }
            csv(cell, row)
        }
    }

    private func endRow() {
        switch format {
        case .json: writer.byte(0x5D)
        case .ndjson:
            writer.byte(0x7D)
            writer.byte(0x0A)
        case .csv: writer.byte(0x0A)
        }
    }

    private func json(_ cell: CellColumn, _ row: Int) {
        guard cell.isValid(row) else { return writer.text("null") }
        let slot = cell.values[row]
        switch cell.type {
        case .float64:
            let number = Double(bitPattern: slot)
            if number.isFinite {
                writer.double(number)
            } else if nonFinite == .null {
                writer.text("null")
            } else {
                writer.jsonString(Self.name(ofNonFinite: number))
            }
        case .int64: writer.integer(Int64(bitPattern: slot))
        case .uint64: writer.unsigned(slot)
        case .bool: writer.text(slot != 0 ? "true" : "false")
        case .timestamp, .timestampLocal, .date:
            let isText = cell.type != .timestamp || epoch == .rfc3339
            if isText { writer.byte(0x22) }
            time(slot, cell.type)
            if isText { writer.byte(0x22) }
        case .string, .interval: writer.jsonString(cell.text(slot))
        }
    }

    private func csv(_ cell: CellColumn, _ row: Int) {
        guard cell.isValid(row) else { return }
        let slot = cell.values[row]
        switch cell.type {
        case .float64:
            let number = Double(bitPattern: slot)
            if number.isFinite {
                writer.double(number)
            } else {
                writer.text(Self.name(ofNonFinite: number))
            }
        case .int64: writer.integer(Int64(bitPattern: slot))
        case .uint64: writer.unsigned(slot)
        case .bool: writer.text(slot != 0 ? "true" : "false")
        case .timestamp, .timestampLocal, .date: time(slot, cell.type)
        case .string, .interval: writer.csvField(cell.text(slot))
        }
    }

    /// As PostgreSQL spells them.
    private static func name(ofNonFinite number: Double) -> String {
        number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity"
    }

    private func time(_ slot: UInt64, _ type: ResultType) {
        let value = Int64(bitPattern: slot)
        switch type {
        case .date: writer.date(daysSince1970: value)
        case .timestampLocal: writer.timestamp(nanoseconds: value, isLocal: true)
        default:
            guard epoch != .rfc3339 else { return writer.timestamp(nanoseconds: value) }
            let unit = epoch.nanosecondsPerUnit
            let quotient = value / unit
            writer.integer(value % unit < 0 ? quotient &- 1 : quotient)
        }
    }

    // MARK: the end

    package func finish(_ summary: QuerySummary) {
        guard format == .json else { return }
        writer.text(#"],"row_count":"#)
        writer.integer(summary.rowCount)
        writer.text(#","warnings":["#)
        for (index, warning) in summary.warnings.enumerated() {
            if index > 0 { writer.byte(0x2C) }
            writer.jsonString(warning)
        }
        let statistics = summary.statistics
        writer.text(#"],"stats":{"elapsed_ms":"#)
        writer.double(Double(statistics.elapsedNanoseconds / 1_000) / 1_000)
        writer.text(#","rows_scanned":"#)
        writer.integer(statistics.rowsScanned)
        writer.text(#","blocks_read":"#)
        writer.integer(statistics.blocksRead)
        writer.text(#","blocks_skipped":"#)
        writer.integer(statistics.blocksSkipped)
        writer.text(#","blocks_summarized":"#)
        writer.integer(statistics.blocksSummarized)
        writer.text(#","bytes_read":"#)
        writer.integer(statistics.bytesRead)
        writer.text("}}\n")
    }

    /// An error after the first byte has left. False: the format has no place for it, so the body
    /// has to be aborted.
    package func fail(_ error: QueryError) -> Bool {
        switch format {
        case .json:
            writer.text(#"],"error":"#)
            error.writeObject(to: writer)
            writer.text("}\n")
            return true
        case .ndjson:
            writer.text(#"{"error":"#)
            error.writeObject(to: writer)
            writer.text("}\n")
            return true
        case .csv: return false
        }
    }
}

/// A column of a batch while its rows are written: a cell costs no reference counts.
///
/// Safe: made and used only while the vector's arrays are lent.
private struct CellColumn {
    let type: ResultType
    let values: UnsafeBufferPointer<UInt64>
    /// Without elements if nothing is NULL.
    let validity: UnsafeBufferPointer<UInt8>
    let bytes: UnsafeRawBufferPointer

    @inline(__always)
    func isValid(_ row: Int) -> Bool { validity.isEmpty || validity[row] != 0 }

    /// No text if the slot points outside.
    @inline(__always)
    func text(_ slot: UInt64) -> UnsafeRawBufferPointer {
        let text = StringSlot(rawValue: slot)
        guard text.offset + text.length <= bytes.count else { return .init(rebasing: bytes[..<0]) }
        return UnsafeRawBufferPointer(rebasing: bytes[text.offset..<text.offset + text.length])
    }

    /// Lending is calls inside of each other, so there must not be too many.
    static let lentMax = 128

    /// Lends the arrays of all vectors.
    static func withAll(_ vectors: ArraySlice<ResultVector>, _ body: ([CellColumn]) -> Void) {
        var cells: [CellColumn] = []
        cells.reserveCapacity(vectors.count)
        lend(vectors, &cells, body)
    }

    private static func lend(
        _ vectors: ArraySlice<ResultVector>, _ cells: inout [CellColumn],
        _ body: ([CellColumn]) -> Void
    ) {
        guard let vector = vectors.first else { return body(cells) }
        vector.values.withUnsafeBufferPointer { values in
            (vector.validity ?? []).withUnsafeBufferPointer { validity in
                vector.stringBytes.withUnsafeBytes { bytes in
                    cells.append(
                        CellColumn(
                            type: vector.type, values: values, validity: validity, bytes: bytes))
                    lend(vectors.dropFirst(), &cells, body)
                }
            }
        }
    }
}

extension QueryError {
    /// `{"code":…,"message":…}`, with line, column and hint where there are some.
    package func writeObject(to writer: TextWriter) {
        writer.text(#"{"code":"#)
        writer.jsonString(code.rawValue)
        writer.text(#","message":"#)
        writer.jsonString(message)
        if let line {
            writer.text(#","line":"#)
            writer.integer(line)
        }
        if let column {
            writer.text(#","column":"#)
            writer.integer(column)
        }
        if let hint {
            writer.text(#","hint":"#)
            writer.jsonString(hint)
        }
        writer.byte(0x7D)
    }
}
