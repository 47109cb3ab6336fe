// The series of one table in memory: tag set ↔ dense id, as a code of each tag's value for each series.
//
//     key ──names, values──▶ codes, 0 where a tag is missing ──hash──▶ HashSlots ──▶ id
//     id  ──columns────────▶ codes ──values──▶ key
//
// No key is stored: it is put together from its values. Per series that is 1–4 bytes a tag and 12–24 of
// hash; a value costs its bytes and 16–28 once.
//
// Invariants
//   1. Ids are dense, given in order of creation and never reused. So are the codes of a tag.
//   2. No two living series have the same codes.
//   3. A dropped series is found no more, nor is a value that only dropped series have. Its id is not given
//      again, and its key can be told until `sweep`.

internal import Glibc

/// All series of one table. Lives in the mutex of its `TableEntry`; a copy would share its slots.
package struct SeriesIndex: Sendable {
    private let slots = HashSlots()
    private var tags: [TagValues] = []
    /// Ids that were given.
    package private(set) var count = 0
    private var isSettled = true
    /// Of a table that lost some: its dropped series.
    package private(set) var dropped: SeriesSet?
    private var droppedCount = 0
    /// Whether there may be rows of dropped series still, in heads or segments.
    private(set) var mayHideRows = false
    /// Values by tag that no living series has.
    private var deadValues: [Int] = []
    /// Of sections, those without tags.
    private var untagged: [UInt32] = []
    private var needsForgetting = false
    /// Dropped series whose keys are gone.
    private var forgotten: SeriesSet?

    package init() {}

    /// Bytes of memory held, estimated.
    package var byteCount: Int { slots.byteCount + tags.reduce(0) { $0 + $1.byteCount } }

    /// All of it as it is now, to be read without the lock. Takes some words a tag.
    package var snapshot: SeriesSnapshot {
        SeriesSnapshot(
            count: count, dropped: dropped, forgotten: forgotten, tags: tags.map(\.column))
    }

    package var livingCount: Int { count - droppedCount }

    /// The series with these tags, or nil.
    /// Safe: the key's bytes are compared and not kept.
    package func find(_ key: UnsafeRawBufferPointer, _ schema: TableSchema) -> UInt32? {
        withCodes { codes in
            var place = 0
            let isKnown = SeriesKey.forEachTag(key) { name, value in
                guard let tag = schema.tagIndex(named: name, likely: place), tag < tags.count,
                    codes[tag] == 0, let code = tags[tag].code(of: value)
                else { return false }
                codes[tag] = code &+ 1
                place &+= 1
                return true
            }
            return isKnown ? find(codes, Self.hash(codes)) : nil
        }
    }

    /// Distinct values of each tag that living series have, by index; tags that no series had are missing
    /// at the end.
    package var valueCounts: [Int] {
        tags.indices.map {
            tags[$0].column.values.count - ($0 < deadValues.count ? deadValues[$0] : 0)
        }
    }

    /// The code of a tag's value, or nil if no series ever had it.
    package func code(of value: [UInt8], tag: Int) -> UInt32? {
        guard tag < tags.count else { return nil }
        // Safe: the value is compared and not kept.
        return value.withUnsafeBytes { tags[tag].code(of: $0) }
    }

    /// Adds a series that `find` didn't know. Nil if the key is none, or has tags that aren't in the
    /// schema.
    /// Safe: what is kept of the key is copied.
    package mutating func insert(
        _ key: UnsafeRawBufferPointer, _ schema: TableSchema
    ) -> UInt32? {
        while tags.count < schema.tags.count { tags.append(TagValues()) }
        let id = count
        let isWhole = withUnsafeTemporaryAllocation(of: UInt32.self, capacity: tags.count) {
            codes in
            codes.initialize(repeating: 0)
            var place = 0
            let isWhole = SeriesKey.forEachTag(key) { name, value in
                guard let tag = schema.tagIndex(named: name, likely: place), codes[tag] == 0
                else { return false }
                codes[tag] = tags[tag].findOrAdd(value) &+ 1
                place &+= 1
                return true
            }
            guard isWhole else { return false }
            for tag in 0..<tags.count where codes[tag] != 0 {
                tags[tag].set(id, code: codes[tag] &- 1)
            }
            slots.insert(Self.hash(codes), UInt32(truncatingIfNeeded: id))
            return true
        }
        guard isWhole else { return nil }
        count += 1
        return UInt32(truncatingIfNeeded: id)
    }

    /// Adds the series of a section, which are the next ones; `settle` has to follow before anything is
    /// looked for. Returns what is wrong with it, or nil.
    mutating func append(_ section: SeriesSection, _ schema: TableSchema) -> String? {
        guard section.firstSeries == count else {
            return "series from \(section.firstSeries) on, \(count) are defined"
        }
        while tags.count < schema.tags.count { tags.append(TagValues()) }
        for tag in section.tags {
            guard tag.index < tags.count else { return "tag \(tag.index) is not defined" }
            // Those left out belonged to dropped series.
            guard tag.firstValue >= tags[tag.index].column.values.count else {
                return "values from \(tag.firstValue) on of tag \(tag.index), "
                    + "\(tags[tag.index].column.values.count) are defined"
            }
        }
        for tag in section.tags { tags[tag.index].append(tag, firstSeries: count) }
        // Tag by tag what `hash` does series by series.
        var hashes = [UInt64](repeating: KeyHash.seed, count: section.count)
        for tag in section.tags {
            for series in 0..<section.count where tag.codes[series] != 0 {
                hashes[series] = Self.mix(
                    hashes[series], tag.index, UInt32(truncatingIfNeeded: tag.codes[series]))
            }
        }
        add(hashes)
        isSettled = false
        count += section.count
        return nil
    }

    /// Series without tags have one hash, and of those in a file all but one were dropped: they wait until
    /// it is known which.
    private mutating func add(_ hashes: [UInt64]) {
        var start = 0
        for (index, hash) in hashes.enumerated() where hash == KeyHash.seed {
            slots.add(Array(hashes[start..<index]), from: count + start)
            untagged.append(UInt32(truncatingIfNeeded: count + index))
            start = index + 1
        }
        slots.add(start == 0 ? hashes : Array(hashes[start...]), from: count + start)
    }

    /// Drops series; ids from `count` on belonged to series that were dropped before they came here.
    /// `settle` has to follow before anything is looked for. Returns how many living ones were among them.
    mutating func drop(_ runs: [Range<Int>]) -> Int {
        let before = livingCount
        count = max(count, runs.map(\.upperBound).max() ?? 0)
        var gone = dropped ?? SeriesSet(capacity: count)
        gone.resize(to: count)
        for run in runs { gone.insert(ids: run) }
        dropped = gone
        droppedCount = gone.count
        isSettled = false
        needsForgetting = true
        mayHideRows = true
        return before - livingCount
    }

    /// No row of these is left.
    mutating func noteNoRows(of series: SeriesSet) {
        if series == dropped { mayHideRows = false }
    }

    func isDropped(_ id: UInt32) -> Bool { dropped?.contains(id) ?? false }

    /// Gives back the memory of dropped series and their values, where whole chunks have nothing else.
    package mutating func sweep() {
        guard let dropped, dropped != forgotten else { return }
        for tag in tags.indices { tags[tag].sweep(dropped, count) }
        // Some of them could be told still, but nobody asks any more.
        forgotten = dropped
    }

    /// After sections and drops, before anything is looked for. With drops a pass over all series and slots.
    mutating func settle() {
        guard !isSettled else { return }
        for slots in unsettled { slots.settle() }
        for id in untagged where !isDropped(id) { slots.insert(KeyHash.seed, id) }
        untagged = []
        if needsForgetting, let dropped {
            slots.removeAll { dropped.contains($0) }
            deadValues = tags.map { $0.column.values.count - $0.forget(dropped, count) }
            needsForgetting = false
        }
        isSettled = true
    }

    /// What `settle` would settle; each may be settled by another thread while nobody uses the index.
    var unsettled: [HashSlots] {
        ([slots] + tags.map(\.slots)).filter { $0.waitingCount > 0 }
    }

    private func withCodes<R>(_ body: (UnsafeMutableBufferPointer<UInt32>) -> R) -> R {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: tags.count) { codes in
            codes.initialize(repeating: 0)
            return body(codes)
        }
    }

    /// The same for a tag set, however many tags the table has by now.
    private static func hash(_ codes: UnsafeMutableBufferPointer<UInt32>) -> UInt64 {
        var state = KeyHash.seed
        for (tag, code) in codes.enumerated() where code != 0 {
            state = mix(state, tag, code)
        }
        return state
    }

    @inline(__always)
    private static func mix(_ state: UInt64, _ tag: Int, _ code: UInt32) -> UInt64 {
        KeyHash.mix(state, UInt64(truncatingIfNeeded: tag) &<< 32 | UInt64(code))
    }

    private func find(_ codes: UnsafeMutableBufferPointer<UInt32>, _ hash: UInt64) -> UInt32? {
        slots.find(hash) { id in
            for tag in 0..<tags.count where tags[tag].column.codes[Int(id)] != codes[tag] {
                return false
            }
            return true
        }
    }
}

/// The series of a table as they were at one moment.
package struct SeriesSnapshot: Sendable {
    /// Ids that were given.
    package let count: Int
    /// Series that were dropped; nil if none was.
    package let dropped: SeriesSet?
    private let forgotten: SeriesSet?
    /// By index; tags that no series had are missing at the end.
    private let tags: [TagColumnValues]

    init(
        count: Int, dropped: SeriesSet?, forgotten: SeriesSet?, tags: [TagColumnValues]
    ) {
        self.count = count
        self.dropped = dropped
        self.forgotten = forgotten
        self.tags = tags
    }

    /// All series but those that were dropped.
    package var living: SeriesSet {
        var living = SeriesSet(all: count)
        if let dropped { living.subtract(dropped) }
        return living
    }

    var tagIndices: Range<Int> { tags.indices }

    package func tag(_ index: Int) -> TagColumnValues {
        index < tags.count ? tags[index] : TagColumnValues()
    }

    /// The value of a series, or nil if it lacks the tag.
    /// Safe: the bytes live as long as the snapshot.
    package func value(of tag: Int, _ series: UInt32) -> UnsafeRawBufferPointer? {
        tag < tags.count ? tags[tag].value(of: series) : nil
    }

    /// Whether the key of a dropped series can't be told any more.
    func isForgotten(_ series: UInt32) -> Bool { forgotten?.contains(series) ?? false }

    /// The canonical key of a series, whose tags the schema has.
    package func key(of series: UInt32, _ schema: TableSchema) -> [UInt8] {
        var key: [UInt8] = []
        for tag in schema.tagsByName {
            guard let value = value(of: tag, series) else { continue }
            SeriesKey.appendText(schema.tagNames[tag], to: &key)
            SeriesKey.appendText(value, to: &key)
        }
        return key
    }
}
