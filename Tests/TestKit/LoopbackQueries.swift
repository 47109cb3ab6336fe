// SQL asked of a server over loopback.

package func percentEncoded(_ text: String) -> String {
    text.utf8.map { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            String(UnicodeScalar(byte))
        default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
    }.joined()
}

extension LoopbackConnection {
    /// A GET of `/sql` with the statement in `q`; `more` is what follows, like `&db=x`.
    package func sql(
        _ statement: String, _ more: String = "", headers: [String: String] = [:]
    ) throws -> HTTPAnswer {
        try request("GET", "/sql?q=\(percentEncoded(statement))\(more)", headers: headers)
    }

    /// The rows of a JSON answer, as text.
    package func rows(_ statement: String, _ more: String = "") throws -> String {
        try sql(statement, more).part(from: #""rows":"#, to: #","row_count""#)
    }
}

extension HTTPAnswer {
    /// What stands between two marks, the first of each.
    package func part(from start: String, to end: String) throws -> String {
        guard let first = text.firstRange(of: start), let last = text.firstRange(of: end) else {
            throw ClientFault("\(status) \(text.prefix(500))")
        }
        return String(text[first.upperBound..<last.lowerBound])
    }
}
