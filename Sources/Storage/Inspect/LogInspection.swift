// A log file for a person, whether or not it is being written. LogRecord.swift has the drawing.

enum LogInspection {
    static func read(_ bytes: [UInt8], _ name: String) throws(StorageError) -> FileInspection {
        var result = FileInspection(kind: .log, name: name, byteCount: bytes.count)
        var failure: StorageError?
        // Safe: `describe` reads inside of the bytes, and keeps nothing of them.
        bytes.withUnsafeBytes { buffer in
            do throws(StorageError) { try describe(buffer, name, &result) } catch {
                failure = error
            }
        }
        if let failure { try result.take(failure) }
        return result
    }

    private static func describe(
        _ file: UnsafeRawBufferPointer, _ name: String, _ result: inout FileInspection
    ) throws(StorageError) {
        let page = UnsafeRawBufferPointer(rebasing: file.prefix(LogFileHeader.pageBytes))
        // A file may lie under another name here; the header knows its own.
        let number =
            page.count >= 24
            ? UInt64(littleEndian: page.loadUnaligned(fromByteOffset: 16, as: UInt64.self)) : 0
        let header = try LogFileHeader.decode(page, path: name, fileNumber: number)
        result.fact("format", .number(UInt64(LogRecord.formatNumber)))
        result.fact("number", .number(number))
        result.fact("generation", .number(UInt64(header.generation)))
        result.fact("first record", .number(header.firstSequence))
        result.fact("synced before it", .number(header.durableThrough))
        var records = FileInspection.Listing(
            "records", [">byte", ">record", "kind", ">bytes", ">synced through", "holds"])
        var rowCount = 0
        let end = forEachRecord(file, header) { offset, record, payload in
            let (holds, rows) = content(record.kind, payload)
            rowCount += rows
            records.append([
                .number(UInt64(offset)), .number(record.sequence), .text(kindName(record.kind)),
                .bytes(record.payloadBytes), .number(record.durableThrough), .text(holds),
            ])
        }
        result.fact("records", .number(UInt64(records.rowCount)))
        result.fact("rows in them", .number(UInt64(rowCount)))
        result.fact("bytes up to the end of the last record", .bytes(end.offset))
        let rest = file.count - end.offset
        result.fact(
            "behind it",
            .text(
                rest == 0
                    ? "nothing: closed cleanly, or a backup"
                    : "\(rest) bytes without meaning: \(end.reason)"))
        result.listings = [records]
    }

    /// Calls `body` with every record that counts. Returns where they end, and why there.
    private static func forEachRecord(
        _ file: UnsafeRawBufferPointer, _ header: LogFileHeader,
        _ body: (Int, LogRecordHeader, UnsafeRawBufferPointer) -> Void
    ) -> (offset: Int, reason: String) {
        var offset = LogFileHeader.pageBytes
        var next = header.firstSequence
        while file.count - offset >= LogRecord.headerBytes {
            // Safe: a header fits in front of the file's end, as was just checked; the record's
            // own bounds are checked before its bytes are taken.
            let head = UnsafeRawBufferPointer(
                rebasing: file[offset..<(offset + LogRecord.headerBytes)])
            if head.allSatisfy({ $0 == 0 }) { return (offset, "room for more records") }
            let record = LogRecordHeader(head)
            guard record.generation == header.generation else {
                return (offset, "what the file held in an earlier life")
            }
            let storedBytes = LogRecord.storedBytes(payloadBytes: record.payloadBytes)
            guard record.payloadBytes <= LogRecord.payloadBytesMax,
                storedBytes <= file.count - offset, record.sequence == next
            else { return (offset, "a record that is cut short, or another's") }
            let checked = UnsafeRawBufferPointer(
                rebasing: file[(offset + 4)..<(offset + storedBytes)])
            guard CRC32C.checksum(checked) == record.checksum else {
                return (offset, "a record with a wrong checksum: torn, being written, or damaged")
            }
            let payload = UnsafeRawBufferPointer(
                rebasing: file[(offset + LogRecord.headerBytes)...].prefix(record.payloadBytes))
            body(offset, record, payload)
            offset += storedBytes
            next &+= 1
        }
        return (offset, "too few bytes for a record")
    }

    private static func kindName(_ kind: UInt8) -> String {
        switch LogRecord.Kind(rawValue: kind) {
        case .write: "write"
        case .definitions: "definitions"
        case .statement: "statement"
        case .checkpoint: "checkpoint"
        case .delete: "delete"
        case .fieldDrops: "drop fields"
        case nil: "unknown kind \(kind)"
        }
    }

    private static func content(
        _ kind: UInt8, _ payload: UnsafeRawBufferPointer
    ) -> (text: String, rows: Int) {
        switch LogRecord.Kind(rawValue: kind) {
        case .write:
            guard let groups = try? BatchRecord.decode(payload, keysOnly: true)
            else { return ("unreadable", 0) }
            let rows = groups.reduce(0) { $0 + $1.series.count }
            let tables = Set(groups.map(\.tableID)).sorted().map(String.init)
            return (
                "\(rows) rows of table \(tables.prefix(4).joined(separator: ", "))"
                    + (tables.count > 4 ? ", …" : ""), rows
            )
        case .definitions, .statement, .fieldDrops:
            var reader = ByteReader(payload)
            var count = 0
            while !reader.isAtEnd {
                guard (try? CatalogEntry.read(&reader)) != nil else { return ("unreadable", 0) }
                count += 1
            }
            return ("\(count) definitions", 0)
        case .delete:
            var reader = ByteReader(payload)
            guard let tombstone = try? Tombstone.read(&reader, sequence: 0) else {
                return ("unreadable", 0)
            }
            let count = tombstone.runs.reduce(0) { $0 + $1.count }
            return ("deletes of \(count) series of table \(tombstone.tableID)", 0)
        default: return ("", 0)
        }
    }

    static func annotate(
        _ annotator: inout ByteAnnotator, _ file: UnsafeRawBufferPointer
    ) throws(ByteReader.Malformed) {
        try annotator.bytes(8, "magic \"APUS-LOG\"")
        try annotator.number(UInt32.self, "format")
        let generation = try annotator.number(UInt32.self, "generation")
        try annotator.number(UInt64.self, "fileNumber")
        try annotator.number(UInt64.self, "firstSequence")
        try annotator.number(UInt64.self, "durableThrough")
        try annotator.bytes(4_052, "zeros")
        let page = UnsafeRawBufferPointer(rebasing: file.prefix(4_092))
        try annotator.checksum("checksum of the header", actual: CRC32C.checksum(page))
        while annotator.remaining >= LogRecord.headerBytes {
            let start = annotator.offset
            // Safe: a header is left, as was just checked.
            let record = LogRecordHeader(
                UnsafeRawBufferPointer(rebasing: file[start..<(start + LogRecord.headerBytes)]))
            let end = start + LogRecord.storedBytes(payloadBytes: record.payloadBytes)
            guard record.generation == generation, end <= file.count else { break }
            annotator.title("record \(record.sequence)")
            let actual = CRC32C.checksum(
                UnsafeRawBufferPointer(rebasing: file[(start + 4)..<end]))
            try annotator.checksum("checksum of what follows", actual: actual)
            try annotator.number(UInt32.self, "payload bytes")
            try annotator.number(UInt64.self, "sequence")
            try annotator.number(UInt64.self, "durableThrough")
            try annotator.number(UInt32.self, "generation")
            try annotator.number(UInt8.self, "kind \(kindName(record.kind)),")
            try annotator.bytes(3, "zeros")
            let payloadEnd = start + LogRecord.headerBytes + record.payloadBytes
            switch LogRecord.Kind(rawValue: record.kind) {
            case .definitions, .statement, .fieldDrops:
                while annotator.offset < payloadEnd {
                    try CatalogInspection.annotateEntry(&annotator)
                }
            case .delete: try ManifestInspection.annotateTombstone(&annotator)
            default:
                let payload = UnsafeRawBufferPointer(
                    rebasing: file[annotator.offset..<payloadEnd])
                try annotator.bytes(
                    record.payloadBytes, "payload: \(content(record.kind, payload).text)")
            }
            try annotator.bytes(end - annotator.offset, "zeros")
        }
        annotator.rest("no record of this file")
    }
}
