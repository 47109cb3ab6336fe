"""The tables of a round: what is written to Apus, in which order, and the rows it comes to."""

from datetime import datetime, timedelta, timezone

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
TEXTS = ["", "a", "A", "ab", "abc", "b", "ba%", "x_y", "o'k", "ä", "Äb", "10", "-3", " pad ", "b/c/d", "zz"]
HOSTS = ["h1", "h2", "h3", "h10", "H2", "hä"]
# Of each table its tags, each with its values, its fields with their types, and how many lines are written.
# Tags can be missing, which is NULL. Some fields have one name in several tables, for joins.
TABLES = {
    "m": ({"host": HOSTS, "region": ["eu", "us", "asia"]},
          {"b": "bool", "f": "float", "g": "float", "i": "int", "j": "int", "s": "text"}, 190),
    "n": ({"host": HOSTS[:4], "kind": ["a", "b"]},
          {"b": "bool", "f": "float", "i": "int", "k": "int", "s": "text"}, 110),
    "e": ({"host": HOSTS[1:5]}, {"s": "text", "v": "int", "w": "float"}, 32),
}


def columns(table):
    """Names and types as `*` has them: time, tags by name, fields by name."""
    tags, fields, _ = TABLES[table]
    return [("time", "time"), *((tag, "text") for tag in sorted(tags)), *sorted(fields.items())]


def value(random, kind):
    if kind == "bool":
        return random.random() < 0.5
    if kind == "text":
        return random.choice(TEXTS)
    if kind == "int":
        return random.choice([random.randint(-3, 5), random.randint(-3, 5), random.randint(-1000, 1000),
                              random.choice([0, 4_000_000_000, -5_000_000_000])])
    # Quarters, so that sums are exact in any order.
    return random.choice([random.randint(-8, 12) / 4, random.randint(-4000, 4000) / 4, float(random.randint(-2, 3))])


def moment(random):
    kind = random.random()
    if kind < 0.75:
        return START + timedelta(minutes=5 * random.randrange(0, 150))
    if kind < 0.9:
        return START + timedelta(milliseconds=random.randrange(0, 4 * 86_400_000))
    return START + timedelta(days=random.randrange(-70, 100), minutes=30 * random.randrange(0, 48))


class Table:
    """Lines in the order of their writing, and the rows that they come to: a row is its tags and its time, and of
    later lines with the same ones each field replaces the one before it."""

    def __init__(self, random, name, scale=1):
        self.name = name
        tags, fields, count = TABLES[name]
        count *= scale
        self.lines, rows = [], {}
        # After so many lines, rows of one host between two times are deleted. Some are written again.
        deletions = {random.randrange(1, count) for _ in range(random.choice([0, 1, 2]))}
        missing = random.choice([0.05, 0.25, 0.5])
        for number in range(count):
            if number in deletions:
                host, first_time = random.choice(tags["host"]), moment(random)
                last_time = first_time + timedelta(hours=random.choice([1, 5, 30]))
                self.lines.append(f"DELETE FROM {name} WHERE host = '{host}' AND time >= '{first_time.isoformat()}' "
                                  f"AND time < '{last_time.isoformat()}'")
                rows = {key: row for key, row in rows.items()
                        if not (key[0][0] == host and first_time <= key[1] < last_time)}
            # The first line has everything, so that all columns are there.
            first = number == 0
            key = tuple(random.choice(values) if first or random.random() < 0.85 else None for values in tags.values())
            time = moment(random)
            if rows and random.random() < 0.2:
                key, time = random.choice(list(rows))
            row = {field: value(random, kind) for field, kind in fields.items()
                   if first or random.random() > missing}
            if not row:
                row = {"s": "alone"}
            self.lines.append(line(name, tags, key, row, time))
            rows.setdefault((key, time), {}).update(row)
        self.rows = [(time, *(key[list(tags).index(tag)] for tag in sorted(tags)),
                      *(row.get(field) for field in sorted(fields))) for (key, time), row in rows.items()]

    def batches(self, random):
        """Lines together, and deletions by themselves. A batch may touch 64 new partitions at most."""
        batch, count = [], 5
        for text in self.lines:
            if text.startswith("DELETE") or len(batch) >= count:
                if batch:
                    yield "\n".join(batch)
                batch, count = [], random.choice([5, 40, 200, 400])
            if text.startswith("DELETE"):
                yield text
            else:
                batch.append(text)
        if batch:
            yield "\n".join(batch)


def line(table, tags, key, row, time):
    series = "".join(f",{tag}={text}" for tag, text in zip(tags, key) if text is not None)
    fields = ",".join(f"{name}={line_value(field)}" for name, field in row.items())
    microseconds = (time - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
    return f"{table}{series} {fields} {microseconds * 1000}"


def line_value(field):
    if isinstance(field, bool):
        return "true" if field else "false"
    if isinstance(field, int):
        return f"{field}i"
    if isinstance(field, float):
        return repr(field)
    return '"' + field.replace("\\", "\\\\").replace('"', '\\"') + '"'
