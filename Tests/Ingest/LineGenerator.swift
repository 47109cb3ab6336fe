/// Numbers that look random and are the same for the same seed (SplitMix64).
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// Lines such as senders write them, and such as nobody should.
enum LineGenerator {
    private static let names = [
        "usage_user", "a", "a=b", "long_field_name_of_some_length", "b c", "x,y", "ä", "time",
        "value", "k\\", "exactly8", "exactly16_bytes_",
    ]

    static func input(_ numbers: inout SeededNumbers, lines: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        // A few rows are written again and again with new values, as scrapers do.
        let templates = (0..<Int.random(in: 1...5, using: &numbers)).map { _ in template(&numbers) }
        for index in 0..<lines {
            let template =
                Bool.random(using: &numbers)
                ? templates[index % templates.count]
                : templates.randomElement(using: &numbers) ?? templates[0]
            bytes += line(template, &numbers)
            bytes += Int.random(in: 0..<12, using: &numbers) == 0 ? [0x0D, 0x0A] : [0x0A]
        }
        if Int.random(in: 0..<4, using: &numbers) == 0 { bytes.removeLast() }
        return bytes
    }

    struct Template {
        var key: String
        var fields: [(name: String, kind: Int)]
    }

    static func template(_ numbers: inout SeededNumbers) -> Template {
        var key = escape(names.randomElement(using: &numbers) ?? "m", ", ")
        if key.hasSuffix("\\") { key += "m" }
        var tagNames = names.shuffled(using: &numbers)
        for _ in 0..<Int.random(in: 0...3, using: &numbers) {
            let name = tagNames.removeLast()
            if name.hasSuffix("\\") { continue }
            key += ",\(escape(name, ",= "))=v\(Int.random(in: 0...3, using: &numbers))"
        }
        var fields: [(name: String, kind: Int)] = []
        for name in names.shuffled(using: &numbers).prefix(Int.random(in: 1...5, using: &numbers))
        where !name.hasSuffix("\\") {
            fields.append((escape(name, ",= "), Int.random(in: 0...5, using: &numbers)))
        }
        if fields.isEmpty { fields.append(("v", 0)) }
        return Template(key: key, fields: fields)
    }

    private static func line(_ template: Template, _ numbers: inout SeededNumbers) -> [UInt8] {
        var text = template.key + " "
        for (index, field) in template.fields.enumerated() {
            var kind = field.kind
            if Int.random(in: 0..<20, using: &numbers) == 0 {
                kind = Int.random(in: 0...5, using: &numbers)
            }
            text += (index > 0 ? "," : "") + field.name + "=" + value(kind, &numbers)
        }
        switch Int.random(in: 0..<8, using: &numbers) {
        case 0: break
        case 1: text += " -\(Int.random(in: 0...99_999, using: &numbers))"
        case 2: text += "  \(Int.random(in: 0...Int.max, using: &numbers)) "
        default:
            text += " \(1_600_000_000_000_000_000 + Int.random(in: 0...1_000_000, using: &numbers))"
        }
        var bytes = Array(text.utf8)
        if Int.random(in: 0..<10, using: &numbers) == 0 { mutate(&bytes, &numbers) }
        return bytes
    }

    private static func value(_ kind: Int, _ numbers: inout SeededNumbers) -> String {
        let digits = Int.random(in: 1...19, using: &numbers)
        let number = UInt64.random(in: 0...UInt64.max, using: &numbers) % power(digits)
        switch kind {
        case 0: return "\(number % 101)i"
        case 1: return "\(Bool.random(using: &numbers) ? "-" : "")\(number)i"
        case 2:
            let decimals = Int.random(in: 0...18, using: &numbers)
            let sign = Bool.random(using: &numbers) ? "-" : ""
            let exponent =
                Int.random(in: 0..<8, using: &numbers) == 0
                ? "e\(Int.random(in: -330...310, using: &numbers))" : ""
            return "\(sign)\(number % 1_000_000).\(number % power(decimals))\(exponent)"
        case 3: return "\(number)u"
        case 4:
            return ["t", "True", "FALSE", "f", "false", "T"].randomElement(using: &numbers) ?? "t"
        default:
            let texts = [
                "", "plain", "with \\\"quotes\\\"", "two\nlines", "back\\\\slash", "ü€😀", "a,b=c d",
                "x\\n",
            ]
            return "\"\(texts.randomElement(using: &numbers) ?? "")\""
        }
    }

    private static func power(_ digits: Int) -> UInt64 {
        (0..<digits).reduce(1) { value, _ in value * 10 }
    }

    static func mutate(_ bytes: inout [UInt8], _ numbers: inout SeededNumbers) {
        let interesting = Array("\\\", =\n\r#-.eiut0\0".utf8) + [0x7F, 0x80, 0xC3, 0xFF]
        let index = Int.random(in: 0..<bytes.count, using: &numbers)
        let byte = interesting.randomElement(using: &numbers) ?? 0
        switch Int.random(in: 0..<3, using: &numbers) {
        case 0: bytes[index] = byte
        case 1: bytes.insert(byte, at: index)
        default: bytes.remove(at: index)
        }
        if bytes.isEmpty { bytes = [0x20] }
    }

    private static func escape(_ text: String, _ special: String) -> String {
        text.reduce(into: "") { result, character in
            if special.contains(character) { result.append("\\") }
            result.append(character)
        }
    }
}
