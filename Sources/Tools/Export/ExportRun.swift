// An export from its tables or its query to its file.
//
//     DESCRIBE t ──▶ kinds, types and written names ──▶ SELECT every column ──▶ AnswerRow
//                                                       AnswerRow ──▶ line protocol, CSV ──▶ file
//
// A table is one statement, so what is exported of it is the state of one moment. Rows come as they
// lie: partition by partition, within that series by series. Nothing is sorted or gathered.

internal import ApusStorage

/// What an export shall write.
package struct ExportOptions: Sendable {
    package enum Subject: Sendable, Equatable {
        /// Every table of the database.
        case database
        case table(String)
        /// A statement; `measurement` names its rows in line protocol, `fields` the strings that
        /// are no tags.
        case query(String, measurement: String?, fields: [String])
    }

    package enum Format: String, Sendable, CaseIterable { case lineProtocol = "lp", csv }

    package var subject: Subject
    package var format: Format
    package var database = "default"
    /// Times as SQL understands them, or nanoseconds.
    package var from: String?
    package var to: String?
    /// A condition as it stands behind WHERE.
    package var condition: String?
    /// Nil for standard output.
    package var outputPath: String?
    package var isStrict = true

    package init(subject: Subject, format: Format) {
        self.subject = subject
        self.format = format
    }
}

/// What became of it.
package struct ExportReport: Sendable {
    package var tables = 0
    package var rows = 0
    package var values = 0
    package var bytes = 0
    package var seconds = 0.0
    package var omissions = ExportOmissions()
    package var warnings: [String] = []

    package init() {}
}

package struct ExportRun {
    private let options: ExportOptions
    private let source: ExportSource
    private let output: OutputFile
    private var report = ExportReport()

    /// Runs an export on the calling thread. If it throws, its file is not there.
    ///
    /// - Parameter progress: told the bytes so far, before compression.
    package static func run(
        _ options: ExportOptions, from source: ExportSource, progress: ((Int) -> Void)? = nil
    ) throws(TransferFailure) -> ExportReport {
        let begun = monotonicNanoseconds()
        var run = ExportRun(
            options: options, source: source, output: try OutputFile(options.outputPath))
        run.output.progress = progress
        try run.write()
        try run.output.finish()
        run.report.bytes = run.output.byteCount
        run.report.seconds = Double(monotonicNanoseconds() - begun) / 1e9
        return run.report
    }

    private init(options: ExportOptions, source: ExportSource, output: OutputFile) {
        self.options = options
        self.source = source
        self.output = output
    }

    private mutating func write() throws(TransferFailure) {
        switch options.subject {
        case .database:
            let tables = try source.table(of: "SHOW TABLES", database: options.database)
            try comment("export of database \(options.database): \(tables.count) tables")
            for table in tables.compactMap(\.first) { try write(table: table) }
        case .table(let name): try write(table: name)
        case .query(let sql, let measurement, let fields):
            try writeQuery(sql, measurement, fields)
        }
    }

    private func comment(_ text: String) throws(TransferFailure) {
        guard options.format == .lineProtocol else { return }
        // A name holds no newline, but an option might.
        try output.write(Array("# \(text)".utf8.filter { $0 >= 0x20 }) + [0x0A])
    }

    // MARK: Tables

    private mutating func write(table: String) throws(TransferFailure) {
        let quoted = SQLText.quoted(identifier: table)
        let selection = "FROM \(quoted)\(condition)"
        report.tables += 1
        guard options.format == .lineProtocol else {
            return try writeCSV("SELECT * \(selection)")
        }
        let described = try source.table(
            of: "DESCRIBE \(quoted)", database: options.database)
        let columns = described.compactMap { row -> DescribedColumn? in DescribedColumn(row) }
        if case .database = options.subject { try comment("table \(table)") }
        guard
            let writer = LineProtocolWriter(
                measurement: table, columns: columns.map(\.written))
        else {
            report.omissions.names.append(table)
            return
        }
        let names = columns.map(\.expression).joined(separator: ", ")
        try writeLines(
            "SELECT \(names) \(selection)", types: columns.map(\.type), writer)
    }

    private var condition: String {
        var parts: [String] = []
        if let from = options.from { parts.append("time >= \(Self.time(from))") }
        if let to = options.to { parts.append("time < \(Self.time(to))") }
        if let condition = options.condition { parts.append("(\(condition)\n)") }
        return parts.isEmpty ? "" : " WHERE " + parts.joined(separator: " AND ")
    }

    private static func time(_ text: String) -> String {
        Int64(text) != nil ? text : SQLText.quoted(string: text)
    }

    // MARK: Rows

    private mutating func writeLines(
        _ sql: String, types: [String]?, _ writer: LineProtocolWriter
    ) throws(TransferFailure) {
        var sink = LineSink(writer: writer, output: output)
        report.warnings += try source.rows(
            of: sql, database: options.database, types: types, isStrict: options.isStrict,
            into: &sink)
        add(sink.writer)
    }

    private mutating func add(_ writer: LineProtocolWriter) {
        report.rows += writer.rowCount
        report.values += writer.valueCount
        report.omissions.add(writer.omissions)
    }

    private mutating func writeCSV(_ sql: String) throws(TransferFailure) {
        var sink = CSVSink(output: output)
        report.warnings += try source.rows(
            of: sql, database: options.database, isStrict: options.isStrict, into: &sink)
        report.rows += sink.rowCount
    }

    private mutating func writeQuery(
        _ sql: String, _ measurement: String?, _ fields: [String]
    ) throws(TransferFailure) {
        guard options.format == .lineProtocol else { return try writeCSV(sql) }
        var sink = QueryLineSink(
            measurement: measurement ?? "", fields: Set(fields), output: output)
        report.warnings += try source.rows(
            of: sql, database: options.database, isStrict: options.isStrict, into: &sink)
        if let writer = sink.lines?.writer { add(writer) }
    }
}

/// A row of DESCRIBE: SQL's name, kind, type, written name.
private struct DescribedColumn {
    /// The column as the select list has it: with its name space, since names may clash.
    var expression: String
    var type: String
    var written: LineColumn

    init?(_ row: [String]) {
        guard row.count >= 4 else { return nil }
        type = row[2]
        let name = SQLText.quoted(identifier: row[3])
        switch row[1] {
        case "time":
            expression = "time"
            written = LineColumn(kind: .time, name: row[3])
        case "tag":
            expression = "\(name)::tag"
            written = LineColumn(kind: .tag, name: row[3])
        default:
            expression = "\(name)::field"
            guard let kind = LineColumn.fieldKind(ofType: row[2]) else { return nil }
            written = LineColumn(kind: kind, name: row[3])
        }
    }
}

private struct LineSink: RowSink {
    var writer: LineProtocolWriter
    let output: OutputFile
    private var line: [UInt8] = []

    init(writer: LineProtocolWriter, output: OutputFile) {
        self.writer = writer
        self.output = output
    }

    func begin(_ columns: [AnswerColumn]) {}

    mutating func append(_ row: AnswerRow) throws(TransferFailure) {
        line.removeAll(keepingCapacity: true)
        writer.append(row, to: &line)
        try output.write(line)
    }
}

/// The rows of a query: its column `time` is the time, a string is a tag unless it is named as a
/// field, as INSERT has it.
private struct QueryLineSink: RowSink {
    let measurement: String
    let fields: Set<String>
    let output: OutputFile
    var lines: LineSink?

    init(measurement: String, fields: Set<String>, output: OutputFile) {
        self.measurement = measurement
        self.fields = fields
        self.output = output
    }

    mutating func begin(_ columns: [AnswerColumn]) throws(TransferFailure) {
        var written: [LineColumn] = []
        for column in columns {
            if column.name == "time", column.type == "timestamp" {
                written.append(LineColumn(kind: .time, name: column.name))
                continue
            }
            guard let kind = LineColumn.fieldKind(ofType: column.type) else {
                throw TransferFailure(
                    exitCode: ExitCodes.usage,
                    "column \(column.name) is a \(column.type), which line protocol lacks: cast it")
            }
            let isTag = kind == .string && !fields.contains(column.name)
            written.append(LineColumn(kind: isTag ? .tag : kind, name: column.name))
        }
        guard let writer = LineProtocolWriter(measurement: measurement, columns: written) else {
            throw TransferFailure(
                exitCode: ExitCodes.usage,
                "line protocol wants a column named time, and a name for --as that it can write")
        }
        lines = LineSink(writer: writer, output: output)
    }

    mutating func append(_ row: AnswerRow) throws(TransferFailure) { try lines?.append(row) }
}

private struct CSVSink: RowSink {
    let output: OutputFile
    private var writer: CSVWriter?
    private var line: [UInt8] = []

    init(output: OutputFile) { self.output = output }

    var rowCount: Int { writer?.rowCount ?? 0 }

    mutating func begin(_ columns: [AnswerColumn]) throws(TransferFailure) {
        let writer = CSVWriter(columns)
        writer.appendHeader(to: &line)
        try output.write(line)
        self.writer = writer
    }

    mutating func append(_ row: AnswerRow) throws(TransferFailure) {
        line.removeAll(keepingCapacity: true)
        writer?.append(row, to: &line)
        try output.write(line)
    }
}
