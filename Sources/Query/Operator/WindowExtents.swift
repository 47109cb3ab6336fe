// Which rows of its partition a window function looks at from each row.

internal import ApusStorage

struct WindowExtents {
    private let extent: WindowCall.Extent
    private let partitions: [Range<Int>]
    private let peers: [Range<Int>]
    /// RANGE with a distance: of each place the ends that its key's distance comes to.
    private var starts: [Int] = []
    private var ends: [Int] = []
    /// GROUPS: of each place the number of its peers within the partition, and where each begins.
    private var groupOfPlace: [Int] = []
    private var groupStarts: [Int] = []

    init(
        _ window: WindowCall, _ partitions: [Range<Int>], _ peers: [Range<Int>], _ keys: [Vector]
    ) {
        extent = window.extent
        self.partitions = partitions
        self.peers = peers
        if extent.unit == .groups {
            for place in peers.indices {
                if peers[place].lowerBound == place { groupStarts.append(place) }
                groupOfPlace.append(groupStarts.count - 1)
            }
        } else if extent.unit == .range, let key = keys.first, let order = window.orderBy.first {
            let keyRange = KeyDistance(
                key: key, order: order, partitions: partitions, zone: window.zone.rules)
            if case .offset(let distance, let isPreceding) = extent.start {
                starts = keyRange.places(distance, isPreceding: isPreceding, isStart: true)
            }
            if case .offset(let distance, let isPreceding) = extent.end {
                ends = keyRange.places(distance, isPreceding: isPreceding, isStart: false)
            }
        }
    }

    func range(_ place: Int) -> Range<Int> {
        let partition = partitions[place]
        let start = end(extent.start, place, isStart: true)
        let end = end(extent.end, place, isStart: false)
        let lower = min(max(start, partition.lowerBound), partition.upperBound)
        return lower..<max(lower, min(end, partition.upperBound))
    }

    /// The first place of the frame, or the one behind its last.
    private func end(_ bound: WindowCall.Bound, _ place: Int, isStart: Bool) -> Int {
        let partition = partitions[place]
        switch bound {
        case .unbounded: return isStart ? partition.lowerBound : partition.upperBound
        case .currentRow:
            if extent.unit == .rows { return isStart ? place : place + 1 }
            return isStart ? peers[place].lowerBound : peers[place].upperBound
        case .offset(let distance, let isPreceding):
            switch extent.unit {
            case .range: return isStart ? starts[place] : ends[place]
            case .rows:
                let moved = Self.moved(place, distance, isPreceding)
                return isStart ? moved : moved == .max ? moved : moved + 1
            case .groups:
                let group = Self.moved(groupOfPlace[place], distance, isPreceding)
                let wanted = isStart || group == .max ? group : group + 1
                if wanted < 0 { return partition.lowerBound }
                return wanted < groupStarts.count ? groupStarts[wanted] : partition.upperBound
            }
        }
    }

    private static func moved(_ place: Int, _ distance: Constant, _ isPreceding: Bool) -> Int {
        let distance = Int(distance.int64)
        let (sum, overflow) =
            isPreceding
            ? place.subtractingReportingOverflow(distance)
            : place.addingReportingOverflow(distance)
        return overflow ? (isPreceding ? -1 : .max) : sum
    }
}

/// Distances along the one key of a window's order.
private struct KeyDistance {
    let key: Vector
    let order: SortKey
    let partitions: [Range<Int>]
    /// Whose calendar the days and months of a distance from a timestamp go by.
    let zone: TimeZoneRules

    /// For each place the first one that is not before its key moved by the distance, or the first behind.
    func places(_ distance: Constant, isPreceding: Bool, isStart: Bool) -> [Int] {
        var result: [Int] = []
        result.reserveCapacity(key.count)
        // Preceding is towards smaller keys, unless the order is descending.
        let towardsSmaller = isPreceding != order.isDescending
        var partition = 0..<0
        var valid = 0..<0
        for place in 0..<key.count {
            if partitions[place] != partition {
                partition = partitions[place]
                valid = self.valid(partition)
            }
            guard key.isValid(place) else {
                // NULLs are peers of each other, and no distance from anything.
                result.append(Self.nullEnd(partition, valid, isStart: isStart))
                continue
            }
            let wanted = moved(place, distance, towardsSmaller)
            var (low, high) = (valid.lowerBound, valid.upperBound)
            while low < high {
                let middle = (low + high) / 2
                let comparison = compare(middle, wanted)
                let isBefore = order.isDescending ? comparison > 0 : comparison < 0
                if isBefore || (!isStart && comparison == 0) {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            result.append(low)
        }
        return result
    }

    /// The places of a partition whose key is not NULL.
    private func valid(_ partition: Range<Int>) -> Range<Int> {
        var (low, high) = (partition.lowerBound, partition.upperBound)
        while low < high, !key.isValid(low) { low += 1 }
        while high > low, !key.isValid(high - 1) { high -= 1 }
        return low..<high
    }

    private static func nullEnd(
        _ partition: Range<Int>, _ valid: Range<Int>, isStart: Bool
    ) -> Int {
        let nullsAreFirst = valid.lowerBound > partition.lowerBound
        if isStart { return nullsAreFirst ? partition.lowerBound : valid.upperBound }
        return nullsAreFirst ? valid.lowerBound : partition.upperBound
    }

    /// A place's key moved by the distance, at the end of its type where it would leave it.
    private func moved(_ place: Int, _ distance: Constant, _ towardsSmaller: Bool) -> UInt64 {
        let slot = key.slot(place)
        switch key.type {
        case .float64:
            let value = Double(bitPattern: slot)
            return (towardsSmaller ? value - distance.float64 : value + distance.float64).bitPattern
        case .uint64:
            let (sum, overflow) =
                towardsSmaller
                ? slot.subtractingReportingOverflow(distance.slot)
                : slot.addingReportingOverflow(distance.slot)
            return overflow ? (towardsSmaller ? 0 : .max) : sum
        case .int64:
            let value = Int64(bitPattern: slot)
            let (sum, overflow) =
                towardsSmaller
                ? value.subtractingReportingOverflow(distance.int64)
                : value.addingReportingOverflow(distance.int64)
            return UInt64(bitPattern: overflow ? (towardsSmaller ? .min : .max) : sum)
        default: return movedTime(Int64(bitPattern: slot), distance, towardsSmaller)
        }
    }

    private func movedTime(
        _ time: Int64, _ distance: Constant, _ towardsSmaller: Bool
    ) -> UInt64 {
        var interval = distance.interval
        let end: Int64 = towardsSmaller ? .min : .max
        if towardsSmaller {
            guard let negated = interval.negated else { return UInt64(bitPattern: end) }
            interval = negated
        }
        let day = CalendarMath.nanosecondsPerDay
        let moved: Int64? =
            switch key.type {
            case .date:
                interval.added(toLocal: time.multipliedReportingOverflow(by: day).partialValue)
                    // Days that are not nearer than that.
                    .map { CalendarMath.floorDivide($0, day) }
                    .map { towardsSmaller && !Self.isWholeDays(interval) ? $0 + 1 : $0 }
            case .timestamp: interval.added(to: time, zone: zone)
            default: interval.added(toLocal: time)
            }
        return UInt64(bitPattern: moved ?? end)
    }

    private static func isWholeDays(_ interval: Interval) -> Bool {
        interval.nanoseconds % CalendarMath.nanosecondsPerDay == 0
    }

    private func compare(_ place: Int, _ wanted: UInt64) -> Int {
        let slot = key.slot(place)
        switch key.type {
        case .float64: return compareDoubles(Double(bitPattern: slot), Double(bitPattern: wanted))
        case .uint64: return slot == wanted ? 0 : slot < wanted ? -1 : 1
        default:
            let (a, b) = (Int64(bitPattern: slot), Int64(bitPattern: wanted))
            return a == b ? 0 : a < b ? -1 : 1
        }
    }
}
