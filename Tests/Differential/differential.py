"""Asks Apus and an oracle the same random questions, and stops where they disagree.

    differential.py --apus BINARY --cache CACHE [--cases 20000] [--seed N] [--case N]

Every `ROUND` cases have tables of their own. A case depends on the seed and its number alone, so that `--case`
repeats one. The rows have to be the same, in order where the order is total, else as multisets; floats may differ by
1e-9, relative and, next to zero, absolute."""

import argparse
import collections
import datetime
import math
import os
import random
import secrets
import signal
import sys
import tempfile
import time

import oracles
from expressions import KNOWN_BUGS
from generator import Generator
from tables import TABLES, Table

ROUND = 500
TOLERANCE = 1e-9
# Of a hundred cases, how many DuckDB answers.
DUCKDB_PERCENT = 15
# Every fifth round has many rows, more than a batch of the executor, and few joins.
LARGE_SCALE = 12


def is_large(round_number):
    return round_number % 5 == 4


def same_value(left, right):
    if left is None or right is None:
        return left is right
    if isinstance(left, float) or isinstance(right, float):
        if isinstance(left, (int, float)) and isinstance(right, (int, float)) and not isinstance(left, bool):
            return math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (left != left and right != right)
        return False
    return type(left) is type(right) and left == right


def same_row(left, right):
    return len(left) == len(right) and all(map(same_value, left, right))


def sort_key(row):
    """Floats by ten digits at last, so that rows that count as equal stand side by side, or nearly."""
    certain = tuple((value is not None, str(type(value)), str(value)) for value in row if not isinstance(value, (int, float)))
    numbers = tuple((-1, 0) if value is None else (2, 0) if value != value else (1, float(f"{value:.9e}") + 0.0)
                    for value in row if value is None or isinstance(value, (int, float)))
    return certain, numbers


def same_rows(found, expected, ordered):
    if len(found) != len(expected):
        return False
    if ordered:
        return all(map(same_row, found, expected))
    if all(map(same_row, sorted(found, key=sort_key), sorted(expected, key=sort_key))):
        return True
    # Values around a rounding edge sort differently: each row looks for its partner.
    left = list(expected)
    for row in found:
        for number, other in enumerate(left):
            if same_row(row, other):
                del left[number]
                break
        else:
            return False
    return True


def shown(answer, other):
    if isinstance(answer, oracles.Refused):
        return f"    refused: {answer}"
    only = list(answer)
    if not isinstance(other, oracles.Refused):
        # What the other one has too isn't news.
        rest = list(other)
        only = []
        for row in answer:
            match = next((number for number, candidate in enumerate(rest) if same_row(row, candidate)), None)
            if match is None:
                only.append(row)
            else:
                del rest[match]
    lines = [f"    {len(answer)} rows, {len(only)} of them only here"]
    lines += ["    " + " | ".join(map(text_of, row)) for row in only[:8]]
    return "\n".join(lines)


def text_of(value):
    return "NULL" if value is None else value.isoformat() if isinstance(value, datetime.datetime) else repr(value)


class Run:
    def __init__(self, options):
        self.options, self.seed = options, options.seed
        self.folder = tempfile.TemporaryDirectory(prefix="apus-differential-")
        self.engines, self.loaded = [], None
        self.seconds = collections.Counter()
        self.counts, self.differences, self.both_refused, self.rows = collections.Counter(), 0, 0, 0

    def start(self):
        for make in (lambda: oracles.Apus(os.path.abspath(self.options.apus), os.path.join(self.folder.name, "data")),
                     lambda: oracles.Postgres(self.options.cache), oracles.DuckDB):
            self.engines.append(make())
        self.apus, self.postgres, self.duckdb = self.engines

    def stop(self):
        for engine in self.engines:
            engine.stop()
        self.folder.cleanup()

    def load(self, number):
        chance = random.Random(f"{self.seed}/tables/{number}")
        begin = time.monotonic()
        made = [Table(chance, name, LARGE_SCALE if is_large(number) else 1) for name in TABLES]
        self.apus.load(made, chance, number)
        self.postgres.load(made)
        self.duckdb.load(made)
        self.loaded = number
        self.seconds["loading"] += time.monotonic() - begin

    def case(self, number):
        if number // ROUND != self.loaded:
            self.load(number // ROUND)
        chance = random.Random(f"{self.seed}/{number}")
        oracle = self.duckdb if chance.random() * 100 < DUCKDB_PERCENT else self.postgres
        query = Generator(chance, oracle.name, self.options.with_known_bugs,
                          is_large(number // ROUND)).query()
        if self.options.verbose:
            print(f"-- {number}\n{query.apus}\n{query.oracle}", flush=True)
        answers = []
        for engine, text in ((self.apus, query.apus), (oracle, query.oracle)):
            try:
                begin = time.monotonic()
                answers.append(engine.answer(text))
            except oracles.Refused as refusal:
                answers.append(refusal)
            self.seconds[engine.name] += time.monotonic() - begin
        found, expected = answers
        self.counts[query.kind] += 1
        refused = [isinstance(answer, oracles.Refused) for answer in answers]
        if all(refused):
            self.both_refused += 1
            if not self.options.verbose:
                return
        elif not any(refused) and same_rows(found, expected, query.ordered):
            self.rows += len(found)
            return
        self.differences += 1
        print(f"case {number}, seed {self.seed}: {query.kind}{', ordered' if query.ordered else ''}\n"
              f"  Apus:\n    {query.apus}\n  {oracle.name}:\n    {query.oracle}\n"
              f"  Apus answers:\n{shown(found, expected)}\n  {oracle.name} answers:\n{shown(expected, found)}\n"
              f"  repeat it: make differential SEED={self.seed} CASE={number}\n", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--case", type=int, default=None, help="only this one")
    parser.add_argument("--differences-max", type=int, default=10, help="ends after so many")
    parser.add_argument("--with-known-bugs", action="store_true", help="also what KNOWN_BUGS leaves out: " + ", ".join(KNOWN_BUGS))
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = secrets.randbelow(1 << 31)
    print(f"seed {options.seed}", flush=True)
    # Told to end, it ends its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Run(options)
    begin = time.monotonic()
    asked = 0
    try:
        run.start()
        for number in [options.case] if options.case is not None else range(options.cases):
            run.case(number)
            asked += 1
            if asked % 5000 == 0:
                print(f"{asked} cases, {time.monotonic() - begin:.0f} s", flush=True)
            if run.differences >= options.differences_max:
                break
    finally:
        run.stop()
    kinds = ", ".join(f"{name} {count}" for name, count in sorted(run.counts.items()))
    print("seconds: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in run.seconds.items()))
    print(f"{asked} cases in {time.monotonic() - begin:.0f} s, {run.differences} differ; {run.rows} rows compared, "
          f"{run.both_refused} refused by both; {kinds}")
    return 1 if run.differences else 0


if __name__ == "__main__":
    sys.exit(main())
