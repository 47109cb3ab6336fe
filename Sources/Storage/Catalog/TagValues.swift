// One tag of a table: its distinct values, numbered in order of first appearance, and of each series
// which it has.
//
//     values    code → bytes        chunks of 1,024 values
//     slots     value → code        HashSlots
//     codes     series → 1 + code   stretches of 65,536 series, 1, 2 or 4 bytes each; 0: none
//
// Values and codes are only ever appended. Those of dropped series stay until a whole chunk or stretch
// has nothing else; an empty one that all share stands in its place then. A value that only dropped series
// had is found no more: should it come again, it gets another code.
// A reader copies the lists of chunks under the table's lock
// and reads without it: what was there when it copied stays where it is. A chunk that has to grow, or
// to hold wider codes, is replaced by a copy; readers keep the one they have.

internal import Glibc

/// What readers see of a tag.
package struct TagColumnValues: Sendable {
    package fileprivate(set) var values = ValueList()
    package fileprivate(set) var codes = CodeColumn()

    /// Whether each of so many series, which are all there are, has a value of its own: a series brings one
    /// new value at most.
    package func isUnique(among seriesCount: Int) -> Bool { values.count == seriesCount }

    /// The value of a series, or nil if it lacks the tag.
    package func value(of series: UInt32) -> UnsafeRawBufferPointer? {
        let code = codes[Int(series)]
        return code == 0 ? nil : values[Int(code) - 1]
    }
}

struct TagValues: Sendable {
    private(set) var column = TagColumnValues()
    let slots = HashSlots()

    var byteCount: Int {
        column.values.byteCount + column.codes.byteCount + slots.byteCount
    }

    /// The code of a value, or nil if no series ever had it.
    func code(of value: UnsafeRawBufferPointer) -> UInt32? {
        code(of: value, KeyHash.hash(value))
    }

    private func code(of value: UnsafeRawBufferPointer, _ hash: UInt64) -> UInt32? {
        slots.find(hash) { code in
            let known = column.values[Int(code)]
            guard known.count == value.count, let left = known.baseAddress,
                let right = value.baseAddress
            else { return false }
            // Safe: both have so many bytes.
            return memcmp(left, right, value.count) == 0
        }
    }

    mutating func findOrAdd(_ value: UnsafeRawBufferPointer) -> UInt32 {
        let hash = KeyHash.hash(value)
        if let code = code(of: value, hash) { return code }
        let code = UInt32(truncatingIfNeeded: column.values.count)
        column.values.append(value)
        slots.insert(hash, code)
        return code
    }

    mutating func set(_ series: Int, code: UInt32) { column.codes.set(series, code &+ 1) }

    /// Adds values that are new, and the codes of series from one on.
    mutating func append(_ section: SeriesSection.Tag, firstSeries: Int) {
        column.values.skip(to: section.firstValue)
        var first = column.values.count
        var hashes: [UInt64] = []
        hashes.reserveCapacity(section.values.count)
        section.strings.withUnsafeBytes { strings in
            for value in section.values {
                let slot = StringSlot(rawValue: value)
                // Safe: slots that were read lie within the strings.
                let bytes = UnsafeRawBufferPointer(
                    rebasing: strings[slot.offset..<(slot.offset + slot.length)])
                if bytes.isEmpty {
                    // Nobody has it.
                    slots.add(hashes, from: first)
                    hashes.removeAll(keepingCapacity: true)
                    first = column.values.count + 1
                } else {
                    hashes.append(KeyHash.hash(bytes))
                }
                column.values.append(bytes)
            }
        }
        slots.add(hashes, from: first)
        column.codes.append(section.codes, from: firstSeries)
    }

    /// Forgets the values that only dropped series have. Returns how many values are left.
    func forget(_ dropped: SeriesSet, _ seriesCount: Int) -> Int {
        let living = column.living(dropped, seriesCount)
        slots.removeAll { !living.contains(Int($0) + 1) }
        return living.memberCount
    }

    /// Gives back what only dropped series took.
    mutating func sweep(_ dropped: SeriesSet, _ seriesCount: Int) {
        let living = column.living(dropped, seriesCount)
        column.values.sweep { living.contains($0 + 1) }
        column.codes.sweep(dropped)
    }
}

extension TagColumnValues {
    /// The codes that series have which were not dropped. 1 ns a series.
    func living(_ dropped: SeriesSet, _ seriesCount: Int) -> CodeSet {
        var living = CodeSet(count: values.count + 1)
        for series in 0..<min(seriesCount, codes.count)
        where !dropped.contains(UInt32(truncatingIfNeeded: series)) {
            living.insert(Int(codes[series]))
        }
        living.remove(0)
        return living
    }

    /// The series with one of some codes.
    package func select(codes wanted: [UInt32], capacity: Int) -> SeriesSet {
        var result = SeriesSet(capacity: capacity)
        if wanted.count <= 4 {
            for code in wanted { codes.select(code &+ 1, into: &result) }
        } else {
            var accepted = CodeSet(count: values.count + 1)
            for code in wanted { accepted.insert(Int(code) + 1) }
            codes.select(accepted, from: 0, into: &result)
        }
        return result
    }

    /// Adds the series from one on whose value is accepted. Those with values that have not been decided
    /// are not: they came after the question.
    package func select(_ accepted: CodeSet, from series: Int, into result: inout SeriesSet) {
        codes.select(accepted, from: series, into: &result)
    }
}
