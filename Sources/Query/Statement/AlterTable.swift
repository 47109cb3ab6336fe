// ALTER TABLE: fields are dropped and renamed. Tags and the time are what rows go by, and stay.

internal import ApusStorage

extension StatementExecution {
    func alterTable(_ alter: AlterTableStatement) throws(QueryError) {
        let table = try engine.findTable(alter.table, session: session)
        let relation = TableRelation(table: table, alias: nil)
        let scope = QueryScope([relation])
        guard let found = try scope.resolve(alter.column) else {
            if alter.action == .drop(ifExists: true) { return }
            throw scope.unknownColumn(alter.column)
        }
        guard case .field(let index) = found.column else { throw refusal(alter, found.column) }
        let field = relation.schema.fields[index]
        switch alter.action {
        case .drop(let ifExists):
            try translating { () throws(StorageError) in
                try engine.storage.dropField(field, of: table, ifExists: ifExists)
            }
        case .rename(let name):
            if let problem = NameRules.problem(name.text, "column") {
                throw QueryError(.semantic, problem, at: name.position)
            }
            if let holder = relation.schema.holder(ofName: name.text) {
                throw QueryError(
                    .exists, "`\(name.text)` is taken in `\(table.name)`: \(holder)",
                    at: name.position)
            }
            try translating { () throws(StorageError) in
                try engine.storage.renameField(field, of: table, to: name.text)
            }
        }
    }

    /// Why a tag or the time can't be changed, and what can be done instead.
    private func refusal(_ alter: AlterTableStatement, _ column: ScanColumn) -> QueryError {
        let name = alter.column.name.text
        let (deed, inQueries) =
            switch alter.action {
            case .drop: ("dropped", "leave it out of answers with SELECT * EXCLUDE (…)")
            case .rename: ("renamed", "give it another name in queries, SELECT … AS …")
            }
        guard case .tag = column else {
            return QueryError(
                .unsupported, "`\(name)` is the timestamp of every row: it can't be \(deed)",
                at: alter.column.position, hint: inQueries)
        }
        return QueryError(
            .unsupported,
            "`\(name)` is a tag, and tags are part of each series' key: it can't be \(deed)",
            at: alter.column.position,
            hint: inQueries
                + "; or write the rows to a new table with the tags that you want, and drop this one"
        )
    }
}
