#!/usr/bin/env python3
"""Small questions of dashboards while the server has much else to do.

    fairness.py --apus BINARY --bench APUS_BENCH --cache FOLDER [--seconds 60] [--rate 20] [--heavy 1]
                [--hours 72] [--result FILE]

A table of 100 hosts, merged. Every second `rate` questions come over eight kept connections: an hour of a host
by minutes, one field and five, and a host's last row; and as many times nothing is asked, of `/ping`, which
tells what the machine itself lets one wait. Four times: alone; beside one query after the other that goes
through all rows; beside live rows of 4,000 hosts at half of the pace that the machine can take, which is
measured first; and beside both. Times go from a question's sending until its answer is here; beside them
what the server says it took. The loader and whoever asks heavy questions are processes of their own.
"""

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from queue import Empty

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Peers"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Ingest"))
from common import METRICS, START, Client, percentile, rfc3339
from engine_apus import DIALECT, Apus, sql_text
from ingest import generate
from report import commit, machine
from workload import tsbs

HOSTS, CONNECTIONS = 100, 8
KINDS = ["single-groupby-1-1-1", "single-groupby-5-1-1", "lastpoint of a host", "ping"]
BAR_MS = 20
HEAVY = [
    # All threads that there are, for all rows of all fields.
    "SELECT date_trunc('hour', time) AS hour, " + ", ".join(f"approx_percentile({name}, 0.99)" for name in METRICS)
    + " FROM cpu WHERE time < '{end}' GROUP BY hour",
    # Keeps all values of five fields.
    "SELECT hostname, " + ", ".join(f"percentile_cont(0.99) WITHIN GROUP (ORDER BY {name})" for name in METRICS[:5])
    + " FROM cpu WHERE time < '{end}' GROUP BY hostname",
    # High-cpu, in an order that no index gives, and an answer of 12 MB.
    "SELECT * FROM cpu WHERE usage_user > 90.0 AND time < '{end}' ORDER BY usage_system, usage_idle, time LIMIT 100000",
]


def statements(options, kind):
    """Endless statements of a kind, at random windows."""
    seed = 0
    while True:
        seed += 1
        if kind == "lastpoint of a host":
            yield (f"SELECT hostname, {', '.join(METRICS)} FROM cpu WHERE hostname = "
                   f"'host_{random.Random(seed).randrange(HOSTS)}' LATEST ON time PARTITION BY hostname")
        else:
            for query in tsbs(kind, HOSTS, options.hours, 100, seed):
                yield sql_text(query, DIALECT)


class Asker(threading.Thread):
    """One connection: a question of each kind in turn, when it is due or as soon as the one before is answered."""

    def __init__(self, options, port, number):
        super().__init__(daemon=True)
        self.client, self.options, self.number = Client(port), options, number
        self.times, self.failure = [], None

    def run(self):
        options, asked = self.options, {kind: statements(self.options, kind) for kind in KINDS if kind != "ping"}
        period = CONNECTIONS / options.rate / 2
        begin, turn = time.monotonic() + self.number / options.rate / 2, self.number
        for question in range(int(options.seconds / period)):
            time.sleep(max(0, begin + question * period - time.monotonic()))
            turn += 1
            kind = "ping" if turn % 2 else KINDS[turn // 2 % 3]
            path, parameters = "/ping", None
            if kind != "ping":
                path, parameters = "/sql", {"db": "bench", "q": next(asked[kind]), "epoch": "s", "format": "json"}
            start = time.perf_counter()
            status, body = self.client.request("GET", path, parameters)
            elapsed = (time.perf_counter() - start) * 1e3
            if status not in (200, 204):
                self.failure = f"{kind}: {status} {body[:300]}"
                return
            own = body.rpartition(b'"elapsed_ms":')[2].split(b"}")[0].split(b",")[0]
            self.times.append((kind, elapsed, float(own) if own else 0))


def ask_heavily(port, end, ended, times):
    """In a process of its own: one connection, query after query; what it read is thrown away."""
    client = Client(port)
    while not ended.is_set():
        for text in HEAVY:
            begin = time.monotonic()
            status, body = client.request("GET", "/sql", {"db": "bench", "q": text.format(end=end)})
            if status != 200:
                times.put((0, f"{status} {body[:300]}"))
                return
            times.put((time.monotonic() - begin, None))


def loader(options, engine, path, folder, pace):
    command = [options.bench, "load", path, "--url", engine.write_url, "--json", folder + "/load.json",
               "--seconds-min", str(options.seconds if pace else 15)]
    return subprocess.Popen(command + (["--values-per-second", str(pace)] if pace else []),
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def peak(options, path):
    """Values a second that a server takes which does nothing else."""
    with tempfile.TemporaryDirectory(prefix="apus-fairness.", dir=options.cache) as folder:
        engine = Apus(options.apus, folder + "/data")
        engine.start()
        loader(options, engine, path, folder, None).wait()
        engine.stop()
        with open(folder + "/load.json") as file:
            return json.load(file)["valuesPerSecond"]


def threads(pid):
    """Each thread's name, and what it has had of a core and waited for one, in nanoseconds, and how often it got one."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/comm") as name, open(f"/proc/{pid}/task/{thread}/schedstat") as counts:
                found[thread] = name.read().strip().partition("-#")[0], [int(word) for word in counts.read().split()]
        except OSError:
            pass
    return found


def used(before, after, seconds):
    """By name: cores taken, and the mean wait for one."""
    sums = {}
    for thread, (name, counts) in after.items():
        old = before.get(thread, (name, [0, 0, 0]))[1]
        sums[name] = [total + new - old for total, new, old in zip(sums.get(name, [0, 0, 0]), counts, old)]
    return {name: {"cores": ran / 1e9 / seconds, "waitMs": waited / 1e6 / times, "times": times}
            for name, (ran, waited, times) in sums.items() if times and ran > 1e6 * seconds}


def figures(times):
    times = sorted(times)
    return {"p50": percentile(times, 50), "p95": percentile(times, 95), "p99": percentile(times, 99), "max": times[-1]}


def stage(options, engine, folder, heavy, live, pace):
    """Everything that is asked of a stage, measured."""
    ended, queue = multiprocessing.Event(), multiprocessing.Queue()
    others = []
    end = rfc3339(START + options.hours * 3_600)
    for _ in range(options.heavy if heavy else 0):
        others.append(multiprocessing.Process(target=ask_heavily, args=(engine.client.port, end, ended, queue), daemon=True))
        others[-1].start()
    load = loader(options, engine, live, folder, pace) if pace else None
    time.sleep(2)
    before, begin = threads(engine.process.pid), time.monotonic()
    askers = [Asker(options, engine.client.port, number) for number in range(CONNECTIONS)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    work = used(before, threads(engine.process.pid), time.monotonic() - begin)
    ended.set()
    heavy_times = []
    for process in others:
        while process.is_alive() or not queue.empty():
            try:
                heavy_times.append(queue.get(timeout=0.1))
            except Empty:
                pass
        process.join()
    failures = [asker.failure for asker in askers if asker.failure] + [text for _, text in heavy_times if text]
    if failures:
        raise RuntimeError(failures[0])
    found = [entry for asker in askers for entry in asker.times]
    queries = [entry for entry in found if entry[0] != "ping"]
    result = {"serverCores": sum(thread["cores"] for thread in work.values()), "queries": len(queries), "ms": figures([entry[1] for entry in queries]),
              "inServerMs": figures([entry[2] for entry in queries]),
              "threads": work,
              "byKind": {kind: figures([entry[1] for entry in found if entry[0] == kind]) for kind in KINDS}}
    if heavy_times:
        result["heavySeconds"] = [seconds for seconds, _ in heavy_times]
    if load:
        load.wait()
        with open(folder + "/load.json") as file:
            cost = json.load(file)
        result["ingest"] = {"valuesPerSecond": cost["valuesPerSecond"], "ms": cost["acknowledgementMilliseconds"],
                            "retriedBodies": cost["retriedBodies"]}
    return result


def run(options):
    base, description = generate(options, f"cpu-only --hosts {HOSTS} --hours {options.hours}")
    live, _ = generate(options, f"cpu-only --hosts 4000 --hours 1 --start {START + options.hours * 3_600}")
    report = {"rows": description["rowCount"], "rate": options.rate, "heavy": options.heavy, "seconds": options.seconds, "stages": {}}
    report["peakValuesPerSecond"] = options.peak or peak(options, live)
    half = report["peakValuesPerSecond"] / 2
    with tempfile.TemporaryDirectory(prefix="apus-fairness.", dir=options.cache) as folder:
        engine = Apus(options.apus, folder + "/data")
        engine.start()
        subprocess.run([options.bench, "load", base, "--url", engine.write_url, "--json", folder + "/load.json"], check=True)
        for _ in engine.states():
            pass
        for name, heavy, pace in (("alone", False, 0), ("beside a heavy query", True, 0),
                                  ("beside live rows", False, half), ("beside both", True, half)):
            if options.only in name:
                report["stages"][name] = stage(options, engine, folder, heavy, live, pace)
                print(name, json.dumps(report["stages"][name]), flush=True)
                engine.wait_until_quiet()
        engine.stop()
    return report


def text(report):
    lines = ["# Fairness", "", f"{machine()}, commit {commit()}. Client, loader and server share the machine; load average "
             f"at the end {os.getloadavg()[0]:.2f}.", "",
             f"{report['rate']:g} questions a second for {report['seconds']:g} s, milliseconds; a table of {report['rows']:,} "
             f"rows of ten fields; heavy queries, {report['heavy']} at a time; live rows at half of the {report['peakValuesPerSecond'] / 1e6:.1f} M values/s that the "
             "server takes when it does nothing else.", "",
             "| | p50 | p95 | p99 | max | in the server, p50 | p99 | bar p99 | met |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
    for name, found in report["stages"].items():
        ms, own = found["ms"], found["inServerMs"]
        bar, met = (BAR_MS, "yes" if ms["p99"] <= BAR_MS else "**no**") if name == "beside both" else ("", "")
        lines.append(f"| {name} | {ms['p50']:.2f} | {ms['p95']:.2f} | {ms['p99']:.2f} | {ms['max']:.1f} | "
                     f"{own['p50']:.2f} | {own['p99']:.2f} | {bar} | {met} |")
    lines += ["", "| p50 / p99 / max | " + " | ".join(KINDS) + " |", "| --- |" + " ---: |" * len(KINDS)]
    for name, found in report["stages"].items():
        lines.append(f"| {name} | " + " | ".join(
            f"{ms['p50']:.2f} / {ms['p99']:.2f} / {ms['max']:.1f}" for ms in (found["byKind"][kind] for kind in KINDS)) + " |")
    lines += ["", "| | cores of the server | heavy queries | s, least / middle / most | live values/s | "
              "acknowledgement p50 / p99 ms | sent again |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for name, found in report["stages"].items():
        times, ingest = sorted(found.get("heavySeconds", [])), found.get("ingest")
        cells = [f"{len(times)}", f"{times[0]:.2f} / {times[len(times) // 2]:.2f} / {times[-1]:.2f}"] if times else ["", ""]
        cells += [f"{ingest['valuesPerSecond'] / 1e6:.1f} M", f"{ingest['ms']['p50']:.1f} / {ingest['ms']['p99']:.1f}",
                  f"{ingest['retriedBodies']}"] if ingest else ["", "", ""]
        lines.append(f"| {name} | {found['serverCores']:.2f} | " + " | ".join(cells) + " |")
    names = sorted({name for found in report["stages"].values() for name in found["threads"]})
    lines += ["", "Threads of the server: cores that they took, and the mean wait for one, in milliseconds.", "",
              "| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    for name, found in report["stages"].items():
        cells = [found["threads"].get(thread, {"cores": 0, "waitMs": 0}) for thread in names]
        lines.append(f"| {name} | " + " | ".join(f"{cell['cores']:.3f}, {cell['waitMs']:.2f}" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20, help="questions a second")
    parser.add_argument("--heavy", type=int, default=1, help="heavy queries at once")
    parser.add_argument("--peak", type=float, help="values a second, known from before")
    parser.add_argument("--hours", type=int, default=72, help="of the table that is asked")
    parser.add_argument("--only", default="", help="stages with this in their names")
    parser.add_argument("--result", help="write RESULT.json and RESULT.md")
    options = parser.parse_args()
    report = run(options)
    print(text(report), end="")
    if options.result:
        report["machine"], report["commit"] = machine(), commit()
        with open(options.result + ".json", "w") as file:
            json.dump(report, file, indent=1)
        with open(options.result + ".md", "w") as file:
            file.write(text(report))


if __name__ == "__main__":
    main()
