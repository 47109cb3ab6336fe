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
//       tableByteCount varint   of each column: its stretch begins with a symbol table (see
//                               SymbolTable) and the CRC-32C of its bytes; 0 without one
//     descriptors      n        of the packed arrays below (see PackedArray)
//     zeros                     to a multiple of 8 from the directory's start
//     elements         n        of the packed arrays
//
// Payloads of a stretch follow each other, in pages of 8 blocks counted from the group's first; its
// last page may have fewer. A page is what a checksum is for.
//
// Arrays over all blocks, in this order
//
//     firstSeries   rows of a block are sorted by (series, time),
//     lastSeries    blocks by (firstSeries, minTime)
//     rowCount      1 ... 65,536
//     runCount      1 ... rowCount: how many series; 1 where firstSeries == lastSeries
//     minTime       smallest and largest time of all rows
//     maxTime
//     runsByteCount how many bytes of the block's rows are runs; the rest are times
//     timeEncoding  Encoding; 0 if the times are regular
//     rowsFlags     bit 0: all runs have rowCount / runCount rows
//                   bit 1: regular times: one run, row i at minTime + i × step, where
//                          step == (maxTime − minTime) / (rowCount − 1); no bytes
//     rowsByteCount bytes of runs and times
//
// over the pages of the rows stretch
//
//     pageEnd       where the page ends, from the stretch's start
//     pageChecksum  CRC-32C of its bytes
//
// then for each column, over all blocks
//
//     absentCount   rows without a value; == rowCount: no bytes, all else undefined
//     nanCount
//     minimum       slots in the column's type; undefined without hasRange
//     maximum
//     sumLow        of an integer sum the low 64 bits; of a float sum the bits
//     sumHigh       of an integer sum the high 64 bits, else 0
//     first         of the present values; 0 for strings
//     last
//     flags         bit 0: hasRange, bit 1: integer sum, bit 2: float sum
//     encoding      Encoding
//     byteCount     of the payload
//
// and over its pages pageEnd and pageChecksum, as above.
//
// Runs of a block: distances of the second to last series from the one before (varints ≥ 1), left
// out if lastSeries − firstSeries + 1 == runCount; then runCount row counts (varints ≥ 1), left out
// with one run or under flag bit 0.
//
// Format 1 has a page for each block and neither byteCount nor symbol tables; `init` brings its
// arrays, which come in another order, into this one.

internal import Synchronization

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
    static let maxTime = 5, runsByteCount = 6, timeEncoding = 7, rowsFlags = 8, rowsByteCount = 9
    static let rowsPageEnd = 10, rowsPageChecksum = 11
    static let blockArrayCount = 12

    static let absentCount = 0, nanCount = 1, minimum = 2, maximum = 3, sumLow = 4, sumHigh = 5
    static let first = 6, last = 7, flags = 8, encoding = 9, byteCount = 10, pageEnd = 11
    static let pageChecksum = 12
    static let columnArrayCount = 13

    /// Where format 1 has each of these arrays; nil for those it lacks.
    static let format1Block: [Int?] = [0, 1, 2, 3, 4, 5, 7, 8, 10, nil, 6, 9]
    static let format1BlockArrayCount = 11
    static let format1Column: [Int?] = [3, 4, 5, 6, 7, 8, 9, 10, 11, 1, nil, 0, 2]
    static let format1ColumnArrayCount = 12

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
        try payload(stretch: column + 1, block).bytes.count
    }

    /// Bytes of a block's runs and times.
    package func rowsByteCount(_ block: Int) throws(StorageError) -> Int {
        try payload(stretch: 0, block).bytes.count
    }

    /// Bytes of a column's symbol tables in all groups.
    package func tablesByteCount(column: Int) -> Int {
        (0..<(storage.groupFirstBlocks.count - 1)).reduce(0) {
            $0 + storage.tableByteCount(group: $1, stretch: column + 1)
        }
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
        stretch: Int, _ block: Int
    ) throws(StorageError) -> (bytes: UnsafeRawBufferPointer, fileOffset: Int) {
        try payload(in: try storage.page(stretch: stretch, of: block), stretch: stretch, block)
    }

    /// The same in a page that is at hand.
    func payload(
        in page: DirectoryPage, stretch: Int, _ block: Int
    ) throws(StorageError) -> (bytes: UnsafeRawBufferPointer, fileOffset: Int) {
        guard storage.pageBlockCount > 1 else { return (page.bytes, page.fileOffset) }
        let byteCounts = storage.byteCounts(stretch: stretch)
        var start: UInt64 = 0
        for index in page.firstBlock..<block { start &+= byteCounts[index] & 0xFFFF_FFFF }
        let count = byteCounts[block]
        guard count <= UInt64(page.bytes.count), start <= UInt64(page.bytes.count) - count else {
            throw storage.corrupt(page.fileOffset, "block \(block) lies outside its page")
        }
        // Safe: the payload lies in its page, as was just checked.
        let range = Int(start)..<Int(start + count)
        return (
            UnsafeRawBufferPointer(rebasing: page.bytes[range]), page.fileOffset + range.lowerBound
        )
    }
}

/// Some blocks of a stretch, the bytes under one checksum.
struct DirectoryPage {
    var firstBlock: Int
    var bytes: UnsafeRawBufferPointer
    var fileOffset: Int
    /// Among all pages of the stretch's column.
    var index: Int
    var checksum: UInt64
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
    let layout: DirectoryLayout
    /// A bit a page of a stretch: its checksum has matched.
    private let matched: PageMarks
    /// Of the symbol tables, by group and column, as they are needed.
    private let decoders: Mutex<[SymbolDecoder?]>

    init(
        file: MappedFile, fields: [SegmentField], arrays: [PackedArray], blockArrays: OwnedArrays,
        layout: DirectoryLayout
    ) {
        self.file = file
        path = file.path
        self.fields = fields
        columnIndexes = Dictionary(
            fields.enumerated().map { ($0.element.id, $0.offset) },
            uniquingKeysWith: { old, _ in old })
        self.arrays = arrays
        self.blockArrays = blockArrays
        self.layout = layout
        matched = PageMarks(count: layout.pageCount * (fields.count + 1))
        decoders = Mutex(
            Array(repeating: nil, count: layout.hasTables ? layout.groupCount * fields.count : 0))
    }

    var groupFirstBlocks: [Int] { layout.groupFirstBlocks }
    var stretchStarts: [Int] { layout.stretchStarts }
    var pageBlockCount: Int { layout.pageBlockCount }

    func group(of block: Int) -> Int { layout.group(of: block) }

    func tableByteCount(group: Int, stretch: Int) -> Int {
        layout.tableByteCount(group: group, stretch: stretch, columnCount: fields.count)
    }

    private func firstArray(stretch: Int) -> Int {
        stretch == 0
            ? DirectoryArray.rowsByteCount
            : DirectoryArray.blockArrayCount + (stretch - 1) * DirectoryArray.columnArrayCount
                + DirectoryArray.byteCount
    }

    func byteCounts(stretch: Int) -> PackedArray { arrays[firstArray(stretch: stretch)] }

    /// The page of a stretch that a block lies in.
    func page(stretch: Int, of block: Int) throws(StorageError) -> DirectoryPage {
        let group = group(of: block)
        let groupStart = groupFirstBlocks[group]
        let local = (block - groupStart) / pageBlockCount
        let index = layout.groupFirstPages[group] + local
        let place = group * (fields.count + 1) + stretch
        let stretchStart = stretchStarts[place]
        let stretchByteCount = UInt64(stretchStarts[place + 1] - stretchStart)
        let array = firstArray(stretch: stretch)
        let ends = arrays[array + 1]
        let start =
            local > 0 ? ends[index - 1] : UInt64(tableByteCount(group: group, stretch: stretch))
        let end = ends[index]
        guard start <= end, end <= stretchByteCount else {
            throw corrupt(stretchStart, "block \(block) lies outside its stretch")
        }
        // Safe: stretches lie in the mapped file one after the other, checked when the directory was
        // read, and the page lies in its stretch, as was just checked.
        let offset = stretchStart + Int(start)
        return DirectoryPage(
            firstBlock: groupStart + local * pageBlockCount,
            bytes: UnsafeRawBufferPointer(
                rebasing: file.bytes[offset..<(stretchStart + Int(end))]), fileOffset: offset,
            index: index, checksum: arrays[array + 2][index])
    }

    /// The block behind the last of a block's page.
    func endOfPage(of block: Int) -> Int {
        let group = group(of: block)
        let start = groupFirstBlocks[group]
        let end = start + ((block - start) / pageBlockCount + 1) * pageBlockCount
        return min(end, groupFirstBlocks[group + 1])
    }

    /// Checks a page, unless it was found to be whole before.
    /// - Parameter what: For the error: whose page it is.
    func check(
        _ page: DirectoryPage, stretch: Int, _ what: @autoclosure () -> String
    ) throws(StorageError) {
        let mark = stretch * layout.pageCount + page.index
        guard !matched.has(mark) else { return }
        guard UInt64(CRC32C.checksum(page.bytes)) == page.checksum else {
            throw corrupt(page.fileOffset, "the checksum of \(what()) does not match")
        }
        try file.checkReadable()
        matched.set(mark)
    }

    /// The symbol table of a column's payloads in a group; nil if it has none.
    func symbols(column: Int, group: Int) throws(StorageError) -> SymbolDecoder? {
        guard layout.hasTables else { return nil }
        let index = group * fields.count + column
        if let known = decoders.withLock({ $0[index] }) { return known }
        guard let bytes = tableBytes(group: group, column: column) else { return nil }
        let decoder = SymbolDecoder(try Self.readTable(bytes, in: self, column, group))
        try file.checkReadable()
        decoders.withLock { $0[index] = decoder }
        KeptDecoders.shared.keep(self, index)
        return decoder
    }

    func forget(decoder index: Int) { decoders.withLock { $0[index] = nil } }

    /// Where a column's stretch has its symbol table.
    func tableBytes(group: Int, column: Int) -> UnsafeRawBufferPointer? {
        let count = tableByteCount(group: group, stretch: column + 1)
        guard count > 0 else { return nil }
        let start = stretchStarts[group * (fields.count + 1) + column + 1]
        // Safe: the layout was refused unless tables lie in their stretches.
        return UnsafeRawBufferPointer(rebasing: file.bytes[start..<(start + count)])
    }

    static func readTable(
        _ bytes: UnsafeRawBufferPointer, in storage: DirectoryStorage, _ column: Int, _ group: Int
    ) throws(StorageError) -> SymbolTable {
        let start = storage.stretchStarts[group * (storage.fields.count + 1) + column + 1]
        let what = "symbol table of column \(column), group \(group)"
        let content = UnsafeRawBufferPointer(rebasing: bytes.dropLast(4))
        let stored = bytes.loadUnaligned(fromByteOffset: content.count, as: UInt32.self)
        guard CRC32C.checksum(content) == UInt32(littleEndian: stored) else {
            throw storage.corrupt(start, "the checksum of the \(what) does not match")
        }
        var reader = ByteReader(content)
        do throws(ByteReader.Malformed) { return try SymbolTable.read(&reader) } catch {
            throw storage.corrupt(start + error.offset, "\(what): \(error.reason)")
        }
    }

    func corrupt(_ offset: Int, _ reason: String) -> StorageError {
        file.failure ?? .corrupt(file: path, offset: UInt64(offset), reason: reason)
    }
}
