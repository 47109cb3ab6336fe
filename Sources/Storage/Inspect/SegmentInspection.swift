// A segment for a person: its tables, their columns and blocks, from footer and directories; of the
// first block also why it is encoded as it is.

/// A table of one segment.
package struct SegmentTableInspection: Sendable {
    /// Of this segment alone.
    package var statistics: TableStatistics
    package var firstSequence: UInt64
    package var lastSequence: UInt64
    package var groupCount = 0
    /// Where its parts lie in the file.
    package var data: Range<Int>
    package var directory: Range<Int>
    package var keys: Range<Int>
    /// The first blocks; `statistics.blockCount` has them all.
    package var blocks: [BlockInspection] = []
}

package struct BlockInspection: Sendable {
    package struct Payload: Sendable {
        /// Nil where no row has a value.
        package var encoding: Encoding?
        package var valueCount: Int
        package var byteCount: Int
        /// What it would take otherwise, smallest first; of the first block only.
        package var candidates: [EncodingCandidate] = []
    }

    package var number: Int
    package var firstSeries: UInt32
    package var lastSeries: UInt32
    package var rowCount: Int
    package var runCount: Int
    package var minTime: Int64
    package var maxTime: Int64
    package var timeEncoding: Encoding
    package var rowsByteCount: Int
    /// One a column of the table.
    package var payloads: [Payload]
}

enum SegmentInspection {
    static func read(
        _ fileSystem: any FileSystem, _ name: String, blocksMax: Int
    ) throws(StorageError) -> FileInspection {
        let byteCount = try fileSystem.open(name, create: false).size
        var result = FileInspection(kind: .segment, name: name, byteCount: byteCount)
        do throws(StorageError) {
            let reader = try SegmentReader.open(fileSystem, path: name)
            describe(reader, &result)
            for table in reader.tables {
                do throws(StorageError) {
                    var inspected = try inspect(table, blocksMax: blocksMax)
                    try addCandidates(table, &inspected, &result)
                    result.tables.append(inspected)
                } catch { try result.take(error) }
            }
        } catch { try result.take(error) }
        return result
    }

    private static func describe(_ reader: SegmentReader, _ result: inout FileInspection) {
        let identity = reader.identity
        result.fact("format", .number(UInt64(reader.format)))
        result.fact("number", .number(identity.number))
        result.fact(
            "database",
            .text("\(ByteAnnotator.visible(identity.databaseName)) (\(identity.databaseID))"))
        result.fact("partition", .time(identity.partitionStart))
        result.fact("its length", .duration(identity.partitionNanoseconds))
        result.fact("records", .text("\(identity.firstSequence)–\(identity.lastSequence)"))
        result.fact("level", .text(identity.level == .cold ? "cold" : "hot"))
        if !identity.replaces.isEmpty {
            let numbers = identity.replaces.prefix(12).map(String.init).joined(separator: ", ")
            let more = identity.replaces.count > 12 ? ", …" : ""
            result.fact("merged from segments", .text(numbers + more))
        }
        let tables = reader.tables.map(\.entry)
        result.fact("tables", .number(UInt64(tables.count)))
        result.fact("rows", .number(UInt64(tables.reduce(0) { $0 + $1.rowCount })))
        result.fact("footer", .text("\(reader.footer.count) bytes at \(reader.footer.lowerBound)"))
    }

    private static func inspect(
        _ table: SegmentTable, blocksMax: Int
    ) throws(StorageError) -> SegmentTableInspection {
        let (schema, entry) = (table.schema, table.entry)
        var statistics = TableStatistics(id: schema.tableID, name: schema.name)
        try statistics.add(table)
        statistics.seriesCount = table.seriesCount
        let directory = try table.directory()
        var result = SegmentTableInspection(
            statistics: statistics, firstSequence: schema.firstSequence,
            lastSequence: schema.lastSequence,
            groupCount: directory.storage.groupFirstBlocks.count - 1,
            data: entry.dataOffset..<(directory.storage.stretchStarts.last ?? entry.dataOffset),
            directory: table.directoryRange, keys: entry.keysOffset..<entry.end)
        for block in 0..<min(blocksMax, directory.blockCount) {
            result.blocks.append(try inspect(directory, block))
        }
        return result
    }

    /// What the columns of the first block would take otherwise; nothing where they can't be read.
    private static func addCandidates(
        _ table: SegmentTable, _ inspection: inout SegmentTableInspection,
        _ result: inout FileInspection
    ) throws(StorageError) {
        guard let block = inspection.blocks.first else { return }
        let directory = try table.directory()
        for column in block.payloads.indices where block.payloads[column].encoding != nil {
            do throws(StorageError) {
                inspection.blocks[0].payloads[column].candidates = try candidates(
                    directory, column, block)
            } catch {
                if case .unsupportedFormat = error { continue }
                try result.take(error)
            }
        }
    }

    private static func candidates(
        _ directory: BlockDirectory, _ column: Int, _ block: BlockInspection
    ) throws(StorageError) -> [EncodingCandidate] {
        let scratch = BlockScratch(rowsMax: block.rowCount)
        var strings: [UInt8] = []
        var symbols = SymbolCache()
        let present = try directory.decodeColumn(
            column, block: block.number, values: scratch.values, validity: scratch.validity,
            strings: &strings, symbols: &symbols
        ).presentCount
        // Safe: the slots are those that were just decoded, and point into `strings`.
        return strings.withUnsafeBufferPointer { strings in
            ColumnCodec.candidates(
                ColumnSlice(
                    type: directory.columnType(column), count: block.rowCount,
                    values: scratch.values,
                    validity: present < block.rowCount ? UnsafePointer(scratch.validity) : nil,
                    stringBytes: strings.baseAddress))
        }
    }

    private static func inspect(
        _ directory: BlockDirectory, _ block: Int
    ) throws(StorageError) -> BlockInspection {
        var payloads: [BlockInspection.Payload] = []
        for column in 0..<directory.columnCount {
            let values = directory.presentCount(column: column, block: block)
            payloads.append(
                .init(
                    encoding: values == 0 ? nil : directory.encoding(column: column, block: block),
                    valueCount: values,
                    byteCount: try directory.payloadByteCount(column: column, block: block)))
        }
        return BlockInspection(
            number: block, firstSeries: directory.firstSeries(block),
            lastSeries: directory.lastSeries(block), rowCount: directory.rowCount(block),
            runCount: directory.runCount(block), minTime: directory.minTime(block),
            maxTime: directory.maxTime(block), timeEncoding: directory.timeEncoding(block),
            rowsByteCount: try directory.rowsByteCount(block), payloads: payloads)
    }
}
