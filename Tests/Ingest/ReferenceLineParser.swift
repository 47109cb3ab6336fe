import ApusStorage

/// The obvious slow parser: whole lines, bytes in arrays, one decision after the other. What it
/// says about a line is what `LineParser` has to say.
struct ReferenceLineParser {
    struct Refused: Error {}

    var rows: [String] = []
    var refusedLines: [Int] = []
    private var line = 0

    static func parse(_ input: [UInt8]) -> ReferenceLineParser {
        var parser = ReferenceLineParser()
        for line in split(input) {
            parser.line += 1
            var text = line
            if text.last == 0x0D { text.removeLast() }
            do {
                if let row = try parseLine(text) { parser.rows.append("\(parser.line) \(row)") }
            } catch {
                parser.refusedLines.append(parser.line)
            }
        }
        return parser
    }

    /// Splits at newlines outside strings; a last empty line is none.
    static func split(_ input: [UInt8]) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var line: [UInt8] = []
        var isInFields = false
        var isString = false
        var isComment = false
        var isEscaped = false
        for byte in input {
            let character = Character(Unicode.Scalar(byte))
            if byte == 0x0A, !isString {
                lines.append(line)
                (line, isInFields, isComment, isEscaped) = ([], false, false, false)
                continue
            }
            let isFirst = line.allSatisfy { $0 == 0x20 }
            if isString {
                if isEscaped {
                    isEscaped = false
                } else if character == "\\" {
                    isEscaped = true
                } else if character == "\"" {
                    isString = false
                }
            } else if !isComment {
                if isFirst, character == "#" { isComment = true }
                if !isFirst, character == " ", line.last != UInt8(ascii: "\\") { isInFields = true }
                if isInFields, character == "\"", line.last == UInt8(ascii: "="),
                    line.dropLast().last != UInt8(ascii: "\\")
                {
                    isString = true
                    isEscaped = false
                }
            }
            line.append(byte)
        }
        if !line.isEmpty { lines.append(line) }
        return lines
    }

    private static func parseLine(_ line: [UInt8]) throws -> String? {
        var rest = line[...]
        while rest.first == 0x20 { rest.removeFirst() }
        if rest.isEmpty || rest.first == UInt8(ascii: "#") { return nil }
        let table = try text(&rest, stops: ", ", escapes: ", ")
        guard !table.isEmpty, isName(table) else { throw Refused() }
        var tags: [[UInt8]: [UInt8]] = [:]
        while rest.first == UInt8(ascii: ",") {
            rest.removeFirst()
            let key = try text(&rest, stops: ",= ", escapes: ",= ")
            guard !key.isEmpty, isName(key), rest.first == UInt8(ascii: "=") else {
                throw Refused()
            }
            rest.removeFirst()
            let value = try text(&rest, stops: ",= ", escapes: ",= ")
            guard !value.isEmpty, rest.first != UInt8(ascii: "="), isUTF8(value) else {
                throw Refused()
            }
            guard tags.updateValue(value, forKey: key) == nil else { throw Refused() }
        }
        guard rest.first == 0x20 else { throw Refused() }
        while rest.first == 0x20 { rest.removeFirst() }
        var fields: [[UInt8]: String] = [:]
        while true {
            let key = try text(&rest, stops: ",= ", escapes: ",= ")
            guard !key.isEmpty, isName(key), rest.first == UInt8(ascii: "=") else {
                throw Refused()
            }
            rest.removeFirst()
            fields[key] = try value(&rest)
            guard rest.first == UInt8(ascii: ",") else { break }
            rest.removeFirst()
        }
        let time = try time(&rest)
        let order: ([UInt8], [UInt8]) -> Bool = { $0.lexicographicallyPrecedes($1) }
        let tagText = tags.keys.sorted(by: order)
            .map { "\(BatchRows.text($0))=\(BatchRows.text(tags[$0] ?? []))" }.joined(
                separator: ",")
        let fieldText = fields.keys.sorted(by: order)
            .map { "\(BatchRows.text($0))=\(fields[$0] ?? "")" }.joined(separator: ",")
        return "\(BatchRows.text(table)) {\(tagText)} {\(fieldText)} \(time)"
    }

    private static func text(
        _ rest: inout ArraySlice<UInt8>, stops: String, escapes: String
    ) throws -> [UInt8] {
        var result: [UInt8] = []
        while let byte = rest.first, !stops.utf8.contains(byte) {
            rest.removeFirst()
            if byte == UInt8(ascii: "\\"), let next = rest.first, escapes.utf8.contains(next) {
                result.append(next)
                rest.removeFirst()
            } else {
                result.append(byte)
            }
        }
        return result
    }

    private static func isUTF8(_ bytes: [UInt8]) -> Bool {
        String(validating: bytes, as: UTF8.self) != nil
    }

    private static func isName(_ bytes: [UInt8]) -> Bool {
        isUTF8(bytes)
            && !String(decoding: bytes, as: UTF8.self).unicodeScalars.contains {
                $0.properties.generalCategory == .control
            }
    }

    private static func value(_ rest: inout ArraySlice<UInt8>) throws -> String {
        if rest.first == UInt8(ascii: "\"") { return try string(&rest) }
        let token = BatchRows.text(rest.prefix { $0 != 0x20 && $0 != UInt8(ascii: ",") })
        rest = rest.dropFirst(rest.prefix { $0 != 0x20 && $0 != UInt8(ascii: ",") }.count)
        if ["t", "T", "true", "True", "TRUE"].contains(token) { return "true" }
        if ["f", "F", "false", "False", "FALSE"].contains(token) { return "false" }
        let digits = token.drop { $0 == "-" }
        let isDecimal = digits.dropLast().utf8.allSatisfy { (0x30...0x39).contains($0) }
        if token.hasSuffix("i") {
            guard isDecimal, let number = Int64(token.dropLast()) else { throw Refused() }
            return "i\(number)"
        }
        if token.hasSuffix("u") {
            guard isDecimal, !token.hasPrefix("-"), let number = UInt64(token.dropLast()) else {
                throw Refused()
            }
            return "u\(number)"
        }
        guard token.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }),
            !token.hasPrefix("+"), !token.hasPrefix("e"), !token.hasPrefix("E"),
            token.utf8.first != nil, let number = floatValue(token), number.isFinite
        else { throw Refused() }
        return "f\(number)"
    }

    /// Swift wants a digit on both sides of the point; line protocol on one.
    private static func floatValue(_ token: String) -> Double? {
        var text = token
        let mantissa = token.split(
            maxSplits: 1, omittingEmptySubsequences: false,
            whereSeparator: { $0 == "e" || $0 == "E" })[0]
        guard mantissa.contains(where: { $0.isNumber }) else { return nil }
        if mantissa.hasSuffix(".") {
            text = mantissa + "0" + token.dropFirst(mantissa.count)
        } else if mantissa.hasPrefix(".") {
            text = "0" + token
        } else if mantissa.hasPrefix("-.") {
            text = "-0" + token.dropFirst()
        }
        return Double(text)
    }

    private static func string(_ rest: inout ArraySlice<UInt8>) throws -> String {
        rest.removeFirst()
        var result: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") {
                guard isUTF8(result),
                    rest.isEmpty || rest.first == 0x20 || rest.first == UInt8(ascii: ",")
                else { throw Refused() }
                return "\"\(BatchRows.text(result))\""
            }
            if byte == UInt8(ascii: "\\"), let next = rest.first,
                next == UInt8(ascii: "\"") || next == UInt8(ascii: "\\")
            {
                result.append(next)
                rest.removeFirst()
            } else {
                result.append(byte)
            }
        }
        throw Refused()
    }

    private static func time(_ rest: inout ArraySlice<UInt8>) throws -> Int64 {
        let words = rest.split(separator: 0x20)
        if words.isEmpty { return arrivalNanoseconds }
        let text = BatchRows.text(words[0])
        guard words.count == 1, !text.hasPrefix("+"), let time = Int64(text) else {
            throw Refused()
        }
        return time
    }
}
