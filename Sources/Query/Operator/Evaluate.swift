// Evaluates a bound expression over a frame, a whole vector at a time.

internal import ApusStorage

extension BoundExpression {
    /// The expression's value for every row of the frame.
    ///
    /// - Throws: `semantic` where an active row leaves the range of a type or a text can't be cast.
    package func evaluate(_ frame: Frame) throws(QueryError) -> Vector {
        switch kind {
        case .constant(let constant): return Vector(constant, count: frame.count)
        case .column(let index): return frame.columns[index]
        case .aggregate, .gapFilled, .windowValue:
            preconditionFailure("BUG: an aggregate was not replaced")
        case .not(let operand): return notVector(try operand.evaluate(frame))
        case .and(let operands):
            var result = try operands[0].evaluate(frame)
            for operand in operands.dropFirst() {
                if result.isConstant, result.isValid(0), result.values[0] == 0 { return result }
                result = andVectors(result, try operand.evaluate(frame))
            }
            return result
        case .or(let operands):
            var result = try operands[0].evaluate(frame)
            for operand in operands.dropFirst() {
                if result.isConstant, result.isValid(0), result.values[0] == 1 { return result }
                result = orVectors(result, try operand.evaluate(frame))
            }
            return result
        case .compare(let op, let left, let right):
            return compareVectors(op, try left.evaluate(frame), try right.evaluate(frame))
        case .isDistinct(let left, let right, let negated):
            return distinctVectors(
                try left.evaluate(frame), try right.evaluate(frame), negated: negated)
        case .isTest(let operand, let test, let negated):
            return isTestVector(try operand.evaluate(frame), test, negated: negated)
        case .arithmetic(let op, let left, let right):
            return try arithmeticVectors(
                op, try left.evaluate(frame), try right.evaluate(frame), type, frame, at: position)
        case .negate(let operand):
            return try negateVector(try operand.evaluate(frame), frame, at: position)
        case .inList(let operand, let list, let negated):
            return inVectors(
                try operand.evaluate(frame), try evaluateAll(list, frame), negated: negated)
        case .inSet(let operand, let set, let negated):
            return set.contains(try operand.evaluate(frame), negated: negated)
        case .caseWhen(let branches, let otherwise):
            return try evaluateCase(branches, otherwise, frame)
        case .coalesce(let list): return try evaluateCoalesce(list, frame)
        default: return try evaluateFunction(frame)
        }
    }

    private func evaluateFunction(_ frame: Frame) throws(QueryError) -> Vector {
        switch kind {
        case .timeArithmetic(let op, let left, let right, let zone):
            return try timeArithmetic(
                op, try left.evaluate(frame), try right.evaluate(frame), zone.rules, frame,
                at: position)
        case .like(let operand, let pattern, let escape, let ignoresCase, let negated):
            return try likeVector(
                try operand.evaluate(frame), try pattern.evaluate(frame),
                try escape?.evaluate(frame), ignoresCase: ignoresCase, negated: negated,
                frame.context, at: position)
        case .matches(let operand, let pattern, let ignoresCase, let negated):
            return try matchVector(
                try operand.evaluate(frame), try pattern.evaluate(frame), ignoresCase: ignoresCase,
                negated: negated, frame.context, at: pattern.position)
        case .call(let function, let arguments):
            return try callVector(
                function, try evaluateAll(arguments, frame), type, frame, at: position)
        case .cast(let operand, let zone):
            return try castVector(
                try operand.evaluate(frame), to: type, zone.rules, frame, at: position)
        case .bucket(let rule, let operand):
            return rule.apply(try operand.evaluate(frame))
        case .extract(let part, let operand, let zone):
            return part.apply(try operand.evaluate(frame), zone.rules)
        case .atTimeZone(let operand, let zone):
            return try atTimeZoneVector(
                try operand.evaluate(frame), try zone.evaluate(frame), to: type)
        default: preconditionFailure("BUG: an expression without an evaluation")
        }
    }

    private func evaluateCase(
        _ branches: [BoundBranch], _ otherwise: BoundExpression?, _ frame: Frame
    ) throws(QueryError) -> Vector {
        var remaining = [UInt8](repeating: 1, count: frame.count)
        var remainingCount = frame.count
        // Which branch each row takes; the last is ELSE, beyond it NULL.
        var choice = [Int](repeating: branches.count, count: frame.count)
        var results: [Vector?] = []
        for (index, branch) in branches.enumerated() {
            guard remainingCount > 0 else { break }
            let condition = try branch.condition.evaluate(frame.narrowed(remaining))
            let (mask, count) = trueMask(condition)
            guard count > 0 else { results.append(nil); continue }
            var taken = mask
            var takenCount = 0
            for row in 0..<frame.count {
                taken[row] &= remaining[row]
                if taken[row] != 0 {
                    choice[row] = index
                    remaining[row] = 0
                    takenCount += 1
                }
            }
            remainingCount -= takenCount
            results.append(
                takenCount > 0 ? try branch.result.evaluate(frame.narrowed(taken)) : nil)
        }
        while results.count < branches.count { results.append(nil) }
        var last: Vector?
        if remainingCount > 0, let otherwise {
            last = try otherwise.evaluate(frame.narrowed(remaining))
        }
        results.append(last)
        var builder = VectorBuilder(type, capacity: frame.count)
        for row in 0..<frame.count { builder.append(row, of: results[choice[row]]) }
        return builder.finish()
    }

    private func evaluateCoalesce(
        _ list: [BoundExpression], _ frame: Frame
    ) throws(QueryError) -> Vector {
        var vectors: [Vector] = []
        for item in list {
            let vector = try item.evaluate(frame)
            if vectors.isEmpty, vector.validity.isEmpty { return vector }
            vectors.append(vector)
            if vector.validity.isEmpty { break }
        }
        var builder = VectorBuilder(type, capacity: frame.count)
        for row in 0..<frame.count {
            builder.append(row, of: vectors.first { $0.isValid(row) })
        }
        return builder.finish()
    }
}

func evaluateAll(_ list: [BoundExpression], _ frame: Frame) throws(QueryError) -> [Vector] {
    var vectors: [Vector] = []
    vectors.reserveCapacity(list.count)
    for item in list { vectors.append(try item.evaluate(frame)) }
    return vectors
}

extension VectorBuilder {
    /// Appends a row of a vector, or NULL for none.
    mutating func append(_ row: Int, of vector: Vector?) {
        guard let vector, vector.isValid(row) else { return appendNull() }
        if type.usesBytes {
            vector.withBytes(row) { append(raw: $0) }
        } else {
            append(vector.slot(row))
        }
    }
}
