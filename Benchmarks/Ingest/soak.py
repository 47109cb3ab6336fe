#!/usr/bin/env python3
"""Half an hour of everything at once: rows in order, late and twice, queries, flushes and merges.

    soak.py --apus BINARY --bench APUS_BENCH --cache FOLDER --values-per-second N [--minutes 30]
            [--result FILE]

A fleet's rows, 10 % of them late and 2 % sent twice, replayed in passes at a steady pace. Every 100 ms a
query; every 10 s what the process has of anonymous memory. Fails on any error, if that memory grew by
more than 5 % from the twenty minutes' first half to their second, or if acknowledgements became three
times slower than in the first five minutes.
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
from common import Client, percentile, rfc3339
from engine_apus import Apus
from ingest import generate
from report import commit, machine

FLEET = "fleet --hosts 100 --hours 2 --churn 300 --late 10 --duplicate 2"
QUERIES = [
    "SHOW TABLES",
    "SELECT * FROM {table} ORDER BY time DESC LIMIT 20",
    "SELECT time_bucket('5 minutes', time) AS t, count(*) FROM {table} "
    "WHERE time >= '{start}' AND time < '{end}' GROUP BY t",
]


class Asker(threading.Thread):
    """A query every 100 ms, for as long as all answer."""

    def __init__(self, port, tables):
        super().__init__(daemon=True)
        self.client, self.tables = Client(port), tables
        self.ended, self.times, self.failure = threading.Event(), [], None

    def run(self):
        dice, due = random.Random(1), time.monotonic()
        while not self.ended.is_set():
            start = 1_767_225_600 + dice.randrange(3_600)
            text = dice.choice(QUERIES).format(
                table=f'"{dice.choice(self.tables)}"', start=rfc3339(start), end=rfc3339(start + 3_600))
            begin = time.monotonic()
            try:
                status, answer = self.client.request("GET", "/sql", {"db": "bench", "q": text})
            except OSError as error:
                status, answer = 0, error
            if status != 200:
                self.failure = f"{text}: {status} {answer}"
                return
            self.times.append((time.monotonic() - begin) * 1e3)
            due += 0.1
            time.sleep(max(0, due - time.monotonic()))


def anonymous_mebibytes(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--values-per-second", type=float, required=True, help="70 %% of what is taken over minutes, merges included")
    parser.add_argument("--result", help="write RESULT.json")
    options = parser.parse_args()
    path, description = generate(options, FLEET)
    memory, begin = [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="apus-soak.", dir=options.cache) as folder:
        engine = Apus(options.apus, folder + "/data")
        engine.start()
        loader = subprocess.Popen(
            [options.bench, "load", path, "--url", engine.write_url, "--json", folder + "/load.json",
             "--values-per-second", str(options.values_per_second),
             "--seconds-min", str(options.minutes * 60)], stderr=subprocess.DEVNULL)
        time.sleep(2)
        asker = Asker(engine.client.port, sorted(description["tables"]))
        asker.start()
        while loader.poll() is None:
            time.sleep(10)
            memory.append((time.monotonic() - begin, anonymous_mebibytes(engine.process.pid)))
            print(f"{memory[-1][0]:6.0f} s {memory[-1][1]:7.0f} MiB, {len(asker.times)} queries"
                  + (f", {asker.failure}" if asker.failure else ""), flush=True)
        asker.ended.set()
        asker.join()
        with open(folder + "/load.json") as file:
            load = json.load(file)
        disk = engine.disk()
        engine.stop()
    minutes = load["acknowledgementByMinute"]
    seconds = memory[-1][0]

    def mean(start, end):
        found = [size for at, size in memory if start <= at < end]
        return sum(found) / max(1, len(found))

    before, after = mean(seconds - 1_200, seconds - 600), mean(seconds - 600, seconds)
    first = sorted(p99 for _, p99 in minutes[:5])[len(minutes[:5]) // 2]
    last = sorted(p99 for _, p99 in minutes[-10:])[len(minutes[-10:]) // 2]
    asked = sorted(asker.times)
    result = {
        "machine": machine(), "commit": commit(), "seconds": round(seconds),
        "values per second": round(load["valuesPerSecond"]), "bytes on disk": disk,
        "refused, failed, sent again": [load["refusedBodies"], load["failedBodies"], load["retriedBodies"]],
        "queries": len(asked), "query p50, p99 ms": [percentile(asked, 50), percentile(asked, 99)],
        "query failure": asker.failure,
        "ack p99 ms, median of the first five minutes": first, "of the last ten": last,
        "RssAnon MiB, ten minutes before the last ten": round(before), "last ten": round(after)}
    print(json.dumps(result, indent=1))
    if options.result:
        result["memory"] = [(round(at), round(size)) for at, size in memory]
        result["acknowledgement by minute, p50 and p99 ms"] = minutes
        with open(options.result + ".json", "w") as file:
            json.dump(result, file, indent=1)
    failed = asker.failure or load["refusedBodies"] or load["failedBodies"]
    return 1 if failed or after > 1.05 * before or last > 3 * first else 0


if __name__ == "__main__":
    sys.exit(main())
