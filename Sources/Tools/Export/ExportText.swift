// What an export says at its end.

package enum ExportText {
    /// One line for a terminal while it runs.
    package static func progress(byteCount: Int) -> String {
        "exporting  \(ImportText.bytes(byteCount))"
    }

    /// Counts in one line, then whatever is not in the file.
    package static func summary(_ report: ExportReport) -> [String] {
        var words: [String] = []
        if report.tables > 1 { words.append(Quantity.things(report.tables, "table")) }
        words.append(Quantity.things(report.rows, "row"))
        if report.values > 0 { words.append(Quantity.things(report.values, "value")) }
        words.append(ImportText.bytes(report.bytes))
        words.append("\(Quantity.fixed(report.seconds, 2)) s")
        var lines = [words.joined(separator: ", ")]
        let omissions = report.omissions
        func omit(_ count: Int, _ what: String) {
            if count > 0 { lines.append("warning: left out: \(Quantity.count(count)) \(what)") }
        }
        omit(omissions.nonFiniteValues, "values that are NaN or infinite")
        omit(omissions.longStrings, "strings longer than 65,536 bytes")
        omit(omissions.rows, "rows without a field or with a tag that line protocol can write")
        for name in omissions.names {
            lines.append("warning: left out: \(name), a name that line protocol cannot write")
        }
        for warning in report.warnings { lines.append("warning: \(warning)") }
        return lines
    }
}
