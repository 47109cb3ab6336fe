// Names and texts as a statement has them.

package enum SQLText {
    package static func quoted(identifier: String) -> String {
        "\"" + identifier.replacing("\"", with: "\"\"") + "\""
    }

    package static func quoted(string: String) -> String {
        "'" + string.replacing("'", with: "''") + "'"
    }
}
