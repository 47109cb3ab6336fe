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
        guard case .select(let select) = statement.kind else {
            throw QueryError(
                .unsupported, "EXPLAIN takes a SELECT", at: statement.position)
        }
        var lines: [String]
        if !analyze {
            let plan = try SelectPlanner(engine: engine, session: session).plan(select)
            lines = PlanDescription(plan: plan, zone: session.zone).lines()
        } else {
            let started = monotonicNanoseconds()
            var discard = DiscardingSink()
            let (plan, report) = try self.select(select, into: &discard)
            lines = PlanDescription(plan: plan, zone: session.zone).lines()
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

struct PlanDescription {
    let plan: SelectPlan
    let zone: ZoneHandle

    func lines() -> [String] {
        var lines: [String] = []
        var indent = 0
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
        line("Project " + plan.outputNames.joined(separator: ", "))
        indent += 1
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
            line("One row")
            return lines
        }
        line("Scan \(scan.table.database.name).\(scan.table.name)")
        indent += 1
        for detail in scanDetails(scan) { line(detail) }
        return lines
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
