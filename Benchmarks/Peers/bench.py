#!/usr/bin/env python3
"""Apus beside its peers, on one data set, in one run.

    bench.py --apus BINARY --bench APUS_BENCH --cache FOLDER [--hosts 100] [--hours 24] [--n 100]
             [--series 100000] [--engines apus,victoriametrics,influxdb,duckdb,clickhouse]
             [--sets cpu-only,cardinality] [--result Benchmarks/Results/peers] [--seed 1] [--headline SECONDS] [--query-seconds 10]

Each engine in turn: start with default settings but for paths and loopback ports, load, check by
query that every row arrived, ask every query n times warm in each of its states, measure disk,
stop by process id. Answers are compared with those of the first engine; one that differs fails the
run. Servers and client share the machine; in-process engines have no network in their latency.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import report
import workload
from common import WrongAnswer, compare, percentile
from engine_apus import Apus
from engine_embedded import ClickHouse, DuckDB
from engine_influx import InfluxDB
from engine_victoria import VictoriaMetrics

ENGINES = {"apus": Apus, "victoriametrics": VictoriaMetrics, "influxdb": InfluxDB, "duckdb": DuckDB,
           "clickhouse": ClickHouse}
CHECKED = 5  # answers of each query that are compared, in each state; of very slow ones fewer


def say(text):
    print(text, file=sys.stderr, flush=True)


def generate(options, name, arguments):
    path = os.path.join(options.cache, name + ".lp")
    if not os.path.exists(path + ".json"):
        subprocess.run([options.bench, "generate", *arguments, "--out", path], check=True)
    with open(path + ".json") as file:
        return path, json.load(file)


def load(options, engine, path, table, seconds_min=0):
    """Loads a set into a started engine and says what that cost."""
    if hasattr(engine, "load"):
        return engine.load(path, table)
    with tempfile.NamedTemporaryFile("r") as result:
        command = [options.bench, "load", path, "--url", engine.write_url, "--senders", "4",
                   "--pid", str(engine.process.pid), "--json", result.name, "--idle-seconds-max", "120",
                   "--seconds-min", str(seconds_min)]
        if engine.idle_url:
            command += ["--idle-metrics", engine.idle_url]
        subprocess.run(command, check=True)
        return json.load(result)


def verify(engine, description, table, passes=1):
    """Every row that was sent has to be there, and the sum of one field has to fit."""
    check = {key: value * passes if isinstance(value, int) else value
             for key, value in description["tables"][table].items()}
    for attempt in range(60):
        rows, total = engine.count(table, check["field"])
        if rows == check["rowCount"] and abs(total - check["sum"]) <= 1e-9 * abs(check["sum"]):
            return
        if engine.name == "Apus":
            break
        time.sleep(1)  # acknowledged isn't visible everywhere
    raise WrongAnswer(f"{engine.name}: {rows} rows and sum {total} of {table}, "
                      f"not {check['rowCount']} and {check['sum']}")


def whole_buckets(query, answer):
    """Without the first and the last bucket where the window cuts them."""
    if query.kind not in ("bucketed", "limit"):
        return answer
    first = -(-query.start // query.bucket) * query.bucket
    last = query.end // query.bucket * query.bucket
    return {key: value for key, value in answer.items() if first <= key[0] < last}


def ask(options, engine, queries, expected):
    """Runs the instances of one query; fills in and checks the answers of the first few."""
    prepared = [engine.prepare(query) for query in queries]
    if prepared[0] is None:
        return None
    begin = time.monotonic()
    for index, query in enumerate(queries[:CHECKED]):
        if index > 0 and time.monotonic() - begin > options.query_seconds:
            break
        answer = engine.parse(query, engine.run(prepared[index]))
        key = (query.name, index)
        if key not in expected:
            expected[key] = answer
            continue
        reference = expected[key]
        if getattr(engine, "whole_buckets", False):
            reference, answer = whole_buckets(query, reference), whole_buckets(query, answer)
        compare(f"{engine.name} {query.name} #{index}", reference, answer)
    times, cpu, begin = [], engine.cpu(), time.monotonic()
    for text in prepared:
        start = time.perf_counter()
        engine.run(text)
        times.append((time.perf_counter() - start) * 1e3)
        if time.monotonic() - begin > options.query_seconds:
            break
    cpu = (engine.cpu() - cpu) * 1e3 / len(times)
    times.sort()
    return {"n": len(times), "p50": percentile(times, 50), "p95": percentile(times, 95),
            "p99": percentile(times, 99), "cpu": cpu}


def run_engine(options, name, sets, work, expected):
    engine_type = ENGINES[name]
    outcome = {"name": engine_type.name, "queries": {}}
    for set_name, (path, description, table, queries) in sets.items():
        folder = os.path.join(work, f"{name}-{set_name}")
        engine = (engine_type(options.apus, folder) if name == "apus"
                  else engine_type(options.cache, folder))
        engine.start()
        try:
            say(f"{engine.name}: load {set_name}")
            outcome["version"] = engine.version()
            cost = load(options, engine, path, table)
            cost["rowsPerSecond"] = description["rowCount"] / cost["seconds"]
            cost["valuesPerSecond"] = description["valueCount"] / cost["seconds"]
            verify(engine, description, table)
            outcome[f"load-{set_name}"] = cost
            for state in engine.states():
                say(f"{engine.name}: queries, {state}")
                for query_name, instances in queries.items():
                    result = ask(options, engine, instances, expected)
                    outcome["queries"].setdefault(query_name, {})[state] = result
            if "serverCPUSecondsWithTail" not in cost:
                cost["serverCPUSecondsWithTail"] = cost["serverCPUSeconds"] + engine.tail_cpu
            outcome[f"disk-{set_name}"] = engine.disk() / description["valueCount"]
        finally:
            engine.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def run_headline(options, name, path, description, table, work):
    """A load of so many seconds that flushes and merges run beside it; nothing for engines that
    load a file of their own."""
    engine_type = ENGINES[name]
    if hasattr(engine_type, "load"):
        return None
    folder = os.path.join(work, f"{name}-headline")
    engine = engine_type(options.apus if name == "apus" else options.cache, folder)
    engine.start()
    try:
        say(f"{engine.name}: load for {options.headline:g} s")
        cost = load(options, engine, path, table, options.headline)
        verify(engine, description, table, cost["passes"])
        for state in engine.states():
            say(f"{engine.name}: {state}")
        cost["bytesPerValue"] = engine.disk() / cost["values"]
        return cost
    finally:
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=3)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--headline", type=float, default=60,
                        help="seconds of the longest load; 0 leaves it out")
    parser.add_argument("--query-seconds", type=float, default=10,
                        help="after which a query is asked no more, whatever n")
    parser.add_argument("--sets", default="cpu-only,cardinality")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--result", required=True)
    options = parser.parse_args()
    names = options.engines.split(",")
    for name in names:
        if name not in ENGINES:
            parser.error(f"{name} is not one of {', '.join(ENGINES)}")

    cpu_path, cpu_set = generate(
        options, f"cpu-only-{options.hosts}x{options.hours:g}h-s{options.seed}",
        ["cpu-only", "--hosts", str(options.hosts), "--hours", f"{options.hours:g}", "--seed", str(options.seed)])
    vm_path, vm_set = generate(
        options, f"cardinality-{options.series}x{options.points}-s{options.seed}",
        ["cardinality", "--series", str(options.series), "--points", str(options.points),
         "--seed", str(options.seed)])
    with open(vm_path) as file:
        members = [dict(pair.split("=") for pair in line.split(" ")[0].split(",")[1:]) for line, _ in zip(file, range(1000))]
    sets = {
        "cpu-only": (cpu_path, cpu_set, "cpu", {
            name: workload.tsbs(name, options.hosts, options.hours, options.n, options.seed)
            for name in workload.TSBS}),
        "cardinality": (vm_path, vm_set, "vm", {
            name: workload.cardinality(name, members, options.n, options.seed)
            for name in workload.CARDINALITY}),
    }
    sets = {name: sets[name] for name in options.sets.split(",")}
    expected, outcomes, failures = {}, [], []
    work = tempfile.mkdtemp(prefix="apus-peers.")
    try:
        for name in names:
            try:
                outcomes.append(run_engine(options, name, sets, work, expected))
                if options.headline > 0 and "cpu-only" in sets:
                    outcomes[-1]["headline"] = run_headline(
                        options, name, cpu_path, cpu_set, "cpu", work)
            except (WrongAnswer, RuntimeError, OSError, subprocess.CalledProcessError) as error:
                say(f"{name}: {error}")
                failures.append(f"{ENGINES[name].name}: {error}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report.write(options, cpu_set, vm_set, outcomes, failures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
