// The part of WHERE that only touches tags, answered from the series index: each leaf is evaluated
// once over the distinct values of its tag, and the leaves' series sets are combined.
//
// A leaf is the set of series for which its expression is TRUE (or FALSE, below a NOT): so NULLs
// fall out by themselves, and NOT never has to complement a set.

internal import ApusStorage
internal import Synchronization

indirect enum SeriesPredicate {
    /// A condition on one tag.
    struct Leaf: Hashable {
        var tag: Int
        /// Over the tag as column 0.
        var expression: BoundExpression
        var wantsFalse: Bool
    }

    case leaf(Leaf)
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
        self = .leaf(
            Leaf(tag: tag, expression: expression.withColumn(slot, as: 0), wantsFalse: negated))
    }

    /// The series that satisfy the predicate: what is cheap first, and what is not only for what is left.
    ///
    /// - Throws: besides what the expressions say, `cancelled` or `timeout`: a tag may have millions
    ///   of values.
    func select(
        _ table: TableEntry, _ cache: PredicateCache, _ context: QueryContext
    ) throws(QueryError) -> SeriesSet {
        let search = SeriesSearch(
            table: table, snapshot: table.seriesSnapshot, cache: cache, context: context)
        var series = try search.select(self)
        if let dropped = search.snapshot.dropped { series.subtract(dropped) }
        return series
    }
}

/// One look at a table's series.
private struct SeriesSearch {
    /// So many series are tested one by one rather than all values of a tag.
    private static let candidatesMax = 4_096

    let table: TableEntry
    let snapshot: SeriesSnapshot
    let cache: PredicateCache
    let context: QueryContext

    func select(_ predicate: SeriesPredicate) throws(QueryError) -> SeriesSet {
        switch predicate {
        case .leaf(let leaf): return try select(leaf)
        case .or(let parts):
            var result = try select(parts[0])
            for part in parts.dropFirst() { result.formUnion(try select(part)) }
            return result
        case .and(let parts):
            var result: SeriesSet?
            for part in inOrderOfCost(parts) {
                guard var known = result else {
                    result = try select(part)
                    continue
                }
                if known.isEmpty { break }
                if case .leaf(let leaf) = part, leaf.values == nil,
                    let narrowed = try narrow(known, leaf)
                {
                    result = narrowed
                } else {
                    known.formIntersection(try select(part))
                    result = known
                }
            }
            return result ?? SeriesSet(all: snapshot.count)
        }
    }

    /// Equality is looked up; what is cached is there; the rest takes a look at each value.
    private func inOrderOfCost(_ parts: [SeriesPredicate]) -> [SeriesPredicate] {
        func cost(_ part: SeriesPredicate) -> Int {
            guard case .leaf(let leaf) = part else { return 2 }
            if let values = leaf.values { return values.isNegated ? 1 : 0 }
            return cache.has(leaf, of: table) ? 1 : 3
        }
        let costs = parts.map(cost)
        return parts.indices.sorted { (costs[$0], $0) < (costs[$1], $1) }.map { parts[$0] }
    }

    private func select(_ leaf: SeriesPredicate.Leaf) throws(QueryError) -> SeriesSet {
        let column = snapshot.tag(leaf.tag)
        if let values = leaf.values {
            let codes = table.series.withLock { index in
                values.texts.compactMap { index.code(of: $0, tag: leaf.tag) }
            }
            let known = codes.filter { $0 < column.values.count }
            guard values.isNegated else {
                return column.select(codes: known, capacity: snapshot.count)
            }
            var result = SeriesSet(capacity: snapshot.count)
            guard !values.hasNull else { return result }
            var accepted = CodeSet(count: column.values.count + 1)
            accepted.insert(1..<accepted.count)
            for code in known { accepted.remove(Int(code) + 1) }
            column.select(accepted, from: 0, into: &result)
            return result
        }
        var found = cache.find(leaf, of: table) ?? PredicateCache.Answer()
        let decided = found.codes.count
        if decided < column.values.count + 1 {
            try decide(leaf, column.values, into: &found.codes)
        }
        if found.series.capacity < snapshot.count {
            let known = found.series.capacity
            found.series.resize(to: snapshot.count)
            column.select(found.codes, from: known, into: &found.series)
            cache.store(found, for: leaf, of: table)
        }
        if found.series.capacity > snapshot.count { found.series.resize(to: snapshot.count) }
        return found.series
    }

    /// Decides for the values that came since.
    private func decide(
        _ leaf: SeriesPredicate.Leaf, _ values: ValueList, into codes: inout CodeSet
    ) throws(QueryError) {
        if codes.count == 0 {
            let absent = Vector(Constant(nullOf: .string), count: 1)
            codes.grow(to: 1)
            if try leaf.evaluate(absent, context).first ?? false { codes.insert(0) }
        }
        let first = codes.count
        codes.grow(to: values.count + 1)
        let test = ValueTest(leaf.expression)
        let wanted: UInt8 = leaf.wantsFalse ? 0 : 1
        var flags = [UInt8](repeating: 0, count: 1_024)
        try values.forEachRun(from: first - 1) { run throws(QueryError) in
            try context.check()
            if let test {
                // Safe: a run has 1,024 values at most.
                try flags.withUnsafeMutableBufferPointer { flags throws(QueryError) in
                    try test.mark(run, .init(rebasing: flags[0..<run.count]), context)
                }
                for index in 0..<run.count where flags[index] == wanted {
                    codes.insert(run.firstCode + index + 1)
                }
            } else {
                var builder = VectorBuilder(.string, capacity: run.count)
                for index in 0..<run.count { builder.append(raw: run[index]) }
                let holds = try leaf.evaluate(builder.finish(), context)
                for index in 0..<run.count where holds[index] {
                    codes.insert(run.firstCode + index + 1)
                }
            }
        }
    }

    /// The members that satisfy a leaf too, if they are few and the leaf's answer isn't there.
    private func narrow(
        _ known: SeriesSet, _ leaf: SeriesPredicate.Leaf
    ) throws(QueryError) -> SeriesSet? {
        let column = snapshot.tag(leaf.tag)
        guard column.values.count > Self.candidatesMax, !cache.has(leaf, of: table),
            known.count <= Self.candidatesMax
        else { return nil }
        var ids: [UInt32] = []
        known.forEach { ids.append($0) }
        var builder = VectorBuilder(.string, capacity: ids.count)
        for id in ids {
            if let value = column.value(of: id) {
                builder.append(raw: value)
            } else {
                builder.appendNull()
            }
        }
        let holds = try leaf.evaluate(builder.finish(), context)
        var result = known
        for (id, holds) in zip(ids, holds) where !holds { result.remove(id) }
        return result
    }
}

extension SeriesPredicate.Leaf {
    /// The texts that `=`, `!=`, `IN` and `NOT IN` compare the tag with.
    struct Values {
        var texts: [[UInt8]]
        /// Series with other values are wanted.
        var isNegated: Bool
        /// One is NULL: no series has another value for sure.
        var hasNull: Bool
    }

    var values: Values? {
        let constants: [BoundExpression]
        let isNegated: Bool
        switch expression.kind {
        case .compare(let op, let left, let right) where op == .equal || op == .notEqual:
            if case .column = left.kind {
                constants = [right]
            } else if case .column = right.kind {
                constants = [left]
            } else {
                return nil
            }
            isNegated = op == .notEqual
        case .inList(let operand, let list, let negated):
            guard case .column = operand.kind else { return nil }
            constants = list
            isNegated = negated
        case .inSet(let operand, let set, let negated):
            guard case .column = operand.kind else { return nil }
            return Values(
                texts: Array(set.texts), isNegated: negated != wantsFalse, hasNull: set.hasNull)
        default: return nil
        }
        var result = Values(texts: [], isNegated: isNegated != wantsFalse, hasNull: false)
        for item in constants {
            guard let constant = item.constant else { return nil }
            if constant.isNull {
                result.hasNull = true
            } else {
                result.texts.append(constant.bytes)
            }
        }
        return result
    }

    /// Of each value whether the leaf wants it.
    func evaluate(
        _ values: Vector, _ context: QueryContext
    ) throws(QueryError) -> [Bool] {
        var frame = Frame(count: values.count, columns: [values])
        frame.context = context
        let result = try expression.evaluate(frame)
        let wanted: UInt64 = wantsFalse ? 0 : 1
        return (0..<values.count).map { result.isValid($0) && result.slot($0) == wanted }
    }
}
