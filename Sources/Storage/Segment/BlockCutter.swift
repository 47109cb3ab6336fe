// Where the rows of one long series are cut into series blocks.
//
// Queries bucket by time, and a bucket that covers a block takes its statistics without decoding;
// so cuts fall on hours where an hour has enough rows to fill a block decently. Hours with more
// rows than a block holds are cut at equal parts of an hour (half an hour, 20 minutes, 15, …),
// sparse hours are gathered up to a block's size. What is kept for long, where each block's own
// bytes tell, is cut at 2, 3, 4, 6, 8, 12 or 24 hours where so many fit into a block. The cuts depend
// on the rows alone, not on the pieces in which they arrive.

struct BlockCutter {
    var blockRowsMax: Int
    var denseRowsMin: Int
    /// Rows that may wait; at that many, rows are cut even if their hour is not complete.
    var pendingRowsMax: Int

    /// Parts of an hour at which queries like to cut, too.
    private static let hourParts = [
        2, 3, 4, 6, 12, 20, 30, 60, 120, 180, 240, 360, 720, 1_800, 3_600,
    ]

    /// Whether hours may share a block.
    private let gathersHours: Bool

    init(blockRowsMax: Int, columnCount: Int, level: EncodeOptions.Level) {
        self.blockRowsMax = blockRowsMax
        gathersHours = level == .cold
        denseRowsMin = min(SegmentLayout.denseRowsMin, blockRowsMax)
        // Wide tables wait with fewer rows, so that what waits stays under some 100 MB.
        let fitting = (8 << 20) / (columnCount + 1)
        pendingRowsMax = min(max(fitting, blockRowsMax * 2), blockRowsMax * 8)
    }

    /// Row counts of the blocks to cut from the front of ascending times; the rest waits.
    /// - Parameter isFinal: Whether the series has no more rows, so that nothing may wait.
    func cuts(_ times: UnsafeBufferPointer<Int64>, isFinal: Bool) -> [Int] {
        var cuts: [Int] = []
        var start = 0
        var position = 0
        while position < times.count {
            var end = Self.endOfCell(times, from: position, length: SegmentLayout.hourNanoseconds)
            guard end < times.count || isFinal else { break }
            if gathersHours, let wider = endOfHours(times, from: position),
                wider - position >= denseRowsMin
            {
                guard wider < times.count || isFinal else { break }
                if start < position { cuts.append(position - start) }
                cuts.append(wider - position)
                (start, end) = (wider, wider)
            } else if end - position >= denseRowsMin {
                if start < position { cuts.append(position - start) }
                cutDenseHour(times, position..<end, into: &cuts)
                start = end
            } else if end - start > blockRowsMax {
                cuts.append(position - start)
                start = position
            }
            position = end
        }
        if isFinal {
            if start < times.count { cuts.append(times.count - start) }
        } else if times.count >= pendingRowsMax, cuts.isEmpty {
            if start < position { cuts.append(position - start) }
            let blockCount = (times.count - position) / blockRowsMax
            cuts.append(contentsOf: repeatElement(blockRowsMax, count: blockCount))
        }
        return cuts
    }

    /// The end of the longest cell of several hours whose rows fit into a block.
    private func endOfHours(_ times: UnsafeBufferPointer<Int64>, from position: Int) -> Int? {
        for hours in [24, 12, 8, 6, 4, 3, 2] as [Int64] {
            let end = Self.endOfCell(
                times, from: position, length: hours * SegmentLayout.hourNanoseconds)
            if end - position <= blockRowsMax { return end }
        }
        return nil
    }

    private func cutDenseHour(
        _ times: UnsafeBufferPointer<Int64>, _ hour: Range<Int>, into cuts: inout [Int]
    ) {
        guard hour.count > blockRowsMax else {
            cuts.append(hour.count)
            return
        }
        let least = (hour.count + blockRowsMax - 1) / blockRowsMax
        let parts = Self.hourParts.first { $0 >= least } ?? 3_600
        let cellLength = SegmentLayout.hourNanoseconds / Int64(parts)
        var start = hour.lowerBound
        var position = start
        while position < hour.upperBound {
            let end = min(
                Self.endOfCell(times, from: position, length: cellLength), hour.upperBound)
            if end - start > blockRowsMax, start < position {
                cuts.append(position - start)
                start = position
            }
            while end - start > blockRowsMax {
                cuts.append(blockRowsMax)
                start += blockRowsMax
            }
            position = end
        }
        if start < hour.upperBound { cuts.append(hour.upperBound - start) }
    }

    /// The first row past the cell (a multiple of `length`) that the row at `position` lies in.
    private static func endOfCell(
        _ times: UnsafeBufferPointer<Int64>, from position: Int, length: Int64
    ) -> Int {
        let time = times[position]
        let rest = time % length
        // Wraps only where the last cell of representable time has no end.
        let cellEnd = time &- (rest < 0 ? rest &+ length : rest) &+ (length &- 1)
        let limit = cellEnd < time ? Int64.max : cellEnd
        // Safe: `position` is a row, and the search stays between it and `times.count`.
        var (low, high) = (position + 1, times.count)
        while low < high {
            let middle = (low + high) / 2
            if times[middle] > limit { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
