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
        var words = [Quantity.things(counts.lines, "line")]
        if counts.countsAreKnown {
            words.append(Quantity.things(counts.rows, "row"))
            words.append(Quantity.things(counts.values, "value"))
        } else {
            words.append("rows and values not told by the server")
        }
        words.append("\(Quantity.count(counts.rejected)) rejected")
        words.append("\(Quantity.fixed(report.seconds, 2)) s")
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
        if others > 0, !counts.rejections.isEmpty {
            lines.append("… and \(Quantity.count(others)) more")
        }
        if counts.rejections.contains(where: { $0.reason == "missing timestamp" }) {
            lines.append(
                "lines without a timestamp would be new rows with every import: "
                    + "--timestamp gives all of them one")
        }
        return lines
    }

    /// What was sent and not answered yet may be stored as well.
    package static func interrupted(lineCount: Int, isStoring: Bool) -> String {
        let lines = Quantity.things(lineCount, "line")
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
        let lines = Quantity.things(counts.lines, "line")
        let rejected = Quantity.count(counts.rejected)
        let rest = counts.rejected > 0 ? ", but for \(rejected) rejected" : ""
        return "\(fault); the first \(lines) \(counts.lines == 1 ? "is" : "are") stored\(rest)"
    }

    /// `31 M`, `3.1 k`, `512`.
    package static func number(_ value: Double) -> String {
        guard value.isFinite else { return "?" }
        var rest = value
        for unit in ["", " k", " M"] {
            if rest < 999.5 {
                return Quantity.fixed(rest, unit.isEmpty || rest >= 10 ? 0 : 1) + unit
            }
            rest /= 1_000
        }
        return Quantity.fixed(rest, rest >= 10 ? 0 : 1) + " G"
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
}
