// A statement's error as a person reads it, with the place pointed at.
//
//     error: no column `hots` in `cpu`
//     LINE 2: WHERE hots = 'a'
//                   ^
//     hint: did you mean `host`?

package enum ErrorReport {
    /// Code points of the line that are shown before and behind the place.
    private static let contextMax = 60

    package static func text(_ error: StatementError, statement: String) -> String {
        var lines = ["error: \(DisplayWidth.printable(error.message))"]
        if let line = error.line, let column = error.column {
            lines += excerpt(of: statement, line: line, column: column)
        }
        if let hint = error.hint { lines.append("hint: \(DisplayWidth.printable(hint))") }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func excerpt(of statement: String, line: Int, column: Int) -> [String] {
        let lines = statement.unicodeScalars.split(
            separator: "\n", omittingEmptySubsequences: false)
        guard line >= 1, line <= lines.count, column >= 1 else { return [] }
        let scalars = Array(lines[line - 1])
        guard column <= scalars.count + 1 else { return [] }
        let start = max(0, column - 1 - contextMax)
        let end = min(scalars.count, column - 1 + contextMax)
        func shown(_ range: Range<Int>) -> String {
            var text = String.UnicodeScalarView()
            text.append(contentsOf: scalars[range].map { $0 == "\t" ? " " : $0 })
            return DisplayWidth.printable(String(text))
        }
        let label = "LINE \(line): " + (start > 0 ? "…" : "")
        let before = label + shown(start..<(column - 1))
        let behind = shown((column - 1)..<end) + (end < scalars.count ? "…" : "")
        let blanks = String(repeating: " ", count: DisplayWidth.columns(of: before))
        return [before + behind, blanks + "^"]
    }
}
