#!/bin/bash
# Compares `apus import` with the path it uses: the loader of the first step over HTTP, which sends
# from the page cache by sendfile and spends next to no CPU, and the parser alone for a directory.
# Each round starts a new server for each way. Builds nothing.
#
#     APUS_BINARY=.build-release/release/apus Benchmarks/tools/import.sh
#
# Options by environment: HOSTS (4000), HOURS (2), ROUNDS (3), CACHE (/tmp/apus-bench-data, where the
# generated input stays), RESULT (Benchmarks/Results/tools.md), KEEP=1 (the work folder stays).
set -u
export PYTHONDONTWRITEBYTECODE=1
here=$(cd "$(dirname "$0")" && pwd)
hosts=${HOSTS:-4000} hours=${HOURS:-2} rounds=${ROUNDS:-3}
cache=${CACHE:-/tmp/apus-bench-data} result=${RESULT:-$here/../Results/tools.md}
binary=${APUS_BINARY:?the path of a release build of apus}
[ -x "$binary" ] || { echo "import.sh: $binary is not a program" >&2; exit 69; }
work=$(mktemp -d /tmp/apus-import.XXXXXX)
server=
stop() {
  if [ -n "$server" ] && kill -TERM "$server" 2> /dev/null; then wait "$server"; fi
  server=
}
trap 'stop; [ "${KEEP:-0}" = 1 ] || rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

start() {
  rm -rf "$work/data"
  "$binary" serve --data "$work/data" --http 127.0.0.1:0 --line-tcp off --line-udp off \
    > "$work/stdout" 2> "$work/stderr" &
  server=$!
  address=
  for _ in $(seq 100); do
    address=$(sed -n 's/^apus ready .*http=\([^ ]*\).*/\1/p' "$work/stdout")
    [ -n "$address" ] && return
    sleep 0.1
  done
  echo "import.sh: the server did not get ready" >&2
  exit 69
}

loader=("$here/../first-step/loader.py" --hosts "$hosts" --hours "$hours" --cache "$cache")
python3 "${loader[@]}" --generate-only
input="$cache/cpu-only-${hosts}x${hours}h-d0-s1-b5000.lp"
for suffix in gz zst; do
  [ "$input.$suffix" -nt "$input" ] && continue
  if [ "$suffix" = gz ]; then gzip -kf -4 "$input"; else zstd -qf -3 "$input"; fi
done
cat "$input" > /dev/null

# One line a measurement: way, seconds.
note() { echo "$1 $2" >> "$work/times"; echo "$1: $2 s" >&2; }
seconds() { sed -n 's/.*rejected, \([0-9.]*\) s.*/\1/p' "$work/out"; }
imports() {
  local way=$1; shift
  "$binary" import "$@" > "$work/out" || { cat "$work/out" >&2; exit 1; }
  note "$way" "$(seconds)"
}
for _ in $(seq "$rounds"); do
  start
  python3 "${loader[@]}" --url "$address" --pid "$server" --json "$work/load.json" > /dev/null || exit 1
  note loader "$(python3 -c 'import json,sys; print(round(json.load(open(sys.argv[1]))["seconds"], 2))' "$work/load.json")"
  stop
  for suffix in "" .gz .zst; do
    start
    imports "http$suffix" "$input$suffix" --url "http://$address"
    stop
  done
  rm -rf "$work/data"; imports directory "$input" --data "$work/data"
  imports dry-run "$input" --dry-run
done

python3 - "$work/times" "$result" "$hosts" "$hours" "$rounds" "$binary" <<'PYTHON'
import os, statistics, subprocess, sys
times_path, result, hosts, hours, rounds, binary = sys.argv[1:]
values = round(float(hours) * 360) * int(hosts) * 10
times = {}
for line in open(times_path):
    way, seconds = line.split()
    times.setdefault(way, []).append(float(seconds))
names = {"loader": "the first step's loader, over HTTP", "http": "`apus import`, over HTTP",
         "http.gz": "the same, gzip", "http.zst": "the same, Zstandard",
         "directory": "`apus import --data`", "dry-run": "`apus import --dry-run`"}
cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
version = subprocess.run([binary, "version"], capture_output=True, text=True).stdout.strip()
rows = [f"| {names[way]} | {min(all):.2f} | {statistics.median(all):.2f} | {values / min(all) / 1e6:.1f} | "
        f"{min(times['loader']) / min(all) * 100:.0f} % |" for way, all in times.items()]
section = "\n".join([
    "<!-- import: begin -->", "## Import", "",
    f"{values:,} values in rows of 10 integer fields ({hosts} hosts × {hours} h), `--durability always`, "
    f"client and server on the same {os.cpu_count()} cores of {cpu}; {rounds} rounds, a new server for each. "
    f"Load of the machine at the end: {os.getloadavg()[1]:.1f}. {version}.", "",
    "`Benchmarks/tools/import.sh`", "",
    "| | s, least | s, median | M values/s, best | of the loader |", "| --- | --- | --- | --- | --- |",
    *rows, "<!-- import: end -->"]) + "\n"
text = open(result).read() if os.path.exists(result) else "# Tools\n\n"
begin, end = text.find("<!-- import: begin -->"), text.find("<!-- import: end -->")
if begin >= 0 and end >= 0:
    text = text[:begin] + section + text[end + len("<!-- import: end -->\n"):]
else:
    text = text.rstrip("\n") + "\n\n" + section
open(result, "w").write(text)
PYTHON
cat "$result"
