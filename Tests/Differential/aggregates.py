"""Aggregates that PostgreSQL has too, with FILTER and DISTINCT."""

from rewrites import Pair

TWO = ["corr", "covar_pop", "covar_samp", "regr_slope", "regr_intercept", "regr_r2", "regr_avgx", "regr_avgy", "regr_sxx",
       "regr_syy", "regr_sxy"]
DEVIATIONS = ["avg", "stddev", "stddev_pop", "variance", "var_pop"]


def aggregate(generator, source, exact=False, window=False):
    g, random = generator, generator.random

    def argument(type):
        return g.column(source.columns, type) if random.random() < 0.7 else g.expression(source.columns, type, 1)

    def short(type):
        """What a deviation is taken of: see Pair."""
        found = argument(type)
        return found if found.short else g.literal(type)

    def near():
        """A second argument. Of numbers in billions a covariance that is 0 is lost in rounding."""
        return g.write("({0} % 1000)::float8", short("int")) if random.random() < 0.5 else short("float")

    def pair_of_numbers():
        return made(g.write(random.choice(TWO) + "({0}, {1})", short("float"), near()), "float", False)

    def made(pair, type, exact=True):
        return Pair(pair.apus, pair.oracle, type, exact)

    def smallest():
        type = random.choice(["int", "float", "text", "time", "bool"])
        name = random.choice(["min", "max"])
        if type == "bool":
            return made(g.rewrite(f"{name} bool", argument(type)), type)
        return made(g.write(name + "({0})", argument(type)), type)

    def deviation():
        type = random.choice(["int", "float"])
        distinct = "DISTINCT " if random.random() < 0.15 and not window else ""
        return made(g.rewrite(random.choice(DEVIATIONS), g.write(distinct + "{0}", short(type))), "float", False)

    def percentile():
        way = random.choice(["cont", "disc", "median"])
        type = random.choice(["int", "float"] if way != "disc" else ["int", "float", "text", "time"])
        fraction = random.choice(["0", "0.25", "0.5", "0.9", "1", "0.33"])
        if way == "median":
            return made(g.rewrite("median", argument(type)), "float", False)
        order = random.choice(["", " DESC"])
        value = argument(type)
        return made(g.write("percentile_" + way + "({0}) WITHIN GROUP (ORDER BY {1}{2})", fraction, value, order),
                    "float" if way == "cont" else type, way == "disc")

    # Over windows PostgreSQL has no DISTINCT, DuckDB has.
    distinct = "DISTINCT " if random.random() < 0.2 and (g.narrow or not window) else ""
    choices = [
        (2, lambda: made(g.write("count(*)"), "int")),
        (2, lambda: made(g.write("count(" + distinct + "{0})", argument(random.choice(["int", "float", "text", "bool", "time"]))), "int")),
        (2, lambda: made(g.rewrite("sum int", g.write(distinct + "{0}", argument("int"))), "int")),
        (2, smallest),
        (1, lambda: made(g.write(random.choice(["bool_and", "bool_or", "every"] if not g.narrow else ["bool_and"]) + "({0})", argument("bool")), "bool")),
        (1, lambda: made(g.write("sum({0})", argument("float")), "float", False))]
    if not window:
        choices.append((1, lambda: made(g.write("count(DISTINCT {0})", argument(random.choice(["int", "float", "text", "bool", "time"]))), "int")))
    if not window and not g.narrow:
        choices.append((1, lambda: made(g.write("string_agg(DISTINCT {0}, ',' ORDER BY {0})", g.column(source.columns, "text")), "text")))
        choices.append((0.5, lambda: made(g.write(random.choice(["bit_and", "bit_or", "bit_xor"]) + "({0})", argument("int")), "int")))
    if not exact:
        choices.append((3, deviation))
        if not g.narrow:
            choices.append((1.5, pair_of_numbers))
            choices.append((0.5, lambda: made(g.write("regr_count({0}, {1})", argument("float"), argument("float")), "int")))
            if not window:
                choices.append((2, percentile))
    chosen = g.choose(*choices)
    if random.random() < 0.2 and not (exact and chosen.type == "bool"):
        # The oracle's cast of an aggregate stands behind FILTER.
        bare, cast = without_cast(chosen.oracle)
        filtered = g.write("{0} FILTER (WHERE {1})", Pair(chosen.apus, bare), g.condition(source.columns, random.randint(0, 1)))
        chosen = made(Pair(filtered.apus, filtered.oracle + cast), chosen.type, chosen.exact)
    return chosen


def without_cast(text):
    for cast in ("::int8", "::bool"):
        if text.endswith(")" + cast):
            return text.removesuffix(cast), cast
    return text, ""
