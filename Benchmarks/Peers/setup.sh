#!/bin/bash
# Fetches the peers into a cache: Debian's influxdb and victoria-metrics, unpacked but not installed,
# and duckdb and chdb (ClickHouse as a library) from PyPI in a virtual environment.
#
#     Benchmarks/Peers/setup.sh CACHE
set -euo pipefail
cache=${1:?the folder to fetch into}
mkdir -p "$cache/debs" "$cache/root"
for package in influxdb victoria-metrics; do
  [ -e "$cache/root/.$package" ] && continue
  command -v apt-get > /dev/null || { echo "setup.sh: apt-get is missing: the peers are Debian's packages" >&2; exit 69; }
  (cd "$cache/debs" && apt-get download -q "$package") || {
    echo "setup.sh: apt-get download $package failed; is the package list there (apt-get update)?" >&2
    exit 69
  }
  dpkg-deb -x "$cache"/debs/"$package"_*.deb "$cache/root"
  dpkg-deb -f "$cache"/debs/"$package"_*.deb Version > "$cache/root/.$package"
done
if [ ! -e "$cache/venv/.ready" ]; then
  python3 -m venv "$cache/venv" || { echo "setup.sh: apt-get install python3-venv" >&2; exit 69; }
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check duckdb chdb
  touch "$cache/venv/.ready"
fi
