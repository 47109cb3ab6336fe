import ApusQuery
import Testing

@Suite struct ExpressionTests {
    @Test(arguments: [
        ("a or b and not c = d", "(a or (b and (not (c = d))))"),
        ("a and b and c or d or e", "((a and b and c) or d or e)"),
        ("1 + 2 * 3 - 4 / 5", "((1 + (2 * 3)) - (4 / 5))"),
        ("2 - 3 - 4", "((2 - 3) - 4)"),
        ("7 // 2 % 3", "((7 // 2) % 3)"),
        ("-2 ^ 2", "(-2 ^ 2)"),
        ("-a::int", "(-a::int64)"),
        ("- -3", "(--3)"),
        ("a = b is null", "((a = b) is null)"),
        ("a || b = c || d", "((a || b) = (c || d))"),
        ("a + 1 || 'x'", "((a + 1) || 'x')"),
        ("x ~ 'a' or x !~* 'b'", "((x ~ 'a') or (x !~* 'b'))"),
        ("x not in (1, 2) and y", "((x not in [\"1\", \"2\"]) and y)"),
        ("x between 1 and 2 and y", "((x between 1 : 2) and y)"),
        ("x not like 'a%' escape '!'", "(x not like 'a%' escape '!')"),
        ("x is not distinct from y + 1", "(x same (y + 1))"),
        ("t + interval '1 hour' at time zone 'UTC'", "(t + (interval'1 hour' at 'UTC'))"),
        ("interval '5' minute", "interval'5 minute'"),
        ("timestamp with time zone '2026-01-01'", "timestamp'2026-01-01'"),
        ("timestamp without time zone '2026-01-01'", "timestamp_local'2026-01-01'"),
        ("\"type\"::tag = type::field::text", "(type::tag = type::field::string)"),
        ("c.host", "c.host"), ("db.public.cpu.host", "db.cpu.host"),
        ("in + out", "(in + out)"), ("in in (in)", "(in in [\"in\"])"),
        ("interval > 5", "(interval > 5)"), ("date = timestamp", "(date = timestamp)"),
        ("count(*) filter (where a > 1)", "count(*) filter (a > 1)"),
        ("count(distinct host)", "count(distinct host)"),
        ("time_bucket('1d', time, timezone => 'UTC')", "time_bucket('1d', time, timezone=>'UTC')"),
        ("case when a then 1 else 2 end", "case when a then 1 else 2"),
        ("case a when 1 then 'x' end", "case a when 1 then 'x'"),
        ("extract(hour from time)", "extract(hour from time)"),
        ("cast(a as double precision)", "a::float64"),
        ("substring(a from 2 for 3)", "substring(a, 2, 3)"),
        ("position('x' in a)", "strpos(a, 'x')"), ("trim(leading 'x' from a)", "ltrim(a, 'x')"),
        ("trim(a)", "btrim(a)"), ("left(a, 2)", "left(a, 2)"),
        ("$1 + $23", "($1 + $23)"), ("'it''s'", "'it's'"), ("E'a\\n\\u00e9\\x41'", "'a\néA'"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615", "18446744073709551615u"),
        ("18446744073709551616", "1.8446744073709552e+19f"),
        ("1.5e3 + .5 + 2.", "((1500.0f + 0.5f) + 2.0f)"),
        ("a /* x /* y */ z */ + -- c\n b", "(a + b)"),
    ])
    func `an expression is read with PostgreSQL's precedence`(text: String, expected: String) throws
    {
        #expect(written(try Parser.parseExpression(text)) == expected)
    }

    @Test(arguments: [
        ("avg(x)", "avg"), ("AVG(x)", "avg"), ("a + 1", "?column?"), ("1", "?column?"),
        ("a::text", "a"), ("1::text", "text"), ("c.host", "host"), ("true", "bool"),
        ("case when a then 1 end", "case"), ("case when a then 1 else b end", "b"),
    ])
    func `an unnamed column is called as PostgreSQL calls it`(text: String, name: String) throws {
        #expect(try Parser.parseExpression(text).outputName == name)
    }

    @Test func `ten thousand conditions in a row are no deeper than one`() throws {
        let text = Array(repeating: "a = 1", count: 10_000).joined(separator: " OR ")
        #expect(try Parser.parseExpression(text).depth == 3)
    }

    @Test(arguments: [
        ("", "(", ""), ("", "- ", "1"), ("", "NOT ", "a"), ("1", " + 1", ""), ("1", "::int", ""),
        ("", "case when ", ""), ("", "f(", ""), ("", "a in (", ""),
    ])
    func `nesting without end is refused`(begin: String, repeated: String, end: String) {
        let text = begin + String(repeating: repeated, count: 100_000) + end
        #expect { try Parser.parseExpression(text) } throws: {
            ($0 as? QueryError)?.code == .limit
        }
    }

    @Test func `the deepest nesting allowed is read on a small stack`() throws {
        let text = String(repeating: "(", count: 199) + "1" + String(repeating: ")", count: 199)
        #expect(written(try Parser.parseExpression(text)) == "1")
    }
}
