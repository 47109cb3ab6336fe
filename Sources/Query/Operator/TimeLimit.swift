// ORDER BY time with a LIMIT: what one thread knows of the rows that can still matter, for all.

internal import ApusStorage
internal import Synchronization

/// The time behind which no row can be among those wanted. Shared by the threads of a scan.
///
/// Partitions are scanned from the end that the order asks for. A thread that holds as many rows as
/// are wanted tells the time of the worst of them, and whatever lies wholly behind is not read.
final class TimeLimit: Sendable {
    let isDescending: Bool
    private let bound: Atomic<Int64>

    /// Nil unless the first sort key is the column `time` and the number of rows is limited.
    init?(_ plan: SelectPlan, _ scan: ScanPlan) {
        guard plan.rowsMax != nil, let key = plan.sortKeys.first,
            case .column(let slot) = key.expression.kind, scan.columns[slot] == .time
        else { return nil }
        isDescending = key.isDescending
        bound = Atomic(key.isDescending ? .min : .max)
    }

    /// Rows of this time are the worst that one thread keeps.
    func tighten(to time: Int64) {
        // The line is every thread's: it is written only where something changes.
        let known = bound.load(ordering: .relaxed)
        guard isDescending ? time > known : time < known else { return }
        if isDescending {
            bound.max(time, ordering: .relaxed)
        } else {
            bound.min(time, ordering: .relaxed)
        }
    }

    /// Which of some rows in order of time can be among those wanted.
    ///
    /// Safe: `times` has `count`.
    func rows(_ times: UnsafePointer<Int64>, count: Int) -> Range<Int> {
        let time = bound.load(ordering: .relaxed)
        // The first row at or behind the bound, or the first behind it.
        var (low, high) = (0, count)
        while low < high {
            let middle = (low &+ high) &>> 1
            let isBefore = isDescending ? times[middle] < time : times[middle] <= time
            if isBefore { low = middle &+ 1 } else { high = middle }
        }
        return isDescending ? low..<count : 0..<low
    }

    /// What of a range of times can be among those wanted; nil if nothing can.
    func part(of range: TimeRange) -> TimeRange? {
        let time = bound.load(ordering: .relaxed)
        let open =
            isDescending
            ? TimeRange(lower: time, upper: .max)
            : TimeRange(lower: .min, upper: time == .max ? .max : time + 1)
        let part = range.intersection(open)
        return part.isEmpty ? nil : part
    }
}
