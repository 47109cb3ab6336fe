internal import Glibc

// Rows of one series on their way to the consumer, or of one block on its way into a merge.

/// Times and columns of some rows, field by field, with room for codecs to write past the end.
///
/// Safe: each column has `stride` slots, `count + 64 <= stride` after every `reserve`; the buffer
/// owns the memory and belongs to one run of a scan, which is one thread's; no function that is given one
/// of its properties to change looks at the buffer, so that accesses go unchecked.
final class RowBuffer {
    let fieldCount: Int
    @exclusivity(unchecked) private(set) var stride = 0
    @exclusivity(unchecked) private(set) var times: UnsafeMutablePointer<Int64>
    /// Arrival orders, filled for merges of chunks only.
    @exclusivity(unchecked) private(set) var orders: UnsafeMutablePointer<UInt32>
    @exclusivity(unchecked) private(set) var values: UnsafeMutablePointer<UInt64>
    @exclusivity(unchecked) private(set) var validity: UnsafeMutablePointer<UInt8>
    /// Per field: whether some row may lack it.
    let hasAbsent: UnsafeMutablePointer<Bool>
    @exclusivity(unchecked) var count = 0
    /// What the slots of all string columns point into. Never empty, so that it has an address.
    @exclusivity(unchecked) var strings: [UInt8] = [0]
    @exclusivity(unchecked) private var symbols = SymbolCache()

    init(fieldCount: Int) {
        self.fieldCount = fieldCount
        times = .allocate(capacity: 1)
        orders = .allocate(capacity: 1)
        values = .allocate(capacity: 1)
        validity = .allocate(capacity: 1)
        hasAbsent = .allocate(capacity: max(1, fieldCount))
        hasAbsent.initialize(repeating: false, count: max(1, fieldCount))
    }

    deinit {
        times.deallocate()
        orders.deallocate()
        values.deallocate()
        validity.deallocate()
        hasAbsent.deallocate()
    }

    func removeAll() {
        count = 0
        hasAbsent.update(repeating: false, count: fieldCount)
        if strings.count > 1 {
            strings.removeAll(keepingCapacity: true)
            strings.append(0)
        }
    }

    /// Makes room for so many rows more.
    @inline(__always)
    func reserve(_ more: Int) {
        if count + more + 64 > stride { grow(count + more + 64) }
    }

    private func grow(_ needed: Int) {
        let wider = max(needed, stride * 2)
        let newTimes = UnsafeMutablePointer<Int64>.allocate(capacity: wider)
        let newOrders = UnsafeMutablePointer<UInt32>.allocate(capacity: wider)
        let newValues = UnsafeMutablePointer<UInt64>.allocate(capacity: max(1, wider * fieldCount))
        let newValidity = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, wider * fieldCount))
        if count > 0 {
            newTimes.update(from: times, count: count)
            newOrders.update(from: orders, count: count)
            for field in 0..<fieldCount {
                (newValues + field * wider).update(from: values + field * stride, count: count)
                (newValidity + field * wider).update(from: validity + field * stride, count: count)
            }
        }
        times.deallocate()
        orders.deallocate()
        values.deallocate()
        validity.deallocate()
        (times, orders, values, validity, stride) = (
            newTimes, newOrders, newValues, newValidity, wider
        )
    }

    /// Forgets all rows but the last.
    func keepLast() {
        guard count > 1 else { return }
        times[0] = times[count - 1]
        orders[0] = orders[count - 1]
        for field in 0..<fieldCount {
            values[field * stride] = values[field * stride + count - 1]
            validity[field * stride] = validity[field * stride + count - 1]
        }
        count = 1
    }

    // MARK: blocks

    /// Decodes a block's rows in a span of times behind the rows there are.
    func append(
        block: Int, of input: SegmentInput, in span: TimeSpan, counters: inout ScanCounters
    ) throws(StorageError) {
        let rows = Int(input.rowCounts[block])
        try decodeTimes(block, of: input, counters: &counters)
        let new = times + count
        var (lower, upper) = (0, rows)
        if Int64(bitPattern: input.minTimes[block]) < span.first {
            lower = Self.lowerBound(new, rows, span.first)
        }
        if Int64(bitPattern: input.maxTimes[block]) > span.last {
            // `last` is below some time, so the next instant exists.
            upper = Self.lowerBound(new, rows, span.last + 1)
        }
        guard lower < upper else { return }
        try decodeColumns(block, of: input, counters: &counters)
        if lower > 0 {
            // Safe: both ranges lie in the rows just decoded; memmove lets them overlap.
            let kept = upper - lower
            memmove(new, new + lower, kept * 8)
            for field in 0..<fieldCount {
                let column = values + field * stride + count
                let present = validity + field * stride + count
                memmove(column, column + lower, kept * 8)
                memmove(present, present + lower, kept)
            }
        }
        count += upper - lower
    }

    /// Decodes a block's times behind the rows there are, and doesn't count them yet.
    func decodeTimes(
        _ block: Int, of input: SegmentInput, counters: inout ScanCounters
    ) throws(StorageError) {
        reserve(Int(input.rowCounts[block]))
        try input.directory.decodeTimes(block, into: times + count)
        counters.blocksRead &+= 1
        counters.bytesRead &+= try input.directory.rowsByteCount(block)
    }

    func decodeColumns(
        _ block: Int, of input: SegmentInput, counters: inout ScanCounters
    ) throws(StorageError) {
        let rows = Int(input.rowCounts[block])
        for index in 0..<fieldCount {
            let field = input.fields[index]
            let column = values + index * stride + count
            let present = validity + index * stride + count
            guard field.column >= 0 else {
                setAbsent(index, count: rows)
                continue
            }
            let decoded = try input.directory.decodeColumn(
                field.column, block: block, values: column, validity: present, strings: &strings,
                symbols: &symbols)
            counters.bytesRead &+= decoded.byteCount
            if decoded.presentCount < rows { hasAbsent[index] = true }
            Self.convert(column, count: rows, field.conversion)
        }
    }

    private func setAbsent(_ field: Int, count rows: Int) {
        (values + field * stride + count).update(repeating: 0, count: rows)
        (validity + field * stride + count).update(repeating: 0, count: rows)
        hasAbsent[field] = true
    }

    private static func convert(
        _ values: UnsafeMutablePointer<UInt64>, count: Int, _ conversion: SlotConversion
    ) {
        switch conversion {
        case .none, .reinterpret: break
        case .signedToFloat:
            for row in 0..<count { values[row] = Double(Int64(bitPattern: values[row])).bitPattern }
        case .unsignedToFloat:
            for row in 0..<count { values[row] = Double(values[row]).bitPattern }
        }
    }

    /// The first of ascending times that is `time` or later.
    static func lowerBound(_ times: UnsafePointer<Int64>, _ count: Int, _ time: Int64) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if times[middle] < time { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: chunks

    /// Gathers rows of a chunk, given by their positions in its order, behind the rows there are.
    /// - Precondition: `rows` is at least 1.
    /// - Returns: Whether their times are all different; if not, they want merging.
    func append(
        positions start: Int, _ rows: Int, of input: ChunkInput, _ sorted: SortedRows,
        withOrders: Bool
    ) -> Bool {
        reserve(rows)
        let storage = input.view.storage
        let isStrict = sorted.rows.withUnsafeBufferPointer { all in
            // Safe: the order's rows lie below the view's count, where the chunk doesn't change.
            let chosen = UnsafeBufferPointer(rebasing: all[start..<(start + rows)])
            let isInPlace = sorted.isInPlace
            let isStrict =
                isInPlace
                ? Self.copyTimes(storage.times + start, rows, into: times + count)
                : Self.gatherTimes(chosen, storage.times, into: times + count)
            if withOrders {
                let orders = self.orders + count
                if isInPlace {
                    orders.update(from: storage.order + start, count: rows)
                } else {
                    for index in 0..<rows { orders[index] = storage.order[Int(chosen[index])] }
                }
            }
            for index in 0..<fieldCount {
                let field = input.fields[index]
                guard field.column >= 0 else {
                    setAbsent(index, count: rows)
                    continue
                }
                (validity + index * stride + count).update(repeating: 1, count: rows)
                let target = values + index * stride + count
                let source = UnsafePointer(storage.column(field.column))
                if field.stored == .string {
                    gatherStrings(chosen, source, input.view.heap, into: target)
                } else {
                    if isInPlace {
                        target.update(from: source + start, count: rows)
                    } else {
                        for row in 0..<rows { target[row] = source[Int(chosen[row])] }
                    }
                    Self.convert(target, count: rows, field.conversion)
                }
            }
            return isStrict
        }
        count += rows
        return isStrict
    }

    /// Copies rows of a chunk that is in order itself behind the rows there are.
    func append(inPlace start: Int, _ rows: Int, of chunk: ChunkColumns) {
        reserve(rows)
        // Safe: the rows lie below the view's count, and `reserve` made the room.
        (times + count).update(from: chunk.times + start, count: rows)
        for field in 0..<fieldCount {
            guard let source = chunk.columns[field].values else {
                setAbsent(field, count: rows)
                continue
            }
            (validity + field * stride + count).update(repeating: 1, count: rows)
            let target = values + field * stride + count
            target.update(from: source + start, count: rows)
            Self.convert(target, count: rows, chunk.columns[field].conversion)
        }
        count += rows
    }

    private static func copyTimes(
        _ source: UnsafeMutablePointer<Int64>, _ rows: Int, into target: UnsafeMutablePointer<Int64>
    ) -> Bool {
        var isStrict = true
        target[0] = source[0]
        for index in 1..<rows {
            target[index] = source[index]
            isStrict = isStrict && source[index] > source[index - 1]
        }
        return isStrict
    }

    private static func gatherTimes(
        _ rows: UnsafeBufferPointer<UInt32>, _ source: UnsafeMutablePointer<Int64>,
        into target: UnsafeMutablePointer<Int64>
    ) -> Bool {
        var isStrict = true
        var previous = Int64.min
        for index in 0..<rows.count {
            let time = source[Int(rows[index])]
            target[index] = time
            isStrict = isStrict && (time > previous || index == 0)
            previous = time
        }
        return isStrict
    }

    private func gatherStrings(
        _ rows: UnsafeBufferPointer<UInt32>, _ source: UnsafePointer<UInt64>, _ heap: StringHeap?,
        into target: UnsafeMutablePointer<UInt64>
    ) {
        var last = UInt64.max
        for index in 0..<rows.count {
            let raw = source[Int(rows[index])]
            if raw == last {
                target[index] = target[index &- 1]
                continue
            }
            last = raw
            let slot = StringSlot(rawValue: raw)
            target[index] = StringSlot(offset: strings.count, length: slot.length).rawValue
            guard slot.length > 0, let heap else { continue }
            strings.append(
                contentsOf: UnsafeBufferPointer(start: heap.bytes + slot.offset, count: slot.length)
            )
        }
    }

    // MARK: other buffers

    /// Copies rows of another buffer behind the rows there are.
    func append(_ rows: Range<Int>, of other: RowBuffer, types: [FieldType]) {
        let added = rows.count
        reserve(added)
        (times + count).update(from: other.times + rows.lowerBound, count: added)
        for field in 0..<fieldCount {
            let source = field * other.stride + rows.lowerBound
            let target = field * stride + count
            (values + target).update(from: other.values + source, count: added)
            (validity + target).update(from: other.validity + source, count: added)
            if other.hasAbsent[field] { hasAbsent[field] = true }
            guard types[field] == .string else { continue }
            var (last, copy) = (UInt64.max, UInt64.max)
            for row in target..<(target + added) where validity[row] != 0 {
                if values[row] != last {
                    last = values[row]
                    copy = copyString(last, of: other)
                }
                values[row] = copy
            }
        }
        count += added
    }

    func copyString(_ raw: UInt64, of other: RowBuffer) -> UInt64 {
        let slot = StringSlot(rawValue: raw)
        let start = strings.count
        strings.append(contentsOf: other.strings[slot.offset..<(slot.offset + slot.length)])
        return StringSlot(offset: start, length: slot.length).rawValue
    }
}
