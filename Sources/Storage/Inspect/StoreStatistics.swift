// What a store's directory holds, by file and by table, read beside a running server: one MANIFEST
// version, footers and directories of its segments, names and sizes of everything else. No lock, no
// block, no write.

package struct StoreStatistics: Sendable {
    /// What a file is to the store. Every file of the directory is of exactly one kind.
    package enum FileKind: String, Sendable, CaseIterable {
        case segment, catalog
        /// Holds records that no segment has.
        case logNeeded
        /// All of it is in segments; goes at the next flush, or the one after.
        case logFlushed
        case logSpare
        case manifest
        /// Segments and catalog files that only MANIFEST.previous lists.
        case predecessor
        case lock
        /// Ends in `.new`.
        case halfMade
        /// A segment or catalog file that no MANIFEST lists: being made, or left over.
        case unlisted
        case unknown
    }

    /// The bytes of segments by what they are for; together the bytes of all segments.
    package struct SegmentBytes: Sendable, Equatable {
        package var rows = 0
        package var values = 0
        package var directories = 0
        package var keys = 0
        /// Headers, footers, trailers, padding; and all of a segment that can't be read.
        package var frame = 0

        package var total: Int { rows + values + directories + keys + frame }
    }

    package struct Partition: Sendable {
        package var start: Int64
        package var nanoseconds: Int64
        package var segmentCount = 0
        package var rowCount = 0
        package var byteCount = 0
    }

    package struct Database: Sendable {
        package var id: UInt32
        package var name: String
        /// 0 keeps for ever; nil where the catalog doesn't know the database.
        package var retentionNanoseconds: Int64?
        package var partitions: [Partition] = []
        package var tables: [TableStatistics] = []
    }

    package var version: UInt64 = 0
    /// Records above are in the log only, and not in the tables' numbers.
    package var flushedThrough: UInt64 = 0
    package var isClosed = false
    package var files: [FileKind: FileCount] = [:]
    /// Files that are no part of the store.
    package var unknownFiles: [String] = []
    package var segmentBytes = SegmentBytes()
    package var databases: [Database] = []
    /// What could not be read.
    package var findings: [IntegrityCheck.Finding] = []

    /// All bytes of all files.
    package var byteCount: Int { files.values.reduce(0) { $0 + $1.bytes } }
    package var fileCount: Int { files.values.reduce(0) { $0 + $1.files } }
    package var valueCount: Int {
        databases.reduce(0) { $0 + $1.tables.reduce(0) { $0 + $1.valueCount } }
    }

    package init() {}

    /// - Returns: nil if the directory holds no store.
    /// - Throws: `io` if a file can't be read; `unsupportedFormat`. Damage is in `findings`.
    /// - Complexity: O(column blocks and series); milliseconds for 100 million values.
    package static func read(_ fileSystem: any FileSystem) throws(StorageError) -> StoreStatistics?
    {
        for _ in 0..<Backup.attemptsMax {
            guard let loaded = try Manifest.load(fileSystem) else { return nil }
            var reading = StatisticsReading(fileSystem: fileSystem, manifest: loaded.manifest)
            if case .corrupt(let file, let offset, let reason)? = loaded.fallback {
                reading.find(file, offset, reason)
            }
            let isWhole = try reading.readAll()
            // A file went because MANIFEST was replaced, or because someone took it away.
            if isWhole { return reading.result }
            if try Manifest.load(fileSystem)?.manifest == loaded.manifest { return reading.result }
        }
        throw .limit("MANIFEST changed \(Backup.attemptsMax) times while it was read")
    }
}

/// A table's rows in segments. A row that lies in two of them counts twice until they are merged.
package struct TableStatistics: Sendable {
    package struct Column: Sendable {
        package var fieldID: UInt32
        package var name: String
        package var sqlName: String
        /// As the newest segment has it.
        package var type: FieldType
        /// Dropped, and its values wait for a merge.
        package var isDropped = false
        package var valueCount = 0
        package var byteCount = 0
        package var encodings: [Encoding: EncodingShare] = [:]
    }

    package struct EncodingShare: Sendable, Equatable {
        package var blocks = 0
        package var bytes = 0
    }

    package var id: UInt32
    package var name: String
    /// Dropped, and its rows wait for a merge.
    package var isDropped = false
    package var tagKeys: [String] = []
    package var seriesCount = 0
    package var rowCount = 0
    package var segmentCount = 0
    package var blockCount = 0
    package var minTime = Int64.max
    package var maxTime = Int64.min
    /// Runs and times of all blocks.
    package var rowsByteCount = 0
    package var timeEncodings: [Encoding: EncodingShare] = [:]
    package var directoryByteCount = 0
    package var keysByteCount = 0
    package var columns: [Column] = []

    package var valueCount: Int { columns.reduce(0) { $0 + $1.valueCount } }
    package var valuesByteCount: Int { columns.reduce(0) { $0 + $1.byteCount } }
    package var byteCount: Int {
        rowsByteCount + valuesByteCount + directoryByteCount + keysByteCount
    }

    package init(id: UInt32, name: String) {
        self.id = id
        self.name = name
    }

    /// Adds a segment's share of the table.
    mutating func add(_ table: SegmentTable) throws(StorageError) {
        let directory = try table.directory()
        segmentCount += 1
        rowCount += table.rowCount
        blockCount += table.blockCount
        minTime = min(minTime, table.minTime)
        maxTime = max(maxTime, table.maxTime)
        directoryByteCount += table.entry.directoryByteCount
        keysByteCount += table.entry.keysByteCount
        if table.schema.tagKeys.count > tagKeys.count { tagKeys = table.schema.tagKeys }
        rowsByteCount += try directory.forEachRowsPart { encoding, bytes in
            timeEncodings[encoding, default: .init()].blocks += 1
            timeEncodings[encoding, default: .init()].bytes += bytes
        }
        for (index, field) in table.schema.fields.enumerated() {
            let place =
                columns.firstIndex { $0.fieldID == field.id }
                ?? {
                    columns.append(
                        Column(
                            fieldID: field.id, name: field.name, sqlName: field.sqlName,
                            type: field.type))
                    return columns.count - 1
                }()
            columns[place].type = field.type
            columns[place].byteCount += try directory.forEachPayload(of: index) {
                encoding, values, bytes in
                columns[place].valueCount += values
                columns[place].encodings[encoding, default: .init()].blocks += 1
                columns[place].encodings[encoding, default: .init()].bytes += bytes
            }
        }
    }
}

extension BlockDirectory {
    /// Calls `body` with time encoding and bytes of each block's runs and times. Returns the sum.
    func forEachRowsPart(_ body: (Encoding, Int) -> Void) throws(StorageError) -> Int {
        var total = 0
        for block in 0..<blockCount {
            let bytes = try rowsByteCount(block)
            total += bytes
            body(timeEncoding(block), bytes)
        }
        return total
    }

    /// Calls `body` with encoding, values and bytes of each block that has any. Returns the sum.
    func forEachPayload(
        of column: Int, _ body: (Encoding, Int, Int) -> Void
    ) throws(StorageError) -> Int {
        var total = tablesByteCount(column: column)
        for block in 0..<blockCount {
            let values = presentCount(column: column, block: block)
            let bytes = try payloadByteCount(column: column, block: block)
            total += bytes
            if values > 0 { body(encoding(column: column, block: block), values, bytes) }
        }
        return total
    }

    /// The encoding of a block's times; `regularTimes` where the directory alone says them.
    func timeEncoding(_ block: Int) -> Encoding {
        if regularStep(block) != nil { return .regularTimes }
        return Encoding(
            rawValue: UInt8(
                truncatingIfNeeded: storage.arrays[DirectoryArray.timeEncoding][block]))
    }
}
