// The arguments of an aggregate over a frame: evaluated once, and handed on by runs of rows of a group.

internal import ApusStorage

/// Neighbouring rows of one group.
struct GroupRun {
    var start: Int
    var end: Int
    var group: Int
}

extension Accumulator {
    /// Adds a frame's rows; `slice` as `AggregateRows` has it.
    mutating func add(
        _ frame: Frame, _ runs: [GroupRun], times: [UInt64]?, rowSeries: [UInt32], slice: Int
    ) throws(QueryError) {
        var mask: [UInt8]?
        if let filter = call.filter { mask = trueMask(try filter.evaluate(frame)).mask }
        guard !call.arguments.isEmpty else {
            for run in runs {
                var rows = run.end - run.start
                if let mask { rows = mask[run.start..<run.end].reduce(0) { $0 + Int($1) } }
                addRows(run.group, rows)
            }
            return
        }
        var vectors = try evaluateAll(call.arguments, frame)
        // A tag is the same in all rows of a slice: once is enough where it makes no difference.
        let isOnce =
            mask == nil && (call.isDistinct || call.function.isIdempotent)
            && vectors.allSatisfy { $0.isConstant }
        if !isOnce {
            for index in vectors.indices where vectors[index].isConstant {
                vectors[index] = vectors[index].expanded()
            }
        }
        if let mask {
            for row in 0..<vectors[0].count where mask[row] == 0 { vectors[0].setNull(row) }
        }
        // Safe: the arrays live through the closures; runs lie within the frame's rows, and of one value
        // that stands for all rows only the first is read.
        Self.withRuns(vectors) { columns in
            (times ?? []).withUnsafeBytes { times in
                let clock = times.bindMemory(to: Int64.self).baseAddress
                guard let base = columns.baseAddress else { return }
                for run in runs {
                    let (start, end) = isOnce ? (0, 1) : (run.start, run.end)
                    add(
                        run.group,
                        AggregateRows(
                            values: base[0].slice(start, end), others: base + 1, start: start,
                            times: clock.map { $0 + run.start },
                            series: rowSeries.isEmpty ? frame.series : rowSeries[run.start],
                            slice: slice))
                }
            }
        }
    }

    /// Lends vectors, which have a slot for each row, as runs; not at all if there are no rows.
    // Safe: the runs are good during the call, in which the vectors are held.
    static func withRuns(
        _ vectors: [Vector], _ body: (UnsafeBufferPointer<ColumnRun>) -> Void
    ) {
        func lend(_ index: Int, _ runs: [ColumnRun]) {
            guard index < vectors.count else {
                runs.withUnsafeBufferPointer(body)
                return
            }
            vectors[index].withRun { lend(index + 1, runs + [$0]) }
        }
        if vectors.count > 1 {
            lend(0, [])
        } else {
            vectors.first?.withRun { run in
                withUnsafePointer(to: run) { body(.init(start: $0, count: 1)) }
            }
        }
    }
}

extension Vector {
    /// Lends the slots as a run; not at all if there are none.
    // Safe: the run is good during the call, in which the arrays are held.
    @inline(__always)
    fileprivate func withRun(_ body: (ColumnRun) -> Void) {
        values.withUnsafeBufferPointer { values in
            validity.withUnsafeBufferPointer { validity in
                bytes.withUnsafeBufferPointer { bytes in
                    guard let base = values.baseAddress, !values.isEmpty else { return }
                    body(
                        ColumnRun(
                            values: base,
                            validity: validity.isEmpty ? nil : validity.baseAddress,
                            count: values.count, stringBytes: bytes.baseAddress))
                }
            }
        }
    }
}
