// `apus inspect` for a person: what a file is, and what is in it, as wide as the terminal.

package import ApusStorage

package struct InspectionText {
    /// Rows of a list that are shown unless all are asked for.
    private static let rowsShownMax = 40
    private static let barWidth = 12

    private let width: Int
    private let showsAll: Bool
    private var lines: [String] = []

    package static func lines(
        _ inspection: FileInspection, width: Int, showsAll: Bool
    ) -> [String] {
        var text = InspectionText(width: width, showsAll: showsAll)
        text.append(inspection)
        return text.lines
    }

    private init(width: Int, showsAll: Bool) {
        self.width = width
        self.showsAll = showsAll
    }

    private mutating func append(_ inspection: FileInspection) {
        lines.append(
            DisplayWidth.cut(
                "\(inspection.kind.title)  \(inspection.name)  "
                    + "\(Quantity.count(inspection.byteCount)) bytes", toColumns: width))
        for finding in inspection.findings {
            lines += TextFold.lines(
                "damaged at byte \(finding.offset): \(finding.what)", columnCount: width)
        }
        var facts = TextTable(["", ""])
        for fact in inspection.facts { facts.append([fact.name, fact.value.text]) }
        if !inspection.facts.isEmpty { lines += facts.lines(width: width, indent: 2) }
        for listing in inspection.listings { append(listing) }
        for table in inspection.tables { append(table, of: inspection.byteCount) }
    }

    private mutating func append(_ listing: FileInspection.Listing) {
        lines.append("")
        lines.append("\(listing.title): \(Quantity.count(listing.rowCount))")
        guard listing.rowCount > 0 else { return }
        var table = TextTable(listing.headings)
        let shown = showsAll ? listing.rows[...] : listing.rows.prefix(Self.rowsShownMax)
        for row in shown { table.append(row.map(\.text)) }
        lines += table.lines(width: width, indent: 2)
        appendRest(listing.rowCount - shown.count)
    }

    private mutating func appendRest(_ count: Int) {
        guard count > 0 else { return }
        lines.append(
            "  … and \(Quantity.count(count)) more" + (showsAll ? "" : "; --all shows them"))
    }

    // MARK: A segment's table

    private mutating func append(_ table: SegmentTableInspection, of byteCount: Int) {
        let statistics = table.statistics
        lines.append("")
        lines.append("table \(statistics.name) (\(statistics.id))")
        var facts = TextTable(["", ""])
        facts.append([
            "holds",
            "\(Quantity.things(statistics.rowCount, "row")), "
                + "\(Quantity.count(statistics.seriesCount)) series, "
                + "\(Quantity.things(statistics.valueCount, "value")), "
                + "\(Quantity.things(statistics.blockCount, "block")) in \(Quantity.things(table.groupCount, "group"))",
        ])
        if statistics.rowCount > 0 {
            facts.append([
                "times",
                "\(InstantText.instant(statistics.minTime)) to "
                    + InstantText.instant(statistics.maxTime),
            ])
        }
        facts.append(["records", "\(table.firstSequence)–\(table.lastSequence)"])
        facts.append(["tags", statistics.tagKeys.joined(separator: ", ")])
        facts.append(["blocks", Self.place(table.data)])
        facts.append(["directory", Self.place(table.directory)])
        facts.append(["series keys", Self.place(table.keys)])
        lines += facts.lines(width: width, indent: 2)
        appendColumns(statistics)
        appendBlocks(table)
    }

    private static func place(_ range: Range<Int>) -> String {
        "\(Quantity.count(range.count)) bytes at \(range.lowerBound)"
    }

    /// Where the bytes are: a bar for each column's share of the table.
    private mutating func appendColumns(_ statistics: TableStatistics) {
        let total = max(1, statistics.byteCount)
        var columns = TextTable([
            "column", "type", ">values", ">bytes", ">per value", "share", "encodings",
        ])
        func append(
            _ name: String, _ type: String, _ count: Int?, _ bytes: Int,
            _ encodings: [Encoding: TableStatistics.EncodingShare]
        ) {
            columns.append([
                name, type, count.map(Quantity.count) ?? "", Quantity.count(bytes),
                Quantity.ratio(bytes, count ?? statistics.valueCount), Self.bar(bytes, total),
                encodings.isEmpty ? "" : StatisticsText.encodings(encodings),
            ])
        }
        append(
            "(series, time)", "", statistics.rowCount, statistics.rowsByteCount,
            statistics.timeEncodings)
        for column in statistics.columns {
            append(
                column.sqlName, column.type.name, column.valueCount, column.byteCount,
                column.encodings)
        }
        append("(directory)", "", nil, statistics.directoryByteCount, [:])
        append("(series keys)", "", nil, statistics.keysByteCount, [:])
        lines += columns.lines(width: width, indent: 2)
    }

    /// Eighths of a character, so that small shares can still be told apart.
    private static func bar(_ part: Int, _ whole: Int) -> String {
        let eighths = part * barWidth * 8 / whole
        let last = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
        let bar = String(repeating: "█", count: eighths / 8) + last
        return bar.isEmpty && part > 0 ? "▏" : bar
    }

    private mutating func appendBlocks(_ table: SegmentTableInspection) {
        guard !table.blocks.isEmpty else { return }
        var blocks = TextTable([
            ">block", ">series", ">rows", "from", ">lasts", ">bytes", "times", "columns",
        ])
        let names = table.statistics.columns.map(\.sqlName)
        for block in table.blocks {
            let columns = zip(names, block.payloads).compactMap { name, payload in
                payload.encoding.map { "\(name) \($0.name) \(payload.byteCount)" }
            }
            let bytes = block.payloads.reduce(block.rowsByteCount) { $0 + $1.byteCount }
            blocks.append([
                String(block.number),
                block.firstSeries == block.lastSeries
                    ? "\(block.firstSeries)" : "\(block.firstSeries)–\(block.lastSeries)",
                Quantity.count(block.rowCount), InstantText.instant(block.minTime),
                InstantText.span(block.maxTime &- block.minTime), Quantity.count(bytes),
                block.timeEncoding.name, columns.joined(separator: ", "),
            ])
        }
        lines += blocks.lines(width: width, indent: 2)
        appendRest(table.statistics.blockCount - table.blocks.count)
        appendChoices(table.blocks[0], names)
    }

    /// Why the columns of a block have the encodings they have.
    private mutating func appendChoices(_ block: BlockInspection, _ names: [String]) {
        var choices = TextTable([
            "column of block \(block.number)", "encoding", ">bytes", "would take otherwise",
        ])
        for (name, payload) in zip(names, block.payloads) {
            guard let encoding = payload.encoding else { continue }
            // Under a symbol table a payload keeps its encoding's name, and is smaller.
            let others = payload.candidates.filter {
                $0.encoding != encoding || $0.byteCount != payload.byteCount
            }
            choices.append([
                name, encoding.name, Quantity.count(payload.byteCount),
                others.map { "\($0.encoding.name) \(Quantity.count($0.byteCount))" }
                    .joined(separator: ", "),
            ])
        }
        lines += choices.lines(width: width, indent: 2)
    }
}

extension FileInspection.Kind {
    var title: String {
        switch self {
        case .manifest: "MANIFEST"
        case .catalog: "catalog file"
        case .log: "log file"
        case .segment: "segment"
        }
    }
}

extension FileInspection.Fact.Value {
    var text: String {
        switch self {
        case .text(let text): text
        case .number(let number): String(number)
        case .time(let nanoseconds): InstantText.instant(nanoseconds)
        case .duration(let nanoseconds): InstantText.span(nanoseconds)
        case .bytes(let count): Quantity.count(count)
        case .flag(let value): value ? "yes" : "no"
        }
    }

    var json: JSONValue {
        switch self {
        case .text(let text): .string(text)
        case .number(let number): .integer(number)
        case .time(let nanoseconds): .string(InstantText.instant(nanoseconds))
        case .duration(let nanoseconds): .integer(nanoseconds)
        case .bytes(let count): .integer(count)
        case .flag(let value): .boolean(value)
        }
    }
}
