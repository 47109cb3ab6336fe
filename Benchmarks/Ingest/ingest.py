#!/usr/bin/env python3
"""What `apus serve` takes in: shapes of batches, one after the other, each into a fresh directory.

    ingest.py --apus BINARY --bench APUS_BENCH --cache FOLDER [--only NAME,…] [--seconds 60]
              [--result FILE] [--victoria]

Durability is `always`; loader and server share the machine. Each set is replayed, moved on in time,
for so many seconds; afterwards every row has to be there. CPU seconds are the server's, flushes and
merges counted until nothing is left to do. `--victoria` loads the first set into VictoriaMetrics too,
by the same rule.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Peers"))
from common import free_port
from engine_apus import Apus
from engine_victoria import VictoriaMetrics
from report import commit, machine

# name: what apus-bench generates, how it is loaded, and the figure that has a bar
CASES = {
    "cpu-only": ("cpu-only --hosts 4000 --hours 2", [], "values", 20e6),
    "cpu-only over TCP": ("cpu-only --hosts 4000 --hours 2", ["--tcp"], "values", 20e6),
    "one field": ("shapes --hosts 4000 --hours 4 --fields 1", [], "rows", 3e6),
    "500 tables": ("shapes --hosts 4000 --hours 1 --tables 500", [], "values", 10e6),
    "200 fields": ("shapes --hosts 400 --hours 0.5 --fields 200", [], "values", 15e6),
    "two decimals": ("cpu-only --hosts 4000 --hours 2 --decimals 2", [], "values", 15e6),
    "gzip": ("cpu-only --hosts 4000 --hours 2", ["--gzip"], "values", 6e6),
}


def generate(options, arguments):
    path = os.path.join(options.cache, "-".join(part.strip("-") for part in arguments.split()) + ".lp")
    if not os.path.exists(path + ".json"):
        subprocess.run([options.bench, "generate", *arguments.split(), "--out", path], check=True)
    with open(path + ".json") as file:
        return path, json.load(file)


class TCPApus(Apus):
    """With its TCP listener on."""

    def arguments(self):
        self.tcp_port = free_port()
        return ["--line-tcp", f"127.0.0.1:{self.tcp_port}?db=bench", "--line-udp", "off"]


def load(options, engine, path, how):
    command = [options.bench, "load", path, "--senders", "4", "--pid", str(engine.process.pid)]
    if "--gzip" not in how:
        command += ["--seconds-min", str(options.seconds)]
    command += ["--gzip"] if "--gzip" in how else []
    command += (["--tcp", f"127.0.0.1:{engine.tcp_port}"] if "--tcp" in how
                else ["--url", engine.write_url])
    if engine.idle_url:
        command += ["--idle-metrics", engine.idle_url]
    with tempfile.NamedTemporaryFile("r") as result:
        subprocess.run(command + ["--json", result.name], check=True)
        return json.load(result)


def verify(engine, description, passes):
    for table, check in sorted(description["tables"].items())[:3]:
        rows, total = engine.count(table, check["field"])
        if rows != check["rowCount"] * passes or total != check["sum"] * passes and "." not in str(total):
            raise RuntimeError(f"{table}: {rows} rows, sum {total}; {check}, {passes} passes")


def run(options, name):
    arguments, how, figure, bar = CASES[name]
    path, description = generate(options, arguments)
    with tempfile.TemporaryDirectory(prefix="apus-ingest.") as folder:
        engine = TCPApus(options.apus, folder + "/data")
        engine.start()
        try:
            cost = load(options, engine, path, how)
            verify(engine, description, cost["passes"])
        finally:
            engine.stop()
    cost["case"] = name
    cost["bar"] = f"{bar / 1e6:g} M {figure}/s"
    cost["isMet"] = cost[f"{figure}PerSecond"] >= bar
    return cost


def run_victoria(options):
    path, _ = generate(options, CASES["cpu-only"][0])
    with tempfile.TemporaryDirectory(prefix="apus-ingest.") as folder:
        engine = VictoriaMetrics(options.cache, folder + "/data")
        engine.start()
        try:
            cost = load(options, engine, path, [])
        finally:
            engine.stop()
    cost["case"] = "cpu-only, VictoriaMetrics"
    return cost


def row(cost):
    acknowledged = cost.get("acknowledgementMilliseconds")
    met = "" if "isMet" not in cost else "yes" if cost["isMet"] else "**no**"
    cells = [
        cost["case"], f"{cost['valuesPerSecond'] / 1e6:.2f} M", f"{cost['rowsPerSecond'] / 1e6:.2f} M",
        f"{cost['values'] / cost['serverCPUSecondsWithTail'] / 1e6:.2f} M",
        f"{acknowledged['p50']:.1f} / {acknowledged['p99']:.1f}" if acknowledged else "—",
        f"{(cost.get('serverPeakAnonymousBytes') or 0) / 2**20:,.0f}", f"{cost['seconds']:.0f}",
        cost.get("bar", ""), met]
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--victoria", action="store_true")
    parser.add_argument("--result", help="write RESULT.json and RESULT.md")
    options = parser.parse_args()
    os.makedirs(options.cache, exist_ok=True)
    costs = []
    lines = [
        "# Ingest", "", f"{machine()}, commit {commit()}. Loader and server share the machine.", "",
        "| | values/s | rows/s | values per server CPU second, with its tail | ack p50 / p99 ms | peak RssAnon MiB | s | bar | met |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |"]
    print("\n".join(lines[-2:]))
    for name in options.only.split(","):
        costs.append(run(options, name))
        print(row(costs[-1]), flush=True)
    if options.victoria:
        costs.append(run_victoria(options))
        print(row(costs[-1]), flush=True)
    if options.result:
        with open(options.result + ".json", "w") as file:
            json.dump(costs, file, indent=1)
        with open(options.result + ".md", "w") as file:
            file.write("\n".join(lines + [row(cost) for cost in costs]) + "\n")


if __name__ == "__main__":
    main()
