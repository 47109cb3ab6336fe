// SHOW QUERIES and KILL: what the engine is busy with, and an end to it.

internal import ApusStorage

extension StatementExecution {
    mutating func showQueries<Sink: ResultSink>(into sink: inout Sink) throws(QueryError) {
        let columns: [(String, ResultType)] = [
            ("id", .int64), ("database", .string), ("client", .string), ("started", .timestamp),
            ("elapsed", .interval), ("state", .string), ("query", .string),
        ]
        try sink.begin(columns.map { ResultColumn(name: $0.0, type: $0.1) })
        var builders = columns.map { VectorBuilder($0.1) }
        for query in engine.running.visible(to: session.access) {
            let state = query.state
            // It has been answered meanwhile.
            if state == .ended { continue }
            let row = [
                .int64(query.id), .string(query.request.database),
                query.client.map { .string($0) } ?? Constant(nullOf: .string),
                .timestamp(Self.milliseconds(query.arrivedAt)),
                IntervalValue(
                    Interval(nanoseconds: Self.milliseconds(query.elapsedNanoseconds))
                ).constant,
                .string(state.rawValue), .string(query.text),
            ]
            for (index, value) in row.enumerated() { builders[index].append(value) }
        }
        try send(&builders, into: &sink)
    }

    /// Without what is less than a millisecond, which nobody reads.
    private static func milliseconds(_ nanoseconds: Int64) -> Int64 {
        nanoseconds / 1_000_000 * 1_000_000
    }

    func kill(_ syntax: Expression) throws(QueryError) {
        guard let id = try session.rowLimit(syntax, "KILL") else {
            throw QueryError(.semantic, "KILL takes a whole number", at: syntax.position)
        }
        guard engine.running.kill(Int64(id), by: session.access) else {
            throw QueryError(
                .unknownQuery, "no query \(id) is running", at: syntax.position,
                hint: "SHOW QUERIES lists those that are")
        }
    }
}
