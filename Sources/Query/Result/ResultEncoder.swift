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
        for row in rows { append(batch, row: row) }
    }

    private func append(_ batch: ResultBatch, row: Int) {
        let count = min(batch.columns.count, columns.count)
        switch format {
        case .json:
            if hasRows { writer.byte(0x2C) }
            hasRows = true
            writer.byte(0x5B)
            for index in 0..<count {
                if index > 0 { writer.byte(0x2C) }
                json(batch.columns[index], row)
            }
            writer.byte(0x5D)
        case .ndjson:
            writer.byte(0x7B)
            for index in 0..<count {
                // Safe: the writer copies.
                memberNames[index].withUnsafeBytes { writer.raw($0) }
                json(batch.columns[index], row)
            }
            writer.byte(0x7D)
            writer.byte(0x0A)
        case .csv:
            for index in 0..<count {
                if index > 0 { writer.byte(0x2C) }
                csv(batch.columns[index], row)
            }
            writer.byte(0x0A)
        }
    }

    private func json(_ vector: ResultVector, _ row: Int) {
        if let validity = vector.validity, validity[row] == 0 { return writer.text("null") }
        let slot = vector.values[row]
        switch vector.type {
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
            let isText = vector.type != .timestamp || epoch == .rfc3339
            if isText { writer.byte(0x22) }
            time(slot, vector.type)
            if isText { writer.byte(0x22) }
        case .string, .interval: withText(vector, slot) { writer.jsonString($0) }
        }
    }

    private func csv(_ vector: ResultVector, _ row: Int) {
        if let validity = vector.validity, validity[row] == 0 { return }
        let slot = vector.values[row]
        switch vector.type {
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
        case .timestamp, .timestampLocal, .date: time(slot, vector.type)
        case .string, .interval: withText(vector, slot) { writer.csvField($0) }
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

    private func withText(
        _ vector: ResultVector, _ slot: UInt64, _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        let text = StringSlot(rawValue: slot)
        vector.stringBytes.withUnsafeBytes { bytes in
            guard text.offset + text.length <= bytes.count else {
                return body(.init(rebasing: bytes[..<0]))
            }
            body(UnsafeRawBufferPointer(rebasing: bytes[text.offset..<text.offset + text.length]))
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
