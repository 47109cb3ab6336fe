#!/usr/bin/env python3
"""Runs the micro-benchmarks, and compares two commits with them.

    micro.py run --build FOLDER [--filter REGEX] [--result FILE]
    micro.py compare --base COMMIT --scratch FOLDER --build FOLDER [--filter REGEX] [--pairs N]

`make bench` and `make bench-compare` build first and then call this. The cases are in
Benchmarks/Cases; apus-micro registers them with ordo-one/benchmark, whose BenchmarkTool starts it
once a case and collects what it measured.

Times are CPU times, of the fastest pass: other programs disturb these least. With a load of eleven
on two cores, six pairs of the same program came out within 3 % by fastest passes, 21 % by medians.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = "apus-micro"
TOOL = "BenchmarkTool"
PROOF = "Benchmarks/Micro/Main.swift"  # a commit that has it can be measured
PAIRS_MIN = 5


def stop(message):
    sys.exit(f"micro: {message}")


def git(*arguments, check=True):
    run = subprocess.run(["git", "-C", str(ROOT), *arguments], text=True, capture_output=True)
    if check and run.returncode != 0:
        stop(f"git {' '.join(arguments)}: {run.stderr.strip()}")
    return run.stdout.strip() if run.returncode == 0 else None


class Outcome:
    """What one run of one case yielded. A pass does the case's work once."""

    def __init__(self, metrics, items, byte_count, result_hash):
        def percentile(rank, name):
            metric = metrics.get(name)
            return metric["scorePercentiles"][rank] if metric else None

        self.cpu = percentile("0.0", "cpu-nanoseconds")
        self.cpu_median = percentile("50.0", "cpu-nanoseconds")
        self.wall = percentile("50.0", "Time (wall clock)") * 1000
        self.instructions = percentile("0.0", "Instructions")
        self.items = items
        self.bytes = byte_count
        self.hash = result_hash

    @property
    def nanoseconds_an_item(self):
        return self.cpu / self.items


class Build:
    """The programs of one commit."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()

    def names(self):
        listed = self.tool("list", "text", []).splitlines()
        return [line for line in listed if re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+){2}", line)]

    def measure(self, names):
        """Outcomes by name, each case in a process of its own."""
        with tempfile.TemporaryDirectory(prefix="apus-micro-") as folder:
            told = os.path.join(folder, "outcomes")
            filters = [argument for name in names
                       for argument in ("--filter", name.replace(".", "[.]"))]
            said = self.tool("run", "jmh", ["--path", folder, *filters], told)
            counts = {}
            if os.path.exists(told):
                with open(told, encoding="utf-8") as file:
                    for line in file:
                        name, items, byte_count, result_hash = line.split()
                        counts[name] = (int(items), int(byte_count), result_hash)
            metrics = {}
            for path in pathlib.Path(folder).glob("*.jmh.json"):
                for entry in json.loads(path.read_text(encoding="utf-8")):
                    name = entry["benchmark"].split(f".{TARGET}.", 1)[1]
                    metrics[name] = entry["secondaryMetrics"]
        missing = [name for name in names if name not in counts or name not in metrics]
        if missing:
            stop(f"{self.folder}: nothing measured of {', '.join(missing)}\n{said}")
        return {name: Outcome(metrics[name], *counts[name]) for name in names}

    def tool(self, command, form, more, outcomes=None):
        line = [self.folder / TOOL, "--command", command, "--format", form, "--grouping",
                "benchmark", "--baseline-storage-path", tempfile.gettempdir(), "--targets", TARGET,
                "--benchmark-executable-paths", self.folder / TARGET, "--no-progress", "--quiet",
                *more]
        environment = dict(os.environ)
        if outcomes:
            environment["APUS_MICRO_OUTCOMES"] = outcomes
        run = subprocess.run(line, env=environment, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        if run.returncode != 0:
            stop(f"{TOOL} ended with {run.returncode}\n{run.stdout}")
        return run.stdout


def chosen(names, pattern):
    kept = [name for name in names if not pattern or re.search(pattern, name)]
    if not kept:
        stop(f"no case has a name with {pattern!r} in it; there are:\n  " + "\n  ".join(names))
    return kept


def table(heads, rows):
    """A Markdown table whose columns also line up on a terminal; all but the first to the right."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]

    def joined(cells):
        padded = [cell.ljust(width) if column == 0 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if column == 0 else "-" * (width - 1) + ":"
            for column, width in enumerate(widths)]
    return "\n".join([joined(heads), joined(rule), *(joined(row) for row in rows)])


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    swift = subprocess.run(["swift", "--version"], text=True, capture_output=True).stdout
    version = re.search(r"Swift version \S+", swift)
    return (f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}, "
            f"{version.group(0) if version else 'Swift'}, load {os.getloadavg()[0]:.1f}")


def here():
    described = git("describe", "--always", "--exclude", "*", "--abbrev=12", "--dirty=+",
                    check=False)
    return described or "unknown"


def run(arguments):
    build = Build(arguments.build)
    names = chosen(build.names(), arguments.filter)
    outcomes = build.measure(names)
    has_instructions = all(outcome.instructions for outcome in outcomes.values())
    heads = ["case", "ns an item", "M items/s", "MB/s", "bytes an item", "pass µs",
             "median µs", "wall µs", "hash"]
    if has_instructions:
        heads.insert(2, "instructions")
    rows = []
    for name, outcome in outcomes.items():
        row = [name, number(outcome.nanoseconds_an_item),
               number(1000 / outcome.nanoseconds_an_item),
               number(outcome.bytes / outcome.cpu * 1000) if outcome.bytes else "",
               number(outcome.bytes / outcome.items) if outcome.bytes else "",
               number(outcome.cpu / 1000), number(outcome.cpu_median / 1000),
               number(outcome.wall / 1000), outcome.hash]
        if has_instructions:
            row.insert(2, number(outcome.instructions / outcome.items))
        rows.append(row)
    text = table(heads, rows)
    about = f"{machine()}, commit {here()}"
    print(f"{about}\n\n{text}")
    if arguments.result:
        path = pathlib.Path(arguments.result)
        path.write_text(
            f"# Micro-benchmarks\n\n`make bench`: {about}.\n\nCPU time of the process in the "
            "fastest pass; then the medians of CPU and wall time. An item is a value, a row, a series or a "
            "page, MB/s are of its encoded form, and the hash is that of the result.\n\n" f"{text}\n", encoding="utf-8")
        print(f"\nwritten to {path}")


def compile_programs(source, scratch):
    """Both programs of a work tree; what was built before is used again."""
    environment = dict(os.environ, APUS_BENCH="1")
    for product in (TARGET, TOOL):
        line = ["swift", "build", "-c", "release", "--scratch-path", str(scratch), "--product",
                product]
        if subprocess.run(line, cwd=source, env=environment).returncode != 0:
            stop(f"{product} of {source} does not build")
    return Build(scratch / "release")


def check_out(commit, source):
    """A work tree of its own, which stays, so that the next base is built incrementally."""
    if (source / ".git").exists():
        moved = subprocess.run(
            ["git", "-C", str(source), "checkout", "--quiet", "--force", "--detach", commit])
        if moved.returncode == 0:
            return
        stop(f"{source} can't be moved to {commit}: remove it")
    git("worktree", "prune")
    source.parent.mkdir(parents=True, exist_ok=True)
    git("worktree", "add", "--quiet", "--force", "--detach", str(source), commit)


def compare(arguments):
    if arguments.pairs < PAIRS_MIN:
        stop(f"{arguments.pairs} pairs are too few: at least {PAIRS_MIN}")
    commit = git("rev-parse", "--verify", "--quiet", f"{arguments.base}^{{commit}}", check=False)
    if commit is None:
        stop(f"{arguments.base} is no commit of this repository")
    if git("cat-file", "-e", f"{commit}:{PROOF}", check=False) is None:
        first = (git("log", "--diff-filter=A", "--format=%h", "--", PROOF) or "").split("\n")[-1]
        since = f"; they came with {first}" if first else ""
        stop(f"{arguments.base} has no micro-benchmarks{since}")
    folder = pathlib.Path(arguments.scratch).resolve() / "base"
    check_out(commit, folder / "source")
    base = compile_programs(folder / "source", folder / "build")
    new = Build(arguments.build)
    base_names, new_names = base.names(), new.names()
    names = chosen([name for name in new_names if name in base_names], arguments.filter)
    runs = {name: [] for name in names}
    for pair in range(arguments.pairs):
        for position, name in enumerate(names):
            print(f"\rpair {pair + 1} of {arguments.pairs}, case {position + 1} of {len(names)} ",
                  end="", file=sys.stderr, flush=True)
            # Side by side in time, and each of them first as often as the other.
            order = (base, new) if (pair + position) % 2 == 0 else (new, base)
            measured = {build: build.measure([name])[name] for build in order}
            runs[name].append((measured[base], measured[new]))
    print(file=sys.stderr)
    rows = []
    wrong = []
    for name, pairs in runs.items():
        rows.append(comparison(name, pairs, wrong))
    print(f"{machine()}\nbase {git('rev-parse', '--short=12', commit)}, here {here()}; "
          f"{arguments.pairs} pairs; CPU time of fastest passes; below 1 is faster than the base\n")
    print(table(["case", "base ns an item", "here ns an item", "ratio", "least … greatest",
                 "bytes", "result"], rows))
    for label, missing in (("only in the base", set(base_names) - set(new_names)),
                           ("only here", set(new_names) - set(base_names))):
        if missing:
            print(f"\n{label}: {', '.join(sorted(missing))}")
    if wrong:
        stop(f"another result than in the base: {', '.join(wrong)}")


def comparison(name, pairs, wrong):
    ratios = [new.nanoseconds_an_item / base.nanoseconds_an_item for base, new in pairs]
    base, new = pairs[0]
    hashes = {outcome.hash for pair in pairs for outcome in pair}
    if len(hashes) > 1:
        wrong.append(name)
    byte_ratio = ""
    if base.bytes and new.bytes and base.items == new.items and base.bytes != new.bytes:
        byte_ratio = f"{new.bytes / base.bytes:.3f}"
    return [name, number(statistics.median(base.nanoseconds_an_item for base, _ in pairs)),
            number(statistics.median(new.nanoseconds_an_item for _, new in pairs)),
            f"{statistics.median(ratios):.3f}", f"{min(ratios):.2f} … {max(ratios):.2f}",
            byte_ratio, "same" if len(hashes) == 1 else "DIFFERS"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for name, action in (("run", run), ("compare", compare)):
        command = commands.add_parser(name)
        command.set_defaults(action=action)
        command.add_argument("--build", required=True, help="folder of apus-micro")
        command.add_argument("--filter", default="", help="a regular expression for names")
        if action is run:
            command.add_argument("--result", default="", help="a Markdown file to write as well")
        else:
            command.add_argument("--base", required=True, help="a commit")
            command.add_argument("--scratch", required=True, help="folder for the base's builds")
            command.add_argument("--pairs", type=int, default=PAIRS_MIN)
    arguments = parser.parse_args()
    arguments.action(arguments)


if __name__ == "__main__":
    main()
