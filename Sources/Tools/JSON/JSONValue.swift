// JSON as the tools print it, and read it (JSONReading.swift): members keep their order.

/// A value of JSON. Numbers are text, so that none loses a digit.
package enum JSONValue: Sendable {
    case null
    case boolean(Bool)
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([(name: String, value: JSONValue)])

    package static func integer(_ value: some BinaryInteger) -> JSONValue {
        .number(String(value))
    }

    /// Rounded to so many decimals; null for what is no number.
    package static func decimal(_ value: Double, _ decimals: Int) -> JSONValue {
        value.isFinite ? .number(Quantity.fixed(value, decimals)) : .null
    }

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
        case .number(let digits): text += digits
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
