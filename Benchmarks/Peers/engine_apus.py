"""Apus, asked in SQL over HTTP."""

import json
import subprocess

from common import START, Client, Server, disk_bytes, free_port, rfc3339, wait_for


class Apus(Server):
    name = "Apus"

    def __init__(self, binary, folder):
        self.binary, self.folder, self.process = binary, folder, None

    def version(self):
        return subprocess.run([self.binary, "version"], capture_output=True, text=True).stdout.strip()

    def arguments(self):
        return ["--line-tcp", "off", "--line-udp", "off"]

    def start(self):
        port = free_port()
        with open(self.folder + ".log", "a") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--data", self.folder, "--http", f"127.0.0.1:{port}",
                 "--log-level", "warning", *self.arguments()],
                stdout=log, stderr=log)
        self.client = Client(port)
        wait_for(lambda: self.client.request("GET", "/ready")[0] == 200, 60, "apus")
        self.write_url = f"http://127.0.0.1:{port}/write?db=bench"
        self.idle_url = f"http://127.0.0.1:{port}/metrics"

    def disk(self):
        # The log is recycled room, not stored data; after COMPACT nothing in it is needed.
        return disk_bytes(self.folder) - disk_bytes(self.folder + "/log")

    def states(self):
        yield "head"
        self.sql("FLUSH", method="POST")
        yield "flushed"
        self.sql("COMPACT", method="POST")
        yield "compacted"

    def sql(self, text, method="GET"):
        status, body = self.client.request(
            method, "/sql", {"db": "bench", "q": text, "epoch": "s", "format": "json"})
        if status != 200:
            raise RuntimeError(f"apus: {status} {body[:500].decode(errors='replace')}")
        return body

    def prepare(self, query):
        return sql_text(query, DIALECT)

    def run(self, text):
        return self.sql(text)

    def parse(self, query, body):
        return sql_answer(query, json.loads(body)["rows"])

    def count(self, table, field):
        rows = json.loads(self.sql(f"SELECT count(*), sum({field}) FROM {table}"))["rows"]
        return rows[0][0], rows[0][1]


class DIALECT:
    """How one SQL differs from another."""
    bucket = staticmethod(lambda seconds: f"time_bucket('{seconds} seconds', time)")
    moment = staticmethod(lambda seconds: f"'{rfc3339(seconds)}'")
    regex = staticmethod(lambda column, pattern: f"{column} ~ '{pattern}'")
    last = "SELECT {columns} FROM cpu LATEST ON time PARTITION BY hostname"
    cardinality = {
        "three-tags": "SELECT count(DISTINCT uuid) FROM vm WHERE host = '{0}' AND tenant = '{1}' AND az = '{2}'",
        "tenant-series-count": "SELECT count(DISTINCT uuid) FROM vm WHERE tenant = '{0}'",
        "latest-by-regex": "SELECT uuid, cpu FROM vm WHERE host ~ '{0}' AND az != 'az3' "
                           "LATEST ON time PARTITION BY uuid",
        "last-average-by-az": "SELECT az, avg(cpu) FROM vm LATEST ON time PARTITION BY uuid GROUP BY az",
        "tenant-images": "SELECT DISTINCT image FROM vm WHERE tenant = '{0}'",
        "uuid-infix": "SELECT count(*) FROM vm WHERE uuid ~ '{0}.*{1}'",
        "one-series": "SELECT time, cpu, mem_used FROM vm WHERE uuid = '{0}'",
        "count-all": "SELECT count(*) FROM vm",
    }


def sql_text(query, dialect):
    """The statement, or None where the dialect can't say it."""
    metrics = ", ".join(query.metrics)
    where = []
    if query.hosts:
        where.append("hostname IN (" + ", ".join(f"'{host}'" for host in query.hosts) + ")")
    window = [f"time >= {dialect.moment(query.start)}", f"time < {dialect.moment(query.end)}"]
    if query.kind == "bucketed":
        keys = f"{dialect.bucket(query.bucket)} AS bucket" + (", hostname" if query.by_host else "")
        groups = "bucket, hostname" if query.by_host else "bucket"
        values = ", ".join(f"{query.aggregate}({metric})" for metric in query.metrics)
        return (f"SELECT {keys}, {values} FROM cpu WHERE {' AND '.join(where + window)} "
                f"GROUP BY {groups} ORDER BY {groups}")
    if query.kind == "high":
        return (f"SELECT time, hostname, {metrics} FROM cpu "
                f"WHERE {' AND '.join(where + ['usage_user > 90'] + window)}")
    if query.kind == "last":
        return dialect.last.format(columns=f"hostname, {metrics}")
    if query.kind == "limit":
        return (f"SELECT {dialect.bucket(60)} AS bucket, max(usage_user) FROM cpu "
                f"WHERE {window[1]} GROUP BY bucket ORDER BY bucket DESC LIMIT 5")
    text = dialect.cardinality.get(query.kind)
    return text.format(*query.parameters) if text else None


def sql_answer(query, rows):
    if query.kind == "bucketed":
        width = 2 if query.by_host else 1
        return {tuple(row[:width]): tuple(row[width:]) for row in rows}
    if query.kind == "high":
        return {(row[0], row[1]): tuple(row[2:]) for row in rows}
    if query.kind in ("last", "limit", "latest-by-regex", "last-average-by-az"):
        return {(row[0],): tuple(row[1:]) for row in rows}
    if query.kind == "tenant-images":
        return {(row[0],): () for row in rows}
    if query.kind == "one-series":
        return {(int(row[0]) - START,): tuple(row[1:]) for row in rows}
    return {("count",): tuple(rows[0])}
