#!/usr/bin/env python3
"""Very many series: how fast they register, what they take, how fast questions about them are answered.

    cardinality.py --apus BINARY --bench APUS_BENCH --cache FOLDER [--series 1000000] [--points 3]
                   [--n 100] [--result FILE]

Durability is `always`; client and server share the machine. The first tick of the set registers its series,
in a directory of its own; then the whole set is loaded, flushed and merged, every question asked n times
with another parameter each time, and the server started again: how soon it is ready, and what the first
question of each kind takes then. Beside each answer's time over HTTP stands what the server says it took.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Peers"))
from common import START, Client, anonymous_bytes, disk_bytes, free_port, percentile, rfc3339
from engine_apus import Apus
from report import commit, machine


def questions(uuids, dice):
    """Name: (statement for a parameter, bar of the p50 in ms, bar of the p99, for a million series)."""
    end = rfc3339(START + 3_600)
    digits = "0123456789abcdef"
    infix = lambda: "".join(dice.choice(digits) for _ in range(3)) + ".*" + "".join(dice.choice(digits) for _ in range(4))
    return {
        "three tags": (lambda: f"SELECT count(DISTINCT uuid) FROM vm WHERE host = 'hv{dice.randrange(2000)}' AND "
                               f"tenant = 't{dice.randrange(500)}' AND az = 'az{dice.randrange(6)}'", 0.5, 2),
        "series of a tenant": (lambda: f"SELECT count(DISTINCT uuid) FROM vm WHERE tenant = 't{dice.randrange(500)}'", 0.8, None),
        "images of a tenant": (lambda: f"SELECT DISTINCT image FROM vm WHERE tenant = 't{dice.randrange(500)}'", 0.6, None),
        "SHOW TAG VALUES of a tenant": (
            lambda: f"SHOW TAG VALUES FROM vm WITH KEY = image WHERE tenant = 't{dice.randrange(500)}'", 0.6, None),
        "latest of host ~ '^hv12' AND az != 'az3'": (
            lambda: "SELECT uuid, cpu FROM vm WHERE host ~ '^hv12' AND az != 'az3' LATEST ON time PARTITION BY uuid", 8, None),
        "average of those": (
            lambda: "SELECT avg(cpu) FROM vm WHERE host ~ '^hv12' AND az != 'az3' LATEST ON time PARTITION BY uuid", None, None),
        "uuid ~ infix": (lambda: f"SELECT count(*) FROM vm WHERE uuid ~ '{infix()}'", 25, None),
        "one series by its uuid": (lambda: f"SELECT time, cpu, mem_used FROM vm WHERE uuid = '{dice.choice(uuids)}'", 0.2, None),
        "average of the last value by az": (
            lambda: "SELECT az, avg(cpu) FROM vm LATEST ON time PARTITION BY uuid GROUP BY az", 8, None),
        "count(*)": (lambda: "SELECT count(*) FROM vm", 1, None),
        "SHOW CARDINALITY": (lambda: "SHOW CARDINALITY FROM vm", None, None),
    }


def generate(options, points):
    path = os.path.join(options.cache, f"cardinality-{options.series}-{points}.lp")
    if not os.path.exists(path + ".json"):
        subprocess.run([options.bench, "generate", "cardinality", "--series", str(options.series), "--points",
                        str(points), "--out", path], check=True)
    return path


def some_uuids(path, dice, count=1_000):
    """From lines here and there in the set."""
    uuids, size = [], os.path.getsize(path)
    with open(path, "rb") as file:
        while len(uuids) < count:
            file.seek(dice.randrange(size))
            file.readline()
            line = file.readline()
            if line:
                uuids.append(line.partition(b"uuid=")[2].partition(b",")[0].decode())
    return uuids


def load(options, engine, path):
    with tempfile.NamedTemporaryFile("r") as result:
        subprocess.run([options.bench, "load", path, "--senders", "4", "--pid", str(engine.process.pid), "--url",
                        engine.write_url, "--idle-metrics", engine.idle_url, "--json", result.name], check=True)
        return json.load(result)


def start(engine):
    """Seconds until it says that it is ready, asked every millisecond."""
    port = free_port()
    begin = time.monotonic()
    engine.process = subprocess.Popen([engine.binary, "serve", "--data", engine.folder, "--http", f"127.0.0.1:{port}",
                                       "--log-level", "warning", *engine.arguments()])
    engine.client = Client(port)
    while time.monotonic() < begin + 60:
        try:
            if engine.client.request("GET", "/ready")[0] == 200:
                return time.monotonic() - begin
        except OSError:
            time.sleep(0.001)
    raise RuntimeError("not ready after a minute")


def ask(engine, statement):
    """Milliseconds until the answer is here, and those the server says it took."""
    begin = time.perf_counter()
    body = engine.sql(statement)
    elapsed = (time.perf_counter() - begin) * 1e3
    own = body.rpartition(b'"elapsed_ms":')[2]
    return elapsed, float(own.split(b"}")[0].split(b",")[0]) if own else float("nan")


def run(options):
    dice = random.Random(options.seed)
    report = {"series": options.series, "points": options.points, "questions": {}}
    with tempfile.TemporaryDirectory(prefix="apus-cardinality.") as folder:
        engine = Apus(options.apus, folder + "/first")
        engine.start()
        empty = anonymous_bytes(engine.process.pid)
        cost = load(options, engine, generate(options, 1))
        report["seriesPerSecond"] = options.series / cost["seconds"]
        report["registerCPUSeconds"] = cost["serverCPUSecondsWithTail"]
        engine.stop()
        subprocess.run(["rm", "-r", folder + "/first"], check=True)

        path = generate(options, options.points)
        engine = Apus(options.apus, folder + "/data")
        engine.start()
        cost = load(options, engine, path)
        report["loadCPUSeconds"] = cost["serverCPUSecondsWithTail"]
        before = engine.cpu()
        for _ in engine.states():
            pass
        report["compactCPUSeconds"] = engine.cpu() - before
        rows = json.loads(engine.sql("SELECT count(*) FROM vm"))["rows"][0][0]
        if rows != options.series * options.points:
            raise RuntimeError(f"{rows} rows, not {options.series * options.points}")
        report["bytes"] = {part: disk_bytes(f"{engine.folder}/{part}") for part in sorted(os.listdir(engine.folder))
                           if os.path.isdir(f"{engine.folder}/{part}")}
        engine.stop()

        starts = []
        for _ in range(5):
            starts.append(start(engine))
            report["anonymousBytesAfterStart"] = anonymous_bytes(engine.process.pid) - empty
            asked = questions(some_uuids(path, dice), dice)
            first = {name: ask(engine, make())[0] for name, (make, _, _) in asked.items()}
            if len(starts) < 5:
                engine.stop()
        report["readySeconds"] = statistics.median(starts)
        for name, (make, p50, p99) in asked.items():
            times = [ask(engine, make()) for _ in range(options.n + 5)][5:]
            outer, inner = sorted(time for time, _ in times), sorted(own for _, own in times)
            report["questions"][name] = {
                "firstMs": first[name], "p50Ms": percentile(outer, 50), "p99Ms": percentile(outer, 99),
                "serverP50Ms": percentile(inner, 50), "barP50Ms": p50, "barP99Ms": p99}
        report["anonymousBytesAfterQuestions"] = anonymous_bytes(engine.process.pid) - empty
        engine.stop()
    return report


def text(report):
    scale = max(1, report["series"] / 1e6)
    lines = ["# Cardinality", "", f"{machine()}, commit {commit()}. Client and server share the machine.", "",
             f"{report['series']:,} series of five tags, a UUID among them, {report['points']} rows each of two fields.", "",
             "| | first ms | p50 ms | p99 ms | in the server, p50 | bar | met |", "| --- | ---: | ---: | ---: | ---: | ---: | --- |"]
    for name, times in report["questions"].items():
        bar, met = times["barP50Ms"], ""
        if bar is not None:
            bar *= scale
            met = "yes" if times["p50Ms"] <= bar else "**no**"
        lines.append(f"| {name} | {times['firstMs']:.2f} | {times['p50Ms']:.2f} | {times['p99Ms']:.2f} | "
                     f"{times['serverP50Ms']:.2f} | {'' if bar is None else f'{bar:g}'} | {met} |")
    total = sum(size for part, size in report["bytes"].items() if part != "log")
    lines += ["", "| | |", "| --- | ---: |",
              f"| registering, series/s | {report['seriesPerSecond']:,.0f} |",
              f"| registering, CPU seconds | {report['registerCPUSeconds']:.1f} |",
              f"| loading all, CPU seconds with flushes and merges | {report['loadCPUSeconds']:.1f} |",
              f"| FLUSH and COMPACT, CPU seconds | {report['compactCPUSeconds']:.1f} |",
              f"| ready after a restart, s | {report['readySeconds']:.3f} |",
              f"| RssAnon after a restart beyond an empty server's, bytes a series | "
              f"{report['anonymousBytesAfterStart'] / report['series']:.0f} |",
              f"| the same after all questions | {report['anonymousBytesAfterQuestions'] / report['series']:.0f} |",
              f"| disk without the log, MB | {total / 1e6:.1f} |"]
    lines += [f"| of it {part}, MB | {size / 1e6:.1f} |" for part, size in report["bytes"].items() if part != "log"]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--points", type=int, default=3)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--result", help="write RESULT.json and RESULT.md")
    options = parser.parse_args()
    report = run(options)
    print(text(report), end="")
    if options.result:
        with open(options.result + ".json", "w") as file:
            json.dump(report, file, indent=1)
        with open(options.result + ".md", "w") as file:
            file.write(text(report))


if __name__ == "__main__":
    main()
