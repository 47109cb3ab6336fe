// Merges the slices of one series that overlap in time. A slice becomes a lane when the merge
// reaches its first time; rows of equal time become one, field by field, the latest that has the
// field first.

/// A slice's rows in a merge.
///
/// Safe: the pointers are the buffer's, which doesn't change while the lane lives, or the chunk's,
/// which the plan keeps.
struct MergeLane {
    /// Nil while the rows are read where they lie in a chunk that is in order itself; only `times`
    /// and `orders` are good then.
    var buffer: RowBuffer?
    /// That chunk's cursor, and the first row's place in it.
    var chunk = 0
    var chunkStart = 0
    /// Whether the buffer goes back to the spare ones; else a cursor owns it.
    var isSpare: Bool
    var priority: Int
    /// Rows may share a time, and `orders` are filled.
    var isChunk: Bool
    var position: Int
    var end: Int
    var times: UnsafeMutablePointer<Int64>
    var orders: UnsafeMutablePointer<UInt32>
    var values: UnsafeMutablePointer<UInt64>
    var validity: UnsafeMutablePointer<UInt8>
    var stride: Int
}

/// A row among others of the same time.
struct MergeCandidate {
    var priority: Int
    var order: UInt32
    var lane: Int
    var row: Int

    /// Whether this row was written later than another.
    func isLater(than other: MergeCandidate) -> Bool {
        if priority != other.priority { return priority > other.priority }
        return order != other.order ? order > other.order : lane > other.lane
    }
}

/// What merges reuse.
struct MergeState {
    var lanes: [MergeLane] = []
    var spares: [RowBuffer] = []
    var candidates: [MergeCandidate] = []
}

extension ScanRun {
    /// Merges a group of slices behind what has been gathered, and hands over whenever that is much.
    mutating func mergeGroup<Consumer: ScanConsumer>(
        _ group: Range<Int>, _ series: UInt32, into consumer: inout Consumer,
        _ counters: inout ScanCounters
    ) throws(StorageError) {
        var pending = group.lowerBound
        while true {
            if merge.lanes.isEmpty {
                guard pending < group.upperBound else { break }
                try openLane(pending, &counters)
                pending += 1
                continue
            }
            let (first, time, limit) = firstLane()
            if pending < group.upperBound, slices[pending].first <= time {
                try openLane(pending, &counters)
                pending += 1
                continue
            }
            if limit == time || repeatsTime(first) {
                resolve(time: time)
            } else {
                let start = pending < group.upperBound ? slices[pending].first : nil
                copyRun(first, before: limit.map { min($0, start ?? $0) } ?? start)
            }
            guard gathered.count >= Self.rowsMax else { continue }
            if isLatest {
                gathered.keepLast()
            } else {
                try flush(series, into: &consumer, &counters)
                if consumer.isDone { break }
            }
        }
        while !merge.lanes.isEmpty { closeLane(merge.lanes.count - 1) }
    }

    /// Adds a slice's rows, if it has some.
    private mutating func openLane(
        _ index: Int, _ counters: inout ScanCounters
    ) throws(StorageError) {
        let slice = slices[index]
        let buffer: RowBuffer
        let priority: Int
        var start = 0
        switch slice.kind {
        case .block:
            buffer = spareBuffer()
            priority = segments[slice.input].input.priority
            try buffer.append(
                block: slice.block, of: segments[slice.input].input,
                in: TimeSpan(first: slice.first, last: slice.last),
                counters: &counters)
        case .packed:
            buffer = try segments[slice.input].packedRows(&counters)
            priority = segments[slice.input].input.priority
            start = slice.rowStart
        case .chunk:
            if let inPlace = chunks[slice.input - segments.count].inPlace {
                openInPlace(slice, inPlace)
                return
            }
            let cursor = chunks[slice.input - segments.count]
            buffer = spareBuffer()
            priority = cursor.input.priority
            _ = buffer.append(
                positions: slice.rowStart, slice.rowCount, of: cursor.input, cursor.sorted,
                withOrders: true)
        }
        let lane = MergeLane(
            buffer: buffer, isSpare: slice.kind != .packed, priority: priority,
            isChunk: slice.kind == .chunk, position: start,
            end: slice.kind == .packed ? start + slice.rowCount : buffer.count, times: buffer.times,
            orders: buffer.orders, values: buffer.values, validity: buffer.validity,
            stride: buffer.stride)
        merge.lanes.append(lane)
        if lane.position >= lane.end { closeLane(merge.lanes.count - 1) }
    }

    /// Adds a slice of a chunk without copying its rows first: most are copied straight behind what
    /// has been gathered.
    private mutating func openInPlace(_ slice: ScanSlice, _ chunk: ChunkColumns) {
        // Safe: a slice lies below the view's count, where the chunk doesn't change.
        merge.lanes.append(
            MergeLane(
                buffer: nil, chunk: slice.input - segments.count, chunkStart: slice.rowStart,
                isSpare: false, priority: chunk.priority, isChunk: true, position: 0,
                end: slice.rowCount, times: chunk.times + slice.rowStart,
                orders: chunk.orders + slice.rowStart, values: gathered.values,
                validity: gathered.validity, stride: 0))
    }

    /// Copies what is left of a lane that is read in place.
    private mutating func fillBuffer(_ index: Int) {
        let buffer = spareBuffer()
        let (position, end) = (merge.lanes[index].position, merge.lanes[index].end)
        let chunk = merge.lanes[index].chunk
        _ = buffer.append(
            positions: merge.lanes[index].chunkStart + position, end - position,
            of: chunks[chunk].input, chunks[chunk].sorted, withOrders: true)
        merge.lanes[index] = MergeLane(
            buffer: buffer, isSpare: true, priority: merge.lanes[index].priority, isChunk: true,
            position: 0, end: buffer.count, times: buffer.times, orders: buffer.orders,
            values: buffer.values, validity: buffer.validity, stride: buffer.stride)
    }

    private mutating func spareBuffer() -> RowBuffer {
        let buffer = merge.spares.popLast() ?? RowBuffer(fieldCount: plan.fieldTypes.count)
        buffer.removeAll()
        return buffer
    }

    private mutating func closeLane(_ index: Int) {
        let lane = merge.lanes.remove(at: index)
        if lane.isSpare, let buffer = lane.buffer { merge.spares.append(buffer) }
    }

    /// The lane with the least time, that time, and the least time of the others, if there are some.
    private func firstLane() -> (lane: Int, time: Int64, limit: Int64?) {
        var best = 0
        var bestTime = merge.lanes[0].times[merge.lanes[0].position]
        guard merge.lanes.count > 1 else { return (0, bestTime, nil) }
        var limit = Int64.max
        for index in 1..<merge.lanes.count {
            let time = merge.lanes[index].times[merge.lanes[index].position]
            if time < bestTime {
                limit = bestTime
                (best, bestTime) = (index, time)
            } else if time < limit {
                limit = time
            }
        }
        return (best, bestTime, limit)
    }

    private func repeatsTime(_ index: Int) -> Bool {
        guard merge.lanes[index].isChunk else { return false }
        let position = merge.lanes[index].position
        let times = merge.lanes[index].times
        return position + 1 < merge.lanes[index].end && times[position + 1] == times[position]
    }

    /// Copies rows of a lane up to the next lane's time, or to rows that share a time.
    private mutating func copyRun(_ index: Int, before limit: Int64?) {
        let (position, laneEnd) = (merge.lanes[index].position, merge.lanes[index].end)
        let times = merge.lanes[index].times
        let isChunk = merge.lanes[index].isChunk
        var end = position + 1
        while end < laneEnd {
            if let limit, times[end] >= limit { break }
            if isChunk, end + 1 < laneEnd, times[end + 1] == times[end] { break }
            end += 1
        }
        if let buffer = merge.lanes[index].buffer {
            gathered.append(position..<end, of: buffer, types: plan.fieldTypes)
        } else if let chunk = chunks[merge.lanes[index].chunk].inPlace {
            gathered.append(
                inPlace: merge.lanes[index].chunkStart + position, end - position, of: chunk)
        }
        merge.lanes[index].position = end
        if end >= laneEnd { closeLane(index) }
    }

    /// Makes one row of all rows at a time.
    private mutating func resolve(time: Int64) {
        merge.candidates.removeAll(keepingCapacity: true)
        var isFinished = false
        for index in 0..<merge.lanes.count {
            if merge.lanes[index].buffer == nil,
                merge.lanes[index].times[merge.lanes[index].position] == time
            {
                fillBuffer(index)
            }
            var row = merge.lanes[index].position
            let end = merge.lanes[index].end
            let times = merge.lanes[index].times
            while row < end, times[row] == time {
                insert(
                    MergeCandidate(
                        priority: merge.lanes[index].priority,
                        order: merge.lanes[index].isChunk ? merge.lanes[index].orders[row] : 0,
                        lane: index, row: row))
                row += 1
            }
            merge.lanes[index].position = row
            if row >= end { isFinished = true }
        }
        gathered.reserve(1)
        gathered.times[gathered.count] = time
        for field in 0..<plan.fieldTypes.count { resolveField(field) }
        gathered.count += 1
        guard isFinished else { return }
        for index in (0..<merge.lanes.count).reversed()
        where merge.lanes[index].position >= merge.lanes[index].end { closeLane(index) }
    }

    private func resolveField(_ field: Int) {
        let slot = field * gathered.stride + gathered.count
        for index in 0..<merge.candidates.count {
            let lane = merge.candidates[index].lane
            let place = field * merge.lanes[lane].stride + merge.candidates[index].row
            guard merge.lanes[lane].validity[place] != 0 else { continue }
            let value = merge.lanes[lane].values[place]
            gathered.values[slot] = value
            // A lane that has a row at a shared time has filled its buffer.
            if plan.fieldTypes[field] == .string, let buffer = merge.lanes[lane].buffer {
                gathered.values[slot] = gathered.copyString(value, of: buffer)
            }
            gathered.validity[slot] = 1
            return
        }
        gathered.values[slot] = 0
        gathered.validity[slot] = 0
        gathered.hasAbsent[field] = true
    }

    /// Keeps the candidates sorted, latest first. There are few.
    private mutating func insert(_ candidate: MergeCandidate) {
        var place = merge.candidates.count
        merge.candidates.append(candidate)
        while place > 0, candidate.isLater(than: merge.candidates[place - 1]) {
            merge.candidates[place] = merge.candidates[place - 1]
            place -= 1
        }
        merge.candidates[place] = candidate
    }
}
