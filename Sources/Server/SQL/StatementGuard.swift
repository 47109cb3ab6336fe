// What a token may say in SQL.
//
// Rights are checked before the statement runs, on its words: which kind it is by its first word,
// and whether it names a database outside the token's. This refuses a little too much — a column
// called like a foreign database — and nothing too little: a foreign database can only be reached by
// its name.

internal import NIOHTTP1

package enum StatementGuard {
    /// The words of a statement that could be names, in order: bare words and quoted names. Strings
    /// (with `\` escapes after an E) and comments (nested ones too) are passed over as the lexer does.
    package static func words(_ sql: String) -> [String] {
        let bytes = Array(sql.utf8)
        var words: [String] = []
        var position = 0
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "'"): position = end(of: bytes, from: position, quote: byte).next
            case UInt8(ascii: "\""):
                let quoted = end(of: bytes, from: position, quote: byte)
                words.append(String(decoding: quoted.text, as: UTF8.self))
                position = quoted.next
            case UInt8(ascii: "-") where position + 1 < bytes.count && bytes[position + 1] == byte:
                while position < bytes.count, bytes[position] != 0x0A { position += 1 }
            case UInt8(ascii: "/")
            where position + 1 < bytes.count && bytes[position + 1] == UInt8(ascii: "*"):
                position = endOfComment(bytes, from: position)
            default:
                guard isWord(byte) else {
                    position += 1
                    continue
                }
                let start = position
                while position < bytes.count, isWord(bytes[position]) { position += 1 }
                if position - start == 1, byte | 0x20 == UInt8(ascii: "e"), position < bytes.count,
                    bytes[position] == UInt8(ascii: "'")
                {
                    position =
                        end(of: bytes, from: position, quote: UInt8(ascii: "'"), escapes: true).next
                } else {
                    words.append(String(decoding: bytes[start..<position], as: UTF8.self))
                }
            }
        }
        return words
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte >= 0x80 || byte == UInt8(ascii: "_")
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private static func endOfComment(_ bytes: [UInt8], from start: Int) -> Int {
        var depth = 0
        var position = start
        while position + 1 < bytes.count {
            switch (bytes[position], bytes[position + 1]) {
            case (UInt8(ascii: "/"), UInt8(ascii: "*")): depth += 1
            case (UInt8(ascii: "*"), UInt8(ascii: "/")): depth -= 1
            default:
                position += 1
                continue
            }
            position += 2
            if depth == 0 { return position }
        }
        return bytes.count
    }

    private static func end(
        of bytes: [UInt8], from start: Int, quote: UInt8, escapes: Bool = false
    ) -> (text: [UInt8], next: Int) {
        var text: [UInt8] = []
        var position = start + 1
        while position < bytes.count {
            if bytes[position] == quote {
                guard position + 1 < bytes.count, bytes[position + 1] == quote else {
                    return (text, position + 1)
                }
                position += 1
            } else if escapes, bytes[position] == UInt8(ascii: "\\"), position + 1 < bytes.count {
                position += 1
            }
            text.append(bytes[position])
            position += 1
        }
        return (text, position)
    }

    package static func refusal(
        _ sql: String, database: String, permissions: Permissions, databases: [String]
    ) -> Refusal? {
        if permissions.isAdmin, permissions.databases == nil { return nil }
        guard permissions.covers(database) else {
            return Refusal(.forbidden, "the token does not hold for database \"\(database)\"")
        }
        let words = words(sql)
        switch words.first?.uppercased() {
        case "INSERT":
            guard permissions.canWrite else {
                return Refusal(.forbidden, "the token may not write")
            }
        case "CREATE", "ALTER", "DROP", "DELETE", "FLUSH", "COMPACT", "KILL", "SET":
            guard permissions.isAdmin else {
                return Refusal(.forbidden, "the token may not administer")
            }
        default:
            guard permissions.canRead else { return Refusal(.forbidden, "the token may not read") }
            // EXPLAIN ANALYZE runs what it explains.
            if words.first?.uppercased() == "EXPLAIN", !permissions.isAdmin,
                words.contains(where: {
                    ["INSERT", "DELETE", "DROP", "CREATE", "ALTER"].contains($0.uppercased())
                })
            {
                return Refusal(.forbidden, "the token may not administer")
            }
        }
        guard permissions.databases != nil else { return nil }
        let foreign = Set(databases.filter { !permissions.covers($0) }.map { $0.lowercased() })
        let named = words.first {
            foreign.contains($0.lowercased()) || $0.uppercased() == "DATABASES"
        }
        return named.map { Refusal(.forbidden, "the token does not hold for \"\($0)\"") }
    }
}
