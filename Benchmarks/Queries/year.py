#!/usr/bin/env python3
"""A year of 100 hosts, a value each every 10 s: 315 million rows of one field, and questions about all of them.

    year.py --apus BINARY --bench APUS_BENCH --cache FOLDER [--months 12] [--hosts 100] [--n 100]
            [--seconds 6] [--result FILE]

Made and loaded a month at a time, with `durability=always` and default options; each month's file goes
before the next comes. Asked over HTTP after FLUSH and again after COMPACT, warm: n times, or as often as
`seconds` allow. What the default budget of a query refuses is asked of a server with more memory as well.
Answers are compared with what a look at the lines comes to: one day of all hosts, and everything's sum.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Peers"))
from common import anonymous_bytes, cpu_milliseconds, percentile, rfc3339, WrongAnswer
from engine_apus import Apus
from report import commit, machine

START = 1_735_689_600  # 2025-01-01T00:00:00Z: a year that has passed
DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
ROWS_PER_DAY = 8_640
LINES_PER_BODY = 5_000
MONTHLY = "SELECT date_trunc('month', time) AS month, {} AS p99 FROM t0 {}GROUP BY month"
EXACT = "percentile_cont(0.99) WITHIN GROUP (ORDER BY f0)"


def month_start(month):
    return START + sum(DAYS[:month]) * 86_400


class RoomyApus(Apus):
    memory = []

    def arguments(self):
        return super().arguments() + self.memory


class Peak(threading.Thread):
    """The most anonymous memory of a process while it is watched."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.bytes, self.ended = pid, 0, threading.Event()

    def run(self):
        while True:
            self.bytes = max(self.bytes, anonymous_bytes(self.pid))
            if self.ended.wait(0.01):
                return

    def stop(self):
        self.ended.set()
        self.join()
        return self.bytes


def questions(options, dice):
    """Name: (statements for a random parameter, bar of the p50 in ms)."""
    end = month_start(options.months)
    host = lambda: f"host = 'host_{dice.randrange(options.hosts)}'"
    months = [f"WHERE time >= '{rfc3339(month_start(m))}' AND time < '{rfc3339(month_start(m + 1))}' "
              for m in range(options.months)]
    return {
        "daily avg, min, max by host": (lambda: [
            "SELECT time_bucket('1 day', time) AS day, host, avg(f0), min(f0), max(f0) FROM t0 GROUP BY day, host"], 60),
        "monthly approx_percentile(0.99)": (lambda: [MONTHLY.format("approx_percentile(f0, 0.99)", "")], 3_000),
        "monthly percentile_cont(0.99)": (lambda: [MONTHLY.format(EXACT, "")], 8_000),
        "the same, a statement a month": (lambda: [MONTHLY.format(EXACT, month) for month in months], 8_000),
        "LATEST ON by host": (lambda: ["SELECT host, time, f0 FROM t0 LATEST ON time PARTITION BY host"], 2),
        "a host's last 24 h by 5 minutes": (lambda: [
            f"SELECT time_bucket('5 minutes', time) AS t, avg(f0), max(f0) FROM t0 WHERE {host()} AND "
            f"time >= '{rfc3339(end - 86_400)}' GROUP BY t ORDER BY t"], None),
        "a host's year, avg by hour": (lambda: [
            f"SELECT time_bucket('1 hour', time) AS t, avg(f0) FROM t0 WHERE {host()} GROUP BY t ORDER BY t"], None),
        "count(*)": (lambda: ["SELECT count(*) FROM t0"], None),
        "max": (lambda: ["SELECT max(f0) FROM t0"], None),
    }


def day_of_lines(path):
    """The values of each host in the month's days 6 to 10, read from the lines; five days are whole bodies."""
    with open(path + ".bodies", "rb") as file:
        offsets = memoryview(file.read()).cast("Q")
    bodies = len(offsets) - 1
    first = bodies * 5 // DAYS[0]
    values = {}
    with open(path, "rb") as file:
        file.seek(offsets[first])
        for line in file.read(offsets[bodies * 10 // DAYS[0]] - offsets[first]).splitlines():
            tags, field, stamp = line.split(b" ")
            day = (int(stamp) // 1_000_000_000 - START) // 86_400
            values.setdefault((day, tags.partition(b"host=")[2].decode()), []).append(float(field[3:]))
    return values


def load(options, engine):
    """Loads all months; what it took, and what is in them: rows, sum of hundredths, five days of values."""
    seconds, acknowledged, rows, hundredths, days, retried = 0, [], 0, 0, None, 0
    cpu, peak = engine.cpu(), Peak(engine.process.pid)
    peak.start()
    for month in range(options.months):
        with tempfile.TemporaryDirectory(prefix="apus-year.", dir=options.cache) as folder:
            path = folder + "/month.lp"
            subprocess.run([options.bench, "generate", "shapes", "--tables", "1", "--fields", "1", "--decimals", "2",
                            "--hosts", str(options.hosts), "--hours", str(DAYS[month] * 24), "--seed", str(month + 1),
                            "--start", str(month_start(month)), "--lines-per-body", str(LINES_PER_BODY),
                            "--out", path], check=True, stdout=subprocess.DEVNULL)
            days = days or day_of_lines(path)
            with open(path + ".json") as file:
                check = json.load(file)["tables"]["t0"]
            rows, hundredths = rows + check["rowCount"], hundredths + check["sum"]
            subprocess.run([options.bench, "load", path, "--url", engine.write_url, "--json", folder + "/load.json"],
                           check=True, stderr=subprocess.DEVNULL)
            with open(folder + "/load.json") as file:
                cost = json.load(file)
            seconds += cost["seconds"]
            retried += cost["retriedBodies"]
            acknowledged.append(cost["acknowledgementMilliseconds"])
            print(f"month {month + 1}: {cost['rowsPerSecond']:,.0f} rows/s, {retried} bodies sent again", flush=True)
    engine.wait_until_quiet()
    return {"rows": rows, "seconds": seconds, "rowsPerSecond": rows / seconds, "cpuSeconds": engine.cpu() - cpu,
            "acknowledgementMs": {"p50": max(a["p50"] for a in acknowledged), "p99": max(a["p99"] for a in acknowledged)},
            "retriedBodies": retried, "peakRssAnon": peak.stop()}, hundredths, days


def compare(name, found, expected):
    if not abs(found - expected) <= 1e-9 * max(1, abs(expected)):
        raise WrongAnswer(f"{name}: {found}, not {expected}")


def check(engine, rows, hundredths, days):
    """Answers beside what the lines come to."""
    answer = lambda text: json.loads(engine.sql(text))["rows"]
    [[count, total]] = answer("SELECT count(*), sum(f0) FROM t0")
    compare("count(*)", count, rows)
    compare("sum", total, hundredths / 100)
    start, end = (START + day * 86_400 for day in (min(day for day, _ in days), max(day for day, _ in days) + 1))
    window = f"WHERE time >= '{rfc3339(start)}' AND time < '{rfc3339(end)}' "
    found = answer(f"SELECT time_bucket('1 day', time) AS day, host, avg(f0), min(f0), max(f0) FROM t0 {window}"
                   "GROUP BY day, host")
    compare("days of hosts", len(found), len(days))
    for day, host, *numbers in found:
        values = days[(day - START) // 86_400, host]
        compare(f"rows of {host}", len(values), ROWS_PER_DAY)
        for number, expected in zip(numbers, (sum(values) / len(values), min(values), max(values))):
            compare(f"{host} of day {day}", number, expected)
    values = sorted(value for some in days.values() for value in some)
    place = 0.99 * (len(values) - 1)
    low = values[int(place)]
    expected = low + (values[min(int(place) + 1, len(values) - 1)] - low) * (place - int(place))
    compare("percentile_cont", answer(MONTHLY.format(EXACT, window))[0][1], expected)
    near = answer(MONTHLY.format("approx_percentile(f0, 0.99)", window))[0][1]
    if abs(near / expected - 1) > 0.01:
        raise WrongAnswer(f"approx_percentile: {near}, exactly {expected}")


def blocks(engine, statements):
    """What EXPLAIN ANALYZE says of blocks: read, skipped, answered from statistics; and notes like those of kept rows."""
    counts, notes = [0, 0, 0], []
    for statement in statements:
        for [line] in json.loads(engine.sql("EXPLAIN ANALYZE " + statement))["rows"]:
            if line.startswith("blocks:"):
                numbers = [int(word) for word in line.replace(",", "").split() if word.isdigit()]
                counts = [sum(pair) for pair in zip(counts, numbers)]
            elif line.startswith(("last rows:", "rows counted by")):
                notes.append(line)
    return counts, notes


def measure(options, engine, make):
    """Warm times of a question; a text if it is refused."""
    try:
        for statement in make():
            engine.sql(statement)
    except RuntimeError as error:
        return {"refused": str(error)}
    read, notes = blocks(engine, make())
    times, size, begin = [], 0, time.monotonic()
    cpu, peak = cpu_milliseconds(engine.process.pid), Peak(engine.process.pid)
    peak.start()
    while len(times) < options.n and (len(times) < 3 or time.monotonic() - begin < options.seconds):
        statements = make()
        start = time.perf_counter()
        size = sum(len(engine.sql(statement)) for statement in statements)
        times.append((time.perf_counter() - start) * 1e3)
    cpu = (cpu_milliseconds(engine.process.pid) - cpu) / len(times)
    times.sort()
    return {"n": len(times), "p50Ms": percentile(times, 50), "p99Ms": percentile(times, 99), "cpuMs": cpu,
            "answerBytes": size, "blocks": read, "notes": notes, "peakRssAnon": peak.stop()}


def run(options):
    report = {"months": options.months, "hosts": options.hosts, "states": {}}
    with tempfile.TemporaryDirectory(prefix="apus-year.", dir=options.cache) as folder:
        engine = RoomyApus(options.apus, folder + "/data")
        engine.start()
        report["load"], *expected = load(options, engine)
        rows = report["load"]["rows"]

        def ask(state, only=lambda name: True):
            found = report["states"].setdefault(state, {"bytesPerValue": engine.disk() / rows, "questions": {}})
            for name, (make, _) in questions(options, random.Random(1)).items():
                if only(name):
                    found["questions"][name] = measure(options, engine, make)
                    print(state, name, found["questions"][name], flush=True)

        for word in ("FLUSH", "COMPACT"):
            cpu, begin = engine.cpu(), time.monotonic()
            engine.sql(word, method="POST")
            report[word] = {"seconds": time.monotonic() - begin}
            engine.wait_until_quiet()
            report[word]["cpuSeconds"] = engine.cpu() - cpu
            check(engine, rows, *expected)
            ask({"FLUSH": "flushed", "COMPACT": "compacted"}[word])
        refused = {name for name, found in report["states"]["compacted"]["questions"].items() if "refused" in found}
        if refused:
            engine.stop()
            engine.memory = ["--memory", options.memory]
            engine.start()
            engine.sql("SELECT max(f0) FROM t0")
            ask(f"compacted, --memory {options.memory}", lambda name: name in refused)
        engine.stop()
    return report


def text(report, options):
    loaded = report["load"]
    bars = {name: bar for name, (_, bar) in questions(options, random.Random(1)).items()}
    lines = ["# A year", "", f"{machine()}, commit {commit()}. Client and server share the machine; load average at the "
             f"end {os.getloadavg()[0]:.2f}.", "",
             f"{report['hosts']} hosts, {sum(DAYS[:report['months']])} days, a row each every 10 s of one field with two "
             f"decimals: {loaded['rows']:,} rows. Days are partitions.", "",
             "| | |", "| --- | ---: |",
             f"| rows/s, loaded over HTTP by four senders | {loaded['rowsPerSecond']:,.0f} |",
             f"| CPU seconds of the server, flushes and merges included | {loaded['cpuSeconds']:.1f} |",
             f"| acknowledgement p50, p99 ms of the slowest month | {loaded['acknowledgementMs']['p50']:.1f}, "
             f"{loaded['acknowledgementMs']['p99']:.1f} |",
             f"| bodies answered with 503 and sent again | {loaded['retriedBodies']} |",
             f"| peak RssAnon while loading, MiB | {loaded['peakRssAnon'] / (1 << 20):,.0f} |"]
    lines += [f"| {word}, s; CPU s | {report[word]['seconds']:.1f}; {report[word]['cpuSeconds']:.1f} |"
              for word in ("FLUSH", "COMPACT")]
    lines += [f"| bytes a value, {state} | {found['bytesPerValue']:.3f} |"
              for state, found in report["states"].items() if "," not in state]
    lines += ["", "Blocks: read, skipped, answered from statistics, as EXPLAIN ANALYZE counts them. `n` is less than "
              f"{options.n} where {options.seconds:g} s were not enough.", "",
              "| question | state | n | p50 ms | p99 ms | CPU ms | blocks | peak RssAnon MiB | bar p50 | met |",
              "| --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | --- |"]
    for name, bar in bars.items():
        for state, found in report["states"].items():
            figures = found["questions"].get(name)
            if figures is None:
                continue
            if "refused" in figures:
                lines.append(f"| {name} | {state} | | refused: `budget` | | | | | {bar:,} | **no** |")
                continue
            counts = ", ".join(f"{count:,}" for count in figures["blocks"])
            met = "" if bar is None else "yes" if figures["p50Ms"] <= bar else "**no**"
            lines.append(
                f"| {name} | {state} | {figures['n']} | {figures['p50Ms']:,.2f} | {figures['p99Ms']:,.2f} | "
                f"{figures['cpuMs']:,.2f} | {counts if any(figures['blocks']) else 'none'} | "
                f"{figures['peakRssAnon'] / (1 << 20):,.0f} | {'' if bar is None else f'{bar:,}'} | {met} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--months", type=int, default=12, choices=range(1, 13))
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--memory", default="24GiB", help="of the server that answers what the default refuses")
    parser.add_argument("--result", help="write RESULT.json and RESULT.md")
    options = parser.parse_args()
    report = run(options)
    found = text(report, options)
    print(found, end="")
    if options.result:
        report["machine"], report["commit"] = machine(), commit()
        with open(options.result + ".json", "w") as file:
            json.dump(report, file, indent=1)
        with open(options.result + ".md", "w") as file:
            file.write(found)


if __name__ == "__main__":
    main()
