// `apus stats` for a person, and as JSON.

package import ApusStorage

package struct StatisticsText {
    private let statistics: StoreStatistics
    private let width: Int
    private var lines: [String] = []

    package static func lines(
        _ statistics: StoreStatistics, directory: String, holder: String?, width: Int
    ) -> [String] {
        var text = StatisticsText(statistics: statistics, width: width)
        text.appendHead(directory, holder)
        text.appendFiles()
        for database in statistics.databases { text.append(database) }
        for finding in statistics.findings {
            text.lines += TextFold.lines("damaged: \(finding)", columnCount: width)
        }
        return text.lines
    }

    private init(statistics: StoreStatistics, width: Int) {
        self.statistics = statistics
        self.width = width
    }

    private mutating func appendHead(_ directory: String, _ holder: String?) {
        let state = holder.map { "held by \($0)" } ?? (statistics.isClosed ? "closed" : "not held")
        lines.append(DisplayWidth.cut("\(directory)  \(state)", toColumns: width))
        lines.append(
            "\(Quantity.bytes(statistics.byteCount)) in \(Quantity.count(statistics.fileCount)) "
                + "files, \(Quantity.things(statistics.valueCount, "value")) in segments, "
                + "MANIFEST version \(statistics.version)")
        if let needed = statistics.files[.logNeeded], needed.files > 0 {
            lines.append("Rows that are in the log only are not counted below by table.")
        }
    }

    // MARK: Bytes

    private mutating func appendFiles() {
        var table = TextTable(["bytes of the directory", ">files", ">bytes", ">share"])
        let total = max(statistics.byteCount, 1)
        func share(_ bytes: Int) -> String {
            Quantity.fixed(Double(bytes) * 100 / Double(total), 1) + " %"
        }
        for kind in StoreStatistics.FileKind.allCases {
            guard let count = statistics.files[kind] else { continue }
            table.append([
                kind.title, Quantity.count(count.files), Quantity.count(count.bytes),
                share(count.bytes),
            ])
            guard kind == .segment else { continue }
            let parts = statistics.segmentBytes
            for (name, bytes) in [
                ("values", parts.values), ("series and times of rows", parts.rows),
                ("block directories", parts.directories), ("series keys", parts.keys),
                ("headers, footers, padding", parts.frame),
            ] {
                table.append(["  " + name, "", Quantity.count(bytes), share(bytes)])
            }
        }
        table.append([
            "together", Quantity.count(statistics.fileCount),
            Quantity.count(statistics.byteCount), share(statistics.byteCount),
        ])
        lines.append("")
        lines += table.lines(width: width)
        for path in statistics.unknownFiles.prefix(5) {
            lines.append(DisplayWidth.cut("  not part of the store: \(path)", toColumns: width))
        }
    }

    // MARK: Databases and tables

    private mutating func append(_ database: StoreStatistics.Database) {
        let retention = database.retentionNanoseconds.map {
            $0 == 0 ? "keeps for ever" : "keeps \(InstantText.span($0))"
        }
        lines.append("")
        lines.append("database \(database.name)" + (retention.map { "  \($0)" } ?? ""))
        if !database.partitions.isEmpty {
            var table = TextTable(["partition", ">length", ">segments", ">rows", ">bytes"])
            let shown = database.partitions.suffix(Self.partitionsShownMax)
            if shown.count < database.partitions.count {
                table.append(["… \(database.partitions.count - shown.count) before"])
            }
            for partition in shown {
                table.append([
                    InstantText.brief(partition.start), InstantText.span(partition.nanoseconds),
                    Quantity.count(partition.segmentCount), Quantity.count(partition.rowCount),
                    Quantity.bytes(partition.byteCount),
                ])
            }
            lines += table.lines(width: width, indent: 2)
        }
        for table in database.tables { append(table) }
    }

    private static let partitionsShownMax = 12

    private mutating func append(_ table: TableStatistics) {
        lines.append("")
        lines.append("  table \(table.name)" + (table.isDropped ? "  (dropped)" : ""))
        guard table.rowCount > 0 else {
            lines.append("    no rows in segments, \(Quantity.count(table.seriesCount)) series")
            return
        }
        lines.append(
            "    \(Quantity.things(table.rowCount, "row")), \(Quantity.things(table.seriesCount, "series"))"
                + ", \(Quantity.things(table.valueCount, "value")); "
                + "\(Quantity.things(table.segmentCount, "segment")), "
                + "\(Quantity.things(table.blockCount, "block"))")
        lines.append(
            "    \(InstantText.instant(table.minTime)) to \(InstantText.instant(table.maxTime))")
        lines.append(
            "    \(Quantity.bytes(table.byteCount)), "
                + "\(Quantity.ratio(table.byteCount, table.valueCount)) bytes a value with all "
                + "that belongs to them")
        var columns = TextTable(["column", "type", ">values", ">bytes", ">per value", "encodings"])
        columns.append([
            "(series, time)", "", Quantity.count(table.rowCount),
            Quantity.count(table.rowsByteCount),
            Quantity.ratio(table.rowsByteCount, table.rowCount),
            Self.encodings(table.timeEncodings),
        ])
        for column in table.columns {
            columns.append([
                column.sqlName + (column.isDropped ? "  (dropped)" : ""), column.type.name,
                Quantity.count(column.valueCount),
                Quantity.count(column.byteCount),
                Quantity.ratio(column.byteCount, column.valueCount),
                Self.encodings(column.encodings),
            ])
        }
        columns.append([
            "(directory)", "", "", Quantity.count(table.directoryByteCount),
            Quantity.ratio(table.directoryByteCount, table.valueCount), "",
        ])
        columns.append([
            "(series keys)", "", "", Quantity.count(table.keysByteCount),
            Quantity.ratio(table.keysByteCount, table.valueCount), "",
        ])
        lines += columns.lines(width: width, indent: 4)
    }

    /// `decimal 90 %, constant 10 %`: by blocks, the most used first.
    package static func encodings(
        _ shares: [Encoding: TableStatistics.EncodingShare]
    ) -> String {
        let total = max(1, shares.values.reduce(0) { $0 + $1.blocks })
        let sorted = shares.sorted {
            ($1.value.blocks, $0.key.rawValue) < ($0.value.blocks, $1.key.rawValue)
        }
        if sorted.count == 1, let only = sorted.first { return only.key.name }
        return sorted.map { encoding, share in
            let percent = Double(share.blocks) * 100 / Double(total)
            // Others are named beside it: none of them has all.
            let share = percent < 1 ? "<1" : percent > 99 ? ">99" : Quantity.fixed(percent, 0)
            return "\(encoding.name) \(share) %"
        }.joined(separator: ", ")
    }
}

extension StoreStatistics.FileKind {
    var title: String {
        switch self {
        case .segment: "segments"
        case .catalog: "catalog files"
        case .logNeeded: "log, with rows not flushed yet"
        case .logFlushed: "log, flushed already"
        case .logSpare: "log, spare files"
        case .manifest: "MANIFEST and its predecessor"
        case .predecessor: "kept for MANIFEST.previous"
        case .lock: "LOCK"
        case .halfMade: "half made (*.new)"
        case .unlisted: "not listed: being made, or left over"
        case .unknown: "not part of the store"
        }
    }
}
