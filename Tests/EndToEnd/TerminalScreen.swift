// What a person would see: the few commands of a terminal that the shell uses, and no others.

/// Lines without end, so that what scrolled away can be looked at too.
struct TerminalScreen {
    private let columns: Int
    private var lines: [[Character]] = [[]]
    private var row = 0
    private var column = 0
    private var undecoded: [UInt8] = []
    private var sequence: String?
    private var returnedFrom: String?
    /// How often a line was longer than the screen is wide.
    private(set) var overlongLineCount = 0
    /// What stood in a line when something else was written over it: a progress bar.
    private(set) var overwritten: [String] = []

    init(columns: Int) { self.columns = columns }

    var lineCount: Int { lines.count }

    func lines(from start: Int) -> [String] {
        lines.dropFirst(start).map { line in
            var text = String(line)
            while text.hasSuffix(" ") { text.removeLast() }
            return text
        }
    }

    var lastLine: String { lines(from: lines.count - 1).first ?? "" }

    mutating func feed(_ bytes: some Collection<UInt8>) {
        undecoded += bytes
        // The last bytes may be the start of a character.
        var end = undecoded.count
        while end > 0, undecoded.count - end < 4, undecoded[end - 1] & 0xC0 == 0x80 { end -= 1 }
        if end > 0, undecoded[end - 1] >= 0xC0 { end -= 1 } else { end = undecoded.count }
        for scalar in String(decoding: undecoded[..<end], as: UTF8.self).unicodeScalars {
            feed(scalar)
        }
        undecoded.removeFirst(end)
    }

    private mutating func feed(_ scalar: Unicode.Scalar) {
        if let begun = sequence {
            let isFinal = begun.count > 1 && (0x40...0x7E).contains(scalar.value)
            sequence = isFinal ? nil : begun + String(scalar)
            if isFinal { command(begun.dropFirst(), scalar) }
            return
        }
        if scalar != "\n", let text = returnedFrom, !text.isEmpty { overwritten.append(text) }
        returnedFrom = nil
        switch scalar {
        case "\u{1B}": sequence = "\u{1B}"
        case "\r":
            returnedFrom = String(lines[row])
            column = 0
        case "\n": moveDown()
        default:
            if column >= columns {
                overlongLineCount += 1
                column = 0
                moveDown()
            }
            while lines[row].count <= column { lines[row].append(" ") }
            lines[row][column] = Character(scalar)
            column += 1
        }
    }

    private mutating func moveDown() {
        row += 1
        if row == lines.count { lines.append([]) }
    }

    private mutating func command(_ parameters: Substring, _ final: Unicode.Scalar) {
        let count = Int(parameters.drop { $0 == "[" }) ?? 1
        switch final {
        case "A": row = max(0, row - count)
        case "B": row = min(lines.count - 1, row + count)
        case "C": column = min(columns - 1, column + count)
        case "K": lines[row] = Array(lines[row].prefix(column))
        case "J":
            lines.removeLast(lines.count - row - 1)
            lines[row] = Array(lines[row].prefix(column))
        default: break
        }
    }
}
