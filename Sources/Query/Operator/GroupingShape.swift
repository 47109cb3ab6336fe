// How a grouping can be computed, found once a query and shared by its threads.

internal import ApusStorage

/// A grouping whose keys are tags and at most one bucket, a stretch of time, and whose aggregates take
/// plain columns: no expression runs per row.
struct GroupingShape {
    enum Source {
        case rows
        case time
        /// Index into the request's fields.
        case field(Int)
    }

    /// Index of the bucket among the keys.
    var bucketKey: Int?
    var origin: Int64 = 0
    var width: Int64 = 0
    /// Instead of origin and width, where lengths differ.
    private(set) var calendar: TimeBucket?
    private(set) var isCalendar = false
    /// What each aggregate reads first.
    var sources: [Source] = []
    var argumentTypes: [ResultType] = []
    /// What each aggregate reads beside it.
    var otherSources: [[(source: Source, type: ResultType)]] = []

    /// Of nothing.
    init() {}

    /// Nil if rows have to be looked at one by one.
    init?(_ grouping: GroupingPlan, _ scan: ScanPlan) {
        guard !scan.picksRows else { return nil }
        for (index, key) in grouping.keys.enumerated() {
            let readsTagsOnly = key.columnsUsed.allSatisfy {
                if case .tag = scan.columns[$0] { true } else { false }
            }
            if readsTagsOnly { continue }
            guard bucketKey == nil, case .bucket(let rule, let time) = key.kind,
                case .column(let slot) = time.kind, scan.columns[slot] == .time
            else { return nil }
            bucketKey = index
            if let (origin, width) = rule.fixed {
                self.origin = origin
                self.width = width
            } else {
                guard rule.bucket.isCalendar else { return nil }
                calendar = rule.bucket
                isCalendar = true
            }
        }
        for aggregate in grouping.aggregates {
            guard aggregate.filter == nil else { return nil }
            argumentTypes.append(aggregate.argument?.type ?? .int64)
            var read: [(source: Source, type: ResultType)] = []
            for argument in aggregate.arguments {
                guard let source = Self.source(argument, scan) else { return nil }
                read.append((source, argument.type))
            }
            sources.append(read.first?.source ?? .rows)
            otherSources.append(Array(read.dropFirst()))
        }
    }

    private static func source(_ argument: BoundExpression, _ scan: ScanPlan) -> Source? {
        guard case .column(let slot) = argument.kind else { return nil }
        switch scan.columns[slot] {
        case .time: return .time
        case .field: return scan.fieldIndex[slot].map { .field($0) }
        case .tag, .output: return nil
        }
    }

    /// The tags that keys read, beside the bucket.
    func keyTags(_ grouping: GroupingPlan, _ scan: ScanPlan) -> [Int] {
        var slots: Set<Int> = []
        for (index, key) in grouping.keys.enumerated() where index != bucketKey {
            key.collectColumns(into: &slots)
        }
        return slots.sorted().compactMap { slot in
            if case .tag(let tag) = scan.columns[slot] { tag } else { nil }
        }
    }

    /// Whether every aggregate can be taken from the statistics of a block, and in which buckets.
    func summaries(_ grouping: GroupingPlan) -> SummaryBuckets? {
        for (index, aggregate) in grouping.aggregates.enumerated() {
            if aggregate.isDistinct { return nil }
            switch aggregate.function {
            case .countRows, .count: continue
            case .sum, .average:
                if case .field = sources[index] { continue }
                return nil
            case .minimum, .maximum:
                if argumentTypes[index].usesBytes { return nil }
            default: return nil
            }
        }
        if let calendar { return .spans { calendar.calendarSpan($0) } }
        return bucketKey == nil
            ? .whole : .fixed(originNanoseconds: origin, widthNanoseconds: width)
    }
}

extension ScanPlan {
    /// The tag that an expression is, if it is nothing more.
    func tag(_ expression: BoundExpression) -> Int? {
        guard case .column(let slot) = expression.kind, case .tag(let tag) = columns[slot]
        else { return nil }
        return tag
    }
}
