// Lists of databases and tables with what is in them: the start of a session, `\l` and `\dt`.

internal import ApusStorage

package struct Listing {
    /// Counting stops after this long; what was not counted stays blank, and a line says so.
    private static let countingNanosecondsMax: Int64 = 2_000_000_000

    private let session: Session

    package init(_ session: Session) { self.session = session }

    package func databases() throws -> [String] {
        try names("SHOW DATABASES", database: session.database)
    }

    private func names(_ statement: String, database: String) throws -> [String] {
        try session.rows(of: statement, database: database).compactMap { $0.first ?? nil }
    }

    private func tables(of database: String) throws -> [String] {
        try names("SHOW TABLES FROM \(SQLText.quoted(identifier: database))", database: database)
    }

    /// `\l`
    package func showDatabases() throws {
        var rows: [[String?]] = []
        for name in try databases() {
            rows.append([name, "\(try tables(of: name).count)"])
        }
        try session.show(
            [
                AnswerColumn(name: "Database", type: "string"),
                AnswerColumn(name: "Tables", type: "int64"),
            ], rows, footer: nil)
    }

    /// `\dt`: the tables of one database. Of all databases, at the start of a session.
    package func showTables(of only: String?) throws {
        let databases = try only.map { [$0] } ?? databases()
        let deadline = monotonicNanoseconds() + Self.countingNanosecondsMax
        var rows: [[String?]] = []
        var uncountedCount = 0
        for database in databases {
            let tables = try tables(of: database)
            if tables.isEmpty, only == nil { rows.append([database, nil, nil, nil]) }
            for table in tables {
                var counts: [String?] = [nil, nil]
                if monotonicNanoseconds() < deadline {
                    let statement =
                        "SELECT count(*), max(time) FROM \(SQLText.quoted(identifier: table))"
                    counts = try session.rows(of: statement, database: database).first ?? counts
                } else {
                    uncountedCount += 1
                }
                rows.append((only == nil ? [database] : []) + [table] + counts.prefix(2))
            }
        }
        guard !rows.isEmpty else {
            return try session.console.say(
                only.map { "No tables in \($0).\n" }
                    ?? "No databases yet: the first write makes one.\n")
        }
        var columns = [
            AnswerColumn(name: "Table", type: "string"), AnswerColumn(name: "Rows", type: "int64"),
            AnswerColumn(name: "Last write", type: "timestamp"),
        ]
        if only == nil { columns.insert(AnswerColumn(name: "Database", type: "string"), at: 0) }
        let footer =
            uncountedCount == 0
            ? nil : "(\(uncountedCount) tables not counted: that would have taken too long)"
        try session.show(columns, rows, footer: footer)
    }
}
