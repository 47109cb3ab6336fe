import ApusStorage

/// What each file of a store means, byte by byte.
enum AnnotatedFiles {
    static func annotate(_ path: String, _ bytes: [UInt8]) -> AnnotatedBytes {
        var file = AnnotatedBytes(bytes)
        if path.hasSuffix(".segment") {
            AnnotatedSegment.annotate(&file)
        } else if path.hasSuffix(".catalog") {
            annotateCatalog(&file)
        } else if path.hasSuffix(".log") {
            annotateLog(&file)
        } else if path.hasPrefix("MANIFEST") {
            annotateManifest(&file)
        }
        return file
    }

    private static func ascii(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.filter { $0 >= 0x20 }, as: UTF8.self)
    }

    // MARK: MANIFEST

    private static func annotateManifest(_ file: inout AnnotatedBytes) {
        file.raw(8, "magic \"\(ascii(Array(file.bytes.prefix(8))))\"")
        file.number(4, "format")
        file.number(4, "payloadSize")
        file.checksum("checksum of 0 ..< 16 and 20 ...", of: 0..<16, and: 20..<file.bytes.count)
        file.title("payload")
        file.varint("version")
        file.varint("flushedThrough")
        file.varint("nextFileNumber")
        file.varint("nextDatabaseID")
        file.varint("nextTableID")
        file.signed("lastClock")
        if file.number(1, "cleanEnd is there:") == 1 {
            file.varint("cleanEnd, log file")
            file.varint("cleanEnd, offset")
        }
        for _ in 0..<file.varint("catalog files") {
            file.varint("· number")
            file.varint("  byteCount")
        }
        for _ in 0..<file.varint("segments") {
            file.varint("· number")
            file.varint("  databaseID")
            file.zigzag("  partitionStart")
            file.varint("  partitionNanoseconds")
            file.varint("  byteCount")
            file.varint("  firstSequence")
            file.varint("  lastSequence")
            file.zigzag("  minTime")
            file.zigzag("  maxTime")
        }
        for _ in 0..<file.varint("tombstones") {
            file.varint("· sequence")
            annotateTombstone(&file)
        }
    }

    private static func annotateTombstone(_ file: inout AnnotatedBytes) {
        file.varint("  table")
        file.zigzag("  lower")
        file.zigzag("  upper")
        for _ in 0..<file.varint("  runs") {
            file.varint("  · gap")
            file.varint("    length")
        }
    }

    // MARK: Catalog files

    private static func annotateCatalog(_ file: inout AnnotatedBytes) {
        file.raw(8, "magic \"\(ascii(Array(file.bytes.prefix(8))))\"")
        let format = file.number(4, "format")
        file.checksum("checksum of 0 ..< 12", of: 0..<12)
        while file.offset < file.bytes.count {
            file.title("frame")
            let size = Int(file.number(4, "payloadSize"))
            let start = file.offset + 4
            let end = min(start + (size == 0 ? 4 : size), file.bytes.count)
            file.checksum("checksum of the payload", of: start..<end)
            if size == 0 {
                file.number(4, "frameCount")
                continue
            }
            if format > 1, file.number(1, "compression") == 1 {
                file.raw(end - file.offset, "entries, compressed")
            }
            while file.offset < end { annotateEntry(&file) }
        }
    }

    private static func annotateEntry(_ file: inout AnnotatedBytes) {
        let names = [
            "?", "database", "table", "tag", "field", "series", "drop table", "drop database",
        ]
        let kind = Int(file.number(1, "kind") { "\($0): \(names[min(Int($0), 7)])" })
        switch kind {
        case 1:
            file.varint("  id")
            file.text("  name")
            file.varint("  partition ns")
            file.varint("  retention ns")
        case 2:
            file.varint("  id")
            file.varint("  database")
            file.text("  name")
        case 3:
            file.varint("  table")
            file.varint("  index")
            file.text("  name")
            file.text("  SQL name")
        case 4:
            file.varint("  table")
            file.varint("  field")
            file.number(1, "  type")
            file.text("  name")
            file.text("  SQL name")
        case 5:
            file.varint("  table")
            file.varint("  series")
            let end = Int(file.varint("  key, length")) + file.offset
            while file.offset < end, file.offset < file.bytes.count {
                file.text("  · tag")
                file.text("    value")
            }
        default: file.varint("  id")
        }
    }

    // MARK: Log files

    private static func annotateLog(_ file: inout AnnotatedBytes) {
        file.raw(8, "magic \"\(ascii(Array(file.bytes.prefix(8))))\"")
        file.number(4, "format")
        file.number(4, "generation")
        file.number(8, "fileNumber")
        file.number(8, "firstSequence")
        file.number(8, "durableThrough")
        file.zeros(4052)
        file.checksum("checksum of 0 ..< 4092", of: 0..<4092)
        while file.offset < file.bytes.count { annotateRecord(&file) }
    }

    private static func annotateRecord(_ file: inout AnnotatedBytes) {
        file.title("record")
        let start = file.offset
        let size = Int(file.bytes[start + 4]) | Int(file.bytes[start + 5]) << 8
        let end = min((start + 32 + size + 7) & ~7, file.bytes.count)
        file.checksum("checksum of what follows", of: (start + 4)..<end)
        file.number(4, "payloadSize")
        file.number(8, "sequence")
        file.number(8, "durableThrough")
        file.number(4, "generation")
        let kind = file.number(1, "kind")
        file.zeros(3)
        let payloadEnd = start + 32 + size
        switch kind {
        case 1: annotateBatch(&file)
        case 2, 3: while file.offset < payloadEnd { annotateEntry(&file) }
        case 5: annotateTombstone(&file)
        default: file.raw(size, "payload")
        }
        file.zeros(end - file.offset, "padding")
    }

    private static func annotateBatch(_ file: inout AnnotatedBytes) {
        for _ in 0..<file.varint("groupCount") {
            file.varint("· tableID")
            let rows = Int(file.varint("  rowCount"))
            var types: [UInt64] = []
            for _ in 0..<file.varint("  fieldCount") {
                file.varint("  · field id")
                types.append(file.number(1, "    type"))
            }
            let explicit = file.number(1, "  ordered")
            file.varint("  order, base")
            if explicit == 1 { for _ in 1..<rows { file.varint("  order, distance") } }
            for _ in 0..<rows { file.zigzag("  series, distance") }
            var timed = 0
            while timed < rows {
                file.zigzag("  time, distance")
                timed += max(1, Int(file.varint("  time, run length")))
            }
            for (index, type) in types.enumerated() {
                if type == 4 {
                    var total = 0
                    for _ in 0..<rows {
                        total += Int(file.varint("  column \(index), string length"))
                    }
                    file.raw(total, "  column \(index), strings")
                } else {
                    let width = Int(file.number(1, "  column \(index), width"))
                    file.number(8, "  column \(index), first slot") { "0x" + String($0, radix: 16) }
                    file.raw((rows * width + 7) / 8, "  column \(index), slots XOR first")
                }
            }
        }
    }
}
