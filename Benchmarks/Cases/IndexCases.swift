// The series index: keys to ids, new and known, and predicates over tags to series.

import ApusStorage

enum IndexCases {
    static let all = [
        resolve("new-series", isKnown: false), resolve("known-series", isKnown: true),
        select("equality", "rack = 'r17'"),
        select("regex", "host ~ '^host-[0-9]*7[0-3]5$'"),
        select("negation", "rack !~ '^r[0-9]*[1-9]$' AND zone != 'z1'"),
    ]

    /// Rows of series that their connection sees for the first time.
    private static func resolve(_ dataset: String, isKnown: Bool) -> MicroCase {
        MicroCase("index.resolve.\(dataset)") { size in
            let fleet = Fleet(seriesCount: size.choose(300, 10_000))
            let known = BatchValidation()
            _ = try known.validate(fleet.batch())
            return PreparedCase(itemCount: fleet.series.count) { digest in
                let validation = isKnown ? known : BatchValidation()
                let batch = fleet.batch()
                let receipt = try validation.validate(batch)
                batch.add(to: &digest)
                digest?.add(receipt.rowsStored)
            }
        }
    }

    private static func select(_ dataset: String, _ condition: String) -> MicroCase {
        MicroCase("index.select.\(dataset)") { size in
            let fleet = Fleet(seriesCount: size.choose(1_000, 100_000))
            let store = try StoreFixture { engine in try engine.commit(fleet.batch()) }
            return store.query(
                "SHOW SERIES FROM fleet WHERE \(condition)", itemCount: fleet.series.count)
        }
    }
}

/// Many series, each with one row.
private struct Fleet {
    let series: [WriteBatch.NewSeries]
    private let shape = RowShape(
        table: Array("fleet".utf8), fieldNames: [Array("up".utf8)], types: [.int64])

    init(seriesCount: Int) {
        series = (0..<seriesCount).map { number in
            WriteBatch.NewSeries(
                table: Array("fleet".utf8),
                key: SeriesKey.encode([
                    "host": "host-\(number)", "rack": "r\(number % 500)", "zone": "z\(number % 3)",
                ]))
        }
    }

    /// A batch is changed by its commit, so each pass needs its own. Takes nanoseconds a series.
    func batch() -> WriteBatch {
        let batch = WriteBatch(database: "bench")
        // All series are provisional: no drop can make their ids stale.
        batch.dropGeneration = .max
        let shape = RowShape(
            table: shape.table, fieldNames: shape.fieldNames, types: shape.types)
        let group = RowGroup(shape: shape, capacity: series.count)
        for row in 0..<series.count {
            group.series[row] = WriteBatch.provisional | UInt32(row)
            group.times[row] = 1_700_000_000_000_000_000
            group.lines[row] = UInt32(row + 1)
            group.column(0)[row] = 1
        }
        group.rowCount = series.count
        batch.groups = [group]
        batch.newSeries = series
        return batch
    }
}
