/// The unit that timestamps of line protocol are written in.
package enum TimePrecision: Sendable, Hashable {
    case nanoseconds, microseconds, milliseconds, seconds, minutes, hours
    /// Guesses by magnitude: at least 1e17 nanoseconds, 1e14 microseconds, 1e11 milliseconds, else
    /// seconds.
    case automatic

    /// The `precision` of `/write`; nil if there is no such unit.
    package static func v1(_ text: String) -> TimePrecision? {
        switch text {
        case "", "n", "ns": .nanoseconds
        case "u", "us", "µ", "µs": .microseconds
        case "ms": .milliseconds
        case "s": .seconds
        case "m": .minutes
        case "h": .hours
        default: nil
        }
    }

    /// The `precision` of `/api/v2/write`; nil if there is no such unit.
    package static func v2(_ text: String) -> TimePrecision? {
        switch text {
        case "", "ns": .nanoseconds
        case "us": .microseconds
        case "ms": .milliseconds
        case "s": .seconds
        default: nil
        }
    }

    /// The `precision` of `/api/v3/write_lp`; nil if there is no such unit.
    package static func v3(_ text: String) -> TimePrecision? {
        switch text {
        case "", "auto": .automatic
        case "ns", "n", "nanosecond": .nanoseconds
        case "us", "u", "microsecond": .microseconds
        case "ms", "millisecond": .milliseconds
        case "s", "second": .seconds
        default: nil
        }
    }

    /// The unit as `v3` reads it; nil for the two that it lacks.
    package var v3Text: String? {
        switch self {
        case .nanoseconds: "ns"
        case .microseconds: "us"
        case .milliseconds: "ms"
        case .seconds: "s"
        case .automatic: "auto"
        case .minutes, .hours: nil
        }
    }

    /// Nanoseconds of one unit; 1 for `automatic`, whose missing timestamps are not truncated.
    package var unitNanoseconds: Int64 {
        switch self {
        case .nanoseconds, .automatic: 1
        case .microseconds: 1_000
        case .milliseconds: 1_000_000
        case .seconds: 1_000_000_000
        case .minutes: 60_000_000_000
        case .hours: 3_600_000_000_000
        }
    }

    /// A written time in nanoseconds, or nil if these don't fit 64 bits.
    @inline(__always)
    package func scale(_ written: Int64) -> Int64? {
        var unit = unitNanoseconds
        if self == .automatic {
            let magnitude = written.magnitude
            unit =
                magnitude >= 100_000_000_000_000_000
                ? 1
                : magnitude >= 100_000_000_000_000
                    ? 1_000
                    : magnitude >= 100_000_000_000 ? 1_000_000 : 1_000_000_000
        }
        if unit == 1 { return written }
        let product = written.multipliedReportingOverflow(by: unit)
        return product.overflow ? nil : product.partialValue
    }

    /// The start of the unit that a time lies in: the timestamp of a line that has none.
    package func truncate(_ nanoseconds: Int64) -> Int64 {
        let remainder = nanoseconds % unitNanoseconds
        let down = remainder < 0 ? remainder &+ unitNanoseconds : remainder
        let start = nanoseconds.subtractingReportingOverflow(down)
        return start.overflow ? nanoseconds : start.partialValue
    }
}
