#!/bin/bash
# Fetches the peers into a cache: Debian's influxdb and victoria-metrics, unpacked but not installed,
# and duckdb and chdb (ClickHouse as a library) from PyPI in a virtual environment.
#
#     Benchmarks/Peers/setup.sh CACHE
set -euo pipefail
cache=${1:?the folder to fetch into}
mkdir -p "$cache/debs" "$cache/root"
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
refresh() { as_root apt-get update -qq >&2; }
fetch() { (cd "$cache/debs" && apt-get download -q "$1"); }
for package in influxdb victoria-metrics; do
  [ -e "$cache/root/.$package" ] && continue
  command -v apt-get > /dev/null || { echo "setup.sh: apt-get is missing: the peers are Debian's packages" >&2; exit 69; }
  fetch "$package" || { refresh && fetch "$package"; } || {
    echo "setup.sh: apt-get download $package failed, after apt-get update too" >&2
    exit 69
  }
  dpkg-deb -x "$cache"/debs/"$package"_*.deb "$cache/root"
  dpkg-deb -f "$cache"/debs/"$package"_*.deb Version > "$cache/root/.$package"
done
if [ ! -e "$cache/venv/.ready" ]; then
  if ! python3 -c 'import ensurepip' 2> /dev/null; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv < /dev/null >&2 || {
      echo "setup.sh: python3-venv is missing; type: sudo apt-get install python3-venv" >&2
      exit 69
    }
  fi
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check duckdb chdb
  touch "$cache/venv/.ready"
fi
