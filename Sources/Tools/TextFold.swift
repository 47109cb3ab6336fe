// Sentences on a terminal: broken between words, not wherever the line happens to end.

package enum TextFold {
    private static let indent = "  "

    /// A text as lines of so many columns at most. A word that is longer stays whole.
    ///
    /// - Parameter columnCount: nil where there is no terminal: one line.
    package static func lines(_ text: String, columnCount: Int?) -> [String] {
        guard let columnCount, text.count > columnCount else { return [text] }
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ", omittingEmptySubsequences: false) {
            if line.isEmpty {
                line = String(word)
            } else if line.count + 1 + word.count <= columnCount {
                line += " " + word
            } else {
                lines.append(line)
                line = indent + word
            }
        }
        return lines + [line]
    }
}
