// Puts rows for empty buckets between those of a grouping.
//
// Rows are told apart by their keys without the bucket; each such key gets a row for every bucket of the
// range. A value that is missing comes from the rows of the same key.

internal import ApusStorage

extension FillPlan {
    /// The rows with those that were missing, key by key and each in order of time.
    ///
    /// - Complexity: O(keys × buckets), which the query's memory budget bounds.
    func filled(
        _ rows: Frame, keyCount: Int, _ context: QueryContext
    ) throws(QueryError) -> Frame {
        let starts = rows.columns[bucketKey].expanded().values.map { Int64(bitPattern: $0) }
        let (keyOfRow, firstRows) = try keys(rows, keyCount, context)
        var firsts = firstRows.map { Optional($0) }
        // Without keys an explicit range has rows even if there are none to begin with.
        if firsts.isEmpty, keyCount == 1, lower != nil, upper != nil { firsts = [nil] }
        let buckets = try bucketStarts(starts, keyCount: firsts.count, context)
        let size = firsts.count * buckets.count
        try context.charge(
            size * 8 * (keyCount + columns.count + 1), "the rows of FILL")
        var places = [Int](repeating: -1, count: size)
        for (row, start) in starts.enumerated() {
            if row % 65_536 == 0 { try context.check() }
            let key = keyCount == 1 ? 0 : keyOfRow[row]
            if let bucket = Self.index(of: start, in: buckets) {
                places[key * buckets.count + bucket] = row
            }
        }
        var result: [Vector] = []
        for key in 0..<keyCount {
            result.append(
                try keyColumn(
                    rows.columns[key], isBucket: key == bucketKey, firsts, buckets, context))
        }
        for column in columns {
            let values = try column.expression.evaluate(rows).expanded()
            var filler = Filler(column, values, buckets)
            for key in firsts.indices {
                try context.check()
                filler.fill(places[(key * buckets.count)..<((key + 1) * buckets.count)])
            }
            result.append(filler.finish())
        }
        var frame = Frame(count: size, columns: result)
        frame.context = context
        return frame
    }

    /// Numbers for the keys without the bucket, and the first row of each.
    private func keys(
        _ rows: Frame, _ keyCount: Int, _ context: QueryContext
    ) throws(QueryError) -> (ofRow: [Int], firsts: [Int]) {
        var table = GroupTable()
        var ofRow: [Int] = []
        var firsts: [Int] = []
        var bytes: [UInt8] = []
        let columns = (0..<keyCount).filter { $0 != bucketKey }.map { rows.columns[$0] }
        for row in 0..<rows.count {
            if row % 65_536 == 0 { try context.check() }
            KeyEncoder.encode(columns, row, as: &bytes)
            let key = table.group(of: bytes)
            if key == firsts.count { firsts.append(row) }
            ofRow.append(key)
        }
        return (ofRow, firsts)
    }

    private func bucketStarts(
        _ starts: [Int64], keyCount: Int, _ context: QueryContext
    ) throws(QueryError) -> [Int64] {
        guard keyCount > 0, var first = lower.map(rule.bucket.floor) ?? starts.min(),
            // The end is behind the last instant.
            var last = upper.map({ $0 == .min ? .min : rule.bucket.floor($0 - 1) }) ?? starts.max()
        else { return [] }
        if reachesRows {
            first = min(first, starts.min() ?? first)
            last = max(last, starts.max() ?? last)
        }
        var buckets: [Int64] = []
        var next = first
        while next <= last {
            buckets.append(next)
            if buckets.count % 65_536 == 0 {
                try context.check()
                try context.charge(65_536 * 8 * keyCount, "the rows of FILL")
            }
            let following = rule.bucket.next(next)
            guard following > next else { break }
            next = following
        }
        return buckets
    }

    private static func index(of start: Int64, in buckets: [Int64]) -> Int? {
        var (low, high) = (0, buckets.count)
        while low < high {
            let middle = (low + high) / 2
            if buckets[middle] < start { low = middle + 1 } else { high = middle }
        }
        return low < buckets.count && buckets[low] == start ? low : nil
    }

    private func keyColumn(
        _ column: Vector, isBucket: Bool, _ firsts: [Int?], _ buckets: [Int64],
        _ context: QueryContext
    ) throws(QueryError) -> Vector {
        var builder = VectorBuilder(column.type, capacity: firsts.count * buckets.count)
        let column = column.expanded()
        builder.adopt(column)
        for first in firsts {
            try context.check()
            for bucket in buckets {
                if isBucket {
                    builder.append(UInt64(bitPattern: bucket))
                } else if let first {
                    builder.append(first, ofAdopted: column)
                }
            }
        }
        return builder.finish()
    }
}

/// Fills one column, key by key.
private struct Filler {
    private let column: FillColumn
    private let values: Vector
    private let buckets: [Int64]
    private var builder: VectorBuilder
    /// Of FILL with a value: its one row, and where its bytes begin.
    private var fallback: (row: Vector, base: Int)?

    init(_ column: FillColumn, _ values: Vector, _ buckets: [Int64]) {
        self.column = column
        self.values = values
        self.buckets = buckets
        builder = VectorBuilder(values.type)
        builder.adopt(values)
        if case .value(let constant) = column.mode {
            let row = Vector(constant, count: 1)
            fallback = (row, builder.adopt(row))
        }
    }

    mutating func finish() -> Vector { builder.finish() }

    /// - Parameter rows: Of each bucket its row, or -1.
    mutating func fill(_ rows: ArraySlice<Int>) {
        let first = rows.startIndex
        // The last bucket with a value, and the next one, once it has been looked for.
        var before: Int?
        var behind: Int?
        for place in rows.indices {
            let row = rows[place]
            if row >= 0, values.isValid(row) {
                before = place
                builder.append(row, ofAdopted: values)
            } else if row >= 0, !column.fillsNulls {
                // A NULL that counts is what follows it repeats.
                before = nil
                builder.appendNull()
            } else {
                switch column.mode {
                case .null: builder.appendNull()
                case .value:
                    if let fallback {
                        builder.append(0, ofAdopted: fallback.row, at: fallback.base)
                    }
                case .previous:
                    if let before {
                        builder.append(rows[before], ofAdopted: values)
                    } else {
                        builder.appendNull()
                    }
                case .linear:
                    if behind ?? first <= place {
                        behind =
                            rows[place...].firstIndex { $0 >= 0 && values.isValid($0) }
                            ?? rows.endIndex
                    }
                    guard let before, let behind, behind < rows.endIndex else {
                        builder.appendNull()
                        continue
                    }
                    appendLine(
                        (buckets[before - first], rows[before]),
                        (buckets[behind - first], rows[behind]), at: buckets[place - first])
                }
            }
        }
    }

    private mutating func appendLine(
        _ before: (time: Int64, row: Int), _ behind: (time: Int64, row: Int), at time: Int64
    ) {
        let (low, high) = (values.slot(before.row), values.slot(behind.row))
        let share =
            Double(Int128(time) - Int128(before.time))
            / Double(Int128(behind.time) - Int128(before.time))
        switch values.type {
        case .float64:
            let (a, b) = (Double(bitPattern: low), Double(bitPattern: high))
            builder.append((a + (b - a) * share).bitPattern)
        case .uint64:
            builder.append(UInt64(clamping: Self.between(Int128(low), Int128(high), share)))
        default:
            let (a, b) = (Int64(bitPattern: low), Int64(bitPattern: high))
            let value = Self.between(Int128(a), Int128(b), share)
            builder.append(UInt64(bitPattern: Int64(clamping: value)))
        }
    }

    /// Rounded to the nearest; both ends are integers of 64 bits.
    private static func between(_ low: Int128, _ high: Int128, _ share: Double) -> Int128 {
        low + Int128((Double(high - low) * share).rounded())
    }
}
