#!/bin/bash
# Copies Apus from the folder this script is in to where it is run from, or removes it again.
#
#     PREFIX=/usr/local DESTDIR= ./install.sh [install|uninstall]
#
# SYSCONFDIR is /etc below /usr and /usr/local, else PREFIX/etc. A configuration that is there
# already stays; uninstalling leaves it, unless it is as it came, and never touches data.
set -euo pipefail

action=${1:-install}
tree=$(cd "$(dirname "$0")" && pwd)
prefix=${PREFIX:-/usr/local}
destination=${DESTDIR:-}
case $prefix in
    /usr | /usr/local) configuration=${SYSCONFDIR:-/etc} ;;
    /*) configuration=${SYSCONFDIR:-$prefix/etc} ;;
    *) echo "install: PREFIX=$prefix is not an absolute path" >&2 && exit 64 ;;
esac

# Where files go, below PREFIX; the same names as in this folder.
files=(
    bin/apus
    share/man/man1/apus.1
    share/bash-completion/completions/apus
    share/zsh/site-functions/_apus
    share/fish/vendor_completions.d/apus.fish
    lib/systemd/system/apus.service
    lib/sysusers.d/apus.conf
)

install_files() {
    local file mode
    for file in "${files[@]}"; do
        mode=644
        [ "$file" = bin/apus ] && mode=755
        install -D -m "$mode" "$tree/$file" "$destination$prefix/$file"
    done
    sed -i -e "s|@PREFIX@|$prefix|g" -e "s|@SYSCONFDIR@|$configuration|g" \
        "$destination$prefix/lib/systemd/system/apus.service"
    if [ -e "$destination$configuration/apus/apus.toml" ]; then
        echo "kept: $destination$configuration/apus/apus.toml"
    else
        install -D -m 644 "$tree/etc/apus/apus.toml" "$destination$configuration/apus/apus.toml"
    fi
    echo "installed: $destination$prefix/bin/apus"
    [ -z "$destination" ] && [ -d /run/systemd/system ] || return 0
    cat <<TEXT
As a service:
    systemd-sysusers && systemctl daemon-reload
    systemctl enable --now apus
TEXT
}

uninstall_files() {
    local file
    for file in "${files[@]}"; do rm -f "$destination$prefix/$file"; done
    file=$destination$configuration/apus/apus.toml
    if [ -e "$file" ] && cmp -s "$file" "$tree/etc/apus/apus.toml"; then
        rm "$file"
        rmdir --ignore-fail-on-non-empty "$(dirname "$file")"
    fi
    if [ -e "$file" ]; then echo "kept: $file"; fi
    echo "removed: $destination$prefix/bin/apus"
}

case $action in
    install) install_files ;;
    uninstall) uninstall_files ;;
    *) echo "install: $action is neither install nor uninstall" >&2 && exit 64 ;;
esac
