// Puts slices of chunks that overlap in time in order where no two rows share a time, which is what
// several senders of one table leave behind. There is nothing to resolve then: rows are gathered
// slice by slice, their times merged once with the places they came from, and each column follows.

/// Memory for putting a group in order. One run's, which is one thread's.
final class Interleaving {
    static let rowsMax = 4_096

    /// Times in order, behind one that no other is below.
    ///
    /// Safe: here and in `places` and `moved` lie `rowsMax` rows, which groups are limited to.
    private let times = UnsafeMutablePointer<Int64>.allocate(capacity: 1 + rowsMax)
    /// Where the row of each time was gathered, from the group's first.
    private let places = UnsafeMutablePointer<UInt16>.allocate(capacity: 1 + rowsMax)
    private let moved = UnsafeMutablePointer<UInt64>.allocate(capacity: rowsMax)
    private var count = 0
    /// Whether times came in another order than they lie in now.
    private(set) var isMoved = false

    init() { times[0] = .min }

    deinit {
        times.deallocate()
        places.deallocate()
        moved.deallocate()
    }

    static func isStrict(_ times: UnsafePointer<Int64>, _ count: Int) -> Bool {
        var isStrict = true
        for row in 1..<max(1, count) { isStrict = isStrict && times[row - 1] < times[row] }
        return isStrict
    }

    func removeAll() {
        count = 0
        isMoved = false
    }

    /// Adds the times of a slice.
    /// - Returns: Whether they ascend and none is there yet; nothing here is of use otherwise.
    func add(_ slice: UnsafePointer<Int64>, _ rows: Int) -> Bool {
        let isStrict = Self.isStrict(slice, rows)
        guard isStrict, count > 0, times[count] >= slice[0] else {
            (times + count + 1).update(from: slice, count: rows)
            for row in 0..<rows {
                places[count + 1 + row] = UInt16(truncatingIfNeeded: count + row)
            }
            count += rows
            return isStrict
        }
        isMoved = true
        return merge(slice, rows)
    }

    /// Merges times into those there are, from the end: only what lies behind the slice's first
    /// time moves.
    private func merge(_ slice: UnsafePointer<Int64>, _ rows: Int) -> Bool {
        var isStrict = true
        var old = count
        var new = rows - 1
        var target = count + rows
        // Safe: a row is taken from one of both at each step, and of those there are never the
        // one in front: it is not above any time.
        while new >= 0 {
            let (known, time) = (times[old], slice[new])
            isStrict = isStrict && known != time
            let isKnown = known > time
            times[target] = isKnown ? known : time
            places[target] =
                isKnown ? places[old] : UInt16(truncatingIfNeeded: count &+ new)
            old = old &- (isKnown ? 1 : 0)
            new = new &- (isKnown ? 0 : 1)
            target = target &- 1
        }
        count += rows
        return isStrict
    }

    func copyTimes(to target: UnsafeMutablePointer<Int64>) {
        target.update(from: times + 1, count: count)
    }

    /// Puts a column in order.
    func move(_ column: UnsafeMutablePointer<UInt64>) {
        for row in 0..<count { moved[row] = column[Int(places[row + 1])] }
        column.update(from: moved, count: count)
    }

    func move(_ column: UnsafeMutablePointer<UInt8>) {
        let bytes = UnsafeMutableRawPointer(moved).assumingMemoryBound(to: UInt8.self)
        for row in 0..<count { bytes[row] = column[Int(places[row + 1])] }
        column.update(from: bytes, count: count)
    }
}

extension ScanRun {
    /// Adds a group's rows to those gathered, if they all lie in chunks, are not too many and all
    /// have times of their own; adds none otherwise.
    mutating func interleave(_ group: Range<Int>) -> Bool {
        var rows = 0
        for index in group {
            guard slices[index].kind == .chunk else { return false }
            rows += slices[index].rowCount
        }
        guard rows <= Interleaving.rowsMax else { return false }
        let start = gathered.count
        gathered.reserve(rows)
        interleaving.removeAll()
        for index in group {
            let before = gathered.count
            appendChunk(index)
            guard interleaving.add(gathered.times + before, gathered.count - before) else {
                gathered.count = start
                return false
            }
        }
        guard interleaving.isMoved else { return true }
        interleaving.copyTimes(to: gathered.times + start)
        for field in 0..<gathered.fieldCount {
            let place = field * gathered.stride + start
            interleaving.move(gathered.values + place)
            if gathered.hasAbsent[field] { interleaving.move(gathered.validity + place) }
        }
        return true
    }

    /// Adds the rows of a chunk's slice to those gathered.
    func appendChunk(_ index: Int) {
        let place = slices[index].input - segments.count
        let (start, rows) = (slices[index].rowStart, slices[index].rowCount)
        if let columns = chunks[place].inPlace {
            gathered.append(inPlace: start, rows, of: columns)
        } else if slices[index].stagedStart >= 0 {
            let staged = slices[index].stagedStart
            gathered.append(
                staged..<(staged + rows), of: chunks[place].staged, types: plan.fieldTypes)
        } else {
            _ = gathered.append(
                positions: start, rows, of: chunks[place].input, chunks[place].sorted,
                withOrders: false)
        }
    }
}
