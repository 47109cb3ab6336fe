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

    /// What draws it over an older picture, or below everything if there is none.
    package func drawing(over old: LinePicture?) -> String {
        if let old, let added = addition(to: old) { return added }
        let up = old?.cursorRow ?? 0
        var output = up > 0 ? "\u{1B}[\(up)A" : ""
        output += "\r\u{1B}[J" + rows.joined(separator: "\r\n")
        if cursorRow >= rows.count { output += "\r\n" }
        let lastRow = max(rows.count - 1, cursorRow)
        if lastRow > cursorRow { output += "\u{1B}[\(lastRow - cursorRow)A" }
        output += "\r"
        if cursorColumn > 0 { output += "\u{1B}[\(cursorColumn)C" }
        return output
    }

    /// What was typed, if it was typed at the end of the last row: nothing else has to move.
    private func addition(to old: LinePicture) -> String? {
        guard rows.count == old.rows.count, rows.dropLast() == old.rows.dropLast(),
            let last = rows.last, let oldLast = old.rows.last,
            last.hasPrefix(oldLast), cursorRow == rows.count - 1, old.cursorRow == cursorRow,
            cursorColumn == DisplayWidth.columns(of: last),
            old.cursorColumn == DisplayWidth.columns(of: oldLast)
        else { return nil }
        return String(last.dropFirst(oldLast.count))
    }

    /// What moves from the cursor to the row below the text.
    package var leaving: String {
        let below = rows.count - 1 - cursorRow
        return (below > 0 ? "\u{1B}[\(below)B" : "") + "\r\n"
    }
}
