// MANIFEST says which files make up the store. It is replaced as a whole; its predecessor stays
// beside it as MANIFEST.previous.
//
//     offset  size  field
//     ──────  ────  ──────────────────────────────────────────────────────────────
//          0     8  magic        "APUSMAN1"
//          8     4  format       3 if catalog files tell of dropped fields; else 2 with tombstones, 1 without
//         12     4  payloadSize  bytes that follow the checksum
//         16     4  checksum     CRC-32C of bytes 0 ..< 16 and the payload
//         20     n  payload
//
//     payload, all numbers varints unless said
//       version               rises by one with every replacement
//       flushedThrough        the log is needed only above it
//       nextFileNumber        of segments and catalog files
//       nextDatabaseID, nextTableID
//       lastClock             u64, nanoseconds: the latest time this store has seen
//       cleanEnd              u8 0 | 1; then file number, offset: a clean shutdown's end of the log
//       catalog files         count; each number, byteCount
//       segments              count; each number, databaseID, partition start (zig-zag), partition ns,
//                             byteCount, firstSequence, lastSequence, minTime, maxTime (zig-zag)
//       tombstones            count; each sequence, and what Tombstone.swift draws
//
// A file that obsolete MANIFESTs name is kept until two replacements later, so that falling back to
// the predecessor finds its files.

package struct Manifest: Sendable, Equatable {
    package struct Segment: Sendable, Equatable, Hashable {
        package var number: UInt64
        package var databaseID: UInt32
        package var partitionStart: Int64
        package var partitionNanoseconds: Int64
        package var byteCount: Int
        package var firstSequence: UInt64
        package var lastSequence: UInt64
        package var minTime: Int64
        package var maxTime: Int64

        package init(
            number: UInt64, databaseID: UInt32, partitionStart: Int64, partitionNanoseconds: Int64,
            byteCount: Int, firstSequence: UInt64, lastSequence: UInt64, minTime: Int64,
            maxTime: Int64
        ) {
            self.number = number
            self.databaseID = databaseID
            self.partitionStart = partitionStart
            self.partitionNanoseconds = partitionNanoseconds
            self.byteCount = byteCount
            self.firstSequence = firstSequence
            self.lastSequence = lastSequence
            self.minTime = minTime
            self.maxTime = maxTime
        }

        package var path: String { Self.path(databaseID, partitionStart, number) }

        package static func path(_ database: UInt32, _ partitionStart: Int64, _ number: UInt64)
            -> String
        {
            "data/\(database)/\(partitionStart)/\(paddedNumber(number)).segment"
        }

        package static func directory(_ database: UInt32, _ partitionStart: Int64) -> String {
            "data/\(database)/\(partitionStart)"
        }
    }

    package struct CatalogFileEntry: Sendable, Equatable {
        package var number: UInt64
        package var byteCount: Int

        package init(number: UInt64, byteCount: Int) {
            self.number = number
            self.byteCount = byteCount
        }
    }

    package var version: UInt64 = 0
    package var flushedThrough: UInt64 = 0
    package var nextFileNumber: UInt64 = 1
    package var nextDatabaseID: UInt32 = 1
    package var nextTableID: UInt32 = 1
    package var lastClock: Int64 = 0
    package var cleanEnd: LogPosition?
    package var catalogFiles: [CatalogFileEntry] = []
    package var segments: [Segment] = []
    /// By sequence, at or below `flushedThrough`: the log has the others.
    package var tombstones: [Tombstone] = []
    /// Whether a catalog file has an entry that drops fields.
    package var hasDroppedFields = false

    package static let path = "MANIFEST"
    package static let previousPath = "MANIFEST.previous"
    /// The newest there is.
    package static let formatNumber: UInt32 = 3
    /// A release that knows of no dropped fields or no tombstones must not read past some, and may read the
    /// rest.
    package var format: UInt32 { hasDroppedFields ? 3 : tombstones.isEmpty ? 1 : 2 }
    static let magic = Array("APUSMAN1".utf8)
    private static let headerBytes = 20

    package init() {}

    package func encoded() -> [UInt8] {
        var payload = ByteWriter()
        payload.appendVarint(version)
        payload.appendVarint(flushedThrough)
        payload.appendVarint(nextFileNumber)
        payload.appendVarint(UInt64(nextDatabaseID))
        payload.appendVarint(UInt64(nextTableID))
        payload.append(UInt64(bitPattern: lastClock))
        payload.append(UInt8(cleanEnd == nil ? 0 : 1))
        if let cleanEnd {
            payload.appendVarint(cleanEnd.fileNumber)
            payload.appendVarint(cleanEnd.offset)
        }
        payload.appendVarint(UInt64(catalogFiles.count))
        for file in catalogFiles {
            payload.appendVarint(file.number)
            payload.appendVarint(UInt64(file.byteCount))
        }
        payload.appendVarint(UInt64(segments.count))
        for segment in segments {
            payload.appendVarint(segment.number)
            payload.appendVarint(UInt64(segment.databaseID))
            payload.appendSignedVarint(segment.partitionStart)
            payload.appendVarint(UInt64(segment.partitionNanoseconds))
            payload.appendVarint(UInt64(segment.byteCount))
            payload.appendVarint(segment.firstSequence)
            payload.appendVarint(segment.lastSequence)
            payload.appendSignedVarint(segment.minTime)
            payload.appendSignedVarint(segment.maxTime)
        }
        payload.appendVarint(UInt64(tombstones.count))
        for tombstone in tombstones {
            payload.appendVarint(tombstone.sequence)
            tombstone.append(to: &payload)
        }
        var file = ByteWriter(capacity: payload.count + Self.headerBytes)
        file.append(Self.magic)
        file.append(format)
        file.append(UInt32(payload.count))
        let checksum = CRC32C.checksum(payload.bytes, continuing: CRC32C.checksum(file.bytes))
        file.append(checksum)
        file.append(payload.bytes)
        return file.bytes
    }

    package static func decode(_ bytes: [UInt8], path: String) throws(StorageError) -> Manifest {
        var result: Result<Manifest, StorageError> = .failure(
            .corrupt(file: path, offset: 0, reason: "empty"))
        bytes.withUnsafeBytes { buffer in
            do throws(ByteReader.Malformed) { result = .success(try decode(buffer)) } catch {
                result =
                    error.reason.hasPrefix("format ")
                    ? .failure(
                        .unsupportedFormat(
                            file: path, found: UInt32(error.reason.dropFirst(7)) ?? 0,
                            newestKnown: formatNumber))
                    : .failure(
                        .corrupt(file: path, offset: UInt64(error.offset), reason: error.reason))
            }
        }
        return try result.get()
    }

    private static func decode(_ buffer: UnsafeRawBufferPointer) throws(ByteReader.Malformed)
        -> Manifest
    {
        var reader = ByteReader(buffer)
        let header = try reader.readBytes(16)
        guard header.prefix(8).elementsEqual(magic) else {
            throw .init(offset: 0, reason: "bad magic")
        }
        let format = UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        let size = UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        let checksum: UInt32 = try reader.read()
        guard Int(size) == reader.remaining else {
            throw .init(
                offset: 12, reason: "\(reader.remaining) bytes of payload, \(size) expected")
        }
        // Safe: the reader has read `headerBytes` bytes without passing the end.
        let payload = UnsafeRawBufferPointer(rebasing: buffer[headerBytes...])
        guard checksum == CRC32C.checksum(payload, continuing: CRC32C.checksum(header)) else {
            throw .init(offset: 16, reason: "bad checksum")
        }
        guard (1...formatNumber).contains(format) else {
            throw .init(offset: 8, reason: "format \(format)")
        }
        var manifest = Manifest()
        manifest.hasDroppedFields = format == 3
        manifest.version = try reader.readVarint()
        manifest.flushedThrough = try reader.readVarint()
        manifest.nextFileNumber = try reader.readVarint()
        manifest.nextDatabaseID = UInt32(try reader.readCount(limit: Int(UInt32.max)))
        manifest.nextTableID = UInt32(try reader.readCount(limit: Int(UInt32.max)))
        manifest.lastClock = Int64(bitPattern: try reader.read(UInt64.self))
        if try reader.read(UInt8.self) == 1 {
            manifest.cleanEnd = LogPosition(
                fileNumber: try reader.readVarint(), offset: try reader.readVarint())
        }
        for _ in 0..<(try reader.readCount(limit: reader.remaining)) {
            manifest.catalogFiles.append(
                .init(number: try reader.readVarint(), byteCount: try reader.readCount(limit: .max))
            )
        }
        for _ in 0..<(try reader.readCount(limit: reader.remaining)) {
            manifest.segments.append(
                Segment(
                    number: try reader.readVarint(),
                    databaseID: UInt32(try reader.readCount(limit: Int(UInt32.max))),
                    partitionStart: try reader.readSignedVarint(),
                    partitionNanoseconds: Int64(try reader.readCount(limit: .max)),
                    byteCount: try reader.readCount(limit: .max),
                    firstSequence: try reader.readVarint(), lastSequence: try reader.readVarint(),
                    minTime: try reader.readSignedVarint(), maxTime: try reader.readSignedVarint()))
        }
        for _ in 0..<(try reader.readCount(limit: reader.remaining)) {
            let sequence = try reader.readVarint()
            manifest.tombstones.append(try Tombstone.read(&reader, sequence: sequence))
        }
        guard format == manifest.format else {
            throw .init(
                offset: 8, reason: "\(manifest.tombstones.count) tombstones in format \(format)")
        }
        guard reader.isAtEnd else {
            throw .init(offset: reader.offset, reason: "bytes behind the end")
        }
        return manifest
    }

    /// What opening found.
    package struct Loaded: Sendable {
        package var manifest: Manifest
        /// Why MANIFEST itself could not be used, if the predecessor was.
        package var fallback: StorageError?
    }

    /// The newest usable manifest; nil for an empty directory.
    package static func load(_ fileSystem: any FileSystem) throws(StorageError) -> Loaded? {
        let hasCurrent = fileSystem.exists(path)
        let hasPrevious = fileSystem.exists(previousPath)
        guard hasCurrent || hasPrevious else { return nil }
        do throws(StorageError) {
            guard hasCurrent else {
                throw .corrupt(file: path, offset: 0, reason: "the file is missing")
            }
            return Loaded(manifest: try decode(try fileSystem.readFile(path), path: path))
        } catch {
            guard case .corrupt = error, hasPrevious else { throw error }
            return Loaded(
                manifest: try decode(try fileSystem.readFile(previousPath), path: previousPath),
                fallback: error)
        }
    }

    /// Makes this the store's manifest and keeps `predecessor` beside it. Durable on return.
    ///
    /// - Throws: `readOnly` if it is unknown which of the two a reopening will find: no file that
    ///   either names may be removed or replaced, and no third MANIFEST written, until then. After
    ///   any other error the predecessor is still the store's manifest.
    func store(_ fileSystem: any FileSystem, predecessor: [UInt8]?) throws(StorageError) {
        if let predecessor { try fileSystem.writeFileAtomically(Self.previousPath, predecessor) }
        let temporary = Self.path + ".new"
        try fileSystem.remove(temporary)
        let file = try fileSystem.open(temporary, create: true)
        try file.writeBytes(encoded(), at: 0)
        try file.sync()
        do throws(StorageError) {
            try fileSystem.rename(temporary, to: Self.path)
            try fileSystem.syncDirectory("")
        } catch {
            throw .readOnly(reason: "replacing \(Self.path) failed: \(error)")
        }
    }
}
