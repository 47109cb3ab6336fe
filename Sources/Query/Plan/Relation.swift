// What stands in FROM, as far as names go: a table, or the columns of a query.

internal import ApusStorage

/// A column of a relation.
enum ScanColumn: Hashable {
    case time
    /// Index into the schema's tags.
    case tag(Int)
    /// Index into the schema's fields.
    case field(Int)
    /// Index into a query's columns.
    case output(Int)
}

protocol Relation: AnyObject {
    /// The alias, or the table's name.
    var name: String { get }
    /// As written before a column: `database.table.column` is only for tables without an alias.
    var databaseName: String? { get }
    /// What messages call it.
    var title: String { get }
    /// What was named without saying whether the tag or the field of that name is meant, each once.
    var notices: [String] { get }

    /// The columns that a name without further ado, or one with `::tag` or `::field`, can mean.
    func columns(_ kind: ColumnKind?) -> [(name: String, value: ScanColumn)]
    func type(of column: ScanColumn) -> ResultType
    func name(of column: ScanColumn) -> String
    /// `*`.
    func starColumns() -> [ScanColumn]
    /// A query took the column without saying which kind is meant.
    func notice(_ column: ScanColumn)
}

/// A table.
final class TableRelation: Relation {
    let table: TableEntry
    let schema: TableSchema
    let name: String
    let databaseName: String?
    private(set) var notices: [String] = []

    init(table: TableEntry, alias: Identifier?) {
        self.table = table
        schema = table.schema
        name = alias?.text ?? table.name
        databaseName = alias == nil ? table.database.name : nil
    }

    var title: String { "`\(table.name)`" }

    func type(of column: ScanColumn) -> ResultType {
        switch column {
        case .time: .timestamp
        case .tag: .string
        case .field(let index): ResultType(schema.fields[index].type)
        case .output: preconditionFailure("BUG: a table has no outputs")
        }
    }

    func name(of column: ScanColumn) -> String {
        switch column {
        case .time: "time"
        case .tag(let index): schema.tags[index].sqlName
        case .field(let index): schema.fields[index].sqlName
        case .output: preconditionFailure("BUG: a table has no outputs")
        }
    }

    /// Time, tags by name, fields by name.
    func starColumns() -> [ScanColumn] {
        func sorted(_ names: [String]) -> [Int] {
            names.indices.sorted {
                Array(names[$0].utf8).lexicographicallyPrecedes(Array(names[$1].utf8))
            }
        }
        return [.time] + sorted(schema.tags.map(\.sqlName)).map { .tag($0) }
            + sorted(schema.fields.map(\.sqlName)).map { .field($0) }
    }

    func columns(_ kind: ColumnKind?) -> [(name: String, value: ScanColumn)] {
        switch kind {
        case nil:
            [("time", .time)]
                + schema.tags.enumerated().map { ($1.sqlName, .tag($0)) }
                + schema.fields.enumerated().map { ($1.sqlName, .field($0)) }
        case .tag: schema.tags.enumerated().map { ($1.name, .tag($0)) }
        case .field: schema.fields.enumerated().map { ($1.name, .field($0)) }
        }
    }

    /// Tags and fields have name spaces of their own, SQL has one: says which name got which column.
    func notice(_ column: ScanColumn) {
        let kind: String
        let renamed: (name: String, sqlName: String)
        switch column {
        case .time, .output: return
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
}

/// A query in FROM or WITH.
final class QueryRelation: Relation {
    let plan: QueryPlan
    let name: String
    private let outputs: [ResultColumn]

    init(plan: QueryPlan, name: String, columnNames: [Identifier]) throws(QueryError) {
        self.plan = plan
        self.name = name
        var outputs = plan.resultColumns
        guard columnNames.count <= outputs.count else {
            throw QueryError(
                .semantic, "\(columnNames.count) names for \(outputs.count) columns",
                at: columnNames[outputs.count].position)
        }
        for (index, column) in columnNames.enumerated() { outputs[index].name = column.text }
        self.outputs = outputs
    }

    var databaseName: String? { nil }
    var title: String { name.isEmpty ? "the subquery" : "`\(name)`" }
    var notices: [String] { [] }

    func columns(_ kind: ColumnKind?) -> [(name: String, value: ScanColumn)] {
        kind == nil ? outputs.enumerated().map { ($1.name, .output($0)) } : []
    }

    func type(of column: ScanColumn) -> ResultType { output(column).type }
    func name(of column: ScanColumn) -> String { output(column).name }
    func starColumns() -> [ScanColumn] { outputs.indices.map { .output($0) } }
    func notice(_ column: ScanColumn) {}

    private func output(_ column: ScanColumn) -> ResultColumn {
        guard case .output(let index) = column else {
            preconditionFailure("BUG: a query's columns are outputs")
        }
        return outputs[index]
    }
}
