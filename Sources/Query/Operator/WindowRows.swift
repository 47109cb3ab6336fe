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
    private static let what = "the rows of window functions"

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
        case .lag: return try offsetValues(direction: -1)
        case .lead: return try offsetValues(direction: 1)
        case .firstValue: return try frameValues { range, _ in range.first }
        case .lastValue: return try frameValues { range, _ in range.last }
        case .nthValue: return try frameValues(nthPlace)
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

    private func offsetValues(direction: Int) throws(QueryError) -> Vector {
        var builder = VectorBuilder(window.type, capacity: count)
        builder.adopt(arguments[0])
        var defaultBase = 0
        if arguments.count > 2 {
            try context.charge(
                arguments[0].bytes.count + arguments[2].bytes.count, Self.what)
            defaultBase = builder.adopt(arguments[2])
        }
        for place in 0..<count {
            var distance = 1
            if arguments.count > 1 {
                guard arguments[1].isValid(place) else { builder.appendNull(); continue }
                distance = Int(Int64(bitPattern: arguments[1].slot(place)))
            }
            let (step, first) = distance.multipliedReportingOverflow(by: direction)
            let (other, second) = place.addingReportingOverflow(step)
            if !first, !second, order.partitions[place].contains(other) {
                builder.append(other, ofAdopted: arguments[0])
            } else if arguments.count > 2 {
                builder.append(place, ofAdopted: arguments[2], at: defaultBase)
            } else {
                builder.appendNull()
            }
        }
        return builder.finish()
    }

    private func frameValues(
        _ pick: (Range<Int>, Int) throws(QueryError) -> Int?
    ) throws(QueryError) -> Vector {
        let extents = WindowExtents(window, order.partitions, order.peers, order.keys)
        var picked: [Int] = []
        picked.reserveCapacity(count)
        for place in 0..<count { picked.append(try pick(extents.range(place), place) ?? -1) }
        return arguments[0].gathered(orNull: picked)
    }

    private func nthPlace(_ range: Range<Int>, _ place: Int) throws(QueryError) -> Int? {
        guard arguments[1].isValid(place) else { return nil }
        let number = Int(Int64(bitPattern: arguments[1].slot(place)))
        guard number > 0 else {
            throw QueryError(
                .semantic, "the second argument of nth_value must be greater than zero",
                at: window.arguments[1].position)
        }
        let (index, overflow) = range.lowerBound.addingReportingOverflow(number - 1)
        return !overflow && range.contains(index) ? index : nil
    }

    // MARK: - Aggregates

    private func aggregated(_ call: AggregateCall) throws(QueryError) -> Vector {
        let extents = WindowExtents(window, order.partitions, order.peers, order.keys)
        let (plain, columns) = try arguments(of: call)
        var sorted = Frame(
            count: count, columns: columns.map { $0.gathered(order.rows) })
        sorted.context = context
        let accumulator = Accumulator(plain, order: nil)
        return window.extent.start == .unbounded && accumulator.takesValuesOnly
            ? try growing(sorted, extents, accumulator) : try each(sorted, extents, plain)
    }

    /// The call as one over the columns of a frame of their own, without its filter: what that leaves out
    /// is NULL in them.
    private func arguments(
        of call: AggregateCall
    ) throws(QueryError) -> (AggregateCall, [Vector]) {
        var plain = call
        plain.arguments = call.arguments.enumerated().map {
            BoundExpression(.column($0), $1.type, at: $1.position)
        }
        var columns = try evaluateAll(call.arguments, frame).map { $0.expanded() }
        guard let filter = call.filter else { return (plain, columns) }
        plain.filter = nil
        if columns.isEmpty {
            plain.function = .count
            plain.arguments = [BoundExpression(.column(0), .int64, at: filter.position)]
            columns = [Vector(.int64(0), count: count).expanded()]
        }
        let (mask, _) = trueMask(try filter.evaluate(frame))
        for row in mask.indices where mask[row] == 0 { columns[0].setNull(row) }
        return (plain, columns)
    }

    /// Each different frame is a group of its own. Some are added at a time, and their states ended before
    /// those of the next begin.
    private func each(
        _ sorted: Frame, _ extents: WindowExtents, _ call: AggregateCall
    ) throws(QueryError) -> Vector {
        var results = VectorBuilder(call.type)
        var groups: [Int] = []
        groups.reserveCapacity(count)
        var runs: [GroupRun] = []
        var last: Range<Int>?
        // Groups so far, and how many of them have their results.
        var (known, ended) = (0, 0)
        var work = 0
        let workMax =
            min(Self.workBytesMax, context.memoryBytesMax / 8) / sorted.bytesOfLongestRow
        for place in 0..<count {
            let range = extents.range(place)
            if range != last {
                last = range
                work += range.count + 1
                if !range.isEmpty {
                    runs.append(
                        GroupRun(
                            start: range.lowerBound, end: range.upperBound, group: known - ended))
                }
                known += 1
            }
            groups.append(known - 1)
            guard work > workMax || place == count - 1 else { continue }
            try context.check()
            try append(runs, known - ended, sorted, call, to: &results)
            ended = known
            work = 0
            runs.removeAll(keepingCapacity: true)
        }
        return results.finish().gathered(groups)
    }

    /// What the states of some frames may take before they are ended.
    private static var workBytesMax: Int { 8 << 20 }

    private func append(
        _ runs: [GroupRun], _ groupCount: Int, _ sorted: Frame, _ call: AggregateCall,
        to results: inout VectorBuilder
    ) throws(QueryError) {
        guard groupCount > 0 else { return }
        var accumulator = Accumulator(call, order: nil)
        accumulator.resize(groupCount)
        try accumulator.add(sorted, runs, times: nil, rowSeries: [], slice: 0)
        let held = accumulator.bytesPerGroup * groupCount + accumulator.looseBytes
        try context.charge(held, Self.what)
        let before = results.byteCount
        results.append(try accumulator.finish(groupCount))
        try context.charge(results.byteCount - before - held, Self.what)
    }

    /// Frames that begin with their partition: each has the rows of the one before, and some more.
    private func growing(
        _ sorted: Frame, _ extents: WindowExtents, _ empty: Accumulator
    ) throws(QueryError) -> Vector {
        var accumulator = empty
        let held = count * accumulator.bytesPerGroup
        try context.charge(held, Self.what)
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
        let results = try accumulator.finish(group + 1)
        try context.charge(results.byteCount - held, Self.what)
        return results.gathered(groups)
    }
}

extension Frame {
    /// An estimate of what an aggregate may keep of a row.
    fileprivate var bytesOfLongestRow: Int {
        columns.reduce(8) { sum, column in
            guard column.type.usesBytes else { return sum + 8 }
            let lengths = (0..<column.count).lazy.map { row in
                column.isValid(row) ? StringSlot(rawValue: column.slot(row)).length : 0
            }
            return sum + 8 + (lengths.max() ?? 0)
        }
    }
}
