#!/usr/bin/env python3
"""What a backfill takes from live ingest.

    backfill.py --apus BINARY --bench APUS_BENCH --cache FOLDER [--seconds 60] [--result FILE]

A month of 100 hosts' old rows, sent by one more sender as fast as it is answered, beside 4,000 hosts' rows
of today. Once live senders go as fast as they can, once at a pace of half of that, each alone and with the
backfill, in a fresh directory. Fails if live ingest becomes more than 20 % slower, or rows are missing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Peers"))
from common import START
from engine_apus import Apus
from ingest import generate
from report import commit, machine

LIVE = "cpu-only --hosts 4000 --hours 2"
OLD = f"cpu-only --hosts 100 --hours 720 --start {START - 30 * 86_400}"


def sender(options, engine, path, result, *more):
    return subprocess.Popen(
        [options.bench, "load", path, "--url", engine.write_url, "--json", result,
         "--idle-seconds-max", "0", *more], stderr=subprocess.DEVNULL)


def rows(engine, since, until):
    times = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (since, until))
    answer = engine.sql("SELECT count(*) FROM cpu WHERE time >= '{}' AND time < '{}'".format(*times))
    return json.loads(answer)["rows"][0][0]


def load(options, live, old, pace):
    """Live values a second, their p99 in ms, and the backfill's rows a second, if `old` is given."""
    with tempfile.TemporaryDirectory(prefix="apus-backfill.", dir=options.cache) as folder:
        engine = Apus(options.apus, folder + "/data")
        engine.start()
        results = [folder + "/live.json", folder + "/old.json"]
        live_sender = sender(
            options, engine, live, results[0], "--senders", "4", "--seconds-min", str(options.seconds),
            *(["--values-per-second", str(pace)] if pace else []))
        old_sender = sender(options, engine, old, results[1], "--senders", "1") if old else None
        begin = time.monotonic()
        if live_sender.wait():
            raise RuntimeError("the live load failed")
        seconds = time.monotonic() - begin
        old_rows = rows(engine, START - 40 * 86_400, START)
        if old_sender and old_sender.poll() is None:
            old_sender.terminate()
            old_sender.wait()
        with open(results[0]) as file:
            outcome = json.load(file)
        stored = rows(engine, START, START + 400 * 86_400)
        engine.stop()
    if stored != outcome["lines"]:
        raise RuntimeError(f"{outcome['rows']} live rows were sent, {stored} are there")
    return outcome, old_rows / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--result", help="write RESULT.json")
    options = parser.parse_args()
    live, _ = generate(options, LIVE)
    old, _ = generate(options, OLD)
    result, failed, pace = {"machine": machine(), "commit": commit()}, False, None
    for name in ("as fast as they can", "half of that"):
        alone, _ = load(options, live, None, pace)
        beside, old_rows = load(options, live, old, pace)
        ratio = beside["valuesPerSecond"] / alone["valuesPerSecond"]
        failed = failed or ratio < 0.8
        result[name] = {
            "alone, values/s": round(alone["valuesPerSecond"]),
            "beside a backfill": round(beside["valuesPerSecond"]), "ratio": round(ratio, 3),
            "backfilled rows/s": round(old_rows),
            "acknowledged p50, p99 ms, alone": alone["acknowledgementMilliseconds"],
            "beside": beside["acknowledgementMilliseconds"]}
        print(json.dumps({name: result[name]}, indent=1), flush=True)
        pace = alone["valuesPerSecond"] / 2
    if options.result:
        with open(options.result + ".json", "w") as file:
            json.dump(result, file, indent=1)
    return failed


if __name__ == "__main__":
    sys.exit(main())
