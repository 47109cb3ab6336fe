// What a regular expression asks for where that takes no engine: a literal anywhere, at the beginning or
// at the end, or one of several; and, where it does take one, a literal that every match contains.
//
// Only what is plainly so is recognised; everything else is the engine's.

package enum RegexShape: Hashable, Sendable {
    /// It matches what one of these matches.
    case anyOf([LikePattern.Shape])
    /// The engine decides among the texts that contain the literal, which may be empty.
    case engine(required: [UInt8])

    /// The shape of a pattern in RE2's syntax that distinguishes case.
    package init(_ pattern: String) {
        let bytes = Array(pattern.utf8)
        self = Self.plain(bytes).map { .anyOf($0) } ?? .engine(required: Self.required(bytes))
    }

    // MARK: Plain ones

    /// `a|^b|c$`, or `^(a|b)$` with or without its anchors.
    private static func plain(_ bytes: [UInt8]) -> [LikePattern.Shape]? {
        var inner = bytes[...]
        let isAtStart = inner.first == UInt8(ascii: "^")
        if isAtStart { inner.removeFirst() }
        let isAtEnd = inner.last == UInt8(ascii: "$")
        if isAtEnd { inner.removeLast() }
        if inner.first == UInt8(ascii: "("), inner.last == UInt8(ascii: ")") {
            inner.removeFirst()
            if inner.starts(with: Array("?:".utf8)) { inner.removeFirst(2) }
            inner.removeLast()
            return shapes(inner) { literal($0).map { shape($0, isAtStart, isAtEnd) } }
        }
        return shapes(bytes[...], alternative)
    }

    private static func shapes(
        _ bytes: ArraySlice<UInt8>, _ shape: (ArraySlice<UInt8>) -> LikePattern.Shape?
    ) -> [LikePattern.Shape]? {
        var shapes: [LikePattern.Shape] = []
        // An escaped bar leaves a backslash at the end of a part, which is no literal.
        for part in bytes.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false) {
            guard let shape = shape(part) else { return nil }
            shapes.append(shape)
        }
        return shapes
    }

    private static func alternative(_ bytes: ArraySlice<UInt8>) -> LikePattern.Shape? {
        var inner = bytes
        let isAtStart = inner.first == UInt8(ascii: "^")
        if isAtStart { inner.removeFirst() }
        let isAtEnd = inner.last == UInt8(ascii: "$")
        if isAtEnd { inner.removeLast() }
        // What may be anything asks for nothing where the match may begin or end anywhere.
        let anything = Array(".*".utf8)
        if !isAtStart, inner.starts(with: anything) { inner.removeFirst(2) }
        if !isAtEnd, inner.count >= 2, inner.suffix(2).elementsEqual(anything),
            inner.dropLast(2).last != UInt8(ascii: "\\")
        {
            inner.removeLast(2)
        }
        return literal(inner).map { shape($0, isAtStart, isAtEnd) }
    }

    private static func shape(
        _ literal: [UInt8], _ isAtStart: Bool, _ isAtEnd: Bool
    ) -> LikePattern.Shape {
        switch (isAtStart, isAtEnd) {
        case (true, true): .equals(literal)
        case (true, false): literal.isEmpty ? .everything : .prefix(literal)
        case (false, true): literal.isEmpty ? .everything : .suffix(literal)
        case (false, false): literal.isEmpty ? .everything : .contains(literal)
        }
    }

    /// The bytes that a pattern without operators stands for.
    private static func literal(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
        var literal: [UInt8] = []
        var isEscaped = false
        for byte in bytes {
            if isEscaped {
                guard isPunctuation(byte) else { return nil }
                literal.append(byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if isOperator(byte) {
                return nil
            } else {
                literal.append(byte)
            }
        }
        return isEscaped ? nil : literal
    }

    private static func isOperator(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "*"), UInt8(ascii: "?"),
            UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "|"), UInt8(ascii: "["),
            UInt8(ascii: "]"), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "^"),
            UInt8(ascii: "$"), UInt8(ascii: "\\"):
            true
        default: false
        }
    }

    private static func isPunctuation(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
        default: false
        }
    }

    // MARK: Others

    /// The longest literal that a pattern without bars and groups contains at its outermost level; empty
    /// if it has such.
    private static func required(_ bytes: [UInt8]) -> [UInt8] {
        var best: [UInt8] = []
        var run: [UInt8] = []
        var index = 0
        func end() {
            if run.count > best.count { best = run }
            run = []
        }
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "|"): return []
            case UInt8(ascii: "["):
                end()
                guard let behind = endOfClass(bytes, index) else { return [] }
                index = behind
            case UInt8(ascii: "*"), UInt8(ascii: "?"), UInt8(ascii: "{"):
                // The character before may be missing, all of its bytes.
                while let last = run.popLast(), last & 0xC0 == 0x80 {}
                end()
                if byte == UInt8(ascii: "{") {
                    guard let close = bytes[index...].firstIndex(of: UInt8(ascii: "}")) else {
                        return []
                    }
                    index = close + 1
                }
            case UInt8(ascii: "\\"):
                guard index < bytes.count else { return [] }
                if isPunctuation(bytes[index]) {
                    run.append(bytes[index])
                } else if Array("dDwWsSbB".utf8).contains(bytes[index]) {
                    end()
                } else {
                    return []
                }
                index += 1
            case UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "^"), UInt8(ascii: "$"): end()
            default: run.append(byte)
            }
        }
        end()
        return best
    }

    /// The index behind the bracket that closes a class.
    private static func endOfClass(_ bytes: [UInt8], _ start: Int) -> Int? {
        var index = start
        if index < bytes.count, bytes[index] == UInt8(ascii: "^") { index += 1 }
        // A closing bracket that stands first is a member.
        if index < bytes.count, bytes[index] == UInt8(ascii: "]") { index += 1 }
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "]"): return index + 1
            case UInt8(ascii: "\\"): index += 2
            case UInt8(ascii: "["):
                // A named class inside, as in [[:digit:]_].
                guard index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: ":") else {
                    index += 1
                    continue
                }
                guard let close = bytes[(index + 2)...].firstIndex(of: UInt8(ascii: "]")) else {
                    return nil
                }
                index = close + 1
            default: index += 1
            }
        }
        return nil
    }
}
