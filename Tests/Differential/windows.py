"""Window functions with all kinds of frames."""

from aggregates import aggregate, without_cast
from rewrites import Pair


def window(generator, source):
    g, random = generator, generator.random
    total = source.key is not None and random.random() < 0.7
    partition = [g.column(source.columns, random.choice(["text", "bool", "int"])) for _ in range(random.choice([0, 1, 1, 2]))]
    # A constant is no key.
    partition = [column for column in partition if column.name]
    ranged = [c for c in source.columns if c.type in ("int", "float", "time") and c.exact]
    order = []
    frame, ranged_by = "", None
    if total:
        order = ([random.choice(ranged)] if random.random() < 0.5 else []) + source.key
    elif ranged:
        order = [random.choice(ranged)]
        ranged_by = order[0]
    keys = [g.sort_key(key) for key in order]
    text = []
    if partition:
        text.append(g.write("PARTITION BY {0}", g.join(", ", partition)))
    if keys:
        text.append(g.write("ORDER BY {0}", g.join(", ", keys)))
    if random.random() < 0.6:
        text.append(frame_of(g, total, bool(keys), ranged_by))
    over = g.write(" OVER ({0})", g.join(" ", text))
    type = random.choice(["int", "float", "text", "time", "bool"])
    value = g.column(source.columns, type)
    choices = [(5, lambda: aggregate(g, source, window=True))]
    if keys:
        choices += [(1, lambda: Pair(*[random.choice(["rank()", "dense_rank()"])] * 2, "int")),
                    (0.5, lambda: Pair(*[random.choice(["percent_rank()", "cume_dist()"])] * 2, "float", False))]
    if total:
        number = random.randint(1, 4)
        choices += [
            (1, lambda: Pair(*["row_number()"] * 2, "int")),
            (1, lambda: Pair(*[f"ntile({number})"] * 2, "int")),
            (2, lambda: g.write(random.choice(["lag", "lead"]) + "({0}" + random.choice(["", f", {number}"]) + ")", value, type=type)),
            (1, lambda: g.write(random.choice(["lag", "lead"]) + "({0}, {1}, {2})", value, random.choice([number, 0, 1000]), g.literal(type), type=type)),
            (2, lambda: g.write(random.choice(["first_value", "last_value"]) + "({0})", value, type=type)),
            (1, lambda: g.write("nth_value({0}, {1})", value, number, type=type))]
    chosen = g.choose(*choices)
    # And behind OVER.
    oracle, cast = without_cast(chosen.oracle)
    return Pair(chosen.apus + over.apus, oracle + over.oracle + cast, chosen.type, chosen.exact)


def frame_of(g, total, ordered, ranged_by):
    random = g.random
    kinds = ["ROWS"] * 2 if total else []
    if ordered:
        kinds.append("GROUPS")
    kinds.append("RANGE")
    kind = random.choice(kinds)
    places = ["UNBOUNDED PRECEDING", "n PRECEDING", "CURRENT ROW", "n FOLLOWING", "UNBOUNDED FOLLOWING"]
    if kind == "RANGE" and not ranged_by:
        places = [place for place in places if not place.startswith("n")]
    first, last = sorted((random.randrange(len(places)) for _ in range(2)))
    if places[first] == "UNBOUNDED FOLLOWING":
        first -= 1
    if places[last] == "UNBOUNDED PRECEDING":
        last += 1
    if random.random() < 0.2 and places[first] != "n FOLLOWING":
        return g.write("{0} {1}", kind, bound(g, kind, places[first], ranged_by))
    return g.write("{0} BETWEEN {1} AND {2}", kind, bound(g, kind, places[first], ranged_by), bound(g, kind, places[last], ranged_by))


def bound(g, kind, place, ranged_by):
    if not place.startswith("n "):
        return g.write(place)
    if kind != "RANGE":
        return g.write("{0} {1}", g.random.randint(0, 4), place[2:])
    if ranged_by.type == "time":
        distance = g.write("INTERVAL '{0}'", g.random.choice(["10 minutes", "2 hours", "3 days", "0 seconds"]))
    elif ranged_by.type == "int":
        distance = g.rewrite("int", g.random.choice([0, 1, 2, 50]))
    else:
        distance = g.rewrite("float", g.random.choice([0, 0.25, 1.5, 100.5]))
    return g.write("{0} {1}", distance, place[2:])
