// What became of the lines so far: counted by many threads, shown by one.

internal import ApusStorage
internal import Synchronization

/// A line that was not stored, or not whole.
package struct RejectedLine: Equatable, Sendable {
    package var inputIndex: Int
    package var line: Int
    /// From 1; 0 where the whole line is meant.
    package var column: Int
    package var reason: String

    fileprivate func precedes(_ other: RejectedLine) -> Bool {
        (inputIndex, line, column) < (other.inputIndex, other.line, other.column)
    }
}

/// Counts of a run.
package struct ImportCounts: Equatable, Sendable {
    package var inputBytes = 0
    package var lines = 0
    package var rows = 0
    package var values = 0
    package var rejected = 0
    /// The first rejected lines, in order.
    package var rejections: [RejectedLine] = []
    /// Some answer didn't say how many rows it stored: `rows` and `values` are too low.
    package var countsAreKnown = true

    package init() {}
}

/// Thread-safe.
final class ImportTally: Sendable {
    static let rejectionsKeptMax = 20

    private struct State {
        var counts = ImportCounts()
        var failure: TransferFailure?
        var lastProgressNanoseconds = monotonicNanoseconds()
    }

    private let state = Mutex(State())

    var counts: ImportCounts { state.withLock { $0.counts } }
    var failure: TransferFailure? { state.withLock { $0.failure } }
    var isStopping: Bool { state.withLock { $0.failure != nil } }
    var lastProgressNanoseconds: Int64 { state.withLock { $0.lastProgressNanoseconds } }

    /// A body, or half of one, was answered. Nil counts are unknown.
    func add(
        _ body: LineBody, rows: Int?, values: Int?, rejected: Int, rejections: [RejectedLine]
    ) {
        let lines = body.lineCount
        state.withLock { state in
            state.counts.inputBytes += body.inputByteCount
            state.counts.lines += lines
            if let rows, let values {
                state.counts.rows += rows
                state.counts.values += values
            } else {
                state.counts.countsAreKnown = false
            }
            state.lastProgressNanoseconds = monotonicNanoseconds()
            state.counts.rejected += rejected
            for rejection in rejections { Self.keep(rejection, &state.counts.rejections) }
        }
    }

    /// A line that the reader refused.
    func addLongLine(inputIndex: Int, line: Int, bytesMax: Int) {
        state.withLock { state in
            state.counts.lines += 1
            state.counts.rejected += 1
            Self.keep(
                RejectedLine(
                    inputIndex: inputIndex, line: line, column: 0,
                    reason: "line longer than \(bytesMax) bytes"), &state.counts.rejections)
        }
    }

    /// The first failure counts.
    func fail(_ failure: TransferFailure) {
        state.withLock { if $0.failure == nil { $0.failure = failure } }
    }

    private static func keep(_ rejection: RejectedLine, _ kept: inout [RejectedLine]) {
        let index = kept.firstIndex { rejection.precedes($0) } ?? kept.count
        guard index < rejectionsKeptMax else { return }
        kept.insert(rejection, at: index)
        if kept.count > rejectionsKeptMax { kept.removeLast() }
    }
}
