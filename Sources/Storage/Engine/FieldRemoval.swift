// What becomes of dropped fields.
//
//     drop      the catalog says that it is gone: a query that starts now doesn't know it, and its name
//               written again makes another field (Definition, WriteBatch.unbindChangedFields)
//     read      numbers of fields are never given again, so nobody asks an input for the column; a query
//               that began before does, of the inputs in its snapshot
//     write     a flush and every merge leave the column out (SegmentBuild)
//     compact   segments that no merge wants are written again without it
//
// Rows stay, also those that have no other field.

extension Maintenance {
    /// Writes a segment that has columns of dropped fields again without them. False if there is none.
    func rewriteWithoutDroppedFields(databaseID: UInt32?) throws(StorageError) -> Bool {
        let tables = shared.catalog.allTables.filter {
            (databaseID == nil || databaseID == $0.database.id) && $0.schema.hasDroppedFields
        }
        guard !tables.isEmpty else { return false }
        for segment in currentSegments() where segment.damage == nil {
            let holdsSome = tables.contains { table in
                guard let part = segment.table(id: table.id) else { return false }
                let schema = table.schema
                return part.schema.fields.contains { schema.field(id: $0.id) == nil }
            }
            guard holdsSome else { continue }
            try merge([segment], level: CompactionPolicy.level(merging: [segment]))
            return true
        }
        return false
    }
}
