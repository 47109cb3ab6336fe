"""Who answers: Apus over HTTP, PostgreSQL and DuckDB. All give rows of None, bool, int, float, str, datetime (UTC,
without zone) and timedelta, so that they compare."""

import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import duckdb
import psycopg2
import psycopg2.extras

import tables

PEERS = pathlib.Path(__file__).resolve().parents[2] / "Benchmarks" / "Peers"
sys.path.insert(0, str(PEERS))
from common import free_port, stop, wait_for  # noqa: E402
import engine_apus  # noqa: E402


class Refused(Exception):
    """The engine answered with an error."""


class Apus:
    name = "Apus"

    def __init__(self, binary, folder):
        self.server = engine_apus.Apus(binary, folder)
        self.server.start()
        self.database = None

    def stop(self):
        self.server.stop()

    def load(self, loaded, random, number):
        if self.database:
            self.statement(f"DROP DATABASE {self.database}")
        self.database = f"round{number}"
        for table in loaded:
            for batch in table.batches(random):
                if batch.startswith("DELETE"):
                    self.statement(batch)
                    continue
                status, body = self.server.client.request("POST", "/write", {"db": self.database}, batch)
                if status != 204:
                    raise RuntimeError(f"write: {status} {body[:500]}")
                # Rows in segments, in the head, and in both.
                if random.random() < 0.3:
                    self.statement("FLUSH")
        if random.random() < 0.3:
            self.statement("COMPACT")

    def statement(self, text):
        status, body = self.server.client.request(
            "POST", "/sql", {"db": self.database, "format": "json", "nonfinite": "text"}, text)
        try:
            answer = json.loads(body)
        except ValueError:
            raise Refused(f"{status} {body[:500]!r}") from None
        if status != 200:
            raise Refused(f"{answer['error']['code']}: {answer['error']['message']}")
        return answer

    def answer(self, text):
        answer = self.statement(text)
        convert = [CONVERSIONS.get(column["type"]) for column in answer["columns"]]
        return [tuple(value if value is None or change is None else change(value)
                      for value, change in zip(row, convert)) for row in answer["rows"]]


def apus_time(text):
    moment = datetime.fromisoformat(re.sub(r"\.(\d+)", lambda match: "." + match[1][:6].ljust(6, "0"),
                                           text.removesuffix("Z")))
    return moment


def apus_interval(text):
    """`1 mon 2 days -03:00:00.5`. A month counts as 30 days, a year as 365, as psycopg2 has it."""
    days, seconds = 0, Decimal(0)
    for count, unit in re.findall(r"(-?\d+) (year|mon|day)", text):
        days += int(count) * {"year": 365, "mon": 30, "day": 1}[unit]
    if clock := re.search(r"(-?)(\d+):(\d+):([\d.]+)", text):
        seconds = int(clock[2]) * 3600 + int(clock[3]) * 60 + Decimal(clock[4])
        seconds = -seconds if clock[1] else seconds
    return timedelta(days=days, microseconds=int(seconds * 1_000_000))


CONVERSIONS = {"float64": float, "timestamp": apus_time, "timestamp_local": apus_time, "interval": apus_interval,
               "date": lambda text: datetime.fromisoformat(text)}


def plain(value):
    """A value as the comparison wants it."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


class Postgres:
    """A server of our own, on a loopback port, with its data in a folder that is removed when it stops."""

    name = "PostgreSQL"
    # The database sorts bytewise (COLLATE "C") and knows the case of all letters (LC_CTYPE C.UTF-8), as Apus does.
    types = {"time": "timestamptz", "text": "text", "int": "int8", "float": "float8", "bool": "bool"}

    def __init__(self, cache):
        # Binaries stay where they are; a user that isn't root has to be able to read them.
        self.folder = tempfile.mkdtemp(prefix="apus-differential-")
        self.root = os.path.join(self.folder, "root")
        source = os.path.join(cache, "root")
        shutil.copytree(source, self.root, symlinks=True)
        self.environment = {**os.environ, "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": os.path.join(
            self.root, "usr/lib", f"{os.uname().machine}-linux-gnu")}
        self.identity = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        data, port = os.path.join(self.folder, "data"), free_port()
        self.run("initdb", "-D", data, "-U", "apus", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C",
                 "--lc-ctype=C.UTF-8")
        self.process = subprocess.Popen(
            [self.program("postgres"), "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F",
             "-c", "timezone=UTC", "-c", "statement_timeout=20s", "-c", "jit=off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, env=self.environment,
            **self.identity)
        wait_for(lambda: self.connect(port), 30, "PostgreSQL")

    def program(self, name):
        return os.path.join(self.root, "usr/lib/postgresql/15/bin", name)

    def run(self, name, *arguments):
        done = subprocess.run([self.program(name), *arguments], capture_output=True, text=True, cwd=self.folder,
                              env=self.environment, **self.identity)
        if done.returncode != 0:
            raise RuntimeError(f"{name}: {done.stderr}")

    def connect(self, port):
        try:
            self.connection = psycopg2.connect(host="127.0.0.1", port=port, user="apus", dbname="postgres")
        except psycopg2.OperationalError:
            return False
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        return True

    def stop(self):
        # Told to end, it waits for its clients.
        self.connection.close()
        stop(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, loaded):
        for table in loaded:
            declared = ", ".join(f"{name} {self.types[kind]}" for name, kind in tables.columns(table.name))
            self.cursor.execute(f"DROP TABLE IF EXISTS {table.name}; CREATE TABLE {table.name} ({declared})")
            psycopg2.extras.execute_values(self.cursor, f"INSERT INTO {table.name} VALUES %s", table.rows)
            self.cursor.execute(f"ANALYZE {table.name}")

    def answer(self, text):
        try:
            self.cursor.execute(text)
            return [tuple(map(plain, row)) for row in self.cursor.fetchall()]
        except psycopg2.Error as error:
            raise Refused(str(error).strip()) from None


class DuckDB:
    name = "DuckDB"
    types = {"time": "timestamptz", "text": "varchar", "int": "int8", "float": "float8", "bool": "bool"}

    def __init__(self):
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute("SET threads = 1")

    def stop(self):
        self.connection.close()

    def load(self, loaded):
        for table in loaded:
            kinds = tables.columns(table.name)
            declared = ", ".join(f"{name} {self.types[kind]}" for name, kind in kinds)
            self.connection.execute(f"CREATE OR REPLACE TABLE {table.name} ({declared})")
            self.connection.executemany(
                f"INSERT INTO {table.name} VALUES ({', '.join('?' for _ in kinds)})", table.rows)

    def answer(self, text):
        try:
            return [tuple(map(plain, row)) for row in self.connection.execute(text).fetchall()]
        except duckdb.Error as error:
            raise Refused(str(error).strip()) from None
