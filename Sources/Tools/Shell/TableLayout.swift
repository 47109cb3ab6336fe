// How wide the columns of a table are, so that it fits the terminal.

package struct TableLayout: Equatable, Sendable {
    /// A text is not cut shorter than this, nor is a column's name.
    private static let textColumnsMin = 8
    private static let nameColumnsMin = 6

    /// Of the columns shown, which are the first ones.
    package private(set) var widths: [Int]

    /// A column as the first rows show it.
    package struct Measure: Sendable {
        package var nameWidth: Int
        package var valueWidth: Int
        package var isText: Bool

        package init(nameWidth: Int, valueWidth: Int, isText: Bool) {
            self.nameWidth = nameWidth
            self.valueWidth = valueWidth
            self.isText = isText
        }

        var natural: Int { max(nameWidth, valueWidth, 1) }
        /// Numbers and times are never cut, only texts and names are.
        var least: Int {
            isText
                ? min(natural, TableLayout.textColumnsMin)
                : max(valueWidth, min(nameWidth, TableLayout.nameColumnsMin), 1)
        }
    }

    /// - Parameter columnsMax: of the terminal; nil for no bound.
    package init(_ measures: [Measure], columnsMax: Int?) {
        widths = measures.map(\.natural)
        guard let columnsMax, Self.total(widths) > columnsMax else { return }
        var shown = measures[...]
        while shown.count > 1, Self.total(shown.map(\.least)) > columnsMax {
            shown = shown.dropLast()
        }
        // The widest give first: the largest bound on all columns with which they fit.
        var bound = shown.map(\.natural).max() ?? 0
        repeat {
            widths = shown.map { max($0.least, min($0.natural, bound)) }
            bound -= 1
        } while bound > 0 && Self.total(widths) > columnsMax
        if widths.count == 1 { widths[0] = max(1, min(widths[0], columnsMax - 2)) }
    }

    /// A blank on both sides of each column, a bar between two.
    private static func total(_ widths: [Int]) -> Int {
        widths.reduce(0, +) + 3 * widths.count - 1
    }
}
