// LIKE and ILIKE: `%` is any run of characters, `_` any one, a backslash takes the next literally.
//
// Matching runs over UTF-8 bytes, in time proportional to text × pattern at worst, without
// recursion. Most patterns are one of four plain shapes that need no pattern machine.

package struct LikePattern: Hashable, Sendable {
    /// The shapes that are found without the general matcher; the bytes are literal.
    package enum Shape: Hashable, Sendable {
        case equals([UInt8])
        case prefix([UInt8])
        case suffix([UInt8])
        case contains([UInt8])
        case everything
        case general
    }

    private enum Element: Hashable, Sendable {
        case literal(UInt8)
        case one
        case many
    }

    /// Folded to lower case if `ignoresCase`.
    package let shape: Shape
    package let ignoresCase: Bool
    private let elements: [Element]

    /// Compiles a pattern.
    ///
    /// - Parameter escape: The character that takes the next one literally; nil for none.
    /// - Throws: `semantic` if the pattern ends in the escape character.
    package init(
        _ pattern: String, ignoresCase: Bool, escape: Unicode.Scalar? = "\\"
    ) throws(QueryError) {
        var elements: [Element] = []
        var isEscaped = false
        for scalar in pattern.unicodeScalars {
            if !isEscaped {
                if scalar == escape {
                    isEscaped = true
                    continue
                }
                if scalar == "%" {
                    if elements.last != .many { elements.append(.many) }
                    continue
                }
                if scalar == "_" {
                    elements.append(.one)
                    continue
                }
            }
            isEscaped = false
            let folded = ignoresCase ? CaseFolding.folded(scalar) : scalar
            elements += String(Character(folded)).utf8.map { .literal($0) }
        }
        guard !isEscaped else {
            throw QueryError(.semantic, "a LIKE pattern cannot end in its escape character")
        }
        self.elements = elements
        self.ignoresCase = ignoresCase
        shape = LikePattern.shape(of: elements)
    }

    private static func shape(of elements: [Element]) -> Shape {
        var inner = elements[...]
        let isOpenLeft = inner.first == .many
        if isOpenLeft { inner.removeFirst() }
        let isOpenRight = inner.last == .many
        if isOpenRight { inner.removeLast() }
        var literal: [UInt8] = []
        for element in inner {
            guard case .literal(let byte) = element else { return .general }
            literal.append(byte)
        }
        if isOpenLeft, literal.isEmpty { return .everything }
        switch (isOpenLeft, isOpenRight) {
        case (false, false): return .equals(literal)
        case (false, true): return .prefix(literal)
        case (true, false): return .suffix(literal)
        case (true, true): return .contains(literal)
        }
    }

    /// Whether the whole text matches. The text is UTF-8.
    package func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard ignoresCase else { return matchesFolded(text) }
        // Folding copies; it is short and only for ILIKE.
        let folded = CaseFolding.folded(text)
        return folded.withUnsafeBufferPointer { matchesFolded($0) }
    }

    package func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { matches($0) }
    }

    private func matchesFolded(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        switch shape {
        case .everything: true
        case .equals(let literal):
            text.count == literal.count && LikePattern.has(literal, in: text, at: 0)
        case .prefix(let literal): LikePattern.has(literal, in: text, at: 0)
        case .suffix(let literal):
            LikePattern.has(literal, in: text, at: text.count - literal.count)
        case .contains(let literal): LikePattern.contains(literal, in: text)
        case .general: matchesGeneral(text)
        }
    }

    // Safe: here and below every index into `text` was compared with `text.count` before.
    private static func has(
        _ literal: [UInt8], in text: UnsafeBufferPointer<UInt8>, at offset: Int
    ) -> Bool {
        guard offset >= 0, offset + literal.count <= text.count else { return false }
        var index = 0
        while index < literal.count {
            if text[offset + index] != literal[index] { return false }
            index += 1
        }
        return true
    }

    private static func contains(
        _ literal: [UInt8], in text: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        guard let first = literal.first else { return true }
        var offset = 0
        let last = text.count - literal.count
        while offset <= last {
            if text[offset] == first, has(literal, in: text, at: offset) { return true }
            offset += 1
        }
        return false
    }

    /// Greedy with one point to come back to: the last `%` seen, and how far it had eaten.
    private func matchesGeneral(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        var position = 0
        var index = 0
        var manyIndex = -1
        var manyPosition = 0
        while position < text.count {
            if index < elements.count {
                switch elements[index] {
                case .many:
                    manyIndex = index
                    manyPosition = position
                    index += 1
                    continue
                case .one:
                    position = LikePattern.next(text, position)
                    index += 1
                    continue
                case .literal(let byte) where byte == text[position]:
                    position += 1
                    index += 1
                    continue
                case .literal: break
                }
            }
            guard manyIndex >= 0 else { return false }
            manyPosition = LikePattern.next(text, manyPosition)
            position = manyPosition
            index = manyIndex + 1
        }
        while index < elements.count, elements[index] == .many { index += 1 }
        return index == elements.count
    }

    /// The offset behind the character that begins at `position`.
    private static func next(_ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> Int {
        var position = position + 1
        while position < text.count, text[position] & 0xC0 == 0x80 { position += 1 }
        return position
    }
}
