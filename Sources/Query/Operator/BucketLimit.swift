// ORDER BY a bucket of time with a LIMIT: only the buckets at one end can be in the answer.

internal import ApusStorage

/// Which parts of a range of times to group one after the other, until there are as many groups as rows
/// are wanted: groups of earlier parts come before those of later ones.
struct BucketLimit {
    /// A part holds so many times as many buckets as the one before.
    private static let growth = 4

    let rowsMax: Int
    private let isDescending: Bool
    private let origin: Int64
    private let width: Int64

    /// Nil unless the first sort key is a bucket of fixed width, the number of rows is limited, and each
    /// group becomes a row.
    init?(_ plan: SelectPlan, _ grouping: GroupingPlan, _ scan: ScanPlan) {
        guard plan.latest == nil, plan.having == nil, plan.fill == nil, plan.windows.isEmpty,
            plan.qualify == nil, !plan.isDistinct, plan.distinctOn.isEmpty,
            let rowsMax = plan.rowsMax, let sortKey = plan.sortKeys.first,
            case .column(let index) = sortKey.expression.kind, index < grouping.keys.count,
            case .bucket(let rule, let time) = grouping.keys[index].kind,
            case .column(let slot) = time.kind, scan.columns[slot] == .time,
            let (origin, width) = rule.fixed
        else { return nil }
        self.rowsMax = rowsMax
        self.origin = origin
        self.width = width
        isDescending = sortKey.isDescending
    }

    /// The parts of a range, of which times from `first` to `last` have rows, in the order of the rows
    /// wanted. Each ends where a bucket does.
    func parts(of range: TimeRange, first: Int64, last: Int64) -> [TimeRange] {
        let lower = max(range.lower, first)
        let upper = min(range.upper, last == .max ? .max : last + 1)
        var parts: [TimeRange] = []
        var rest = TimeRange(lower: lower, upper: upper)
        var buckets = max(1, rowsMax)
        while !rest.isEmpty {
            let part =
                isDescending ? lastBuckets(buckets, of: rest) : firstBuckets(buckets, of: rest)
            parts.append(part)
            if isDescending { rest.upper = part.lower } else { rest.lower = part.upper }
            let (more, overflow) = buckets.multipliedReportingOverflow(by: Self.growth)
            buckets = overflow ? .max : more
        }
        return parts
    }

    private func lastBuckets(_ count: Int, of range: TimeRange) -> TimeRange {
        let start = TimeBucket.floor(range.upper - 1, phase: origin, width: width)
        let edge = Int128(start) - Int128(count - 1) * Int128(width)
        return TimeRange(
            lower: Int64(max(Int128(range.lower), edge)), upper: range.upper)
    }

    private func firstBuckets(_ count: Int, of range: TimeRange) -> TimeRange {
        let start = TimeBucket.floor(range.lower, phase: origin, width: width)
        let edge = Int128(start) + Int128(count) * Int128(width)
        return TimeRange(
            lower: range.lower, upper: Int64(min(Int128(range.upper), edge)))
    }
}
