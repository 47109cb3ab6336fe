// Reads the part of TOML that ConfigurationFile.swift draws.

struct TOMLReader {
    struct Fault: Error, Equatable {
        let line: Int
        let reason: String
    }

    private let characters: [Unicode.Scalar]
    private var position = 0
    private var line = 1

    init(_ text: String) {
        // A byte order mark in front is no key's first letter.
        let scalars = Array(text.unicodeScalars)
        characters = scalars.first == "\u{FEFF}" ? Array(scalars.dropFirst()) : scalars
    }

    mutating func entries() throws(Fault) -> [ConfigurationFile.Entry] {
        var entries: [ConfigurationFile.Entry] = []
        var lines: [String: Int] = [:]
        while true {
            skipBlankLines()
            guard let next = peek() else { return entries }
            if next == "[" {
                throw fault("tables like [section] are not used here: write every key by itself")
            }
            let start = line
            let key = try key()
            skipBlanks()
            if peek() == "." { throw fault("dotted keys are not used here") }
            guard take("=") else { throw fault("expected = after the key '\(key)'") }
            skipBlanks()
            let value = try value(of: key)
            if let first = lines.updateValue(start, forKey: key) {
                throw Fault(line: start, reason: "'\(key)' is there twice, first in line \(first)")
            }
            entries.append(ConfigurationFile.Entry(key: key, value: value, line: start))
            try endOfLine()
        }
    }

    // MARK: keys and values

    private mutating func key() throws(Fault) -> String {
        if peek() == "\"" || peek() == "'" { return try string() }
        let key = word()
        guard !key.isEmpty else {
            throw fault("expected a key, found '\(peek().map(String.init) ?? "")'")
        }
        return key
    }

    private mutating func value(of key: String) throws(Fault) -> ConfigurationFile.Value {
        switch peek() {
        case "\"", "'": return .string(try string())
        case "[": return .strings(try array(of: key))
        case "{": throw fault("\(key): inline tables are not used here")
        case nil, "\n", "#": throw fault("\(key): there is no value")
        default: break
        }
        var text = ""
        while let next = peek(), Self.isValueCharacter(next) {
            text.unicodeScalars.append(next)
            position += 1
        }
        switch text {
        case "true": return .boolean(true)
        case "false": return .boolean(false)
        case "":
            throw fault("\(key): expected a string, an integer, true, false or an array")
        default: return .integer(try integer(text, key))
        }
    }

    private func integer(_ text: String, _ key: String) throws(Fault) -> Int {
        let unsigned = text.hasPrefix("+") || text.hasPrefix("-") ? text.dropFirst() : text[...]
        let groups = unsigned.split(separator: "_", omittingEmptySubsequences: false)
        let isDecimal = groups.allSatisfy { group in
            !group.isEmpty && group.utf8.allSatisfy { (48...57).contains($0) }
        }
        guard isDecimal else {
            let looksLikeWord = text.utf8.contains { $0 > 57 }
            throw fault(
                looksLikeWord || unsigned.contains("/") || unsigned.contains(":")
                    ? "\(key): put texts in quotes: \"\(text)\""
                    : "\(key): '\(text)' is no whole number; put it in quotes if it is a text")
        }
        if unsigned.utf8.count > 1, unsigned.hasPrefix("0") {
            throw fault("\(key): a number does not begin with 0")
        }
        guard let number = Int(text.replacing("_", with: "")) else {
            throw fault("\(key): \(text) is too large a number")
        }
        return number
    }

    private mutating func array(of key: String) throws(Fault) -> [String] {
        position += 1
        var items: [String] = []
        while true {
            skipBlankLines()
            if take("]") { return items }
            guard peek() == "\"" || peek() == "'" else {
                throw fault(
                    peek() == nil
                        ? "\(key): the array has no ] at its end"
                        : "\(key): arrays hold strings in quotes")
            }
            items.append(try string())
            skipBlankLines()
            guard !take(",") else { continue }
            guard take("]") else { throw fault("\(key): expected , or ] after a string") }
            return items
        }
    }

    // MARK: strings

    private mutating func string() throws(Fault) -> String {
        guard let quote = peek() else { throw fault("there is no string") }
        if peek(1) == quote, peek(2) == quote {
            throw fault("strings over several lines are not used here")
        }
        position += 1
        var text = ""
        while let next = peek() {
            position += 1
            if next == quote { return text }
            if next == "\\", quote == "\"" {
                text.unicodeScalars.append(try escaped())
            } else if next == "\n" || (next.value < 0x20 && next != "\t") || next.value == 0x7F {
                position -= 1
                break
            } else {
                text.unicodeScalars.append(next)
            }
        }
        throw fault("the string has no \(quote) at its end")
    }

    private mutating func escaped() throws(Fault) -> Unicode.Scalar {
        guard let letter = peek() else { throw fault("the string has no \" at its end") }
        position += 1
        switch letter {
        case "\"", "\\": return letter
        case "b": return "\u{08}"
        case "t": return "\t"
        case "n": return "\n"
        case "f": return "\u{0C}"
        case "r": return "\r"
        case "u": return try scalar(digitCount: 4)
        case "U": return try scalar(digitCount: 8)
        default:
            throw fault("\\\(letter) is no escape; write \\\\ for a backslash, or use '…'")
        }
    }

    private mutating func scalar(digitCount: Int) throws(Fault) -> Unicode.Scalar {
        var digits = ""
        while digits.utf8.count < digitCount, let next = peek(), next.properties.isASCIIHexDigit {
            digits.unicodeScalars.append(next)
            position += 1
        }
        guard digits.utf8.count == digitCount, let number = UInt32(digits, radix: 16),
            let scalar = Unicode.Scalar(number)
        else { throw fault("\\u and \\U need \(digitCount) hexadecimal digits of a character") }
        return scalar
    }

    // MARK: characters

    private func peek(_ ahead: Int = 0) -> Unicode.Scalar? {
        position + ahead < characters.count ? characters[position + ahead] : nil
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek() == character else { return false }
        position += 1
        return true
    }

    /// The letters of a bare key.
    private mutating func word() -> String {
        var text = ""
        while let next = peek(), next == "-" || next == "_" || Self.isLetterOrDigit(next) {
            text.unicodeScalars.append(next)
            position += 1
        }
        return text
    }

    private static func isLetterOrDigit(_ character: Unicode.Scalar) -> Bool {
        switch character {
        case "a"..."z", "A"..."Z", "0"..."9": true
        default: false
        }
    }

    /// Whatever could be meant as a value, so that the message shows all of it.
    private static func isValueCharacter(_ character: Unicode.Scalar) -> Bool {
        switch character {
        case " ", "\t", "\r", "\n", "#", ",", "]", "[", "{", "}", "\"", "'": false
        default: true
        }
    }

    private mutating func skipBlanks() {
        while peek() == " " || peek() == "\t" { position += 1 }
    }

    /// Blanks, comments and line ends.
    private mutating func skipBlankLines() {
        while true {
            skipBlanks()
            if peek() == "#" { skipComment() }
            if peek() == "\r", peek(1) == "\n" { position += 1 }
            guard take("\n") else { return }
            line += 1
        }
    }

    private mutating func skipComment() {
        while let next = peek(), next != "\n" {
            if next == "\r", peek(1) == "\n" { return }
            position += 1
        }
    }

    private mutating func endOfLine() throws(Fault) {
        skipBlanks()
        if peek() == "#" { skipComment() }
        if peek() == "\r", peek(1) == "\n" { position += 1 }
        guard let next = peek() else { return }
        guard take("\n") else { throw fault("expected the end of the line, found '\(next)'") }
        line += 1
    }

    private func fault(_ reason: String) -> Fault { Fault(line: line, reason: reason) }
}
