// Every byte of a segment and what it means: both ends and the footer, then the tables as the
// footer has them. Drawings: SegmentLayout.swift, SegmentFooter.swift, BlockDirectory.swift.

enum SegmentAnnotation {
    private static let blockArrays = [
        "firstSeries", "lastSeries", "rowCount", "runCount", "minTime", "maxTime", "runsByteCount",
        "timeEncoding", "rowsFlags", "rowsByteCount", "rowsPageEnd", "rowsPageChecksum",
    ]
    private static let columnArrays = [
        "absentCount", "nanCount", "minimum", "maximum", "sumLow", "sumHigh", "first", "last",
        "flags", "encoding", "byteCount", "pageEnd", "pageChecksum",
    ]
    /// How the names of arrays over pages end.
    private static let overPages = ["ageEnd", "ageChecksum"]
    private static let format1BlockArrays = [
        "firstSeries", "lastSeries", "rowCount", "runCount", "minTime", "maxTime", "rowsEnd",
        "runsByteCount", "timeEncoding", "rowsChecksum", "rowsFlags",
    ]
    private static let format1ColumnArrays = [
        "end", "encoding", "checksum", "absentCount", "nanCount", "minimum", "maximum", "sumLow",
        "sumHigh", "first", "last", "flags",
    ]

    static func annotate(_ file: MappedFile) -> [AnnotatedRange] {
        var header = ByteAnnotator(
            slice(file, 0..<min(SegmentLayout.headerByteCount, file.bytes.count)))
        header.title("header")
        attempt(&header) { annotator throws(ByteReader.Malformed) in
            try annotator.bytes(8, "magic \"APUSSEG\\n\"")
            try annotator.number(UInt32.self, "format")
            try annotator.checksum(
                "checksum of the header", actual: CRC32C.checksum(slice(file, 0..<12)))
        }
        let start = min(SegmentLayout.headerByteCount, file.bytes.count)
        guard
            let (footer, format) = try? SegmentLayout.locateFooter(file.bytes, file: file.path),
            let decoded = try? SegmentFooter.decode(
                slice(file, footer), footerOffset: footer.lowerBound, format: format)
        else { return header.ranges + annotateLoosely(file, from: start) }
        var ranges = header.ranges
        var end = start
        for table in decoded.tables {
            ranges += annotate(table, file)
            end = table.end
        }
        ranges += zeros(file, end..<footer.lowerBound)
        ranges += annotateFooter(file, footer, decoded, format: format)
        let trailer = file.bytes.count - SegmentLayout.trailerByteCount
        ranges += zeros(file, footer.upperBound..<trailer)
        return ranges + annotateTrailer(file, trailer, footer: footer)
    }

    /// Where the footer can't be found or read: the trailer is shown all the same.
    private static func annotateLoosely(_ file: MappedFile, from start: Int) -> [AnnotatedRange] {
        let trailer = max(start, file.bytes.count - SegmentLayout.trailerByteCount)
        var middle = ByteAnnotator(slice(file, start..<trailer), base: start)
        middle.title("tables and footer")
        middle.rest("UNREADABLE: the trailer leads to no whole footer")
        return middle.ranges + annotateTrailer(file, trailer, footer: nil)
    }

    // Safe: `range` lies in the file, and the bytes live as long as it; callers check both.
    private static func slice(_ file: MappedFile, _ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: file.bytes[range.clamped(to: 0..<file.bytes.count)])
    }

    private static func attempt(
        _ annotator: inout ByteAnnotator,
        _ body: (inout ByteAnnotator) throws(ByteReader.Malformed) -> Void
    ) {
        do throws(ByteReader.Malformed) {
            try body(&annotator)
            annotator.rest("bytes left over")
        } catch { annotator.rest("UNREADABLE from here: \(error.reason)") }
    }

    private static func zeros(_ file: MappedFile, _ range: Range<Int>) -> [AnnotatedRange] {
        guard !range.isEmpty else { return [] }
        let isRight = slice(file, range).allSatisfy { $0 == 0 }
        return [
            AnnotatedRange(
                offset: range.lowerBound, byteCount: range.count,
                meaning: isRight ? "zeros" : "NOT ZERO, but should be")
        ]
    }

    // MARK: Both ends

    private static func annotateTrailer(
        _ file: MappedFile, _ start: Int, footer: Range<Int>?
    ) -> [AnnotatedRange] {
        var trailer = ByteAnnotator(slice(file, start..<file.bytes.count), base: start)
        trailer.title("trailer")
        attempt(&trailer) { annotator throws(ByteReader.Malformed) in
            try annotator.number(UInt64.self, "footerOffset")
            try annotator.number(UInt64.self, "footerByteCount")
            try annotator.number(UInt64.self, "fileByteCount")
            if let footer {
                try annotator.checksum(
                    "checksum of the footer", actual: CRC32C.checksum(slice(file, footer)))
            } else {
                try annotator.number(UInt32.self, "checksum of the footer:")
            }
            try annotator.number(UInt32.self, "format")
            try annotator.number(UInt32.self, "reserved")
            try annotator.checksum(
                "checksum of the trailer",
                actual: CRC32C.checksum(slice(file, start..<(start + 36))))
            try annotator.bytes(8, "magic \"APUSEND\\n\"")
        }
        return trailer.ranges
    }

    private static func annotateFooter(
        _ file: MappedFile, _ range: Range<Int>, _ decoded: SegmentFooter, format: UInt32
    ) -> [AnnotatedRange] {
        var footer = ByteAnnotator(slice(file, range), base: range.lowerBound)
        footer.title("footer")
        attempt(&footer) { annotator throws(ByteReader.Malformed) in
            try annotator.number(UInt64.self, "number")
            try annotator.number(UInt32.self, "databaseID")
            try annotator.number(Int64.self, "partitionStart")
            try annotator.number(Int64.self, "partitionNanoseconds")
            try annotator.number(UInt64.self, "firstSequence")
            try annotator.number(UInt64.self, "lastSequence")
            if format > 1 { try annotator.number(UInt8.self, "level") }
            try annotator.text("databaseName")
            for _ in 0..<(try annotator.count("segments replaced:")) {
                try annotator.varint("  segment")
            }
            for index in 0..<(try annotator.count("strings:")) {
                try annotator.text("  string \(index):")
            }
            _ = try annotator.count("tables:")
            for table in decoded.tables { try annotateEntry(table, &annotator) }
        }
        return footer.ranges
    }

    private static func annotateEntry(
        _ table: SegmentTableEntry, _ annotator: inout ByteAnnotator
    ) throws(ByteReader.Malformed) {
        try annotator.varint("table")
        try annotator.varint("  name: string")
        try annotator.varint("  firstSequence")
        try annotator.varint("  lastSequence")
        for _ in 0..<(try annotator.count("  tags:")) { try annotator.varint("    string") }
        for _ in 0..<(try annotator.count("  fields:")) {
            try annotator.varint("    field")
            try annotator.varint("      name: string")
            try annotator.varint("      SQL name: string")
            try annotator.number(UInt8.self, "      type")
        }
        for name in ["rowCount", "blockCount", "seriesCount"] { try annotator.varint("  \(name)") }
        try annotator.number(Int64.self, "  minTime")
        try annotator.number(Int64.self, "  maxTime")
        for name in ["dataOffset", "directoryOffset", "directoryByteCount"] {
            try annotator.varint("  \(name)")
        }
        try annotator.number(UInt32.self, "  directoryChecksum")
        try annotator.varint("  keysByteCount")
        try annotator.number(UInt32.self, "  keysChecksum")
    }

    // MARK: A table

    private static func annotate(
        _ table: SegmentTableEntry, _ file: MappedFile
    ) -> [AnnotatedRange] {
        let name = "table \(table.schema.tableID) \"\(ByteAnnotator.visible(table.schema.name))\""
        var ranges: [AnnotatedRange] = []
        var dataEnd = table.directoryOffset
        if let directory = try? BlockDirectory(file: file, table: table) {
            dataEnd = directory.storage.stretchStarts.last ?? table.dataOffset
            ranges += annotateBlocks(directory, table, name)
        } else if table.dataOffset < dataEnd {
            ranges.append(
                .init(
                    offset: table.dataOffset, byteCount: 0, meaning: "\(name), blocks",
                    isTitle: true))
            ranges.append(
                .init(
                    offset: table.dataOffset, byteCount: dataEnd - table.dataOffset,
                    meaning: "UNREADABLE: its directory is damaged"))
        }
        ranges += zeros(file, dataEnd..<table.directoryOffset)
        ranges += annotateDirectory(table, file, name)
        let keys = table.keysOffset..<table.end
        var section = ByteAnnotator(slice(file, keys), base: keys.lowerBound)
        section.title("\(name), series keys")
        attempt(&section) { annotator throws(ByteReader.Malformed) in
            while annotator.remaining > 0 {
                try annotator.varint("chunk: series")
                let form = try annotator.number(UInt8.self, "  form")
                try annotator.varint("  rawByteCount")
                let stored = try annotator.count("  storedByteCount")
                switch SeriesKeySection.Form(rawValue: form) {
                case .compressedKeys: try annotator.bytes(stored, "  keys, compressed")
                case .idsAlone: try annotator.bytes(stored, "  ids alone, in runs")
                case .keys, nil: try annotator.bytes(stored, "  keys")
                }
            }
        }
        return ranges + section.ranges
    }

    /// Payloads as they lie: by group, first the rows of its blocks, then column by column.
    private static func annotateBlocks(
        _ directory: BlockDirectory, _ table: SegmentTableEntry, _ name: String
    ) -> [AnnotatedRange] {
        let storage = directory.storage
        var ranges: [AnnotatedRange] = []
        for group in 0..<max(0, storage.groupFirstBlocks.count - 1) {
            let blocks = storage.groupFirstBlocks[group]..<storage.groupFirstBlocks[group + 1]
            for stretch in 0...directory.columnCount {
                let index = group * (directory.columnCount + 1) + stretch
                let limit = storage.stretchStarts[index + 1]
                var offset = storage.stretchStarts[index]
                let field = stretch == 0 ? nil : table.schema.fields[stretch - 1]
                let what = field.map { "column \(ByteAnnotator.visible($0.sqlName))" } ?? "rows"
                ranges.append(
                    .init(
                        offset: offset, byteCount: 0, meaning: "\(name), group \(group), \(what)",
                        isTitle: true))
                if let table = stretch > 0
                    ? storage.tableBytes(group: group, column: stretch - 1) : nil
                {
                    ranges.append(
                        .init(
                            offset: offset, byteCount: table.count - 4, meaning: "symbol table"))
                    ranges.append(
                        .init(
                            offset: offset + table.count - 4, byteCount: 4,
                            meaning: "checksum of the symbol table"))
                    offset += table.count
                }
                for block in blocks {
                    let (end, meaning) = payload(directory, stretch, block, from: offset)
                    guard end > offset, end <= limit else { continue }
                    ranges.append(
                        .init(offset: offset, byteCount: end - offset, meaning: meaning))
                    offset = end
                }
                if offset < limit {
                    ranges.append(
                        .init(
                            offset: offset, byteCount: limit - offset,
                            meaning: "bytes of no block"))
                }
            }
        }
        return ranges
    }

    private static func payload(
        _ directory: BlockDirectory, _ stretch: Int, _ block: Int, from offset: Int
    ) -> (end: Int, meaning: String) {
        let rows = directory.rowCount(block)
        guard stretch > 0 else {
            let count = (try? directory.rowsByteCount(block)) ?? 0
            return (
                offset + count,
                "block \(block): \(directory.runCount(block)) series, \(rows) rows, times "
                    + directory.timeEncoding(block).name
            )
        }
        let count = (try? directory.payloadByteCount(column: stretch - 1, block: block)) ?? 0
        let values = directory.presentCount(column: stretch - 1, block: block)
        return (
            offset + count,
            "block \(block): \(values) values, "
                + directory.encoding(column: stretch - 1, block: block).name
        )
    }

    private static func annotateDirectory(
        _ table: SegmentTableEntry, _ file: MappedFile, _ name: String
    ) -> [AnnotatedRange] {
        let range = table.directoryOffset..<table.keysOffset
        var directory = ByteAnnotator(slice(file, range), base: range.lowerBound)
        directory.title("\(name), directory")
        let isOld = table.format == 1
        let names =
            (isOld ? format1BlockArrays : blockArrays)
            + table.schema.fields.flatMap { field in
                (isOld ? format1ColumnArrays : columnArrays).map {
                    "\(ByteAnnotator.visible(field.sqlName)).\($0)"
                }
            }
        attempt(&directory) { annotator throws(ByteReader.Malformed) in
            let blockCount = Int(clamping: try annotator.varint("blockCount"))
            try annotator.varint("columnCount")
            var pageCount = 0
            for group in 0..<(try annotator.count("groups:")) {
                let blocks = Int(clamping: try annotator.varint("  group \(group), blocks"))
                guard blocks > 0, blocks <= blockCount else {
                    throw .init(offset: annotator.offset, reason: "a group of \(blocks) blocks")
                }
                pageCount &+= (blocks - 1) / SegmentLayout.pageBlockCount + 1
                try annotator.varint("    bytes of rows")
                for field in table.schema.fields {
                    try annotator.varint("    bytes of \(ByteAnnotator.visible(field.sqlName))")
                }
                for field in table.schema.fields where !isOld {
                    try annotator.varint(
                        "    of them symbol table of \(ByteAnnotator.visible(field.sqlName))")
                }
            }
            var widths: [Int] = []
            for name in names {
                let head = try annotator.number(UInt8.self, "\(name): width")
                let width = Int(head & ~PackedArrayParser.decimalsFlag)
                if head & PackedArrayParser.decimalsFlag != 0 {
                    try annotator.number(UInt8.self, "  decimals, exponent")
                }
                try annotator.signedVarint("  base")
                if width > 0 { try annotator.varint("  factor") }
                widths.append(width)
            }
            func align(_ width: Int) throws(ByteReader.Malformed) {
                let rest = (annotator.offset - range.lowerBound) % max(width, 1)
                if rest > 0 { try annotator.bytes(width - rest, "zeros") }
            }
            try align(SegmentLayout.alignment)
            for (name, width) in zip(names, widths) where width > 0 {
                if width != 3 { try align(width) }
                let isOverPages = overPages.contains { name.hasSuffix($0) }
                let elements = isOverPages ? pageCount : blockCount
                let (count, isTooLarge) = elements.multipliedReportingOverflow(by: width)
                guard !isTooLarge else {
                    throw .init(offset: annotator.offset, reason: "too many elements")
                }
                try annotator.bytes(count, "\(name): \(elements) of \(width) bytes")
            }
        }
        return directory.ranges
    }
}
