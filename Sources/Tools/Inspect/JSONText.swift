// JSON as the tools print it: members in the order given, numbers exact.

package indirect enum JSONText: Sendable {
    case null
    case boolean(Bool)
    case integer(Int)
    /// For what may pass an Int, and is a number all the same.
    case unsigned(UInt64)
    /// Rounded to so many decimals.
    case decimal(Double, Int)
    case string(String)
    case array([JSONText])
    case object([(name: String, value: JSONText)])

    /// The whole value, indented by two spaces a level.
    package var text: String {
        var text = ""
        append(to: &text, indent: 0)
        return text
    }

    private func append(to text: inout String, indent: Int) {
        switch self {
        case .null: text += "null"
        case .boolean(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .unsigned(let value): text += String(value)
        case .decimal(let value, let decimals):
            text += value.isFinite ? Quantity.fixed(value, decimals) : "null"
        case .string(let value): Self.quote(value, to: &text)
        case .array(let values):
            Self.list("[", "]", values.count, indent, &text) { index, text in
                values[index].append(to: &text, indent: indent + 1)
            }
        case .object(let members):
            Self.list("{", "}", members.count, indent, &text) { index, text in
                Self.quote(members[index].name, to: &text)
                text += ": "
                members[index].value.append(to: &text, indent: indent + 1)
            }
        }
    }

    private static func list(
        _ start: String, _ end: String, _ count: Int, _ indent: Int, _ text: inout String,
        _ append: (Int, inout String) -> Void
    ) {
        text += start
        for index in 0..<count {
            text += index == 0 ? "\n" : ",\n"
            text += String(repeating: "  ", count: indent + 1)
            append(index, &text)
        }
        if count > 0 { text += "\n" + String(repeating: "  ", count: indent) }
        text += end
    }

    private static func quote(_ value: String, to text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\t": text += "\\t"
            case "\r": text += "\\r"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
