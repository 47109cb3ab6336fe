// Conditions on tags as a person would evaluate them: a series at a time, with SQL's three truths.

import ApusTestKit

typealias TagSet = [String: String]

/// A regular expression that says which ends of matches there are.
indirect enum SlowRegex {
    case literal(Character)
    case any
    case among([Character], negated: Bool)
    case repeated(SlowRegex, min: Int, max: Int?)
    case sequence([SlowRegex])
    case oneOf([SlowRegex])
    case start
    case end

    var text: String {
        switch self {
        case .literal(let character):
            ".%|*+?()[]{}^$\\".contains(character) ? "\\\(character)" : "\(character)"
        case .any: "."
        case .among(let members, let negated): "[\(negated ? "^" : "")\(String(members))]"
        case .repeated(let inner, 0, nil): "\(inner.text)*"
        case .repeated(let inner, 1, nil): "\(inner.text)+"
        case .repeated(let inner, _, _): "\(inner.text)?"
        case .sequence(let parts): parts.map(\.text).joined()
        case .oneOf(let parts): "(" + parts.map(\.text).joined(separator: "|") + ")"
        case .start: "^"
        case .end: "$"
        }
    }

    /// Where matches can end that begin at some places: bit n stands for the place before character n.
    private func ends(_ text: [Character], _ starts: UInt64) -> UInt64 {
        switch self {
        case .literal(let wanted): step(text, starts) { $0 == wanted }
        case .any: step(text, starts) { $0 != "\n" }
        case .among(let members, let negated):
            step(text, starts) { members.contains($0) != negated }
        case .sequence(let parts): parts.reduce(starts) { $1.ends(text, $0) }
        case .oneOf(let parts): parts.reduce(0) { $0 | $1.ends(text, starts) }
        case .start: starts & 1
        case .end: starts & 1 << UInt64(text.count)
        case .repeated(let inner, let min, let max):
            repeated(inner, min, max ?? text.count + 1, text, starts)
        }
    }

    private func step(
        _ text: [Character], _ starts: UInt64, _ holds: (Character) -> Bool
    ) -> UInt64 {
        var ends: UInt64 = 0
        for place in text.indices where starts >> UInt64(place) & 1 == 1 && holds(text[place]) {
            ends |= 2 << UInt64(place)
        }
        return ends
    }

    private func repeated(
        _ inner: SlowRegex, _ min: Int, _ max: Int, _ text: [Character], _ starts: UInt64
    ) -> UInt64 {
        var current = starts
        var all: UInt64 = min == 0 ? starts : 0
        for count in 1...Swift.max(1, max) where current != 0 {
            current = inner.ends(text, current)
            if count >= min { all |= current }
        }
        return all
    }

    /// - Precondition: The text is shorter than 63 characters.
    func matches(_ text: String) -> Bool {
        let text = Array(text)
        return ends(text, (2 << UInt64(text.count)) - 1) != 0
    }

    static func random(_ random: inout SeededRandom, _ alphabet: [Character]) -> SlowRegex {
        func piece(_ random: inout SeededRandom) -> SlowRegex {
            let atom: SlowRegex =
                switch random.below(8) {
                case 0: .any
                case 1:
                    .among(
                        (0...random.below(2)).map { _ in ["a", "b", "1"][random.below(3)] },
                        negated: random.below(3) == 0)
                default: .literal(alphabet[random.below(alphabet.count)])
                }
            switch random.below(10) {
            case 0: return .repeated(atom, min: 0, max: nil)
            case 1: return .repeated(atom, min: 1, max: nil)
            case 2: return .repeated(atom, min: 0, max: 1)
            default: return atom
            }
        }
        func sequence(_ random: inout SeededRandom) -> SlowRegex {
            .sequence((0..<(1 + random.below(3))).map { _ in piece(&random) })
        }
        var parts = [sequence(&random)]
        if random.below(4) == 0 { parts = [.oneOf([sequence(&random), sequence(&random)])] }
        if random.below(4) == 0 { parts.insert(.repeated(.any, min: 0, max: nil), at: 0) }
        if random.below(4) == 0 { parts.append(.repeated(.any, min: 0, max: nil)) }
        if random.below(3) == 0 { parts.insert(.start, at: 0) }
        if random.below(3) == 0 { parts.append(.end) }
        return .sequence(parts)
    }
}

indirect enum SlowPredicate {
    case compare(tag: String, op: String, String)
    case among(tag: String, [String?], negated: Bool)
    case like(tag: String, String, ignoresCase: Bool, negated: Bool)
    case regex(tag: String, SlowRegex, ignoresCase: Bool, negated: Bool)
    case isNull(tag: String, negated: Bool)
    case not(SlowPredicate)
    case and([SlowPredicate])
    case or([SlowPredicate])

    var sql: String {
        switch self {
        case .compare(let tag, let op, let text): "\(tag) \(op) '\(text)'"
        case .among(let tag, let list, let negated):
            "\(tag) \(negated ? "NOT " : "")IN ("
                + list.map { $0.map { "'\($0)'" } ?? "NULL" }.joined(separator: ", ") + ")"
        case .like(let tag, let pattern, let ignoresCase, let negated):
            "\(tag) \(negated ? "NOT " : "")\(ignoresCase ? "ILIKE" : "LIKE") '\(pattern)'"
        case .regex(let tag, let regex, let ignoresCase, let negated):
            "\(tag) \(negated ? "!" : "")~\(ignoresCase ? "*" : "") '\(regex.text)'"
        case .isNull(let tag, let negated): "\(tag) IS \(negated ? "NOT " : "")NULL"
        case .not(let inner): "NOT (\(inner.sql))"
        case .and(let parts): "(" + parts.map(\.sql).joined(separator: " AND ") + ")"
        case .or(let parts): "(" + parts.map(\.sql).joined(separator: " OR ") + ")"
        }
    }

    /// Nil stands for NULL.
    func holds(_ tags: TagSet) -> Bool? {
        switch self {
        case .compare(let tag, let op, let text):
            return tags[tag].map { value in
                let (left, right) = (Array(value.utf8), Array(text.utf8))
                let isLess = left.lexicographicallyPrecedes(right)
                return switch op {
                case "=": left == right
                case "!=": left != right
                case "<": isLess
                default: !isLess
                }
            }
        case .among(let tag, let list, let negated):
            guard let value = tags[tag] else { return nil }
            if list.contains(value) { return !negated }
            return list.contains(nil) ? nil : negated
        case .like(let tag, let pattern, let ignoresCase, let negated):
            return tags[tag].map { value in
                func folded(_ text: String) -> [Character] {
                    Array(ignoresCase ? text.lowercased() : text)
                }
                return Self.like(folded(value)[...], folded(pattern)[...]) != negated
            }
        case .regex(let tag, let regex, let ignoresCase, let negated):
            // The alphabet of patterns is in small letters.
            return tags[tag].map {
                regex.matches(ignoresCase ? $0.lowercased() : $0) != negated
            }
        case .isNull(let tag, let negated): return (tags[tag] == nil) != negated
        case .not(let inner): return inner.holds(tags).map { !$0 }
        case .and(let parts):
            let found = parts.map { $0.holds(tags) }
            return found.contains(false) ? false : found.contains(nil) ? nil : true
        case .or(let parts):
            let found = parts.map { $0.holds(tags) }
            return found.contains(true) ? true : found.contains(nil) ? nil : false
        }
    }

    private static func like(_ text: ArraySlice<Character>, _ pattern: ArraySlice<Character>)
        -> Bool
    {
        guard let first = pattern.first else { return text.isEmpty }
        let rest = pattern.dropFirst()
        if first == "%" {
            return like(text, rest) || !text.isEmpty && like(text.dropFirst(), pattern)
        }
        guard let character = text.first else { return false }
        if first == "\\", let literal = rest.first {
            return character == literal && like(text.dropFirst(), rest.dropFirst())
        }
        return (first == "_" || first == character) && like(text.dropFirst(), rest)
    }

    static func random(
        _ random: inout SeededRandom, _ series: [TagSet], _ alphabet: [Character], depth: Int = 2
    ) -> SlowPredicate {
        func some(_ tag: String) -> String {
            series[random.below(series.count)][tag] ?? "never"
        }
        let tag = ["a", "b", "c"][random.below(3)]
        let isNegated = random.below(3) == 0
        let ignoresCase = random.below(4) == 0
        switch random.below(depth > 0 ? 10 : 7) {
        case 0, 1:
            return .compare(tag: tag, op: ["=", "!=", "<", ">="][random.below(4)], some(tag))
        case 2:
            var list: [String?] = (0...random.below(12)).map { _ in some(tag) }
            if random.below(6) == 0 { list.append(nil) }
            return .among(tag: tag, list, negated: isNegated)
        case 3, 4:
            let value = Array(some(tag))
            var pattern = value.map { character in
                switch random.below(6) {
                case 0: "_"
                case 1: "%"
                default: "%_\\".contains(character) ? "\\\(character)" : "\(character)"
                }
            }
            if random.below(2) == 0 { pattern.insert("%", at: 0) }
            if random.below(2) == 0 { pattern[pattern.count - 1] = "%" }
            return .like(
                tag: tag, pattern.joined(), ignoresCase: ignoresCase, negated: isNegated)
        case 5:
            let letters = alphabet.filter { $0.lowercased() == String($0) }
            return .regex(
                tag: tag, SlowRegex.random(&random, letters), ignoresCase: ignoresCase,
                negated: isNegated)
        case 6: return .isNull(tag: tag, negated: isNegated)
        case 7: return .not(.random(&random, series, alphabet, depth: depth - 1))
        default:
            let parts = (0..<(2 + random.below(2))).map { _ in
                SlowPredicate.random(&random, series, alphabet, depth: depth - 1)
            }
            return random.below(2) == 0 ? .and(parts) : .or(parts)
        }
    }
}
