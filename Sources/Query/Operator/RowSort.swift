// The order of rows by several columns: a radix sort, eight bytes of a key at a time.
//
// Each row has a *word*, a number that sorts as the value does: an instant or a number itself, of a
// string seven bytes and how many of them are its own. Rows are sorted by their words, byte by byte
// from the lowest (LSD radix sort; Knuth, The Art of Computer Programming 3, 5.2.5), without the
// bytes that are the same in all. Runs of equal words are sorted by the words that follow in the
// string, then by the next column. Each pass keeps the order of equals, so equal rows keep theirs.
//
// Cost: some nanoseconds for each row and byte that differs, independent of how many rows there
// are; 32 bytes a row while it works.

internal import ApusStorage

struct RowSort {
    private struct Entry {
        var word: UInt64
        var row: Int
    }

    /// Entries whose order by what comes before is settled, and is the same.
    private struct Run {
        var entries: Range<Int>
        var column: Int
        /// The next byte of a string, the next half of an interval.
        var offset = 0
    }

    /// What a row takes while it is sorted.
    static let bytesPerRow = 2 * MemoryLayout<Entry>.stride

    private let columns: [Vector]
    private let keys: [SortKey]
    private var entries: [Entry]
    private var spare: [Entry]
    private var runs: [Run] = []

    /// Row numbers below `count` in order of `keys`, whose values are in `columns`; the first
    /// `limit` of them.
    static func order(
        _ columns: [Vector], _ keys: [SortKey], count: Int, limit: Int?
    ) -> [Int] {
        var sort = RowSort(columns, keys, count: count)
        sort.run()
        return sort.entries.prefix(limit ?? count).map(\.row)
    }

    private init(_ columns: [Vector], _ keys: [SortKey], count: Int) {
        self.columns = columns
        self.keys = keys
        entries = (0..<count).map { Entry(word: 0, row: $0) }
        spare = entries
        if count > 1, !keys.isEmpty { runs = [Run(entries: 0..<count, column: 0)] }
    }

    private mutating func run() {
        while var run = runs.popLast() {
            if run.offset == 0 { splitNulls(&run) }
            guard run.entries.count > 1 else { continue }
            fillWords(run)
            sortByWord(run.entries)
            pushEquals(run)
        }
    }

    /// NULLs are equal to each other and stand at one end.
    private mutating func splitNulls(_ run: inout Run) {
        let column = columns[run.column]
        if column.validity.isEmpty { return }
        let nullsFirst = keys[run.column].nullsFirst
        for index in run.entries {
            let isFirst = column.isValid(entries[index].row) != nullsFirst
            entries[index].word = isFirst ? 0 : 1
        }
        sortByWord(run.entries)
        let boundary =
            entries[run.entries].firstIndex { $0.word == 1 } ?? run.entries.upperBound
        let (first, last) = (
            run.entries.lowerBound..<boundary, boundary..<run.entries.upperBound
        )
        push(Run(entries: nullsFirst ? first : last, column: run.column + 1))
        run.entries = nullsFirst ? last : first
    }

    private mutating func push(_ run: Run) {
        if run.entries.count > 1, run.column < keys.count { runs.append(run) }
    }

    private mutating func fillWords(_ run: Run) {
        let column = columns[run.column]
        let inversion: UInt64 = keys[run.column].isDescending ? .max : 0
        switch column.type {
        case .string:
            for index in run.entries {
                let word = column.withBytes(entries[index].row) { Self.word($0, at: run.offset) }
                entries[index].word = word ^ inversion
            }
        case .interval:
            for index in run.entries {
                let words = column.withBytes(entries[index].row) { IntervalValue($0).orderedWords }
                entries[index].word = (run.offset == 0 ? words.high : words.low) ^ inversion
            }
        default:
            for index in run.entries {
                let slot = column.slot(entries[index].row)
                entries[index].word = OrderedSlot.key(slot, column.type) ^ inversion
            }
        }
    }

    /// Seven bytes of a string, zeros behind its end, and how many are its own; 8 if more follow.
    @inline(__always)
    private static func word(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UInt64 {
        let rest = bytes.count - offset
        if rest >= 8 {
            // Safe: `loadUnaligned` checks its range against the buffer.
            let raw = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            return UInt64(bigEndian: raw) & ~0xFF | 8
        }
        var word: UInt64 = 0
        for index in 0..<rest { word |= UInt64(bytes[offset + index]) << (56 - 8 * index) }
        return word | UInt64(rest)
    }

    /// Whether values with this word may differ further on.
    private func continues(_ word: UInt64, _ run: Run) -> Bool {
        switch columns[run.column].type {
        case .string: (keys[run.column].isDescending ? ~word : word) & 0xFF == 8
        case .interval: run.offset == 0
        default: false
        }
    }

    private mutating func pushEquals(_ run: Run) {
        var start = run.entries.lowerBound
        while start < run.entries.upperBound {
            let word = entries[start].word
            var end = start + 1
            while end < run.entries.upperBound, entries[end].word == word { end += 1 }
            if end - start > 1 {
                let goesOn = continues(word, run)
                push(
                    Run(
                        entries: start..<end, column: goesOn ? run.column : run.column + 1,
                        offset: goesOn ? run.offset + 7 : 0))
            }
            start = end
        }
    }

    // MARK: - By one word

    private static let insertionMax = 48

    private mutating func sortByWord(_ range: Range<Int>) {
        if range.count <= Self.insertionMax {
            insertionSort(range)
        } else {
            radixSort(range)
        }
    }

    private mutating func insertionSort(_ range: Range<Int>) {
        for index in range.dropFirst() {
            let entry = entries[index]
            var hole = index
            while hole > range.lowerBound, entries[hole - 1].word > entry.word {
                entries[hole] = entries[hole - 1]
                hole -= 1
            }
            entries[hole] = entry
        }
    }

    private mutating func radixSort(_ range: Range<Int>) {
        var differing: UInt64 = 0
        let first = entries[range.lowerBound].word
        var isSorted = true
        var previous = first
        for entry in entries[range] {
            differing |= entry.word ^ first
            if entry.word < previous { isSorted = false }
            previous = entry.word
        }
        if isSorted { return }
        var counts = [Int](repeating: 0, count: 256)
        for shift in stride(from: UInt64(0), to: 64, by: 8) where (differing >> shift) & 0xFF != 0 {
            pass(range, shift, &counts)
        }
    }

    /// Puts the entries in order of one byte of their words.
    private mutating func pass(_ range: Range<Int>, _ shift: UInt64, _ counts: inout [Int]) {
        for digit in counts.indices { counts[digit] = 0 }
        for entry in entries[range] { counts[Int(entry.word >> shift & 0xFF)] += 1 }
        var place = range.lowerBound
        for digit in counts.indices {
            let count = counts[digit]
            counts[digit] = place
            place += count
        }
        for entry in entries[range] {
            let digit = Int(entry.word >> shift & 0xFF)
            spare[counts[digit]] = entry
            counts[digit] += 1
        }
        // Only a part of the entries may lie in `range`; the rest stays where it is.
        if range.count == entries.count {
            swap(&entries, &spare)
        } else {
            entries.replaceSubrange(range, with: spare[range])
        }
    }
}
