#!/usr/bin/env python3
"""What one data set takes on disk: Apus beside VictoriaMetrics, in one run.

    disk.py --apus BINARY --bench APUS_BENCH --cache FOLDER [--workload fleet] [--result FILE]
            [-- OPTIONS OF apus-bench generate]

Each in turn: start, load over HTTP, flush and merge as far as it goes, measure everything in its
folder (of Apus all but the log, which is room that is used again), stop by process id.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

from bench import load, say
from common import disk_bytes
from engine_apus import Apus
from engine_victoria import VictoriaMetrics
from report import commit, machine


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--workload", default="fleet")
    parser.add_argument("--result", help="write the report to RESULT.json and RESULT.md")
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    os.makedirs(options.cache, exist_ok=True)
    name = "-".join([options.workload] + [part.strip("-") for part in options.arguments])
    path = os.path.join(options.cache, name + ".lp")
    if not os.path.exists(path + ".json"):
        subprocess.run([options.bench, "generate", options.workload, *options.arguments, "--out", path], check=True)
    with open(path + ".json") as file:
        values = json.load(file)["valueCount"]
    raw = os.path.getsize(path)
    work = tempfile.mkdtemp(prefix="apus-disk.")
    bytes_of = {}
    try:
        for engine_type in (Apus, VictoriaMetrics):
            folder = os.path.join(work, engine_type.__name__)
            engine = engine_type(options.apus if engine_type is Apus else options.cache, folder)
            engine.start()
            try:
                say(f"{engine.name}: load {name}")
                load(options, engine, path, None)
                for state in engine.states():
                    say(f"{engine.name}: {state}")
                bytes_of[engine.name] = engine.disk() if engine_type is Apus else disk_bytes(folder)
            finally:
                engine.stop()
    finally:
        if os.environ.get("KEEP"):
            say(f"kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    ours, theirs = bytes_of["Apus"], bytes_of["VictoriaMetrics"]
    lines = [f"# `{name}` on disk", "", f"{machine()}, commit {commit()}; {values:,} values, {raw:,} bytes of line protocol.",
             "", "| | bytes | bytes a value | of the line protocol |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {key} | {size:,} | {size / values:.3f} | {100 * size / raw:.2f} % |" for key, size in bytes_of.items()]
    lines += ["", f"Apus takes {100 * ours / theirs:.1f} % of VictoriaMetrics' bytes."]
    print("\n".join(lines))
    if options.result:
        with open(options.result + ".md", "w") as file:
            file.write("\n".join(lines) + "\n")
        with open(options.result + ".json", "w") as file:
            json.dump({"set": name, "values": values, "lineProtocol": raw, "bytes": bytes_of, "commit": commit(),
                       "machine": machine()}, file, indent=1, sort_keys=True)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
