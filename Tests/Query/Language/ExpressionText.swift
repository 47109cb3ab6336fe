// Expressions written out with all their parentheses, so that tests can see how they were read.

import ApusQuery

func written(_ expression: Expression) -> String {
    switch expression.kind {
    case .column(let column):
        (column.qualifiers + [column.name]).map(\.text).joined(separator: ".")
            + (column.kind.map { $0 == .tag ? "::tag" : "::field" } ?? "")
    case .literal(let literal): written(literal)
    case .typedLiteral(let type, let text): "\(type.name)'\(text)'"
    case .parameter(let number): "$\(number)"
    case .unary(.minus, let operand): "(-\(written(operand)))"
    case .unary(.plus, let operand): "(+\(written(operand)))"
    case .unary(.not, let operand): "(not \(written(operand)))"
    case .binary(let operation, let left, let right):
        "(\(written(left)) \(operation.rawValue) \(written(right)))"
    case .and(let operands): "(" + operands.map(written).joined(separator: " and ") + ")"
    case .or(let operands): "(" + operands.map(written).joined(separator: " or ") + ")"
    case .isTest(let operand, let test, let negated):
        "(\(written(operand)) is \(negated ? "not " : "")\(test))"
    case .isDistinct(let left, let right, let negated):
        "(\(written(left)) \(negated ? "same" : "distinct") \(written(right)))"
    case .inList(let operand, let list, let negated):
        "(\(written(operand)) \(negated ? "not " : "")in \(list.map(written)))"
    case .between(let operand, let low, let high, let negated):
        "(\(written(operand)) \(negated ? "not " : "")between \(written(low)) : \(written(high)))"
    case .like(let operand, let pattern, let escape, let ignoresCase, let negated):
        "(\(written(operand)) \(negated ? "not " : "")\(ignoresCase ? "ilike" : "like") "
            + "\(written(pattern))\(escape.map { " escape " + written($0) } ?? ""))"
    case .matches(let operand, let pattern, let ignoresCase, let negated):
        "(\(written(operand)) \(negated ? "!" : "")~\(ignoresCase ? "*" : "") \(written(pattern)))"
    case .call(let call): written(call)
    case .cast(let operand, let type): "\(written(operand))::\(type.name)"
    case .caseWhen(let cases):
        "case\(cases.operand.map { " " + written($0) } ?? "")"
            + cases.branches.map { " when \(written($0.condition)) then \(written($0.result))" }
            .joined() + (cases.otherwise.map { " else " + written($0) } ?? "")
    case .extract(let field, let source): "extract(\(field.text) from \(written(source)))"
    case .atTimeZone(let operand, let zone): "(\(written(operand)) at \(written(zone)))"
    case .subquery: "(query)"
    case .exists: "(exists query)"
    case .inQuery(let operand, _, let negated):
        "(\(written(operand)) \(negated ? "not " : "")in query)"
    case .window(let call, _): "\(written(call)) over window"
    }
}

private func written(_ call: FunctionCall) -> String {
    let named = call.namedArguments.map { "\($0.name.text)=>\(written($0.value))" }
    let arguments = (call.arguments.map(written) + named).joined(separator: ", ")
    return call.name.text + "(" + (call.isDistinct ? "distinct " : "")
        + (call.isStar ? "*" : arguments) + order(call.orderBy) + ")"
        + (call.withinGroup.isEmpty ? "" : " within (\(order(call.withinGroup).dropFirst()))")
        + (call.filter.map { " filter \(written($0))" } ?? "")
}

private func order(_ items: [OrderItem]) -> String {
    guard !items.isEmpty else { return "" }
    return " by "
        + items.map { written($0.expression) + ($0.isDescending ? " desc" : "") }
        .joined(separator: ", ")
}

private func written(_ literal: Literal) -> String {
    switch literal {
    case .null: "null"
    case .boolean(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .unsigned(let value): "\(value)u"
    case .double(let value): "\(value)f"
    case .string(let value): "'\(value)'"
    }
}
