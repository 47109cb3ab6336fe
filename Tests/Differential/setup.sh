#!/bin/bash
# Fetches the oracles into a cache: Debian's PostgreSQL 15, unpacked but not installed, and DuckDB and
# PostgreSQL's client from PyPI in a virtual environment.
#
#     Tests/Differential/setup.sh CACHE
set -euo pipefail
cache=${1:?the folder to fetch into}
mkdir -p "$cache/debs" "$cache/root"
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
refresh() { as_root apt-get update -qq >&2; }
fetch() { (cd "$cache/debs" && rm -f "$1"_*.deb && apt-get download -q "$1"); }
for package in postgresql-15 postgresql-client-15 libpq5; do
  [ -e "$cache/root/.$package" ] && continue
  command -v apt-get > /dev/null || { echo "setup.sh: apt-get is missing: the oracle is Debian's PostgreSQL" >&2; exit 69; }
  fetch "$package" 2> /dev/null || { refresh && fetch "$package"; } || {
    echo "setup.sh: apt-get download $package failed; it is a package of Debian 12 and is not installed, only unpacked" >&2
    exit 69
  }
  dpkg-deb -x "$cache"/debs/"$package"_*.deb "$cache/root"
  dpkg-deb -f "$cache"/debs/"$package"_*.deb Version > "$cache/root/.$package"
done
# The libraries that the server wants and a bare machine may lack.
missing=$(LD_LIBRARY_PATH="$cache/root/usr/lib/$(uname -m)-linux-gnu" ldd "$cache/root/usr/lib/postgresql/15/bin/postgres" |
  awk '/not found/ { print $1 }')
if [ -n "$missing" ]; then
  echo "setup.sh: PostgreSQL lacks" $missing"; type: sudo apt-get install libxml2 libxslt1.1 libldap-2.5-0 libllvm14" >&2
  exit 69
fi
if [ ! -e "$cache/venv/.ready" ]; then
  if ! python3 -c 'import ensurepip' 2> /dev/null; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv < /dev/null >&2 || {
      echo "setup.sh: python3-venv is missing; type: sudo apt-get install python3-venv" >&2
      exit 69
    }
  fi
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check duckdb pytz psycopg2-binary
  touch "$cache/venv/.ready"
fi
