// Finding what a name means: exact, else the one name equal under ASCII case, else the error that
// says which names were close.

internal import ApusStorage

enum NameMatch<Value> {
    case found(Value)
    case ambiguous([String])
    case missing
}

enum NameResolution {
    static func match<Value>(
        _ name: Identifier, in candidates: [(name: String, value: Value)]
    ) -> NameMatch<Value> {
        if let exact = candidates.first(where: { $0.name.hasSameBytes(as: name.text) }) {
            return .found(exact.value)
        }
        guard !name.isQuoted else { return .missing }
        let folded = asciiLowercased(name.text)
        let close = candidates.filter { asciiLowercased($0.name).hasSameBytes(as: folded) }
        switch close.count {
        case 0: return .missing
        case 1: return .found(close[0].value)
        default: return .ambiguous(close.map(\.name))
        }
    }

    /// What the name can mean among candidates that may repeat a name: those that have it
    /// exactly, else, unless it is quoted, those that have it but for ASCII case.
    static func all<Value>(
        _ name: Identifier, in candidates: [(name: String, value: Value)]
    ) -> [Value] {
        let exact = candidates.filter { $0.name.hasSameBytes(as: name.text) }
        guard exact.isEmpty, !name.isQuoted else { return exact.map(\.value) }
        let folded = asciiLowercased(name.text)
        return candidates.filter { asciiLowercased($0.name).hasSameBytes(as: folded) }.map(\.value)
    }

    static func ambiguous(_ name: Identifier, _ names: [String]) -> QueryError {
        QueryError(
            .ambiguous, "`\(name.text)` fits several names", at: name.position,
            hint: "quote the one you mean: "
                + names.prefix(5).map { "\"\($0)\"" }.joined(separator: ", "))
    }

    /// “did you mean …”, if a name is near enough.
    static func hint(for name: String, among candidates: [String]) -> String? {
        let wanted = Array(asciiLowercased(name).utf8)
        var best: (name: String, distance: Int)?
        for candidate in candidates.prefix(5_000) {
            let text = Array(asciiLowercased(candidate).utf8)
            guard abs(text.count - wanted.count) <= 3, text.count < 200 else { continue }
            let distance = editDistance(wanted, text)
            if distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        guard let best, best.distance <= (wanted.count < 4 ? 1 : max(2, wanted.count / 3)) else {
            return nil
        }
        return "did you mean \(quotedIfNeeded(best.name))?"
    }

    private static func quotedIfNeeded(_ name: String) -> String {
        let isPlain =
            name.utf8.allSatisfy { $0 == 0x5F || 48...57 ~= $0 || 65...90 ~= $0 || 97...122 ~= $0 }
            && !(name.utf8.first.map { 48...57 ~= $0 } ?? true)
        return isPlain ? "`\(name)`" : "\"\(name)\""
    }

    private static func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var previous = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var current = [i + 1]
            for (j, y) in b.enumerated() {
                current.append(
                    min(previous[j] + (x == y ? 0 : 1), previous[j + 1] + 1, current[j] + 1))
            }
            previous = current
        }
        return previous[b.count]
    }
}

extension QueryEngine {
    /// Looks among the caller's databases only: the others are neither found nor hinted at.
    func findDatabase(
        _ name: Identifier, _ access: QueryAccess
    ) throws(QueryError) -> DatabaseEntry {
        if access.covers(name.text), let exact = storage.catalog.database(named: name.text) {
            return exact
        }
        let all = storage.catalog.allDatabases.filter { access.covers($0.name) }
        switch NameResolution.match(name, in: all.map { ($0.name, $0) }) {
        case .found(let database): return database
        case .ambiguous(let names): throw NameResolution.ambiguous(name, names)
        case .missing:
            try access.check(database: name.text, at: name.position)
            throw QueryError(
                .unknownDatabase, "database not found: \"\(name.text)\"", at: name.position,
                hint: NameResolution.hint(for: name.text, among: all.map(\.name)))
        }
    }

    func findTable(_ name: TableName, session: Session) throws(QueryError) -> TableEntry {
        let own = Identifier(
            text: session.database, isQuoted: true, position: name.table.position)
        var databaseName = name.database ?? own
        // `public.t` is PostgreSQL's way to say `t`.
        if asciiLowercased(databaseName.text) == "public",
            storage.catalog.database(named: databaseName.text) == nil
        {
            databaseName = own
        }
        if name.database == nil, own.text == "default",
            storage.catalog.database(named: own.text) == nil
        {
            // The default database exists in spirit before its first write.
            try session.access.check(database: own.text, at: own.position)
            throw unknownTable(name, own.text, [])
        }
        let database = try findDatabase(databaseName, session.access)
        if let exact = database.table(named: name.table.text) { return exact }
        let all = database.allTables
        switch NameResolution.match(name.table, in: all.map { ($0.name, $0) }) {
        case .found(let table): return table
        case .ambiguous(let names): throw NameResolution.ambiguous(name.table, names)
        case .missing: throw unknownTable(name, database.name, all.map(\.name))
        }
    }

    private func unknownTable(_ name: TableName, _ database: String, _ all: [String]) -> QueryError
    {
        QueryError(
            .unknownTable, "table not found: \"\(name.table.text)\" in database \"\(database)\"",
            at: name.table.position, hint: NameResolution.hint(for: name.table.text, among: all))
    }
}
