// How many columns of a terminal a text takes, and how it is cut and made harmless.

package enum DisplayWidth {
    /// Ranges of code points that take two columns: East Asian wide and fullwidth, and emoji. Rough
    /// on purpose: terminals differ in the rest.
    private static let wideRanges: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x231A...0x231B, 0x2329...0x232A, 0x23E9...0x23EC, 0x2E80...0x303E,
        0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF, 0xA960...0xA97F,
        0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6,
        0x1F300...0x1F64F, 0x1F680...0x1F6FF, 0x1F900...0x1F9FF, 0x20000...0x3FFFD,
    ]

    package static func columns(of character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first else { return 0 }
        let code = scalar.value
        if code < 0x300 { return code < 0x20 || (0x7F..<0xA0).contains(code) ? 0 : 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: return 0
        default: break
        }
        if character.unicodeScalars.dropFirst().contains(where: { $0.value == 0xFE0F }) { return 2 }
        return wideRanges.contains { $0.contains(code) } ? 2 : 1
    }

    package static func columns(of text: some StringProtocol) -> Int {
        if text.utf8.allSatisfy({ $0 &- 0x20 < 0x5F }) { return text.utf8.count }
        return text.reduce(0) { $0 + columns(of: $1) }
    }

    /// At most so many columns, the last of them `…` if something was left out.
    package static func cut(_ text: String, toColumns columnsMax: Int) -> String {
        if columns(of: text) <= columnsMax { return text }
        var (result, used) = ("", 0)
        for character in text {
            let width = columns(of: character)
            guard used + width < columnsMax else { break }
            result.append(character)
            used += width
        }
        return columnsMax > 0 ? result + "…" : ""
    }

    /// The same with what was left out in the middle: names often differ at their ends.
    package static func cutMiddle(_ text: String, toColumns columnsMax: Int) -> String {
        if columns(of: text) <= columnsMax { return text }
        let end = String(String(text.reversed()).prefix((columnsMax - 1) / 2).reversed())
        return cut(text, toColumns: columnsMax - columns(of: end)) + end
    }

    /// Text for one cell: what could move the cursor, or command the terminal, is spelled out.
    package static func printable(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 &- 0x20 < 0x5F }) { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0A: result += "\\n"
            case 0x0D: result += "\\r"
            case 0x09: result += "\\t"
            case 0..<0x20, 0x7F..<0xA0, 0x202A...0x202E, 0x2066...0x2069, 0x2028...0x2029:
                let hex = String(scalar.value, radix: 16)
                result +=
                    scalar.value < 0x100 ? (hex.count < 2 ? "\\x0" : "\\x") + hex : "\\u" + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
