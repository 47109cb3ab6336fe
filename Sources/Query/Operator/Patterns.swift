// LIKE and the regular expressions over vectors. A constant pattern is compiled once a call; over
// the values of a tag that is once a query.

internal import ApusStorage

func likeVector(
    _ operand: Vector, _ pattern: Vector, _ escape: Vector?, ignoresCase: Bool, negated: Bool,
    _ context: QueryContext?, at position: SourcePosition
) throws(QueryError) -> Vector {
    var escapeScalar: Unicode.Scalar? = "\\"
    if let escape, escape.count > 0, escape.isValid(0) {
        let scalars = String(decoding: escape.byteArray(0), as: UTF8.self).unicodeScalars
        guard scalars.count <= 1 else {
            throw QueryError(.semantic, "ESCAPE takes one character", at: position)
        }
        escapeScalar = scalars.first
    }
    return try patternVector(operand, pattern, negated: negated, context) {
        text throws(QueryError) in
        try placing(at: position) { () throws(QueryError) in
            try LikePattern(text, ignoresCase: ignoresCase, escape: escapeScalar)
        }
    } matches: {
        $0.matches($1)
    }
}

func matchVector(
    _ operand: Vector, _ pattern: Vector, ignoresCase: Bool, negated: Bool,
    _ context: QueryContext?, at position: SourcePosition
) throws(QueryError) -> Vector {
    try patternVector(operand, pattern, negated: negated, context) {
        text throws(QueryError) in
        try compiledRegex(text, ignoresCase: ignoresCase, at: position)
    } matches: {
        $0.matches($1)
    }
}

/// A regular expression; its errors stand at the position.
func compiledRegex(
    _ text: String, ignoresCase: Bool, at position: SourcePosition
) throws(QueryError) -> RegexPattern {
    try placing(at: position) { () throws(QueryError) in
        try RegexPattern(text, ignoresCase: ignoresCase)
    }
}

/// Says where an error arose, unless it says so itself.
private func placing<T>(
    at position: SourcePosition, _ body: () throws(QueryError) -> T
) throws(QueryError) -> T {
    do throws(QueryError) {
        return try body()
    } catch {
        var placed = error
        placed.line = placed.line ?? position.line
        placed.column = placed.column ?? position.column
        throw placed
    }
}

/// A match may take a microsecond a byte: so much text is matched between two looks at the clock.
let bytesPerCheck = 64 << 10

private func patternVector<Pattern>(
    _ operand: Vector, _ pattern: Vector, negated: Bool, _ context: QueryContext?,
    _ compile: (String) throws(QueryError) -> Pattern,
    // Safe: the text is lent for the match.
    matches: (Pattern, UnsafeBufferPointer<UInt8>) -> Bool
) throws(QueryError) -> Vector {
    let isConstant = operand.isConstant && pattern.isConstant
    let slots = isConstant ? 1 : operand.count
    var values = [UInt64](repeating: 0, count: slots)
    let validity = combinedValidity(operand, pattern, slots)
    var compiled: (text: [UInt8], pattern: Pattern)?
    var uncheckedBytes = 0
    for row in 0..<slots where validity.isEmpty || validity[row] != 0 {
        if compiled == nil || !pattern.isConstant {
            let text = pattern.byteArray(row)
            if compiled?.text != text {
                compiled = (text, try compile(String(decoding: text, as: UTF8.self)))
            }
        }
        guard let compiled else { continue }
        let holds = operand.withBytes(row) {
            uncheckedBytes += $0.count
            return matches(compiled.pattern, $0.bindMemory(to: UInt8.self))
        }
        if uncheckedBytes >= bytesPerCheck {
            uncheckedBytes = 0
            try context?.check()
        }
        values[row] = holds != negated ? 1 : 0
    }
    return Vector(
        type: .bool, count: operand.count, isConstant: isConstant, values: values,
        validity: validity)
}
