// The columns that names can mean, and the list of those that a query uses.

internal import ApusStorage

/// A column that FROM offers.
struct ScopeColumn: Hashable {
    /// Index among what FROM holds.
    var relation: Int
    var column: ScanColumn
}

/// All that stands in one FROM. Columns get frame numbers in the order of their first use.
final class QueryScope {
    private(set) var relations: [any Relation]
    private(set) var used: [ScopeColumn] = []
    /// Columns that a join made equal: a bare name is the one of the left side.
    private var merged: [(column: ScopeColumn, others: Set<ScopeColumn>)] = []
    /// Those of USING, which the answer has once.
    private var hidden: Set<ScopeColumn> = []
    /// Of ASOF joins, bare `time` is that of the rows that are kept.
    var prefersFirstTime = false

    init(_ relations: [any Relation]) { self.relations = relations }

    /// The table, if it is all that FROM holds.
    var table: TableRelation? { relations.count == 1 ? relations[0] as? TableRelation : nil }

    func add(_ relation: any Relation) { relations.append(relation) }

    func slot(of column: ScopeColumn) -> Int {
        if let index = used.firstIndex(of: column) { return index }
        used.append(column)
        return used.count - 1
    }

    func type(of column: ScopeColumn) -> ResultType {
        relations[column.relation].type(of: column.column)
    }

    func name(of column: ScopeColumn) -> String {
        relations[column.relation].name(of: column.column)
    }

    func expression(_ column: ScopeColumn, at position: SourcePosition) -> BoundExpression {
        BoundExpression(.column(slot(of: column)), type(of: column), at: position)
    }

    // MARK: - Time

    /// What SAMPLE BY, LATEST ON, first and last go by.
    var time: ScopeColumn? { relations.isEmpty ? nil : time(of: 0) }

    /// A table's time, or a query's column of that name.
    func time(of index: Int) -> ScopeColumn? {
        let relation = relations[index]
        if relation is TableRelation { return ScopeColumn(relation: index, column: .time) }
        return relation.columns(nil).first {
            $0.name == "time" && relation.type(of: $0.value) == .timestamp
        }.map { ScopeColumn(relation: index, column: $0.value) }
    }

    func needTime(_ what: String, at position: SourcePosition) throws(QueryError) -> ScopeColumn {
        guard let time else {
            throw QueryError(
                .semantic, "\(what) needs a column `time` of type timestamp", at: position,
                hint: "let the subquery have one: SELECT time, …")
        }
        return time
    }

    func isTime(_ slot: Int) -> Bool { used[slot] == time }

    // MARK: - Names

    /// `*` or `alias.*`.
    func starColumns(_ qualifier: Identifier?) throws(QueryError) -> [ScopeColumn]? {
        var columns: [ScopeColumn] = []
        var found = false
        for (index, relation) in relations.enumerated()
        where qualifier.map({ fits($0, relation.name) }) ?? true {
            found = true
            for column in relation.starColumns() {
                let column = ScopeColumn(relation: index, column: column)
                if qualifier == nil, hidden.contains(column) { continue }
                relation.notice(column.column)
                columns.append(column)
            }
        }
        return found ? columns : nil
    }

    /// Makes a name that both sides of a join have one column, of the left side.
    func merge(_ left: ScopeColumn, _ right: ScopeColumn, isHidden: Bool) {
        if isHidden { hidden.insert(right) }
        if let index = merged.firstIndex(where: { $0.column == left || $0.others.contains(left) }) {
            merged[index].others.insert(right)
        } else {
            merged.append((left, [right]))
        }
    }

    /// Nil if there is no such column.
    func resolve(_ reference: ColumnReference) throws(QueryError) -> ScopeColumn? {
        let among = try relations(for: reference)
        guard let column = try column(reference.name, reference.kind, among) else { return nil }
        if reference.kind == nil { relations[column.relation].notice(column.column) }
        return column
    }

    /// The column of neighbouring relations, for USING.
    func resolve(_ name: Identifier, in range: Range<Int>) throws(QueryError) -> ScopeColumn {
        guard let column = try column(name, nil, Array(range)) else {
            throw unknownColumn(ColumnReference(name: name), in: range)
        }
        return column
    }

    /// The one column of that name, or of those that joins made equal the first; nil if there is none.
    private func column(
        _ name: Identifier, _ kind: ColumnKind?, _ among: [Int]
    ) throws(QueryError) -> ScopeColumn? {
        var found: [ScopeColumn] = []
        for index in among {
            let candidates = relations[index].columns(kind)
            switch NameResolution.match(name, in: candidates) {
            case .found(let column):
                // A query's columns may repeat a name.
                guard NameResolution.all(name, in: candidates).count == 1 else {
                    throw QueryError(
                        .ambiguous,
                        "`\(name.text)` is several columns of \(relations[index].title)",
                        at: name.position, hint: "give them different names there: … AS name")
                }
                found.append(ScopeColumn(relation: index, column: column))
            case .ambiguous(let names): throw NameResolution.ambiguous(name, names)
            case .missing: continue
            }
        }
        guard let first = found.first else { return nil }
        let others = merged.first { $0.column == first || $0.others.contains(first) }
        guard
            found.dropFirst().allSatisfy({ others?.others.contains($0) ?? false })
                || prefersFirstTime && first == time
        else {
            throw QueryError(
                .ambiguous, "`\(name.text)` is a column of several tables", at: name.position,
                hint: "write "
                    + found.prefix(3).map { "\(relations[$0.relation].name).\(name.text)" }
                    .joined(separator: " or "))
        }
        return first
    }

    private func relations(for reference: ColumnReference) throws(QueryError) -> [Int] {
        guard let last = reference.qualifiers.last else { return Array(relations.indices) }
        let fitting = relations.indices.filter { index in
            let relation = relations[index]
            guard fits(last, relation.name) else { return false }
            guard reference.qualifiers.count == 2 else { return true }
            return relation.databaseName.map { fits(reference.qualifiers[0], $0) } ?? false
        }
        guard !fitting.isEmpty else {
            throw QueryError(
                .unknownTable, "`\(last.text)` is not a table of this query", at: last.position,
                hint: tablesHint)
        }
        return fitting
    }

    private var tablesHint: String? {
        let names = relations.map(\.name).filter { !$0.isEmpty }
        guard names.count > 1 else { return names.first.map { "the table here is called `\($0)`" } }
        return "the tables here are " + names.prefix(5).map { "`\($0)`" }.joined(separator: ", ")
    }

    func fits(_ identifier: Identifier, _ name: String) -> Bool {
        identifier.text.hasSameBytes(as: name)
            || (!identifier.isQuoted
                && asciiLowercased(identifier.text).hasSameBytes(as: asciiLowercased(name)))
    }

    func unknownColumn(_ reference: ColumnReference) -> QueryError {
        unknownColumn(reference, in: relations.indices)
    }

    private func unknownColumn(_ reference: ColumnReference, in range: Range<Int>) -> QueryError {
        let kind =
            switch reference.kind {
            case nil: "column"
            case .tag: "tag"
            case .field: "field"
            }
        var among = relations[range]
        if let qualifier = reference.qualifiers.last {
            among = among.filter { fits(qualifier, $0.name) }[...]
        }
        let titles = among.map(\.title).joined(separator: ", ")
        return QueryError(
            .unknownColumn, "no \(kind) `\(reference.name.text)` in \(titles)",
            at: reference.position,
            hint: NameResolution.hint(
                for: reference.name.text, among: among.flatMap { $0.columns(nil).map(\.name) }))
    }

    var notices: [String] { relations.flatMap(\.notices) }
}
