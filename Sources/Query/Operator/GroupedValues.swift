// The distinct values of all groups in one table, so that a group costs nothing but its values.
//
// Safe: bytes are copied into the table; runs hold at least `count` slots, as `ColumnRun` promises.

internal import ApusStorage

/// Gives each pair of group and value a number, from 0.
struct GroupedValues {
    let type: ResultType
    private var slots = SlotTable()
    /// Of strings and intervals: the group's number in four bytes, then the value's, which for intervals
    /// are those that equal ones have in common.
    private var texts = GroupTable()
    /// Of intervals, each value as it came first.
    private var intervals: [IntervalValue] = []
    private var key: [UInt8] = []

    init(_ type: ResultType) { self.type = type }

    var count: Int { type.usesBytes ? texts.count : slots.count }
    var byteCount: Int {
        type.usesBytes ? texts.byteCount + intervals.capacity * 16 : slots.byteCount
    }

    /// Calls `body` with the number of every value that is not NULL and how many neighbouring rows have
    /// it: states and levels stay for many rows, which need one look into the table.
    @inline(__always)
    mutating func forEach(
        _ group: Int, _ run: ColumnRun, _ body: (_ entry: Int, _ rowCount: Int) -> Void
    ) {
        var previous: Int?
        var repeats = 0
        for row in 0..<run.count where run.isValid(row) {
            if let previous, isSame(run, row, previous) {
                repeats &+= 1
                continue
            }
            if let previous { body(entry(group, run, previous), repeats) }
            previous = row
            repeats = 1
        }
        if let previous { body(entry(group, run, previous), repeats) }
    }

    @inline(__always)
    private func isSame(_ run: ColumnRun, _ row: Int, _ other: Int) -> Bool {
        // One place of a dictionary, or equal bytes in another.
        if run.values[row] == run.values[other] { return true }
        return type.usesBytes && compareBytes(run.bytes(row), run.bytes(other)) == 0
    }

    @inline(__always)
    private mutating func entry(_ group: Int, _ run: ColumnRun, _ row: Int) -> Int {
        if type.usesBytes { return entry(group, run.bytes(row)) }
        let slot = run.values[row]
        return slots.entry(group, type == .float64 ? KeyEncoder.canonical(slot) : slot)
    }

    private mutating func entry(_ group: Int, _ bytes: UnsafeRawBufferPointer) -> Int {
        key.removeAll(keepingCapacity: true)
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: group)) { key.append(contentsOf: $0) }
        guard type == .interval else {
            key.append(contentsOf: bytes)
            return texts.group(of: key)
        }
        let interval = IntervalValue(bytes)
        key += interval.canonical.bytes
        let entry = texts.group(of: key)
        if entry == intervals.count { intervals.append(interval) }
        return entry
    }

    /// The number here of another table's value; `groups[i]` is where its group i belongs here.
    mutating func entry(of entry: Int, in other: GroupedValues, _ groups: [Int]) -> Int {
        guard type.usesBytes else {
            return slots.entry(groups[other.slots.group(entry)], other.slots.slot(entry))
        }
        if type == .interval {
            return other.intervals[entry].bytes.withUnsafeBytes {
                self.entry(groups[other.group(entry)], $0)
            }
        }
        return other.texts.withKey(entry) { bytes in
            self.entry(
                groups[Int(bytes.loadUnaligned(as: UInt32.self))],
                UnsafeRawBufferPointer(rebasing: bytes.dropFirst(4)))
        }
    }

    func group(_ entry: Int) -> Int {
        guard type.usesBytes else { return slots.group(entry) }
        return texts.withKey(entry) { Int($0.loadUnaligned(as: UInt32.self)) }
    }

    func append(_ entry: Int, to builder: inout VectorBuilder) {
        guard type.usesBytes else { return builder.append(slots.slot(entry)) }
        if type == .interval { return builder.append(text: intervals[entry].bytes) }
        texts.withKey(entry) {
            builder.append(raw: UnsafeRawBufferPointer(rebasing: $0.dropFirst(4)))
        }
    }

    /// Three ways to compare two values.
    func compare(_ entry: Int, _ other: Int) -> Int {
        guard type.usesBytes else {
            return compareSlots(slots.slot(entry), slots.slot(other), type)
        }
        return texts.withKey(entry) { a in
            texts.withKey(other) { b in
                compareBytes(
                    UnsafeRawBufferPointer(rebasing: a.dropFirst(4)),
                    UnsafeRawBufferPointer(rebasing: b.dropFirst(4)), type)
            }
        }
    }

    /// The values' numbers group by group, by a counting sort; those of group g stand from
    /// `starts[g]` to `starts[g + 1]`.
    func byGroup(_ groupCount: Int) -> (starts: [Int], entries: [Int]) {
        var starts = [Int](repeating: 0, count: groupCount + 1)
        for entry in 0..<count { starts[group(entry) + 1] += 1 }
        for group in 0..<groupCount { starts[group + 1] += starts[group] }
        var next = starts
        var entries = [Int](repeating: 0, count: count)
        for entry in 0..<count {
            let group = group(entry)
            entries[next[group]] = entry
            next[group] += 1
        }
        return (starts, entries)
    }
}

/// An open-addressing table from group and slot to dense numbers.
private struct SlotTable {
    private var values: [UInt64] = []
    private var groups: [UInt32] = []
    /// 0 is empty, else number + 1. At most half full.
    private var places = [UInt32](repeating: 0, count: 64)

    var count: Int { values.count }
    var byteCount: Int { values.capacity * 8 + groups.capacity * 4 + places.count * 4 }

    func slot(_ entry: Int) -> UInt64 { values[entry] }
    func group(_ entry: Int) -> Int { Int(groups[entry]) }

    @inline(__always)
    private static func hash(_ group: UInt32, _ slot: UInt64) -> Int {
        // Doubles differ in their upper bits, integers in their lower: fold, then take the upper.
        let mixed = (slot ^ slot &>> 32 ^ UInt64(group) &<< 40) &* 0x9E37_79B9_7F4A_7C15
        let folded = (mixed ^ mixed &>> 29) &* 0xD6E8_FEB8_6659_FD93
        return Int(truncatingIfNeeded: folded &>> 20)
    }

    mutating func entry(_ group: Int, _ slot: UInt64) -> Int {
        let group = UInt32(truncatingIfNeeded: group)
        let mask = places.count - 1
        var place = Self.hash(group, slot) & mask
        while places[place] != 0 {
            let entry = Int(places[place]) - 1
            if values[entry] == slot, groups[entry] == group { return entry }
            place = (place + 1) & mask
        }
        values.append(slot)
        groups.append(group)
        places[place] = UInt32(truncatingIfNeeded: values.count)
        if values.count * 2 > places.count { grow() }
        return values.count - 1
    }

    private mutating func grow() {
        places = [UInt32](repeating: 0, count: places.count * 2)
        let mask = places.count - 1
        for entry in values.indices {
            var place = Self.hash(groups[entry], values[entry]) & mask
            while places[place] != 0 { place = (place + 1) & mask }
            places[place] = UInt32(truncatingIfNeeded: entry + 1)
        }
    }
}
