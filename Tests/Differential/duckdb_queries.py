"""Clauses that DuckDB has and PostgreSQL hasn't. Expressions are few here: their meaning is PostgreSQL's business."""

import windows
from aggregates import aggregate
from query import Query
from rewrites import Pair


def query(g):
    made = g.choose((3, lambda: asof(g)), (2, lambda: qualify(g)), (3, lambda: by_key(g)), (2, lambda: group_all(g)),
                    (1, lambda: star(g)))
    return made


def asof(g):
    left, right = g.table("a"), g.table("b")
    names = {c.name for c in left.columns} & {c.name for c in right.columns} & {"host", "s", "b", "i"}
    keys = g.random.sample(sorted(names), min(len(names), g.random.choice([1, 1, 2])))
    # Of equal times any row may be taken, unless its keys are all there is.
    inner = g.random.random() < 0.4
    word = "ASOF" if g.random.random() < 0.6 else "LT"
    equal = " AND ".join(f"a.{name} = b.{name}" for name in keys)
    operator = ">=" if word == "ASOF" else ">"
    # Of rows with one time and the same keys any may be taken: then only the keys and the time are certain.
    single = set(keys) >= {c.name for c in right.key if c.name != "time"}
    chosen = [c for c in right.columns if single or c.name == "time" or c.name in keys]
    # What is beyond the tolerance isn't there: DuckDB has none, so its columns become NULL.
    tolerance = g.random.choice(["", "", "1h", "10m", "1d"])
    if tolerance:
        inner = False
        limit = {"1h": "1 hour", "10m": "10 minutes", "1d": "1 day"}[tolerance]
        chosen = [Pair(c.apus, f"CASE WHEN a.time - b.time <= INTERVAL '{limit}' THEN {c.oracle} END", c.type) for c in chosen]
        tolerance = f" TOLERANCE {tolerance}"
    found, listed = g.select_list(left.key + [g.random.choice(left.columns)] + chosen)
    # Ours keeps all rows of the left side unless it says INNER, DuckDB's only if it says LEFT.
    joined = Pair(f"{left.text.apus} {word}{' INNER' if inner else ''} JOIN {right.text.apus} ON ({equal}){tolerance}",
                  f"{left.text.oracle} ASOF {'' if inner else 'LEFT '}JOIN {right.text.oracle} ON {equal} AND a.time {operator} b.time")
    return Query(g.write("SELECT {0} FROM {1}{2}", listed, joined, g.where(left.columns, 0)), found, kind="asof")


def qualify(g):
    source = g.table()
    found, listed = g.select_list([*source.key, g.any(source.columns, 1), windows.window(g, source)])
    test = windows.window(g, source)
    while test.type not in ("int", "time", "text") or not test.exact:
        test = windows.window(g, source)
    comparison = g.write("{0} " + g.random.choice(["<", ">", "=", "<>", "<="]) + " {1}", test, g.literal(test.type))
    return Query(g.write("SELECT {0} FROM {1}{2} QUALIFY {3}", listed, source.text, g.where(source.columns, 0), comparison),
                 found, kind="qualify")


def by_key(g):
    """arg_min and arg_max: of equal keys any row may be taken, so that the key itself is looked at, or all are told
    apart by the time and one series."""
    source = g.table(name="e")
    value = g.choose((1, lambda: g.column(source.columns, "int")), (1, lambda: g.column(source.columns, "text")),
                     (1, lambda: g.column(source.columns, "float")))
    key = next(c for c in source.columns if c.name == "time")
    host = next(c for c in source.columns if c.name == "host")
    name = g.random.choice(["arg_min", "arg_max", "min_by", "max_by"])
    picked = g.write(name + "({0}, {1})", value, key, type=value.type)
    if g.random.random() < 0.3:
        picked = g.write("{0} FILTER (WHERE {1})", picked, g.condition(source.columns, 1), type=value.type)
    found, listed = g.select_list([host, picked, aggregate(g, source)])
    return Query(g.write("SELECT {0} FROM {1}{2} GROUP BY 1", listed, source.text, g.where(source.columns, 0)), found, kind="by key")


def group_all(g):
    source = g.table()
    keys = [g.random.choice(source.columns) for _ in range(g.random.randint(1, 3))]
    found, listed = g.select_list(keys + [aggregate(g, source, exact=True) for _ in range(g.random.randint(1, 2))])
    order = g.random.random() < 0.6
    nulls = g.random.choice(["NULLS FIRST", "NULLS LAST"])
    tail = f" ORDER BY ALL {g.random.choice(['', 'ASC', 'DESC'])} {nulls}" if order else ""
    return Query(g.write("SELECT {0} FROM {1}{2} GROUP BY ALL" + tail, listed, source.text, g.where(source.columns, 0)),
                 found, ordered=order, kind="group by all")


def star(g):
    source = g.table("a")
    names = [c.name for c in source.columns]
    out = g.random.sample(names, g.random.randint(1, 3))
    way = g.random.choice([f"* EXCLUDE ({', '.join(out)})", f"COLUMNS('^[{''.join(sorted({n[0] for n in out}))}]')", "*"])
    return Query(g.write("SELECT {0} FROM {1}{2}", way, source.text, g.where(source.columns, 0)), source.columns, kind="star")
