/// Sorts a chunk's rows by (series, time, arrival).
///
/// A counting sort by series keeps arrival order; scrapes arrive in order of time, so the check
/// per series nearly always finds its rows sorted already. O(rows + id range), or O(n log n) for
/// few rows over a wide range.
package enum ChunkSort {
    package static func sort(
        _ view: ChunkView, only wanted: SeriesSet? = nil, in range: TimeRange = .all
    ) -> SortedRows {
        let series = view.storage.series
        let times = view.storage.times
        var rows: [UInt32] = []
        if wanted == nil, range.covers(first: view.firstTime, last: view.lastTime) {
            // Safe: every one of `rowCount` numbers is written before the count is set.
            rows = [UInt32](unsafeUninitializedCapacity: view.rowCount) { buffer, count in
                for row in 0..<view.rowCount { buffer[row] = UInt32(truncatingIfNeeded: row) }
                count = view.rowCount
            }
        } else {
            for row in 0..<view.rowCount where range.contains(times[row]) {
                if wanted?.contains(series[row]) ?? true {
                    rows.append(UInt32(truncatingIfNeeded: row))
                }
            }
        }
        guard !rows.isEmpty else { return SortedRows(rows: [], series: [], starts: [0]) }
        sortBySeries(&rows, series)
        return group(rows, series, times, view.storage.order)
    }

    /// The chunk's rows, copied into their order. Reading a series then takes its rows from one place
    /// instead of a cache line each, which made scans of a head half as fast again.
    package static func rearrange(_ view: ChunkView) -> (sorted: SortedRows, storage: ChunkStorage)
    {
        let sorted = sort(view)
        // Safe: the rows of an order lie below the view's count.
        let storage = sorted.rows.withUnsafeBufferPointer { view.storage.rearranged($0) }
        let rows = [UInt32](0..<UInt32(truncatingIfNeeded: sorted.rows.count))
        return (
            SortedRows(rows: rows, series: sorted.series, starts: sorted.starts, isInPlace: true),
            storage
        )
    }

    // Safe: here and in `group`, `rows` holds row numbers below the view's `rowCount`, which the
    // view's storage covers and which are never written again.
    private static func sortBySeries(_ rows: inout [UInt32], _ series: UnsafeMutablePointer<UInt32>)
    {
        var least = UInt32.max
        var greatest: UInt32 = 0
        for row in rows {
            least = min(least, series[Int(row)])
            greatest = max(greatest, series[Int(row)])
        }
        let span = Int(greatest - least) + 1
        if span > rows.count * 8 + 1024 {
            rows.sort { left, right in
                let a = series[Int(left)]
                let b = series[Int(right)]
                return a != b ? a < b : left < right
            }
            return
        }
        var starts = [UInt32](repeating: 0, count: span + 1)
        for row in rows { starts[Int(series[Int(row)] - least) + 1] &+= 1 }
        for index in 1..<starts.count { starts[index] &+= starts[index - 1] }
        let unsorted = rows
        for row in unsorted {
            let bucket = Int(series[Int(row)] - least)
            rows[Int(starts[bucket])] = row
            starts[bucket] &+= 1
        }
    }

    /// Finds each series' rows, and sorts by time those that are not.
    private static func group(
        _ input: [UInt32], _ series: UnsafeMutablePointer<UInt32>,
        _ times: UnsafeMutablePointer<Int64>,
        _ order: UnsafeMutablePointer<UInt32>
    ) -> SortedRows {
        var rows = input
        var ids: [UInt32] = []
        var starts: [UInt32] = []
        var start = 0
        while start < rows.count {
            let id = series[Int(rows[start])]
            var end = start + 1
            var sorted = true
            while end < rows.count, series[Int(rows[end])] == id {
                let previous = Int(rows[end - 1])
                let current = Int(rows[end])
                if times[previous] > times[current]
                    || (times[previous] == times[current] && order[previous] > order[current])
                {
                    sorted = false
                }
                end += 1
            }
            if !sorted {
                rows[start..<end].sort { left, right in
                    let a = Int(left)
                    let b = Int(right)
                    return times[a] != times[b] ? times[a] < times[b] : order[a] < order[b]
                }
            }
            ids.append(id)
            starts.append(UInt32(truncatingIfNeeded: start))
            start = end
        }
        starts.append(UInt32(truncatingIfNeeded: rows.count))
        return SortedRows(rows: rows, series: ids, starts: starts)
    }
}
