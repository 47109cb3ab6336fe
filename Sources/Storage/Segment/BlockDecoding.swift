// Decoding of blocks, and the first reading of a directory. Drawings: BlockDirectory.swift.

extension BlockDirectory {
    /// The series of a block and their rows, in place of what `runs` held.
    /// - Throws: `corrupt` with the offset of the block's runs.
    package func decodeRuns(
        _ block: Int, into runs: inout [SegmentRun]
    ) throws(StorageError) {
        runs.removeAll(keepingCapacity: true)
        let rows = rowCount(block)
        let count = runCount(block)
        let (first, last) = (firstSeries(block), lastSeries(block))
        if count == 1 {
            runs.append(SegmentRun(series: first, rowStart: 0, rowCount: rows))
            return
        }
        let (bytes, offset) = try runsAndTimes(block)
        var reader = ByteReader(bytes)
        let isConsecutive = Int(last) - Int(first) + 1 == count
        do throws(ByteReader.Malformed) {
            var series = first
            for index in 0..<count {
                if index > 0 {
                    let distance =
                        isConsecutive ? 1 : try reader.readCount(limit: Int(last - series))
                    guard distance > 0 else {
                        throw ByteReader.Malformed(offset: reader.offset, reason: "series repeat")
                    }
                    series += UInt32(distance)
                }
                runs.append(SegmentRun(series: series, rowStart: 0, rowCount: rows / count))
            }
            guard series == last else {
                throw ByteReader.Malformed(offset: reader.offset, reason: "series end early")
            }
            var start = 0
            let areEqual = flags(block) & DirectoryArray.equalRunsFlag != 0
            for index in 0..<count {
                if !areEqual { runs[index].rowCount = try reader.readCount(limit: rows - start) }
                guard runs[index].rowCount > 0 else {
                    throw ByteReader.Malformed(offset: reader.offset, reason: "a series has no row")
                }
                runs[index].rowStart = start
                start += runs[index].rowCount
            }
            guard start == rows, reader.offset == runsByteCount(block) else {
                throw ByteReader.Malformed(offset: reader.offset, reason: "runs miss their end")
            }
        } catch {
            throw storage.corrupt(offset + error.offset, "runs of block \(block): \(error.reason)")
        }
        try storage.file.checkReadable()
    }

    /// Decodes a block's times into memory with room for `rowCount + 64`.
    /// - Throws: `corrupt` or `unsupportedFormat`, and the memory's content is undefined.
    package func decodeTimes(
        _ block: Int, into times: UnsafeMutablePointer<Int64>
    ) throws(StorageError) {
        let rows = rowCount(block)
        if let step = regularStep(block) {
            let start = minTime(block)
            var four = SIMD4(0, step, step &* 2, step &* 3) &+ start
            // Safe: the caller gives room for `rowCount + 64` times.
            for index in stride(from: 0, to: rows, by: 4) {
                UnsafeMutableRawPointer(times + index).storeBytes(of: four, as: SIMD4<Int64>.self)
                four = four &+ (step &* 4)
            }
            return
        }
        let (bytes, offset) = try runsAndTimes(block)
        let runsCount = runsByteCount(block)
        // Safe: this keeps the slice below inside of the block.
        guard runsCount <= bytes.count else {
            throw storage.corrupt(offset, "runs of block \(block) pass its end")
        }
        let code = storage.arrays[DirectoryArray.timeEncoding][block]
        do throws(CodecError) {
            try TimestampCodec.decode(
                Encoding(rawValue: UInt8(truncatingIfNeeded: code)),
                UnsafeRawBufferPointer(rebasing: bytes[runsCount...]), count: rows, into: times)
        } catch {
            throw failure(error, code, offset + runsCount, "times of block \(block)")
        }
        try storage.file.checkReadable()
    }

    /// Decodes a column of a block. `values` and `validity` have room for `rowCount + 64`; strings
    /// are appended to `strings`, their slots point there; slots of absent rows are 0.
    /// - Returns: How many rows have a value, and how many bytes the payload has.
    /// - Throws: `corrupt` or `unsupportedFormat`, and the memory's content is undefined.
    package func decodeColumn(
        _ column: Int, block: Int, values: UnsafeMutablePointer<UInt64>,
        validity: UnsafeMutablePointer<UInt8>, strings: inout [UInt8], symbols: inout SymbolCache
    ) throws(StorageError) -> (presentCount: Int, byteCount: Int) {
        let rows = rowCount(block)
        let expected = presentCount(column: column, block: block)
        let page = try storage.page(stretch: column + 1, of: block)
        let (bytes, offset) = try payload(in: page, stretch: column + 1, block)
        guard expected > 0 else {
            guard bytes.isEmpty else {
                throw storage.corrupt(
                    offset, "bytes of column \(column), block \(block), for no value")
            }
            validity.update(repeating: 0, count: rows)
            values.update(repeating: 0, count: rows)
            return (0, 0)
        }
        try storage.check(page, stretch: column + 1, "column \(column), block \(block),")
        let code = array(column, DirectoryArray.encoding)[block]
        let present: Int
        let decoder = try symbols.decoder(storage, column, block)
        do throws(CodecError) {
            present = try ColumnCodec.decode(
                Encoding(rawValue: UInt8(truncatingIfNeeded: code)), bytes,
                type: columnType(column), count: rows, symbols: decoder, values: values,
                validity: validity, strings: &strings)
        } catch {
            throw failure(error, code, offset, "column \(column), block \(block)")
        }
        guard present == expected else {
            throw storage.corrupt(
                offset, "column \(column), block \(block): \(present) values, \(expected) expected")
        }
        try storage.file.checkReadable()
        // The codec leaves it alone where all are present; callers of this function may rely on it.
        if present == rows { validity.update(repeating: 1, count: rows) }
        return (present, bytes.count)
    }

    private func runsByteCount(_ block: Int) -> Int {
        Int(truncatingIfNeeded: storage.arrays[DirectoryArray.runsByteCount][block] & 0xFFFF_FFFF)
    }

    /// A block's runs and times, whose checksum has matched.
    func runsAndTimes(
        _ block: Int
    ) throws(StorageError) -> (bytes: UnsafeRawBufferPointer, fileOffset: Int) {
        let page = try storage.page(stretch: 0, of: block)
        try storage.check(page, stretch: 0, "block \(block)'s rows")
        return try payload(in: page, stretch: 0, block)
    }

    private func failure(
        _ error: CodecError, _ code: UInt64, _ offset: Int, _ what: String
    ) -> StorageError {
        guard !error.isUnsupported else {
            return .unsupportedFormat(
                file: storage.path, found: UInt32(truncatingIfNeeded: code),
                newestKnown: SegmentLayout.formatNumber)
        }
        return storage.corrupt(offset, "\(what): \(error.reason)")
    }
}

extension BlockDirectory {
    /// Checks and reads a table's directory. Cost: its checksum and a pass over its blocks.
    init(file: MappedFile, table: SegmentTableEntry) throws(StorageError) {
        let start = table.directoryOffset
        let bytes = UnsafeRawBufferPointer(
            rebasing: file.bytes[start..<(start + table.directoryByteCount)])
        func corrupt(_ offset: Int, _ reason: String) -> StorageError {
            file.failure
                ?? .corrupt(
                    file: file.path, offset: UInt64(start + offset),
                    reason: "directory of table \(table.schema.tableID): \(reason)")
        }
        guard CRC32C.checksum(bytes) == table.directoryChecksum else {
            throw corrupt(0, "the checksum does not match")
        }
        do throws(ByteReader.Malformed) {
            storage = try Self.parse(bytes, file: file, table: table)
        } catch {
            throw corrupt(error.offset, error.reason)
        }
        blockCount = table.blockCount
        columnCount = table.schema.fields.count
        if let reason = contradiction(table) { throw corrupt(0, reason) }
        try file.checkReadable()
    }

    private static func parse(
        _ bytes: UnsafeRawBufferPointer, file: MappedFile, table: SegmentTableEntry
    ) throws(ByteReader.Malformed) -> DirectoryStorage {
        var reader = ByteReader(bytes)
        let blockCount = try reader.readCount(limit: table.blockCount)
        let columnCount = try reader.readCount(limit: table.schema.fields.count)
        guard blockCount == table.blockCount, columnCount == table.schema.fields.count else {
            throw .init(offset: 0, reason: "blocks or columns are not those of the footer")
        }
        let layout = try DirectoryLayout(
            &reader, format: table.format, blockCount: blockCount, columnCount: columnCount,
            data: table.dataOffset..<table.directoryOffset)
        let isOld = table.format == 1
        let blockArrayCount =
            isOld ? DirectoryArray.format1BlockArrayCount : DirectoryArray.blockArrayCount
        let columnArrayCount =
            isOld ? DirectoryArray.format1ColumnArrayCount : DirectoryArray.columnArrayCount
        var parser = PackedArrayParser()
        try parser.readDescriptors(
            blockArrayCount + columnCount * columnArrayCount, from: &reader)
        while reader.offset % SegmentLayout.alignment != 0 {
            guard try reader.read(UInt8.self) == 0 else {
                throw .init(offset: reader.offset - 1, reason: "padding is not zero")
            }
        }
        let found = try parser.arrays(over: bytes, offset: reader.offset) { index in
            guard !isOld else { return blockCount }
            let column = index - DirectoryArray.blockArrayCount
            let isOverPages =
                column < 0
                ? index >= DirectoryArray.rowsPageEnd
                : column % DirectoryArray.columnArrayCount >= DirectoryArray.pageEnd
            return isOverPages ? layout.pageCount : blockCount
        }
        let arrays = isOld ? ordered(format1: found, columnCount: columnCount) : found
        let blockArrays = OwnedArrays(copying: arrays[..<DirectoryArray.blockArrayCount])
        return DirectoryStorage(
            file: file, fields: table.schema.fields,
            arrays: blockArrays.arrays + arrays[DirectoryArray.blockArrayCount...],
            blockArrays: blockArrays, layout: layout)
    }

    /// The arrays of format 1 in today's order.
    private static func ordered(format1 arrays: [PackedArray], columnCount: Int) -> [PackedArray] {
        let none = PackedArray(
            elements: arrays[0].elements, count: arrays[0].count, width: 0, base: 0, factor: 1)
        var result = DirectoryArray.format1Block.map { $0.map { arrays[$0] } ?? none }
        for column in 0..<columnCount {
            let start =
                DirectoryArray.format1BlockArrayCount
                + column * DirectoryArray.format1ColumnArrayCount
            result += DirectoryArray.format1Column.map { $0.map { arrays[start + $0] } ?? none }
        }
        return result
    }

    /// What is wrong with the arrays over blocks, of which every later step relies upon.
    private func contradiction(_ table: SegmentTableEntry) -> String? {
        var rows = 0
        for block in 0..<blockCount {
            let rowCount = storage.arrays[DirectoryArray.rowCount][block]
            let runCount = storage.arrays[DirectoryArray.runCount][block]
            let first = storage.arrays[DirectoryArray.firstSeries][block]
            let last = storage.arrays[DirectoryArray.lastSeries][block]
            let (minTime, maxTime) = (minTime(block), maxTime(block))
            let isRegular = flags(block) & DirectoryArray.regularTimesFlag != 0
            guard rowCount >= 1, rowCount <= UInt64(SegmentLayout.blockRowsLimit), runCount >= 1,
                runCount <= rowCount, first <= last, last <= UInt64(UInt32.max), minTime <= maxTime,
                (runCount == 1) == (first == last), runCount <= last - first + 1,
                !isRegular || runCount == 1, minTime >= table.minTime, maxTime <= table.maxTime
            else { return "block \(block) contradicts itself" }
            rows += Int(rowCount)
            guard block > 0 else { continue }
            let previous = UInt64(lastSeries(block - 1))
            guard
                previous < first
                    || previous == first && runCount == 1 && self.runCount(block - 1) == 1
                        && self.maxTime(block - 1) < minTime
            else { return "block \(block) does not follow the one before" }
        }
        return rows == table.rowCount ? nil : "\(rows) rows, \(table.rowCount) expected"
    }
}
