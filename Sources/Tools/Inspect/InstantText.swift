// Times and spans as the inspecting tools show them.

internal import ApusQuery

package enum InstantText {
    /// `2023-11-14T22:13:20Z`, with as many digits of the second as there are.
    package static func instant(_ nanoseconds: Int64) -> String {
        TimestampText.text(nanoseconds)
    }

    /// The day alone where a time is midnight.
    package static func brief(_ nanoseconds: Int64) -> String {
        let text = instant(nanoseconds)
        return text.hasSuffix("T00:00:00Z") ? String(text.prefix { $0 != "T" }) : text
    }

    /// `1d`, `6h`, `90s`, `5ns`: the largest unit without a rest.
    package static func span(_ nanoseconds: Int64) -> String {
        let units: [(String, Int64)] = [
            ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000),
            ("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000),
        ]
        for (name, size) in units where nanoseconds != 0 && nanoseconds % size == 0 {
            return "\(nanoseconds / size)\(name)"
        }
        return "\(nanoseconds)ns"
    }
}
