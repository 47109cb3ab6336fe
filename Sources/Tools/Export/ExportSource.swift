// Where exported rows come from: a store of this process, or a running server.

package import Apus
package import ApusClient
internal import ApusQuery
internal import ApusStorage

/// Takes rows as they come: times of type timestamp are nanoseconds since 1970, everything else as
/// CSV spells it, unquoted. A throw ends the query.
package protocol RowSink {
    mutating func begin(_ columns: [AnswerColumn]) throws(TransferFailure)
    mutating func append(_ row: AnswerRow) throws(TransferFailure)
}

/// Answers SQL row by row, in constant memory. For one thread.
package enum ExportSource {
    case store(Store)
    case server(ServerAddress)

    /// An export may take hours; a server's limit for one statement is meant for dashboards.
    private static let timeoutMilliseconds = 7 * 86_400_000

    /// Runs one statement that only reads.
    ///
    /// - Parameters:
    ///   - types: of the answer's columns, where they are known: that spares a server a question.
    ///   - isStrict: fail, rather than leave rows out, where a damaged file was set aside.
    /// - Returns: what the answer warns of.
    package func rows<Sink: RowSink>(
        of sql: String, database: String, types: [String]? = nil, isStrict: Bool,
        into sink: inout Sink
    ) throws(TransferFailure) -> [String] {
        switch self {
        case .store(let store):
            var adapter = StoreAdapter(sink: sink)
            defer { sink = adapter.sink }
            var request = QueryRequest(sql: sql)
            request.database = database
            request.readOnly = true
            request.strict = isStrict
            request.timeoutMilliseconds = Self.timeoutMilliseconds
            do throws(QueryError) {
                let summary = try store.queries.run(
                    request, cancellation: QueryCancellation(), into: &adapter)
                return summary.warnings
            } catch {
                throw adapter.failure ?? Self.failure(error.code.rawValue, error.description)
            }
        case .server(let address):
            let query = ServerQuery(
                address: address, sql: sql, database: database, isStrict: isStrict,
                timeoutMilliseconds: Self.timeoutMilliseconds)
            try query.run(types: types, into: &sink)
            return []
        }
    }

    /// A whole small answer: names of tables, a description.
    package func table(of sql: String, database: String) throws(TransferFailure) -> [[String]] {
        var sink = CollectingRows()
        _ = try rows(of: sql, database: database, types: [], isStrict: false, into: &sink)
        return sink.rows
    }

    static func failure(_ code: String, _ text: String) -> TransferFailure {
        let exitCode =
            switch code {
            case "timeout", "overloaded", "budget", "cancelled", "killed": ExitCodes.unavailable
            case "damaged": ExitCodes.format
            case "internal": ExitCodes.inputOutput
            default: ExitCodes.usage
            }
        return TransferFailure(exitCode: exitCode, text)
    }
}

private struct CollectingRows: RowSink {
    var rows: [[String]] = []

    func begin(_ columns: [AnswerColumn]) {}
    mutating func append(_ row: AnswerRow) { rows.append(row.texts.map { $0 ?? "" }) }
}

/// Typed batches become texts.
private struct StoreAdapter<Sink: RowSink>: ResultSink {
    var sink: Sink
    /// The sink's own failure, which ended the query.
    var failure: TransferFailure?
    private var row = AnswerRow()

    init(sink: Sink) { self.sink = sink }

    private mutating func passing(
        _ body: (inout Sink) throws(TransferFailure) -> Void
    ) throws(QueryError) {
        do throws(TransferFailure) { try body(&sink) } catch {
            failure = error
            throw QueryError(.cancelled, error.description)
        }
    }

    mutating func begin(_ columns: [ResultColumn]) throws(QueryError) {
        let named = columns.map { AnswerColumn(name: $0.name, type: $0.type.rawValue) }
        try passing { sink throws(TransferFailure) in try sink.begin(named) }
    }

    mutating func append(_ batch: ResultBatch) throws(QueryError) {
        for index in 0..<batch.rowCount {
            row.removeAll()
            for column in batch.columns { append(column, index) }
            let row = row
            try passing { sink throws(TransferFailure) in try sink.append(row) }
        }
    }

    private mutating func append(_ column: ResultVector, _ index: Int) {
        if let validity = column.validity, validity[index] == 0 {
            return row.appendNull()
        }
        let slot = column.values[index]
        switch column.type {
        case .timestamp, .int64: row.append(Int64(bitPattern: slot))
        case .uint64: row.append(slot)
        case .bool: row.append((slot != 0 ? "true" : "false").utf8)
        case .float64: append(Double(bitPattern: slot))
        case .timestampLocal: row.append(TimestampText.localText(Int64(bitPattern: slot)).utf8)
        case .date: row.append(TimestampText.dateText(days: Int(Int64(bitPattern: slot))).utf8)
        case .string, .interval:
            let text = StringSlot(rawValue: slot)
            if text.offset + text.length <= column.stringBytes.count {
                row.append(column.stringBytes[text.offset..<text.offset + text.length])
            }
        }
        row.endColumn()
    }

    private mutating func append(_ number: Double) {
        if number.isFinite {
            row.append(number.description.utf8)
        } else {
            row.append((number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity").utf8)
        }
    }
}
