"""More shapes of queries: what Apus says in words of its own, and where names are looked up."""

from aggregates import aggregate
from query import Query
from rewrites import Pair
from tables import TABLES

SAMPLES = [("7m", "7 minutes"), ("1h", "1 hour"), ("6h", "6 hours"), ("1d", "1 day")]


def latest(g, depth):
    """LATEST ON is DISTINCT ON with the time descending, where the key names one series."""
    name = g.random.choice(list(TABLES))
    source = g.table(name=name)
    tags = [column for column in source.key if column.name != "time"]
    found, listed = g.select_list([g.value(source.columns) for _ in range(g.random.randint(1, 4))])
    where, keys = g.where(source.columns), g.join(", ", tags)
    time = next(column for column in source.key if column.name == "time")
    apus = g.write("SELECT {0} FROM {1}{2} LATEST ON {3} PARTITION BY {4}", listed, source.text, where, time, keys)
    oracle = g.write("SELECT DISTINCT ON ({4}) {0} FROM {1}{2} ORDER BY {4}, {3} DESC", listed, source.text, where, time, keys)
    return Query(Pair(apus.apus, oracle.oracle), found, kind="latest", limited=True)


def sample_by(g, depth):
    """SAMPLE BY is GROUP BY of the bucket and of all that has no aggregate in it."""
    source = g.table()
    short, width = g.random.choice(SAMPLES)
    time = next(column for column in source.key if column.name == "time")
    keys = [g.column(source.columns, g.random.choice(["text", "bool"])) for _ in range(g.random.randint(0, 2))]
    bucket = g.rewrite("time_bucket", f"INTERVAL '{width}'", time, type="time")
    bucket.apus = time.apus
    found, listed = g.select_list([bucket, *keys, *(aggregate(g, source) for _ in range(g.random.randint(1, 3)))])
    text = g.write("SELECT {0} FROM {1}{2}", listed, source.text, g.where(source.columns))
    groups = ", ".join(str(number + 1) for number in range(len(keys) + 1))
    return Query(Pair(f"{text.apus} SAMPLE BY {short}", f"{text.oracle} GROUP BY {groups}"), found, kind="sample by", limited=True)


def first_and_last(g, depth):
    """By time; where a group is one series its times differ. PostgreSQL collects all values for it."""
    source = g.table()
    tags = [column for column in source.key if column.name != "time"]
    time = next(column for column in source.key if column.name == "time")
    values = []
    for _ in range(g.random.randint(1, 3)):
        type = g.random.choice(["int", "float", "text", "bool"])
        value = g.expression(source.columns, type, g.random.choice([0, 1]))
        key = time
        name, order = g.random.choice([("first", "ASC"), ("last", "DESC"), ("arg_min", "ASC"), ("arg_max", "DESC")])
        apus = f"{name}({value.apus})" if name in ("first", "last") else f"{name}({value.apus}, {key.apus})"
        condition = g.condition(source.columns, 0) if g.random.random() < 0.3 else Pair("true", "true")
        values.append(Pair(apus + (f" FILTER (WHERE {condition.apus})" if condition.apus != "true" else ""),
                           f"(array_agg({value.oracle} ORDER BY {key.oracle} {order}) FILTER (WHERE ({value.oracle}) IS NOT NULL "
                           f"AND {condition.oracle}))[1]", type))
    found, listed = g.select_list(tags + values)
    groups = ", ".join(str(number + 1) for number in range(len(tags)))
    return Query(g.write("SELECT {0} FROM {1}{2} GROUP BY {3}", listed, source.text, g.where(source.columns), groups), found,
                 kind="first and last")


def over_groups(g, depth):
    """Expressions of aggregates, HAVING over aliases, windows over groups, and GROUP BY of whole expressions."""
    source = g.source(depth)
    keys = [g.column(source.columns, g.random.choice(["text", "bool", "int", "time"])) for _ in range(g.random.randint(1, 2))]
    keys = [key for key in keys if key.name] or [source.columns[0]]
    if g.random.random() < 0.4:
        # The same expression in the select list and in GROUP BY.
        keys.append(g.write("date_trunc('hour', {0})", g.random.choice([c for c in source.columns if c.type == "time"] or [
            g.literal("time")]), type="time") if any(c.type == "time" for c in source.columns) else keys[0])
    made = [aggregate(g, source, exact=True) for _ in range(g.random.randint(2, 4))]
    grouped = keys + [pair for pair in made if pair.exact]
    values = [g.any(grouped_columns(grouped), 1) for _ in range(g.random.randint(1, 3))]
    having = g.write("")
    if g.random.random() < 0.5:
        having = g.write(" HAVING {0}", g.condition(grouped_columns(grouped), 1))
    if g.random.random() < 0.5:
        order = g.write("ORDER BY {0}", g.join(", ", (g.sort_key(pair) for pair in grouped_columns(keys))))
        sums = [pair for pair in made if pair.type == "int"] or [g.write("count(*)", type="int")]
        values.append(g.write("rank() OVER (ORDER BY {0} DESC NULLS LAST)", g.random.choice(sums), type="int"))
        values.append(g.write("lag({0}) OVER ({1})", g.random.choice(sums), order, type="int"))
        values.append(g.write("count({0}) OVER ({1})", g.random.choice(sums), order, type="int"))
    found, listed = g.select_list(keys + values)
    return Query(g.write("SELECT {0} FROM {1}{2} GROUP BY {3}{4}", listed, source.text, g.where(source.columns),
                         g.join(", ", keys), having), found, kind="over groups")


def grouped_columns(pairs):
    """Pairs that count as columns, so that expressions are made of them."""
    return [Pair(pair.apus, pair.oracle, pair.type, pair.exact, pair.name or "made") for pair in pairs]


def ordered_by_others(g, depth):
    """ORDER BY what isn't selected, total by the row's key, with a LIMIT: read from the end that is asked for."""
    source = g.table()
    chosen = [g.value(source.columns) for _ in range(g.random.randint(1, 3))]
    found, listed = g.select_list(chosen)
    order = list(source.key)
    g.random.shuffle(order)
    if g.random.random() < 0.5:
        order.sort(key=lambda column: column.name != "time")
    if g.random.random() < 0.4:
        order.insert(0, g.write("coalesce({0}, {1})", *(g.random.choice([c for c in source.columns if c.type == "text"]) for _ in "ab")))
    text = g.write("SELECT {0} FROM {1}{2} ORDER BY {3}", listed, source.text, g.where(source.columns),
                   g.join(", ", (g.sort_key(key) for key in order)))
    if g.random.random() < 0.8:
        text = g.write("{0} LIMIT {1}", text, g.random.choice([1, 2, 5, 30]))
        if g.random.random() < 0.3:
            text = g.write("{0} OFFSET {1}", text, g.random.choice([1, 4, 100]))
    return Query(text, found, True, "ordered", True)


def three(g, depth):
    """Three tables: what WHERE says of the third must not be asked before its outer join."""
    a, b, c = g.table("a"), g.table("b"), g.table("c", g.random.choice(["e", "n"]))
    columns = a.columns + b.columns + c.columns
    words = [g.random.choice(["JOIN", "LEFT JOIN", "LEFT JOIN"]) for _ in range(2)]
    more = g.write(" AND {0}", g.condition(b.columns + c.columns, 1)) if g.random.random() < 0.5 else g.write("")
    text = g.write("{0} " + words[0] + " {1} ON a.host = b.host AND a.time = b.time{4} " + words[1] + " {2} ON {3} = c.host{5}",
                   a.text, b.text, c.text, g.random.choice(["a.host", "b.host", "b.s", "coalesce(b.host, a.host)"]),
                   g.write(" AND {0}", g.condition(a.columns + b.columns, 0)) if g.random.random() < 0.4 else g.write(""), more)
    found, listed = g.select_list([g.value(columns) for _ in range(g.random.randint(2, 4))])
    return Query(g.write("SELECT {0} FROM {1}{2}", listed, text, g.where(columns)), found, kind="three tables")


def bare_names(g, depth):
    """USING: `*` has its columns once, and a bare name is the left one's."""
    names = g.random.sample(["host", "time", "s"], g.random.randint(1, 2))
    word = g.random.choice(["JOIN", "LEFT JOIN"])
    a, b = g.table("a", g.random.choice(["m", "n"])), g.table("b", "e")
    where = g.where([Pair(n, n, "time" if n == "time" else "text", True, n) for n in names] + b.columns, 0)
    listed = g.random.choice([", ".join(names) + ", a.i, b.v", "a.*, b.w", "count(*), max(" + names[0] + "), sum(b.v)::int8"])
    return Query(g.write("SELECT {0} FROM {1} " + word + " {2} USING ({3}){4}", listed, a.text, b.text, ", ".join(names), where),
                 [Pair("", "", exact=False)], kind="bare names")


def named_window(g, depth):
    source = g.table()
    keys = g.join(", ", (g.sort_key(key) for key in source.key))
    partition = g.random.choice([column for column in source.columns if column.type in ("text", "bool")])
    value = g.column(source.columns, "int")
    pairs = [g.write("{0} - lag({0}) OVER w", value, type="int"), g.write("count({0}) OVER w", value, type="int"),
             g.write("max({0}) OVER w", value, type="int"),
             g.write("CASE WHEN row_number() OVER w > 2 THEN first_value({0}) OVER w ELSE {0} END", value, type="int")]
    found, listed = g.select_list(g.random.sample(pairs, g.random.randint(1, 3)))
    text = g.write("SELECT {0} FROM {1}{2} WINDOW w AS (PARTITION BY {3} ORDER BY {4})", listed, source.text,
                   g.where(source.columns), partition, keys)
    if g.random.random() < 0.3:
        text = g.write("{0} ORDER BY row_number() OVER w, {1} LIMIT 20", text, keys)
        return Query(text, found, True, "named window", True)
    return Query(text, found, kind="named window")


def times(g, depth):
    """Differences, dates and wall clocks."""
    source = g.table()
    time = next(column for column in source.key if column.name == "time")
    other = g.expression(source.columns, "time", 1)
    zone = g.random.choice(["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
    pairs = [g.write("({0} - {1})", time, other), g.write("extract(epoch FROM ({0} - {1}))::float8", time, other),
             g.write("{0}::date", other), g.write("({0}::date + 3)", time), g.write("{0} AT TIME ZONE '{1}'", other, zone),
             g.write("extract(hour FROM {0} AT TIME ZONE '{1}')::float8", time, zone),
             g.write("(({0} AT TIME ZONE '{1}') AT TIME ZONE 'UTC')", other, zone),
             g.write("({0} + {1} * 2)", time, g.interval()), g.write("({0} >= {1}::date)", time, other),
             g.write("date_trunc('day', {0} AT TIME ZONE '{1}')", time, zone),
             g.write("({0} - INTERVAL '1 month 2 days 03:04:05')", other)]
    found, listed = g.select_list(g.random.sample(pairs, g.random.randint(1, 4)))
    found = [Pair(pair.apus, pair.oracle, None, False, pair.name) for pair in found]
    return Query(g.write("SELECT {0} FROM {1}{2}", listed, source.text, g.where(source.columns)), found, kind="times")


def intervals(g, depth):
    """Intervals as keys: equal ones may be written in several ways, and any of a group's is the one shown."""
    def rows():
        source = g.table()
        time = next(column for column in source.key if column.name == "time")
        number = g.column(source.columns, "int")
        span = g.choose(
            (2, lambda: g.write("CASE WHEN {0} > 0 THEN INTERVAL '{1}' ELSE INTERVAL '{2}' END", number,
                                *g.random.choice([("1 day", "24 hours"), ("1 month", "30 days"), ("2 months -60 days", "0 days"),
                                                  ("36 hours", "1 day 12 hours"), ("-1 day", "-24 hours"), ("1 day", "2 days")]))),
            (1, lambda: g.write("{0} - date_trunc('day', {0})", time)),
            (1, lambda: g.write("INTERVAL '1 hour' * ({0} % 50)", number)))
        return g.write("SELECT {0} AS d, {1} AS n FROM {2}{3}", span, number, source.text, g.where(source.columns, 0))
    seconds = "extract(epoch FROM d)::float8 AS c0"
    text = g.choose(
        (2, lambda: g.write("SELECT " + seconds + ", count(*) AS c1, sum(n)::int8 AS c2 FROM ({0}) AS x GROUP BY d", rows())),
        (1, lambda: g.write("SELECT count(DISTINCT d) AS c0, count(*) AS c1 FROM ({0}) AS x", rows())),
        (1, lambda: g.write("SELECT " + seconds + " FROM (SELECT DISTINCT d FROM ({0}) AS x) AS y", rows())),
        (2, lambda: g.write("SELECT " + seconds + " FROM (SELECT d FROM ({0}) AS x {1} SELECT d FROM ({2}) AS y) AS z", rows(), g.random.choice(
            ["UNION", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"]), rows())),
        (1, lambda: g.write("SELECT count(*) AS c0, sum(a.n)::int8 AS c1 FROM ({0}) AS a JOIN (SELECT DISTINCT d FROM ({1}) AS b) AS c ON a.d = c.d", rows(), rows())),
        (1, lambda: g.write("SELECT count(*) AS c0 FROM ({0}) AS a WHERE d {1} (SELECT d FROM ({2}) AS b)", rows(), g.random.choice(["IN", "NOT IN"]), rows())))
    return Query(text, [Pair("", "", exact=False)], kind="intervals")


SHAPES = [latest, sample_by, first_and_last, over_groups, ordered_by_others, three, bare_names, named_window, times, intervals]
# Not for large tables.
MANY_ROWS = [three, bare_names]
