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

    /// - Parameter values: Those of the arrays before `rowsByteCounts`.
    mutating func beginBlock(_ values: [UInt64]) {
        precondition(values.count == DirectoryArray.rowsByteCount, "BUG: arrays over blocks")
        for index in values.indices { arrays[index].append(values[index]) }
        blockCount += 1
        groupBlockCount += 1
    }

    mutating func addColumn(_ column: Int, rowCount: Int, statistics: ColumnStatistics) {
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
                UInt64(rowCount - statistics.presentCount), UInt64(statistics.nanCount),
                statistics.minimum, statistics.maximum, low, high, statistics.first,
                statistics.last, flags,
            ])
    }

    /// A block without any value of the column. What is undefined repeats the block before, since
    /// that keeps the arrays narrow.
    mutating func addAbsentColumn(_ column: Int, rowCount: Int) {
        let start = DirectoryArray.blockArrayCount + column * DirectoryArray.columnArrayCount
        var values = (0..<DirectoryArray.encoding).map { arrays[start + $0].last ?? 0 }
        values[DirectoryArray.absentCount] = UInt64(rowCount)
        append(column, values)
    }

    private mutating func append(_ column: Int, _ values: [UInt64]) {
        let start = DirectoryArray.blockArrayCount + column * DirectoryArray.columnArrayCount
        for index in values.indices { arrays[start + index].append(values[index]) }
    }

    /// Rows of a block by its number in the group.
    func groupRowCount(_ block: Int) -> Int {
        Int(arrays[DirectoryArray.rowCount][blockCount - groupBlockCount + block])
    }

    /// Says where the payloads of the blocks since the last group lie.
    /// - Parameter stretches: The rows stretch, then one a column.
    mutating func endGroup(_ stretches: [StretchWriter.Stretch]) {
        guard groupBlockCount > 0 else { return }
        groups.appendVarint(UInt64(groupBlockCount))
        for stretch in stretches { groups.appendVarint(UInt64(stretch.bytes.count)) }
        for stretch in stretches.dropFirst() {
            groups.appendVarint(UInt64(stretch.tableByteCount))
        }
        groupCount += 1
        groupBlockCount = 0
        for (index, stretch) in stretches.enumerated() {
            let start =
                DirectoryArray.blockArrayCount + (index - 1) * DirectoryArray.columnArrayCount
            if index > 0 {
                let encodings = start + DirectoryArray.encoding
                for payload in stretch.payloads {
                    // One without bytes repeats the one before, as its statistics do.
                    let before = arrays[encodings].last ?? 0
                    arrays[encodings].append(
                        payload.byteCount > 0 ? UInt64(payload.encoding.rawValue) : before)
                }
            }
            let byteCounts =
                index > 0 ? start + DirectoryArray.byteCount : DirectoryArray.rowsByteCount
            appendPages(of: stretch, byteCounts: byteCounts)
        }
    }

    /// - Parameter byteCounts: The array of payloads' sizes; ends and checksums of pages follow it.
    private mutating func appendPages(of stretch: StretchWriter.Stretch, byteCounts: Int) {
        var start = stretch.tableByteCount
        var end = start
        for (index, payload) in stretch.payloads.enumerated() {
            arrays[byteCounts].append(UInt64(payload.byteCount))
            end += payload.byteCount
            let isLast = index == stretch.payloads.count - 1
            guard isLast || (index + 1) % SegmentLayout.pageBlockCount == 0 else { continue }
            arrays[byteCounts + 1].append(UInt64(end))
            arrays[byteCounts + 2].append(
                UInt64(
                    stretch.bytes.withUnsafeBytes {
                        CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[start..<end]))
                    }))
            start = end
        }
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
                    arrays[start + index], isSigned: isSlot && fields[column].type == .int64,
                    isFloat: isSlot && fields[column].type == .float64)
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
    private var rows = ByteWriter()
    private var rowsPayloads: [StretchWriter.Payload] = []
    private var columns: [StretchWriter]
    /// Of the payloads without symbol tables.
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
        columns = schema.fields.map { _ in StretchWriter() }
        scratch = BlockScratch(rowsMax: blockRowsMax)
    }

    /// Encodes a range of the rows of `pending` as one block.
    mutating func encode(
        _ pending: borrowing PendingRows, _ range: Range<Int>,
        runs: ArraySlice<(series: UInt32, rowCount: Int)>
    ) {
        guard let first = runs.first, let last = runs.last else { return }
        let rowCount = range.count
        // Safe: the range lies inside the rows that wait.
        let times = UnsafeBufferPointer(
            start: UnsafePointer(pending.times + range.lowerBound), count: rowCount)
        var (lowest, highest) = (Int64.max, Int64.min)
        for time in times {
            lowest = min(lowest, time)
            highest = max(highest, time)
        }
        let before = rows.count
        let areEqual = runs.allSatisfy { $0.rowCount == first.rowCount }
        appendRuns(runs, areEqual: areEqual)
        let runsByteCount = rows.count - before
        let isRegular = runs.count == 1 && Self.isRegular(times)
        let encoding = isRegular ? Encoding(rawValue: 0) : appendTimes(times)
        rowsPayloads.append(
            StretchWriter.Payload(encoding: encoding, byteCount: rows.count - before))
        directory.beginBlock([
            UInt64(first.series), UInt64(last.series), UInt64(rowCount), UInt64(runs.count),
            UInt64(bitPattern: lowest), UInt64(bitPattern: highest), UInt64(runsByteCount),
            UInt64(encoding.rawValue),
            (areEqual ? DirectoryArray.equalRunsFlag : 0)
                | (isRegular ? DirectoryArray.regularTimesFlag : 0),
        ])
        groupByteCount += rows.count - before
        for column in pending.columns.indices {
            encodeColumn(column, pending.columns[column].slice(range), rowCount)
        }
        minTime = min(minTime, lowest)
        maxTime = max(maxTime, highest)
        self.rowCount += rowCount
    }

    /// The stretches of the blocks since the last group, in the order of the file.
    mutating func endGroup() -> [[UInt8]] {
        var stretches = [
            StretchWriter.Stretch(bytes: rows.bytes, tableByteCount: 0, payloads: rowsPayloads)
        ]
        for column in columns.indices {
            let type = schema.fields[column].type
            stretches.append(
                columns[column].finish { block, payload, bytes, symbols, draft in
                    let rowCount = directory.groupRowCount(block)
                    verify(payload.encoding, bytes, type, rowCount, symbols, draft)
                })
            columns[column].removeAll()
        }
        directory.endGroup(stretches)
        rows.removeAll()
        rowsPayloads.removeAll(keepingCapacity: true)
        groupByteCount = 0
        return stretches.map(\.bytes)
    }

    private mutating func encodeColumn(_ column: Int, _ slice: ColumnSlice?, _ rowCount: Int) {
        guard let slice else {
            directory.addAbsentColumn(column, rowCount: rowCount)
            columns[column].appendAbsent()
            return
        }
        var statistics = ColumnCodec.statistics(of: slice)
        if slice.type == .string { (statistics.first, statistics.last) = (0, 0) }
        if !statistics.hasRange { (statistics.minimum, statistics.maximum) = (0, 0) }
        let appended = columns[column].append(slice, options)
        if let exponent = appended.exponent, case .float(let sum) = statistics.sum {
            statistics.sum = .float(DecimalCodec.exactSum(sum, exponent: exponent))
        }
        if let (encoding, payload) = appended.payload {
            verify(slice, encoding, payload, present: statistics.presentCount)
        }
        directory.addColumn(column, rowCount: rowCount, statistics: statistics)
        // Differences that wait for a symbol table take a byte each, however few bytes they become.
        let byteCount = appended.byteCount
        groupByteCount += options.level == .cold ? max(byteCount, rowCount / 8) : byteCount
    }

    private mutating func appendRuns(
        _ runs: ArraySlice<(series: UInt32, rowCount: Int)>, areEqual: Bool
    ) {
        guard runs.count > 1, let first = runs.first, let last = runs.last else { return }
        if Int(last.series) - Int(first.series) + 1 != runs.count {
            var previous = first.series
            for run in runs.dropFirst() {
                rows.appendVarint(UInt64(run.series - previous))
                previous = run.series
            }
        }
        if !areEqual { for run in runs { rows.appendVarint(UInt64(run.rowCount)) } }
    }

    private mutating func appendTimes(_ times: UnsafeBufferPointer<Int64>) -> Encoding {
        let before = rows.count
        let encoding = TimestampCodec.encode(times, into: &rows)
        let decoded = scratch.times
        rows.bytes.withUnsafeBytes { bytes in
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
        _ slice: ColumnSlice, _ encoding: Encoding, _ payload: [UInt8], present: Int
    ) {
        let (values, validity) = (scratch.values, scratch.validity)
        var strings = scratchStrings
        scratchStrings = []
        strings.removeAll(keepingCapacity: true)
        var count = 0
        payload.withUnsafeBytes { bytes in
            do throws(CodecError) {
                count = try ColumnCodec.decode(
                    encoding, bytes, type: slice.type, count: slice.count, values: values,
                    validity: validity, strings: &strings)
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

    /// The same of a payload made at the group's end, by the checksum of its draft.
    private func verify(
        _ encoding: Encoding, _ bytes: UnsafeRawBufferPointer, _ type: FieldType, _ rowCount: Int,
        _ symbols: SymbolDecoder?, _ draft: ColumnDraft
    ) {
        let (values, validity) = (scratch.values, scratch.validity)
        var strings: [UInt8] = []
        do throws(CodecError) {
            let present = try ColumnCodec.decode(
                encoding, bytes, type: type, count: rowCount, symbols: symbols, values: values,
                validity: validity, strings: &strings)
            if present < rowCount {
                var next = 0
                for row in 0..<rowCount where validity[row] != 0 {
                    values[next] = values[row]
                    next += 1
                }
            }
            let checksum = ColumnCodec.checksum(
                values, present: present, validity: validity, count: rowCount)
            guard checksum == draft.checksum else {
                preconditionFailure(
                    "BUG: codes decode to other values (encoding \(encoding.rawValue))")
            }
        } catch { preconditionFailure("BUG: codes do not decode: \(error.reason)") }
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
