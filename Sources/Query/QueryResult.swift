// What a query answers with: named, typed columns in batches, streamed to a sink.

internal import ApusStorage

/// The type of an answer's column, named as in `/sql`'s JSON.
public enum ResultType: String, Sendable, Hashable {
    case timestamp
    case timestampLocal = "timestamp_local"
    case date
    case interval
    case string
    case float64
    case int64
    case uint64
    case bool
}

/// A column of an answer. Names may repeat, as in PostgreSQL.
public struct ResultColumn: Sendable, Hashable {
    public var name: String
    public var type: ResultType

    public init(name: String, type: ResultType) {
        self.name = name
        self.type = type
    }
}

/// Some values of one column of an answer.
///
/// A value is an eight-byte slot: nanoseconds since 1970 (timestamp in UTC; timestamp_local as if
/// the local clock were UTC), days since 1970 (date), a float64's bit pattern, an integer, 0 or 1, or
/// a `StringSlot` into `stringBytes` (string; interval as its text).
package struct ResultVector: Sendable {
    package var type: ResultType
    package var values: [UInt64]
    /// One byte a row, 0 for NULL; nil when there is none.
    package var validity: [UInt8]?
    package var stringBytes: [UInt8]

    package init(
        type: ResultType, values: [UInt64] = [], validity: [UInt8]? = nil, stringBytes: [UInt8] = []
    ) {
        self.type = type
        self.values = values
        self.validity = validity
        self.stringBytes = stringBytes
    }
}

package struct ResultBatch: Sendable {
    package var rowCount: Int
    package var columns: [ResultVector]

    package init(rowCount: Int, columns: [ResultVector]) {
        self.rowCount = rowCount
        self.columns = columns
    }
}

/// What a query cost.
public struct QueryStatistics: Sendable, Equatable {
    public var elapsedNanoseconds: Int64 = 0
    public var rowsScanned = 0
    public var blocksRead = 0
    public var blocksSkipped = 0
    public var blocksSummarized = 0
    public var bytesRead = 0

    public init() {}
}

/// Takes an answer as it is made. Calls come from one thread: `begin` once, then batches; a throw
/// of `cancelled` (the client went) stops the query.
package protocol ResultSink {
    mutating func begin(_ columns: [ResultColumn]) throws(QueryError)
    mutating func append(_ batch: ResultBatch) throws(QueryError)
}

/// A statement with everything around it.
package struct QueryRequest: Sendable {
    package var sql: String
    package var database = "default"
    /// The session's time zone; UTC unless told.
    package var timeZone = "UTC"
    /// `$1`… in order.
    package var parameters: [QueryParameter] = []
    package var timeoutMilliseconds: Int?
    /// A GET: statements that change something are refused.
    package var readOnly = false
    package var access = QueryAccess.everything
    /// Turns warnings into errors.
    package var strict = false

    package init(sql: String) { self.sql = sql }
}

package enum QueryParameter: Sendable, Equatable {
    case null
    case bool(Bool)
    case int64(Int64)
    case uint64(UInt64)
    case float64(Double)
    case string(String)
}

/// What remains to be said when the last batch is out.
package struct QuerySummary: Sendable {
    package var rowCount = 0
    package var warnings: [String] = []
    package var statistics = QueryStatistics()

    package init() {}
}
