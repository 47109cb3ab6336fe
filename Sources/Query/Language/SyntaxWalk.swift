// Walking expressions, and the name PostgreSQL gives a column that has none.

extension Expression.Kind {
    /// Calls `body` with every direct child, in the order written.
    package func forEachChild(_ body: (Expression) -> Void) {
        switch self {
        case .column, .literal, .typedLiteral, .parameter, .subquery, .exists: break
        case .unary(_, let operand), .isTest(let operand, _, _), .cast(let operand, _),
            .extract(_, let operand):
            body(operand)
        case .binary(_, let left, let right), .isDistinct(let left, let right, _),
            .atTimeZone(let left, let right), .matches(let left, let right, _, _):
            body(left)
            body(right)
        case .and(let operands), .or(let operands):
            operands.forEach(body)
        case .inQuery(let operand, _, _): body(operand)
        case .window(let call, let window):
            Expression.Kind.call(call).forEachChild(body)
            guard case .written(let specification) = window else { return }
            specification.expressions.forEach(body)
        case .inList(let operand, let list, _):
            body(operand)
            list.forEach(body)
        case .between(let operand, let low, let high, _):
            body(operand)
            body(low)
            body(high)
        case .like(let operand, let pattern, let escape, _, _):
            body(operand)
            body(pattern)
            if let escape { body(escape) }
        case .call(let call):
            call.arguments.forEach(body)
            call.namedArguments.forEach { body($0.value) }
            (call.orderBy + call.withinGroup).forEach { body($0.expression) }
            if let filter = call.filter { body(filter) }
        case .caseWhen(let expression):
            if let operand = expression.operand { body(operand) }
            for branch in expression.branches {
                body(branch.condition)
                body(branch.result)
            }
            if let otherwise = expression.otherwise { body(otherwise) }
        }
    }
}

extension Expression {
    /// What PostgreSQL calls an output column of this expression without an alias: the column's
    /// or function's name, a cast's type where nothing better is inside, else `?column?`.
    package var outputName: String { suggestedName ?? "?column?" }

    private var suggestedName: String? {
        switch kind {
        case .column(let column): column.name.text
        case .call(let call), .window(let call, _):
            call.name.isQuoted ? call.name.text : asciiLowercased(call.name.text)
        case .cast(let operand, let type): operand.suggestedName ?? type.outputName
        case .typedLiteral(let type, _): type.outputName
        case .literal(.boolean): "bool"
        case .caseWhen(let expression): expression.otherwise?.columnOrCallName ?? "case"
        case .extract: "extract"
        case .exists: "exists"
        case .subquery(let query): query.outputName
        case .atTimeZone: "timezone"
        default: nil
        }
    }

    /// `CASE … ELSE name END` is called `name`, but only by a column, call or the like.
    private var columnOrCallName: String? {
        switch kind {
        case .column, .call, .window, .extract, .atTimeZone, .subquery: suggestedName
        case .cast(let operand, _): operand.columnOrCallName
        default: nil
        }
    }
}

extension Query {
    /// A subquery's value is called like its column.
    fileprivate var outputName: String? {
        switch body {
        case .set(let operation): operation.left.outputName
        case .select(let select):
            switch select.items.first?.kind {
            case .expression(let expression, let alias)?: alias?.text ?? expression.outputName
            default: nil
            }
        }
    }
}

extension TypeName {
    /// The name PostgreSQL's answers use for a cast without a name of its own.
    fileprivate var outputName: String {
        switch self {
        case .float64: "float8"
        case .int64, .uint64: "int8"
        case .bool: "bool"
        case .string: "text"
        case .timestamp: "timestamptz"
        case .timestampLocal: "timestamp"
        case .date: "date"
        case .interval: "interval"
        }
    }
}

/// A name with the letters A to Z in lower case and everything else as it is.
package func asciiLowercased(_ text: String) -> String {
    String(decoding: text.utf8.map { 65...90 ~= $0 ? $0 | 0x20 : $0 }, as: UTF8.self)
}

/// A name with the letters a to z in upper case and everything else as it is.
package func asciiUppercased(_ text: String) -> String {
    String(decoding: text.utf8.map { 97...122 ~= $0 ? $0 & 0xDF : $0 }, as: UTF8.self)
}
