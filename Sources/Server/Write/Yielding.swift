internal import ApusStorage
internal import NIOCore

/// A backfill beside live ingest waits before it sends more: for a multiple of the time that its last batch
/// took, so that it has a small share of a busy machine, and little to wait for on an idle one.
enum Yielding {
    private static let share: Int64 = 3
    private static let pauseMax = TimeAmount.seconds(1)

    static func pause(
        after result: Result<WriteReceipt, StorageError>, _ took: TimeAmount
    ) -> TimeAmount {
        guard case .success(let receipt) = result, receipt.shouldYield else { return .zero }
        return min(pauseMax, took * share)
    }
}
