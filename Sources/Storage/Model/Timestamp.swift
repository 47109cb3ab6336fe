/// A point in time: nanoseconds since 1970-01-01T00:00:00 UTC, without leap seconds.
///
/// Columns hold raw `Int64` nanoseconds; this type is for single times that cross an interface.
public struct Timestamp: Hashable, Comparable, Sendable {
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}

/// A half-open range of times, in nanoseconds since 1970 UTC.
///
/// `upper` is exclusive, so the largest representable instant can only be reached by `all`, which
/// readers treat as unbounded on both sides.
package struct TimeRange: Hashable, Sendable {
    package var lower: Int64
    package var upper: Int64

    package init(lower: Int64, upper: Int64) {
        self.lower = lower
        self.upper = upper
    }

    package static let all = TimeRange(lower: .min, upper: .max)

    package var isEmpty: Bool { lower >= upper }

    package func contains(_ nanoseconds: Int64) -> Bool {
        nanoseconds >= lower && (nanoseconds < upper || upper == .max)
    }

    /// Whether a closed range of times shares an instant with this one.
    package func overlaps(first: Int64, last: Int64) -> Bool {
        last >= lower && (first < upper || upper == .max)
    }

    /// Whether a closed range of times lies wholly inside this one.
    package func covers(first: Int64, last: Int64) -> Bool {
        first >= lower && (last < upper || upper == .max)
    }

    package func intersection(_ other: TimeRange) -> TimeRange {
        TimeRange(lower: Swift.max(lower, other.lower), upper: Swift.min(upper, other.upper))
    }
}
