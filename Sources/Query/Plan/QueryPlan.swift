// Queries around SELECTs: what stands in FROM beside a table, joins, UNION.

internal import ApusStorage

/// A query with all that belongs to it.
indirect enum QueryPlan {
    case select(SelectPlan)
    case set(SetPlan)

    var resultColumns: [ResultColumn] {
        switch self {
        case .select(let plan): plan.resultColumns
        case .set(let plan): plan.columns
        }
    }
}

/// Two queries with as many columns of the same types.
struct SetPlan {
    var kind: SetOperation.Kind
    var isAll: Bool
    var left: QueryPlan
    var right: QueryPlan
    var columns: [ResultColumn]
    /// Over the columns.
    var sortKeys: [SortKey] = []
    var limit: Int?
    var offset = 0
}

/// Where the rows of a SELECT come from if not from a scan of its own.
enum RowSource {
    /// Frame column → column of the query.
    case query(QueryPlan, columns: [Int])
    case join(JoinPlan)
}

/// Tables and queries joined from left to right.
///
/// Frames have a column for each of the scope's, of which those of inputs not joined yet are NULL; so every
/// expression can be evaluated over them as it is.
struct JoinPlan {
    /// What each relation yields: its columns that are used, and no others.
    var inputs: [QueryPlan]
    /// Of each input, which frame columns it fills.
    var slots: [[Int]]
    /// How input n + 1 is joined to those before it.
    var steps: [JoinStep]
    var types: [ResultType]
}

struct JoinStep {
    /// Rows without a partner stay, with NULLs.
    var keepsAll: Bool
    /// Equal on both sides.
    var leftKeys: [BoundExpression] = []
    var rightKeys: [BoundExpression] = []
    /// What else a pair has to satisfy.
    var condition: BoundExpression?
    /// ASOF and LT.
    var asOf: AsOfRule?
}

/// Of the right rows whose time isn't later than the left's, the latest.
struct AsOfRule {
    var leftTime: BoundExpression
    var rightTime: BoundExpression
    /// Only before the left's time.
    var isStrict: Bool
    /// How long before it, inclusive; nil for ever.
    var toleranceNanoseconds: Int64?
}
