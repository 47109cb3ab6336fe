"""The run as a table for people and as JSON for programs."""

import json
import os
import platform
import subprocess
import time

import workload


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) / 1048576
    return f"{model}, {os.cpu_count()} cores, {memory:.1f} GiB, Linux {platform.release()}"


def commit():
    here = os.path.dirname(os.path.abspath(__file__))
    return subprocess.run(["git", "-C", here, "rev-parse", "--short=12", "HEAD"],
                          capture_output=True, text=True).stdout.strip() or "unknown"


def number(value, digits=3):
    if value is None:
        return "—"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def best(states):
    """The state with the least latency, for engines that have several."""
    found = [result for result in states.values() if result]
    return min(found, key=lambda result: result["p50"]) if found else None


def ratio_cell(ours, theirs):
    """A peer's figure, and how many times ours it is; less than one is marked."""
    if theirs is None:
        return "—"
    text = f"{number(theirs['p50'])}"
    if ours:
        ratio = theirs["p50"] / ours["p50"]
        text += f" ({ratio:.1f}×)" if ratio >= 1 else f" (**{ratio:.2f}×, Apus is behind**)"
    return text


LOAD_HEAD = [
    "| | values/s | values per CPU second | with its tail | ack p50 / p99 ms | peak RSS MiB | bytes a value |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]


def load_figures(cost, values, bytes_per_value):
    """Figure, text, and whether more of it is better."""
    acknowledged = cost.get("acknowledgementMilliseconds")
    memory = cost.get("serverPeakRSSBytes")
    answered = values / max(0.01, cost["serverCPUSeconds"])
    with_tail = values / max(0.01, cost["serverCPUSecondsWithTail"])
    return [
        (cost["valuesPerSecond"], f"{cost['valuesPerSecond']:,.0f}", True),
        (answered, f"{answered:,.0f}", True), (with_tail, f"{with_tail:,.0f}", True),
        (acknowledged["p50"], f"{acknowledged['p50']:.1f} / {acknowledged['p99']:.1f}", False)
        if acknowledged else (None, "—", False),
        (memory, f"{memory / 1048576:,.0f}", False) if memory else (None, "—", False),
        (bytes_per_value, f"{bytes_per_value:.3f}", False)]


def load_table(rows):
    """Rows of (name, cost, values, bytes a value), Apus' first; where a peer's is better, bold."""
    figures = [load_figures(*row[1:]) for row in rows]
    lines = list(LOAD_HEAD)
    for (name, *_), row in zip(rows, figures):
        cells = [name]
        for (figure, text, more_is_better), (ours, _, _) in zip(row, figures[0]):
            is_better = None not in (figure, ours) and (figure > ours if more_is_better else figure < ours)
            cells.append(f"**{text}**" if is_better else text)
        lines.append("| " + " | ".join(cells) + " |")
    return lines + ["", "Bold: Apus is behind.", ""]


def asked(outcomes):
    return [name for name in list(workload.TSBS) + workload.CARDINALITY
            if any(name in outcome["queries"] for outcome in outcomes)]


def state_table(peers):
    """Every engine's queries in every state that it has."""
    columns = []
    for peer in peers:
        states = {state: None for query in peer["queries"].values() for state in query}
        columns += [(peer, state) for state in states]
    lines = ["## Peers, state by state", "",
             "Median milliseconds. VictoriaMetrics is flushed and merged by its internal commands; InfluxDB is restarted "
             "with cold durations of a second; ClickHouse has no head, and DuckDB nothing to merge.", "",
             "| query | " + " | ".join(f"{peer['name']} {state}" for peer, state in columns) + " |",
             "| --- |" + " ---: |" * len(columns)]
    for name in asked(peers):
        found = [peer["queries"].get(name, {}).get(state) for peer, state in columns]
        lines.append(f"| {name} | " + " | ".join(number(f["p50"]) if f else "—" for f in found) + " |")
    return lines


def write(options, cpu_set, vm_set, outcomes, failures):
    by_name = {outcome["name"]: outcome for outcome in outcomes}
    ours = by_name.get("Apus", {"queries": {}})
    peers = [outcome for outcome in outcomes if outcome["name"] != "Apus"]
    lines = [
        "# Apus and its peers in one run", "",
        f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, {machine()}, commit {commit()}; load average "
        f"at the end {os.getloadavg()[0]:.2f}. Client and servers share the machine.", "",
        f"`cpu-only`: {options.hosts} hosts × {options.hours:g} h, {cpu_set['rowCount']:,} rows, "
        f"{cpu_set['valueCount']:,} values. `cardinality`: {options.series:,} series × {options.points} points. "
        f"Seed {options.seed}, n = {options.n} (fewer where {options.query_seconds:g} s were not enough).", "",
        "Versions: " + "; ".join(outcome["version"].replace("\n", " ") for outcome in outcomes) + ".", "",
        "Default settings but for paths, ports and limits that would refuse the set. DuckDB and ClickHouse run "
        "in the client's process: no network in their latency, they load CSV, not line protocol, and their memory is "
        "what a load added to the client's. Only Apus acknowledges after a sync.", ""]
    if failures:
        lines += ["**Failed:** " + "; ".join(failures), ""]
    for set_name in ("cpu-only", "cardinality"):
        values = (cpu_set if set_name == "cpu-only" else vm_set)["valueCount"]
        rows = [(outcome["name"], outcome[f"load-{set_name}"], values, outcome[f"disk-{set_name}"])
                for outcome in outcomes if f"disk-{set_name}" in outcome]
        if rows:
            lines += [f"## Loading `{set_name}`", "", *load_table(rows)]
    rows = [(f"{outcome['name']}, {cost['passes']} passes, {cost['seconds']:.0f} s", cost, cost["values"],
             cost["bytesPerValue"]) for outcome in outcomes if (cost := outcome.get("headline"))]
    if rows:
        lines += [f"## Loading `cpu-only` again and again, for {options.headline:g} s and more", "",
                  "Each pass lies behind the last in time, so that all rows are new; flushes and merges run beside it.",
                  "", *load_table(rows)]
    lines += ["## Queries", "",
              "Median milliseconds; in parentheses how many times Apus' best that is. p95, p99 and CPU are in the JSON.", "",
              "| query | Apus head | flushed | compacted | " + " | ".join(p["name"] for p in peers) + " |",
              "| --- | ---: | ---: | ---: |" + " ---: |" * len(peers)]
    for name in asked(outcomes):
        states = ours["queries"].get(name, {})
        own = best(states)
        cells = [number(states[s]["p50"]) if states.get(s) else "—" for s in ("head", "flushed", "compacted")]
        cells += [ratio_cell(own, best(peer["queries"].get(name, {}))) for peer in peers]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "— : the engine cannot say it in its language.", ""]
    lines += state_table(peers)
    text = "\n".join(lines) + "\n"
    with open(options.result + ".md", "w") as file:
        file.write(text)
    with open(options.result + ".json", "w") as file:
        json.dump({"commit": commit(), "machine": machine(), "cpu-only": cpu_set, "cardinality": vm_set,
                   "engines": outcomes, "failures": failures}, file, indent=1, sort_keys=True)
        file.write("\n")
    print(text)
