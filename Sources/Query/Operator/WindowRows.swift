// Window functions over rows in memory: sorted by partition and order once for each different window, then
// computed from partition to partition.

internal import ApusStorage

/// Rows sorted for one window, and where partitions and groups of peers end.
private struct WindowOrder {
    /// Place in the order → row.
    let rows: [Int]
    /// Of each place, its partition's first place and the place behind its last.
    let partitions: [Range<Int>]
    /// Of each place, its peers: rows equal in the order's keys.
    let peers: [Range<Int>]
    /// The order's keys in the order of places.
    let keys: [Vector]

    init(_ window: WindowCall, _ frame: Frame) throws(QueryError) {
        let partition = try evaluateAll(window.partitionBy, frame).map { $0.expanded() }
        let keys = try evaluateAll(window.orderBy.map(\.expression), frame).map { $0.expanded() }
        let partitionKeys = window.partitionBy.map {
            SortKey(expression: $0, isDescending: false, nullsFirst: false)
        }
        let all = partitionKeys + window.orderBy
        let rows =
            all.isEmpty
            ? Array(0..<frame.count)
            : RowSort.order(partition + keys, all, count: frame.count, limit: nil)
        self.rows = rows
        self.keys = keys.map { $0.gathered(rows) }
        let sorted = partition.map { $0.gathered(rows) }
        partitions = Self.stretches(sorted, partitionKeys, 0..<frame.count)
        var peers: [Range<Int>] = []
        var start = 0
        while start < frame.count {
            peers += Self.stretches(self.keys, window.orderBy, partitions[start])
            start = partitions[start].upperBound
        }
        self.peers = peers
    }

    /// Of each place of a range the stretch of equal keys around it.
    private static func stretches(
        _ columns: [Vector], _ keys: [SortKey], _ range: Range<Int>
    ) -> [Range<Int>] {
        var result: [Range<Int>] = []
        var start = range.lowerBound
        while start < range.upperBound {
            var end = start + 1
            while end < range.upperBound,
                zip(columns, keys).allSatisfy({ SortBuffer.compare($0, start, end, $1) == 0 })
            {
                end += 1
            }
            result.append(contentsOf: repeatElement(start..<end, count: end - start))
            start = end
        }
        return result
    }
}

extension QueryEngine {
    /// A column for each window function, in the order of the rows.
    func windowColumns(
        _ windows: [WindowCall], _ frame: Frame, _ context: QueryContext
    ) throws(QueryError) -> [Vector] {
        try context.charge(
            frame.count * 64 * max(1, windows.count), "the rows of window functions")
        var orders: [(window: WindowCall, order: WindowOrder)] = []
        var columns: [Vector] = []
        for window in windows {
            try context.check()
            let known = orders.first {
                $0.window.partitionBy == window.partitionBy && $0.window.orderBy == window.orderBy
            }
            let order: WindowOrder
            if let known {
                order = known.order
            } else {
                order = try WindowOrder(window, frame)
                orders.append((window, order))
            }
            let sorted = try WindowFunction(window, order, frame, context).values()
            var places = [Int](repeating: 0, count: frame.count)
            for (place, row) in order.rows.enumerated() { places[row] = place }
            columns.append(sorted.gathered(places))
        }
        return columns
    }
}

/// One function over rows in the order of its window.
private struct WindowFunction {
    let window: WindowCall
    let order: WindowOrder
    let context: QueryContext
    /// In the order of places.
    let arguments: [Vector]
    let frame: Frame

    init(
        _ window: WindowCall, _ order: WindowOrder, _ frame: Frame, _ context: QueryContext
    ) throws(QueryError) {
        self.window = window
        self.order = order
        self.context = context
        self.frame = frame
        arguments = try evaluateAll(window.arguments, frame).map {
            $0.expanded().gathered(order.rows)
        }
    }

    private var count: Int { order.rows.count }

    func values() throws(QueryError) -> Vector {
        switch window.function {
        case .rowNumber: return numbers { place in place - order.partitions[place].lowerBound + 1 }
        case .rank:
            return numbers { place in
                order.peers[place].lowerBound - order.partitions[place].lowerBound + 1
            }
        case .denseRank: return denseRanks()
        case .percentRank:
            return shares { place in
                let size = order.partitions[place].count
                let before = order.peers[place].lowerBound - order.partitions[place].lowerBound
                return size > 1 ? Double(before) / Double(size - 1) : 0
            }
        case .cumulativeDistribution:
            return shares { place in
                let upTo = order.peers[place].upperBound - order.partitions[place].lowerBound
                return Double(upTo) / Double(order.partitions[place].count)
            }
        case .ntile: return try tiles()
        case .lag: return offsetValues(direction: -1)
        case .lead: return offsetValues(direction: 1)
        case .firstValue: return try frameValues { range, _ in range.first }
        case .lastValue: return try frameValues { range, _ in range.last }
        case .nthValue:
            let numbers = arguments[1]
            return try frameValues { range, place in
                guard numbers.isValid(place) else { return nil }
                let (index, overflow) = range.lowerBound.addingReportingOverflow(
                    Int(Int64(bitPattern: numbers.slot(place))) &- 1)
                return !overflow && range.contains(index) ? index : nil
            }
        case .aggregate(let call): return try aggregated(call)
        }
    }

    // MARK: - Numbers

    private func numbers(_ body: (Int) -> Int) -> Vector {
        Vector(
            type: .int64, count: count,
            values: (0..<count).map { UInt64(bitPattern: Int64(body($0))) })
    }

    private func shares(_ body: (Int) -> Double) -> Vector {
        Vector(type: .float64, count: count, values: (0..<count).map { body($0).bitPattern })
    }

    private func denseRanks() -> Vector {
        var rank = 0
        return numbers { place in
            if place == order.partitions[place].lowerBound {
                rank = 1
            } else if place == order.peers[place].lowerBound {
                rank += 1
            }
            return rank
        }
    }

    /// Larger tiles first, as PostgreSQL has them.
    private func tiles() throws(QueryError) -> Vector {
        var builder = VectorBuilder(.int64, capacity: count)
        for place in 0..<count {
            guard arguments[0].isValid(place) else { builder.appendNull(); continue }
            let tiles = Int(Int64(bitPattern: arguments[0].slot(place)))
            guard tiles > 0 else {
                throw QueryError(
                    .semantic, "ntile needs a number above zero",
                    at: window.arguments[0].position)
            }
            let size = order.partitions[place].count
            let index = place - order.partitions[place].lowerBound
            let (small, larger) = size.quotientAndRemainder(dividingBy: tiles)
            let inLarger = larger * (small + 1)
            let tile =
                index < inLarger
                ? index / (small + 1) : larger + (index - inLarger) / max(1, small)
            builder.append(UInt64(tile + 1))
        }
        return builder.finish()
    }

    // MARK: - Values of other rows

    private func offsetValues(direction: Int) -> Vector {
        var builder = VectorBuilder(window.type, capacity: count)
        for place in 0..<count {
            var distance = 1
            if arguments.count > 1 {
                guard arguments[1].isValid(place) else { builder.appendNull(); continue }
                distance = Int(Int64(bitPattern: arguments[1].slot(place)))
            }
            let (step, first) = distance.multipliedReportingOverflow(by: direction)
            let (other, second) = place.addingReportingOverflow(step)
            if !first, !second, order.partitions[place].contains(other) {
                builder.append(other, of: arguments[0])
            } else if arguments.count > 2 {
                builder.append(place, of: arguments[2])
            } else {
                builder.appendNull()
            }
        }
        return builder.finish()
    }

    private func frameValues(_ pick: (Range<Int>, Int) -> Int?) throws(QueryError) -> Vector {
        let extents = try WindowExtents(window, order.partitions, order.peers, order.keys)
        var builder = VectorBuilder(window.type, capacity: count)
        for place in 0..<count {
            if let other = pick(extents.range(place), place) {
                builder.append(other, of: arguments[0])
            } else {
                builder.appendNull()
            }
        }
        return builder.finish()
    }

    // MARK: - Aggregates

    private func aggregated(_ call: AggregateCall) throws(QueryError) -> Vector {
        let extents = try WindowExtents(window, order.partitions, order.peers, order.keys)
        // The arguments in the order of places, as the columns of a frame of their own.
        var plain = call
        var columns = try evaluateAll(call.arguments, frame)
        plain.arguments = call.arguments.enumerated().map {
            BoundExpression(.column($0), $1.type, at: $1.position)
        }
        if let filter = call.filter {
            plain.filter = BoundExpression(.column(columns.count), .bool, at: filter.position)
            columns.append(try filter.evaluate(frame))
        }
        var sorted = Frame(
            count: count, columns: columns.map { $0.expanded().gathered(order.rows) })
        sorted.context = context
        var accumulator = Accumulator(plain, order: nil)
        let groups =
            window.extent.start == .unbounded && accumulator.takesValuesOnly && call.filter == nil
            ? try addGrowing(sorted, extents, to: &accumulator)
            : try addEach(sorted, extents, to: &accumulator)
        return try accumulator.finish((groups.last ?? -1) + 1).gathered(groups)
    }

    /// Each different frame is a group of its own. Returns the group of each place.
    private func addEach(
        _ sorted: Frame, _ extents: WindowExtents, to accumulator: inout Accumulator
    ) throws(QueryError) -> [Int] {
        var groups: [Int] = []
        groups.reserveCapacity(count)
        var runs: [GroupRun] = []
        var last: Range<Int>?
        var group = -1
        var work = 0
        for place in 0..<count {
            let range = extents.range(place)
            if range != last {
                last = range
                group += 1
                work += range.count
                if !range.isEmpty {
                    runs.append(
                        GroupRun(start: range.lowerBound, end: range.upperBound, group: group))
                }
            }
            groups.append(group)
            guard work > 1 << 20 || place == count - 1 else { continue }
            work = 0
            accumulator.resize(group + 1)
            try accumulator.add(sorted, runs, times: nil, rowSeries: [], slice: 0)
            runs.removeAll(keepingCapacity: true)
            try context.check()
        }
        return groups
    }

    /// Frames that begin with their partition: each has the rows of the one before, and some more.
    private func addGrowing(
        _ sorted: Frame, _ extents: WindowExtents, to accumulator: inout Accumulator
    ) throws(QueryError) -> [Int] {
        var groups: [Int] = []
        groups.reserveCapacity(count)
        var last: Range<Int>?
        var group = -1
        func grow(_ argument: ColumnRun?) {
            for place in 0..<count {
                let range = extents.range(place)
                if range != last {
                    group += 1
                    accumulator.resize(group + 1)
                    var start = range.lowerBound
                    if let last, last.lowerBound == range.lowerBound,
                        last.upperBound <= range.upperBound
                    {
                        accumulator.inherit(group, from: group - 1)
                        start = last.upperBound
                    }
                    if let argument {
                        accumulator.add(group, argument.slice(start, range.upperBound))
                    } else {
                        accumulator.addRows(group, range.upperBound - start)
                    }
                    last = range
                }
                groups.append(group)
            }
        }
        try context.check()
        if sorted.columns.isEmpty {
            grow(nil)
        } else {
            Accumulator.withRuns(sorted.columns) { grow($0.first) }
        }
        return groups
    }
}
