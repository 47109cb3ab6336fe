// A condition on one tag as a test of its values where they lie: without vectors, and without a machine
// for patterns where the search for a literal says the same.

internal import ApusStorage

/// What an expression over one tag says of a value, which is never NULL: true or false.
indirect enum ValueTest {
    case shape(LikePattern.Shape)
    case like(LikePattern)
    case regex(RegexPattern, required: [UInt8])
    case compare(ComparisonOperator, [UInt8])
    case oneOf(Set<[UInt8]>)
    case constant(Bool)
    case not(ValueTest)
    case all([ValueTest])
    case any([ValueTest])

    /// Nil where only the expression itself knows, or where it is faulty.
    init?(_ expression: BoundExpression) {
        switch expression.kind {
        case .not(let inner):
            guard let inner = ValueTest(inner) else { return nil }
            self = .not(inner)
        case .and(let list):
            guard let parts = Self.tests(list) else { return nil }
            self = .all(parts)
        case .or(let list):
            guard let parts = Self.tests(list) else { return nil }
            self = .any(parts)
        case .compare(let op, let left, let right):
            if case .column = left.kind, let bytes = Self.text(right) {
                self = .compare(op, bytes)
            } else if case .column = right.kind, let bytes = Self.text(left) {
                self = .compare(op.flipped, bytes)
            } else {
                return nil
            }
        case .inList(let operand, let list, let negated):
            guard case .column = operand.kind else { return nil }
            var values: Set<[UInt8]> = []
            for item in list {
                guard let bytes = Self.text(item) else { return nil }
                values.insert(bytes)
            }
            self = negated ? .not(.among(values)) : .among(values)
        case .inSet(let operand, let set, let negated):
            guard case .column = operand.kind, !set.hasNull else { return nil }
            self = negated ? .not(.among(set.texts)) : .among(set.texts)
        case .isTest(let operand, .null, let negated):
            guard case .column = operand.kind else { return nil }
            self = .constant(negated)
        case .like(let operand, let pattern, nil, let ignoresCase, let negated):
            guard case .column = operand.kind, let text = Self.text(pattern),
                let pattern = try? LikePattern(
                    String(decoding: text, as: UTF8.self), ignoresCase: ignoresCase)
            else { return nil }
            let isPlain = !ignoresCase && pattern.shape != .general
            let test = isPlain ? ValueTest.shape(pattern.shape) : .like(pattern)
            self = negated ? .not(test) : test
        case .matches(let operand, let pattern, let ignoresCase, let negated):
            guard case .column = operand.kind, let text = Self.text(pattern),
                let test = Self.regex(String(decoding: text, as: UTF8.self), ignoresCase)
            else { return nil }
            self = negated ? .not(test) : test
        default: return nil
        }
    }

    private static func regex(_ text: String, _ ignoresCase: Bool) -> ValueTest? {
        // Compiled in any case: what the engine refuses is an error.
        guard let pattern = try? RegexPattern(text, ignoresCase: ignoresCase) else { return nil }
        if ignoresCase { return .regex(pattern, required: []) }
        switch RegexShape(text) {
        case .engine(let required): return .regex(pattern, required: required)
        case .anyOf(let shapes):
            let literals = shapes.compactMap { shape in
                if case .equals(let literal) = shape { literal } else { nil }
            }
            if literals.count == shapes.count { return among(Set(literals)) }
            return shapes.count == 1 ? .shape(shapes[0]) : .any(shapes.map { .shape($0) })
        }
    }

    /// A few are compared one by one; for more a key is made of each value.
    private static func among(_ values: Set<[UInt8]>) -> ValueTest {
        if values.count == 1, let only = values.first { return .shape(.equals(only)) }
        return values.count <= 8 ? .any(values.map { .shape(.equals($0)) }) : .oneOf(values)
    }

    private static func tests(_ list: [BoundExpression]) -> [ValueTest]? {
        var tests: [ValueTest] = []
        for item in list {
            guard let test = ValueTest(item) else { return nil }
            tests.append(test)
        }
        return tests
    }

    private static func text(_ expression: BoundExpression) -> [UInt8]? {
        guard let constant = expression.constant, !constant.isNull, constant.type == .string else {
            return nil
        }
        return constant.bytes
    }
}

extension ValueTest {
    /// Sets each value's flag to whether the test holds.
    ///
    /// - Throws: `cancelled` or `timeout`.
    func mark(
        _ run: ValueRun, _ flags: UnsafeMutableBufferPointer<UInt8>, _ context: QueryContext
    ) throws(QueryError) {
        switch self {
        case .constant(let holds): fill(run, flags) { _ in holds }
        case .compare(let op, let bytes):
            bytes.withUnsafeBytes { constant in
                fill(run, flags) { op.accepts(compareBytes($0, constant)) }
            }
        case .oneOf(let values): fill(run, flags) { values.contains(Array($0)) }
        case .like(let pattern):
            fill(run, flags) { pattern.matches($0.bindMemory(to: UInt8.self)) }
        case .shape(let shape): mark(shape, run, flags)
        case .regex(let pattern, let required):
            try mark(pattern, required, run, flags, context)
        case .not(let inner):
            try inner.mark(run, flags, context)
            for index in 0..<run.count { flags[index] ^= 1 }
        case .all(let parts): try combine(parts, run, flags, context) { $0 & $1 }
        case .any(let parts): try combine(parts, run, flags, context) { $0 | $1 }
        }
    }

    @inline(__always)
    private func fill(
        _ run: ValueRun, _ flags: UnsafeMutableBufferPointer<UInt8>,
        // Safe: the value is lent for the call.
        _ holds: (UnsafeRawBufferPointer) -> Bool
    ) {
        for index in 0..<run.count { flags[index] = holds(run[index]) ? 1 : 0 }
    }

    private func mark(
        _ shape: LikePattern.Shape, _ run: ValueRun, _ flags: UnsafeMutableBufferPointer<UInt8>
    ) {
        switch shape {
        case .everything, .general: fill(run, flags) { _ in true }
        case .equals(let literal):
            fill(run, flags) { $0.count == literal.count && $0.starts(with: literal) }
        case .prefix(let literal):
            literal.withUnsafeBytes { literal in
                fill(run, flags) {
                    $0.count >= literal.count
                        && compareBytes(.init(rebasing: $0[0..<literal.count]), literal) == 0
                }
            }
        case .suffix(let literal):
            literal.withUnsafeBytes { literal in
                fill(run, flags) {
                    $0.count >= literal.count
                        && compareBytes(
                            .init(rebasing: $0[($0.count - literal.count)...]), literal) == 0
                }
            }
        case .contains(let literal):
            flags.update(repeating: 0)
            run.markContaining(literal, in: flags)
        }
    }

    private func mark(
        _ pattern: RegexPattern, _ required: [UInt8], _ run: ValueRun,
        _ flags: UnsafeMutableBufferPointer<UInt8>, _ context: QueryContext
    ) throws(QueryError) {
        if required.isEmpty {
            flags.update(repeating: 1)
        } else {
            flags.update(repeating: 0)
            run.markContaining(required, in: flags)
        }
        var uncheckedBytes = 0
        for index in 0..<run.count where flags[index] != 0 {
            let value = run[index]
            flags[index] = pattern.matches(value.bindMemory(to: UInt8.self)) ? 1 : 0
            uncheckedBytes += value.count
            if uncheckedBytes >= bytesPerCheck {
                uncheckedBytes = 0
                try context.check()
            }
        }
    }

    private func combine(
        _ parts: [ValueTest], _ run: ValueRun, _ flags: UnsafeMutableBufferPointer<UInt8>,
        _ context: QueryContext, _ merge: (UInt8, UInt8) -> UInt8
    ) throws(QueryError) {
        guard let first = parts.first else { return }
        try first.mark(run, flags, context)
        var other = [UInt8](repeating: 0, count: run.count)
        for part in parts.dropFirst() {
            try other.withUnsafeMutableBufferPointer { other throws(QueryError) in
                try part.mark(run, other, context)
                for index in 0..<run.count { flags[index] = merge(flags[index], other[index]) }
            }
        }
    }
}
