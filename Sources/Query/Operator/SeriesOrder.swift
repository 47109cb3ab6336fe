// Which of two series comes first.

internal import ApusStorage

/// Breaks ties between rows of equal time: the greatest series key wins.
final class SeriesOrder: Sendable {
    private let table: TableEntry
    private let series: SeriesSnapshot
    private let schema: TableSchema

    init(table: TableEntry) {
        self.table = table
        series = table.seriesSnapshot
        // Afterwards: it has the tags of all of them.
        schema = table.schema
    }

    func isGreater(_ a: UInt32, _ b: UInt32) -> Bool {
        guard a != b, a != .max, b != .max else { return false }
        // One may be born while the query began.
        let isKnown = max(a, b) < self.series.count
        let series = isKnown ? self.series : table.seriesSnapshot
        let schema = isKnown ? self.schema : table.schema
        return series.key(of: b, schema).lexicographicallyPrecedes(series.key(of: a, schema))
    }
}
