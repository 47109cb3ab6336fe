#!/usr/bin/env python3
"""Puts the parts of a run (load.json, queries.json, disk.json) into one Markdown table and one
JSON file, with the machine, the versions and the commands.

    report.py PARTS_DIR OUTPUT_PREFIX --binary PATH --serve "COMMAND" --load "…" --query "…"
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone


def output_of(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return done.stdout.strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


def machine(binary):
    here = os.path.dirname(os.path.abspath(__file__))
    processor = dict(line.split(":", 1) for line in output_of("lscpu").splitlines() if ":" in line)
    with open("/proc/meminfo") as file:
        memory_gib = int(file.readline().split()[1]) / 2 ** 20
    return {
        "processor": processor.get("Model name", "?").strip(), "cores": os.cpu_count(),
        "memory_gib": round(memory_gib, 1), "kernel": platform.release(),
        "swift": output_of("swift", "--version").splitlines()[0:1], "apus": output_of(binary, "version"),
        "commit": output_of("git", "-C", here, "rev-parse", "--short=12", "HEAD"),
        "changed_files": len(output_of("git", "-C", here, "status", "--porcelain", "--untracked-files=no").splitlines()),
        "load_average": round(os.getloadavg()[0], 2),
        "time": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def part(directory, name):
    try:
        with open(os.path.join(directory, name)) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def bar(value, limit, below=True):
    """The verdict beside a number that has a bar."""
    return "yes" if (value < limit if below else value >= limit) else "**no**"


def load_lines(load):
    verification, ack = load["verification"], load["ack_ms"]
    yield "| load | measured | bar | met |"
    yield "| --- | ---: | ---: | --- |"
    rate = load["values_per_second"]
    yield f"| values/s | {rate / 1e6:.2f} M | ≥ 5 M | {bar(rate, 5e6, below=False)} |"
    yield f"| rows/s | {load['rows_per_second'] / 1e3:.0f} k | | |"
    yield f"| MB/s of line protocol | {load['megabytes_per_second']:.0f} | | |"
    yield f"| acknowledgement p50 / p95 / p99 / max, ms | {ack['p50']:.1f} / {ack['p95']:.1f} / {ack['p99']:.1f} / {ack['max']:.1f} | | |"
    per_cpu = load["values_per_server_cpu_second"]
    yield f"| values per server CPU second | {(per_cpu or 0) / 1e6:.2f} M | | |"
    yield (f"| server CPU seconds, until the last answer / with its tail | {load['server_cpu_seconds']:.2f} / "
           f"{load['server_cpu_seconds_with_tail']:.2f} | | |")
    yield f"| client CPU seconds | {load['client_cpu_seconds']:.2f} | | |"
    yield f"| server RssAnon peak, MiB | {load['rss_anon_peak_bytes'] / 2 ** 20:.0f} | | |"
    yield f"| errors | {load['errors']} {load['first_error'] or ''} | 0 | {bar(load['errors'], 1)} |"
    yield (f"| rows sent / found afterwards | {verification['rows_sent']:,} / {verification['rows_found']:,} | equal, "
           f"and sum(usage_user) | {'yes' if verification['ok'] else '**no**'} |")


BARS_MS = {"host's last hour, 1 column": 2, "avg by host and hour": 100}


def query_lines(queries):
    yield "| query | state | p50 ms | p95 ms | p99 ms | server CPU ms | rows | bar p50 | met |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    names = next(iter(queries.values()))["queries"].keys()
    for name in names:
        for state, entry in queries.items():
            result = entry["queries"][name]
            if "p50_ms" not in result:
                yield f"| {name} | {state} | failed: {result['wrong'][:120]} | | | | | | **no** |"
                continue
            limit = BARS_MS.get(name)
            met = ("**wrong answer**: " + result["wrong"][:80]) if result["wrong"] else bar(result["p50_ms"], limit) if limit else ""
            yield (f"| {name} | {state} | {result['p50_ms']:.2f} | {result['p95_ms']:.2f} | {result['p99_ms']:.2f} | "
                   f"{result['cpu_ms']:.2f} | {result['rows']:,} | {f'< {limit}' if limit else ''} | {met} |")
    yield ""
    for state, entry in queries.items():
        if "command_seconds" in entry:
            yield f"{ {'flushed': 'FLUSH', 'compacted': 'COMPACT'}[state] } took {entry['command_seconds']:.2f} s{'; ' + entry['command_wrong'] if entry.get('command_wrong') else ''}.  "


def disk_lines(disks):
    yield "| disk | bytes | bytes a value | files | bar | met |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for state, disk in disks.items():
        is_final = state == "compacted"
        yield (f"| {state} | {disk['bytes']:,} | {disk['bytes_per_value']:.3f} | {disk['file_count']} | "
               f"{'< 1' if is_final else ''} | {bar(disk['bytes_per_value'], 1) if is_final else ''} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts")
    parser.add_argument("prefix")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--command", action="append", default=[])
    options = parser.parse_args()
    load, queries = part(options.parts, "load.json"), part(options.parts, "queries.json")
    disks = {state: disk for state in ("head", "flushed", "compacted") if (disk := part(options.parts, f"disk-{state}.json"))}
    facts = machine(options.binary)
    lines = ["# The first step, measured", "",
             f"{facts['time']}, {facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB, Linux {facts['kernel']}, "
             f"{' '.join(facts['swift'])}, commit {facts['commit']}"
             f"{' with ' + str(facts['changed_files']) + ' changed files' if facts['changed_files'] else ''}; "
             f"load average at the end {facts['load_average']}. Client and server share the machine.", ""]
    if load:
        lines += [f"{load['hosts']:,} hosts × {load['hours']:g} h, {load['decimals']} decimals, {load['rows']:,} rows, "
                  f"{load['values']:,} values, {load['bytes'] / 1e6:.0f} MB, {load['senders']} senders, bodies of "
                  f"{load['lines_per_body']:,} lines, seed {load['seed']}.", ""]
    lines += ["```"] + options.command + ["```", ""]
    for content, table in ((load, load_lines), (queries, query_lines), (disks, disk_lines)):
        if content:
            lines += list(table(content)) + [""]
    text = "\n".join(lines).rstrip() + "\n"
    print(text)
    with open(options.prefix + ".md", "w") as file:
        file.write(text)
    with open(options.prefix + ".json", "w") as file:
        json.dump({"machine": facts, "commands": options.command, "load": load, "queries": queries, "disk": disks}, file, indent=1)
        file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
