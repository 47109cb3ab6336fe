// EXPLAIN: the plan as a tree of lines, what is pushed into the scan first of all.

internal import ApusStorage

/// Swallows an answer, for EXPLAIN ANALYZE.
private struct DiscardingSink: ResultSink {
    mutating func begin(_ columns: [ResultColumn]) throws(QueryError) {}
    mutating func append(_ batch: ResultBatch) throws(QueryError) {}
}

extension StatementExecution {
    mutating func explain<Sink: ResultSink>(
        _ statement: Statement, analyze: Bool, into sink: inout Sink
    ) throws(QueryError) {
        guard case .query(let query) = statement.kind else {
            throw QueryError(
                .unsupported, "EXPLAIN takes a SELECT", at: statement.position)
        }
        var lines: [String]
        if !analyze {
            let snapshot = engine.storage.snapshot(of: tables(of: query))
            lines = try planner(snapshot).plan(query).description()
        } else {
            let started = monotonicNanoseconds()
            var discard = DiscardingSink()
            let (plan, report) = try self.query(query, into: &discard)
            lines = plan.description()
            note(report)
            let microseconds = (monotonicNanoseconds() - started) / 1_000
            lines.append("")
            lines.append("rows: \(report.rowCount)")
            if let groups = report.groupCount { lines.append("groups: \(groups)") }
            if let series = report.seriesMatched { lines.append("series matched: \(series)") }
            if report.usesLastRows { lines.append("last rows: kept, no scan") }
            if report.usesPresence { lines.append("series: known from directories, no scan") }
            if report.countedRows > 0 {
                lines.append("rows counted by directories: \(report.countedRows)")
            }
            lines.append("rows scanned: \(report.counters.rowsScanned)")
            lines.append(
                "blocks: \(report.counters.blocksRead) read, "
                    + "\(report.counters.blocksSkipped) skipped, "
                    + "\(report.counters.blocksSummarized) answered from statistics")
            lines.append("bytes read: \(report.counters.bytesRead)")
            lines.append("time: \(microseconds) us")
        }
        try send(["plan"], lines.map { [$0] }, into: &sink)
    }
}

extension QueryPlan {
    /// The plan as a tree, a line a node.
    func description(indent: Int = 0) -> [String] {
        switch self {
        case .select(let plan): return PlanDescription(plan: plan).lines(indent: indent)
        case .set(let plan):
            let space = String(repeating: "  ", count: indent)
            var title = plan.kind.rawValue + (plan.isAll ? " ALL" : "")
            if !plan.sortKeys.isEmpty { title += ", sorted" }
            if let limit = plan.limit { title += ", limit \(limit)" }
            return [space + title] + plan.left.description(indent: indent + 1)
                + plan.right.description(indent: indent + 1)
        }
    }
}

struct PlanDescription {
    let plan: SelectPlan

    func lines(indent: Int) -> [String] {
        var lines: [String] = []
        var indent = indent
        func line(_ text: String) {
            lines.append(String(repeating: "  ", count: indent) + text)
        }
        if let limit = plan.limit { line("Limit \(limit)"); indent += 1 }
        if plan.offset > 0 { line("Offset \(plan.offset)"); indent += 1 }
        if !plan.sortKeys.isEmpty {
            line(plan.rowsMax.map { "Top \($0) rows by" } ?? "Sort by")
            lines[lines.count - 1] +=
                " " + plan.sortKeys.map { sortText($0) }.joined(separator: ", ")
            indent += 1
        }
        if plan.isDistinct { line("Distinct"); indent += 1 }
        if !plan.distinctOn.isEmpty { line("First row of each DISTINCT ON"); indent += 1 }
        line("Project " + plan.outputNames.joined(separator: ", "))
        indent += 1
        if plan.qualify != nil { line("Qualify"); indent += 1 }
        if !plan.windows.isEmpty { line("Window functions: \(plan.windows.count)"); indent += 1 }
        if plan.fill != nil { line("Fill empty buckets"); indent += 1 }
        if plan.having != nil { line("Having"); indent += 1 }
        if let grouping = plan.grouping {
            line(groupText(grouping))
            indent += 1
        }
        if let latest = plan.latest {
            line("Latest by " + latest.keys.map { text($0) }.joined(separator: ", "))
            indent += 1
        }
        guard let scan = plan.scan else {
            if plan.condition != nil { line("Filter"); indent += 1 }
            return lines + sourceLines(indent: indent)
        }
        line("Scan \(scan.table.database.name).\(scan.table.name)")
        indent += 1
        for detail in scanDetails(scan) { line(detail) }
        return lines
    }

    private func sourceLines(indent: Int) -> [String] {
        let space = String(repeating: "  ", count: indent)
        switch plan.source {
        case nil: return [space + "One row"]
        case .query(let inner, _): return inner.description(indent: indent)
        case .join(let join):
            let steps = join.steps.map { step in
                var text = step.asOf.map { $0.isStrict ? "lt" : "asof" } ?? "hash"
                if !step.keepsAll { text += " inner" }
                return text + " on \(step.leftKeys.count) keys"
            }
            return [space + "Join: " + steps.joined(separator: ", then ")]
                + join.inputs.flatMap { $0.description(indent: indent + 1) }
        }
    }

    private func scanDetails(_ scan: ScanPlan) -> [String] {
        var lines: [String] = []
        let range = scan.timeRange
        if range.isEmpty {
            lines.append("time: nothing")
        } else if range != .all {
            let from = range.lower == .min ? "…" : TimestampText.text(range.lower)
            let to = range.upper == .max ? "…" : TimestampText.text(range.upper)
            lines.append("time: \(from) up to \(to)")
        }
        if let predicate = scan.seriesPredicate {
            lines.append("series by index: \(text(predicate, scan))")
        }
        let fields = scan.request.fields.map { id in
            scan.schema.fields.first { $0.id == id }?.sqlName ?? "?"
        }
        if !fields.isEmpty { lines.append("fields: " + fields.joined(separator: ", ")) }
        for (slot, bound) in scan.bounds {
            guard case .field(let index) = scan.columns[slot] else { continue }
            let name = scan.schema.fields[index].sqlName
            lines.append("blocks skipped unless \(name) in \(bound.lower) … \(bound.upper)")
        }
        if !scan.filters.isEmpty { lines.append("filter: by columns, before rows are copied") }
        if scan.residual != nil { lines.append("filter: row by row") }
        if scan.request.latestOnly { lines.append("last row of each series only") }
        if let grouping = plan.latest ?? plan.grouping,
            let shape = GroupingShape(grouping, scan), shape.summaries(grouping) != nil
        {
            lines.append("statistics answer for whole blocks")
        }
        return lines
    }

    private func groupText(_ grouping: GroupingPlan) -> String {
        let aggregates = grouping.aggregates.map(\.function.rawValue).joined(separator: ", ")
        let keys = grouping.keys.map { text($0) }.joined(separator: ", ")
        if keys.isEmpty { return "Aggregate \(aggregates)" }
        return "Group by \(keys)" + (aggregates.isEmpty ? "" : ": \(aggregates)")
    }

    private func sortText(_ key: SortKey) -> String {
        var result = "column"
        if let index = plan.outputs.firstIndex(of: key.expression) {
            result = plan.outputNames[index]
        } else if plan.grouping == nil {
            result = text(key.expression)
        }
        if key.isDescending { result += " descending" }
        if key.nullsFirst != key.isDescending {
            result += key.nullsFirst ? " nulls first" : " nulls last"
        }
        return result
    }

    private func text(_ expression: BoundExpression) -> String {
        switch expression.kind {
        case .column(let slot):
            guard let scope = plan.scope, scope.used.indices.contains(slot) else { return "?" }
            return scope.name(of: scope.used[slot])
        case .bucket(let rule, let time): return "\(rule.name)(\(text(time)))"
        case .constant: return "constant"
        default: return "expression"
        }
    }

    private func text(_ predicate: SeriesPredicate, _ scan: ScanPlan) -> String {
        switch predicate {
        case .leaf(let leaf):
            return (leaf.wantsFalse ? "NOT " : "")
                + "condition on \(scan.schema.tags[leaf.tag].sqlName)"
        case .and(let parts): return parts.map { text($0, scan) }.joined(separator: " AND ")
        case .or(let parts):
            return "(" + parts.map { text($0, scan) }.joined(separator: " OR ") + ")"
        }
    }
}
