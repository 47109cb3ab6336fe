// The log of slow statements: a line each, at the level `warning`, and a counter in `/metrics`.
//
//     slow query: id=17 duration_ms=5123.456 waited_ms=0.012 database="default"
//         client="127.0.0.1:53124" rows=12 bytes=345 error=timeout query="SELECT …"      (one line)

internal import ApusQuery
internal import Logging

extension ServerContext {
    /// Takes note of a statement that is at its end, if it took longer than `--slow-query`.
    ///
    /// - Parameters:
    ///   - rows: Those of its answer, as far as they were made.
    ///   - bytes: The answer's, as they were sent.
    func logIfSlow(_ query: RunningQuery, rows: Int, bytes: Int, _ error: QueryError?) {
        let elapsed = query.elapsedNanoseconds
        guard let limit = options.slowQueryNanoseconds, elapsed > limit else { return }
        counters.slowQueryEnded()
        var words = [
            "id=\(query.id)", "duration_ms=\(SlowQueryText.milliseconds(elapsed))",
            "waited_ms=\(SlowQueryText.milliseconds(query.waitedNanoseconds))",
            "database=\(SlowQueryText.quoted(query.request.database))",
        ]
        if let client = query.client { words.append("client=\(SlowQueryText.quoted(client))") }
        words += ["rows=\(rows)", "bytes=\(bytes)"]
        if let error { words.append("error=\(error.code.rawValue)") }
        words.append("query=\(SlowQueryText.quoted(query.text))")
        logger.warning("slow query: \(words.joined(separator: " "))")
    }
}

package enum SlowQueryText {
    /// With three decimals.
    static func milliseconds(_ nanoseconds: Int64) -> String {
        let microseconds = max(0, nanoseconds) / 1_000
        let decimals = String(1_000 + microseconds % 1_000).dropFirst()
        return "\(microseconds / 1_000).\(decimals)"
    }

    /// A text in quotes that stays on its line and commands no terminal, whatever is in it.
    package static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += #"\""#
            case "\\": result += #"\\"#
            case "\n": result += #"\n"#
            case "\r": result += #"\r"#
            case "\t": result += #"\t"#
            default:
                switch scalar.properties.generalCategory {
                case .control, .format, .lineSeparator, .paragraphSeparator:
                    result += #"\u{"# + String(scalar.value, radix: 16) + "}"
                default: result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }
}
