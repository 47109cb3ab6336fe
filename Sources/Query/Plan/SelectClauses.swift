// The clauses of a SELECT: what is selected, grouped and ordered by.

internal import ApusStorage

extension SelectPlanner {
    struct Item {
        var name: String
        var expression: Expression?
        var column: ScopeColumn?
        var position: SourcePosition
    }

    func expandItems(
        _ select: SelectStatement, _ binder: Binder
    ) throws(QueryError) -> ([Item], [(name: String, value: Expression)]) {
        var items: [Item] = []
        var aliases: [(name: String, value: Expression)] = []
        let scope = binder.scope
        for item in select.items {
            switch item.kind {
            case .star(let qualifier, let excluded):
                items += try star(qualifier, excluded, scope, at: item.position)
            case .columns(let pattern):
                items += try columns(pattern, scope, at: item.position)
            case .expression(let expression, let alias):
                var name = alias?.text ?? expression.outputName
                if alias == nil, let scope, case .column(let reference) = expression.kind,
                    let column = try scope.resolve(reference)
                {
                    name = scope.name(of: column)
                }
                if let alias { aliases.append((alias.text, expression)) }
                items.append(Item(name: name, expression: expression, position: item.position))
            }
        }
        guard items.count <= Self.columnsMax else {
            throw QueryError(
                .limit,
                "the select list comes to \(items.count) columns, the limit is "
                    + "\(Self.columnsMax)", at: select.position)
        }
        return (items, aliases)
    }

    /// Columns of an answer; a table may have more fields, which have to be named then.
    private static var columnsMax: Int { 8_192 }

    private func star(
        _ qualifier: Identifier?, _ excluded: [Identifier], _ scope: QueryScope?,
        at position: SourcePosition
    ) throws(QueryError) -> [Item] {
        guard let scope else {
            throw QueryError(.semantic, "* needs a table in FROM", at: position)
        }
        guard var columns = try scope.starColumns(qualifier) else {
            let name = qualifier ?? Identifier(text: "*", isQuoted: false, position: position)
            throw QueryError(
                .unknownTable, "`\(name.text)` is not a table of this query", at: name.position)
        }
        for name in excluded {
            let named = columns.map { (name: scope.name(of: $0), value: $0) }
            let fitting = NameResolution.all(name, in: named)
            guard !fitting.isEmpty else {
                throw QueryError(
                    .unknownColumn, "* has no column `\(name.text)` to exclude",
                    at: name.position,
                    hint: NameResolution.hint(for: name.text, among: named.map(\.name)))
            }
            columns.removeAll { fitting.contains($0) }
        }
        guard !columns.isEmpty else {
            throw QueryError(.semantic, "EXCLUDE leaves no column", at: position)
        }
        return columns.map { Item(name: scope.name(of: $0), column: $0, position: position) }
    }

    private func columns(
        _ pattern: String, _ scope: QueryScope?, at position: SourcePosition
    ) throws(QueryError) -> [Item] {
        guard let scope, let columns = try scope.starColumns(nil) else {
            throw QueryError(.semantic, "COLUMNS needs a table in FROM", at: position)
        }
        let regex: RegexPattern
        do throws(QueryError) {
            regex = try RegexPattern(pattern, ignoresCase: false)
        } catch {
            throw error.at(position)
        }
        let fitting = columns.filter { regex.matches(scope.name(of: $0)) }
        guard !fitting.isEmpty else {
            throw QueryError(
                .unknownColumn, "no column has a name that matches '\(pattern.prefix(40))'",
                at: position)
        }
        return fitting.map { Item(name: scope.name(of: $0), column: $0, position: position) }
    }

    func bindItem(_ item: Item, _ binder: Binder) throws(QueryError) -> BoundExpression {
        if let column = item.column, let scope = binder.scope {
            if column == scope.time, var bucket = binder.bucketForTime {
                bucket.position = item.position
                return bucket
            }
            return scope.expression(column, at: item.position)
        }
        guard let expression = item.expression else {
            preconditionFailure("BUG: an item is a column or an expression")
        }
        var bound = try binder.bind(expression)
        if bound.isUntyped {
            bound = try binder.coerce(bound, to: .string)
            // The other side of a UNION may still give it another type.
            bound.isUntyped = true
        }
        return bound
    }

    /// An integer literal is the number of an output.
    func ordinal(
        _ expression: Expression, _ outputs: [BoundExpression], _ clause: String
    ) throws(QueryError) -> BoundExpression? {
        guard case .literal(.integer(let number)) = expression.kind else { return nil }
        guard number >= 1, number <= outputs.count else {
            throw QueryError(
                .semantic, "\(clause) \(number): the select list has \(outputs.count) columns",
                at: expression.position)
        }
        return outputs[Int(number) - 1]
    }

    func bindGroupBy(
        _ select: SelectStatement, _ outputs: [BoundExpression], _ binder: Binder
    ) throws(QueryError) -> [BoundExpression] {
        binder.allowsAggregates = false
        binder.usesAliases = true
        binder.clause = "GROUP BY"
        defer { binder.usesAliases = false }
        var keys: [BoundExpression] = []
        if select.groupsByAll { keys = keys.appending(keysAmong: outputs) }
        for syntax in select.groupBy {
            var key: BoundExpression
            if let output = try ordinal(syntax, outputs, "GROUP BY") {
                key = output
            } else {
                key = try binder.bind(syntax)
            }
            guard !key.containsAggregate, !key.containsWindow else {
                throw QueryError(
                    .semantic, "GROUP BY cannot hold an aggregate or a window function",
                    at: syntax.position)
            }
            key.position = syntax.position
            if !keys.contains(key) { keys.append(key) }
        }
        return keys
    }

    func bindOrder(
        _ select: SelectStatement, _ outputs: [(name: String, value: BoundExpression)],
        _ binder: Binder
    ) throws(QueryError) -> [SortKey] {
        binder.usesAliases = true
        binder.clause = "ORDER BY"
        defer { binder.usesAliases = false }
        var keys: [SortKey] = []
        if let all = select.ordersByAll {
            keys = outputs.map { SortKey($0.value, all) }
        }
        for item in select.orderBy {
            var bound: BoundExpression
            if let output = try ordinal(item.expression, outputs.map(\.value), "ORDER BY") {
                bound = output
            } else if let output = try unaliasedOutput(item.expression, outputs, binder) {
                bound = output
            } else {
                bound = try binder.bind(item.expression)
            }
            if bound.isUntyped { bound = try binder.coerce(bound, to: .string) }
            keys.append(SortKey(bound, item))
        }
        return keys
    }

    /// The output of that name, where the name stands alone: `SELECT max(v) … ORDER BY max`, as
    /// PostgreSQL has it. An alias comes first.
    private func unaliasedOutput(
        _ expression: Expression, _ outputs: [(name: String, value: BoundExpression)],
        _ binder: Binder
    ) throws(QueryError) -> BoundExpression? {
        guard case .column(let reference) = expression.kind, reference.qualifiers.isEmpty,
            reference.kind == nil,
            case .missing = NameResolution.match(reference.name, in: binder.aliases)
        else { return nil }
        let fitting = NameResolution.all(reference.name, in: outputs)
        guard let output = fitting.first else { return nil }
        // Several columns of one name are one if they are computed alike.
        guard fitting.allSatisfy({ $0 == output }) else {
            throw QueryError(
                .ambiguous, "ORDER BY `\(reference.name.text)` fits several columns of the answer",
                at: reference.position, hint: "give the one you mean an alias")
        }
        return output
    }

    /// Which row's key would count is chance otherwise.
    func checkOrderOfDistinct(_ draft: Draft) throws(QueryError) {
        guard let odd = draft.sortKeys.first(where: { !draft.outputs.contains($0.expression) })
        else { return }
        throw QueryError(
            .semantic, "with DISTINCT, ORDER BY takes what the select list has",
            at: odd.expression.position)
    }

    func sortKeysOfDistinct(
        _ keys: [SortKey], _ outputs: [BoundExpression]
    ) throws(QueryError) -> [SortKey] {
        try keys.map { key throws(QueryError) in
            guard let index = outputs.firstIndex(of: key.expression) else {
                throw QueryError(
                    .semantic, "with DISTINCT, ORDER BY takes what the select list has",
                    at: key.expression.position)
            }
            var key = key
            key.expression = BoundExpression(
                .column(index), key.expression.type, at: key.expression.position)
            return key
        }
    }

    /// The rows of DISTINCT ON are the first in the order, which has to begin with its expressions.
    func bindDistinctOn(
        _ select: SelectStatement, _ draft: Draft, _ binder: Binder
    ) throws(QueryError) -> [BoundExpression] {
        binder.usesAliases = true
        binder.clause = "DISTINCT ON"
        defer { binder.usesAliases = false }
        var keys: [BoundExpression] = []
        for syntax in select.distinctOn {
            let key: BoundExpression
            if let output = try ordinal(syntax, draft.outputs, "DISTINCT ON") {
                key = output
            } else {
                key = try binder.bind(syntax)
            }
            if !keys.contains(key) { keys.append(key) }
        }
        if let odd = draft.sortKeys.prefix(keys.count).first(where: {
            !keys.contains($0.expression)
        }) {
            throw QueryError(
                .semantic, "ORDER BY begins with the expressions of DISTINCT ON",
                at: odd.expression.position)
        }
        return keys
    }
}
