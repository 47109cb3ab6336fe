// What conditions on tags came to, kept for the next query that asks the same: dashboards do.
//
// A tag's values and a table's series are only ever added to, and a series keeps its tags: an answer
// stays right for what it covers, and a query decides for the rest alone. Dropped tables' numbers are
// never given again, so their answers are left to age.

internal import ApusStorage
internal import Synchronization

/// The least recently used answers are dropped beyond a number of bytes. Thread-safe.
final class PredicateCache: Sendable {
    /// Values up to `codes.count` and series up to `series.capacity` are decided.
    struct Answer {
        var codes = CodeSet()
        var series = SeriesSet(capacity: 0)

        var byteCount: Int { codes.byteCount + series.words.count * 8 + 512 }
    }

    private struct Key: Hashable {
        var tableID: UInt32
        var leaf: SeriesPredicate.Leaf
    }

    private struct State {
        var answers: [Key: (answer: Answer, lastUse: UInt64)] = [:]
        var byteCount = 0
        var uses: UInt64 = 0
    }

    private static let answersMax = 1_024

    private let bytesMax: Int
    private let state = Mutex(State())

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    func has(_ leaf: SeriesPredicate.Leaf, of table: TableEntry) -> Bool {
        state.withLock { $0.answers[Key(tableID: table.id, leaf: leaf)] != nil }
    }

    func find(_ leaf: SeriesPredicate.Leaf, of table: TableEntry) -> Answer? {
        let key = Key(tableID: table.id, leaf: leaf)
        return state.withLock { state in
            state.uses += 1
            state.answers[key]?.lastUse = state.uses
            return state.answers[key]?.answer
        }
    }

    /// Keeps an answer, unless there is one that covers more.
    func store(_ answer: Answer, for leaf: SeriesPredicate.Leaf, of table: TableEntry) {
        guard answer.byteCount <= bytesMax / 4 else { return }
        let key = Key(tableID: table.id, leaf: leaf)
        state.withLock { state in
            if let known = state.answers[key]?.answer {
                guard known.series.capacity < answer.series.capacity else { return }
                state.byteCount -= known.byteCount
            }
            state.uses += 1
            state.answers[key] = (answer, state.uses)
            state.byteCount += answer.byteCount
            while state.byteCount > bytesMax || state.answers.count > Self.answersMax,
                let oldest = state.answers.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.answers[oldest.key] = nil
                state.byteCount -= oldest.value.answer.byteCount
            }
        }
    }
}
