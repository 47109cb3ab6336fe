// What becomes of the fields of a group of rows, decided by looking only.

/// What becomes of one field.
enum FieldPlan {
    case stored(FieldColumn)
    case widened(FieldColumn)
    case made
    /// With the reason.
    case refused(String)

    /// The column, if the field is stored in it as it is.
    var column: FieldColumn? { if case .stored(let column) = self { column } else { nil } }
    var refusal: String? { if case .refused(let reason) = self { reason } else { nil } }

    /// A plan for each field of a group, or nil if the table would have too many.
    static func plans(
        for group: RowGroup, in schema: TableSchema, fieldsPerTableMax: Int
    ) -> [FieldPlan]? {
        var names: Set<[UInt8]> = []
        var plans: [FieldPlan] = []
        var made = 0
        for (index, bytes) in group.shape.fieldNames.enumerated() {
            let name = String(decoding: bytes, as: UTF8.self)
            guard names.insert(bytes).inserted else {
                plans.append(.refused("field \"\(name)\" is given twice"))
                continue
            }
            guard let stored = schema.field(named: name) else {
                if let problem = NameRules.problem(name, "field") {
                    plans.append(.refused(problem))
                } else {
                    made += 1
                    plans.append(.made)
                }
                continue
            }
            plans.append(plan(for: group, field: index, stored))
        }
        let isOverLimit = made > 0 && schema.fields.count + made > fieldsPerTableMax
        return isOverLimit ? nil : plans
    }

    private static func plan(
        for group: RowGroup, field index: Int, _ stored: FieldColumn
    ) -> FieldPlan {
        let written = group.types[index]
        if stored.type == written { return .stored(stored) }
        guard stored.type.isNumeric, written.isNumeric else {
            return .refused(
                "field type conflict: input field \"\(stored.name)\" on measurement "
                    + "\"\(group.shape.tableName)\" is type \(written.name), already exists as "
                    + "type \(stored.type.name)")
        }
        guard stored.type != .float64 else { return .stored(stored) }
        return written == .float64 || group.hasTopBit(field: index)
            ? .widened(stored) : .stored(stored)
    }
}
