// The columns that names can mean, and the list of those that a query uses.

internal import ApusStorage

/// Where a column of a scan's frame comes from.
enum ScanColumn: Hashable {
    case time
    /// Index into the schema's tags.
    case tag(Int)
    /// Index into the schema's fields.
    case field(Int)
}

/// One table in FROM. Columns get frame numbers in the order of their first use.
final class TableScope {
    let table: TableEntry
    let schema: TableSchema
    /// The alias, or the table's name.
    let name: String
    let hasAlias: Bool
    private(set) var used: [ScanColumn] = []
    /// What was named without saying whether the tag or the field of that name is meant, each once.
    private(set) var notices: [String] = []

    init(table: TableEntry, alias: Identifier?) {
        self.table = table
        schema = table.schema
        name = alias?.text ?? table.name
        hasAlias = alias != nil
    }

    func slot(of column: ScanColumn) -> Int {
        if let index = used.firstIndex(of: column) { return index }
        used.append(column)
        return used.count - 1
    }

    func type(of column: ScanColumn) -> ResultType {
        switch column {
        case .time: .timestamp
        case .tag: .string
        case .field(let index): ResultType(schema.fields[index].type)
        }
    }

    func name(of column: ScanColumn) -> String {
        switch column {
        case .time: "time"
        case .tag(let index): schema.tags[index].sqlName
        case .field(let index): schema.fields[index].sqlName
        }
    }

    /// `*`: time, tags by name, fields by name.
    func starColumns() -> [ScanColumn] {
        func sorted(_ names: [String]) -> [Int] {
            names.indices.sorted {
                Array(names[$0].utf8).lexicographicallyPrecedes(Array(names[$1].utf8))
            }
        }
        let columns: [ScanColumn] =
            [.time] + sorted(schema.tags.map(\.sqlName)).map { .tag($0) }
            + sorted(schema.fields.map(\.sqlName)).map { .field($0) }
        for column in columns { noticeClash(of: column) }
        return columns
    }

    private var allNames: [(name: String, value: ScanColumn)] {
        [("time", .time)]
            + schema.tags.enumerated().map { ($1.sqlName, .tag($0)) }
            + schema.fields.enumerated().map { ($1.sqlName, .field($0)) }
    }

    /// Nil if the table has no such column.
    func resolve(_ reference: ColumnReference) throws(QueryError) -> ScanColumn? {
        try checkQualifiers(reference)
        let candidates: [(name: String, value: ScanColumn)] =
            switch reference.kind {
            case nil: allNames
            case .tag: schema.tags.enumerated().map { ($1.name, .tag($0)) }
            case .field: schema.fields.enumerated().map { ($1.name, .field($0)) }
            }
        switch NameResolution.match(reference.name, in: candidates) {
        case .found(let column):
            if reference.kind == nil { noticeClash(of: column) }
            return column
        case .ambiguous(let names): throw NameResolution.ambiguous(reference.name, names)
        case .missing: return nil
        }
    }

    /// Tags and fields have name spaces of their own, SQL has one: says which name got which column.
    private func noticeClash(of column: ScanColumn) {
        let kind: String
        let renamed: (name: String, sqlName: String)
        switch column {
        case .time: return
        case .tag(let index):
            let tag = schema.tags[index]
            if tag.sqlName.hasSameBytes(as: tag.name) {
                guard let field = schema.field(named: tag.name) else { return }
                kind = "field"
                renamed = (field.name, field.sqlName)
            } else {
                kind = "tag"
                renamed = (tag.name, tag.sqlName)
            }
        case .field(let index):
            let field = schema.fields[index]
            guard !field.sqlName.hasSameBytes(as: field.name) else { return }
            kind = "field"
            renamed = (field.name, field.sqlName)
        }
        let notice =
            "`\(renamed.name)` of `\(table.name)` is \(renamed.name == "time" ? "the timestamp" : "a tag"); the \(kind) written so is `\(renamed.sqlName)`"
        if !notices.contains(notice) { notices.append(notice) }
    }

    private func checkQualifiers(_ reference: ColumnReference) throws(QueryError) {
        guard let last = reference.qualifiers.last else { return }
        var fits = fits(last, name)
        if reference.qualifiers.count == 2 {
            fits = fits && !hasAlias && self.fits(reference.qualifiers[0], table.database.name)
        }
        guard fits else {
            throw QueryError(
                .unknownTable, "`\(last.text)` is not a table of this query", at: last.position,
                hint: "the table here is called `\(name)`")
        }
    }

    func fits(_ identifier: Identifier, _ name: String) -> Bool {
        identifier.text.hasSameBytes(as: name)
            || (!identifier.isQuoted
                && asciiLowercased(identifier.text).hasSameBytes(as: asciiLowercased(name)))
    }

    func unknownColumn(_ reference: ColumnReference) -> QueryError {
        let kind =
            switch reference.kind {
            case nil: "column"
            case .tag: "tag"
            case .field: "field"
            }
        return QueryError(
            .unknownColumn, "no \(kind) `\(reference.name.text)` in `\(table.name)`",
            at: reference.position,
            hint: NameResolution.hint(for: reference.name.text, among: allNames.map(\.name)))
    }
}
