// The columns of a table as SQL and writers see them. Immutable; a change makes a new one.

internal import Glibc

/// A tag of a table. Its position in `TableSchema.tags` is its index in the series index.
package struct TagColumn: Sendable, Hashable {
    /// As written by clients.
    package let name: String
    /// As seen in SQL: the written name unless it is `time` or a field was seen by it before.
    package let sqlName: String

    package init(name: String, sqlName: String) {
        self.name = name
        self.sqlName = sqlName
    }
}

/// A field of a table. Ids count up per table and are never reused, those of dropped fields neither.
package struct FieldColumn: Sendable, Hashable {
    package let id: UInt32
    /// As written by clients, or as renamed since.
    package let name: String
    /// As seen in SQL: the written name unless a tag, `time` or another column has it.
    package let sqlName: String
    package let type: FieldType

    package init(id: UInt32, name: String, sqlName: String, type: FieldType) {
        self.id = id
        self.name = name
        self.sqlName = sqlName
        self.type = type
    }
}

/// Tags and fields of a table at one moment.
///
/// Safe: the flat names are written before anyone else has the object.
package final class TableSchema: @unchecked Sendable {
    package let tags: [TagColumn]
    /// Those that have not been dropped, by id.
    package let fields: [FieldColumn]
    /// Fields that were ever given an id.
    package let fieldCountEver: Int
    /// Rises with every change of the table's columns.
    package let version: Int
    private let tagIndexByName: [NameKey: Int]
    /// The bytes of the tags' names.
    let tagNames: [[UInt8]]
    /// The same one after the other, and their ends: a look counts no references, which threads would
    /// take from each other.
    private let flatNames: UnsafeMutableBufferPointer<UInt8>
    private let nameEnds: UnsafeMutableBufferPointer<Int>
    /// The tags' indices in bytewise order of their names, as keys have them.
    let tagsByName: [Int]
    private let fieldIndexByName: [NameKey: Int]

    /// - Parameters:
    ///   - fields: By id.
    ///   - fieldCountEver: If not said, none behind the last of `fields` was dropped.
    package init(
        tags: [TagColumn], fields: [FieldColumn], fieldCountEver: Int? = nil, version: Int
    ) {
        self.tags = tags
        self.fields = fields
        self.fieldCountEver = max(fieldCountEver ?? 0, fields.last.map { Int($0.id) + 1 } ?? 0)
        self.version = version
        tagIndexByName = Dictionary(
            tags.enumerated().map { (NameKey($1.name), $0) },
            uniquingKeysWith: { first, _ in first })
        let names = tags.map { Array($0.name.utf8) }
        tagNames = names
        flatNames = .allocate(capacity: names.reduce(0) { $0 + $1.count })
        _ = flatNames.initialize(from: names.joined())
        nameEnds = .allocate(capacity: names.count)
        var end = 0
        for (index, name) in names.enumerated() {
            end += name.count
            nameEnds[index] = end
        }
        tagsByName = names.indices.sorted { names[$0].lexicographicallyPrecedes(names[$1]) }
        fieldIndexByName = Dictionary(
            fields.enumerated().map { (NameKey($1.name), $0) },
            uniquingKeysWith: { first, _ in first })
    }

    deinit {
        flatNames.deallocate()
        nameEnds.deallocate()
    }

    package static let empty = TableSchema(tags: [], fields: [], version: 0)

    package func tagIndex(named name: String) -> Int? { tagIndexByName[NameKey(name)] }

    /// The same for a name's bytes. Quick where the guess is right, as the tag's place in a key mostly
    /// is: a key's tags are in order of their names, and so were those of the table's first row.
    /// Safe: the bytes are compared and copied, not kept.
    func tagIndex(named name: UnsafeRawBufferPointer, likely guess: Int) -> Int? {
        if guess < nameEnds.count {
            let start = guess == 0 ? 0 : nameEnds[guess - 1]
            let count = nameEnds[guess] - start
            // Safe: the name lies inside of the flat ones, and neither is empty.
            if count == name.count, count > 0, let known = flatNames.baseAddress,
                let bytes = name.baseAddress, memcmp(known + start, bytes, count) == 0
            {
                return guess
            }
        }
        return tagIndex(named: String(decoding: name, as: UTF8.self))
    }

    package func field(named name: String) -> FieldColumn? {
        fieldIndexByName[NameKey(name)].map { fields[$0] }
    }

    /// The field with an id; nil if there is none, or none any more.
    package func field(id: UInt32) -> FieldColumn? { fieldIndex(id: id).map { fields[$0] } }

    func fieldIndex(id: UInt32) -> Int? {
        let place = Int(id)
        // Where nothing was dropped, it is its own place; else that lies before it.
        if place < fields.count, fields[place].id == id { return place }
        var (low, high) = (0, min(place, fields.count))
        while low < high {
            let middle = (low + high) / 2
            if fields[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < fields.count && fields[low].id == id ? low : nil
    }

    /// Runs of ids whose fields are dropped.
    package var droppedFields: [Range<UInt32>] {
        var runs: [Range<UInt32>] = []
        var next: UInt32 = 0
        for field in fields {
            if next < field.id { runs.append(next..<field.id) }
            next = field.id + 1
        }
        if Int(next) < fieldCountEver { runs.append(next..<UInt32(fieldCountEver)) }
        return runs
    }

    package var hasDroppedFields: Bool { fields.count < fieldCountEver }

    /// Whether SQL already knows a column by this name, `time` included.
    package func usesSQLName(_ name: String) -> Bool {
        name == "time" || tags.contains { $0.sqlName.hasSameBytes(as: name) }
            || fields.contains { $0.sqlName.hasSameBytes(as: name) }
    }

    private func freeName(_ name: String) -> String {
        guard usesSQLName(name) else { return name }
        var number = 1
        while usesSQLName("\(name)_\(number)") { number += 1 }
        return "\(name)_\(number)"
    }

    /// The schema with one more field. Its SQL name is free of clashes from the start.
    package func adding(field name: String, type: FieldType) -> TableSchema {
        let field = FieldColumn(
            id: UInt32(fieldCountEver), name: name, sqlName: freeName(name), type: type)
        return TableSchema(tags: tags, fields: fields + [field], version: version + 1)
    }

    /// The schema with one more tag. A field of the same written name gives the bare name up: it
    /// gets the first free `name_n`, since in SQL the bare name is the tag. A `name_n` that another
    /// field got so stays with that field, and the tag gets one of its own: statements that name a
    /// column go on meaning it.
    package func adding(tag name: String) -> TableSchema {
        var fields = fields
        var sqlName = name
        let holder = fields.firstIndex { $0.sqlName.hasSameBytes(as: name) }
        if let index = holder, fields[index].name.hasSameBytes(as: name) {
            let field = fields[index]
            fields[index] = FieldColumn(
                id: field.id, name: field.name, sqlName: freeName(field.name), type: field.type)
        } else {
            sqlName = freeName(name)
        }
        return TableSchema(
            tags: tags + [TagColumn(name: name, sqlName: sqlName)], fields: fields,
            fieldCountEver: fieldCountEver, version: version + 1)
    }

    /// The schema after a field changed its name or type, or with one more.
    func setting(_ field: FieldColumn) -> TableSchema {
        var fields = fields
        if let index = fieldIndex(id: field.id) {
            fields[index] = field
        } else {
            fields.append(field)
        }
        return TableSchema(
            tags: tags, fields: fields, fieldCountEver: fieldCountEver, version: version + 1)
    }

    /// The schema without some fields. Their ids count as given, also if they weren't.
    func dropping(fields dropped: Range<UInt32>) -> TableSchema {
        TableSchema(
            tags: tags, fields: fields.filter { !dropped.contains($0.id) },
            fieldCountEver: max(fieldCountEver, Int(dropped.upperBound)), version: version + 1)
    }

    /// What has a name already, in SQL or in what clients write, as a clause; nil if nothing.
    package func holder(ofName name: String) -> String? {
        if name == "time" { return "it is the timestamp" }
        if tags.contains(where: { $0.name.hasSameBytes(as: name) }) { return "it is a tag" }
        if let field = field(named: name) {
            return field.sqlName.hasSameBytes(as: name)
                ? "it is a field"
                : "clients write a field so, which SQL knows as \"\(field.sqlName)\""
        }
        if let tag = tags.first(where: { $0.sqlName.hasSameBytes(as: name) }) {
            return "it is the tag that clients write as \"\(tag.name)\""
        }
        return fields.first { $0.sqlName.hasSameBytes(as: name) }
            .map { "it is the field that clients write as \"\($0.name)\"" }
    }
}
