// What an import says: a bar while it runs, a summary at its end.
//
//     ████████░░░░░░░ 53 %  1.2 of 2.3 GB  3.1 M rows/s  31 M values/s  0:12 left

package enum ImportText {
    private static let barColumnsMax = 30

    /// One line for a terminal, at most `columnCount` wide.
    ///
    /// - Parameter inputByteCount: nil if nobody knows where the input ends.
    package static func progress(
        _ counts: ImportCounts, inputByteCount: Int?, seconds: Double, columnCount: Int
    ) -> String {
        var words: [String] = []
        var share: Double?
        if let inputByteCount, inputByteCount > 0 {
            let done = min(1, Double(counts.inputBytes) / Double(inputByteCount))
            share = done
            words.append("\(Int(done * 100)) %")
            words.append("\(bytes(counts.inputBytes)) of \(bytes(inputByteCount))")
        } else {
            words.append(bytes(counts.inputBytes))
        }
        if seconds > 0, counts.countsAreKnown {
            words.append("\(number(Double(counts.rows) / seconds)) rows/s")
            words.append("\(number(Double(counts.values) / seconds)) values/s")
        }
        if let share, share > 0.001, seconds > 0.5 {
            words.append("\(duration(seconds / share - seconds)) left")
        }
        var text = words.joined(separator: "  ")
        if let share {
            let room = min(barColumnsMax, columnCount - text.count - 1)
            if room >= 5 {
                let full = Int(share * Double(room))
                text =
                    String(repeating: "█", count: full)
                    + String(repeating: "░", count: room - full) + " " + text
            }
        }
        return String(text.prefix(max(0, columnCount)))
    }

    /// The report for a person: counts in one line, then the first rejected lines.
    package static func summary(_ report: ImportReport, inputs: [String]) -> [String] {
        let counts = report.counts
        var words = [grouped(counts.lines) + (counts.lines == 1 ? " line" : " lines")]
        if counts.countsAreKnown {
            words.append(grouped(counts.rows) + (counts.rows == 1 ? " row" : " rows"))
            words.append(grouped(counts.values) + (counts.values == 1 ? " value" : " values"))
        } else {
            words.append("rows and values not told by the server")
        }
        words.append("\(grouped(counts.rejected)) rejected")
        words.append("\(decimal(report.seconds, digits: 2)) s")
        if counts.countsAreKnown, report.seconds > 0 {
            words.append("\(number(Double(counts.values) / report.seconds)) values/s")
        }
        var lines = [words.joined(separator: ", ")]
        for rejection in counts.rejections {
            let column = rejection.column > 0 ? ":\(rejection.column)" : ""
            let input = Inputs.displayName(
                rejection.inputIndex < inputs.count ? inputs[rejection.inputIndex] : "")
            lines.append("\(input):\(rejection.line)\(column): \(rejection.reason)")
        }
        let others = counts.rejected - counts.rejections.count
        if others > 0, !counts.rejections.isEmpty { lines.append("… and \(grouped(others)) more") }
        if counts.rejections.contains(where: { $0.reason == "missing timestamp" }) {
            lines.append(
                "lines without a timestamp would be new rows with every import: "
                    + "--timestamp gives all of them one")
        }
        return lines
    }

    /// What was sent and not answered yet may be stored as well.
    package static func interrupted(lineCount: Int, isStoring: Bool) -> String {
        let lines = grouped(lineCount) + (lineCount == 1 ? " line" : " lines")
        return isStoring
            ? "interrupted after \(lines), which are stored; the same import again does the rest"
            : "interrupted after \(lines); nothing was to be stored"
    }

    /// Why an input could not be read on, and what became of the lines before.
    package static func brokenOff(
        _ fault: String, counts: ImportCounts, isStoring: Bool
    ) -> String {
        guard isStoring else { return fault }
        guard counts.lines > 0 else { return "\(fault); nothing is stored" }
        let lines = grouped(counts.lines) + (counts.lines == 1 ? " line" : " lines")
        let rest = counts.rejected > 0 ? ", but for \(grouped(counts.rejected)) rejected" : ""
        return "\(fault); the first \(lines) \(counts.lines == 1 ? "is" : "are") stored\(rest)"
    }

    /// `1234567` as `1,234,567`.
    package static func grouped(_ value: Int) -> String {
        var groups: [Substring] = []
        var digits = Substring(String(value.magnitude))
        while digits.count > 3 {
            groups.insert(digits.suffix(3), at: 0)
            digits = digits.dropLast(3)
        }
        groups.insert(digits, at: 0)
        return (value < 0 ? "-" : "") + groups.joined(separator: ",")
    }

    /// `31 M`, `3.1 k`, `512`.
    package static func number(_ value: Double) -> String {
        guard value.isFinite else { return "?" }
        var rest = value
        for unit in ["", " k", " M"] {
            if rest < 999.5 {
                return decimal(rest, digits: unit.isEmpty || rest >= 10 ? 0 : 1) + unit
            }
            rest /= 1_000
        }
        return decimal(rest, digits: rest >= 10 ? 0 : 1) + " G"
    }

    static func bytes(_ count: Int) -> String {
        number(Double(count)) + (count < 1_000 ? " B" : "B")
    }

    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 360_000 else { return "long" }
        let whole = Int(max(0, seconds).rounded())
        let (hours, minutes, rest) = (whole / 3_600, whole / 60 % 60, whole % 60)
        func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return hours > 0
            ? "\(hours):\(padded(minutes)):\(padded(rest))" : "\(minutes):\(padded(rest))"
    }

    /// A number with so many digits behind the point.
    static func decimal(_ value: Double, digits: Int) -> String {
        var factor = 1.0
        for _ in 0..<digits { factor *= 10 }
        let scaled = (max(0, value) * factor).rounded()
        guard scaled < 1e15 else { return "?" }
        let whole = Int(scaled) / Int(factor)
        guard digits > 0 else { return "\(whole)" }
        let rest = String(Int(scaled) % Int(factor))
        return "\(whole)." + String(repeating: "0", count: digits - rest.count) + rest
    }
}
