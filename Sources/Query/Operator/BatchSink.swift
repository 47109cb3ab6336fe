// Where operators hand their rows on: to the answer, or to the query around.

internal import ApusStorage

protocol BatchSink {
    /// Whether more rows would be dropped.
    var isFull: Bool { get }
    mutating func append(_ columns: [Vector], count: Int) throws(QueryError)
}

/// The end of the line: batches of the answer.
struct AnswerSink<Base: ResultSink>: BatchSink {
    var base: Base
    let context: QueryContext
    var isFull: Bool { false }

    mutating func append(_ columns: [Vector], count: Int) throws(QueryError) {
        try context.check()
        try base.append(
            ResultBatch(rowCount: count, columns: columns.map { ResultVector($0) }))
    }
}

/// Hands frames to whoever takes the rows of a subquery.
struct FrameSink: BatchSink {
    let take: (Frame) throws(QueryError) -> Void
    let isDone: () -> Bool
    let context: QueryContext

    var isFull: Bool { isDone() }

    mutating func append(_ columns: [Vector], count: Int) throws(QueryError) {
        guard count > 0 else { return }
        try context.check()
        var frame = Frame(count: count, columns: columns)
        frame.context = context
        try take(frame)
    }
}

/// Gathers frames into one, within the query's memory.
struct FrameCollector: BatchSink {
    private var builders: [VectorBuilder]
    private(set) var count = 0
    private let context: QueryContext
    private let what: String
    private let rowsMax: Int
    private var chargedBytes = 0
    var isFull: Bool { count >= rowsMax }

    /// - Parameters:
    ///   - what: What an error of the budget calls the rows.
    ///   - rowsMax: Rows that are enough; there may be more.
    init(
        _ types: [ResultType], _ context: QueryContext, _ what: String, rowsMax: Int = .max
    ) {
        self.rowsMax = rowsMax
        builders = types.map { VectorBuilder($0) }
        self.context = context
        self.what = what
    }

    mutating func append(_ columns: [Vector], count: Int) throws(QueryError) {
        try context.check()
        for (index, column) in columns.enumerated() { builders[index].append(column) }
        self.count += count
        let bytes = builders.reduce(0) { $0 + $1.byteCount }
        if bytes > chargedBytes + 65_536 {
            try context.charge(bytes - chargedBytes, what)
            chargedBytes = bytes
        }
    }

    mutating func finish() -> Frame {
        var frame = Frame(count: count, columns: builders.indices.map { builders[$0].finish() })
        frame.context = context
        return frame
    }
}
