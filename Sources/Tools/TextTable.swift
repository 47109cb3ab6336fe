// Columns of text under headings, as wide as the terminal at most.

/// Rows of cells. Numbers stand right; where the width doesn't do, the last column is cut, then
/// whichever is widest.
package struct TextTable: Sendable {
    package enum Alignment: Sendable { case left, right }

    package var headings: [String]
    package var alignments: [Alignment]
    package private(set) var rows: [[String]] = []

    private static let gap = 2
    private static let columnWidthMin = 6

    /// - Parameter columns: A heading that begins with `>` stands right, and its column with it.
    package init(_ columns: [String]) {
        headings = columns.map { $0.hasPrefix(">") ? String($0.dropFirst()) : $0 }
        alignments = columns.map { $0.hasPrefix(">") ? .right : .left }
    }

    package mutating func append(_ cells: [String]) {
        // Names from a file must not move a terminal's cursor.
        rows.append(cells.prefix(headings.count).map(DisplayWidth.printable))
    }

    /// The lines, without ends of lines.
    package func lines(width: Int, indent: Int = 0) -> [String] {
        var widths = headings.map { DisplayWidth.columns(of: $0) }
        for row in rows {
            for (index, cell) in row.enumerated() {
                widths[index] = max(widths[index], DisplayWidth.columns(of: cell))
            }
        }
        let room = max(20, width - indent - Self.gap * (headings.count - 1))
        var excess = widths.reduce(0, +) - room
        if excess > 0, let last = widths.indices.last {
            let cut = min(excess, max(0, widths[last] - Self.columnWidthMin))
            widths[last] -= cut
            excess -= cut
        }
        while excess > 0, let widest = widths.indices.max(by: { widths[$0] < widths[$1] }),
            widths[widest] > Self.columnWidthMin
        {
            widths[widest] -= 1
            excess -= 1
        }
        let hasHeadings = headings.contains { !$0.isEmpty }
        return ((hasHeadings ? [headings] : []) + rows).map { line($0, widths, indent) }
    }

    private func line(_ cells: [String], _ widths: [Int], _ indent: Int) -> String {
        var text = String(repeating: " ", count: indent)
        for (index, cell) in cells.enumerated() {
            let cut = DisplayWidth.cut(cell, toColumns: widths[index])
            let padding = String(
                repeating: " ", count: max(0, widths[index] - DisplayWidth.columns(of: cut)))
            if index > 0 { text += String(repeating: " ", count: Self.gap) }
            text += alignments[index] == .right ? padding + cut : cut + padding
        }
        while text.last == " " { text.removeLast() }
        return text
    }
}
