// The syntax tree of one statement, as written: nothing here is looked up or checked for types.
//
// Every node carries the position of its first character (for binary operators: the operator), so
// that a later stage can point at what it refuses. `AND` and `OR` are lists and not pairs, because
// generated conditions chain thousands of them; every other nesting is bounded by
// `ParserLimits.depthMax`, so that walking the tree by recursion is safe.

package import ApusStorage

/// Where in the statement's text something stands.
package struct SourcePosition: Hashable, Sendable {
    /// Offset in UTF-8 bytes, from 0.
    package var byteOffset: Int
    /// Line, from 1.
    package var line: Int
    /// Column in Unicode code points, from 1.
    package var column: Int

    package init(byteOffset: Int, line: Int, column: Int) {
        self.byteOffset = byteOffset
        self.line = line
        self.column = column
    }

    package static let start = SourcePosition(byteOffset: 0, line: 1, column: 1)
}

/// A name as written, without its quotes.
package struct Identifier: Hashable, Sendable {
    package var text: String
    /// Quoted names match exactly; unquoted ones exactly, else by ASCII case if that is unique.
    package var isQuoted: Bool
    package var position: SourcePosition

    package init(text: String, isQuoted: Bool, position: SourcePosition) {
        self.text = text
        self.isQuoted = isQuoted
        self.position = position
    }
}

/// `table`, `database.table` or `database.public.table`.
package struct TableName: Hashable, Sendable {
    package var database: Identifier?
    package var table: Identifier

    package var position: SourcePosition { database?.position ?? table.position }

    package init(database: Identifier?, table: Identifier) {
        self.database = database
        self.table = table
    }
}

/// Which of a table's two name spaces `"name"::tag` or `"name"::field` asks for.
package enum ColumnKind: Hashable, Sendable {
    case tag, field
}

/// A column, perhaps qualified (`c.host`, `db.cpu.host`), perhaps with its name space.
package struct ColumnReference: Hashable, Sendable {
    /// Nothing, an alias or table, or database and table (`public` in between is dropped).
    package var qualifiers: [Identifier]
    package var name: Identifier
    package var kind: ColumnKind?

    package var position: SourcePosition { qualifiers.first?.position ?? name.position }

    package init(qualifiers: [Identifier] = [], name: Identifier, kind: ColumnKind? = nil) {
        self.qualifiers = qualifiers
        self.name = name
        self.kind = kind
    }
}

/// A type as a cast or a typed literal names it.
package enum TypeName: Hashable, Sendable {
    case float64, int64, uint64, bool, string
    /// `TIMESTAMP` and `TIMESTAMPTZ`: an instant.
    case timestamp
    /// `TIMESTAMP_LOCAL` and `TIMESTAMP WITHOUT TIME ZONE`: a wall-clock reading.
    case timestampLocal
    case date, interval

    /// The name in answers and messages.
    package var name: String {
        switch self {
        case .float64: "float64"
        case .int64: "int64"
        case .uint64: "uint64"
        case .bool: "bool"
        case .string: "string"
        case .timestamp: "timestamp"
        case .timestampLocal: "timestamp_local"
        case .date: "date"
        case .interval: "interval"
        }
    }
}

package enum Literal: Hashable, Sendable {
    case null
    case boolean(Bool)
    case integer(Int64)
    /// Only for integers above `Int64.max`; above `UInt64.max` a literal is a double.
    case unsigned(UInt64)
    case double(Double)
    case string(String)
}

package enum UnaryOperator: Hashable, Sendable {
    case minus, plus, not
}

package enum BinaryOperator: String, Hashable, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case divideTruncating = "//"
    case modulo = "%"
    case power = "^"
    case concatenate = "||"
    case equal = "="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
}

/// What `IS [NOT] …` asks.
package enum IsTest: Hashable, Sendable {
    case null, `true`, `false`, unknown
}

package struct Expression: Hashable, Sendable {
    package indirect enum Kind: Hashable, Sendable {
        case column(ColumnReference)
        case literal(Literal)
        /// `INTERVAL '1 hour'`, `TIMESTAMP '2026-01-01'`, `DATE '2026-01-01'`; the text unchecked.
        case typedLiteral(TypeName, String)
        /// `$1` is parameter 1.
        case parameter(Int)
        case unary(UnaryOperator, Expression)
        case binary(BinaryOperator, Expression, Expression)
        /// Two or more.
        case and([Expression])
        /// Two or more.
        case or([Expression])
        case isTest(Expression, IsTest, negated: Bool)
        /// `IS DISTINCT FROM`; negated for `IS NOT DISTINCT FROM`.
        case isDistinct(Expression, Expression, negated: Bool)
        case inList(Expression, [Expression], negated: Bool)
        case between(Expression, low: Expression, high: Expression, negated: Bool)
        /// `LIKE` and `ILIKE`.
        case like(
            Expression, pattern: Expression, escape: Expression?, ignoresCase: Bool, negated: Bool)
        /// `~ ~* !~ !~*`.
        case matches(Expression, pattern: Expression, ignoresCase: Bool, negated: Bool)
        case call(FunctionCall)
        case cast(Expression, TypeName)
        case caseWhen(CaseExpression)
        /// `EXTRACT(field FROM source)`; the field as written.
        case extract(field: Identifier, source: Expression)
        case atTimeZone(Expression, zone: Expression)
        /// `(SELECT …)` where a value stands: its one column of one row, or NULL.
        case subquery(Query)
        case inQuery(Expression, Query, negated: Bool)
        case exists(Query)
        /// `call OVER window`.
        case window(FunctionCall, WindowReference)
    }

    package let kind: Kind
    package let position: SourcePosition
    /// Levels of nesting: 1 for a leaf. At most `ParserLimits.depthMax` in what the parser gives.
    package let depth: Int

    package init(_ kind: Kind, at position: SourcePosition) {
        self.kind = kind
        self.position = position
        var depthBelow = 0
        kind.forEachChild { depthBelow = max(depthBelow, $0.depth) }
        depth = depthBelow + 1
    }
}

/// `name([DISTINCT] arguments [ORDER BY …]) [WITHIN GROUP (ORDER BY …)] [FILTER (WHERE condition)]`.
package struct FunctionCall: Hashable, Sendable {
    package struct NamedArgument: Hashable, Sendable {
        package var name: Identifier
        package var value: Expression
    }

    package var name: Identifier
    /// Empty when `isStar`.
    package var arguments: [Expression]
    /// `name => value`, always behind the others.
    package var namedArguments: [NamedArgument]
    /// `count(*)`.
    package var isStar: Bool
    package var isDistinct: Bool
    /// ORDER BY behind the arguments.
    package var orderBy: [OrderItem] = []
    package var withinGroup: [OrderItem] = []
    package var filter: Expression?

    package init(
        name: Identifier, arguments: [Expression] = [], namedArguments: [NamedArgument] = [],
        isStar: Bool = false, isDistinct: Bool = false, filter: Expression? = nil
    ) {
        self.name = name
        self.arguments = arguments
        self.namedArguments = namedArguments
        self.isStar = isStar
        self.isDistinct = isDistinct
        self.filter = filter
    }
}

/// `CASE [operand] WHEN … THEN … [ELSE …] END`.
package struct CaseExpression: Hashable, Sendable {
    package struct Branch: Hashable, Sendable {
        /// A condition, or a value to compare with the operand.
        package var condition: Expression
        package var result: Expression
    }

    package var operand: Expression?
    /// One or more.
    package var branches: [Branch]
    package var otherwise: Expression?
}

// MARK: - Other statements

package struct ColumnDefinition: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case time
        case tag
        case field(FieldType)
    }

    package var name: Identifier
    package var kind: Kind
}

package struct CreateTableStatement: Hashable, Sendable {
    package var name: TableName
    package var columns: [ColumnDefinition]
    package var ifNotExists: Bool
    package var position: SourcePosition
}

/// `retention = '90d'`.
package struct DatabaseOption: Hashable, Sendable {
    package var name: Identifier
    package var value: Literal
    package var valuePosition: SourcePosition
}

package struct CreateDatabaseStatement: Hashable, Sendable {
    package var name: Identifier
    package var options: [DatabaseOption]
    package var ifNotExists: Bool
    package var position: SourcePosition
}

package struct AlterDatabaseStatement: Hashable, Sendable {
    package var name: Identifier
    package var options: [DatabaseOption]
    package var position: SourcePosition
}

package struct DropDatabaseStatement: Hashable, Sendable {
    package var name: Identifier
    package var ifExists: Bool
    package var position: SourcePosition
}

package struct DropTableStatement: Hashable, Sendable {
    package var name: TableName
    package var ifExists: Bool
    package var position: SourcePosition
}

/// `ALTER TABLE table DROP [COLUMN] [IF EXISTS] name`, `ALTER TABLE table RENAME [COLUMN] name TO name`.
package struct AlterTableStatement: Hashable, Sendable {
    package enum Action: Hashable, Sendable {
        case drop(ifExists: Bool)
        case rename(to: Identifier)
    }

    package var table: TableName
    /// Never qualified, perhaps with `::tag` or `::field`.
    package var column: ColumnReference
    package var action: Action
    package var position: SourcePosition
}

package struct DropSeriesStatement: Hashable, Sendable {
    package var table: TableName
    /// Nil: all of them.
    package var condition: Expression?
    package var position: SourcePosition
}

package struct InsertStatement: Hashable, Sendable {
    package var table: TableName
    /// Never qualified, perhaps with `::tag` or `::field`. Never empty.
    package var columns: [ColumnReference]
    /// Each row has as many expressions as there are columns.
    package var rows: [[Expression]]
    package var position: SourcePosition
}

package struct DeleteStatement: Hashable, Sendable {
    package var table: TableName
    package var condition: Expression?
    package var position: SourcePosition
}

/// `SHOW TAG VALUES FROM table WITH KEY = name [WHERE …] [LIMIT n] [OFFSET n]`.
package struct ShowTagValues: Hashable, Sendable {
    package var table: TableName
    /// One or more.
    package var keys: [Identifier]
    package var condition: Expression?
    package var limit: Expression?
    package var offset: Expression?
}

/// `SHOW SERIES FROM table [WHERE …] [LIMIT n] [OFFSET n]`.
package struct ShowSeries: Hashable, Sendable {
    package var table: TableName
    package var condition: Expression?
    package var limit: Expression?
    package var offset: Expression?
}

package enum ShowStatement: Hashable, Sendable {
    case databases
    /// Nil: of the session's database.
    case tables(database: Identifier?)
    case tagKeys(TableName)
    case tagValues(ShowTagValues)
    case fieldKeys(TableName)
    case series(ShowSeries)
    /// Nil: of all tables of the session's database.
    case cardinality(TableName?, limit: Expression?, offset: Expression?)
    case queries
}

package struct Statement: Hashable, Sendable {
    package indirect enum Kind: Hashable, Sendable {
        case query(Query)
        case show(ShowStatement)
        case describe(TableName)
        case explain(Statement, analyze: Bool)
        case insert(InsertStatement)
        case delete(DeleteStatement)
        case createTable(CreateTableStatement)
        case createDatabase(CreateDatabaseStatement)
        case alterDatabase(AlterDatabaseStatement)
        case alterTable(AlterTableStatement)
        case dropTable(DropTableStatement)
        case dropDatabase(DropDatabaseStatement)
        case dropSeries(DropSeriesStatement)
        case flush
        /// Nil: every table of every database.
        case compact(TableName?)
        /// `KILL [QUERY] id`.
        case kill(Expression)
        /// `SET TimeZone = '…'`, `SET TIME ZONE '…'`; nil for DEFAULT.
        case setTimeZone(String?)
    }

    package var kind: Kind
    package var position: SourcePosition

    package init(_ kind: Kind, at position: SourcePosition) {
        self.kind = kind
        self.position = position
    }

    /// Whether the statement only reads: what a GET may carry.
    package var isReadOnly: Bool {
        switch kind {
        case .query, .show, .describe, .setTimeZone: true
        case .explain(let inner, let analyze): !analyze || inner.isReadOnly
        default: false
        }
    }
}
