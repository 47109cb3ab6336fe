// The syntax of queries: SELECT, what FROM holds, WITH and UNION.

package struct SelectItem: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// `*` or `alias.*`, perhaps `EXCLUDE (…)`.
        case star(qualifier: Identifier?, excluded: [Identifier])
        /// `COLUMNS('regex')`: those whose name it matches.
        case columns(pattern: String)
        case expression(Expression, alias: Identifier?)
    }

    package var kind: Kind
    package var position: SourcePosition
}

package struct TableReference: Hashable, Sendable {
    package var name: TableName
    package var alias: Identifier?

    package var position: SourcePosition { name.position }
}

package struct OrderItem: Hashable, Sendable {
    /// An integer literal is an ordinal, a bare name may be an alias: the binder's business.
    package var expression: Expression
    package var isDescending: Bool
    /// Nil when not said: last for ascending, first for descending.
    package var nullsFirst: Bool?
}

/// `LATEST ON time PARTITION BY columns`.
package struct LatestOn: Hashable, Sendable {
    package var time: ColumnReference
    /// One or more.
    package var partitionColumns: [ColumnReference]
    package var position: SourcePosition
}

/// What FILL puts into an empty bucket.
package enum FillValue: Hashable, Sendable {
    /// Nothing: the bucket stays out of the answer.
    case none
    case null
    case previous
    case linear
    case value(Expression)
}

/// `SAMPLE BY width [FROM … [TO …]] [FILL(…)] [ALIGN TO CALENDAR [TIME ZONE …] [WITH OFFSET …]]`.
package struct SampleBy: Hashable, Sendable {
    package var width: Interval
    package var widthPosition: SourcePosition
    package var from: Expression?
    package var to: Expression?
    /// Empty without FILL; one for all aggregates, or one for each.
    package var fill: [FillValue] = []
    package var fillPosition: SourcePosition?
    package var zone: Expression?
    package var offset: Interval?
    package var position: SourcePosition
}

package struct SelectStatement: Hashable, Sendable {
    package var position: SourcePosition
    package var isDistinct = false
    /// `DISTINCT ON (…)`.
    package var distinctOn: [Expression] = []
    package var items: [SelectItem] = []
    package var from: FromItem?
    package var condition: Expression?
    /// Applied behind the condition, before grouping.
    package var latestOn: LatestOn?
    package var sampleBy: SampleBy?
    /// Ordinals and aliases are the binder's business.
    package var groupBy: [Expression] = []
    /// By everything in the select list that isn't an aggregate.
    package var groupsByAll = false
    package var having: Expression?
    /// `WINDOW name AS (…)`.
    package var windows: [NamedWindow] = []
    package var qualify: Expression?
    package var orderBy: [OrderItem] = []
    /// `ORDER BY ALL`: by every column of the answer.
    package var ordersByAll: OrderItem?
    /// Nil also for `LIMIT ALL`.
    package var limit: Expression?
    package var offset: Expression?

    package init(position: SourcePosition) {
        self.position = position
    }
}

/// `PARTITION BY … ORDER BY … ROWS …`.
package struct WindowSpecification: Hashable, Sendable {
    package enum Unit: Hashable, Sendable { case rows, range, groups }

    package indirect enum Bound: Hashable, Sendable {
        case unboundedPreceding
        case preceding(Expression)
        case currentRow
        case following(Expression)
        case unboundedFollowing
    }

    package struct Extent: Hashable, Sendable {
        package var unit: Unit
        package var start: Bound
        package var end: Bound
        package var position: SourcePosition
    }

    package var partitionBy: [Expression] = []
    package var orderBy: [OrderItem] = []
    /// Nil where it isn't said.
    package var extent: Extent?

    var expressions: [Expression] {
        var all = partitionBy + orderBy.map(\.expression)
        for bound in [extent?.start, extent?.end] {
            switch bound {
            case .preceding(let distance), .following(let distance): all.append(distance)
            default: continue
            }
        }
        return all
    }
}

package enum WindowReference: Hashable, Sendable {
    case named(Identifier)
    case written(WindowSpecification)
}

package struct NamedWindow: Hashable, Sendable {
    package var name: Identifier
    package var specification: WindowSpecification
}

/// `name [(columns)] AS (query)`.
package struct CommonTable: Hashable, Sendable {
    package var name: Identifier
    package var columns: [Identifier]
    package var query: Query
}

package struct SetOperation: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable {
        case union = "UNION"
        case intersect = "INTERSECT"
        case except = "EXCEPT"
    }

    package var kind: Kind
    package var isAll: Bool
    package var left: Query
    package var right: Query
    package var orderBy: [OrderItem] = []
    /// `ORDER BY ALL`: by every column of the answer.
    package var ordersByAll: OrderItem?
    package var limit: Expression?
    package var offset: Expression?
    package var position: SourcePosition
}

/// A SELECT, or several joined by UNION and the like, with the WITH before it.
package struct Query: Hashable, Sendable {
    package indirect enum Body: Hashable, Sendable {
        case select(SelectStatement)
        case set(SetOperation)
    }

    package var commonTables: [CommonTable] = []
    package var body: Body

    package init(_ body: Body) { self.body = body }

    package var position: SourcePosition {
        switch body {
        case .select(let select): select.position
        case .set(let operation): operation.left.position
        }
    }
}

/// A query in FROM.
package struct DerivedTable: Hashable, Sendable {
    package var query: Query
    package var alias: Identifier?
    package var columns: [Identifier]
    package var position: SourcePosition
}

package struct Join: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case inner, left, cross
        /// The latest row of the right at the left's time, or before it.
        case asof(keepsAll: Bool)
        /// The latest row of the right before the left's time.
        case lessThan(keepsAll: Bool)
    }

    package var kind: Kind
    package var left: FromItem
    package var right: FromItem
    package var condition: Expression?
    /// `USING (…)` or `ON (column, …)`.
    package var columns: [Identifier] = []
    /// Of USING, which the answer has once.
    package var mergesColumns = false
    package var tolerance: Interval?
    package var position: SourcePosition
}

package indirect enum FromItem: Hashable, Sendable {
    case table(TableReference)
    case query(DerivedTable)
    case join(Join)
}
