#!/usr/bin/env python3
"""Loads the cpu-only set over HTTP and says how fast the server took it.

    loader.py --url 127.0.0.1:8086 --pid PID [--hosts 4000] [--hours 2] [--decimals 0|2] [--seed 1]
              [--senders 4] [--db bench] [--json FILE]

The input is generated once per set of options into --cache (generator.c, compiled at first use)
and is in the page cache before the clock starts. Every sender is a process with one keep-alive
connection: it sends the header, lets the kernel send the body from the file (sendfile: the
client spends next to no CPU, which matters where client and server share two cores), reads the
answer, and only then sends the next. Afterwards count(*) and sum(usage_user) are asked and
compared with what the generator wrote; a difference is exit code 1.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time

from client import Connection, cpu_seconds, memory_bytes, metric, percentile

START_SECONDS = 1_767_225_600  # 2026-01-01T00:00:00Z
TICK_SECONDS = 10
FIELD_COUNT = 10
LINES_PER_BODY = 5_000
IDLE_SECONDS_MAX = 120


def generate(options):
    """Paths of the data and the index; makes them unless a run with the same options has."""
    here = os.path.dirname(os.path.abspath(__file__))
    os.makedirs(options.cache, exist_ok=True)
    source, program = os.path.join(here, "generator.c"), os.path.join(options.cache, "generator")
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
        subprocess.run(["cc", "-O2", "-o", program, source, "-lm"], check=True)
    name = f"cpu-only-{options.hosts}x{options.hours:g}h-d{options.decimals}-s{options.seed}-b{options.lines_per_body}"
    data, index = (os.path.join(options.cache, name + suffix) for suffix in (".lp", ".index"))
    if not os.path.exists(index) or os.path.getmtime(index) < os.path.getmtime(program):
        ticks = round(options.hours * 3600 / TICK_SECONDS)
        begin = time.monotonic()
        subprocess.run([program, str(options.hosts), str(ticks), str(options.decimals), str(options.seed),
                        str(options.lines_per_body), str(START_SECONDS), data, index + ".new"], check=True)
        os.rename(index + ".new", index)
        print(f"generated {os.path.getsize(data) / 1e6:.0f} MB in {time.monotonic() - begin:.1f} s", file=sys.stderr)
    return data, index


def read_index(path):
    with open(path) as file:
        rows, values, total = map(int, file.readline().split())
        return rows, values, total, [tuple(map(int, line.split())) for line in file]


def send(options, data_path, bodies, start_pipe, result_pipe):
    """One sender, in its own process: waits for the start, replays its bodies, reports as JSON."""
    latencies, errors, first_error = [], 0, None
    connection = Connection(options.url)
    descriptor = os.open(data_path, os.O_RDONLY)
    target = f"/write?db={options.db}&precision=ns"
    os.read(start_pipe, 1)
    for offset, byte_count, _ in bodies:
        begin = time.perf_counter()
        try:
            header = f"POST {target} HTTP/1.1\r\nHost: {options.url}\r\nContent-Length: {byte_count}\r\n\r\n"
            connection.socket.sendall(header.encode(), socket.MSG_MORE)
            end = offset + byte_count
            while offset < end:
                sent = os.sendfile(connection.socket.fileno(), descriptor, offset, end - offset)
                if sent == 0:
                    raise ConnectionError("the data file was cut")
                offset += sent
            status, answer = connection.read_answer()
        except (OSError, ConnectionError) as error:
            errors += 1
            first_error = first_error or repr(error)
            connection = Connection(options.url)
            continue
        latencies.append(round((time.perf_counter() - begin) * 1e6))  # whole µs: all must fit into a pipe
        if status != 204:
            errors += 1
            first_error = first_error or f"{status} {answer[:300].decode(errors='replace')}"
    times = os.times()
    with os.fdopen(result_pipe, "w") as file:
        json.dump({"latencies": latencies, "errors": errors, "first_error": first_error,
                   "cpu_seconds": times.user + times.system}, file)


def start_senders(options, data_path, bodies):
    senders = []
    start_read, start_write = os.pipe()
    for number in range(options.senders):
        result_read, result_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(start_write)
                send(options, data_path, bodies[number::options.senders], start_read, result_write)
                code = 0
            except BaseException as error:  # a child must never return into the parent's code
                print(f"sender {number}: {error!r}", file=sys.stderr)
            finally:
                os._exit(code)
        os.close(result_write)
        senders.append((pid, result_read))
    time.sleep(0.3)  # all are connected and wait for the start
    return senders, start_write


def watch(senders, server_pid):
    """Waits for the senders, looking at the server's memory every 20 ms."""
    peaks, ends, failed = {"RssAnon": 0, "VmRSS": 0}, [], 0
    waiting = {pid for pid, _ in senders}
    while waiting:
        for pid in list(waiting):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                waiting.discard(pid)
                failed += status != 0
                ends.append(time.monotonic())
        if server_pid:
            for key in peaks:
                peaks[key] = max(peaks[key], memory_bytes(server_pid, key))
        time.sleep(0.02 if waiting else 0)
    return peaks, max(ends), failed


def wait_until_idle(options):
    """Seconds until nothing waits for flush or merge; None when the server does not say."""
    begin = time.monotonic()
    while time.monotonic() - begin < IDLE_SECONDS_MAX:
        idle = metric(options.url, "apus_background_idle")
        if idle is None:
            return None
        if idle == 1:
            return time.monotonic() - begin
        time.sleep(0.1)
    return time.monotonic() - begin


def verify(options, rows, total):
    scale = 10 ** options.decimals
    found = Connection(options.url).sql("SELECT count(*), sum(usage_user) FROM cpu", options.db)["rows"][0]
    sum_is_right = found[1] is not None and abs(found[1] - total / scale) <= 1e-9 * max(1, total)
    return {"rows_sent": rows, "rows_found": found[0], "sum_expected": total / scale, "sum_found": found[1],
            "ok": found[0] == rows and sum_is_right}


def load(options):
    data_path, index_path = generate(options)
    rows, values, total, bodies = read_index(index_path)
    byte_count = sum(body[1] for body in bodies)
    subprocess.run(["cat", data_path], stdout=subprocess.DEVNULL, check=True)  # into the page cache
    pid = options.pid
    senders, start_write = start_senders(options, data_path, bodies)
    server_before, wall_before = cpu_seconds(pid) if pid else 0, time.monotonic()
    os.write(start_write, b"s" * options.senders)
    results_later = [os.fdopen(pipe) for _, pipe in senders]
    peaks, end, failed = watch(senders, pid)
    seconds = end - wall_before
    server_seconds = (cpu_seconds(pid) if pid else 0) - server_before
    results = [json.loads(file.read() or '{"latencies":[],"errors":1,"first_error":"sender died","cpu_seconds":0}')
               for file in results_later]
    idle_seconds = wait_until_idle(options)
    latencies = sorted(microseconds / 1e3 for result in results for microseconds in result["latencies"])
    report = {
        "hosts": options.hosts, "hours": options.hours, "decimals": options.decimals, "seed": options.seed,
        "senders": options.senders, "lines_per_body": options.lines_per_body, "rows": rows, "values": values,
        "bytes": byte_count, "seconds": seconds, "rows_per_second": rows / seconds, "values_per_second": values / seconds,
        "megabytes_per_second": byte_count / 1e6 / seconds,
        "ack_ms": {name: percentile(latencies, fraction) for name, fraction in
                   (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))},
        "server_cpu_seconds": server_seconds,
        "server_cpu_seconds_with_tail": (cpu_seconds(pid) if pid else 0) - server_before,
        "idle_after_seconds": idle_seconds,
        "values_per_server_cpu_second": values / server_seconds if server_seconds else None,
        "client_cpu_seconds": sum(result["cpu_seconds"] for result in results),
        "rss_anon_peak_bytes": peaks["RssAnon"], "rss_peak_bytes": peaks["VmRSS"],
        "errors": sum(result["errors"] for result in results) + failed,
        "first_error": next((result["first_error"] for result in results if result["first_error"]), None),
    }
    report["verification"] = verify(options, rows, total)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="127.0.0.1:8086", help="HOST:PORT")
    parser.add_argument("--pid", type=int, default=0, help="the server's process, to read its CPU and memory")
    parser.add_argument("--db", default="bench")
    parser.add_argument("--hosts", type=int, default=4000)
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--decimals", type=int, default=0, choices=(0, 2))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--lines-per-body", type=int, default=LINES_PER_BODY)
    parser.add_argument("--cache", default="/tmp/apus-bench-data")
    parser.add_argument("--json", help="write the report here too")
    parser.add_argument("--generate-only", action="store_true")
    options = parser.parse_args()
    if options.generate_only:
        generate(options)
        return 0
    report = load(options)
    text = json.dumps(report, indent=1)
    print(text)
    if options.json:
        with open(options.json, "w") as file:
            file.write(text + "\n")
    return 0 if report["errors"] == 0 and report["verification"]["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
