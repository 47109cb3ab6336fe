// What a SELECT comes to: a scan with everything pushed into it, at most two groupings (LATEST ON,
// then GROUP BY), and what is computed over the rows that remain.

internal import ApusStorage

struct SortKey: Hashable {
    var expression: BoundExpression
    var isDescending: Bool
    var nullsFirst: Bool

    init(expression: BoundExpression, isDescending: Bool, nullsFirst: Bool) {
        self.expression = expression
        self.isDescending = isDescending
        self.nullsFirst = nullsFirst
    }

    /// NULLs last when ascending and first when descending, unless it is said.
    init(_ expression: BoundExpression, _ item: OrderItem) {
        self.init(
            expression: expression, isDescending: item.isDescending,
            nullsFirst: item.nullsFirst ?? item.isDescending)
    }
}

/// Groups rows by keys and computes aggregates over each group.
struct GroupingPlan {
    var keys: [BoundExpression]
    var aggregates: [AggregateCall]
    /// The frame's time column, where first, last or latest need it.
    var timeSlot: Int?
    /// Where the samples of each group come from, if that is known.
    var window: SampleWindow?
}

struct SelectPlan {
    var scope: QueryScope?
    /// FROM is one table.
    var scan: ScanPlan?
    /// FROM is something else.
    var source: RowSource?
    /// LATEST ON: its result has the columns of the scan's frame.
    var latest: GroupingPlan?
    var grouping: GroupingPlan?
    /// Behind grouping and HAVING: its result has the keys, then the plan's columns.
    var fill: FillPlan?
    /// WHERE, where no scan has it.
    var condition: BoundExpression?
    var having: BoundExpression?
    var outputs: [BoundExpression] = []
    var outputNames: [String] = []
    var sortKeys: [SortKey] = []
    /// Window functions over what is left by HAVING and FILL: column n behind the columns there are is what
    /// call n comes to.
    var windows: [WindowCall] = []
    var qualify: BoundExpression?
    /// Of rows equal in these only the first stays, in the order of the sort keys.
    var distinctOn: [BoundExpression] = []
    /// Duplicates are removed from the outputs, at the end.
    var isDistinct = false
    var limit: Int?
    var offset = 0

    var resultColumns: [ResultColumn] {
        zip(outputNames, outputs).map { ResultColumn(name: $0, type: $1.type) }
    }
}

/// The scan of one table.
struct ScanPlan {
    var table: TableEntry
    /// What each frame column is.
    var columns: [ScanColumn]
    /// Frame columns that something behind the scan reads.
    var needed: Set<Int> = []
    var timeRange = TimeRange.all
    var seriesPredicate: SeriesPredicate?
    /// Per frame column of a field: the values that can matter.
    var bounds: [(slot: Int, bound: FieldBound)] = []
    /// Conditions on single fields, of which all have to hold, …
    var filters: [RowFilter] = []
    /// … and what has to be evaluated row by row.
    var residual: BoundExpression?
    /// Frame column → index into the request's fields.
    var fieldIndex: [Int: Int] = [:]
    var request = ScanRequest()
    var schema: TableSchema

    /// The types of the frame's columns.
    var types: [ResultType] {
        columns.map { column in
            switch column {
            case .time: .timestamp
            case .tag: .string
            case .field(let index): ResultType(schema.fields[index].type)
            case .output: preconditionFailure("BUG: a scan has no outputs of a query")
            }
        }
    }

    /// Whether rows are looked at before they count.
    var picksRows: Bool { residual != nil || !filters.isEmpty }

    /// Settles which fields are read. `needed`, `filters` and `residual` must be final.
    mutating func finishRequest() {
        if let residual { residual.collectColumns(into: &needed) }
        request = ScanRequest(timeRange: timeRange)
        var types: [FieldType] = []
        func index(of slot: Int) -> Int? {
            guard case .field(let field) = columns[slot] else { return nil }
            if let known = fieldIndex[slot] { return known }
            let index = request.fields.count
            request.fields.append(schema.fields[field].id)
            types.append(schema.fields[field].type)
            fieldIndex[slot] = index
            return index
        }
        for slot in needed.union(filters.map(\.slot)).sorted() { _ = index(of: slot) }
        for (slot, bound) in bounds {
            guard let field = index(of: slot) else { continue }
            var bound = bound
            bound.field = field
            request.bounds.append(bound)
        }
        request.fieldTypes = types
    }
}
