"""DuckDB and ClickHouse (chdb), in this process, asked in SQL.

They take no line protocol: the set is turned into CSV first, outside the clock, and loading the CSV
is what is timed. Their CPU seconds are this process's."""

import os
import time

from common import METRICS, START, disk_bytes, peak_memory, reset_peak_memory, rfc3339
from engine_apus import sql_answer, sql_text

TAGS = {"cpu": ["hostname", "region", "datacenter", "rack", "os", "arch", "team", "service",
                "service_version", "service_environment"],
        "vm": ["uuid", "host", "tenant", "az", "image"]}
FIELDS = {"cpu": METRICS, "vm": ["cpu", "mem_used"]}


def to_csv(path, table):
    """Line protocol of one table, all rows alike, as CSV beside it. Made once."""
    target = path + ".csv"
    if os.path.exists(target) and os.path.getmtime(target) > os.path.getmtime(path):
        return target
    with open(path) as source, open(target + ".new", "w") as out:
        out.write("time," + ",".join(TAGS[table] + FIELDS[table]) + "\n")
        for line in source:
            tags, fields, moment = line.split(" ")
            values = [pair.partition("=")[2] for pair in tags.split(",")[1:]]
            values += [pair.partition("=")[2].rstrip("i") for pair in fields.split(",")]
            out.write(f"{int(moment) // 1_000_000_000 if table == 'cpu' else int(moment) / 1e9:.15g},{','.join(values)}\n")
    os.rename(target + ".new", target)
    return target


class Embedded:
    whole_buckets = False
    tail_cpu = 0

    def settle(self, work):
        """What a server does by itself after a load, as part of the load's CPU seconds."""
        cpu = self.cpu()
        work()
        self.tail_cpu = self.cpu() - cpu

    def cpu(self):
        times = os.times()
        return times.user + times.system

    def disk(self):
        return disk_bytes(self.folder)

    def prepare(self, query):
        return sql_text(query, self.dialect)

    def parse(self, query, rows):
        return sql_answer(query, rows)

    def count(self, table, field):
        return tuple(self.run(f"SELECT count(*), sum({field}) FROM {table}")[0])


class DuckDialect:
    bucket = staticmethod(lambda seconds: f"CAST(epoch(time_bucket(INTERVAL '{seconds} seconds', time)) AS BIGINT)")
    moment = staticmethod(lambda seconds: f"TIMESTAMP '{rfc3339(seconds).rstrip('Z')}'")
    last = "SELECT {columns} FROM cpu QUALIFY row_number() OVER (PARTITION BY hostname ORDER BY time DESC) = 1"
    cardinality = {
        "three-tags": "SELECT count(DISTINCT uuid) FROM vm WHERE host = '{0}' AND tenant = '{1}' AND az = '{2}'",
        "tenant-series-count": "SELECT count(DISTINCT uuid) FROM vm WHERE tenant = '{0}'",
        "latest-by-regex": "SELECT uuid, arg_max(cpu, time) FROM vm WHERE regexp_matches(host, '{0}') "
                           "AND az != 'az3' GROUP BY uuid",
        "last-average-by-az": "SELECT az, avg(last) FROM (SELECT az, arg_max(cpu, time) AS last FROM vm "
                              "GROUP BY uuid, az) GROUP BY az",
        "tenant-images": "SELECT DISTINCT image FROM vm WHERE tenant = '{0}'",
        "uuid-infix": "SELECT count(*) FROM vm WHERE regexp_matches(uuid, '{0}.*{1}')",
        "one-series": "SELECT epoch(time), cpu, mem_used FROM vm WHERE uuid = '{0}'",
        "count-all": "SELECT count(*) FROM vm",
    }


class DuckDB(Embedded):
    name, dialect = "DuckDB", DuckDialect

    def __init__(self, cache, folder):
        self.folder = folder

    def version(self):
        import duckdb
        return f"duckdb {duckdb.__version__} (PyPI)"

    def start(self):
        import duckdb
        os.makedirs(self.folder, exist_ok=True)
        self.connection = duckdb.connect(self.folder + "/bench.duckdb")
        self.connection.execute("SET threads = 2; SET TimeZone = 'UTC'")

    def stop(self):
        self.connection.close()

    def load(self, path, table):
        source = to_csv(path, table)
        columns = ["raw DOUBLE"] + [f"{tag} VARCHAR" for tag in TAGS[table]]
        columns += [f"{field} {'BIGINT' if table == 'cpu' or field == 'mem_used' else 'DOUBLE'}"
                    for field in FIELDS[table]]
        begin, cpu, before = time.monotonic(), self.cpu(), reset_peak_memory()
        types = ", ".join(f"'{column.split()[0]}': '{column.split()[1]}'" for column in columns)
        self.connection.execute(
            f"CREATE TABLE {table} AS SELECT make_timestamp(CAST(round(raw * 1e6) AS BIGINT)) AS time, "
            f"* EXCLUDE raw FROM read_csv('{source}', header = true, columns = {{{types}}})")
        seconds, answered = time.monotonic() - begin, self.cpu() - cpu
        return {"seconds": seconds, "serverCPUSeconds": answered, "serverPeakRSSBytes": peak_memory(before)}

    def states(self):
        """It has nothing to merge."""
        yield "head"
        self.settle(lambda: self.connection.execute("CHECKPOINT"))
        yield "flushed"

    def prepare(self, query):
        text = super().prepare(query)
        # Times as whole seconds, as the other engines give them.
        return text.replace("SELECT time, hostname", "SELECT CAST(epoch(time) AS BIGINT), hostname") if text else None

    def run(self, text):
        return self.connection.execute(text).fetchall()


class ClickDialect:
    bucket = staticmethod(lambda seconds: f"toUnixTimestamp(toStartOfInterval(time, INTERVAL {seconds} second))")
    moment = staticmethod(lambda seconds: f"toDateTime64({seconds}, 3, 'UTC')")
    last = "SELECT {columns} FROM cpu ORDER BY hostname, time DESC LIMIT 1 BY hostname"
    cardinality = {
        "three-tags": "SELECT count(DISTINCT uuid) FROM vm WHERE host = '{0}' AND tenant = '{1}' AND az = '{2}'",
        "tenant-series-count": "SELECT count(DISTINCT uuid) FROM vm WHERE tenant = '{0}'",
        "latest-by-regex": "SELECT uuid, argMax(cpu, time) FROM vm WHERE match(host, '{0}') AND az != 'az3' "
                           "GROUP BY uuid",
        "last-average-by-az": "SELECT az, avg(last) FROM (SELECT az, argMax(cpu, time) AS last FROM vm "
                              "GROUP BY uuid, az) GROUP BY az",
        "tenant-images": "SELECT DISTINCT image FROM vm WHERE tenant = '{0}'",
        "uuid-infix": "SELECT count(*) FROM vm WHERE match(uuid, '{0}.*{1}')",
        "one-series": "SELECT toUnixTimestamp(time), cpu, mem_used FROM vm WHERE uuid = '{0}'",
        "count-all": "SELECT count(*) FROM vm",
    }


class ClickHouse(Embedded):
    name, dialect = "ClickHouse", ClickDialect

    def __init__(self, cache, folder):
        self.folder = folder

    def version(self):
        import chdb
        return f"chdb {chdb.__version__} (PyPI; ClickHouse {chdb.engine_version})"

    def start(self):
        from chdb.session import Session
        os.makedirs(self.folder, exist_ok=True)
        self.session = Session(self.folder)
        self.session.query("CREATE DATABASE IF NOT EXISTS bench")
        self.session.query("USE bench")

    def stop(self):
        self.session.close()

    def load(self, path, table):
        source = to_csv(path, table)
        tags = ", ".join(f"{tag} {'String' if tag == 'uuid' else 'LowCardinality(String)'}" for tag in TAGS[table])
        fields = ", ".join(f"{field} {'Int64' if table == 'cpu' or field == 'mem_used' else 'Float64'}"
                           for field in FIELDS[table])
        key = TAGS[table][0]
        self.session.query(f"CREATE TABLE {table} (time DateTime64(3, 'UTC'), {tags}, {fields}) "
                           f"ENGINE = MergeTree ORDER BY ({key}, time)")
        begin, cpu, before = time.monotonic(), self.cpu(), reset_peak_memory()
        names = ", ".join(["time"] + TAGS[table] + FIELDS[table])
        structure = f"time Float64, {tags.replace('LowCardinality(String)', 'String')}, {fields}"
        self.session.query(
            f"INSERT INTO {table} ({names}) SELECT toDateTime64(time, 3, 'UTC'), * EXCEPT time "
            f"FROM file('{source}', 'CSVWithNames', '{structure}')")
        seconds, answered = time.monotonic() - begin, self.cpu() - cpu
        self.table = table
        return {"seconds": seconds, "serverCPUSeconds": answered, "serverPeakRSSBytes": peak_memory(before)}

    def states(self):
        """What is inserted is on disk at once."""
        yield "flushed"
        self.settle(lambda: self.session.query(f"OPTIMIZE TABLE {self.table} FINAL"))
        yield "compacted"

    def prepare(self, query):
        text = super().prepare(query)
        return text.replace("SELECT time, hostname", "SELECT toUnixTimestamp(time), hostname") if text else None

    def run(self, text):
        import json
        body = self.session.query(text, "JSONCompact").bytes()
        return json.loads(body, parse_int=int)["data"]

    def parse(self, query, rows):
        # 64-bit integers come as texts in JSON.
        rows = [[self.number(cell) for cell in row] for row in rows]
        return sql_answer(query, rows)

    @staticmethod
    def number(cell):
        return int(cell) if isinstance(cell, str) and cell.lstrip("-").isdigit() else cell

    def count(self, table, field):
        rows = self.run(f"SELECT count(*), sum({field}) FROM {table}")
        return tuple(self.number(cell) for cell in rows[0])
