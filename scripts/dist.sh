#!/bin/bash
# Packs a staged folder into a tarball, and looks whether what is in it runs by itself.
#
#     scripts/dist.sh FOLDER TARGET_FOLDER
#
# Prints the sizes of the binary and the tarball, and the libraries that the machine has to have.
set -euo pipefail

folder=$1
target=$2

fail() {
    echo "dist: $1" >&2
    exit 1
}

version=$("$folder/bin/apus" version | cut -d' ' -f2)
name=apus-$version-linux-$(uname -m)
mkdir -p "$target"
tarball=$target/$name.tar.gz
# The same files give the same bytes: sorted, owned by nobody in particular, of one time.
tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mtime='2000-01-01 00:00Z' \
    --transform "s|^\.|$name|" -c . | gzip -9n >"$tarball"

# As someone has it who unpacks it: no Swift, no variables.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tar -xzf "$tarball" -C "$scratch"
binary=$scratch/$name/bin/apus
libraries=$(env -i ldd "$binary")
case $libraries in *libswift* | *libFoundation* | *libdispatch*) fail "the binary needs Swift's libraries" ;; esac
case $libraries in *"not found"*) fail "libraries are missing: $libraries" ;; esac
env -i "$binary" version >/dev/null || fail "the unpacked binary does not run"
(cd "$scratch" && env -i "$binary" serve --config "$scratch/$name/etc/apus/apus.toml" --check-config) \
    >/dev/null || fail "the unpacked binary refuses its own example configuration"

bytes() { stat -c %s "$1"; }
echo "$tarball: $(bytes "$tarball") bytes, its binary $(bytes "$binary") bytes"
echo "needs on the machine: $(printf '%s\n' "$libraries" | sed -n 's/^\t\(lib[^ ]*\) =>.*/\1/p' | sort | tr '\n' ' ')"
