// The series of a table, and their keys where they cost little beside the rows.
//
// A section is a row of chunks, each readable alone:
//
//     field            size     meaning
//     ───────────────  ───────  ──────────────────────────────────────────────
//     seriesCount      varint   at least 1
//     form             1        0 keys, 1 keys under Zstandard, 2 ids alone
//     rawByteCount     varint   bytes of the entries, at most 1 MiB
//     storedByteCount  varint   equal to rawByteCount without compression
//     entries          n        n == storedByteCount
//
// Entries of forms 0 and 1, once decompressed, by rising series id:
//
//     idDistance       varint   from the id before; the id itself in a chunk's first entry
//     sharedByteCount  varint   bytes in common with the key before; 0 in every 16th entry
//     suffixByteCount  varint
//     suffix           n
//
// Entries of form 2 are runs of neighbouring ids:
//
//     idDistance       varint   from the last id before; the id itself in a chunk's first entry
//     count            varint   ids of the run, at least 1
//
// The section's checksum stands in the footer. Why keys are left out: decision 25.

enum SeriesKeySection {
    /// A chunk closes once its keys have so many bytes.
    static let chunkBytesTarget = 256 << 10
    static let chunkBytesMax = 1 << 20
    static let restartInterval = 16

    enum Form: UInt8 {
        case keys = 0
        case compressedKeys = 1
        case idsAlone = 2
    }
}

/// Collects the series of one table while its rows are written.
struct SeriesKeySectionWriter: ~Copyable {
    /// A full chunk whose series have fewer rows on average leaves their keys out.
    private let keyRowsMin: Int
    private(set) var section = ByteWriter()
    private(set) var seriesCount = 0
    private var entries = ByteWriter()
    private var ids: [UInt32] = []
    private var rowCount = 0
    private var previousKey: [UInt8] = []

    init(keyRowsMin: Int) { self.keyRowsMin = keyRowsMin }

    mutating func removeAll() {
        section.removeAll()
        seriesCount = 0
    }

    mutating func append(_ id: UInt32, key: UnsafeRawBufferPointer) {
        if entries.count >= SeriesKeySection.chunkBytesTarget {
            closeChunk(withKeys: rowCount / ids.count >= keyRowsMin)
        }
        var shared = 0
        if ids.count % SeriesKeySection.restartInterval != 0 {
            let limit = min(key.count, previousKey.count)
            while shared < limit, key[shared] == previousKey[shared] { shared += 1 }
        }
        entries.appendVarint(UInt64(id - (ids.last ?? 0)))
        entries.appendVarint(UInt64(shared))
        entries.appendVarint(UInt64(key.count - shared))
        entries.append(UnsafeRawBufferPointer(rebasing: key[shared...]))
        previousKey.removeAll(keepingCapacity: true)
        previousKey.append(contentsOf: key)
        ids.append(id)
        seriesCount += 1
    }

    /// Rows of the last series.
    mutating func add(rows: Int) { rowCount += rows }

    /// What is left is a small part, or all of a table with few series: it keeps its keys.
    mutating func finish() {
        if !ids.isEmpty { closeChunk(withKeys: true) }
    }

    private mutating func closeChunk(withKeys: Bool) {
        section.appendVarint(UInt64(ids.count))
        if withKeys {
            let compressed = ZstdFrame.compress(entries.bytes)
            append(
                compressed == nil ? .keys : .compressedKeys, entries.count,
                compressed ?? entries.bytes)
        } else {
            let runs = Self.runs(of: ids)
            append(.idsAlone, runs.count, runs.bytes)
        }
        entries.removeAll()
        ids.removeAll(keepingCapacity: true)
        rowCount = 0
    }

    private mutating func append(_ form: SeriesKeySection.Form, _ rawCount: Int, _ stored: [UInt8])
    {
        section.append(form.rawValue)
        section.appendVarint(UInt64(rawCount))
        section.appendVarint(UInt64(stored.count))
        section.append(stored)
    }

    private static func runs(of ids: [UInt32]) -> ByteWriter {
        var runs = ByteWriter()
        var start = 0
        var previous: UInt32 = 0
        while start < ids.count {
            var end = start + 1
            while end < ids.count, ids[end] == ids[end - 1] + 1 { end += 1 }
            runs.appendVarint(UInt64(ids[start] - previous))
            runs.appendVarint(UInt64(end - start))
            previous = ids[end - 1]
            start = end
        }
        return runs
    }
}

extension SeriesKeySection {
    /// Calls `body` with every series of a section whose checksum has matched, by rising id, and with
    /// its key, nil where it is left out.
    static func forEach(
        _ section: UnsafeRawBufferPointer, seriesCount: Int,
        _ body: (UInt32, UnsafeRawBufferPointer?) throws(StorageError) -> Void
    ) throws(SectionError) {
        var reader = ByteReader(section)
        var total = 0
        var previousID: UInt32?
        do {
            while !reader.isAtEnd {
                let start = reader.offset
                let count = try reader.readCount(limit: seriesCount - total)
                let form: UInt8 = try reader.read()
                let rawByteCount = try reader.readCount(limit: chunkBytesMax)
                let stored = try reader.readBytes(try reader.readCount(limit: reader.remaining))
                guard count > 0 else {
                    throw ByteReader.Malformed(offset: start, reason: "an impossible key chunk")
                }
                total += count
                switch Form(rawValue: form) {
                case .keys:
                    try readEntries(stored, count, at: start, &previousID, body)
                case .compressedKeys:
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
                case .idsAlone:
                    try readRuns(stored, count, at: start, &previousID, body)
                case nil:
                    throw SectionError.unsupported(UInt32(form))
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
        _ body: (UInt32, UnsafeRawBufferPointer?) throws(StorageError) -> Void
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
    private static func readRuns(
        _ entries: UnsafeRawBufferPointer, _ count: Int, at start: Int,
        _ previousID: inout UInt32?,
        _ body: (UInt32, UnsafeRawBufferPointer?) throws(StorageError) -> Void
    ) throws {
        var reader = ByteReader(entries)
        var rest = count
        var origin = 0
        while rest > 0 {
            let distance = try reader.readCount(limit: Int(UInt32.max))
            let length = try reader.readCount(limit: rest)
            guard length > 0, let first = UInt32(exactly: origin + distance),
                let last = UInt32(exactly: Int(first) + length - 1),
                previousID.map({ $0 < first }) ?? true
            else {
                throw ByteReader.Malformed(offset: start, reason: "series ids do not rise")
            }
            do throws(StorageError) {
                for id in first...last { try body(id, nil) }
            } catch { throw SectionError.callback(error) }
            previousID = last
            origin = Int(last)
            rest -= length
        }
        guard reader.isAtEnd else {
            throw ByteReader.Malformed(offset: start, reason: "bytes behind a chunk's last run")
        }
    }
}
