// Reads `/sql`'s JSON as it arrives, and keeps one row of it.
//
//     {"columns":[{"name":…,"type":…},…],"rows":[[…],…],
//      "row_count":n,"warnings":[…],"stats":{"elapsed_ms":…,…}}
//
// or, if the query failed, "error":{…} behind the rows or all alone. Members that are not known are
// passed over.

/// What the engine says of a statement that failed.
package struct StatementError: Error, Equatable, Sendable {
    package var code = ""
    package var message = ""
    /// From 1, the column in code points.
    package var line: Int?
    package var column: Int?
    package var hint: String?

    package init(code: String = "", message: String = "") {
        self.code = code
        self.message = message
    }
}

/// What stands behind the rows.
package struct AnswerSummary: Equatable, Sendable {
    package var rowCount: Int?
    package var warnings: [String] = []
    /// As spelled by the server.
    package var elapsedMilliseconds: String?
    package var error: StatementError?
    /// Whether the answer came to its end.
    package var isComplete = false

    package init() {}
}

/// Takes rows as they come. A throw ends the reading, and with it the query.
package protocol AnswerSink {
    mutating func begin(_ columns: [AnswerColumn]) throws
    mutating func append(_ row: AnswerRow) throws
}

/// Takes nothing: for answers that are read for their summary.
package struct NoSink: AnswerSink {
    package init() {}
    package func begin(_ columns: [AnswerColumn]) {}
    package func append(_ row: AnswerRow) {}
}

package struct AnswerReader {
    private enum Place: Equatable {
        case outside, member, value, columns, column, rows, row, warnings, statistics, error
        case unknown(depth: Int)
        case done
    }

    private var tokens = JSONTokenizer()
    private var place = Place.outside
    private var member = ""
    /// The name within an object of plain values, until its value has come.
    private var name: String?
    private var columns: [AnswerColumn] = []
    private var row = AnswerRow()
    package private(set) var summary = AnswerSummary()

    package init() {}

    /// - Throws: `JSONFault` for what is no answer, and what the sink throws.
    package mutating func feed(
        _ piece: ArraySlice<UInt8>, into sink: inout some AnswerSink
    ) throws {
        var arrived = piece
        while let token = try tokens.next(from: &arrived) {
            if token == .separator { continue }
            switch place {
            case .row:
                switch token {
                case .string: row.append(column: tokens.bytes)
                case .word:
                    if tokens.bytes.first == UInt8(ascii: "n") {
                        row.appendNull()
                    } else {
                        row.append(column: tokens.bytes)
                    }
                case .endArray:
                    place = .rows
                    try sink.append(row)
                default: throw Self.unexpected
                }
            case .rows:
                switch token {
                case .beginArray:
                    row.removeAll()
                    place = .row
                case .endArray: place = .member
                default: throw Self.unexpected
                }
            default: try take(token, into: &sink)
            }
        }
    }

    private static let unexpected = JSONFault("the answer is not in the shape of /sql")

    private var text: String { String(decoding: tokens.bytes, as: UTF8.self) }

    private mutating func take(_ token: JSONToken, into sink: inout some AnswerSink) throws {
        switch (place, token) {
        case (.outside, .beginObject): place = .member
        case (.member, .string):
            member = text
            place = .value
        case (.member, .endObject):
            place = .done
            summary.isComplete = true
        case (.value, _): try value(token)
        case (.columns, .beginObject):
            columns.append(AnswerColumn())
            place = .column
        case (.columns, .endArray):
            place = .member
            try sink.begin(columns)
        case (.column, .endObject): place = .columns
        case (.statistics, .endObject), (.error, .endObject): place = .member
        case (.column, .string), (.statistics, .string), (.error, .string), (.column, .word),
            (.statistics, .word), (.error, .word):
            plainMember(token)
        case (.warnings, .string): summary.warnings.append(text)
        case (.warnings, .endArray): place = .member
        case (.unknown(let depth), .beginObject), (.unknown(let depth), .beginArray):
            place = .unknown(depth: depth + 1)
        case (.unknown(let depth), .endObject), (.unknown(let depth), .endArray):
            place = depth == 1 ? .member : .unknown(depth: depth - 1)
        case (.unknown, _): break
        default: throw Self.unexpected
        }
    }

    private mutating func value(_ token: JSONToken) throws {
        switch (member, token) {
        case ("columns", .beginArray): place = .columns
        case ("rows", .beginArray): place = .rows
        case ("warnings", .beginArray): place = .warnings
        case ("stats", .beginObject): place = .statistics
        case ("error", .beginObject):
            summary.error = StatementError()
            place = .error
        case ("error", .string):
            summary.error = StatementError(message: text)
            place = .member
        case (_, .beginObject), (_, .beginArray): place = .unknown(depth: 1)
        case (_, .string), (_, .word):
            if member == "row_count" { summary.rowCount = Int(text) }
            place = .member
        default: throw Self.unexpected
        }
    }

    private mutating func plainMember(_ token: JSONToken) {
        guard let name else {
            name = text
            return
        }
        self.name = nil
        let text = text
        switch (place, name) {
        case (.column, "name"): columns[columns.count - 1].name = text
        case (.column, "type"): columns[columns.count - 1].type = text
        case (.statistics, "elapsed_ms"): summary.elapsedMilliseconds = text
        case (.error, "code"): summary.error?.code = text
        case (.error, "message"): summary.error?.message = text
        case (.error, "line"): summary.error?.line = Int(text)
        case (.error, "column"): summary.error?.column = Int(text)
        case (.error, "hint"): summary.error?.hint = text
        default: break
        }
    }
}
