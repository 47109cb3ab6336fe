"""Random queries, in the text of Apus and of its oracle."""

import duckdb_queries
import shapes
import windows
from aggregates import aggregate
from expressions import Expressions, quoted
from query import Query, Source
from rewrites import Pair
from tables import TABLES, columns

class Generator(Expressions):
    def __init__(self, random, oracle="PostgreSQL", known_bugs=False, large=False):
        super().__init__(random, oracle, known_bugs)
        self.large = large
        self.aliases = 0
        self.kinds = [(4, self.plain), (6, self.grouped), (3, self.windowed), (1.5, self.distinct),
                      (1, self.distinct_on), (2, self.set_operation), (1, self.with_query), (1.5, self.wrapped)]

    def query(self):
        if self.narrow:
            return duckdb_queries.query(self)
        more = [(1, lambda depth, call=call: call(self, depth)) for call in shapes.SHAPES if not (self.large and call in shapes.MANY_ROWS)]
        query = self.choose(*((weight, lambda call=call: call(2)) for weight, call in self.kinds + more))
        return self.maybe_ordered(query)

    def alias(self, prefix="t"):
        self.aliases += 1
        return f"{prefix}{self.aliases}"

    # FROM

    def source(self, depth):
        kind = self.random.random()
        # Joins of many rows have very many.
        if self.large and kind < 0.8 or depth <= 0 or kind < 0.55:
            return self.table()
        if kind < 0.8:
            return self.join_source(depth - 1)
        return self.query_source(depth - 1)

    def table(self, alias=None, name=None):
        name = name or self.random.choices(list(TABLES), [5, 3, 2])[0]
        alias = alias or (self.alias() if self.random.random() < 0.3 else None)
        prefix = f"{alias}." if alias else ""
        found = [Pair(prefix + column, prefix + column, type, True, column) for column, type in columns(name)]
        key = [column for column in found if column.name == "time" or column.name in TABLES[name][0]]
        return Source(self.write(f"{name} AS {alias}" if alias else name), found, key)

    def query_source(self, depth):
        query = self.random.choice([self.plain, self.grouped, self.windowed, self.distinct, self.set_operation])(depth)
        if self.random.random() < 0.3:
            query = self.maybe_ordered(query)
        alias = self.alias()
        found = [Pair(f"{alias}.{column.name}", f"{alias}.{column.name}", column.type, column.exact, column.name, column.short)
                 for column in query.columns]
        return Source(self.write("({0}) AS " + alias, query.text), found)

    def side(self, depth):
        """One side of a join: a table, or a query."""
        return self.query_source(0) if depth > 0 and self.random.random() < 0.2 else self.table(self.alias())

    def join_source(self, depth):
        left, right = self.side(depth), self.side(depth)
        both = left.columns + right.columns
        kind = self.random.choice(["JOIN", "INNER JOIN", "LEFT JOIN", "LEFT JOIN", "LEFT OUTER JOIN", "CROSS"])
        shared = [(a, b) for a in left.columns for b in right.columns
                  if a.name == b.name and a.exact and b.exact and a.type == b.type]
        named = [a.name for a, _ in shared if a.name in ("host", "time", "s", "k", "i", "b")]
        key = left.key + right.key if left.key and right.key else None
        if kind == "CROSS":
            small = self.table(self.alias(), "e")
            key = left.key + small.key if left.key else None
            return Source(self.write(self.random.choice(["{0} CROSS JOIN {1}", "{0}, {1}"]), left.text, small.text),
                          left.columns + small.columns, key)
        if named and self.random.random() < 0.4:
            using = self.random.sample(named, min(len(named), self.random.choice([1, 1, 2])))
            # Qualified names stay both; only bare ones are one.
            return Source(self.write("{0} " + kind + " {1} USING (" + ", ".join(using) + ")", left.text, right.text), both, key)
        terms = []
        if shared and self.random.random() < 0.85:
            for a, b in self.random.sample(shared, min(len(shared), self.random.choice([1, 1, 2]))):
                terms.append(self.write("{0} = {1}", a, b))
        if self.random.random() < 0.25 or not terms:
            type = self.random.choice(["int", "text", "time"])
            terms.append(self.write("{0} " + self.random.choice(["=", "=", "<", ">="]) + " {1}",
                                    self.expression(left.columns, type, 1), self.expression(right.columns, type, 1)))
        if self.random.random() < 0.3:
            terms.append(self.condition(both, 1))
        return Source(self.write("{0} " + kind + " {1} ON {2}", left.text, right.text, self.join(" AND ", terms)), both, key)

    # WHERE

    def where(self, columns, depth=2):
        if self.random.random() < 0.3:
            return self.write("")
        return self.write(" WHERE {0}", self.condition_with_queries(columns, depth))

    def condition_with_queries(self, columns, depth):
        condition = self.condition(columns, self.random.randint(0, 2))
        if depth > 0 and self.random.random() < 0.2:
            condition = self.write("({0} " + self.random.choice(["AND", "OR"]) + " {1})", condition, self.query_condition(columns))
        return condition

    def query_condition(self, columns):
        inner = self.table()
        type = self.random.choice(["int", "text", "time", "float"])
        where = self.where(inner.columns, 0)
        negated = self.random.choice(["", "NOT "])
        if self.random.random() < 0.25:
            # A query of any kind, of one column.
            query = self.random.choice([self.grouped, self.distinct, self.set_operation, self.plain])(1)
            alias = self.alias()
            column = next((c for c in query.columns if c.exact and c.type in ("int", "text", "time", "float")), None)
            if column:
                return self.write("({0} {1}IN (SELECT {2} FROM ({3}) AS " + alias + "))", self.leaf(columns, column.type), negated,
                                  column.name, query.text)
        return self.choose(
            (3, lambda: self.write("({0} {1}IN (SELECT {2} FROM {3}{4}))", self.leaf(columns, type), negated,
                                   self.expression(inner.columns, type, 1), inner.text, where)),
            (1, lambda: self.write("({0}EXISTS (SELECT {1} FROM {2}{3}))", negated, self.random.choice(["1", "*"]), inner.text, where)),
            (2, lambda: self.write("({0} " + self.random.choice(["<", ">=", "=", "<>"]) + " (SELECT {1}({2}) FROM {3}{4}))",
                                   self.leaf(columns, type), self.random.choice(["min", "max"]),
                                   self.column(inner.columns, type), inner.text, where)))

    # SELECT

    def named(self, pair, number):
        return Pair(pair.apus, pair.oracle, pair.type, pair.exact, f"c{number}", pair.short)

    def select_list(self, pairs):
        found = [self.named(pair, number) for number, pair in enumerate(pairs)]
        return found, self.join(", ", (self.write("{0} AS " + pair.name, pair) for pair in found))

    def value(self, columns):
        if self.random.random() < 0.1:
            return self.inexact(columns)
        return self.any(columns, self.random.choice([0, 1, 1, 2]))

    def plain(self, depth):
        source = self.source(depth)
        pairs = [self.value(source.columns) for _ in range(self.random.randint(1, 5))]
        if self.random.random() < 0.1:
            inner = self.table()
            pairs.append(self.write("(SELECT {0}({1}) FROM {2}{3})", self.random.choice(["min", "max", "count"]),
                                    self.column(inner.columns, "int"), inner.text, self.where(inner.columns, 0), type="int"))
        found, listed = self.select_list(pairs)
        return Query(self.write("SELECT {0} FROM {1}{2}", listed, source.text, self.where(source.columns)), found, kind="plain")

    def distinct(self, depth):
        source = self.source(depth)
        pairs = [self.any(source.columns, self.random.choice([0, 0, 1])) for _ in range(self.random.randint(1, 3))]
        found, listed = self.select_list(pairs)
        return Query(self.write("SELECT DISTINCT {0} FROM {1}{2}", listed, source.text, self.where(source.columns)), found, kind="distinct")

    def sort_key(self, pair, direction=True):
        # DuckDB puts NULLs elsewhere if nothing is said.
        nulls = ["NULLS FIRST", "NULLS LAST"] if self.narrow else ["", "", "NULLS FIRST", "NULLS LAST"]
        return self.write("{0} {1} {2}", pair, self.random.choice(["", "ASC", "DESC"]) if direction else "", self.random.choice(nulls))

    def distinct_on(self, depth):
        source = self.table()
        keys = [self.expression(source.columns, self.random.choice(["text", "int", "time", "bool"]), self.random.choice([0, 1]))
                for _ in range(self.random.randint(1, 2))]
        # A constant in ORDER BY would be an ordinal, or refused.
        keys = [self.write("coalesce({0}, {1})", self.random.choice([c for c in source.columns if c.type == key.type]), key, type=key.type)
                if key.type in {c.type for c in source.columns} else source.columns[0] for key in keys]
        order = self.join(", ", [self.sort_key(key) for key in keys + source.key])
        found, listed = self.select_list(keys + [self.value(source.columns) for _ in range(self.random.randint(1, 3))])
        return Query(self.write("SELECT DISTINCT ON ({0}) {1} FROM {2}{3} ORDER BY {4}", self.join(", ", keys), listed,
                                source.text, self.where(source.columns), order), found, kind="distinct on", limited=True)

    def grouped(self, depth):
        source = self.source(depth)
        keys = [self.expression(source.columns, self.random.choice(["text", "text", "time", "time", "int", "bool", "float"]), self.random.choice([0, 0, 1, 2]))
                for _ in range(self.random.choice([0, 1, 1, 2, 2, 3]))]
        values = [aggregate(self, source) for _ in range(self.random.randint(1, 4))]
        found, listed = self.select_list(keys + values)
        group = self.write("")
        if keys:
            # By number or by alias; the oracle always by number.
            by_number = self.random.random() < 0.5
            numbers = [str(number + 1) for number in range(len(keys))]
            group = self.write(" GROUP BY {0}", self.join(", ", (
                self.write(number) if by_number else self.rewrite("alias", pair.name, number)
                for pair, number in zip(found, numbers))))
        having = self.write("")
        if self.random.random() < 0.25:
            value = aggregate(self, source, exact=True)
            having = self.write(" HAVING {0}", self.write("{0} {1} {2}", value, self.random.choice(["<", ">", "=", "<>", ">="]), self.literal(value.type)))
        return Query(self.write("SELECT {0} FROM {1}{2}{3}{4}", listed, source.text, self.where(source.columns),
                                group, having), found, kind="grouped")

    def windowed(self, depth):
        source = self.source(depth)
        pairs = [self.any(source.columns, self.random.choice([0, 0, 1])) for _ in range(self.random.randint(0, 2))]
        pairs += [windows.window(self, source) for _ in range(self.random.randint(1, 3))]
        found, listed = self.select_list(pairs)
        return Query(self.write("SELECT {0} FROM {1}{2}", listed, source.text, self.where(source.columns)), found, kind="window")

    def set_operation(self, depth):
        types = [self.random.choice(["int", "text", "float", "bool", "time"]) for _ in range(self.random.randint(1, 3))]
        count = self.random.choice([2, 2, 3])
        texts, found = [], None
        for _ in range(count):
            source = self.source(depth - 1)
            these, listed = self.select_list([self.expression(source.columns, type, self.random.choice([0, 0, 1])) for type in types])
            found = found or these
            texts.append(self.write("SELECT {0} FROM {1}{2}", listed, source.text, self.where(source.columns, 0)))
        if self.random.random() < 0.15 and not self.narrow:
            # Literals that take the types of the other side.
            literals = {"int": "'7'", "text": "'a'", "float": "'1.5'", "bool": "'true'", "time": quoted(self.moment())}
            listed = ", ".join(f"{literals[type]} AS c{number}" for number, type in enumerate(types))
            texts[self.random.randrange(2)] = self.write("SELECT " + listed)
        text = texts[0]
        for other in texts[1:]:
            word = self.random.choice(["UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"])
            text = self.write(self.random.choice(["{0} {1} {2}", "({0}) {1} {2}", "{0} {1} ({2})"]), text, word, other)
        return Query(text, found, kind="set operation")

    def with_query(self, depth):
        inner = self.random.choice([self.plain, self.grouped, self.distinct])(1)
        name = self.alias("w")
        found = [Pair(f"{name}.{c.name}", f"{name}.{c.name}", c.type, c.exact, c.name, c.short) for c in inner.columns]
        table = self.table(self.alias())
        sources = [Source(self.write(name), found)]
        pairs = [(a, b) for a in found for b in table.columns if a.type == b.type and a.exact and a.type != "bool"]
        if found and self.random.random() < 0.2 and not self.large:
            # The same name twice.
            twice = [Pair(c.apus.replace(name, "v"), c.oracle.replace(name, "v"), c.type, c.exact, c.name, c.short) for c in found
                     if c.exact and c.type in ("int", "text", "time")]
            if twice:
                a = self.random.choice(twice)
                b = next(c for c in found if c.name == a.name)
                sources = [Source(self.write(name + " LEFT JOIN " + name + " AS v ON {0} = {1}", b, a), found + twice)]
        elif pairs:
            a, b = self.random.choice(pairs)
            sources.append(Source(self.write("{0} " + self.random.choice(["JOIN", "LEFT JOIN"]) + " {1} ON {2} = {3}",
                                             self.write(name), table.text, a, b), found + table.columns))
        source = self.random.choice(sources)
        chosen, listed = self.select_list([self.value(source.columns) for _ in range(self.random.randint(1, 4))])
        return Query(self.write("WITH {0} AS ({1}) SELECT {2} FROM {3}{4}", name, inner.text, listed, source.text,
                                self.where(source.columns)), chosen, kind="with")

    def wrapped(self, depth):
        source = self.query_source(1)
        if self.random.random() < 0.5:
            found, listed = self.select_list([self.value(source.columns) for _ in range(self.random.randint(1, 4))])
        else:
            found, listed = self.select_list([aggregate(self, source) for _ in range(self.random.randint(1, 3))])
        return Query(self.write("SELECT {0} FROM {1}{2}", listed, source.text, self.where(source.columns)), found, kind="wrapped")

    # ORDER BY and LIMIT

    def maybe_ordered(self, query):
        """By all columns of the answer, so that equal rows alone can change places. Then a LIMIT is safe too."""
        if query.limited or not all(column.exact for column in query.columns) or self.random.random() < 0.5:
            return query
        numbers = list(range(1, len(query.columns) + 1))
        self.random.shuffle(numbers)
        by_name = self.random.random() < 0.4
        keys = []
        for number in numbers:
            name = query.columns[number - 1].name if by_name else str(number)
            keys.append(self.write("{0} {1} {2}", name, self.random.choice(["", "ASC", "DESC"]),
                                   self.random.choice(["NULLS FIRST", "NULLS LAST"] if self.narrow else ["", "", "NULLS FIRST", "NULLS LAST"])))
        text = self.write("{0} ORDER BY {1}", query.text, self.join(", ", keys))
        if self.random.random() < 0.1:
            # All columns, from the left.
            how = self.random.choice(["NULLS FIRST", "NULLS LAST", "DESC NULLS FIRST", "DESC NULLS LAST"])
            listed = ", ".join(f"{number + 1} {how}" for number in range(len(query.columns)))
            text = Pair(f"{query.text.apus} ORDER BY ALL {how}", f"{query.text.oracle} ORDER BY {listed}")
        if self.random.random() < 0.6:
            text = self.write("{0} LIMIT {1}", text, self.random.choice([0, 1, 3, 10, 50]))
            if self.random.random() < 0.4:
                text = self.write("{0} OFFSET {1}", text, self.random.choice([0, 1, 5, 1000]))
        return Query(text, query.columns, True, query.kind, True)
