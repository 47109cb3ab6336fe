#!/bin/bash
# Puts together what a release holds, in a folder: the binary, and all that it says about itself.
#
#     scripts/stage.sh BINARY FOLDER
#
# The manual page, the completions and the example configuration are printed by the binary, so
# that they cannot differ from it.
set -euo pipefail
cd "$(dirname "$0")/.."

binary=$1
folder=$2

# Today's date where this is no clone.
date=$(git log -1 --format=%cs 2>/dev/null || date -u +%F)

rm -rf "$folder"
mkdir -p "$folder"/{bin,etc/apus,lib/systemd/system,lib/sysusers.d,share/man/man1,share/doc/apus} \
    "$folder"/share/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
install -m 755 "$binary" "$folder/bin/apus"
strip "$folder/bin/apus"

"$binary" documentation manual --date "$date" >"$folder/share/man/man1/apus.1"
"$binary" documentation configuration >"$folder/etc/apus/apus.toml"
"$binary" --generate-completion-script bash >"$folder/share/bash-completion/completions/apus"
"$binary" --generate-completion-script zsh >"$folder/share/zsh/site-functions/_apus"
"$binary" --generate-completion-script fish >"$folder/share/fish/vendor_completions.d/apus.fish"
install -m 644 packaging/apus.service "$folder/lib/systemd/system/apus.service"
install -m 644 packaging/apus.sysusers "$folder/lib/sysusers.d/apus.conf"
install -m 755 packaging/install.sh "$folder/install.sh"
cp README.md CHANGELOG.md "$folder/"
cp docs/*.md "$folder/share/doc/apus/"
for license in LICENSE*; do
    [ -e "$license" ] && cp "$license" "$folder/"
done
exit 0
