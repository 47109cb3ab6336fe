import ApusStorage

/// A segment byte by byte: ends first, since the trailer leads to everything.
enum AnnotatedSegment {
    private struct Table {
        var columns: [(name: String, type: UInt64)] = []
        var rowCount = 0
        var blockCount = 0
        var seriesCount = 0
        var dataOffset = 0
        var directoryOffset = 0
        var directoryByteCount = 0
        var keysByteCount = 0
    }

    /// The arrays of a directory, by format; those in `overPages` have a number a page.
    private struct Arrays {
        var block: [String]
        var column: [String]

        static let overPages: Set = ["rowsPageEnd", "rowsPageChecksum", "pageEnd", "pageChecksum"]

        init(format: UInt64) {
            guard format > 1 else {
                block = [
                    "firstSeries", "lastSeries", "rowCount", "runCount", "minTime", "maxTime",
                    "rowsEnd", "runsByteCount", "timeEncoding", "rowsChecksum", "rowsFlags",
                ]
                column = [
                    "end", "encoding", "checksum", "absentCount", "nanCount", "minimum", "maximum",
                    "sumLow", "sumHigh", "first", "last", "flags",
                ]
                return
            }
            block = [
                "firstSeries", "lastSeries", "rowCount", "runCount", "minTime", "maxTime",
                "runsByteCount", "timeEncoding", "rowsFlags", "rowsByteCount", "rowsPageEnd",
                "rowsPageChecksum",
            ]
            column = [
                "absentCount", "nanCount", "minimum", "maximum", "sumLow", "sumHigh", "first",
                "last", "flags", "encoding", "byteCount", "pageEnd", "pageChecksum",
            ]
        }

        /// Where an array stands, of a column or over the blocks.
        func place(_ name: String, column number: Int? = nil) -> Int {
            guard let number else { return block.firstIndex(of: name) ?? 0 }
            return block.count + number * column.count + (column.firstIndex(of: name) ?? 0)
        }
    }

    private struct Group {
        var blocks: Int
        var byteCounts: [Int]
        var tableByteCounts: [Int]

        var pages: Int { (blocks + 7) / 8 }
    }

    static func annotate(_ file: inout AnnotatedBytes) {
        file.raw(8, "magic \"APUSSEG\\n\"")
        let format = file.number(4, "format")
        file.checksum("checksum of 0 ..< 12", of: 0..<12)
        let trailer = file.bytes.count - 48
        file.seek(trailer)
        file.title("trailer")
        let footerOffset = Int(file.number(8, "footerOffset"))
        let footerByteCount = Int(file.number(8, "footerByteCount"))
        file.number(8, "fileByteCount")
        file.checksum(
            "checksum of the footer", of: footerOffset..<(footerOffset + footerByteCount))
        file.number(4, "format")
        file.number(4, "reserved")
        file.checksum("checksum of the trailer's first 36 bytes", of: trailer..<(trailer + 36))
        file.raw(8, "magic \"APUSEND\\n\"")
        file.seek(footerOffset + footerByteCount)
        file.zeros(trailer - file.offset)
        file.seek(footerOffset)
        let tables = annotateFooter(&file, format)
        var end = 16
        for table in tables {
            annotateTable(table, format, &file)
            end = table.directoryOffset + table.directoryByteCount + table.keysByteCount
        }
        file.seek(end)
        file.zeros(footerOffset - end)
    }

    private static func annotateFooter(
        _ file: inout AnnotatedBytes, _ format: UInt64
    ) -> [Table] {
        file.title("footer")
        file.number(8, "number")
        file.number(4, "databaseID")
        file.signed("partitionStart")
        file.signed("partitionNanoseconds")
        file.number(8, "firstSequence")
        file.number(8, "lastSequence")
        if format > 1 { file.number(1, "level") }
        file.text("databaseName")
        for _ in 0..<file.varint("replaceCount") { file.varint("· replaces") }
        var names: [String] = []
        for index in 0..<file.varint("stringCount") { names.append(file.text("· string \(index)")) }
        func name(_ index: UInt64) -> String { index < names.count ? names[Int(index)] : "?" }
        var tables: [Table] = []
        for _ in 0..<file.varint("tableCount") {
            var table = Table()
            file.varint("· tableID")
            file.varint("  name", show: name)
            file.varint("  firstSequence")
            file.varint("  lastSequence")
            for _ in 0..<file.varint("  tagKeyCount") { file.varint("  · tag key", show: name) }
            for _ in 0..<file.varint("  fieldCount") {
                file.varint("  · fieldID")
                let index = file.varint("    name", show: name)
                file.varint("    sqlName", show: name)
                table.columns.append((name(index), file.number(1, "    type")))
            }
            table.rowCount = Int(file.varint("  rowCount"))
            table.blockCount = Int(file.varint("  blockCount"))
            table.seriesCount = Int(file.varint("  seriesCount"))
            file.signed("  minTime")
            file.signed("  maxTime")
            table.dataOffset = Int(file.varint("  dataOffset"))
            table.directoryOffset = Int(file.varint("  directoryOffset"))
            table.directoryByteCount = Int(file.varint("  directoryByteCount"))
            file.checksum(
                "  directoryChecksum",
                of: table.directoryOffset..<(table.directoryOffset + table.directoryByteCount))
            table.keysByteCount = Int(file.varint("  keysByteCount"))
            let keys = table.directoryOffset + table.directoryByteCount
            file.checksum("  keysChecksum", of: keys..<(keys + table.keysByteCount))
            tables.append(table)
        }
        return tables
    }

    // MARK: A table

    private struct PackedValues {
        var name: String
        var width: Int
        var base: UInt64
        var factor: UInt64
        /// Of decimals.
        var exponent: UInt64?
        var count: Int
        var values: [UInt64] = []

        func text(_ value: UInt64) -> String {
            guard let exponent else { return "\(value)" }
            return "\(Int64(bitPattern: value)) / 10^\(exponent)"
        }
    }

    private static func annotateTable(
        _ table: Table, _ format: UInt64, _ file: inout AnnotatedBytes
    ) {
        file.seek(table.directoryOffset)
        file.title("directory")
        let blockCount = Int(file.varint("blockCount"))
        let columnCount = Int(file.varint("columnCount"))
        var groups: [Group] = []
        for _ in 0..<file.varint("groupCount") {
            let blocks = Int(file.varint("· blockCount"))
            var byteCounts = [Int(file.varint("  bytes of the rows stretch"))]
            for column in 0..<columnCount {
                byteCounts.append(
                    Int(file.varint("  bytes of \(table.columns[column].name)'s stretch")))
            }
            var tableByteCounts: [Int] = []
            for column in table.columns where format > 1 {
                tableByteCounts.append(
                    Int(file.varint("  of them \(column.name)'s symbol table")))
            }
            groups.append(
                Group(blocks: blocks, byteCounts: byteCounts, tableByteCounts: tableByteCounts))
        }
        let kinds = Arrays(format: format)
        var names = kinds.block.map { ($0, $0) }
        for column in table.columns { names += kinds.column.map { ("\(column.name).\($0)", $0) } }
        let pageCount = groups.reduce(0) { $0 + $1.pages }
        var arrays: [PackedValues] = []
        for (name, kind) in names {
            let head = file.number(1, "\(name): width") {
                $0 & 128 == 0 ? "\($0)" : "\($0 & 127), decimals"
            }
            let width = Int(head & 127)
            let exponent = head & 128 != 0 ? file.number(1, "  exponent") : nil
            let base = UInt64(bitPattern: file.zigzag("  base"))
            let factor = width > 0 ? file.varint("  factor") : 1
            arrays.append(
                PackedValues(
                    name: name, width: width, base: base, factor: factor, exponent: exponent,
                    count: Arrays.overPages.contains(kind) ? pageCount : blockCount))
        }
        align(&file, to: 8, from: table.directoryOffset)
        file.title("elements")
        for index in arrays.indices {
            let array = arrays[index]
            if array.width > 0, array.width != 3 {
                align(&file, to: array.width, from: table.directoryOffset)
            }
            for block in 0..<array.count {
                guard array.width > 0 else {
                    arrays[index].values.append(array.base)
                    continue
                }
                let element = file.number(array.width, "\(array.name)[\(block)] =") {
                    array.text(array.base &+ array.factor &* $0)
                }
                arrays[index].values.append(array.base &+ array.factor &* element)
            }
        }
        let directoryEnd = table.directoryOffset + table.directoryByteCount
        file.zeros(directoryEnd - file.offset)
        annotateKeys(&file, end: directoryEnd + table.keysByteCount)
        let dataEnd = annotateStretches(table, groups, kinds, arrays, &file)
        file.seek(dataEnd)
        file.zeros(table.directoryOffset - dataEnd)
    }

    private static func align(_ file: inout AnnotatedBytes, to alignment: Int, from start: Int) {
        let rest = (file.offset - start) % alignment
        if rest != 0 { file.zeros(alignment - rest) }
    }

    private static func annotateStretches(
        _ table: Table, _ groups: [Group], _ kinds: Arrays, _ arrays: [PackedValues],
        _ file: inout AnnotatedBytes
    ) -> Int {
        var position = table.dataOffset
        var firstBlock = 0
        for group in groups {
            for (stretch, byteCount) in group.byteCounts.enumerated() {
                file.seek(position)
                let column = stretch == 0 ? nil : stretch - 1
                if byteCount > 0 {
                    file.title(column.map { "column \(table.columns[$0].name)" } ?? "rows")
                }
                if let column, let size = group.tableByteCounts.dropFirst(column).first, size > 0 {
                    file.raw(size - 4, "symbol table")
                    file.checksum("checksum of it", of: position..<(position + size - 4))
                }
                var start = 0
                for block in firstBlock..<(firstBlock + group.blocks) {
                    let size: Int
                    if kinds.block.contains("rowsEnd") {
                        let ends =
                            column.map { kinds.place("end", column: $0) } ?? kinds.place("rowsEnd")
                        size = Int(arrays[ends].values[block]) - start
                        start += size
                    } else {
                        let sizes =
                            column.map { kinds.place("byteCount", column: $0) }
                            ?? kinds.place("rowsByteCount")
                        size = Int(arrays[sizes].values[block])
                    }
                    guard size > 0 else { continue }
                    if let column {
                        let code = arrays[kinds.place("encoding", column: column)].values[block]
                        let encoding = Encoding(rawValue: UInt8(code))
                        file.raw(size, "block \(block): \(encoding.name)")
                    } else {
                        let runs = Int(arrays[kinds.place("runsByteCount")].values[block])
                        file.raw(runs, "block \(block): runs")
                        let code = arrays[kinds.place("timeEncoding")].values[block]
                        let encoding = Encoding(rawValue: UInt8(code))
                        file.raw(size - runs, "block \(block): times, \(encoding.name)")
                    }
                }
                position += byteCount
            }
            firstBlock += group.blocks
        }
        return position
    }

    private static func annotateKeys(_ file: inout AnnotatedBytes, end: Int) {
        file.title("series keys")
        while file.offset < end {
            let count = file.varint("seriesCount")
            let compression = file.number(1, "compression")
            file.varint("rawByteCount")
            let stored = Int(file.varint("storedByteCount"))
            guard compression == 0 else {
                file.raw(stored, "entries, compressed")
                continue
            }
            for _ in 0..<count {
                file.varint("· idDistance")
                file.varint("  sharedByteCount")
                let suffix = Int(file.varint("  suffixByteCount"))
                file.raw(suffix, "  suffix")
            }
        }
    }
}
