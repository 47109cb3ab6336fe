// The tables that a query names, anywhere in it.

extension Query {
    /// Calls for each name in FROM, those of WITH among them.
    func forEachTable(_ body: (TableName) -> Void) {
        for table in commonTables { table.query.forEachTable(body) }
        switch self.body {
        case .set(let operation):
            operation.left.forEachTable(body)
            operation.right.forEachTable(body)
            for item in operation.orderBy { item.expression.forEachTable(body) }
        case .select(let select): select.forEachTable(body)
        }
    }
}

extension SelectStatement {
    fileprivate func forEachTable(_ body: (TableName) -> Void) {
        from?.forEachTable(body)
        for item in items {
            if case .expression(let expression, _) = item.kind { expression.forEachTable(body) }
        }
        var all = distinctOn + groupBy + orderBy.map(\.expression)
        all += [condition, having, qualify, limit, offset].compactMap { $0 }
        all += [sampleBy?.from, sampleBy?.to, sampleBy?.zone].compactMap { $0 }
        for case .value(let expression) in sampleBy?.fill ?? [] { all.append(expression) }
        for window in windows { all += window.specification.expressions }
        for expression in all { expression.forEachTable(body) }
    }
}

extension FromItem {
    fileprivate func forEachTable(_ body: (TableName) -> Void) {
        switch self {
        case .table(let reference): body(reference.name)
        case .query(let derived): derived.query.forEachTable(body)
        case .join(let join):
            join.left.forEachTable(body)
            join.right.forEachTable(body)
            join.condition?.forEachTable(body)
        }
    }
}

extension Expression {
    fileprivate func forEachTable(_ body: (TableName) -> Void) {
        switch kind {
        case .subquery(let query), .exists(let query), .inQuery(_, let query, _):
            query.forEachTable(body)
        default: break
        }
        kind.forEachChild { $0.forEachTable(body) }
    }
}
