internal import Synchronization

// Reads a sealed segment from its mapping. Opening checks both ends and the footer, and no block.
//
// Drawings: SegmentLayout.swift, SegmentFooter.swift.

/// An open segment. Safe from any thread; stays mapped while it or a directory of it lives.
package final class SegmentReader: Sendable {
    package let identity: SegmentIdentity
    package let tables: [SegmentTable]
    package let path: String
    package let byteCount: Int
    let file: MappedFile
    let footer: Range<Int>
    /// Number of the file's format.
    package let format: UInt32
    private let tableIndexes: [UInt32: Int]

    /// Maps a segment and reads its footer.
    /// - Throws: `corrupt`, `unsupportedFormat`, or what mapping throws.
    /// - Complexity: O(tables and fields inside), whatever the file's size.
    package static func open(
        _ fileSystem: any FileSystem, path: String
    ) throws(StorageError) -> SegmentReader {
        try SegmentReader(file: try fileSystem.map(path), path: path)
    }

    private init(file: MappedFile, path: String) throws(StorageError) {
        let (footerRange, format) = try SegmentLayout.locateFooter(file.bytes, file: path)
        // Safe: `locateFooter` gives a range of the file; the bytes live as long as `file`.
        let decoded: SegmentFooter
        do throws(ByteReader.Malformed) {
            decoded = try SegmentFooter.decode(
                UnsafeRawBufferPointer(rebasing: file.bytes[footerRange]),
                footerOffset: footerRange.lowerBound, format: format)
        } catch {
            throw .corrupt(
                file: path, offset: UInt64(footerRange.lowerBound + error.offset),
                reason: "footer: \(error.reason)")
        }
        try file.checkReadable()
        self.file = file
        self.path = path
        byteCount = file.bytes.count
        footer = footerRange
        self.format = format
        identity = decoded.identity
        tables = decoded.tables.map { SegmentTable(file: file, path: path, entry: $0) }
        tableIndexes = Dictionary(
            decoded.tables.enumerated().map { ($0.element.schema.tableID, $0.offset) },
            uniquingKeysWith: { first, _ in first })
    }

    package func table(id: UInt32) -> SegmentTable? { tableIndexes[id].map { tables[$0] } }

    /// Whether the device has refused a part of the file since it was mapped.
    var isUnreadable: Bool { file.isPoisoned }

    /// What the footer of a segment that can't be opened says, if it is whole itself: who it is, and
    /// which tables it had rows of between which times.
    static func salvageFooter(
        _ fileSystem: any FileSystem, path: String
    ) -> (identity: SegmentIdentity, times: [UInt32: ClosedRange<Int64>])? {
        // Safe: `salvageFooter` gives a range of the file; the bytes live as long as `file`.
        guard let file = try? fileSystem.map(path),
            let (range, format) = SegmentLayout.salvageFooter(file.bytes),
            let footer = try? SegmentFooter.decode(
                UnsafeRawBufferPointer(rebasing: file.bytes[range]),
                footerOffset: range.lowerBound, format: format),
            !file.isPoisoned
        else { return nil }
        var times: [UInt32: ClosedRange<Int64>] = [:]
        for table in footer.tables where table.rowCount > 0 {
            times[table.schema.tableID] = table.minTime...table.maxTime
        }
        return (footer.identity, times)
    }
}

/// One table of a segment.
package final class SegmentTable: Sendable {
    let entry: SegmentTableEntry
    private let file: MappedFile
    private let path: String
    private let loaded = Mutex<BlockDirectory?>(nil)

    init(file: MappedFile, path: String, entry: SegmentTableEntry) {
        self.file = file
        self.path = path
        self.entry = entry
    }

    package var schema: SegmentTableSchema { entry.schema }
    package var rowCount: Int { entry.rowCount }
    package var blockCount: Int { entry.blockCount }
    package var seriesCount: Int { entry.seriesCount }
    /// Smallest and largest time of all rows; `minTime > maxTime` without rows.
    package var minTime: Int64 { entry.minTime }
    package var maxTime: Int64 { entry.maxTime }

    /// Whether a byte of the file is one of the table's.
    func holds(_ offset: UInt64) -> Bool {
        offset >= UInt64(entry.dataOffset) && offset < UInt64(entry.end)
    }

    /// Where the directory lies in the file, for tools.
    package var directoryRange: Range<Int> { entry.directoryOffset..<entry.keysOffset }

    /// The table's directory, checked at the first call.
    /// - Throws: `corrupt`, again at every call.
    package func directory() throws(StorageError) -> BlockDirectory {
        if let directory = loaded.withLock({ $0 }) { return directory }
        // Two first callers may both read it; the checksum is not worth holding a lock for.
        let directory = try BlockDirectory(file: file, table: entry)
        loaded.withLock { $0 = directory }
        return directory
    }

    /// Calls `body` with every series of the table by rising id, and its canonical key where the
    /// segment has it. The bytes are valid during the call.
    /// - Throws: `corrupt`, `unsupportedFormat`, or what `body` throws.
    package func forEachSeriesKey(
        _ body: (UInt32, UnsafeRawBufferPointer?) throws(StorageError) -> Void
    ) throws(StorageError) {
        let start = entry.keysOffset
        // Safe: the footer was refused unless its tables' sections end before it, inside the file.
        let section = UnsafeRawBufferPointer(rebasing: file.bytes[start..<entry.end])
        guard CRC32C.checksum(section) == entry.keysChecksum else {
            throw .corrupt(
                file: path, offset: UInt64(start),
                reason: "the checksum of the keys of table \(schema.tableID) does not match")
        }
        do throws(SeriesKeySection.SectionError) {
            try SeriesKeySection.forEach(section, seriesCount: entry.seriesCount, body)
        } catch {
            switch error {
            case .callback(let failure): throw failure
            case .unsupported(let found):
                throw .unsupportedFormat(
                    file: path, found: found, newestKnown: SegmentLayout.formatNumber)
            case .malformed(let malformed):
                throw .corrupt(
                    file: path, offset: UInt64(start + malformed.offset),
                    reason: "keys of table \(schema.tableID): \(malformed.reason)")
            }
        }
        try file.checkReadable()
    }

    /// All series of the table by rising id, with their canonical keys where the segment has them.
    package func seriesKeys() throws(StorageError) -> [(id: UInt32, key: [UInt8]?)] {
        var keys: [(id: UInt32, key: [UInt8]?)] = []
        try forEachSeriesKey { id, key in keys.append((id, key.map { Array($0) })) }
        return keys
    }
}
