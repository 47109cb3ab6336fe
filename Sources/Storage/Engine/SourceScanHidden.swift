// What tombstones hide from a scan: the slices of an input are cut before anything is read of them, so that
// whatever comes behind sees none of the rows. A cut at a tombstone's edge is like one at the edge of the
// range that is asked for: no row is known to lie there, and no statistics answer for what is left.

extension ScanInput {
    /// Those of the table's tombstones that hide rows here.
    static func hiding(_ tombstones: [Tombstone], in source: Source) -> [Tombstone] {
        guard !tombstones.isEmpty else { return [] }
        let (sequence, first, last) =
            switch source {
            case .segment(let table): (table.schema.lastSequence, table.minTime, table.maxTime)
            case .chunk(let view): (view.lastSequence, view.firstTime, view.lastTime)
            }
        return tombstones.filter { $0.reaches(lastSequence: sequence, first: first, last: last) }
    }
}

/// The times that are hidden of an input's series, one series after the other.
struct HiddenTimes {
    private let tombstones: [Tombstone]
    /// Series for which `spans` is right.
    private var known = 0..<0
    /// Rising, apart from each other.
    private(set) var spans: [TimeSpan] = []

    init(_ tombstones: [Tombstone]) { self.tombstones = tombstones }

    mutating func seek(_ series: UInt32) {
        let series = Int(series)
        guard !known.contains(series) else { return }
        var end = Int.max
        spans.removeAll(keepingCapacity: true)
        for tombstone in tombstones {
            let (isMember, until) = tombstone.membership(of: series)
            end = min(end, until)
            if isMember, let span = TimeSpan(tombstone.range) { spans.append(span) }
        }
        known = series..<end
        if spans.count > 1 { unite() }
    }

    private mutating func unite() {
        spans.sort { $0.first < $1.first }
        var last = 0
        for span in spans.dropFirst() {
            if span.first <= spans[last].last {
                spans[last].last = max(spans[last].last, span.last)
            } else {
                last += 1
                spans[last] = span
            }
        }
        spans.removeLast(spans.count - 1 - last)
    }
}

extension ScanRun {
    /// Takes what is hidden out of the slices of an input, which are those from `start` on.
    mutating func cutHidden(_ start: Int, input: Int, _ series: UInt32) {
        hidden[input].seek(series)
        let spans = hidden[input].spans
        guard !spans.isEmpty, start < slices.count else { return }
        let whole = Array(slices[start...])
        slices.removeLast(whole.count)
        for slice in whole {
            var from = slice.first
            var isOver = false
            for span in spans where span.overlaps(slice.first, slice.last) {
                if from < span.first { keep(slice, from, span.first - 1) }
                guard span.last < slice.last else {
                    isOver = true
                    break
                }
                from = span.last + 1
            }
            if !isOver { keep(slice, from, slice.last) }
        }
    }

    /// Adds the part of a slice between two times.
    private mutating func keep(_ slice: ScanSlice, _ first: Int64, _ last: Int64) {
        guard first != slice.first || last != slice.last else {
            slices.append(slice)
            return
        }
        let part: ScanSlice?
        switch slice.kind {
        case .block:
            var rest = slice
            rest.isFirstExact = slice.isFirstExact && first == slice.first
            rest.isLastExact = slice.isLastExact && last == slice.last
            (rest.first, rest.last) = (first, last)
            part = rest
        case .packed: part = segments[slice.input].part(of: slice, first, last)
        case .chunk: part = chunks[slice.input - segments.count].part(of: slice, first, last)
        }
        if let part { slices.append(part) }
    }
}

extension ScanSlice {
    /// The rows between two times; nil if there are none.
    ///
    /// - Parameter time: Of the row at a place of the slice.
    fileprivate func part(
        _ first: Int64, _ last: Int64, _ time: (Int) -> Int64
    ) -> ScanSlice? {
        func place(_ isBelow: (Int64) -> Bool) -> Int {
            var (low, high) = (0, rowCount)
            while low < high {
                let middle = (low + high) / 2
                if isBelow(time(middle)) { low = middle + 1 } else { high = middle }
            }
            return low
        }
        let (lower, upper) = (place { $0 < first }, place { $0 <= last })
        guard lower < upper else { return nil }
        var part = self
        part.rowStart += lower
        part.rowCount = upper - lower
        if stagedStart >= 0 { part.stagedStart += lower }
        part.first = time(lower)
        part.last = time(upper - 1)
        return part
    }
}

extension SegmentCursor {
    fileprivate func part(of slice: ScanSlice, _ first: Int64, _ last: Int64) -> ScanSlice? {
        guard let buffer else { preconditionFailure("BUG: no packed block") }
        // Safe: a slice's rows are among those that the buffer holds.
        return slice.part(first, last) { buffer.times[slice.rowStart + $0] }
    }
}

extension ChunkCursor {
    fileprivate func part(of slice: ScanSlice, _ first: Int64, _ last: Int64) -> ScanSlice? {
        // Safe: a slice's rows lie below the view's count, or among those that are staged.
        if slice.stagedStart >= 0 {
            return slice.part(first, last) { staged.times[slice.stagedStart + $0] }
        }
        let times = input.view.storage.times
        if sorted.isInPlace { return slice.part(first, last) { times[slice.rowStart + $0] } }
        return slice.part(first, last) { times[Int(sorted.rows[slice.rowStart + $0])] }
    }
}
