#!/bin/bash
# What has to be on the machine before anything is built: Swift, and a few Debian packages.
#
#     scripts/setup.sh run      what `make run` needs
#     scripts/setup.sh test     the same, and what the tests need
#
# Never asks anything. Installs as root or by a sudo that wants no password; where neither is
# possible it prints the line to type and exits with 69.
set -euo pipefail

purpose=${1:-run}
swift_minimum=6.2

fail() {
    echo "setup: $1" >&2
    exit 69
}

swift_command=$(command -v swift || true)
[ -n "$swift_command" ] || fail "Swift is missing; install $swift_minimum or later from https://www.swift.org/install/linux/"
swift_version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
[ -n "$swift_version" ] || fail "$swift_command does not say which version it is"
oldest=$(printf '%s\n%s\n' "$swift_minimum" "$swift_version" | sort -V | head -n 1)
[ "$oldest" = "$swift_minimum" ] || fail "$swift_command is Swift $swift_version; $swift_minimum or later is needed"

packages=(libzstd-dev liblz4-dev zlib1g-dev libisal-dev libre2-dev pkg-config curl ca-certificates)
[ "$purpose" = test ] && packages+=(python3)

if ! command -v dpkg-query >/dev/null; then
    echo "setup: not a Debian machine, so nothing is installed; needed are the equivalents of: ${packages[*]}" >&2
    exit 0
fi

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

missing=()
for package in "${packages[@]}"; do
    case $package in
        # A command that is there by other means is as good.
        curl | python3 | pkg-config) command -v "$package" >/dev/null && continue ;;
    esac
    is_installed "$package" || missing+=("$package")
done
# The shim around RE2 is C++. Its headers come with Swift's own requirements on most machines.
compgen -G '/usr/include/c++/*/string' >/dev/null || missing+=(libstdc++-12-dev)

[ ${#missing[@]} -gt 0 ] || exit 0

line="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" = 0 ]; then
    elevate=(env DEBIAN_FRONTEND=noninteractive)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    elevate=(sudo -n env DEBIAN_FRONTEND=noninteractive)
else
    echo "setup: packages are missing and this is neither root nor a sudo without password; type:" >&2
    echo "    sudo apt-get update && sudo $line" >&2
    exit 69
fi

echo "setup: installing Debian packages: ${missing[*]}" >&2

install_missing() {
    "${elevate[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
}

# The package lists are fetched only where they are absent, or too old for the servers.
lists_are_absent=no
for package in "${missing[@]}"; do
    LC_ALL=C apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]' || lists_are_absent=yes
done
if [ "$lists_are_absent" = yes ] || ! install_missing; then
    "${elevate[@]}" apt-get update -qq </dev/null >&2 \
        || fail "apt-get update failed, and these packages are missing: ${missing[*]}"
    install_missing || fail "could not be installed: ${missing[*]}; try: sudo $line"
fi
