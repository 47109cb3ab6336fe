// MANIFEST for a person. Manifest.swift has the drawing.

enum ManifestInspection {
    static func read(_ bytes: [UInt8], _ name: String) throws(StorageError) -> FileInspection {
        var result = FileInspection(kind: .manifest, name: name, byteCount: bytes.count)
        do throws(StorageError) {
            let manifest = try Manifest.decode(bytes, path: name)
            describe(manifest, &result)
        } catch { try result.take(error) }
        return result
    }

    private static func describe(_ manifest: Manifest, _ result: inout FileInspection) {
        result.fact("format", .number(UInt64(manifest.format)))
        result.fact("version", .number(manifest.version))
        result.fact("flushed through record", .number(manifest.flushedThrough))
        result.fact("next file number", .number(manifest.nextFileNumber))
        result.fact(
            "next database, table",
            .text(
                "\(manifest.nextDatabaseID), \(manifest.nextTableID)"))
        result.fact("latest clock", .time(manifest.lastClock))
        if let end = manifest.cleanEnd {
            result.fact(
                "closed cleanly at",
                .text(
                    "\(LogNames.path(end.fileNumber)), byte \(end.offset)"))
        } else {
            result.fact("closed cleanly", .flag(false))
        }
        var catalog = FileInspection.Listing("catalog files", ["file", ">bytes"])
        for file in manifest.catalogFiles {
            catalog.append([.text(CatalogFile.path(file.number)), .bytes(file.byteCount)])
        }
        var segments = FileInspection.Listing(
            "segments", ["file", ">bytes", ">records", "first time", "last time"])
        for segment in manifest.segments {
            segments.append([
                .text(segment.path), .bytes(segment.byteCount),
                .text("\(segment.firstSequence)–\(segment.lastSequence)"),
                .time(segment.minTime), .time(segment.maxTime),
            ])
        }
        var tombstones = FileInspection.Listing(
            "deleted", [">record", ">table", ">series", "from", "to before"])
        for tombstone in manifest.tombstones {
            tombstones.append([
                .number(tombstone.sequence), .number(UInt64(tombstone.tableID)),
                .number(UInt64(tombstone.runs.reduce(0) { $0 + $1.count })),
                tombstone.range.lower == .min ? .text("") : .time(tombstone.range.lower),
                tombstone.range.upper == .max ? .text("") : .time(tombstone.range.upper),
            ])
        }
        result.listings = [catalog, segments]
        if !manifest.tombstones.isEmpty { result.listings.append(tombstones) }
    }

    static func annotateTombstone(
        _ annotator: inout ByteAnnotator
    ) throws(ByteReader.Malformed) {
        try annotator.varint("  table")
        try annotator.signedVarint("  lower")
        try annotator.signedVarint("  upper")
        for _ in 0..<(try annotator.count("  runs:")) {
            try annotator.varint("    gap")
            try annotator.varint("    length")
        }
    }

    static func annotate(
        _ annotator: inout ByteAnnotator, _ file: UnsafeRawBufferPointer
    ) throws(ByteReader.Malformed) {
        try annotator.bytes(8, "magic \"APUSMAN1\"")
        try annotator.number(UInt32.self, "format")
        try annotator.number(UInt32.self, "payload bytes")
        var actual: UInt32 = 0
        if file.count >= 20 {
            // Safe: the file has a header, as was just checked.
            actual = CRC32C.checksum(
                UnsafeRawBufferPointer(rebasing: file[20...]),
                continuing: CRC32C.checksum(UnsafeRawBufferPointer(rebasing: file[0..<16])))
        }
        try annotator.checksum("checksum of header and payload", actual: actual)
        annotator.title("payload")
        for name in [
            "version", "flushedThrough", "nextFileNumber", "nextDatabaseID", "nextTableID",
        ] {
            try annotator.varint(name)
        }
        try annotator.number(Int64.self, "lastClock")
        if try annotator.number(UInt8.self, "hasCleanEnd") == 1 {
            try annotator.varint("clean end, log file")
            try annotator.varint("clean end, offset")
        }
        for _ in 0..<(try annotator.count("catalog files:")) {
            try annotator.varint("catalog file")
            try annotator.varint("  byteCount")
        }
        for _ in 0..<(try annotator.count("segments:")) {
            try annotator.varint("segment")
            try annotator.varint("  databaseID")
            try annotator.signedVarint("  partitionStart")
            try annotator.varint("  partitionNanoseconds")
            try annotator.varint("  byteCount")
            try annotator.varint("  firstSequence")
            try annotator.varint("  lastSequence")
            try annotator.signedVarint("  minTime")
            try annotator.signedVarint("  maxTime")
        }
        for _ in 0..<(try annotator.count("tombstones:")) {
            try annotator.varint("tombstone, sequence")
            try annotateTombstone(&annotator)
        }
    }
}
