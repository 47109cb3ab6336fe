// JSON read as far as the answers of a server need it: small bodies, whole. Long ones are read
// token by token, by AnswerReader.

extension JSONValue {
    /// Nil for anything that is not one JSON value.
    package init?(_ text: String) {
        // A word ends only at what follows it.
        var reader = Reader(rest: (Array(text.utf8) + [0x0A])[...])
        guard let first = reader.next(), let value = reader.value(first, depth: 0),
            reader.next() == nil, reader.rest.isEmpty
        else { return nil }
        self = value
    }

    package subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        // Of a name that comes twice the last one counts.
        return members.last { $0.name == name }?.value
    }

    package var string: String? { if case .string(let text) = self { text } else { nil } }
    package var integer: Int? { if case .number(let text) = self { Int(text) } else { nil } }
    package var elements: [JSONValue] { if case .array(let items) = self { items } else { [] } }

    /// Puts tokens together.
    private struct Reader {
        private static let depthMax = 32

        var rest: ArraySlice<UInt8>
        private var tokens = JSONTokenizer()

        init(rest: ArraySlice<UInt8>) { self.rest = rest }

        /// Nil at the end, and for what is no JSON.
        mutating func next() -> JSONToken? { try? tokens.next(from: &rest) }

        mutating func value(_ token: JSONToken, depth: Int) -> JSONValue? {
            guard depth < Self.depthMax else { return nil }
            switch token {
            case .beginObject: return object(depth)
            case .beginArray: return array(depth)
            case .string: return .string(String(decoding: tokens.bytes, as: UTF8.self))
            case .word: return word(String(decoding: tokens.bytes, as: UTF8.self))
            case .endObject, .endArray, .separator: return nil
            }
        }

        private func word(_ text: String) -> JSONValue? {
            switch text {
            case "null": .null
            case "true": .boolean(true)
            case "false": .boolean(false)
            default: Double(text) == nil ? nil : .number(text)
            }
        }

        private mutating func object(_ depth: Int) -> JSONValue? {
            var members: [(name: String, value: JSONValue)] = []
            var token = next()
            if token == .endObject { return .object(members) }
            while token == .string {
                let name = String(decoding: tokens.bytes, as: UTF8.self)
                guard next() == .separator, let first = next(),
                    let value = value(first, depth: depth + 1)
                else { return nil }
                members.append((name, value))
                switch next() {
                case .endObject: return .object(members)
                case .separator: token = next()
                default: return nil
                }
            }
            return nil
        }

        private mutating func array(_ depth: Int) -> JSONValue? {
            var items: [JSONValue] = []
            var token = next()
            if token == .endArray { return .array(items) }
            while let first = token, let value = value(first, depth: depth + 1) {
                items.append(value)
                switch next() {
                case .endArray: return .array(items)
                case .separator: token = next()
                default: return nil
                }
            }
            return nil
        }
    }
}
