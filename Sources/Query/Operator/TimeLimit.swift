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

    /// Whether no row from `first` to `last`, both included, can be among those wanted.
    func excludes(first: Int64, last: Int64) -> Bool {
        let time = bound.load(ordering: .relaxed)
        return isDescending ? last < time : first > time
    }
}
