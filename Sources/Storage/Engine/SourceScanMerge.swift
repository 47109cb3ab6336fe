// Merges the slices of one series that overlap in time: one lane an input, its slices one after
// another. Rows of equal time become one, field by field, the latest that has the field first.

/// An input's rows in a merge.
///
/// Safe: `times` are the buffer's, as long as the lane's slice is loaded.
struct MergeLane {
    var input: Int
    var priority: Int
    var buffer: RowBuffer
    var times: UnsafeMutablePointer<Int64>
    var position: Int
    var end: Int
    /// Rows may share a time, and then `orders` are filled.
    var isChunk: Bool
    var nextSlice: Int
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
    /// By input; made when an input first takes part in a merge.
    var buffers: [RowBuffer?]
    /// By input: the last of its slices seen while a group is linked.
    var lastSlices: [Int]
    var candidates: [MergeCandidate] = []

    init(inputCount: Int) {
        buffers = Array(repeating: nil, count: inputCount)
        lastSlices = Array(repeating: -1, count: inputCount)
    }
}

extension ScanRun {
    /// Merges a group of slices behind what has been gathered, and hands over whenever that is much.
    mutating func mergeGroup<Consumer: ScanConsumer>(
        _ group: Range<Int>, _ series: UInt32, into consumer: inout Consumer,
        _ counters: inout ScanCounters
    ) throws(StorageError) {
        try openLanes(group, &counters)
        while !merge.lanes.isEmpty {
            let (lane, limit, isShared) = firstLane()
            if isShared || repeatsTime(lane) {
                resolve(time: merge.lanes[lane].times[merge.lanes[lane].position])
            } else {
                copyRun(lane, before: limit)
            }
            try closeFinished(&counters)
            guard gathered.count >= Self.rowsMax else { continue }
            if isLatest {
                gathered.keepLast()
            } else {
                try flush(series, into: &consumer, &counters)
                if consumer.isDone { break }
            }
        }
        merge.lanes.removeAll(keepingCapacity: true)
    }

    private mutating func openLanes(
        _ group: Range<Int>, _ counters: inout ScanCounters
    ) throws(StorageError) {
        merge.lanes.removeAll(keepingCapacity: true)
        for index in group.reversed() {
            let input = slices[index].input
            slices[index].next = merge.lastSlices[input]
            merge.lastSlices[input] = index
        }
        for index in group where merge.lastSlices[slices[index].input] == index {
            merge.lastSlices[slices[index].input] = -1
            try openLane(index, &counters)
        }
    }

    /// Adds a lane that begins with a slice, or with the first of those after it that has rows.
    private mutating func openLane(
        _ first: Int, _ counters: inout ScanCounters
    ) throws(StorageError) {
        let input = slices[first].input
        let isChunk = slices[first].kind == .chunk
        let priority = isChunk
            ? chunks[input - segments.count].input.priority : segments[input].input.priority
        let buffer: RowBuffer
        if let known = merge.buffers[input] {
            buffer = known
        } else {
            buffer = RowBuffer(fieldCount: plan.fieldTypes.count)
            merge.buffers[input] = buffer
        }
        var lane = MergeLane(
            input: input, priority: priority, buffer: buffer, times: buffer.times, position: 0, end: 0,
            isChunk: isChunk, nextSlice: first)
        if try load(&lane, &counters) { merge.lanes.append(lane) }
    }

    /// Brings a lane to its next slice with rows.
    private mutating func load(
        _ lane: inout MergeLane, _ counters: inout ScanCounters
    ) throws(StorageError) -> Bool {
        while lane.nextSlice >= 0 {
            let slice = slices[lane.nextSlice]
            lane.nextSlice = slice.next
            switch slice.kind {
            case .block:
                lane.buffer.removeAll()
                try lane.buffer.append(
                    block: slice.block, of: segments[slice.input].input, in: target.span,
                    counters: &counters)
                (lane.position, lane.end) = (0, lane.buffer.count)
            case .packed:
                lane.buffer = try segments[slice.input].packedRows(&counters)
                (lane.position, lane.end) = (slice.rowStart, slice.rowStart + slice.rowCount)
            case .chunk:
                let cursor = chunks[slice.input - segments.count]
                lane.buffer.removeAll()
                _ = lane.buffer.append(
                    positions: slice.rowStart, slice.rowCount, of: cursor.input, cursor.sorted,
                    withOrders: true)
                (lane.position, lane.end) = (0, lane.buffer.count)
            }
            lane.times = lane.buffer.times
            if lane.position < lane.end { return true }
        }
        return false
    }

    private mutating func closeFinished(_ counters: inout ScanCounters) throws(StorageError) {
        var index = 0
        while index < merge.lanes.count {
            guard merge.lanes[index].position >= merge.lanes[index].end else {
                index += 1
                continue
            }
            var lane = merge.lanes[index]
            if try load(&lane, &counters) {
                merge.lanes[index] = lane
                index += 1
            } else {
                merge.lanes.remove(at: index)
            }
        }
    }

    /// The lane with the least time, the least time of the others (nil without others), and whether
    /// these are equal.
    private func firstLane() -> (lane: Int, limit: Int64?, isShared: Bool) {
        var best = 0
        var bestTime = merge.lanes[0].times[merge.lanes[0].position]
        var limit: Int64?
        for index in 1..<merge.lanes.count {
            let time = merge.lanes[index].times[merge.lanes[index].position]
            if time < bestTime {
                limit = bestTime
                (best, bestTime) = (index, time)
            } else if limit.map({ time < $0 }) ?? true {
                limit = time
            }
        }
        return (best, limit, limit == bestTime)
    }

    private func repeatsTime(_ index: Int) -> Bool {
        let lane = merge.lanes[index]
        return lane.isChunk && lane.position + 1 < lane.end
            && lane.times[lane.position + 1] == lane.times[lane.position]
    }

    /// Copies rows of a lane up to the next lane's time, or to rows that share a time.
    private mutating func copyRun(_ index: Int, before limit: Int64?) {
        let lane = merge.lanes[index]
        let times = lane.times
        var end = lane.position + 1
        while end < lane.end {
            if let limit, times[end] >= limit { break }
            if lane.isChunk, end + 1 < lane.end, times[end + 1] == times[end] { break }
            end += 1
        }
        gathered.append(lane.position..<end, of: lane.buffer, types: plan.fieldTypes)
        merge.lanes[index].position = end
    }

    /// Makes one row of all rows at a time.
    private mutating func resolve(time: Int64) {
        merge.candidates.removeAll(keepingCapacity: true)
        for index in merge.lanes.indices {
            let lane = merge.lanes[index]
            var row = lane.position
            while row < lane.end, lane.times[row] == time {
                let candidate = MergeCandidate(
                    priority: lane.priority, order: lane.isChunk ? lane.buffer.orders[row] : 0,
                    lane: index, row: row)
                insert(candidate)
                row += 1
            }
            merge.lanes[index].position = row
        }
        gathered.reserve(1)
        let target = gathered.count
        gathered.times[target] = time
        for field in 0..<gathered.fieldCount {
            let slot = field * gathered.stride + target
            gathered.values[slot] = 0
            gathered.validity[slot] = 0
            for candidate in merge.candidates {
                let source = merge.lanes[candidate.lane].buffer
                let place = field * source.stride + candidate.row
                guard source.validity[place] != 0 else { continue }
                gathered.values[slot] = plan.fieldTypes[field] == .string
                    ? gathered.copyString(source.values[place], of: source) : source.values[place]
                gathered.validity[slot] = 1
                break
            }
            if gathered.validity[slot] == 0 { gathered.hasAbsent[field] = true }
        }
        gathered.count = target + 1
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
