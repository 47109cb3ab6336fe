// Typed rows in, without text: for embedders that have numbers and not lines.

internal import ApusIngest
public import ApusStorage

/// A value of one field.
public enum FieldValue: Sendable, Equatable {
    case float64(Double)
    case int64(Int64)
    case uint64(UInt64)
    case bool(Bool)
    case string(String)
}

extension FieldValue: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByStringLiteral
{
    public init(floatLiteral value: Double) { self = .float64(value) }
    public init(integerLiteral value: Int64) { self = .int64(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(stringLiteral value: String) { self = .string(value) }
}

/// Gathers rows of one database and stores them together.
///
/// Nothing is stored before `flush`. Not thread-safe: one task at a time.
public struct Appender {
    private let store: Store
    private let database: String
    private var builder: RowBuilder
    /// Rows gathered since the last flush.
    public private(set) var rowCount = 0

    init(store: Store, database: String) {
        self.store = store
        self.database = database
        builder = RowBuilder(database: database)
    }

    /// Adds a row to the next flush. Tags with empty values are absent; a row without fields is
    /// left out.
    public mutating func append(
        table: String, tags: [String: String] = [:], time: Timestamp,
        fields: KeyValuePairs<String, FieldValue>
    ) {
        guard !fields.isEmpty else { return }
        builder.append(
            table: table, tags: tags, time: time.nanoseconds,
            fields: fields.map { (name: $0.key, value: $0.value.rowValue) })
        rowCount += 1
    }

    /// Stores the gathered rows and waits until they are durable.
    ///
    /// - Throws: as `Store.write`; the rows are given up then.
    @discardableResult
    public mutating func flush() async throws(StorageError) -> WriteResult {
        guard rowCount > 0 else { return WriteResult() }
        let batch = builder.batch
        builder = RowBuilder(database: database)
        rowCount = 0
        return try await store.commit(batch)
    }
}

extension FieldValue {
    fileprivate var rowValue: RowBuilder.Value {
        switch self {
        case .float64(let number): .float64(number)
        case .int64(let number): .int64(number)
        case .uint64(let number): .uint64(number)
        case .bool(let flag): .bool(flag)
        case .string(let text): .string(Array(text.utf8))
        }
    }
}
