#!/bin/bash
# Measures the first step's numbers: load over HTTP, queries as loaded / after FLUSH / after
# COMPACT, disk. Builds nothing.
#
#     APUS_BINARY=.build/release/apus Benchmarks/first-step/run.sh
#
# Options by environment: HOSTS (4000), HOURS (2), DECIMALS (0), SENDERS (4), SEED (1), N (100),
# DURABILITY (always), CACHE (/tmp/apus-bench-data, where the generated input stays), WORK (a new
# folder under /tmp, removed afterwards unless KEEP=1), RESULT (Benchmarks/Results/first-step:
# .md and .json), PERF=1 (a profile of every phase by perf, into $WORK/perf-*.txt; implies KEEP).
set -u
export PYTHONDONTWRITEBYTECODE=1
here=$(cd "$(dirname "$0")" && pwd)
hosts=${HOSTS:-4000} hours=${HOURS:-2} decimals=${DECIMALS:-0} senders=${SENDERS:-4} seed=${SEED:-1} n=${N:-100}
durability=${DURABILITY:-always} cache=${CACHE:-/tmp/apus-bench-data} result=${RESULT:-$here/../Results/first-step}
binary=${APUS_BINARY:?the path of a release build of apus}
[ -x "$binary" ] || { echo "run.sh: $binary is not a program" >&2; exit 69; }
for program in python3 cc; do
  command -v "$program" > /dev/null || { echo "run.sh: $program is missing (apt-get install python3 gcc libc6-dev)" >&2; exit 69; }
done
work=${WORK:-$(mktemp -d /tmp/apus-bench.XXXXXX)}
mkdir -p "$work" "$(dirname "$result")"
[ "${PERF:-0}" = 1 ] && KEEP=1

server=
stop() {
  if [ -n "$server" ] && kill -TERM "$server" 2> /dev/null; then
    for _ in $(seq 150); do kill -0 "$server" 2> /dev/null || break; sleep 0.1; done
    kill -KILL "$server" 2> /dev/null
  fi
  server=
}
finish() { stop; if [ "${KEEP:-0}" = 1 ]; then echo "kept: $work" >&2; else rm -rf "$work"; fi; }
trap finish EXIT
trap 'exit 130' INT TERM

set -- serve --data "$work/data" --http 127.0.0.1:0 --line-tcp off --line-udp off --durability "$durability"
"$binary" "$@" > "$work/stdout" 2> "$work/stderr" &
server=$!
for _ in $(seq 200); do
  address=$(sed -n 's/^apus ready .*http=\([^ ]*\).*/\1/p' "$work/stdout")
  [ -n "$address" ] && break
  kill -0 "$server" 2> /dev/null || break
  sleep 0.1
done
[ -n "$address" ] || { echo "run.sh: the server did not get ready:" >&2; tail -5 "$work/stderr" >&2; exit 69; }

# Runs one phase, under perf when asked for; a failed phase does not stop the others.
failures=0
phase() {
  local name=$1 recorder=; shift
  if [ "${PERF:-0}" = 1 ]; then
    perf record -q -g -F 499 -p "$server" -o "$work/perf-$name.data" > /dev/null 2>&1 & recorder=$!
    sleep 0.5
  fi
  python3 "$@" > "$work/$name.out" || { failures=$((failures + 1)); echo "run.sh: phase $name failed" >&2; }
  if [ -n "$recorder" ]; then
    kill -INT "$recorder"; wait "$recorder" 2> /dev/null
    perf report -i "$work/perf-$name.data" --no-children --stdio -g none --percent-limit 0.5 2> /dev/null > "$work/perf-$name.txt"
  fi
}
disk() { python3 "$here/disk.py" "$work/data" "$values" --json "$work/disk-$1.json" > /dev/null; }

values=$(python3 -c "print(round($hours * 360) * $hosts * 10)")
set -- "$here/loader.py" --hosts "$hosts" --hours "$hours" --decimals "$decimals" --seed "$seed" --senders "$senders" --cache "$cache"
load_command="loader.py ${*:2}"
python3 "$@" --generate-only
phase load "$@" --url "$address" --pid "$server" --json "$work/load.json"
set -- "$here/queries.py" --hosts "$hosts" --hours "$hours" --n "$n" --seed "$seed"
query_command="queries.py ${*:2}"
for state in head flushed compacted; do
  phase "queries-$state" "$@" --url "$address" --pid "$server" --states "$state" \
    --answers "$work/answers.json" --json "$work/queries-$state.json"
  disk "$state"
done
python3 - "$work" <<'PYTHON'
import json, os, sys
merged = {}
for state in ("head", "flushed", "compacted"):
    path = os.path.join(sys.argv[1], f"queries-{state}.json")
    if os.path.exists(path):
        merged.update(json.load(open(path)))
json.dump(merged, open(os.path.join(sys.argv[1], "queries.json"), "w"))
PYTHON

python3 "$here/report.py" "$work" "$result" --binary "$binary" \
  --command "apus serve --data DIR --http 127.0.0.1:0 --line-tcp off --line-udp off --durability $durability" \
  --command "$load_command" --command "$query_command" --command "disk.py DIR $values"
[ "$failures" = 0 ]
