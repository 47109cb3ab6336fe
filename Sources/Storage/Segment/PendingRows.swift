internal import Glibc

// Rows on their way into blocks: one table's, in (series, time) order, column by column.

/// One column of the rows that wait. Memory is taken when the first value comes.
///
/// Safe: `values` and `validity` have `capacity` slots while `isTouched`, `strings` has
/// `stringCapacity` bytes; `PendingRows` is their only owner and frees them.
struct PendingColumn {
    let type: FieldType
    private(set) var isTouched = false
    private(set) var values: UnsafeMutablePointer<UInt64>?
    private(set) var validity: UnsafeMutablePointer<UInt8>?
    private var capacity = 0
    private(set) var strings: UnsafeMutablePointer<UInt8>?
    private var stringCount = 0
    private var stringCapacity = 0

    init(type: FieldType) { self.type = type }

    mutating func deallocate() {
        values?.deallocate()
        validity?.deallocate()
        strings?.deallocate()
        (values, validity, strings) = (nil, nil, nil)
    }

    /// Forgets all rows; the memory stays.
    mutating func removeAll() {
        isTouched = false
        stringCount = 0
    }

    /// Puts `count` rows behind the `rowCount` that are there.
    mutating func append(_ slice: ColumnSlice?, from: Int, count: Int, rowCount: Int) {
        guard let slice else {
            if isTouched {
                reserve(rowCount + count, keeping: rowCount)
                validity?.advanced(by: rowCount).update(repeating: 0, count: count)
            }
            return
        }
        precondition(slice.type == type, "BUG: a column of another type than the schema's")
        if !isTouched {
            reserve(rowCount + count, keeping: 0)
            validity?.update(repeating: 0, count: rowCount)
            if type == .string { values?.update(repeating: 0, count: rowCount) }
            isTouched = true
        } else {
            reserve(rowCount + count, keeping: rowCount)
        }
        guard let values, let validity else { return }
        if let present = slice.validity {
            (validity + rowCount).update(from: present + from, count: count)
        } else {
            (validity + rowCount).update(repeating: 1, count: count)
        }
        if type == .string, let source = slice.stringBytes {
            for row in 0..<count {
                guard validity[rowCount + row] != 0 else {
                    values[rowCount + row] = 0
                    continue
                }
                let slot = StringSlot(rawValue: slice.values[from + row])
                values[rowCount + row] = appendString(source + slot.offset, slot.length)
            }
        } else if type == .string {
            // Without string bytes there can only be empty strings.
            (values + rowCount).update(repeating: 0, count: count)
        } else {
            (values + rowCount).update(from: slice.values + from, count: count)
        }
    }

    /// Drops the first rows and moves the rest to the front.
    mutating func removeFirst(_ removed: Int, of rowCount: Int) {
        guard isTouched, let values, let validity else { return }
        let rest = rowCount - removed
        // Safe: both ranges lie inside the rows; memmove allows them to overlap.
        memmove(values, values + removed, rest * 8)
        memmove(validity, validity + removed, rest)
        guard type == .string else { return }
        let old = strings
        (strings, stringCount, stringCapacity) = (nil, 0, 0)
        for row in 0..<rest where validity[row] != 0 {
            let slot = StringSlot(rawValue: values[row])
            if let old { values[row] = appendString(old + slot.offset, slot.length) }
        }
        old?.deallocate()
    }

    /// The rows of a range as a slice; nil if the field is absent from all of them.
    func slice(_ rows: Range<Int>) -> ColumnSlice? {
        guard isTouched, let values, let validity else { return nil }
        let start = validity + rows.lowerBound
        guard memchr(start, 1, rows.count) != nil else { return nil }
        let isComplete = memchr(start, 0, rows.count) == nil
        return ColumnSlice(
            type: type, count: rows.count, values: UnsafePointer(values + rows.lowerBound),
            validity: isComplete ? nil : UnsafePointer(start),
            stringBytes: strings.map { UnsafePointer($0) })
    }

    private mutating func appendString(_ source: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
        if stringCount + count > stringCapacity || strings == nil {
            let larger = max(stringCapacity * 2, stringCount + count, 4_096)
            let grown = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
            if let strings {
                grown.update(from: strings, count: stringCount)
                strings.deallocate()
            }
            (strings, stringCapacity) = (grown, larger)
        }
        strings?.advanced(by: stringCount).update(from: source, count: count)
        defer { stringCount += count }
        return StringSlot(offset: stringCount, length: count).rawValue
    }

    private mutating func reserve(_ rowCount: Int, keeping: Int) {
        guard rowCount > capacity else { return }
        let larger = max(rowCount + 64, capacity * 2)
        let newValues = UnsafeMutablePointer<UInt64>.allocate(capacity: larger)
        let newValidity = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        if keeping > 0, let values, let validity {
            newValues.update(from: values, count: keeping)
            newValidity.update(from: validity, count: keeping)
        }
        values?.deallocate()
        validity?.deallocate()
        (values, validity, capacity) = (newValues, newValidity, larger)
    }
}

/// The rows of one table that no block holds yet: whole short series, then the series being written.
struct PendingRows: ~Copyable {
    private(set) var rowCount = 0
    private(set) var times: UnsafeMutablePointer<Int64>
    private var timeCapacity: Int
    private(set) var columns: [PendingColumn]
    /// Series and their row counts; the last may still grow.
    private(set) var runs: [(series: UInt32, rowCount: Int)] = []

    init(types: [FieldType], rowsExpected: Int) {
        columns = types.map { PendingColumn(type: $0) }
        timeCapacity = rowsExpected + 64
        times = .allocate(capacity: timeCapacity)
    }

    deinit {
        times.deallocate()
        for index in columns.indices {
            var column = columns[index]
            column.deallocate()
        }
    }

    mutating func openRun(_ series: UInt32) { runs.append((series, 0)) }

    /// Puts rows behind the last run.
    mutating func append(
        times source: UnsafeBufferPointer<Int64>, columns slices: [ColumnSlice?], rows: Range<Int>
    ) {
        if rowCount + rows.count > timeCapacity {
            let larger = max(timeCapacity * 2, rowCount + rows.count)
            let grown = UnsafeMutablePointer<Int64>.allocate(capacity: larger)
            grown.update(from: times, count: rowCount)
            times.deallocate()
            (times, timeCapacity) = (grown, larger)
        }
        for index in rows { times[rowCount + index - rows.lowerBound] = source[index] }
        for index in columns.indices {
            columns[index].append(
                slices[index], from: rows.lowerBound, count: rows.count, rowCount: rowCount)
        }
        rowCount += rows.count
        runs[runs.count - 1].rowCount += rows.count
    }

    /// Drops the rows of the first runs, or, of a single run, some of its first rows.
    mutating func removeFirst(rows removed: Int, runs removedRuns: Int) {
        if removed == rowCount {
            for index in columns.indices { columns[index].removeAll() }
        } else {
            // Safe: source and target lie inside the rows; memmove allows them to overlap.
            memmove(times, times + removed, (rowCount - removed) * 8)
            for index in columns.indices { columns[index].removeFirst(removed, of: rowCount) }
        }
        rowCount -= removed
        if removedRuns > 0 { runs.removeFirst(removedRuns) } else { runs[0].rowCount -= removed }
    }
}
