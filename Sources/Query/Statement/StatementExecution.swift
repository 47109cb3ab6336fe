// Carries out one statement of any kind.

internal import ApusStorage

struct StatementExecution {
    let engine: QueryEngine
    let session: Session
    let context: QueryContext
    let strict: Bool
    var summary = QuerySummary()

    init(engine: QueryEngine, session: Session, context: QueryContext, strict: Bool) {
        self.engine = engine
        self.session = session
        self.context = context
        self.strict = strict
    }

    mutating func run<Sink: ResultSink>(
        _ statement: Statement, into sink: inout Sink
    ) throws(QueryError) {
        switch statement.kind {
        case .select(let select):
            let plan = try SelectPlanner(engine: engine, session: session).plan(select)
            note(try engine.execute(plan, context, strict: strict, into: &sink))
        case .show(let show): try run(show, into: &sink)
        case .describe(let name): try describe(name, into: &sink)
        case .explain(let inner, let analyze):
            try explain(inner, analyze: analyze, into: &sink)
        case .insert(let insert):
            try sink.begin([])
            try self.insert(insert)
        case .delete(let delete):
            throw QueryError(.unsupported, "DELETE is not available yet", at: delete.position)
        case .setTimeZone(let name):
            try setTimeZone(name, at: statement.position)
            try sink.begin([])
        case .flush:
            try sink.begin([])
            try translating { () throws(StorageError) in try engine.storage.flush() }
        case .compact(let name):
            let table = try name.map { name throws(QueryError) in
                try engine.findTable(name, session: session)
            }
            try sink.begin([])
            try translating { () throws(StorageError) in try engine.storage.compact(table) }
        default:
            try sink.begin([])
            try define(statement)
        }
    }

    /// A statement is a session here: a zone that exists is accepted and forgotten.
    private mutating func setTimeZone(
        _ name: String?, at position: SourcePosition
    ) throws(QueryError) {
        guard let name else { return }
        _ = try TimeZoneRules.named(name)
        let warning = "SET TimeZone has no effect: each statement stands alone"
        let remedy = "send tz=\(name) with every statement"
        if strict { throw QueryError(.unsupported, warning, at: position, hint: remedy) }
        summary.warnings.append("\(warning); \(remedy)")
    }

    mutating func note(_ report: ExecutionReport) {
        summary.rowCount = report.rowCount
        summary.warnings += report.warnings
        summary.statistics.rowsScanned += report.counters.rowsScanned
        summary.statistics.blocksRead += report.counters.blocksRead
        summary.statistics.blocksSkipped += report.counters.blocksSkipped
        summary.statistics.blocksSummarized += report.counters.blocksSummarized
        summary.statistics.bytesRead += report.counters.bytesRead
    }

    /// Sends a small table of strings.
    mutating func send<Sink: ResultSink>(
        _ names: [String], _ rows: [[String?]], into sink: inout Sink
    ) throws(QueryError) {
        try sink.begin(names.map { ResultColumn(name: $0, type: .string) })
        var builders = names.map { _ in VectorBuilder(.string) }
        for row in rows {
            for (index, text) in row.enumerated() {
                if let text {
                    builders[index].append(text: text.utf8)
                } else {
                    builders[index].appendNull()
                }
            }
        }
        summary.rowCount = rows.count
        guard !rows.isEmpty else { return }
        try sink.append(
            ResultBatch(
                rowCount: rows.count,
                columns: builders.indices.map { ResultVector(builders[$0].finish()) }))
    }
}
