// The stretch of time that a group's samples come from, for the functions that extrapolate to its ends.

internal import ApusStorage

enum SampleWindow: Hashable {
    /// The bucket of a key, as far as WHERE lets it reach.
    case bucket(key: Int, width: Int64, within: TimeRange)
    case whole(TimeRange)

    /// Nil if it isn't known: a bucket of a calendar's width, two buckets, another expression over
    /// time, or no bucket and no bounds in WHERE on both sides.
    init?(_ keys: [BoundExpression], _ scan: ScanPlan) {
        var bucket: (key: Int, width: Int64)?
        for (index, key) in keys.enumerated() {
            guard key.columnsUsed.contains(where: { scan.columns[$0] == .time }) else { continue }
            guard bucket == nil, case .bucket(let rule, let time) = key.kind,
                case .column(let slot) = time.kind, scan.columns[slot] == .time,
                let width = rule.fixed?.width
            else { return nil }
            bucket = (index, width)
        }
        if let (key, width) = bucket {
            self = .bucket(key: key, width: width, within: scan.timeRange)
        } else {
            guard scan.timeRange.lower != .min, scan.timeRange.upper != .max else { return nil }
            self = .whole(scan.timeRange)
        }
    }

    /// Each group's, of their keys as columns.
    func ranges(_ keys: [Vector], _ groupCount: Int) -> [TimeRange] {
        switch self {
        case .whole(let range): return [TimeRange](repeating: range, count: groupCount)
        case .bucket(let key, let width, let within):
            return (0..<groupCount).map { group in
                let start = Int64(bitPattern: keys[key].slot(group))
                let (end, overflow) = start.addingReportingOverflow(width)
                return TimeRange(lower: start, upper: overflow ? .max : end).intersection(within)
            }
        }
    }
}

extension GroupingPlan {
    /// Settles the window, where an aggregate wants one.
    mutating func findWindow(_ scan: ScanPlan) throws(QueryError) {
        guard let call = aggregates.first(where: { $0.isExtrapolated }) else { return }
        window = SampleWindow(keys, scan)
        guard window == nil else { return }
        throw QueryError(
            .semantic, "'prometheus' needs a window whose ends are known",
            at: call.argument?.position,
            hint: "group by one time_bucket of a fixed width, or without buckets "
                + "bound time on both sides in WHERE with constants")
    }
}
