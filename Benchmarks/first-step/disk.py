#!/usr/bin/env python3
"""Bytes on disk for each value: everything in the data directory but the write-ahead log.

    disk.py DATA_DIR VALUES [--json FILE]

The log is left out because its files are reused and do not grow with the data; its bytes are
given beside. `allocated` is what the file system set aside (st_blocks).
"""

import argparse
import json
import os
import sys


def measure(directory, values):
    sums = {"bytes": 0, "allocated_bytes": 0, "log_bytes": 0, "file_count": 0}
    kinds = {}
    for folder, _, names in os.walk(directory):
        is_log = "log" in os.path.relpath(folder, directory).split(os.sep)
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            if is_log:
                sums["log_bytes"] += status.st_size
                continue
            sums["bytes"] += status.st_size
            sums["allocated_bytes"] += status.st_blocks * 512
            sums["file_count"] += 1
            kind = name.rsplit(".", 1)[-1] if "." in name else name
            kinds[kind] = kinds.get(kind, 0) + status.st_size
    sums["values"] = values
    sums["bytes_per_value"] = sums["bytes"] / values
    sums["bytes_by_kind"] = dict(sorted(kinds.items(), key=lambda item: -item[1])[:8])
    return sums


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("values", type=int)
    parser.add_argument("--json", help="write the report here too")
    options = parser.parse_args()
    text = json.dumps(measure(options.directory, options.values), indent=1)
    print(text)
    if options.json:
        with open(options.json, "w") as file:
            file.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
