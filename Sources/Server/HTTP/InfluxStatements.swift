// The statements of InfluxQL that writers send before they write.
//
//     CREATE DATABASE name [WITH [DURATION 30d] …]      SHOW DATABASES      DROP DATABASE name
//
// Names are bare words or stand in double quotes with \" \\ \n. The rest of InfluxQL comes later.

package enum InfluxStatement: Equatable {
    case createDatabase(String, retentionNanoseconds: Int64?)
    case showDatabases
    case dropDatabase(String)

    package struct Fault: Error, Equatable { var message: String }

    /// Reads statements separated by semicolons.
    package static func parse(_ text: String) throws(Fault) -> [InfluxStatement] {
        var scanner = Scanner(text)
        var statements: [InfluxStatement] = []
        while true {
            while scanner.take(";") {}
            if scanner.isAtEnd { break }
            statements.append(try statement(&scanner))
            guard scanner.isAtEnd || scanner.take(";") else {
                throw Fault(
                    message: "error parsing query: found \(scanner.next), expected ; or the end")
            }
        }
        guard !statements.isEmpty else { throw Fault(message: "missing required parameter \"q\"") }
        return statements
    }

    private static func statement(_ scanner: inout Scanner) throws(Fault) -> InfluxStatement {
        if scanner.takeWord("CREATE"), scanner.takeWord("DATABASE") {
            let name = try scanner.name()
            return .createDatabase(name, retentionNanoseconds: try options(&scanner))
        }
        if scanner.takeWord("DROP"), scanner.takeWord("DATABASE") {
            return .dropDatabase(try scanner.name())
        }
        if scanner.takeWord("SHOW"), scanner.takeWord("DATABASES") { return .showDatabases }
        throw Fault(
            message:
                "error parsing query: found \(scanner.next); /query knows CREATE DATABASE, DROP DATABASE and SHOW DATABASES, /sql the rest"
        )
    }

    /// `WITH DURATION d REPLICATION n SHARD DURATION d NAME n`, in this order, all but WITH optional.
    private static func options(_ scanner: inout Scanner) throws(Fault) -> Int64? {
        guard scanner.takeWord("WITH") else { return nil }
        var retention: Int64?
        if scanner.takeWord("DURATION") { retention = try scanner.duration() }
        if scanner.takeWord("REPLICATION") { _ = try scanner.name() }
        if scanner.takeWord("SHARD"), scanner.takeWord("DURATION") { _ = try scanner.duration() }
        if scanner.takeWord("NAME") { _ = try scanner.name() }
        return retention
    }

    private struct Scanner {
        private var rest: Substring

        init(_ text: String) { rest = Substring(text) }

        private mutating func skipBlanks() { rest = rest.drop { $0.isWhitespace } }

        var isAtEnd: Bool { mutating get { skipBlanks(); return rest.isEmpty } }
        var next: String {
            rest.isEmpty ? "EOF" : String(rest.prefix { !$0.isWhitespace }.prefix(40))
        }

        mutating func take(_ character: Character) -> Bool {
            skipBlanks()
            guard rest.first == character else { return false }
            rest.removeFirst()
            return true
        }

        private mutating func word() -> Substring {
            skipBlanks()
            return rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
        }

        mutating func takeWord(_ keyword: String) -> Bool {
            let found = word()
            guard found.uppercased() == keyword else { return false }
            rest = rest[found.endIndex...]
            return true
        }

        mutating func name() throws(Fault) -> String {
            skipBlanks()
            guard rest.first == "\"" else {
                let found = word()
                guard !found.isEmpty else {
                    throw Fault(message: "error parsing query: found \(next), expected identifier")
                }
                rest = rest[found.endIndex...]
                return String(found)
            }
            rest.removeFirst()
            var name = ""
            while let character = rest.popFirst() {
                if character == "\"" { return name }
                guard character == "\\" else {
                    name.append(character)
                    continue
                }
                switch rest.popFirst() {
                case "n": name.append("\n")
                case let escaped?: name.append(escaped)
                case nil: break
                }
            }
            throw Fault(message: "error parsing query: a quoted name does not end")
        }

        /// `30d`, `1w2d`, `INF` (0, for ever).
        mutating func duration() throws(Fault) -> Int64 {
            let found = word()
            defer { rest = rest[found.endIndex...] }
            if found.uppercased() == "INF" { return 0 }
            var total: Int64 = 0
            var part = ""
            for character in found {
                if character.isNumber, part.contains(where: \.isLetter) {
                    try add(part, to: &total)
                    part = ""
                }
                part.append(character)
            }
            try add(part, to: &total)
            return total
        }

        private func add(_ part: String, to nanoseconds: inout Int64) throws(Fault) {
            let (product, isTooLong) = Int64(try milliseconds(part))
                .multipliedReportingOverflow(by: 1_000_000)
            let (sum, overflow) = nanoseconds.addingReportingOverflow(product)
            guard !isTooLong, !overflow else {
                throw Fault(message: "error parsing query: invalid duration")
            }
            nanoseconds = sum
        }

        private func milliseconds(_ text: String) throws(Fault) -> Int {
            do throws(OptionError) { return try OptionText.milliseconds(text) } catch {
                throw Fault(message: "error parsing query: invalid duration")
            }
        }
    }
}
