"""Random expressions over columns, in the text of Apus and of its oracle."""

from rewrites import Writer
from tables import HOSTS, TEXTS

UNITS = ["second", "minute", "hour", "day", "week", "month", "quarter", "year"]
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]
WIDTHS = ["7 minutes", "15 minutes", "1 hour", "6 hours", "1 day"]
FIELDS = ["epoch", "year", "quarter", "month", "week", "isoyear", "day", "dow", "isodow", "doy", "hour", "minute",
          "second", "millisecond", "microsecond"]
PATTERNS = ["a%", "%b%", "_", "%", "", "h1", "h_", "%\\%%", "x\\_y", "%/c%", "A%", "ä%", "%z"]
REGEXES = ["^a", "b$", "[0-9]+", "^h[12]$", "a|b", "^$", "^.b", "h1?0"]
TYPES = ["int", "float", "bool", "text", "time"]
SQL_TYPES = {"int": "int8", "float": "float8", "bool": "bool", "text": "text", "time": "timestamptz"}


# Bugs of Apus that wait for their fix, each under a name that the generator asks for. They would drown the others, so
# that they are left out unless `--with-known-bugs` is said.
KNOWN_BUGS = {}


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Expressions(Writer):
    """`narrow` leaves out what DuckDB means otherwise."""

    def __init__(self, random, oracle, known_bugs):
        super().__init__(oracle)
        self.random, self.known_bugs = random, known_bugs
        self.narrow = oracle == "DuckDB"

    def leaves_out(self, bug):
        """Whether a known bug is not to be met."""
        assert bug in KNOWN_BUGS
        return not self.known_bugs

    def choose(self, *choices):
        """One of (weight, what to call)."""
        return self.random.choices([call for _, call in choices], [weight for weight, _ in choices])[0]()

    def literal(self, type):
        random = self.random
        if random.random() < 0.04:
            return self.write("NULL::{0}", SQL_TYPES[type], type=type)
        if type == "float" and random.random() < 0.03 and not self.narrow:
            return self.write("'{0}'::float8", random.choice(["NaN", "Infinity", "-Infinity"]), type=type)
        if type == "int":
            number = random.choice([0, 1, 2, 3, -1, 5, random.randint(-20, 20), random.randint(-1000, 1000)])
            return self.rewrite("int", number if number >= 0 else f"({number})", type=type)
        if type == "float":
            number = random.choice([0.0, 0.5, 1.0, 1.5, -0.25, 2.0, random.randint(-4000, 4000) / 4])
            return self.rewrite("float", number if number >= 0 else f"({number})", type=type)
        if type == "bool":
            return self.write(random.choice(["true", "false"]), type=type)
        if type == "text":
            return self.rewrite("text", quoted(random.choice(TEXTS + HOSTS)), type=type)
        return self.rewrite("time", quoted(self.moment()), type=type)

    def moment(self):
        random = self.random
        day, month = random.randint(1, 28), random.choice([1, 1, 1, 1, 2, 3, 12])
        return f"{2025 if month == 12 else 2026}-{month:02}-{day if month != 1 else random.randint(1, 3):02} " \
               f"{random.randint(0, 23):02}:{random.choice([0, 5, 30]):02}:00Z"

    def interval(self):
        random = self.random
        unit, most = random.choice([("minutes", 90), ("hours", 30), ("days", 40), ("months", 14), ("seconds", 5000)])
        return self.write("INTERVAL '{0}'", f"{random.randint(0, most)} {unit}", type="interval")

    def column(self, columns, type):
        fitting = [column for column in columns if column.type == type and column.exact]
        return self.random.choice(fitting) if fitting else self.literal(type)

    def leaf(self, columns, type):
        return self.column(columns, type) if self.random.random() < 0.75 else self.literal(type)

    def any(self, columns, depth, types=TYPES):
        return self.expression(columns, self.random.choice(types), depth)

    def expression(self, columns, type, depth):
        if depth <= 0 or self.random.random() < 0.2:
            return self.leaf(columns, type)
        if self.random.random() < 0.25:
            return self.choice_of_values(columns, type, depth - 1)
        return getattr(self, f"{type}_expression")(columns, depth - 1)

    def choice_of_values(self, columns, type, depth):
        def part(): return self.expression(columns, type, depth)
        return self.choose(
            (2, lambda: self.write("CASE WHEN {0} THEN {1} ELSE {2} END", self.condition(columns, depth), part(), part(), type=type)),
            (1, lambda: self.write("CASE WHEN {0} THEN {1} WHEN {2} THEN {3} END", self.condition(columns, depth), part(), self.condition(columns, depth), part(), type=type)),
            (1, lambda: self.simple_case(columns, type, depth)),
            (2, lambda: self.write("coalesce({0}, {1})", part(), part(), type=type)),
            (1, lambda: self.write("coalesce({0}, {1}, {2})", part(), part(), part(), type=type)),
            (1, lambda: self.write("nullif({0}, {1})", part(), part(), type=type)),
            (1, lambda: self.mixed(columns, type, depth)),
            (1, lambda: part() if type == "bool" else self.write(
                self.random.choice(["greatest", "least"]) + "({0}, {1})", part(), part(), type=type)))

    def mixed(self, columns, type, depth):
        """Branches of several types meet in one: a bare NULL in any, int64 and float64 in float64."""
        part = self.expression(columns, type, depth)
        other = self.write("NULL") if type != "float" or self.random.random() < 0.3 else self.expression(columns, "int", depth)
        if type == "time" or self.narrow:
            other = self.write("NULL")
        condition = self.condition(columns, depth)
        first, second = (part, other) if self.random.random() < 0.5 else (other, part)
        return self.choose(
            (2, lambda: self.write("CASE WHEN {0} THEN {1} ELSE {2} END", condition, first, second, type=type)),
            (1, lambda: self.write("coalesce({0}, {1})", first, second, type=type)))

    def simple_case(self, columns, type, depth):
        other = self.random.choice(["int", "text"])
        return self.write("CASE {0} WHEN {1} THEN {2} ELSE {3} END", self.leaf(columns, other), self.literal(other),
                          self.expression(columns, type, depth), self.expression(columns, type, depth), type=type)

    def int_expression(self, columns, depth):
        def part(): return self.expression(columns, "int", depth)
        def text(): return self.expression(columns, "text", depth)
        number = self.random.choice([2, 3, -1, 7])
        choices = [
            (4, lambda: self.write("({0} " + self.random.choice("+-") + " {1})", part(), part(), type="int")),
            (2, lambda: self.write("({0} * {1})", part(), self.rewrite("int", f"({number})"), type="int")),
            (2, lambda: self.rewrite(self.random.choice(["//", "%", "div", "mod"]), part(), part(), type="int")),
            (1, lambda: self.write("abs({0})", part(), type="int")),
            (1, lambda: self.write("(-{0})", part(), type="int")),
            (1, lambda: self.rewrite(self.random.choice(["sign", "ceil"]), self.column(columns, "int"), type="int")),
            (1, lambda: self.rewrite("bool int", self.expression(columns, "bool", depth), type="int"))]
        if not self.narrow:
            choices += [
                (2, lambda: self.write(self.random.choice(["length", "octet_length"]) + "({0})::int8", text(), type="int")),
                (1, lambda: self.write("strpos({0}, {1})::int8", text(), text(), type="int")),
                (1, lambda: self.rewrite("float int", self.leaf(columns, "float"), type="int")),
                (1, lambda: self.rewrite("epoch_ns", self.leaf(columns, "time"), type="int")),
                (0.5, lambda: self.write("{0}::text::int8", self.leaf(columns, "int"), type="int"))]
        return self.choose(*choices)

    def float_expression(self, columns, depth):
        def part(): return self.expression(columns, "float", depth)
        def number(): return self.any(columns, depth, ["int", "float"])
        choices = [
            (3, lambda: self.write("({0} " + self.random.choice("+-") + " {1})", part(), part(), type="float")),
            (2, lambda: self.write("({0} * {1})", part(), self.literal("float"), type="float")),
            (2, lambda: self.rewrite(self.random.choice(["int + float", "int - float", "int * float"]), self.leaf(columns, "int"), part(), type="float")),
            (3, lambda: self.rewrite("/", number(), number(), type="float")),
            (1, lambda: self.write("{0}::float8", self.expression(columns, "int", depth), type="float")),
            (1, lambda: self.write(self.random.choice(["abs", "ceil", "floor", "round", "trunc", "sign"]) + "({0})", self.column(columns, "float"), type="float")),
            (1, lambda: self.write("CASE WHEN {0} > 2 THEN 'NaN'::float8 ELSE {0} END", self.column(columns, "float"), type="float"))]
        if self.narrow:
            choices = choices[:3] + choices[4:5]
        else:
            choices += [
                (1, lambda: self.rewrite(self.random.choice(["round", "trunc"]), self.column(columns, "float"), self.random.randint(0, 2), type="float")),
                (1, lambda: self.rewrite("extract", self.random.choice(FIELDS), self.leaf(columns, "time"), type="float"))]
        return self.choose(*choices)

    def inexact(self, columns):
        """Functions whose last digits may differ: only for the select list."""
        x, y = self.column(columns, "float"), self.column(columns, "float")
        # PostgreSQL refuses what is too large or too small for exp; Apus has Infinity and 0.
        small = self.write("({0} / 500)", x)
        bounded = self.write("greatest(least({0}, 100), -100)", small)
        pair = self.choose(
            (1, lambda: self.rewrite(self.random.choice(["sqrt", "ln", "log10", "asin"]), x)),
            (1, lambda: self.write(self.random.choice(["atan", "cbrt", "degrees", "radians"]) + "({0})", small)),
            (1, lambda: self.write("exp({0})", bounded)),
            (1, lambda: self.rewrite(self.random.choice(["tan", "sin", "cos"]), small)),
            (1, lambda: self.rewrite("power", x, self.rewrite("float", self.random.choice(["0.5", "2", "(-1)", "0", "(-0.5)", "3"])))),
            (1, lambda: self.write("atan2({0}, {1})", x, y)))
        pair.type, pair.exact = "float", False
        return pair

    def int_place(self, columns):
        """A place in a string that comes from a column; PostgreSQL wants an int4."""
        return self.rewrite("place", self.column(columns, "int"))

    def text_expression(self, columns, depth):
        def part(): return self.expression(columns, "text", depth)
        low, count = self.random.randint(-2, 4), self.random.randint(0, 3)
        choices = [
            (3, lambda: self.write("({0} || {1})", part(), part(), type="text")),
            (2, lambda: self.write(self.random.choice(["lower", "upper"]) + "({0})", part(), type="text"))]
        if not self.narrow:
            choices += [
                (1, lambda: self.rewrite("substr", part(), low, self.random.choice([count, count, -1]), type="text")),
                (1, lambda: self.write("substr({0}, {1})", part(), low, type="text")),
                (1, lambda: self.write(self.random.choice(["left", "right"]) + "({0}, {1})", part(), low, type="text")),
                (1, lambda: self.write(self.random.choice(["left", "right"]) + "({0}, {1})", part(), self.int_place(columns), type="text")),
                (1, lambda: self.write("reverse({0})", part(), type="text")),
                (1, lambda: self.write(self.random.choice(["trim", "ltrim", "rtrim"]) + "({0})", part(), type="text")),
                (1, lambda: self.write(self.random.choice(["ltrim", "rtrim"]) + "({0}, {1})", part(), quoted(self.random.choice(["a", "ab", " "])), type="text")),
                (1, lambda: self.write("replace({0}, {1}, {2})", part(), part(), self.literal("text"), type="text")),
                (1, lambda: self.write("split_part({0}, {1}, {2})", part(), quoted(self.random.choice(["/", "b", "a"])), self.random.randint(1, 3), type="text")),
                (1, lambda: self.write("concat({0}, {1})", part(), self.any(columns, depth, ["int", "text"]), type="text")),
                (1, lambda: self.write("({0} || {1})", part(), self.expression(columns, "int", depth), type="text")),
                (1, lambda: self.write("{0}::text", self.leaf(columns, self.random.choice(["int", "bool", "float"])), type="text"))]
        return self.choose(*choices)

    def time_expression(self, columns, depth):
        def part(): return self.expression(columns, "time", depth)
        choices = [(2, lambda: self.write("({0} " + self.random.choice("+-") + " {1})", part(), self.interval(), type="time"))]
        if not self.narrow:
            choices += [
                (2, lambda: self.write("date_trunc('{0}', {1})", self.random.choice(UNITS), part(), type="time")),
                (1, lambda: self.write("date_trunc('{0}', {1}, '{2}')", self.random.choice(UNITS), part(), self.random.choice(ZONES), type="time")),
                (2, lambda: self.rewrite(self.random.choice(["date_bin", "time_bucket"]), f"INTERVAL '{self.random.choice(WIDTHS)}'", part(), type="time")),
                (1, lambda: self.write("date_bin(INTERVAL '{0}', {1}, {2})", self.random.choice(WIDTHS), part(), self.rewrite("time", quoted(self.moment())), type="time"))]
        return self.choose(*choices)

    def bool_expression(self, columns, depth):
        return self.condition(columns, depth)

    def condition(self, columns, depth):
        """What stands in WHERE."""
        if depth > 0:
            kind = self.random.random()
            def part(): return self.condition(columns, depth - 1)
            if kind < 0.25:
                return self.write("({0} AND {1})", part(), part(), type="bool")
            if kind < 0.45:
                return self.write("({0} OR {1})", part(), part(), type="bool")
            if kind < 0.55:
                return self.write("(NOT {0})", part(), type="bool")
            if kind < 0.6:
                return self.write("(({0}) IS {1})", part(), self.random.choice(
                    ["TRUE", "FALSE", "UNKNOWN", "NOT TRUE", "NOT FALSE", "NOT UNKNOWN"] if not self.narrow else
                    ["NOT NULL", "NULL"]), type="bool")
        return self.comparison(columns, depth)

    def comparison(self, columns, depth):
        random = self.random
        type = random.choice(["int", "float", "text", "text", "time", "int", "bool"])
        def side():
            return self.column(columns, type) if random.random() < 0.6 else self.expression(columns, type, depth)
        def constant(): return self.literal(type) if random.random() < 0.75 else self.leaf(columns, type)
        operator = random.choice(["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])
        choices = [
            (5, lambda: self.write("({0} " + operator + " {1})", side(), constant(), type="bool")),
            (1, lambda: self.write("({0} " + operator + " {1})", constant(), side(), type="bool")),
            (2, lambda: self.write("({0} IS {1}NULL)", side(), random.choice(["", "NOT "]), type="bool")),
            (2, lambda: self.write("({0} {1}BETWEEN {2} AND {3})", side(), random.choice(["", "NOT "]), constant(), constant(), type="bool")),
            (2, lambda: self.write("({0} {1}IN ({2}))", side(), random.choice(["", "NOT "]),
                                   self.join(", ", (constant() for _ in range(random.randint(1, 4)))), type="bool"))]
        if type == "time":
            # Bare strings and nanoseconds beside a time.
            moment = quoted(self.moment())
            choices.append((3, lambda: self.write("({0} " + operator + " {1})", self.column(columns, type),
                                                  self.rewrite("bare time", moment), type="bool")))
            first, last = sorted((moment, quoted(self.moment())))
            choices.append((4, lambda: self.write("({0} >= {1} AND {0} < {2})", self.column(columns, type), self.rewrite(
                "bare time", first), self.rewrite("bare time", last), type="bool")))
            seconds = 1_767_225_600 + 300 * random.randrange(-10, 160)
            choices.append((2, lambda: self.write("({0} " + operator + " {1})", self.column(columns, type),
                                                  self.rewrite("nanoseconds", seconds), type="bool")))
        if type in ("int", "float") and not self.narrow:
            choices.append((1, lambda: self.write("({0} " + operator + " '{1}')", self.column(columns, type), random.randint(-3, 5), type="bool")))
            choices.append((1, lambda: self.write("({0} IN ({1}))", self.column(columns, type), self.join(", ", (
                self.literal(random.choice(["int", "float"])) for _ in range(3))), type="bool")))
        if type == "bool":
            choices.append((4, lambda: self.write("({0})", side(), type="bool")))
        if type in ("int", "float"):
            choices.append((1, lambda: self.write("({0} " + operator + " {1})", self.leaf(columns, "int"), self.leaf(columns, "float"), type="bool")))
        if type == "text":
            choices += [(3, lambda: self.write("({0} {1}LIKE {2})", side(), random.choice(["", "NOT "]), quoted(random.choice(PATTERNS)), type="bool"))] if not self.narrow else []
            choices += [
                (1, lambda: self.write("({0} {1}ILIKE {2})", side(), random.choice(["", "NOT "]), quoted(random.choice(PATTERNS)), type="bool")),
                (2, lambda: self.write("({0} {1} {2})", side(), random.choice(["~", "!~", "~*", "!~*"]), quoted(random.choice(REGEXES)), type="bool")),
                (1, lambda: self.write("starts_with({0}, {1})", side(), constant(), type="bool"))] if not self.narrow else []
        return self.choose(*choices)
