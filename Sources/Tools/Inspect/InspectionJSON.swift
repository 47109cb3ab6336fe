// `apus inspect --json`.

package import ApusStorage

package enum InspectionJSON {
    package static func json(_ inspection: FileInspection) -> JSONValue {
        .object([
            ("file", .string(inspection.name)), ("kind", .string(inspection.kind.rawValue)),
            ("bytes", .integer(inspection.byteCount)),
            (
                "findings",
                .array(
                    inspection.findings.map { finding in
                        .object([
                            ("offset", .integer(finding.offset)), ("what", .string(finding.what)),
                        ])
                    })
            ),
            (
                "facts",
                .object(inspection.facts.map { (memberName($0.name), $0.value.json) })
            ),
            (
                "lists",
                .object(inspection.listings.map { (memberName($0.title), list($0)) })
            ),
            ("tables", .array(inspection.tables.map(table))),
        ])
    }

    private static func list(_ listing: FileInspection.Listing) -> JSONValue {
        let names = listing.headings.map(memberName)
        return .array(
            listing.rows.map { row in
                .object(zip(names, row).map { ($0, $1.json) })
            })
    }

    /// `first time` becomes `first_time`.
    private static func memberName(_ heading: String) -> String {
        heading.filter { $0 != ">" && $0 != "," }.replacing(" ", with: "_").lowercased()
    }

    private static func place(_ range: Range<Int>) -> JSONValue {
        .object([("offset", .integer(range.lowerBound)), ("bytes", .integer(range.count))])
    }

    private static func table(_ table: SegmentTableInspection) -> JSONValue {
        let statistics = table.statistics
        return .object([
            ("name", .string(statistics.name)), ("id", .integer(statistics.id)),
            ("tags", .array(statistics.tagKeys.map { .string($0) })),
            ("rows", .integer(statistics.rowCount)), ("series", .integer(statistics.seriesCount)),
            ("values", .integer(statistics.valueCount)),
            ("block_count", .integer(statistics.blockCount)),
            ("groups", .integer(table.groupCount)),
            ("data", place(table.data)), ("directory", place(table.directory)),
            ("keys", place(table.keys)), ("rows_bytes", .integer(statistics.rowsByteCount)),
            ("time_encodings", StatisticsJSON.encodings(statistics.timeEncodings)),
            (
                "columns",
                .array(
                    statistics.columns.map { column in
                        .object([
                            ("name", .string(column.sqlName)),
                            ("type", .string(column.type.name)),
                            ("values", .integer(column.valueCount)),
                            ("bytes", .integer(column.byteCount)),
                            (
                                "bytes_per_value",
                                StatisticsJSON.ratio(column.byteCount, column.valueCount)
                            ),
                            ("encodings", StatisticsJSON.encodings(column.encodings)),
                        ])
                    })
            ),
            ("blocks", .array(table.blocks.map(block))),
        ])
    }

    private static func block(_ block: BlockInspection) -> JSONValue {
        .object([
            ("block", .integer(block.number)),
            ("first_series", .integer(block.firstSeries)),
            ("last_series", .integer(block.lastSeries)),
            ("rows", .integer(block.rowCount)),
            ("first", .string(InstantText.instant(block.minTime))),
            ("last", .string(InstantText.instant(block.maxTime))),
            ("time_encoding", .string(block.timeEncoding.name)),
            ("rows_bytes", .integer(block.rowsByteCount)),
            (
                "columns",
                .array(
                    block.payloads.map { payload in
                        .object([
                            ("encoding", payload.encoding.map { .string($0.name) } ?? .null),
                            ("values", .integer(payload.valueCount)),
                            ("bytes", .integer(payload.byteCount)),
                            ("would_take", .array(payload.candidates.map(candidate))),
                        ])
                    })
            ),
        ])
    }

    private static func candidate(_ candidate: EncodingCandidate) -> JSONValue {
        .object([
            ("encoding", .string(candidate.encoding.name)),
            ("bytes", .integer(candidate.byteCount)),
        ])
    }
}
