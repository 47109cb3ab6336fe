// A tombstone hides rows of a table that were written before it: what a DELETE leaves behind.
//
// It is the payload of a `delete` record of the log, whose sequence is its own. A flush takes it over into
// MANIFEST, behind that sequence as a varint, and there it stays until nothing older is left that it hides.
//
//     field     size           meaning
//     ────────  ─────────────  ─────────────────────────────────────────────────────────────
//     table     varint
//     lower     signed varint  rows from this time on …
//     upper     signed varint  … to before this one, above `lower`; the greatest number: without end
//     runCount  varint         1 ... 1,048,576, and for each run of neighbouring series:
//     · gap     varint         distance from the end of the run before; not 0 but for the first
//     · length  varint         at least 1

package struct Tombstone: Sendable, Equatable {
    package let tableID: UInt32
    /// Hides what the log has before.
    package let sequence: UInt64
    package let range: TimeRange
    /// Ids of series. Runs rise, and don't touch.
    package let runs: [Range<Int>]

    /// Of a table's tombstones together, too.
    package static let runsMax = 1 << 20

    package init(tableID: UInt32, sequence: UInt64, range: TimeRange, runs: [Range<Int>]) {
        self.tableID = tableID
        self.sequence = sequence
        self.range = range
        self.runs = runs
    }

    package func append(to writer: inout ByteWriter) {
        writer.appendVarint(UInt64(tableID))
        writer.appendSignedVarint(range.lower)
        writer.appendSignedVarint(range.upper)
        writer.appendVarint(UInt64(runs.count))
        var end = 0
        for run in runs {
            writer.appendVarint(UInt64(run.lowerBound - end))
            writer.appendVarint(UInt64(run.count))
            end = run.upperBound
        }
    }

    package static func read(
        _ reader: inout ByteReader, sequence: UInt64
    ) throws(ByteReader.Malformed) -> Tombstone {
        let start = reader.offset
        let table = UInt32(try reader.readCount(limit: Int(UInt32.max >> 1)))
        let range = TimeRange(
            lower: try reader.readSignedVarint(), upper: try reader.readSignedVarint())
        guard !range.isEmpty else {
            throw .init(offset: start, reason: "a tombstone of no time")
        }
        var runs: [Range<Int>] = []
        var end = 0
        for index in 0..<(try reader.readCount(limit: runsMax)) {
            let gap = try reader.readCount(limit: Int(WriteBatch.provisional) - end)
            let first = end + gap
            let length = try reader.readCount(limit: Int(WriteBatch.provisional) - first)
            guard length > 0, gap > 0 || index == 0 else {
                throw .init(offset: start, reason: "runs of a tombstone that are empty or touch")
            }
            runs.append(first..<(first + length))
            end = first + length
        }
        guard !runs.isEmpty else {
            throw .init(offset: start, reason: "a tombstone of no series")
        }
        return Tombstone(tableID: table, sequence: sequence, range: range, runs: runs)
    }
}

// MARK: What it hides

extension Tombstone {
    /// The first run that ends behind a series.
    private func firstRun(behind series: Int) -> Int {
        var (low, high) = (0, runs.count)
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].upperBound <= series { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Whether a series is one of its own, and the first series from which on that is different.
    func membership(of series: Int) -> (isMember: Bool, until: Int) {
        let index = firstRun(behind: series)
        guard index < runs.count else { return (false, .max) }
        let isMember = runs[index].lowerBound <= series
        return (isMember, isMember ? runs[index].upperBound : runs[index].lowerBound)
    }

    /// Whether a closed range of ids has some of its series.
    func hasSome(_ first: UInt32, _ last: UInt32) -> Bool {
        let index = firstRun(behind: Int(first))
        return index < runs.count && runs[index].lowerBound <= Int(last)
    }

    /// Whether it hides rows of something whose last record and times are these.
    func reaches(lastSequence: UInt64, first: Int64, last: Int64) -> Bool {
        lastSequence < sequence && range.overlaps(first: first, last: last)
    }

    /// Whether it hides all that an earlier one of the same table does.
    func covers(_ other: Tombstone) -> Bool {
        guard range.lower <= other.range.lower, range.upper >= other.range.upper else {
            return false
        }
        var index = 0
        for run in other.runs {
            while index < runs.count, runs[index].upperBound < run.upperBound { index += 1 }
            guard index < runs.count, runs[index].lowerBound <= run.lowerBound else { return false }
        }
        return true
    }

    /// Its series, as a set of those below `count`.
    func series(below count: Int) -> SeriesSet {
        var set = SeriesSet(capacity: count)
        for run in runs { set.insert(ids: run) }
        return set
    }
}

/// The tombstones of a table.
package struct TableTombstones: Sendable {
    /// By sequence.
    package private(set) var list: [Tombstone] = []
    /// Of the last DELETE since the store was opened, also if its tombstone is forgotten.
    package private(set) var lastSequence: UInt64 = 0

    var runCount: Int { list.reduce(0) { $0 + $1.runs.count } }

    /// Adds the latest. Those that it covers say nothing any more.
    mutating func insert(_ tombstone: Tombstone) {
        lastSequence = tombstone.sequence
        list.removeAll(where: tombstone.covers)
        list.append(tombstone)
    }

    mutating func forget(_ sequences: Set<UInt64>) {
        list.removeAll { sequences.contains($0.sequence) }
    }
}
