// The directory of a table tells, of every block, what it holds and where, without decoding it.
//
//     field            size     meaning
//     ───────────────  ───────  ──────────────────────────────────────────────
//     blockCount       varint   as in the footer
//     columnCount      varint   as in the footer
//     groupCount       varint
//     for each group, in file order:
//       blockCount     varint   at least 1; all groups together have blockCount
//       byteCount      varint   of the rows stretch, then of each column's stretch
//     descriptors      n        of the packed arrays below (see PackedArray)
//     zeros                     to a multiple of 8 from the directory's start
//     elements         n        of the packed arrays
//
// Arrays over all blocks, in this order
//
//     firstSeries   rows of a block are sorted by (series, time),
//     lastSeries    blocks by (firstSeries, minTime)
//     rowCount      1 ... 65,536
//     runCount      1 ... rowCount: how many series; 1 where firstSeries == lastSeries
//     minTime       smallest and largest time of all rows
//     maxTime
//     rowsEnd       where the block's runs and times end, from the rows stretch's start
//     runsByteCount how many of these bytes are runs; the rest are times
//     timeEncoding  Encoding; 0 if the times are regular
//     rowsChecksum  CRC-32C of runs and times; 0 if there are no bytes
//     rowsFlags     bit 0: all runs have rowCount / runCount rows
//                   bit 1: regular times: one run, row i at minTime + i × step, where
//                          step == (maxTime − minTime) / (rowCount − 1); no bytes
//
// and then, for each column
//
//     end           where the payload ends, from the column stretch's start
//     encoding      Encoding
//     checksum      CRC-32C of the payload
//     absentCount   rows without a value; == rowCount: no bytes, all else undefined
//     nanCount
//     minimum       slots in the column's type; undefined without hasRange
//     maximum
//     sumLow        of an integer sum the low 64 bits; of a float sum the bits
//     sumHigh       of an integer sum the high 64 bits, else 0
//     first         of the present values; 0 for strings
//     last
//     flags         bit 0: hasRange, bit 1: integer sum, bit 2: float sum
//
// A payload begins where the one before it in its stretch and group ends, at 0 for the first.
//
// Runs of a block: distances of the second to last series from the one before (varints ≥ 1), left
// out if lastSeries − firstSeries + 1 == runCount; then runCount row counts (varints ≥ 1), left out
// with one run or under flag bit 0.

/// Rows of one series inside a block.
package struct SegmentRun: Sendable, Equatable {
    package var series: UInt32
    package var rowStart: Int
    package var rowCount: Int

    package init(series: UInt32, rowStart: Int, rowCount: Int) {
        self.series = series
        self.rowStart = rowStart
        self.rowCount = rowCount
    }
}

enum DirectoryArray {
    static let firstSeries = 0, lastSeries = 1, rowCount = 2, runCount = 3, minTime = 4
    static let maxTime = 5, rowsEnd = 6, runsByteCount = 7, timeEncoding = 8, rowsChecksum = 9
    static let rowsFlags = 10
    static let blockArrayCount = 11

    static let end = 0, encoding = 1, checksum = 2, absentCount = 3, nanCount = 4, minimum = 5
    static let maximum = 6, sumLow = 7, sumHigh = 8, first = 9, last = 10, flags = 11
    static let columnArrayCount = 12

    static let equalRunsFlag: UInt64 = 1
    static let regularTimesFlag: UInt64 = 2
    static let rangeFlag: UInt64 = 1
    static let integerSumFlag: UInt64 = 2
    static let floatSumFlag: UInt64 = 4
}

/// The blocks of one table: statistics by arithmetic, values by decoding.
///
/// Every answer comes from memory whose checksum has matched: the arrays over blocks from a copy,
/// the columns' from where they are mapped. Block numbers outside `0 ..< blockCount` and columns
/// outside `0 ..< columnCount` are bugs and stop. Safe from any thread; keeps the file mapped while
/// it lives.
package struct BlockDirectory: Sendable {
    package let blockCount: Int
    package let columnCount: Int
    let storage: DirectoryStorage

    package func firstSeries(_ block: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: storage.arrays[DirectoryArray.firstSeries][block])
    }
    package func lastSeries(_ block: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: storage.arrays[DirectoryArray.lastSeries][block])
    }
    package func minTime(_ block: Int) -> Int64 {
        Int64(bitPattern: storage.arrays[DirectoryArray.minTime][block])
    }
    package func maxTime(_ block: Int) -> Int64 {
        Int64(bitPattern: storage.arrays[DirectoryArray.maxTime][block])
    }
    package func rowCount(_ block: Int) -> Int {
        Int(truncatingIfNeeded: storage.arrays[DirectoryArray.rowCount][block])
    }
    package func runCount(_ block: Int) -> Int {
        Int(truncatingIfNeeded: storage.arrays[DirectoryArray.runCount][block])
    }

    /// The arrays themselves, for passes over all blocks.
    package var minTimes: PackedArray { storage.arrays[DirectoryArray.minTime] }
    package var maxTimes: PackedArray { storage.arrays[DirectoryArray.maxTime] }
    package var firstSeriesIDs: PackedArray { storage.arrays[DirectoryArray.firstSeries] }
    package var lastSeriesIDs: PackedArray { storage.arrays[DirectoryArray.lastSeries] }

    /// The distance between rows, if the block is one series at regular times (0 for one row).
    package func regularStep(_ block: Int) -> Int64? {
        guard flags(block) & DirectoryArray.regularTimesFlag != 0 else { return nil }
        let rows = rowCount(block)
        guard rows > 1 else { return 0 }
        let span = UInt64(bitPattern: maxTime(block) &- minTime(block))
        return Int64(bitPattern: span / UInt64(rows - 1))
    }

    /// The first block whose last series is `series` or later; `blockCount` if there is none.
    package func firstBlock(reaching series: UInt32) -> Int {
        var (low, high) = (0, blockCount)
        while low < high {
            let middle = (low + high) / 2
            if lastSeries(middle) < series { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The column of a field, if the segment has one.
    package func columnIndex(_ fieldID: UInt32) -> Int? { storage.columnIndexes[fieldID] }

    package func columnType(_ column: Int) -> FieldType { storage.fields[column].type }

    /// What is known of a column's values in a block. About 20 ns.
    package func statistics(column: Int, block: Int) -> ColumnStatistics {
        Self.statistics(rowCount: rowCount(block)) { array(column, $0)[block] }
    }

    /// The same from what each of a column's arrays has for a block.
    @inline(__always)
    static func statistics(rowCount: Int, _ value: (Int) -> UInt64) -> ColumnStatistics {
        let present = presentCount(rowCount: rowCount, absent: value(DirectoryArray.absentCount))
        guard present > 0 else { return ColumnStatistics(presentCount: 0) }
        let flags = value(DirectoryArray.flags)
        let low = value(DirectoryArray.sumLow)
        let sum: ColumnStatistics.Sum
        if flags & DirectoryArray.integerSumFlag != 0 {
            let high = Int64(bitPattern: value(DirectoryArray.sumHigh))
            sum = .integer(Int128(high) << 64 | Int128(low))
        } else if flags & DirectoryArray.floatSumFlag != 0 {
            sum = .float(Double(bitPattern: low))
        } else {
            sum = .none
        }
        let hasRange = flags & DirectoryArray.rangeFlag != 0
        return ColumnStatistics(
            presentCount: present,
            nanCount: min(
                present, Int(truncatingIfNeeded: value(DirectoryArray.nanCount) & 0x1_FFFF)),
            minimum: hasRange ? value(DirectoryArray.minimum) : 0,
            maximum: hasRange ? value(DirectoryArray.maximum) : 0,
            hasRange: hasRange, sum: sum, first: value(DirectoryArray.first),
            last: value(DirectoryArray.last))
    }

    /// How many rows of a block have a value of the column.
    package func presentCount(column: Int, block: Int) -> Int {
        Self.presentCount(
            rowCount: rowCount(block), absent: array(column, DirectoryArray.absentCount)[block])
    }

    @inline(__always)
    private static func presentCount(rowCount: Int, absent: UInt64) -> Int {
        Int(UInt64(rowCount) - min(absent, UInt64(rowCount)))
    }

    /// The encoding of a column's payload, for tools.
    package func encoding(column: Int, block: Int) -> Encoding {
        Encoding(rawValue: UInt8(truncatingIfNeeded: array(column, DirectoryArray.encoding)[block]))
    }

    /// Bytes of a column's payload in a block, 0 where nothing is present.
    package func payloadByteCount(column: Int, block: Int) throws(StorageError) -> Int {
        try payload(array(column, DirectoryArray.end), stretch: column + 1, block).bytes.count
    }

    /// Bytes of a block's runs and times.
    package func rowsByteCount(_ block: Int) throws(StorageError) -> Int {
        try payload(storage.arrays[DirectoryArray.rowsEnd], stretch: 0, block).bytes.count
    }

    // MARK: for decoding, in BlockDecoding.swift

    func flags(_ block: Int) -> UInt64 { storage.arrays[DirectoryArray.rowsFlags][block] }

    @inline(__always)
    func array(_ column: Int, _ which: Int) -> PackedArray {
        precondition(
            UInt(bitPattern: column) < UInt(bitPattern: columnCount), "BUG: no such column")
        return storage.arrays[
            DirectoryArray.blockArrayCount + column * DirectoryArray.columnArrayCount + which]
    }

    /// The bytes of a block inside one of its group's stretches.
    func payload(
        _ ends: PackedArray, stretch: Int, _ block: Int
    ) throws(StorageError) -> (bytes: UnsafeRawBufferPointer, fileOffset: Int) {
        let group = storage.group(of: block)
        let index = group * (columnCount + 1) + stretch
        let stretchStart = storage.stretchStarts[index]
        let stretchByteCount = UInt64(storage.stretchStarts[index + 1] - stretchStart)
        let start = block == storage.groupFirstBlocks[group] ? 0 : ends[block - 1]
        let end = ends[block]
        guard start <= end, end <= stretchByteCount else {
            throw storage.corrupt(stretchStart, "block \(block) lies outside its stretch")
        }
        // Safe: stretches lie in the mapped file one after the other, checked when the directory was
        // read, and the block lies in its stretch, as was just checked.
        let offset = stretchStart + Int(start)
        return (
            UnsafeRawBufferPointer(
                rebasing: storage.file.bytes[offset..<(stretchStart + Int(end))]), offset
        )
    }
}

/// What a directory keeps besides the mapped arrays.
final class DirectoryStorage: Sendable {
    let file: MappedFile
    let path: String
    let fields: [SegmentField]
    let columnIndexes: [UInt32: Int]
    let arrays: [PackedArray]
    /// Keeps the first of `arrays`.
    private let blockArrays: OwnedArrays
    /// The first block of each group, and `blockCount`.
    let groupFirstBlocks: [Int]
    /// File offsets of the stretches, `columnCount + 1` a group, and the end of the last.
    let stretchStarts: [Int]

    init(
        file: MappedFile, fields: [SegmentField], arrays: [PackedArray], blockArrays: OwnedArrays,
        groupFirstBlocks: [Int], stretchStarts: [Int]
    ) {
        self.file = file
        path = file.path
        self.fields = fields
        columnIndexes = Dictionary(
            fields.enumerated().map { ($0.element.id, $0.offset) },
            uniquingKeysWith: { old, _ in old })
        self.arrays = arrays
        self.blockArrays = blockArrays
        self.groupFirstBlocks = groupFirstBlocks
        self.stretchStarts = stretchStarts
    }

    func group(of block: Int) -> Int {
        var (low, high) = (0, groupFirstBlocks.count - 1)
        while high - low > 1 {
            let middle = (low + high) / 2
            if groupFirstBlocks[middle] <= block { low = middle } else { high = middle }
        }
        return low
    }

    func corrupt(_ offset: Int, _ reason: String) -> StorageError {
        file.failure ?? .corrupt(file: path, offset: UInt64(offset), reason: reason)
    }
}
