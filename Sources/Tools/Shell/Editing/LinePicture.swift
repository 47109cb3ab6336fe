// How a text with its prompt lies on the screen, and where the cursor is in it.

package struct LinePicture: Equatable, Sendable {
    /// Without the line break behind the last row.
    package private(set) var rows: [String] = [""]
    package private(set) var cursorRow = 0
    package private(set) var cursorColumn = 0

    /// - Parameters:
    ///   - continuation: the prompt of all lines but the first.
    ///   - columns: of the terminal; a row that is full goes on in the next.
    package init(
        prompt: String, continuation: String, text: [Character], cursor: Int, columns: Int
    ) {
        let columns = max(columns, 4)
        var column = 0
        func put(_ character: Character) {
            let width = DisplayWidth.columns(of: character)
            if column + width > columns {
                rows.append("")
                column = 0
            }
            rows[rows.count - 1].append(character)
            column += width
        }
        for character in prompt { put(character) }
        for (index, character) in text.enumerated() {
            if index == cursor { markCursor(column, columns) }
            if character == "\n" {
                rows.append("")
                column = 0
                for character in continuation { put(character) }
            } else {
                put(character)
            }
        }
        if cursor >= text.count { markCursor(column, columns) }
    }

    private mutating func markCursor(_ column: Int, _ columns: Int) {
        (cursorRow, cursorColumn) = (rows.count - 1, column)
        // Behind the last column there is no place: the cursor waits in the next row.
        if column >= columns {
            (cursorRow, cursorColumn) = (rows.count, 0)
        }
    }

    /// What draws it over a picture whose cursor was in `previousCursorRow`.
    package func drawing(previousCursorRow: Int) -> String {
        var output = previousCursorRow > 0 ? "\u{1B}[\(previousCursorRow)A" : ""
        output += "\r\u{1B}[J" + rows.joined(separator: "\r\n")
        if cursorRow >= rows.count { output += "\r\n" }
        let lastRow = max(rows.count - 1, cursorRow)
        if lastRow > cursorRow { output += "\u{1B}[\(lastRow - cursorRow)A" }
        output += "\r"
        if cursorColumn > 0 { output += "\u{1B}[\(cursorColumn)C" }
        return output
    }

    /// What moves from the cursor to the row below the text.
    package var leaving: String {
        let below = rows.count - 1 - cursorRow
        return (below > 0 ? "\u{1B}[\(below)B" : "") + "\r\n"
    }
}
