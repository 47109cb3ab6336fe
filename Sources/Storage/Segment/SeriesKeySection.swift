// The keys of a table's series, so that the catalog can be rebuilt from segments.
//
// A section is a row of chunks, each readable alone:
//
//     field            size     meaning
//     ───────────────  ───────  ──────────────────────────────────────────────
//     seriesCount      varint   at least 1
//     compression      1        0 none, 1 Zstandard
//     rawByteCount     varint   bytes of the entries, at most 1 MiB
//     storedByteCount  varint   equal to rawByteCount without compression
//     entries          n        n == storedByteCount
//
// Entries, once decompressed, by rising series id:
//
//     idDistance       varint   from the id before; the id itself in a chunk's first entry
//     sharedByteCount  varint   bytes in common with the key before; 0 in every 16th entry
//     suffixByteCount  varint
//     suffix           n
//
// The section's checksum stands in the footer.

enum SeriesKeySection {
    /// A chunk closes once its entries have so many bytes.
    static let chunkBytesTarget = 256 << 10
    static let chunkBytesMax = 1 << 20
    static let restartInterval = 16
}

/// Collects the keys of one table while its rows are written.
struct SeriesKeySectionWriter: ~Copyable {
    private(set) var section = ByteWriter()
    private(set) var seriesCount = 0
    private var entries = ByteWriter()
    private var entryCount = 0
    private var previousID: UInt32 = 0
    private var previousKey: [UInt8] = []

    mutating func removeAll() {
        section.removeAll()
        seriesCount = 0
    }

    mutating func append(_ id: UInt32, key: UnsafeRawBufferPointer) {
        var shared = 0
        if entryCount % SeriesKeySection.restartInterval != 0 {
            let limit = min(key.count, previousKey.count)
            while shared < limit, key[shared] == previousKey[shared] { shared += 1 }
        }
        entries.appendVarint(UInt64(entryCount == 0 ? id : id - previousID))
        entries.appendVarint(UInt64(shared))
        entries.appendVarint(UInt64(key.count - shared))
        entries.append(UnsafeRawBufferPointer(rebasing: key[shared...]))
        previousID = id
        previousKey.removeAll(keepingCapacity: true)
        previousKey.append(contentsOf: key)
        entryCount += 1
        seriesCount += 1
        if entries.count >= SeriesKeySection.chunkBytesTarget { closeChunk() }
    }

    mutating func closeChunk() {
        guard entryCount > 0 else { return }
        let raw = entries.bytes
        let compressed = ZstdFrame.compress(raw)
        section.appendVarint(UInt64(entryCount))
        section.append(UInt8(compressed == nil ? 0 : 1))
        section.appendVarint(UInt64(raw.count))
        section.appendVarint(UInt64(compressed?.count ?? raw.count))
        section.append(compressed ?? raw)
        entries.removeAll()
        entryCount = 0
    }
}

extension SeriesKeySection {
    /// Calls `body` with every series of a section whose checksum has matched, by rising id.
    static func forEach(
        _ section: UnsafeRawBufferPointer, seriesCount: Int,
        _ body: (UInt32, UnsafeRawBufferPointer) throws(StorageError) -> Void
    ) throws(SectionError) {
        var reader = ByteReader(section)
        var total = 0
        var previousID: UInt32?
        do {
            while !reader.isAtEnd {
                let start = reader.offset
                let count = try reader.readCount(limit: chunkBytesMax)
                let compression: UInt8 = try reader.read()
                let rawByteCount = try reader.readCount(limit: chunkBytesMax)
                let stored = try reader.readBytes(try reader.readCount(limit: reader.remaining))
                guard count > 0, count <= rawByteCount else {
                    throw ByteReader.Malformed(offset: start, reason: "an impossible key chunk")
                }
                total += count
                if compression == 0 {
                    try readEntries(stored, count, at: start, &previousID, body)
                } else if compression == 1 {
                    guard let raw = ZstdFrame.decompress(stored, countMax: chunkBytesMax),
                        raw.count == rawByteCount
                    else {
                        throw ByteReader.Malformed(
                            offset: start, reason: "a key chunk does not decompress")
                    }
                    // Safe: `readEntries` reads through `ByteReader` alone and keeps nothing.
                    try raw.withUnsafeBytes {
                        try readEntries($0, count, at: start, &previousID, body)
                    }
                } else {
                    throw SectionError.unsupported(UInt32(compression))
                }
            }
            guard total == seriesCount else {
                throw ByteReader.Malformed(
                    offset: reader.offset, reason: "\(total) keys, \(seriesCount) expected")
            }
        } catch let error as ByteReader.Malformed {
            throw .malformed(error)
        } catch let error as SectionError {
            throw error
        } catch {
            throw .malformed(.init(offset: 0, reason: "unreadable"))
        }
    }

    enum SectionError: Error {
        case malformed(ByteReader.Malformed)
        case unsupported(UInt32)
        case callback(StorageError)
    }

    private static func readEntries(
        _ entries: UnsafeRawBufferPointer, _ count: Int, at start: Int,
        _ previousID: inout UInt32?,
        _ body: (UInt32, UnsafeRawBufferPointer) throws(StorageError) -> Void
    ) throws {
        var reader = ByteReader(entries)
        var key: [UInt8] = []
        for index in 0..<count {
            let distance = try reader.readCount(limit: Int(UInt32.max))
            let shared = try reader.readCount(limit: key.count)
            let suffix = try reader.readBytes(try reader.readCount(limit: reader.remaining))
            let wide = index == 0 ? distance : Int(previousID ?? 0) + distance
            guard let id = UInt32(exactly: wide), previousID.map({ $0 < id }) ?? true,
                index % restartInterval != 0 || shared == 0
            else {
                throw ByteReader.Malformed(offset: start, reason: "series ids do not rise")
            }
            key.removeLast(key.count - shared)
            key.append(contentsOf: suffix)
            previousID = id
            do throws(StorageError) {
                var failure: StorageError?
                key.withUnsafeBytes { bytes in
                    do throws(StorageError) { try body(id, bytes) } catch { failure = error }
                }
                if let failure { throw failure }
            } catch { throw SectionError.callback(error) }
        }
        guard reader.isAtEnd else {
            throw ByteReader.Malformed(offset: start, reason: "bytes behind a chunk's last key")
        }
    }
}
