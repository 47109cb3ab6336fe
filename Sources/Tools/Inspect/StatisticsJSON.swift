// `apus stats --json`.

package import ApusStorage

package enum StatisticsJSON {
    package static func json(
        _ statistics: StoreStatistics, directory: String, holder: String?
    ) -> JSONValue {
        let parts = statistics.segmentBytes
        return .object([
            ("directory", .string(directory)), ("holder", holder.map { .string($0) } ?? .null),
            ("closed", .boolean(statistics.isClosed)),
            ("manifest_version", .integer(statistics.version)),
            ("flushed_through", .integer(statistics.flushedThrough)),
            ("files", .integer(statistics.fileCount)), ("bytes", .integer(statistics.byteCount)),
            ("values", .integer(statistics.valueCount)),
            (
                "files_by_kind",
                .object(
                    StoreStatistics.FileKind.allCases.map { kind in
                        let count = statistics.files[kind] ?? .init()
                        return (
                            kind.jsonName,
                            .object([
                                ("files", .integer(count.files)), ("bytes", .integer(count.bytes)),
                            ])
                        )
                    })
            ),
            (
                "segment_bytes",
                .object([
                    ("values", .integer(parts.values)), ("rows", .integer(parts.rows)),
                    ("directories", .integer(parts.directories)), ("keys", .integer(parts.keys)),
                    ("frame", .integer(parts.frame)),
                ])
            ),
            ("unknown_files", .array(statistics.unknownFiles.map { .string($0) })),
            ("databases", .array(statistics.databases.map(database))),
            (
                "findings",
                .array(
                    statistics.findings.map { finding in
                        .object([
                            ("file", .string(finding.file)), ("offset", .integer(finding.offset)),
                            ("what", .string(finding.what)),
                        ])
                    })
            ),
        ])
    }

    private static func database(_ database: StoreStatistics.Database) -> JSONValue {
        .object([
            ("name", .string(database.name)), ("id", .integer(database.id)),
            (
                "retention_ns",
                database.retentionNanoseconds.map { .integer($0) } ?? .null
            ),
            (
                "partitions",
                .array(
                    database.partitions.map { partition in
                        .object([
                            ("start", .string(InstantText.instant(partition.start))),
                            ("length_ns", .integer(partition.nanoseconds)),
                            ("segments", .integer(partition.segmentCount)),
                            ("rows", .integer(partition.rowCount)),
                            ("bytes", .integer(partition.byteCount)),
                        ])
                    })
            ),
            ("tables", .array(database.tables.map(table))),
        ])
    }

    private static func table(_ table: TableStatistics) -> JSONValue {
        let hasRows = table.rowCount > 0
        return .object([
            ("name", .string(table.name)), ("id", .integer(table.id)),
            ("dropped", .boolean(table.isDropped)),
            ("tags", .array(table.tagKeys.map { .string($0) })),
            ("rows", .integer(table.rowCount)), ("series", .integer(table.seriesCount)),
            ("values", .integer(table.valueCount)), ("segments", .integer(table.segmentCount)),
            ("blocks", .integer(table.blockCount)),
            ("first", hasRows ? .string(InstantText.instant(table.minTime)) : .null),
            ("last", hasRows ? .string(InstantText.instant(table.maxTime)) : .null),
            ("bytes", .integer(table.byteCount)),
            ("bytes_per_value", ratio(table.byteCount, table.valueCount)),
            ("rows_bytes", .integer(table.rowsByteCount)),
            ("directory_bytes", .integer(table.directoryByteCount)),
            ("keys_bytes", .integer(table.keysByteCount)),
            ("time_encodings", encodings(table.timeEncodings)),
            (
                "columns",
                .array(
                    table.columns.map { column in
                        .object([
                            ("name", .string(column.sqlName)),
                            ("written_name", .string(column.name)),
                            ("type", .string(column.type.name)),
                            ("dropped", .boolean(column.isDropped)),
                            ("values", .integer(column.valueCount)),
                            ("bytes", .integer(column.byteCount)),
                            ("bytes_per_value", ratio(column.byteCount, column.valueCount)),
                            ("encodings", encodings(column.encodings)),
                        ])
                    })
            ),
        ])
    }

    static func ratio(_ bytes: Int, _ count: Int) -> JSONValue {
        count == 0 ? .null : .decimal(Double(bytes) / Double(count), 4)
    }

    static func encodings(_ shares: [Encoding: TableStatistics.EncodingShare]) -> JSONValue {
        .array(
            shares.sorted { $0.key.rawValue < $1.key.rawValue }.map { encoding, share in
                .object([
                    ("encoding", .string(encoding.name)), ("blocks", .integer(share.blocks)),
                    ("bytes", .integer(share.bytes)),
                ])
            })
    }
}

extension StoreStatistics.FileKind {
    var jsonName: String {
        switch self {
        case .segment: "segments"
        case .catalog: "catalog"
        case .logNeeded: "log_needed"
        case .logFlushed: "log_flushed"
        case .logSpare: "log_spare"
        case .manifest: "manifest"
        case .predecessor: "predecessor"
        case .lock: "lock"
        case .halfMade: "half_made"
        case .unlisted: "unlisted"
        case .unknown: "unknown"
        }
    }
}
