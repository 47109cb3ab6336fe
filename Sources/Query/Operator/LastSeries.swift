// Which series' last rows a query wants.

internal import ApusStorage

/// Series, rising, as a list or as a rule that is followed piece by piece.
enum LastSeries {
    case listed([UInt32])
    /// All of a set, or of all, below one that have a last row and not an older one than `from`.
    case living(SeriesSet?, below: Int, from: Int64)

    /// Pieces of `size` series, of which some may want none.
    func pieceCount(_ size: Int) -> Int {
        let count =
            switch self {
            case .listed(let series): series.count
            case .living(_, let count, _): count
            }
        return (count + size - 1) / size
    }

    /// Those of a piece.
    ///
    /// - Parameter rows: May be left out of a list.
    func listed(_ rows: LastRowsView?, piece: Int, of size: Int) -> [UInt32] {
        switch self {
        case .listed(let series):
            let start = piece * size
            let end = min(series.count, start + size)
            return end - start == series.count ? series : Array(series[start..<end])
        case .living(let series, let count, let firstTime):
            guard let rows else { preconditionFailure("BUG: a rule about rows without rows") }
            let range = (piece * size)..<min(count, piece * size + size)
            return [UInt32](unsafeUninitializedCapacity: range.count) { buffer, living in
                let none = LastRowsView.none
                var next = 0
                // Safe: there are at most as many as the range has; the view has a time for each.
                forEach(series, range) { id in
                    let time = rows.times[id]
                    buffer[next] = UInt32(truncatingIfNeeded: id)
                    next &+= time != none && time >= firstTime ? 1 : 0
                }
                living = next
            }
        }
    }

    /// All of them.
    func listed(_ rows: LastRowsView?) -> [UInt32] {
        if case .listed(let series) = self { return series }
        return listed(rows, piece: 0, of: pieceCount(1))
    }
}

/// Calls for each number of a range, or for those a set has of it, rising.
@inline(__always)
func forEach<Failure: Error>(
    _ series: SeriesSet?, _ range: Range<Int>, _ body: (Int) throws(Failure) -> Void
) throws(Failure) {
    guard let series else {
        for id in range { try body(id) }
        return
    }
    var next = series.next(from: UInt32(truncatingIfNeeded: range.lowerBound))
    while let id = next, Int(id) < range.upperBound {
        try body(Int(id))
        next = series.next(from: id + 1)
    }
}
