import ApusQuery
import ApusStorage
import Testing

@Suite struct StatementTests {
    private func select(_ text: String) throws -> SelectStatement {
        guard case .query(let query) = try Parser.parse(text).kind,
            case .select(let statement) = query.body
        else { throw QueryError(.internal, "not a SELECT") }
        return statement
    }

    private func table(_ statement: SelectStatement) -> TableReference? {
        if case .table(let reference) = statement.from { reference } else { nil }
    }

    @Test func `every clause of SELECT ends up in its place`() throws {
        let statement = try select(
            """
            SELECT DISTINCT *, c.*, avg(x) AS "Mean", host h FROM a.public."b.c" c
            WHERE x > 1 GROUP BY 1, h HAVING avg(x) > 2
            ORDER BY 2 DESC NULLS LAST, h LIMIT 10 OFFSET 5;
            """)
        #expect(statement.isDistinct && statement.items.count == 4)
        #expect(table(statement)?.name.database?.text == "a")
        #expect(table(statement)?.name.table.text == "b.c")
        #expect(table(statement)?.alias?.text == "c")
        #expect(statement.condition.map(written) == "(x > 1)")
        #expect(statement.groupBy.map(written) == ["1", "h"])
        #expect(statement.having.map(written) == "(avg(x) > 2)")
        #expect(statement.orderBy.map(\.isDescending) == [true, false])
        #expect(statement.orderBy.map(\.nullsFirst) == [false, nil])
        #expect(statement.limit.map(written) == "10" && statement.offset.map(written) == "5")
    }

    @Test func `LATEST ON is a clause and latest a name`() throws {
        let statement = try select(
            "SELECT latest FROM cpu WHERE a LATEST ON time PARTITION BY host, b")
        #expect(statement.latestOn?.partitionColumns.map(\.name.text) == ["host", "b"])
        let aliased = try select("SELECT * FROM cpu latest WHERE a")
        #expect(table(aliased)?.alias?.text == "latest")
    }

    @Test func `words that are not reserved are columns`() throws {
        let words =
            "time user system name type value state interval in out read write first last "
            + "sample fill latest default date timestamp key tag field current_date"
        for word in words.split(separator: " ") {
            let statement = try select(
                "SELECT \(word), x AS \(word) FROM \(word) WHERE \(word) > 1 ORDER BY \(word)")
            #expect(statement.items.count == 2, "\(word)")
        }
    }

    @Test(arguments: [
        "SHOW DATABASES", "show tables", "SHOW TABLES FROM db", "SHOW TAG KEYS FROM cpu",
        "SHOW TAG VALUES FROM cpu WITH KEY = host WHERE region = 'eu' LIMIT 5 OFFSET 2",
        "SHOW TAG VALUES FROM cpu WITH KEY IN (host, \"a b\")", "SHOW FIELD KEYS FROM a.b",
        "SHOW SERIES FROM cpu WHERE region = 'eu' LIMIT 10", "DESCRIBE cpu", "desc a.b",
        "EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT * FROM cpu", "SET TimeZone = 'Europe/Berlin'",
        "SET TIME ZONE DEFAULT", "SELECT 1", "SHOW QUERIES", "show queries;",
    ])
    func `statements that only read say so`(text: String) throws {
        #expect(try Parser.parse(text).isReadOnly)
    }

    @Test(arguments: [
        "FLUSH", "COMPACT", "COMPACT cpu", "COMPACT TABLE cpu;", "DROP TABLE IF EXISTS a.b",
        "DROP DATABASE metrics",
        "CREATE DATABASE IF NOT EXISTS m WITH (retention = '90d', partition = 1d)",
        "ALTER TABLE a.b DROP COLUMN IF EXISTS \"x\"::field", "alter table t rename a to b;",
        "ALTER TABLE t DROP \"if\"", "ALTER TABLE t RENAME COLUMN type TO state",
        "ALTER DATABASE m SET (retention = '30d')", "DELETE FROM cpu WHERE host = 'h1'",
        "EXPLAIN ANALYZE DELETE FROM cpu", "KILL 1", "kill query 17;", "KILL QUERY $1",
        "INSERT INTO cpu (time, host, \"type\"::field) VALUES (now(), 'a', -1), (1, NULL, $1)",
    ])
    func `statements that write say so`(text: String) throws {
        #expect(try !Parser.parse(text).isReadOnly)
    }

    @Test func `CREATE TABLE knows tags, fields and time`() throws {
        let text =
            "CREATE TABLE IF NOT EXISTS cpu (time TIMESTAMP, host TAG, a DOUBLE PRECISION, "
            + "b INT, c UBIGINT, d BOOL, e VARCHAR)"
        guard case .createTable(let statement) = try Parser.parse(text).kind else {
            Issue.record("no CREATE TABLE")
            return
        }
        #expect(
            statement.columns.map(\.kind) == [
                .time, .tag, .field(.float64), .field(.int64), .field(.uint64), .field(.bool),
                .field(.string),
            ])
        #expect(statement.ifNotExists)
    }

    @Test(arguments: [
        (
            "SELECT host FROM cpu WHERE", "expected an expression after WHERE, found end of query",
            27
        ),
        (
            "SELECT host FROM cpu WHERE  ",
            "expected an expression after WHERE, found end of query", 27
        ),
        ("", "the statement is empty", 1), (" -- nothing", "the statement is empty", 1),
        ("SELECT FROM cpu", "expected an expression after SELECT, found FROM", 8),
        ("SELECT é, 'ü' FRM cpu x", "expected end of query after `FRM`, found `cpu`", 19),
        ("SELEC 1", "expected a statement, found `SELEC`", 1),
        ("SELECT 1; SELECT 2", "expected one statement, found a second one", 11),
        ("SELECT a FROM cpu GROUP host", "expected BY after GROUP, found `host`", 25),
        ("SELECT (1 + 2", "expected `)` after `2`, found end of query", 14),
        ("SELECT 1 < 2 < 3", "comparisons do not chain", 14),
        ("SELECT 'abc", "the string that begins here has no closing quote", 8),
        ("SELECT \"abc", "the name that begins here has no closing quote", 8),
        ("SELECT /* x", "the comment that begins here has no end", 8),
        ("SELECT a == b", "`==` is not an operator", 10),
        ("SELECT x NOT 5", "expected IN, LIKE, ILIKE or BETWEEN after NOT, found `5`", 14),
        (
            "SELECT * FROM cpu LATEST ON time PARTITION BY a WHERE b",
            "WHERE goes before LATEST ON", 49
        ),
        ("SELECT f(a)::tag", "::tag goes directly behind a column's name", 14),
        ("INSERT INTO t (a, b) VALUES (1)", "the row has 1 values for 2 columns", 29),
        ("SELECT * FROM my-table", "expected the end of a table's name, found `-`", 17),
        ("SELECT a FROM 'cpu'", "expected a table's name after FROM, found a string", 15),
        ("SELECT CAST(a AS money)", "there is no type `money`", 18),
        ("ALTER TABLE t", "expected DROP or RENAME after `t`, found end of query", 14),
        ("ALTER TABLE t DROP", "expected a column's name after DROP, found end of query", 19),
        ("ALTER TABLE t RENAME a b", "expected TO after `a`, found `b`", 24),
        ("ALTER TABLE t DROP a CASCADE", "expected end of query after `a`, found `CASCADE`", 22),
        ("KILL", "expected an expression after KILL, found end of query", 5),
        ("KILL QUERY", "expected an expression after QUERY, found end of query", 11),
        ("KILL 1 2", "expected end of query after `1`, found `2`", 8),
        ("SHOW QUERIES FROM a", "expected end of query after `QUERIES`, found FROM", 14),
        ("SELECT CASE a END", "expected WHEN after `a`, found END", 15),
    ])
    func `a malformed statement is refused by message and column`(
        text: String, message: String, column: Int
    ) {
        #expect {
            try Parser.parse(text)
        } throws: { error in
            guard let error = error as? QueryError else { return false }
            let isRight =
                error.code == .syntax && error.message == message
                && error.line == 1 && error.column == column
            if !isRight { Issue.record("\(text): \(error)") }
            return isRight
        }
    }

    @Test(arguments: [
        ("SELECT a FROM x RIGHT JOIN y ON (z)", "RIGHT JOIN is not available yet", 17),
        ("SELECT a FROM x NATURAL JOIN y", "NATURAL JOIN is not available yet", 17),
        ("SELECT a FROM LATERAL (SELECT 1)", "LATERAL is not available yet", 15),
        ("WITH RECURSIVE a AS (SELECT 1) SELECT 2", "WITH RECURSIVE is not available yet", 6),
        ("SELECT lag(a) IGNORE NULLS OVER () FROM x", "IGNORE NULLS is not available yet", 15),
        ("SELECT * REPLACE (a AS b) FROM x", "* REPLACE is not available yet", 10),
        ("UPDATE x SET a = 1", "UPDATE is not available yet", 1),
    ])
    func `what comes later is refused as unsupported, with its place`(
        text: String, message: String, column: Int
    ) {
        #expect(throws: QueryError(.unsupported, message, line: 1, column: column)) {
            try Parser.parse(text)
        }
    }

    @Test func `lines and columns count characters`() {
        #expect(
            throws: QueryError(
                .syntax, "expected an expression after WHERE, found `)`", line: 3, column: 8)
        ) { try Parser.parse("SELECT 'é'\nFROM cpu\n WHERE )") }
    }

    @Test func `no cut and no flipped byte of a statement traps`() throws {
        let text =
            "SELECT time_bucket('1 min', time) AS t, E'\\x41', -1.5e3 FROM \"a\".b WHERE h ~ 'x' "
            + "AND c IS NOT NULL LATEST ON time PARTITION BY host ORDER BY 1 DESC LIMIT $1 -- end"
        let bytes = Array(text.utf8)
        for index in bytes.indices {
            _ = try? Parser.parse(String(decoding: bytes[..<index], as: UTF8.self))
            for byte in [0, 0x27, 0x28, 0x2A, 0x2F, 0x3A, 0x80, 0xFF] as [UInt8] {
                var changed = bytes
                changed[index] = byte
                _ = try? Parser.parse(String(decoding: changed, as: UTF8.self))
            }
        }
    }
}
