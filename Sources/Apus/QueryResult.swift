// The answer of a query as an embedder sees it: typed columns, and rows for convenience.

public import ApusQuery
public import ApusStorage

/// A value of `$1`, `$2`, … in a statement.
public enum Parameter: Sendable, Equatable {
    case null
    case bool(Bool)
    case int64(Int64)
    case uint64(UInt64)
    case float64(Double)
    case string(String)

    var queryParameter: QueryParameter {
        switch self {
        case .null: .null
        case .bool(let flag): .bool(flag)
        case .int64(let number): .int64(number)
        case .uint64(let number): .uint64(number)
        case .float64(let number): .float64(number)
        case .string(let text): .string(text)
        }
    }
}

/// The whole answer of a query. Immutable; holds its own memory.
public struct QueryResult: Sendable {
    /// In the order of the statement; names may repeat.
    public let columns: [Column]
    public let rowCount: Int
    /// What a damaged file or a limit did to the answer.
    public let warnings: [String]
    public let statistics: QueryStatistics

    /// The first column of that name; nil if there is none. O(*columns*).
    public subscript(name: String) -> Column? { columns.first { $0.name == name } }

    /// The rows, read from the columns as they are asked for: O(1), nothing is copied.
    public var rows: Rows { Rows(result: self) }

    /// One column, eight bytes a value.
    public struct Column: Sendable {
        public let name: String
        public let type: ResultType
        package let vector: ResultVector

        /// As many as the answer has rows, NULLs among them.
        public var count: Int { vector.values.count }

        /// Whether a row, from 0, holds NULL.
        public func isNull(_ row: Int) -> Bool { vector.validity.map { $0[row] == 0 } ?? false }

        /// The values of a `float64` column, NULLs undefined; nil for other types. Copies nothing
        /// but the array: 8 bytes a row.
        public var doubles: [Double]? {
            type == .float64 ? vector.values.map { Double(bitPattern: $0) } : nil
        }

        /// The values of an `int64`, `timestamp`, `timestamp_local` (nanoseconds) or `date` (days)
        /// column, NULLs undefined; nil for other types. Copies 8 bytes a row.
        public var integers: [Int64]? {
            switch type {
            case .int64, .timestamp, .timestampLocal, .date:
                vector.values.map { Int64(bitPattern: $0) }
            default: nil
            }
        }

        /// Reads the slots where they lie, without a copy: bit patterns of doubles, two's
        /// complement of integers, nanoseconds of times, 0 and 1 of bools.
        public func withSlots<Result>(_ body: (Span<UInt64>) -> Result) -> Result {
            body(vector.values.span)
        }

        /// The value of a row, from 0, which has to be below `count`. Copies a string.
        public subscript(row: Int) -> Value {
            guard !isNull(row) else { return .null }
            let slot = vector.values[row]
            switch type {
            case .timestamp: return .timestamp(Timestamp(nanoseconds: Int64(bitPattern: slot)))
            case .timestampLocal: return .timestampLocal(nanoseconds: Int64(bitPattern: slot))
            case .date: return .date(daysSince1970: Int64(bitPattern: slot))
            case .float64: return .float64(Double(bitPattern: slot))
            case .int64: return .int64(Int64(bitPattern: slot))
            case .uint64: return .uint64(slot)
            case .bool: return .bool(slot != 0)
            case .string, .interval:
                let text = StringSlot(rawValue: slot)
                let bytes = vector.stringBytes[text.offset..<(text.offset + text.length)]
                return .string(String(decoding: bytes, as: UTF8.self))
            }
        }
    }

    /// One value of an answer; an interval is its text.
    public enum Value: Sendable, Equatable {
        case null
        case timestamp(Timestamp)
        /// Nanoseconds as if the local clock were UTC.
        case timestampLocal(nanoseconds: Int64)
        case date(daysSince1970: Int64)
        case float64(Double)
        case int64(Int64)
        case uint64(UInt64)
        case bool(Bool)
        case string(String)
    }

    /// One row of an answer: a view, which keeps the whole answer.
    public struct Row: Sendable {
        let result: QueryResult
        let index: Int

        /// The value of the first column of that name; NULL if there is none.
        public subscript(name: String) -> Value { result[name]?[index] ?? .null }
        /// The value of a column by its position, from 0.
        public subscript(column: Int) -> Value { result.columns[column][index] }
    }

    /// The rows of an answer, by position from 0.
    public struct Rows: RandomAccessCollection, Sendable {
        let result: QueryResult
        public var startIndex: Int { 0 }
        public var endIndex: Int { result.rowCount }
        public subscript(position: Int) -> Row { Row(result: result, index: position) }
    }
}

extension QueryResult.Value: CustomStringConvertible {
    /// The value as a person would write it; times as nanoseconds.
    public var description: String {
        switch self {
        case .null: "NULL"
        case .timestamp(let time): "\(time.nanoseconds)"
        case .timestampLocal(let nanoseconds): "\(nanoseconds)"
        case .date(let days): "\(days)"
        case .float64(let number): "\(number)"
        case .int64(let number): "\(number)"
        case .uint64(let number): "\(number)"
        case .bool(let flag): "\(flag)"
        case .string(let text): text
        }
    }
}

/// Gathers a streamed answer.
struct CollectingSink: ResultSink {
    private var columns: [ResultColumn] = []
    private var builders: [VectorBuilder] = []
    private var rowCount = 0

    mutating func begin(_ columns: [ResultColumn]) throws(QueryError) {
        self.columns = columns
        builders = columns.map { VectorBuilder($0.type) }
    }

    mutating func append(_ batch: ResultBatch) throws(QueryError) {
        // Batches of one answer may all hold the strings of its other rows too: those stay behind.
        for (index, part) in batch.columns.enumerated() where index < builders.count {
            builders[index].append(
                Vector(
                    type: part.type, count: batch.rowCount, values: part.values,
                    validity: part.validity ?? [], bytes: part.stringBytes))
        }
        rowCount += batch.rowCount
    }

    mutating func result(_ summary: QuerySummary) -> QueryResult {
        var vectors: [ResultVector] = []
        for (index, column) in columns.enumerated() {
            let vector = builders[index].finish()
            vectors.append(
                ResultVector(
                    type: column.type, values: vector.values,
                    validity: vector.validity.isEmpty ? nil : vector.validity,
                    stringBytes: vector.bytes))
        }
        return QueryResult(
            columns: zip(columns, vectors).map {
                QueryResult.Column(name: $0.name, type: $0.type, vector: $1)
            }, rowCount: rowCount, warnings: summary.warnings, statistics: summary.statistics)
    }
}
