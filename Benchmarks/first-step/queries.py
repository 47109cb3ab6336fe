#!/usr/bin/env python3
"""Times the first step's queries over one keep-alive HTTP connection, in three states of the data.

    queries.py --url 127.0.0.1:8086 --pid PID [--states head,flushed,compacted] [--n 100] [--json FILE]

The set loaded by loader.py must be there. Each query runs --warm times unmeasured, then --n times;
the clock covers sending the request to having read the last byte of the answer. Every answer is
decoded outside the clock and its row count compared with what the set must give; the last answer
of a query that takes no random host must be the same in every state. `head` is the state in which
the loader left the server, `flushed` the one after FLUSH, `compacted` after COMPACT.
"""

import argparse
import json
import os
import random
import sys
import time
from datetime import datetime, timezone

from client import Connection, cpu_nanoseconds, memory_bytes, percentile
from loader import START_SECONDS, TICK_SECONDS

FIELDS = ["usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait",
          "usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"]


def literal(seconds):
    return "'" + datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") + "'"


def query_set(options):
    """Name → (statement of a random host, rows it must give, whether it is the same every time)."""
    end = START_SECONDS + round(options.hours * 3600)
    begin = max(START_SECONDS, end - 3600)
    rows = (end - begin) // TICK_SECONDS
    where = f"time >= {literal(begin)} AND time < {literal(end)}"

    def one_host(columns, tail=""):
        return lambda host: f"SELECT {columns} FROM cpu WHERE hostname = 'host_{host}' AND {where}{tail}"

    hours = -(-round(options.hours * 3600) // 3600)
    return {
        "host's last hour, 1 column": (one_host("time, usage_user"), rows, False),
        "host's last hour, 10 columns": (one_host("time, " + ", ".join(FIELDS)), rows, False),
        "host's last hour, max per minute": (
            one_host("date_trunc('minute', time) AS minute, max(usage_user)", " GROUP BY minute ORDER BY minute"),
            -(-rows // 6), False),
        "avg by host and hour": (
            lambda _: "SELECT hostname, date_trunc('hour', time) AS h, avg(usage_user) FROM cpu GROUP BY hostname, h",
            options.hosts * hours, True),
        "count(*)": (lambda _: "SELECT count(*) FROM cpu", 1, True),
    }


def measure(connection, options, statement_of, rows_expected, generator):
    """Times of one query in milliseconds, its CPU, and what was wrong with its answers."""
    times, cpu, wrong, last_rows, size = [], [], None, None, 0
    for number in range(options.warm + options.n):
        statement = statement_of(generator.randrange(options.hosts))
        cpu_before = cpu_nanoseconds(options.pid) if options.pid else 0
        begin = time.perf_counter()
        status, body = connection.sql_raw(statement, options.db)
        elapsed = time.perf_counter() - begin
        cpu_used = (cpu_nanoseconds(options.pid) if options.pid else 0) - cpu_before
        if status != 200:
            return {"wrong": f"{status} {body[:300].decode(errors='replace')}", "statement": statement}, None
        answer, size = json.loads(body), len(body)
        last_rows = answer["rows"]
        if answer.get("error") or answer.get("warnings") or len(last_rows) != rows_expected:
            wrong = f"{len(last_rows)} rows, not {rows_expected}; {answer.get('error') or answer.get('warnings')}"
        if number >= options.warm:
            times.append(elapsed * 1e3)
            cpu.append(cpu_used / 1e6)
    times.sort()
    return {"n": options.n, "p50_ms": percentile(times, 0.5), "p95_ms": percentile(times, 0.95),
            "p99_ms": percentile(times, 0.99), "min_ms": times[0], "cpu_ms": sum(cpu) / len(cpu),
            "rows": rows_expected, "answer_bytes": size, "wrong": wrong, "statement": statement,
            "stats": answer.get("stats")}, last_rows


def same(left, right):
    """Whether two answers hold the same rows in any order, floats within 1e-9."""
    def plain(rows):
        return sorted(([round(value, 7) if isinstance(value, float) else value for value in row] for row in rows), key=repr)
    return plain(left) == plain(right)


def run_state(state, connection, options, first_answers):
    generator = random.Random(options.seed)  # the same hosts in every state
    results = {}
    for name, (statement_of, rows_expected, repeats) in query_set(options).items():
        result, rows = measure(connection, options, statement_of, rows_expected, generator)
        if repeats and rows is not None and not same(first_answers.setdefault(name, rows), rows):
            result["wrong"] = "another answer than in the state before"
        if result["wrong"]:
            print(f"{state}: {name}: {result['wrong']}", file=sys.stderr)
        results[name] = result
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="127.0.0.1:8086", help="HOST:PORT")
    parser.add_argument("--pid", type=int, default=0)
    parser.add_argument("--db", default="bench")
    parser.add_argument("--hosts", type=int, default=4000)
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--warm", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--states", default="head,flushed,compacted")
    parser.add_argument("--answers", help="keeps the answers here, to compare runs of one state each")
    parser.add_argument("--json", help="write the report here too")
    options = parser.parse_args()
    report, answers = {}, {}
    if options.answers and os.path.exists(options.answers):
        with open(options.answers) as file:
            answers = json.load(file)
    commands = {"flushed": "FLUSH", "compacted": "COMPACT"}
    for state in options.states.split(","):
        connection = Connection(options.url, 600)
        entry = report[state] = {}
        if state in commands:
            begin = time.perf_counter()
            try:
                connection.sql(commands[state], options.db, post=True)
            except (RuntimeError, OSError, ConnectionError) as error:
                entry["command_wrong"] = str(error)
                print(f"{state}: {error}", file=sys.stderr)
                connection = Connection(options.url, 600)
            entry["command_seconds"] = time.perf_counter() - begin
        entry["queries"] = run_state(state, connection, options, answers)
        entry["rss_anon_bytes"] = memory_bytes(options.pid) if options.pid else None
    if options.answers:
        with open(options.answers, "w") as file:
            json.dump(answers, file)
    text = json.dumps(report, indent=1)
    print(text)
    if options.json:
        with open(options.json, "w") as file:
            file.write(text + "\n")
    wrong = any(entry.get("command_wrong") or any(result["wrong"] for result in entry["queries"].values())
                for entry in report.values())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
