// The symbol tables that one thread used last.

/// A decoder a column of some segments. Those of a directory are everybody's: asking it at every block
/// would have all threads write to one lock and one count of references.
package struct SymbolCache {
    private struct Table {
        let storage: DirectoryStorage
        /// The last group of each column, −1 where none was asked for, and its decoder.
        var groups: [Int]
        var decoders: [SymbolDecoder?]

        init(_ storage: DirectoryStorage) {
            self.storage = storage
            groups = Array(repeating: -1, count: storage.fields.count)
            decoders = Array(repeating: nil, count: storage.fields.count)
        }
    }

    private static let tableCountMax = 8

    private var tables: [Table] = []
    private var next = 0

    package init() {}

    /// The decoder of a column's payload in a block; nil if it has none.
    mutating func decoder(
        _ storage: DirectoryStorage, _ column: Int, _ block: Int
    ) throws(StorageError) -> SymbolDecoder? {
        guard storage.layout.hasTables else { return nil }
        let group = storage.group(of: block)
        let index = tables.firstIndex { $0.storage === storage } ?? add(storage)
        if tables[index].groups[column] != group {
            tables[index].decoders[column] =
                try storage.symbols(column: column, group: group)?.alias()
            tables[index].groups[column] = group
        }
        return tables[index].decoders[column]
    }

    private mutating func add(_ storage: DirectoryStorage) -> Int {
        guard tables.count == Self.tableCountMax else {
            tables.append(Table(storage))
            return tables.count - 1
        }
        tables[next] = Table(storage)
        defer { next = (next + 1) % Self.tableCountMax }
        return next
    }
}
