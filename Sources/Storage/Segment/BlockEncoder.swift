// Rows become blocks: each is encoded, decoded once and compared, and entered into the directory.

/// What the directory will say of a table's blocks; drawings in BlockDirectory.swift.
struct DirectoryWriter {
    private var arrays: [[UInt64]]
    private(set) var blockCount = 0
    private let columnCount: Int
    private var groups = ByteWriter()
    private var groupCount = 0
    private var groupBlockCount = 0

    init(columnCount: Int) {
        self.columnCount = columnCount
        arrays = Array(
            repeating: [],
            count: DirectoryArray.blockArrayCount + columnCount * DirectoryArray.columnArrayCount)
    }

    mutating func beginBlock(_ values: [UInt64]) {
        precondition(values.count == DirectoryArray.blockArrayCount, "BUG: arrays over blocks")
        for index in values.indices { arrays[index].append(values[index]) }
        blockCount += 1
        groupBlockCount += 1
    }

    mutating func addColumn(
        _ column: Int, end: Int, encoding: Encoding, checksum: UInt32, rowCount: Int,
        statistics: ColumnStatistics
    ) {
        var (low, high, flags): (UInt64, UInt64, UInt64) = (0, 0, 0)
        switch statistics.sum {
        case .none: break
        case .integer(let sum):
            low = UInt64(truncatingIfNeeded: sum)
            high = UInt64(truncatingIfNeeded: sum >> 64)
            flags = DirectoryArray.integerSumFlag
        case .float(let sum):
            low = sum.bitPattern
            flags = DirectoryArray.floatSumFlag
        }
        if statistics.hasRange { flags |= DirectoryArray.rangeFlag }
        append(
            column,
            [
                UInt64(end), UInt64(encoding.rawValue), UInt64(checksum),
                UInt64(rowCount - statistics.presentCount), UInt64(statistics.nanCount),
                statistics.minimum, statistics.maximum, low, high, statistics.first,
                statistics.last, flags,
            ])
    }

    /// A block without any value of the column. What is undefined repeats the block before, since
    /// that keeps the arrays narrow.
    mutating func addAbsentColumn(_ column: Int, end: Int, rowCount: Int) {
        let start = DirectoryArray.blockArrayCount + column * DirectoryArray.columnArrayCount
        var values = (0..<DirectoryArray.columnArrayCount).map { arrays[start + $0].last ?? 0 }
        values[DirectoryArray.end] = UInt64(end)
        values[DirectoryArray.absentCount] = UInt64(rowCount)
        append(column, values)
    }

    private mutating func append(_ column: Int, _ values: [UInt64]) {
        let start = DirectoryArray.blockArrayCount + column * DirectoryArray.columnArrayCount
        for index in values.indices { arrays[start + index].append(values[index]) }
    }

    mutating func endGroup(stretchByteCounts: [Int]) {
        guard groupBlockCount > 0 else { return }
        groups.appendVarint(UInt64(groupBlockCount))
        for count in stretchByteCounts { groups.appendVarint(UInt64(count)) }
        groupCount += 1
        groupBlockCount = 0
    }

    func encode(fields: [SegmentField]) -> [UInt8] {
        var writer = ByteWriter()
        writer.appendVarint(UInt64(blockCount))
        writer.appendVarint(UInt64(columnCount))
        writer.appendVarint(UInt64(groupCount))
        writer.append(groups.bytes)
        var packed = PackedArrayWriter()
        for index in 0..<DirectoryArray.blockArrayCount {
            let isTime = index == DirectoryArray.minTime || index == DirectoryArray.maxTime
            packed.append(arrays[index], isSigned: isTime)
        }
        for column in 0..<columnCount {
            let start = DirectoryArray.blockArrayCount + column * DirectoryArray.columnArrayCount
            for index in 0..<DirectoryArray.columnArrayCount {
                let isSlot = index >= DirectoryArray.minimum && index <= DirectoryArray.last
                packed.append(
                    arrays[start + index], isSigned: isSlot && fields[column].type == .int64)
            }
        }
        packed.write(to: &writer)
        return writer.bytes
    }
}

/// Encodes the rows of one table block by block into the stretches of the current group.
struct BlockEncoder: ~Copyable {
    let schema: SegmentTableSchema
    let options: EncodeOptions
    private(set) var directory: DirectoryWriter
    /// The rows stretch, then one a column.
    private(set) var stretches: [ByteWriter]
    private(set) var groupByteCount = 0
    private(set) var minTime = Int64.max
    private(set) var maxTime = Int64.min
    private(set) var rowCount = 0
    private let scratch: BlockScratch
    private var scratchStrings: [UInt8] = []

    init(schema: SegmentTableSchema, options: EncodeOptions, blockRowsMax: Int) {
        self.schema = schema
        self.options = options
        directory = DirectoryWriter(columnCount: schema.fields.count)
        stretches = Array(repeating: ByteWriter(), count: schema.fields.count + 1)
        scratch = BlockScratch(rowsMax: blockRowsMax)
    }

    /// Encodes a range of the rows of `pending` as one block.
    mutating func encode(
        _ pending: borrowing PendingRows, _ range: Range<Int>,
        runs: ArraySlice<(series: UInt32, rowCount: Int)>
    ) {
        guard let first = runs.first, let last = runs.last else { return }
        let rows = range.count
        // Safe: the range lies inside the rows that wait.
        let times = UnsafeBufferPointer(
            start: UnsafePointer(pending.times + range.lowerBound), count: rows)
        var (lowest, highest) = (Int64.max, Int64.min)
        for time in times {
            lowest = min(lowest, time)
            highest = max(highest, time)
        }
        let before = stretches[0].count
        let areEqual = runs.allSatisfy { $0.rowCount == first.rowCount }
        appendRuns(runs, areEqual: areEqual)
        let runsByteCount = stretches[0].count - before
        let isRegular = runs.count == 1 && Self.isRegular(times)
        let encoding = isRegular ? Encoding(rawValue: 0) : appendTimes(times)
        let checksum = Self.checksum(stretches[0], from: before)
        directory.beginBlock([
            UInt64(first.series), UInt64(last.series), UInt64(rows), UInt64(runs.count),
            UInt64(bitPattern: lowest), UInt64(bitPattern: highest), UInt64(stretches[0].count),
            UInt64(runsByteCount), UInt64(encoding.rawValue), UInt64(checksum),
            (areEqual ? DirectoryArray.equalRunsFlag : 0)
                | (isRegular ? DirectoryArray.regularTimesFlag : 0),
        ])
        groupByteCount += stretches[0].count - before
        for column in pending.columns.indices {
            encodeColumn(column, pending.columns[column].slice(range), rows)
        }
        minTime = min(minTime, lowest)
        maxTime = max(maxTime, highest)
        rowCount += rows
    }

    mutating func endGroup() {
        directory.endGroup(stretchByteCounts: stretches.map(\.count))
        for index in stretches.indices { stretches[index].removeAll() }
        groupByteCount = 0
    }

    private mutating func encodeColumn(_ column: Int, _ slice: ColumnSlice?, _ rows: Int) {
        guard let slice else {
            directory.addAbsentColumn(column, end: stretches[column + 1].count, rowCount: rows)
            return
        }
        var statistics = ColumnCodec.statistics(of: slice)
        if slice.type == .string { (statistics.first, statistics.last) = (0, 0) }
        if !statistics.hasRange { (statistics.minimum, statistics.maximum) = (0, 0) }
        let before = stretches[column + 1].count
        let encoding = ColumnCodec.encode(slice, options: options, into: &stretches[column + 1])
        verify(column, slice, encoding, from: before, present: statistics.presentCount)
        directory.addColumn(
            column, end: stretches[column + 1].count, encoding: encoding,
            checksum: Self.checksum(stretches[column + 1], from: before), rowCount: rows,
            statistics: statistics)
        groupByteCount += stretches[column + 1].count - before
    }

    private mutating func appendRuns(
        _ runs: ArraySlice<(series: UInt32, rowCount: Int)>, areEqual: Bool
    ) {
        guard runs.count > 1, let first = runs.first, let last = runs.last else { return }
        if Int(last.series) - Int(first.series) + 1 != runs.count {
            var previous = first.series
            for run in runs.dropFirst() {
                stretches[0].appendVarint(UInt64(run.series - previous))
                previous = run.series
            }
        }
        if !areEqual { for run in runs { stretches[0].appendVarint(UInt64(run.rowCount)) } }
    }

    private mutating func appendTimes(_ times: UnsafeBufferPointer<Int64>) -> Encoding {
        let before = stretches[0].count
        let encoding = TimestampCodec.encode(times, into: &stretches[0])
        let decoded = scratch.times
        stretches[0].bytes.withUnsafeBytes { bytes in
            do throws(CodecError) {
                try TimestampCodec.decode(
                    encoding, UnsafeRawBufferPointer(rebasing: bytes[before...]),
                    count: times.count, into: decoded)
            } catch { preconditionFailure("BUG: encoded times do not decode: \(error.reason)") }
        }
        for index in times.indices where decoded[index] != times[index] {
            preconditionFailure("BUG: times decode to others (encoding \(encoding.rawValue))")
        }
        return encoding
    }

    private static func isRegular(_ times: UnsafeBufferPointer<Int64>) -> Bool {
        guard times.count > 1 else { return true }
        let step = times[1] &- times[0]
        for index in 1..<times.count where times[index] &- times[index - 1] != step { return false }
        // A step past half of all time is no step; readers divide the span, which must not wrap.
        return step > 0
    }

    /// Decodes what was just encoded and compares it, bit by bit. The codec leaves `validity` alone
    /// where all rows are present.
    private mutating func verify(
        _ column: Int, _ slice: ColumnSlice, _ encoding: Encoding, from start: Int, present: Int
    ) {
        let (values, validity) = (scratch.values, scratch.validity)
        var strings = scratchStrings
        scratchStrings = []
        strings.removeAll(keepingCapacity: true)
        var count = 0
        stretches[column + 1].bytes.withUnsafeBytes { bytes in
            do throws(CodecError) {
                count = try ColumnCodec.decode(
                    encoding, UnsafeRawBufferPointer(rebasing: bytes[start...]), type: slice.type,
                    count: slice.count, values: values, validity: validity, strings: &strings)
            } catch {
                preconditionFailure("BUG: an encoded column does not decode: \(error.reason)")
            }
        }
        let isEqual =
            count == present
            && strings.withUnsafeBufferPointer { decoded in
                slice.type == .string
                    ? Self.stringsEqual(slice, values, validity, decoded)
                    : Self.numbersEqual(slice, values, validity)
            }
        guard isEqual else {
            preconditionFailure(
                "BUG: a column decodes to other values (encoding \(encoding.rawValue))")
        }
        scratchStrings = strings
    }

    private static func numbersEqual(
        _ slice: ColumnSlice, _ values: UnsafePointer<UInt64>, _ validity: UnsafePointer<UInt8>
    ) -> Bool {
        var difference: UInt64 = 0
        guard let expected = slice.validity else {
            for row in 0..<slice.count {
                difference |= values[row] ^ slice.values[row]
            }
            return difference == 0
        }
        for row in 0..<slice.count {
            let mask = UInt64(0) &- UInt64(expected[row])
            difference |= (values[row] ^ slice.values[row]) & mask
            difference |= UInt64(validity[row] ^ expected[row])
        }
        return difference == 0
    }

    private static func stringsEqual(
        _ slice: ColumnSlice, _ values: UnsafePointer<UInt64>, _ validity: UnsafePointer<UInt8>,
        _ decoded: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        for row in 0..<slice.count {
            let isPresent = slice.validity.map { $0[row] == 1 } ?? true
            guard slice.validity == nil || (validity[row] == 1) == isPresent else { return false }
            guard isPresent else { continue }
            let (left, right) = (
                StringSlot(rawValue: slice.values[row]), StringSlot(rawValue: values[row])
            )
            guard left.length == right.length, right.offset + right.length <= decoded.count else {
                return false
            }
            guard left.length > 0, let source = slice.stringBytes else { continue }
            for index in 0..<left.length
            where source[left.offset + index] != decoded[right.offset + index] { return false }
        }
        return true
    }

    private static func checksum(_ writer: ByteWriter, from start: Int) -> UInt32 {
        writer.bytes.withUnsafeBytes {
            CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[start...]))
        }
    }
}

/// Memory to decode one block into.
///
/// Safe: owned by one writer or verifier at a time; every block has at most `rowsMax` rows and
/// decoders write at most 64 slots past a block's rows.
final class BlockScratch {
    let times: UnsafeMutablePointer<Int64>
    let values: UnsafeMutablePointer<UInt64>
    let validity: UnsafeMutablePointer<UInt8>

    init(rowsMax: Int) {
        times = .allocate(capacity: rowsMax + 64)
        values = .allocate(capacity: rowsMax + 64)
        validity = .allocate(capacity: rowsMax + 64)
    }

    deinit {
        times.deallocate()
        values.deallocate()
        validity.deallocate()
    }
}
