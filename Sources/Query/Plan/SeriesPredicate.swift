// The part of WHERE that only touches tags, answered from the series index: each leaf is evaluated
// once over the distinct values of its tag, and the leaves' series sets are combined.
//
// A leaf is the set of series for which its expression is TRUE (or FALSE, below a NOT): so NULLs
// fall out by themselves, and NOT never has to complement a set.

internal import ApusStorage
internal import Synchronization

indirect enum SeriesPredicate {
    case leaf(tag: Int, slot: Int, expression: BoundExpression, wantsFalse: Bool)
    case and([SeriesPredicate])
    case or([SeriesPredicate])

    /// Nil if the expression reads anything but tags, or two tags in one leaf.
    init?(_ expression: BoundExpression, _ columns: [ScanColumn], negated: Bool) {
        switch expression.kind {
        case .not(let inner):
            guard let inside = SeriesPredicate(inner, columns, negated: !negated) else {
                return nil
            }
            self = inside
            return
        case .and(let list), .or(let list):
            let slots = expression.columnsUsed
            if slots.count == 1 { break }
            var parts: [SeriesPredicate] = []
            for item in list {
                guard let part = SeriesPredicate(item, columns, negated: negated) else {
                    return nil
                }
                parts.append(part)
            }
            let isAnd = if case .and = expression.kind { true } else { false }
            self = isAnd != negated ? .and(parts) : .or(parts)
            return
        default: break
        }
        let slots = expression.columnsUsed
        guard slots.count == 1, let slot = slots.first, case .tag(let tag) = columns[slot] else {
            return nil
        }
        self = .leaf(tag: tag, slot: slot, expression: expression, wantsFalse: negated)
    }

    /// The series that satisfy the predicate.
    ///
    /// - Throws: besides what the expressions say, `cancelled` or `timeout`: a tag may have millions
    ///   of values.
    func select(_ table: TableEntry, _ context: QueryContext) throws(QueryError) -> SeriesSet {
        switch self {
        case .leaf(let tag, let slot, let expression, let wantsFalse):
            return try Self.leafSet(table, tag, slot, expression, wantsFalse, context)
        case .and(let parts):
            var result = try parts[0].select(table, context)
            for part in parts.dropFirst() where !result.isEmpty {
                result.formIntersection(try part.select(table, context))
            }
            return result
        case .or(let parts):
            var result = try parts[0].select(table, context)
            for part in parts.dropFirst() {
                result.formUnion(try part.select(table, context))
            }
            return result
        }
    }

    private static func leafSet(
        _ table: TableEntry, _ tag: Int, _ slot: Int, _ expression: BoundExpression,
        _ wantsFalse: Bool, _ context: QueryContext
    ) throws(QueryError) -> SeriesSet {
        let snapshot = table.seriesSnapshot
        let column = snapshot.tag(tag)
        if !wantsFalse, let values = equalValues(expression) {
            let codes = table.series.withLock { index in
                values.compactMap { index.code(of: $0, tag: tag) }
            }
            let known = codes.filter { $0 < column.values.count }
            return column.select(codes: known, capacity: snapshot.count)
        }
        let accepted = try acceptedCodes(column.values, slot, expression, wantsFalse, context)
        return column.select(accepted: accepted, capacity: snapshot.count)
    }

    /// The constants of `tag = 'a'` and `tag IN ('a', 'b')`.
    private static func equalValues(_ expression: BoundExpression) -> [[UInt8]]? {
        switch expression.kind {
        case .compare(.equal, let left, let right):
            if case .column = left.kind, let constant = right.constant {
                return constant.isNull ? [] : [constant.bytes]
            }
            if case .column = right.kind, let constant = left.constant {
                return constant.isNull ? [] : [constant.bytes]
            }
            return nil
        case .inList(let operand, let list, negated: false):
            guard case .column = operand.kind else { return nil }
            var values: [[UInt8]] = []
            for item in list {
                guard let constant = item.constant else { return nil }
                if !constant.isNull { values.append(constant.bytes) }
            }
            return values
        default: return nil
        }
    }

    /// Per code + 1 whether the value is accepted; element 0 stands for an absent tag.
    private static func acceptedCodes(
        _ values: ValueList, _ slot: Int, _ expression: BoundExpression, _ wantsFalse: Bool,
        _ context: QueryContext
    ) throws(QueryError) -> [Bool] {
        var accepted: [Bool] = []
        accepted.reserveCapacity(values.count + 1)
        let wanted: UInt64 = wantsFalse ? 0 : 1
        func take(_ column: Vector) throws(QueryError) {
            var columns = [Vector](
                repeating: Vector(Constant(nullOf: .string), count: column.count), count: slot)
            columns.append(column)
            var frame = Frame(count: column.count, columns: columns)
            frame.context = context
            let result = try expression.evaluate(frame)
            for row in 0..<column.count {
                accepted.append(result.isValid(row) && result.slot(row) == wanted)
            }
        }
        try take(Vector(Constant(nullOf: .string), count: 1))
        var start = 0
        while start < values.count {
            try context.check()
            let end = min(values.count, start + 4_096)
            var builder = VectorBuilder(.string, capacity: end - start)
            for code in start..<end { builder.append(raw: values[code]) }
            try take(builder.finish())
            start = end
        }
        return accepted
    }
}
