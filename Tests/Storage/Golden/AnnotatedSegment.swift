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

    private static let blockArrays = [
        "firstSeries", "lastSeries", "rowCount", "runCount", "minTime", "maxTime", "rowsEnd",
        "runsByteCount", "timeEncoding", "rowsChecksum", "rowsFlags",
    ]
    private static let columnArrays = [
        "end", "encoding", "checksum", "absentCount", "nanCount", "minimum", "maximum", "sumLow",
        "sumHigh", "first", "last", "flags",
    ]

    static func annotate(_ file: inout AnnotatedBytes) {
        file.raw(8, "magic \"APUSSEG\\n\"")
        file.number(4, "format")
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
        let tables = annotateFooter(&file)
        var end = 16
        for table in tables {
            annotateTable(table, &file)
            end = table.directoryOffset + table.directoryByteCount + table.keysByteCount
        }
        file.seek(end)
        file.zeros(footerOffset - end)
    }

    private static func annotateFooter(_ file: inout AnnotatedBytes) -> [Table] {
        file.title("footer")
        file.number(8, "number")
        file.number(4, "databaseID")
        file.signed("partitionStart")
        file.signed("partitionNanoseconds")
        file.number(8, "firstSequence")
        file.number(8, "lastSequence")
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
        var values: [UInt64] = []
    }

    private static func annotateTable(_ table: Table, _ file: inout AnnotatedBytes) {
        file.seek(table.directoryOffset)
        file.title("directory")
        let blockCount = Int(file.varint("blockCount"))
        let columnCount = Int(file.varint("columnCount"))
        var groups: [(blocks: Int, byteCounts: [Int])] = []
        for _ in 0..<file.varint("groupCount") {
            let blocks = Int(file.varint("· blockCount"))
            var byteCounts = [Int(file.varint("  bytes of the rows stretch"))]
            for column in 0..<columnCount {
                byteCounts.append(
                    Int(file.varint("  bytes of \(table.columns[column].name)'s stretch")))
            }
            groups.append((blocks, byteCounts))
        }
        var names = blockArrays
        for column in table.columns { names += columnArrays.map { "\(column.name).\($0)" } }
        var arrays: [PackedValues] = []
        for name in names {
            let width = Int(file.number(1, "\(name): width"))
            let base = UInt64(bitPattern: file.zigzag("  base"))
            let factor = width > 0 ? file.varint("  factor") : 1
            arrays.append(PackedValues(name: name, width: width, base: base, factor: factor))
        }
        align(&file, to: 8, from: table.directoryOffset)
        file.title("elements")
        for index in arrays.indices {
            let array = arrays[index]
            if array.width > 0 { align(&file, to: array.width, from: table.directoryOffset) }
            for block in 0..<blockCount {
                guard array.width > 0 else {
                    arrays[index].values.append(array.base)
                    continue
                }
                let element = file.number(array.width, "\(array.name)[\(block)] =") {
                    "\(array.base &+ array.factor &* $0)"
                }
                arrays[index].values.append(array.base &+ array.factor &* element)
            }
        }
        let directoryEnd = table.directoryOffset + table.directoryByteCount
        file.zeros(directoryEnd - file.offset)
        annotateKeys(&file, end: directoryEnd + table.keysByteCount)
        let dataEnd = annotateStretches(table, groups, arrays, &file)
        file.seek(dataEnd)
        file.zeros(table.directoryOffset - dataEnd)
    }

    private static func align(_ file: inout AnnotatedBytes, to alignment: Int, from start: Int) {
        let rest = (file.offset - start) % alignment
        if rest != 0 { file.zeros(alignment - rest) }
    }

    private static func annotateStretches(
        _ table: Table, _ groups: [(blocks: Int, byteCounts: [Int])], _ arrays: [PackedValues],
        _ file: inout AnnotatedBytes
    ) -> Int {
        var position = table.dataOffset
        var firstBlock = 0
        for group in groups {
            for (stretch, byteCount) in group.byteCounts.enumerated() {
                file.seek(position)
                let isRows = stretch == 0
                if byteCount > 0 {
                    file.title(isRows ? "rows" : "column \(table.columns[stretch - 1].name)")
                }
                let first = blockArrays.count + (stretch - 1) * columnArrays.count
                let ends = arrays[isRows ? 6 : first].values
                var start = 0
                for block in firstBlock..<(firstBlock + group.blocks) {
                    let end = Int(ends[block])
                    defer { start = end }
                    guard end > start else { continue }
                    if isRows {
                        let runs = Int(arrays[7].values[block])
                        file.raw(runs, "block \(block): runs")
                        let encoding = Encoding(rawValue: UInt8(arrays[8].values[block]))
                        file.raw(end - start - runs, "block \(block): times, \(encoding.name)")
                    } else {
                        let encoding = Encoding(rawValue: UInt8(arrays[first + 1].values[block]))
                        file.raw(end - start, "block \(block): \(encoding.name)")
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
