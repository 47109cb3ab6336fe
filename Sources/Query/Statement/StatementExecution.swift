// Carries out one statement of any kind.

internal import ApusStorage

/// Keeps the columns back until the first rows: another attempt may have others.
struct HeadHoldingSink<Base: ResultSink>: ResultSink {
    var base: Base
    private var columns: [ResultColumn]?
    private(set) var isReleased = false

    init(base: Base) { self.base = base }

    mutating func begin(_ columns: [ResultColumn]) throws(QueryError) { self.columns = columns }

    mutating func append(_ batch: ResultBatch) throws(QueryError) {
        try release()
        try base.append(batch)
    }

    mutating func release() throws(QueryError) {
        guard !isReleased, let columns else { return }
        isReleased = true
        try base.begin(columns)
    }
}

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

    /// Whether waiting for the background has become pointless.
    private var isCancelled: () -> Bool { { [context] in context.cancellation.isCancelled } }

    mutating func run<Sink: ResultSink>(
        _ statement: Statement, into sink: inout Sink
    ) throws(QueryError) {
        switch statement.kind {
        case .query(let query):
            note(try self.query(query, into: &sink).report)
        case .show(let show): try run(show, into: &sink)
        case .describe(let name): try describe(name, into: &sink)
        case .explain(let inner, let analyze):
            try explain(inner, analyze: analyze, into: &sink)
        case .insert(let insert):
            try sink.begin([])
            try self.insert(insert)
        case .delete(let delete):
            try sink.begin([])
            try self.delete(delete)
        case .setTimeZone(let name):
            try setTimeZone(name, at: statement.position)
            try sink.begin([])
        case .flush:
            try sink.begin([])
            try translating { () throws(StorageError) in
                try engine.storage.flush(unless: isCancelled)
            }
        case .compact(let name):
            let table = try name.map { name throws(QueryError) in
                try engine.findTable(name, session: session)
            }
            try sink.begin([])
            try translating { () throws(StorageError) in
                try engine.storage.compact(table, unless: isCancelled)
            }
        case .kill(let id):
            try kill(id)
            try sink.begin([])
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

    /// Plans and executes, over one snapshot of all tables, which is taken first: every series it can show is
    /// in the index by then, and no field is wider in it than the plan has it.
    ///
    /// What is damaged is set aside while it is read; the rest answers, with a warning, unless rows that may
    /// depend on it are out already. Each turn takes something away.
    func query<Sink: ResultSink>(
        _ query: Query, into sink: inout Sink
    ) throws(QueryError) -> (plan: QueryPlan, report: ExecutionReport) {
        var held = HeadHoldingSink(base: sink)
        defer { sink = held.base }
        let tables = tables(of: query)
        while true {
            let snapshot = engine.storage.snapshot(of: tables)
            do throws(QueryError) {
                let plan = try planner(snapshot).plan(query)
                let report = try engine.execute(
                    plan, snapshot, context, strict: strict, into: &held)
                try held.release()
                return (plan, report)
            } catch {
                guard error.code == .damaged, !strict, !held.isReleased,
                    damageCount(engine.storage.snapshot(of: tables), tables)
                        > damageCount(snapshot, tables)
                else { throw error }
                context.restart()
            }
        }
    }

    /// Plans queries whose subqueries run on a snapshot.
    func planner(_ snapshot: Snapshot) -> SelectPlanner {
        let (engine, context, strict) = (engine, context, strict)
        return SelectPlanner(
            engine: engine, session: session,
            subqueries: SubqueryRunner(
                rows: { plan, rowsMax throws(QueryError) in
                    var rows = FrameCollector(
                        plan.resultColumns.map(\.type), context, "the rows of a subquery",
                        rowsMax: rowsMax)
                    var report = ExecutionReport()
                    _ = try engine.run(
                        plan, snapshot, context, strict: strict, &report, into: &rows)
                    return rows.finish()
                }, context: context))
    }

    /// The tables that a query names, as far as there are such; the planner says what is wrong with others.
    func tables(of query: Query) -> [TableEntry] {
        var tables: [TableEntry] = []
        query.forEachTable { name in
            guard let table = try? engine.findTable(name, session: session),
                !tables.contains(where: { $0 === table })
            else { return }
            tables.append(table)
        }
        return tables
    }

    private func damageCount(_ snapshot: Snapshot, _ tables: [TableEntry]) -> Int {
        tables.reduce(0) { $0 + snapshot.warnings(for: $1, in: .all).count }
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
        try send(&builders, into: &sink)
    }

    /// Sends rows whose columns have begun.
    mutating func send<Sink: ResultSink>(
        _ builders: inout [VectorBuilder], into sink: inout Sink
    ) throws(QueryError) {
        let rowCount = builders.first?.count ?? 0
        summary.rowCount = rowCount
        guard rowCount > 0 else { return }
        let columns = builders.indices.map { ResultVector(builders[$0].finish()) }
        try sink.append(ResultBatch(rowCount: rowCount, columns: columns))
    }
}
