#!/usr/bin/env python3
"""How long `apus serve` takes to acknowledge a write, while flushes and merges run.

    latency.py --apus BINARY --bench APUS_BENCH --cache FOLDER [--seconds 20] [--result FILE]

Three loads, one after the other, each beside a FLUSH a second: one sender of 100-line batches; four
senders of 5,000-line batches as fast as they are answered; and 1,000 nodes as Proxmox VE sends, four
writes each per ten seconds, each over a connection of its own. Beside them what the disk takes for a
write of 4 KiB and `fdatasync`, by itself.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Peers"))
from common import Client, percentile
from engine_apus import Apus
from report import commit, machine

NODES, WRITES_PER_NODE, PERIOD = 1_000, 4, 10.0


def disk_sync(folder, count=1_000):
    """Milliseconds of a write and its sync, in a file whose blocks are there."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        descriptor = file.fileno()
        os.write(descriptor, bytes(count * 4_096))
        os.fsync(descriptor)
        times = []
        for index in range(count):
            begin = time.perf_counter()
            os.pwrite(descriptor, b"x" * 4_096, index * 4_096)
            os.fdatasync(descriptor)
            times.append((time.perf_counter() - begin) * 1e3)
    return sorted(times)


class Flusher(threading.Thread):
    """Keeps flushes and merges going."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client, self.stopped, self.count = Client(port), threading.Event(), 0

    def run(self):
        while not self.stopped.wait(1):
            self.client.request("POST", "/sql", {"q": "FLUSH"})
            self.count += 1

    def stop(self):
        self.stopped.set()
        self.join()


def bench_load(options, engine, arguments, senders):
    path = os.path.join(options.cache, "-".join(part.strip("-") for part in arguments.split()) + ".lp")
    if not os.path.exists(path + ".json"):
        subprocess.run([options.bench, "generate", *arguments.split(), "--out", path], check=True)
    with tempfile.NamedTemporaryFile("r") as result:
        subprocess.run(
            [options.bench, "load", path, "--senders", str(senders), "--url", engine.write_url,
             "--seconds-min", str(options.seconds), "--json", result.name], check=True)
        return json.load(result)["acknowledgementMilliseconds"]


def node_lines(node, dice):
    """A write as a node's pvestatd makes them: a guest's state, some 20 fields."""
    stamp = time.time_ns()
    lines = []
    for guest in range(5):
        fields = ",".join(f"{name}={dice.randrange(1 << 40)}" for name in (
            "cpu", "cpus", "disk", "diskread", "diskwrite", "maxdisk", "maxmem", "mem", "netin",
            "netout", "uptime", "balloon", "ballooninfo", "freemem", "shares", "pid"))
        lines.append(f"system,object=qemu,vmid={node * 100 + guest},nodename=pve{node},host=vm{guest} {fields} {stamp}")
    return ("\n".join(lines) + "\n").encode()


async def write_once(port, body, times, failures):
    begin = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /write?db=proxmox HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                     b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body)
        answer = await reader.read(4_096)
        times.append((time.perf_counter() - begin) * 1e3)
        if not answer.startswith(b"HTTP/1.1 204"):
            failures.append(answer[:200].decode(errors="replace"))
        writer.close()
    except OSError as error:
        failures.append(str(error))


async def nodes(port, seconds):
    dice, times, failures, tasks = random.Random(1), [], [], []
    bodies = [node_lines(node, dice) for node in range(NODES)]
    begin, sent = time.monotonic(), 0
    rate = NODES * WRITES_PER_NODE / PERIOD
    while time.monotonic() - begin < seconds:
        while sent < (time.monotonic() - begin) * rate:
            tasks.append(asyncio.create_task(write_once(port, bodies[sent % NODES], times, failures)))
            sent += 1
        await asyncio.sleep(0.001)
    await asyncio.gather(*tasks)
    return sorted(times), failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--result", help="write RESULT.json and RESULT.md")
    options = parser.parse_args()
    rows = []

    def note(name, p50, p99, bars=("", "")):
        rows.append({"name": name, "p50": p50, "p99": p99, "bars": bars})
        print(f"| {name} | {p50:.2f} | {p99:.2f} | {bars[0]} | {bars[1]} |", flush=True)

    print("| | p50 ms | p99 ms | bar p50 | bar p99 |\n| --- | ---: | ---: | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="apus-latency.", dir=options.cache) as folder:
        times = disk_sync(folder)
        note("the disk: write and fdatasync of 4 KiB", percentile(times, 50), percentile(times, 99))
        engine = Apus(options.apus, folder + "/data")
        engine.start()
        flusher = Flusher(engine.client.port)
        flusher.start()
        try:
            found = bench_load(options, engine, "cpu-only --hosts 100 --hours 4 --lines-per-body 100", 1)
            note("one sender, 100 lines", found["p50"], found["p99"], ("0.8", "5"))
            found = bench_load(options, engine, "cpu-only --hosts 4000 --hours 2", 4)
            note("four senders, 5,000 lines", found["p50"], found["p99"], ("", "15"))
            times, failures = asyncio.run(nodes(engine.client.port, options.seconds))
            note(f"{NODES:,} nodes, {len(times):,} writes, each on a connection of its own",
                 percentile(times, 50), percentile(times, 99), ("", "100"))
            if failures:
                raise SystemExit(f"{len(failures)} writes failed: {failures[0]}")
        finally:
            flusher.stop()
            engine.stop()
    if options.result:
        with open(options.result + ".json", "w") as file:
            json.dump(rows, file, indent=1)
        with open(options.result + ".md", "w") as file:
            file.write(f"# Acknowledgement\n\n{machine()}, commit {commit()}. A FLUSH a second runs beside; "
                       "client and server share the machine.\n\n"
                       "| | p50 ms | p99 ms | bar p50 | bar p99 |\n| --- | ---: | ---: | --- | --- |\n")
            for row in rows:
                file.write(f"| {row['name']} | {row['p50']:.2f} | {row['p99']:.2f} | {row['bars'][0]} | {row['bars'][1]} |\n")


if __name__ == "__main__":
    main()
