"""What one engine writes otherwise than another. Where Apus departs from PostgreSQL on purpose, which
docs/query-language.md lists, the oracle's text is made to mean what Apus means.

An entry is the text of Apus, of PostgreSQL, and of DuckDB where that differs from PostgreSQL's."""

REWRITES = {
    # Literals: PostgreSQL's own are int4 and numeric, ours int64 and float64.
    "int": ("{0}", "({0})::int8"),
    "float": ("{0}", "({0})::float8"),
    "text": ("{0}", "{0}::text", "{0}"),
    "time": ("TIMESTAMP {0}", "TIMESTAMPTZ {0}"),
    # Beside a time, a string is one, and an integer is its nanoseconds.
    "bare time": ("{0}", "TIMESTAMPTZ {0}"),
    "nanoseconds": ("{0}000000000", "to_timestamp({0})"),
    # Counts of characters are int4 there.
    "place": ("({0} % 7)", "({0} % 7)::int4"),
    # `/` gives float64, and NULL by zero.
    "/": ("({0} / {1})", "({0}::float8 / nullif({1}::float8, 0))"),
    # `//` and `%` are towards zero, and NULL by zero.
    "//": ("({0} // {1})", "({0} / nullif({1}, 0))", "({0} // nullif({1}, 0))"),
    "%": ("({0} % {1})", "({0} % nullif({1}, 0))"),
    "div": ("div({0}, {1})", "({0} / nullif({1}, 0))", "({0} // nullif({1}, 0))"),
    "mod": ("mod({0}, {1})", "mod({0}, nullif({1}, 0))"),
    # Outside its domain a function is NULL.
    "sqrt": ("sqrt({0})", "sqrt(CASE WHEN {0} >= 0 THEN {0} END)"),
    "ln": ("ln({0})", "ln(CASE WHEN {0} > 0 THEN {0} END)"),
    "log10": ("log10({0})", "log(CASE WHEN {0} > 0 THEN {0} END)"),
    "asin": ("asin({0})", "asin(CASE WHEN {0} BETWEEN -1 AND 1 OR {0} = 'NaN' THEN {0} END)"),
    "power": ("power({0}, {1})", "power(CASE WHEN {0} = 0 AND {1} < 0 OR {0} < 0 AND {1} <> floor({1}) THEN NULL ELSE {0} END, {1})"),
    "substr": ("substr({0}, {1}, {2})", "substr({0}, {1}, CASE WHEN {2} >= 0 THEN {2} END)"),
    **{name: (name + "({0})", name + "(CASE WHEN abs({0}) <> 'Infinity' THEN {0} END)") for name in ("sin", "cos", "tan")},
    # A function of an int64 gives an int64; PostgreSQL makes float8 of it.
    "sign": ("sign({0})", "sign({0}::float8)::int8"),
    "ceil": ("ceil({0})", "ceil({0}::float8)::int8"),
    # PostgreSQL rounds to decimals in numeric only. Values are quarters, so both are exact.
    "round": ("round({0}, {1})", "round({0}::numeric, {1})::float8"),
    "trunc": ("trunc({0}, {1})", "trunc({0}::numeric, {1})::float8"),
    # A sum of int64 is int64, and avg and the deviations of integers are float64, not numeric.
    "sum int": ("sum({0})", "sum({0})::int8"),
    "avg": ("avg({0})", "avg({0}::float8)"),
    "stddev": ("stddev({0})", "stddev({0}::float8)"),
    "stddev_pop": ("stddev_pop({0})", "stddev_pop({0}::float8)"),
    "variance": ("variance({0})", "variance({0}::float8)"),
    "var_pop": ("var_pop({0})", "var_pop({0}::float8)"),
    # PostgreSQL has no min and max of bool; as text they sort the same.
    "min bool": ("min({0})", "min({0}::text)::bool"),
    "max bool": ("max({0})", "max({0}::text)::bool"),
    "median": ("median({0})", "percentile_cont(0.5) WITHIN GROUP (ORDER BY {0})"),
    # `extract` is float64, not numeric.
    "extract": ("extract({0} FROM {1})", "extract({0} FROM {1})::float8"),
    # Bins go by 1970 where no origin is given; PostgreSQL wants one.
    "date_bin": ("date_bin({0}, {1})", "date_bin({0}, {1}, TIMESTAMPTZ '1970-01-01')"),
    "time_bucket": ("time_bucket({0}, {1})", "date_bin({0}, {1}, TIMESTAMPTZ '2000-01-03')"),
    # In milliseconds: sums of nanoseconds since 1970 leave int64.
    "epoch_ns": ("(epoch_ns({0}) // 1000000)", "(extract(epoch FROM {0}) * 1000)::int8"),
    # Beyond int64 both refuse, but not for the same rows: conditions are decided in any order.
    "float int": ("CASE WHEN {0} BETWEEN -1000000 AND 1000000 THEN {0}::int8 END",) * 2,
    # The same; named, as its values may have many bits: see ROUNDED.
    "int + float": ("({0} + {1})",) * 2,
    "int - float": ("({0} - {1})",) * 2,
    "int * float": ("({0} * {1})",) * 2,
    # PostgreSQL casts bool to int4 only.
    "bool int": ("{0}::int8", "{0}::int4::int8"),
    # An alias in GROUP BY beats a column of that name: the oracle takes its number.
    "alias": ("{0}", "{1}"),
}


# Their floats have all bits.
ROUNDED = {"/", "extract", "epoch_ns", "trunc", "round", "int + float", "int - float", "int * float"}


class Pair:
    """A text of Apus and the same of its oracle, with the type of its value.

    `exact` says that both calculate the same bits, so that it can be compared, grouped and sorted by. `short` says
    that its floats have few bits, so that a deviation of equal ones is 0 and not what rounding leaves."""

    __slots__ = ("apus", "oracle", "type", "exact", "name", "short")

    def __init__(self, apus, oracle, type=None, exact=True, name=None, short=True):
        self.apus, self.oracle, self.type, self.exact, self.name, self.short = apus, oracle, type, exact, name, short


class Writer:
    def __init__(self, oracle):
        self.place = {"PostgreSQL": 1, "DuckDB": 2}[oracle]

    def write(self, template, *parts, type=None):
        """The template with its parts put in, in both languages."""
        parts = [part if isinstance(part, Pair) else Pair(str(part), str(part)) for part in parts]
        return Pair(template.format(*(part.apus for part in parts)), template.format(*(part.oracle for part in parts)),
                    type, all(part.exact for part in parts), short=all(part.short for part in parts))

    def rewrite(self, name, *parts, type=None):
        entry = REWRITES[name]
        parts = [part if isinstance(part, Pair) else Pair(str(part), str(part)) for part in parts]
        oracle = entry[min(self.place, len(entry) - 1)]
        return Pair(entry[0].format(*(part.apus for part in parts)), oracle.format(*(part.oracle for part in parts)),
                    type, all(part.exact for part in parts),
                    short=name not in ROUNDED and all(part.short for part in parts))

    def join(self, separator, pairs):
        pairs = list(pairs)
        return Pair(separator.join(pair.apus for pair in pairs), separator.join(pair.oracle for pair in pairs),
                    short=all(pair.short for pair in pairs))
