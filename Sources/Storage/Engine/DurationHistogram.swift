internal import Synchronization

/// Counts durations by size, as Prometheus' histograms do. Any thread.
final class DurationHistogram: Sendable {
    private let state = Mutex(DurationCounts())

    func record(nanoseconds: Int64) {
        state.withLock { counts in
            let duration = max(0, nanoseconds)
            let bound = DurationCounts.boundsNanoseconds.firstIndex { duration <= $0 }
            counts.counts[bound ?? DurationCounts.boundsNanoseconds.count] += 1
            counts.sumNanoseconds += Int(duration)
        }
    }

    var counts: DurationCounts { state.withLock { $0 } }
}

package struct DurationCounts: Sendable, Equatable {
    /// From 0.1 ms to a minute.
    package static let boundsNanoseconds: [Int64] =
        [
            100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000,
            50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000,
            5_000_000_000, 10_000_000_000, 30_000_000_000, 60_000_000_000,
        ]

    /// How many were at most as long as each bound, but longer than the one before; then the rest.
    package var counts = [Int](repeating: 0, count: boundsNanoseconds.count + 1)
    package var sumNanoseconds = 0

    package var count: Int { counts.reduce(0, +) }

    package init() {}
}
