#!/bin/bash
# The server on ./apus-data with this host's numbers flowing into it, until Ctrl-C.
#
#     scripts/run.sh APUS [arguments for `apus serve`]
#
# Both processes run in groups of their own (set -m): Ctrl-C then reaches this script alone, which
# passes it on once, by process id. A server that got it twice would stop without finishing.
set -uo pipefail
set -m

apus=$1
shift
# The last --data wins, so the caller may name another directory.
server_arguments=(--data ./apus-data "$@")

server=
collector=
interrupted=0
stop() {
    interrupted=1
    [ -n "$collector" ] && kill -TERM "$collector" 2>/dev/null
    [ -n "$server" ] && kill -TERM "$server" 2>/dev/null
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkfifo "$scratch/ready"
trap stop INT TERM

"$apus" serve "${server_arguments[@]}" >"$scratch/ready" &
server=$!
exec 3<"$scratch/ready"

# Waits for the server's end and gives its exit code, also across our own signals.
wait_for_server() {
    local code again
    wait "$server"
    code=$?
    while [ "$interrupted" = 1 ]; do
        interrupted=0
        wait "$server"
        again=$?
        # 127: it had been waited for already, just before the signal.
        [ "$again" = 127 ] || code=$again
    done
    return "$code"
}

finish() {
    wait_for_server
    local code=$?
    if [ -n "$collector" ]; then
        kill -TERM "$collector" 2>/dev/null
        wait "$collector" 2>/dev/null
    fi
    exit "$code"
}

# Opening a large directory takes a while; the server itself says on standard error what it does.
# The end of the stream, without a line, is the end of the server.
ready=
while ! IFS= read -r -t 1 -u 3 ready; do
    [ "$interrupted" = 0 ] || finish
    kill -0 "$server" 2>/dev/null || finish
done
echo "$ready"

address=$(printf '%s\n' "$ready" | sed -n 's/^apus ready .*http=\([^ ]*\).*/\1/p')
if [ -z "$address" ] || [ "$address" = off ]; then
    echo "HTTP is off: the collector is not started." >&2
    finish
fi
# A server on all addresses is reached on the loopback.
case $address in
    0.0.0.0:*) address=127.0.0.1:${address##*:} ;;
    '[::]:'*) address="[::1]:${address##*:}" ;;
esac

"$apus" collect --url "http://$address" --interval 1s &
collector=$!

ask() {
    local authorization=()
    [ -n "${APUS_TOKEN:-}" ] && authorization=(-H "Authorization: Token $APUS_TOKEN")
    curl -sS --max-time 5 "${authorization[@]}" -G "http://$address/sql" --data-urlencode "q=$1"
}

# The second sample is the first with processors; twenty looks are twenty seconds.
rows=0
for _ in $(seq 20); do
    [ "$interrupted" = 0 ] || finish
    sleep 1
    answer=$(ask "SELECT count(*) FROM cpu WHERE time > now() - INTERVAL '1 minute'" 2>&1)
    rows=$(printf '%s' "$answer" | sed -n 's/.*"rows":\[\[\([0-9]*\)\]\].*/\1/p')
    [ "${rows:-0}" -gt 0 ] && break
done
[ "$interrupted" = 0 ] || finish

if [ "${rows:-0}" -gt 0 ]; then
    echo "This host's numbers arrive: $rows rows in table cpu so far."
else
    echo "No rows have arrived after 20 seconds. The last answer: $answer" >&2
fi
cat <<TEXT

Try next, from another terminal:

  curl -G http://$address/sql --data-urlencode "q=SELECT time, usage_user, usage_system FROM cpu WHERE cpu = 'cpu-total' AND time > now() - INTERVAL '1 minute' ORDER BY time"

Ctrl-C stops the server and the collector.
TEXT
finish
