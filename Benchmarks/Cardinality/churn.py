#!/usr/bin/env python3
"""Virtual machines that come and go, and a tag nobody should have written: what others feel of it.

    churn.py --apus BINARY [--seconds 1800] [--births 1000] [--base 200000] [--result FILE]
    churn.py --apus BINARY --flood [--values 2000000] [--limit 100000] [--result FILE]

Churn: a table of `base` series and one more that has the same series and keeps them. Every second `births`
series of the first die and as many are born and write a row; all that live write a row a minute. The other
table gets as many rows, from series that stay. Both are asked the same in turns; a third table has rows of yesterday only. Flood: a table with a limit is
sent one-off values of a tag, beside a table that is written and asked all the time, before and meanwhile.
CPU seconds are the server's, of /proc, while nothing else goes on.
"""

import argparse
import json
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Peers"))
from common import anonymous_bytes, cpu_milliseconds, percentile
from engine_apus import Apus
from report import commit, machine

LINES = 5_000


class ConfiguredApus(Apus):
    settings = []

    def arguments(self):
        return super().arguments() + self.settings


def head_bytes(engine):
    """What rows take that no segment has yet, and what is kept for such: bounded by --memory."""
    _, body = engine.client.request("GET", "/metrics")
    names = ("apus_head_bytes ", "apus_frozen_head_bytes ", "apus_spare_head_bytes ")
    return sum(int(line.split()[1]) for line in body.decode().splitlines() if line.startswith(names))


def write(client, lines):
    """Sends lines in bodies; returns the first error's text, or None."""
    error = None
    for start in range(0, len(lines), LINES):
        status, body = client.request("POST", "/write?db=bench", body="\n".join(lines[start:start + LINES]))
        if status not in (204, 400):
            raise RuntimeError(f"{status} {body[:300]}")
        if status == 400:
            error = error or body.decode()
    return error


def cpu_of(engine, work, count):
    """The server's CPU milliseconds for a piece of work, the median of several times."""
    times = []
    for _ in range(count):
        before = cpu_milliseconds(engine.process.pid)
        work()
        times.append(cpu_milliseconds(engine.process.pid) - before)
    return sorted(times)[len(times) // 2]


QUERIES = {
    "average of five minutes by zone": "SELECT az, avg(cpu) FROM {} WHERE time > to_timestamp({}) GROUP BY az",
    "one zone, a minute buckets": "SELECT time_bucket('1 minute', time) AS t, avg(cpu) FROM {} WHERE az = 'az3' AND "
                                  "time > to_timestamp({}) GROUP BY t ORDER BY t",
    "series of five minutes": "SELECT count(DISTINCT vm) FROM {} WHERE time > to_timestamp({})",
    "images of a zone": "SELECT DISTINCT image FROM {} WHERE az = 'az2' AND time > to_timestamp({})",
}


def guest(table, number, now, cpu):
    return (f"{table},vm=vm-{number:x}-{number * 2654435761 % 2**32:08x},host=hv{number % 500},az=az{number % 6},"
            f"image=img-{number % 40} cpu={cpu}.5,mem={number % 4096}i {now}000000000")


def churn(options):
    report = {"base": options.base, "births": options.births, "samples": []}
    with tempfile.TemporaryDirectory(prefix="apus-churn.") as folder:
        ConfiguredApus.settings = ["--memory", options.memory]
        engine = ConfiguredApus(options.apus, folder + "/data")
        engine.start()
        client = engine.client
        now = int(time.time()) - options.seconds - 600
        write(client, [guest("yesterday", number, now - 86_400, 1) for number in range(options.base)])
        living, born = list(range(options.base)), options.base
        for table in ("vm", "twin"):
            write(client, [guest(table, number, now, 1) for number in living])
        engine.sql("FLUSH", method="POST")
        memory, heads, given = anonymous_bytes(engine.process.pid), head_bytes(engine), born
        begin = time.monotonic()
        slot, turn = options.base // 60, 0
        while turn < options.seconds:
            now += 1
            # The oldest go, new ones come; of both tables a sixtieth writes each second.
            for _ in range(options.births):
                living[born % options.base] = born
                born += 1
            first = (turn % 60) * slot
            fresh = range(born - options.births, born)
            write(client, [guest("vm", number, now, turn % 90) for number in fresh]
                  + [guest("vm", number, now, turn % 90) for number in living[first:first + slot]])
            again = (options.base // 2 + turn * options.births + n for n in range(options.births))
            write(client, [guest("twin", number % options.base, now, turn % 90) for number in again]
                  + [guest("twin", number, now, turn % 90) for number in range(first, first + slot)])
            turn += 1
            if turn % 60 == 0:
                sample = {"second": turn, "series": born, "rssAnon": anonymous_bytes(engine.process.pid), "cpu": {}}
                for name, text in QUERIES.items():
                    pair = {}
                    for table in ("vm", "twin", "vm", "twin"):
                        cost = cpu_of(engine, lambda: engine.sql(text.format(table, now - 300)), 5)
                        pair[table] = min(pair.get(table, cost), cost)
                    sample["cpu"][name] = pair
                sample["quiet"] = cpu_of(engine, lambda: engine.sql(
                    "SELECT az, count(*), avg(cpu) FROM yesterday GROUP BY az"), 5)
                report["samples"].append(sample)
                print(turn, born, sample["rssAnon"] >> 20, {
                    name: f"{pair['vm']:.2f}/{pair['twin']:.2f}" for name, pair in sample["cpu"].items()}, flush=True)
            pause = begin + turn * options.pace - time.monotonic()
            if pause > 0:
                time.sleep(pause)
        report["bytesPerNewSeries"] = (anonymous_bytes(engine.process.pid) - memory) / (born - given)
        report["bytesPerNewSeriesBesideHeads"] = (anonymous_bytes(engine.process.pid) - head_bytes(engine) - memory + heads) / (born - given)
        engine.stop()
    return report


def flood(options):
    ConfiguredApus.settings = ["--max-series-per-table", str(options.limit)]
    report = {"limit": options.limit, "values": options.values}
    with tempfile.TemporaryDirectory(prefix="apus-flood.") as folder:
        engine = ConfiguredApus(options.apus, folder + "/data")
        engine.start()
        now = int(time.time()) - 3_600
        quiet = [f"host,name=h{n},az=az{n % 6} cpu={n % 90}.5 {{}}000000000" for n in range(4_000)]

        def rows():
            nonlocal now
            now += 1
            write(engine.client, [line.format(now) for line in quiet])

        def query():
            engine.sql(f"SELECT az, avg(cpu) FROM host WHERE time > to_timestamp({now - 20}) GROUP BY az")

        for _ in range(20):
            rows()
        before = (cpu_of(engine, rows, 30), cpu_of(engine, query, 30))
        sent, error, during = 0, None, ([], [])
        while sent < options.values:
            error = write(engine.client, [f"careless,request=r-{sent + n:x} v=1 {now}000000000" for n in range(50_000)]) or error
            sent += 50_000
            during[0].append(cpu_of(engine, rows, 3))
            during[1].append(cpu_of(engine, query, 3))
        report["rowsCPUms"] = [before[0], sorted(during[0])[len(during[0]) // 2]]
        report["queryCPUms"] = [before[1], sorted(during[1])[len(during[1]) // 2]]
        report["error"] = json.loads(error)["error"] if error else None
        report["rssAnon"] = anonymous_bytes(engine.process.pid)
        engine.stop()
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--flood", action="store_true")
    parser.add_argument("--seconds", type=int, default=1_800)
    parser.add_argument("--pace", type=float, default=1.0, help="seconds that a second of churn takes at least: 0 for as fast as it goes")
    parser.add_argument("--births", type=int, default=1_000)
    parser.add_argument("--base", type=int, default=200_000)
    parser.add_argument("--memory", default="512MiB", help="the server's setting: what bounds the heads, so that growth is the index's")
    parser.add_argument("--values", type=int, default=2_000_000)
    parser.add_argument("--limit", type=int, default=100_000)
    parser.add_argument("--result", help="write RESULT.json")
    options = parser.parse_args()
    report = flood(options) if options.flood else churn(options)
    report["machine"], report["commit"] = machine(), commit()
    if options.result:
        with open(options.result + ".json", "w") as file:
            json.dump(report, file, indent=1)
    else:
        report.pop("samples", None)
        print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
