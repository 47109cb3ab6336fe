// How a scan is cut: rows are counted by buckets of series, and buckets gathered into pieces.

extension ScanPlan {
    private static let bucketCount = 4_096

    func pieces(rowsPerMorsel: Int) -> [SourceScanPiece] {
        guard estimatedRows > 0 else { return [] }
        // A third more than asked for is no reason for two pieces.
        guard estimatedRows / 4 * 3 > rowsPerMorsel, let span else {
            return [SourceScanPiece(series: seriesRange, estimatedRows: estimatedRows)]
        }
        let range = presentRange()
        let width =
            (UInt64(range.upperBound - range.lowerBound) + 1 + UInt64(Self.bucketCount) - 1)
            / UInt64(Self.bucketCount)
        var weights = [Int](repeating: 0, count: Self.bucketCount)
        func bucket(_ series: UInt32) -> Int {
            guard series > range.lowerBound else { return 0 }
            return min(Int(UInt64(series - range.lowerBound) / width), Self.bucketCount - 1)
        }
        for segment in segments {
            Self.forEachCandidate(segment, request.series, span, range) { block, rows in
                let first = UInt32(truncatingIfNeeded: segment.firstSeries[block])
                weights[bucket(first)] += rows
            }
        }
        for (index, chunk) in chunks.enumerated() {
            addWeights(of: chunk, rows: chunkEstimates[index], bucket: bucket, to: &weights)
        }
        return Self.gather(weights, width: width, range: range, rowsPerMorsel: rowsPerMorsel)
    }

    private static func gather(
        _ weights: [Int], width: UInt64, range: ClosedRange<UInt32>, rowsPerMorsel: Int
    ) -> [SourceScanPiece] {
        var pieces: [SourceScanPiece] = []
        var start = UInt64(range.lowerBound)
        var rows = 0
        for index in weights.indices {
            let bucketStart = UInt64(range.lowerBound) + UInt64(index) * width
            guard bucketStart <= UInt64(range.upperBound) else { break }
            // Cut before a bucket that would make the piece much too large, or once it is full.
            if rows >= rowsPerMorsel
                || (rows > rowsPerMorsel / 2 && rows + weights[index] > rowsPerMorsel * 2)
            {
                pieces.append(
                    SourceScanPiece(
                        series: UInt32(start)...UInt32(bucketStart - 1), estimatedRows: rows))
                start = bucketStart
                rows = 0
            }
            rows += weights[index]
        }
        pieces.append(
            SourceScanPiece(series: UInt32(start)...range.upperBound, estimatedRows: rows))
        return pieces
    }

    /// Spreads a chunk's rows over the buckets, by samples where its order is known.
    private func addWeights(
        of chunk: ChunkInput, rows: Int, bucket: (UInt32) -> Int, to weights: inout [Int]
    ) {
        let samples = 256
        let ids = chunk.view.sortedRows?.series
        for index in 0..<samples {
            let share = rows * (index + 1) / samples - rows * index / samples
            let series: UInt32
            if let ids {
                series = ids[ids.count * index / samples]
            } else {
                series = chunk.view.storage.series[chunk.view.rowCount * index / samples]
            }
            weights[bucket(series)] += share
        }
    }

    /// The series between which all inputs lie.
    private func presentRange() -> ClosedRange<UInt32> {
        var first = UInt32.max
        var last: UInt32 = 0
        for segment in segments where segment.firstSeries.count > 0 {
            first = min(first, segment.directory.firstSeries(0))
            last = max(last, segment.directory.lastSeries(segment.lastSeries.count - 1))
        }
        for chunk in chunks {
            if let sorted = chunk.view.sortedRows, let low = sorted.series.first,
                let high = sorted.series.last
            {
                first = min(first, low)
                last = max(last, high)
            } else {
                // Safe: rows below the view's count are immutable.
                let series = chunk.view.storage.series
                for row in 0..<chunk.view.rowCount {
                    first = min(first, series[row])
                    last = max(last, series[row])
                }
            }
        }
        first = max(first, seriesRange.lowerBound)
        last = min(last, seriesRange.upperBound)
        return first...max(first, last)
    }

    // MARK: estimates

    static func estimate(
        _ segment: SegmentInput, _ set: SeriesSet?, _ span: TimeSpan, _ range: ClosedRange<UInt32>
    ) -> Int {
        var rows = 0
        forEachCandidate(segment, set, span, range) { _, count in rows += count }
        return rows
    }

    static func estimate(
        _ view: ChunkView, _ set: SeriesSet?, _ span: TimeSpan, _ range: ClosedRange<UInt32>
    ) -> Int {
        var rows = Double(view.rowCount)
        let length = Double(view.lastTime) - Double(view.firstTime)
        let shared = Double(min(span.last, view.lastTime)) - Double(max(span.first, view.firstTime))
        if length > 0, shared < length { rows *= max(shared / length, 0) }
        if let set {
            guard let sorted = view.sortedRows, let first = sorted.series.first,
                let last = sorted.series.last
            else {
                // Nothing is known of its series.
                return max(
                    1,
                    min(Int(rows), Int(rows) / 4_096 * set.count(first: 0, last: .max, upTo: 4_096))
                )
            }
            let members = set.count(first: first, last: last, upTo: 64)
            guard members > 0 else { return 0 }
            if members < 64 {
                return countRows(sorted, set, first: first, last: last)
            }
            let all = set.count(first: first, last: last, upTo: .max)
            rows *= min(1, Double(all) / Double(sorted.series.count))
        }
        return max(1, Int(rows))
    }

    /// The rows of a few series in a sorted chunk.
    private static func countRows(
        _ sorted: SortedRows, _ set: SeriesSet, first: UInt32, last: UInt32
    ) -> Int {
        var rows = 0
        var position = 0
        var target = first
        while let member = set.next(from: target), member <= last {
            position = sorted.firstPosition(reaching: member, from: position)
            guard position < sorted.series.count else { break }
            if sorted.series[position] == member {
                rows += Int(sorted.starts[position + 1] &- sorted.starts[position])
            }
            guard member < .max else { break }
            target = member + 1
        }
        return rows
    }

    /// Calls `body` with the blocks that may hold wanted rows and how many these may be.
    static func forEachCandidate(
        _ segment: SegmentInput, _ set: SeriesSet?, _ span: TimeSpan, _ range: ClosedRange<UInt32>,
        _ body: (Int, Int) -> Void
    ) {
        var block = segment.firstBlock(reaching: range.lowerBound, from: 0)
        let count = segment.lastSeries.count
        while block < count {
            let first = UInt32(truncatingIfNeeded: segment.firstSeries[block])
            let last = UInt32(truncatingIfNeeded: segment.lastSeries[block])
            guard first <= range.upperBound else { return }
            if let set {
                guard let member = set.next(from: max(first, range.lowerBound)),
                    member <= range.upperBound
                else { return }
                if member > last {
                    block = segment.firstBlock(reaching: member, from: block + 1)
                    continue
                }
            }
            if span.overlaps(
                Int64(bitPattern: segment.minTimes[block]),
                Int64(bitPattern: segment.maxTimes[block]))
            {
                var rows = Int(segment.rowCounts[block])
                let runs = Int(segment.runCounts[block])
                if let set, runs > 1 {
                    let members = set.count(first: first, last: last, upTo: .max)
                    rows = max(1, rows * min(members, runs) / runs)
                }
                body(block, rows)
            }
            block += 1
        }
    }
}

extension SeriesSet {
    /// Members of a closed range; counting may stop at `limit`.
    func count(first: UInt32, last: UInt32, upTo limit: Int) -> Int {
        let start = Int(first >> 6)
        let end = min(Int(last >> 6), words.count - 1)
        guard start <= end else { return 0 }
        var count = 0
        for index in start...end {
            var word = words[index]
            if index == start { word &= UInt64.max &<< UInt64(first & 63) }
            if index == Int(last >> 6) { word &= UInt64.max &>> UInt64(63 - last & 63) }
            count += word.nonzeroBitCount
            if count >= limit { return count }
        }
        return count
    }
}

extension SortedRows {
    /// The first position from `start` on whose series is `target` or later.
    func firstPosition(reaching target: UInt32, from start: Int) -> Int {
        series.withUnsafeBufferPointer { ids in
            var (low, high) = (start, ids.count)
            // The next one, mostly.
            if low < high, ids[low] >= target { return low }
            low += 1
            if low < high, ids[low] >= target { return low }
            while low < high {
                let middle = (low + high) / 2
                if ids[middle] < target { low = middle + 1 } else { high = middle }
            }
            return min(low, ids.count)
        }
    }
}
