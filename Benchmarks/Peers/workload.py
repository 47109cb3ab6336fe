"""The queries, free of any engine's language: what is asked, of which hosts, in which window.

An answer is a dictionary from a key tuple to a tuple of numbers, the same for every engine:

    bucketed            (bucket start in seconds[, host])  ->  one number per metric
    high-cpu            (time in seconds, host)            ->  all ten metrics
    lastpoint           (host,)                            ->  all ten metrics
    cardinality         (key,)                             ->  numbers
"""

import random
from dataclasses import dataclass, field

from common import METRICS, START


@dataclass
class Query:
    name: str
    kind: str  # bucketed, high, last, limit; or the name of a cardinality query
    metrics: list = field(default_factory=list)
    hosts: list = field(default_factory=list)  # empty: all
    start: int = 0
    end: int = 0
    bucket: int = 60
    aggregate: str = "max"
    by_host: bool = False
    parameters: tuple = ()


# name: kind, metrics, hosts (0: all), hours, bucket seconds, aggregate, by host
TSBS = {
    "single-groupby-1-1-1": ("bucketed", 1, 1, 1, 60, "max", False),
    "single-groupby-1-1-12": ("bucketed", 1, 1, 12, 60, "max", False),
    "single-groupby-1-8-1": ("bucketed", 1, 8, 1, 60, "max", False),
    "single-groupby-5-1-1": ("bucketed", 5, 1, 1, 60, "max", False),
    "single-groupby-5-1-12": ("bucketed", 5, 1, 12, 60, "max", False),
    "single-groupby-5-8-1": ("bucketed", 5, 8, 1, 60, "max", False),
    "cpu-max-all-1": ("bucketed", 10, 1, 8, 3600, "max", False),
    "cpu-max-all-8": ("bucketed", 10, 8, 8, 3600, "max", False),
    "double-groupby-1": ("bucketed", 1, 0, 12, 3600, "avg", True),
    "double-groupby-5": ("bucketed", 5, 0, 12, 3600, "avg", True),
    "double-groupby-all": ("bucketed", 10, 0, 12, 3600, "avg", True),
    "high-cpu-1": ("high", 10, 1, 12, 0, "", False),
    "high-cpu-all": ("high", 10, 0, 12, 0, "", False),
    "lastpoint": ("last", 10, 0, 0, 0, "", True),
    "groupby-orderby-limit": ("limit", 1, 0, 0, 60, "max", False),
}

CARDINALITY = ["three-tags", "tenant-series-count", "tenant-images", "latest-by-regex", "uuid-infix", "one-series",
               "last-average-by-az", "count-all"]


def tsbs(name, hosts, hours, count, seed):
    """`count` instances of a query; windows start at random seconds and are as long as the name
    says, or as the data set is."""
    kind, metric_count, host_count, window_hours, bucket, aggregate, by_host = TSBS[name]
    dice = random.Random(f"{seed}/{name}")
    total = int(hours * 3600)
    length = min(window_hours * 3600, total)
    queries = []
    for _ in range(count):
        start = START + dice.randrange(0, total - length + 1)
        query = Query(name, kind, METRICS[:metric_count], [], start, start + length, bucket,
                      aggregate, by_host)
        if host_count:
            query.hosts = [f"host_{n}" for n in sorted(dice.sample(range(hosts), min(host_count, hosts)))]
        if kind == "limit":
            query.start, query.end = START, START + dice.randrange(min(600, total // 2), total)
        if kind == "last":
            query.start, query.end = START, START + total
        queries.append(query)
    return queries


def cardinality(name, members, count, seed):
    """`members` are the tags of some series of the set."""
    dice = random.Random(f"{seed}/{name}")
    digits = "0123456789abcdef"
    queries = []
    for _ in range(count):
        member = dice.choice(members)
        if name == "one-series":
            parameters = (member["uuid"],)
        elif name == "three-tags":
            parameters = (member["host"], member["tenant"], member["az"])
        elif name == "latest-by-regex":
            # One in seventeen of 2,000 hosts.
            parameters = ("^hv12",)
        elif name == "uuid-infix":
            parameters = ("".join(dice.choices(digits, k=3)), "".join(dice.choices(digits, k=4)))
        else:
            parameters = (member["tenant"],)
        queries.append(Query(name, name, parameters=parameters))
    return queries
