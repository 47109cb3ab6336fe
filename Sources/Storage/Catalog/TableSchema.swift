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

/// A field of a table. Ids are dense per table and never reused.
package struct FieldColumn: Sendable, Hashable {
    package let id: UInt32
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
    package let fields: [FieldColumn]
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

    package init(tags: [TagColumn], fields: [FieldColumn], version: Int) {
        self.tags = tags
        self.fields = fields
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
            id: UInt32(fields.count), name: name, sqlName: freeName(name), type: type)
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
            version: version + 1)
    }

    /// The schema after a field became wider.
    package func widening(fieldIndex: Int, to type: FieldType) -> TableSchema {
        var fields = fields
        let field = fields[fieldIndex]
        fields[fieldIndex] = FieldColumn(
            id: field.id, name: field.name, sqlName: field.sqlName, type: type)
        return TableSchema(tags: tags, fields: fields, version: version + 1)
    }
}
